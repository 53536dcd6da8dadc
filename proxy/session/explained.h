// SPDX-License-Identifier: Apache-2.0
// Says what the cache did with a query whose text asks for it (/* pgweir: explain */): one NOTICE
// with one sentence, in front of the ReadyForQuery that ends it. What is known early is kept with
// the client until then. Nothing here is called for other queries.
#pragma once
#include "cache/rules.h"
#include "cache/statistics.h"

struct buf;
struct client;
struct entry;
struct sender;

// What a sentence is about.
struct explained_query {
    struct ruling ruling;
    const struct hints *hints;
    const char *why;                 // more of a reason: of `off`; NULL: nothing
    const struct rule_table *tables; // that it reads
    size_t table_count;
};

struct explained; // what waits to be said to one client

// A hit: the notice goes out now. stale: only by its ttl.
void explained_hit(struct client *client, struct sender *to_client,
                   const struct explained_query *query, const struct entry *entry, bool stale);
void explained_bypass(struct client *client, const struct explained_query *query,
                      enum bypass reason);
// filling: the server's answer is being recorded; explained_stored() may follow.
void explained_miss(struct client *client, const struct explained_query *query, bool filling);
// It is a miss whose answer is not kept.
void explained_passing(struct client *client, const struct explained_query *query);
void explained_stored(struct client *client, size_t bytes);

// The server is ready: what waits is said. Nothing if nothing does; client may be NULL.
void explained_ready(struct client *client, struct sender *to_client);
void explained_free(struct client *client);
