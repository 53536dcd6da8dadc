// SPDX-License-Identifier: Apache-2.0
// The SHOW commands: one row of a table each, with its columns and what makes its rows. Columns,
// their order and types are PgBouncer's; our own come last.
#pragma once
#include "proxy/console/command.h"
#include "proxy/console/table.h"

struct client;

struct show {
    const char *name;
    struct table_shape shape;
    // Prints the rows, or asks for them and answers later.
    enum command_result (*rows)(struct client *client, struct table *table);
    bool admin_only;
};

// What "SHOW name" is; NULL: there is no such thing.
const struct show *show_find(const char *name);

// show_pools.c
extern const struct show show_pools[];
// show_sockets.c
extern const struct show show_sockets[];
// show_pins.c
extern const struct show show_pins[];
// show_advice.c
extern const struct show show_advice[];
// show_cache.c
extern const struct show show_cache[];
// show_queries.c
extern const struct show show_queries[];
// show_stats.c
extern const struct show show_stats[];
