// SPDX-License-Identifier: Apache-2.0
// The control thread's set: follows every domain that the workers asked for, by WAL or (with
// invalidation = proxy) by their own writes only, and answers HTTP. It runs on a loop that is given
// to it and touches no data connection.
//
// Owner: the thread that runs the loop; control_new(), control_reload() and control_free() are
// called on it. Workers get `struct domains *` and use domain.h, from any thread.
// The order at the end: stop and join the workers, control_free(), then config, store, statistics.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct config;
struct control;
struct domains;

// config is counted by control (it takes its own reference).
struct control *control_new(struct ev_loop *loop, struct config *config);

// A new configuration is in force: settings change at once; a changed control_user, password or
// invalidation makes the domains reconnect.
void control_reload(struct control *control, struct config *config);

// Closes every connection (the slots die with them) and frees the domains.
void control_free(struct control *control);

struct domains *control_domains(struct control *control);
