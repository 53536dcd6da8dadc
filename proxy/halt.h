// SPDX-License-Identifier: Apache-2.0
// What the console, or a signal, holds up: the whole process (paused or suspended), or databases
// (paused, or disabled for new clients). Any thread; all of it under pooler->lock, which these
// functions take themselves unless they say otherwise.
//
// A paused pool grants nobody a server and opens none; the workers' janitors close its idle ones.
// While the process is suspended, nothing is read from clients and servers either, and nobody is
// accepted.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct pooler;
struct route;

enum halt_mode { HALT_NONE, HALT_PAUSED, HALT_SUSPENDED };

enum halt_mode halt_mode(const struct pooler *pooler);

// False: it was halted already, or is ending and to be suspended, and nothing is changed.
// suspender: the number of the console client that suspends it.
bool halt_process(struct pooler *pooler, enum halt_mode mode, uint64_t suspender);
// False: it was not halted, or is ending. Databases that are paused by themselves stay so.
bool halt_release(struct pooler *pooler);
// The connections are given to this console client, by whose number pooler->heir knows it until the
// process goes on with them. False: it is not suspended, or by somebody else.
bool halt_inherit(struct pooler *pooler, uint64_t client);
// The process is to end, and stays halted if it is (pooler->refusing). heir: of its connections,
// who ends it to go on with them; 0: somebody else. False: they are not that one's any more.
bool halt_for_good(struct pooler *pooler, uint64_t heir);

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
