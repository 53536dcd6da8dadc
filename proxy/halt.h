// SPDX-License-Identifier: Apache-2.0
// What the console, or a signal, holds up: the whole process (paused or suspended), or databases
// (paused, or disabled for new clients). Any thread; all of it under pooler->lock, which these
// functions take themselves unless they say otherwise.
//
// A paused pool grants nobody a server and opens none; the workers' janitors close its idle ones.
// While the process is suspended, nothing is read from clients and servers either.
#pragma once
#include <stdbool.h>

struct pooler;
struct route;

enum halt_mode { HALT_NONE, HALT_PAUSED, HALT_SUSPENDED };

enum halt_mode halt_mode(const struct pooler *pooler);

// False: it was halted already, and nothing is changed.
bool halt_process(struct pooler *pooler, enum halt_mode mode);
// False: it was not halted. Databases that are paused by themselves stay so.
bool halt_release(struct pooler *pooler);

void halt_database(struct pooler *pooler, const char *database);
bool halt_release_database(struct pooler *pooler, const char *database); // false: it was not
bool halt_is_paused(struct pooler *pooler, const char *database); // by itself
int halt_paused_databases(struct pooler *pooler);

void halt_disable(struct pooler *pooler, const char *database, bool disabled);
bool halt_is_disabled(struct pooler *pooler, const char *database);

// A route that has just been made; with pooler->lock held.
void halt_new_route(struct pooler *pooler, struct route *route);
// Server connections, idle ones and those being opened included, of the database (NULL: of all).
int halt_servers(struct pooler *pooler, const char *database);
void halt_fini(struct pooler *pooler); // the pooler is going
