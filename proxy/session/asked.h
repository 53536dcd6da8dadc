// SPDX-License-Identifier: Apache-2.0
// A unit that the cache is asked for, and what is known of it on its way to an answer. Shared by
// examine.c (may it be asked for), cached.c (is it there, may it be served), filling.c (what it
// depends on, how it is recorded) and repeats.c (it was asked before), and by nobody else.
#pragma once
#include "cache/key.h"
#include "cache/ledger.h"
#include "cache/rules.h"
#include "config/config.h"
#include "proxy/session/session.h"
#include "proxy/session/unit.h"
#include "proxy/sql/resolve.h"
#include "proxy/worker.h"

struct domain;
struct profile;

// What is known of one unit on its way to an answer.
struct question {
    struct client *client;
    struct unit unit;
    struct domain *domain; // canonical
    struct ledger *ledger;
    uint64_t profiles_edition; // of the route; taken before all that follows
    struct stamp stamp;        // likewise
    uint64_t catalog_version;  // taken before the names are resolved
    struct profile *profile;
    struct statement *statement; // counts; NULL for a simple query
    struct analysis *analysis;   // borrows
    const struct resolution *resolution; // borrows
    struct layout *told;   // borrows from the client: of the statement; NULL for a simple query and
                           // for one that is parsed in the unit
    struct layout relied;  // of that, what the answer must agree with; the key has it
    uint64_t described;    // the columns that the answer tells ...
    int64_t described_us;  // ... as it was filled then
    struct ruling ruling;  // of rules and hints
    bool without_events;   // the ledger is off: only a ttl may do
    bool handed;           // answered by what was handed on: no entry, and nothing to audit
    bool passes;           // not in memory, and its answer is not worth keeping
    struct slice key;      // borrows
    struct key_hash hash;
    const struct dependencies *dependencies; // borrows; NULL: nobody asked for them yet
};

// What a reply depends on: slots of the ledger.
enum { DEPENDENCIES_MAX = 512 };
struct dependencies {
    size_t n;
    uint32_t slots[DEPENDENCIES_MAX];
};

// What one unit after the other needs room for (client.h says whose it is).
struct asked {
    struct dependencies dependencies; // of the last question that needed them
    struct question missed; // the last one, if it was not in memory and its client had no server;
                            // without a client: nothing
};

// Keeps the question as the last one that was missed, and takes its statement with it.
void asked_keep(struct question *q);

// examine.c. BYPASS_NONE: all but the key and what comes behind it is known of it.
enum bypass question_examine(struct question *q);
// What the answer must agree with, of what its client was told of the statement (NULL: it is parsed
// in the unit). False: that is not known.
bool question_relies(const struct client *client, const struct unit *unit,
                     const struct layout *told, struct layout *relied);
// It was examined in this turn, before its client had the server that it has now. Would the same
// have been found with it?
bool question_suits_server(const struct question *q);

// filling.c. Tables; of those of which only rows with certain keys are read, those keys. Where a
// key cannot be told, or there are too many of them, the table. Lent until the next question's.
const struct dependencies *filling_dependencies(struct question *q);
// Records the reply that the server will give, when all that the key says is true of it.
void filling_begin(struct question *q);
// The flight that the client leads, if it does, goes on with this very key.
bool filling_is_led(const struct question *q);

// Whether the unit counts as a read around the cache, and whether it reads at all, once it is sent.
static inline void note_unit(const struct question *q, bool around, bool reads)
{
    q->client->went_around = around;
    q->client->transaction.read = reads;
    q->client->unit_left = (uint32_t)q->unit.bytes;
}

static inline struct slice text_of(const struct question *q)
{
    return q->unit.simple ? q->unit.text
           : q->statement ? statement_text(q->statement) : slice_of("", 0);
}

static inline bool misses_count(const struct worker *worker)
{
    return config_settings(worker->config)->monotonic_reads == CONFIG_MONOTONIC_ALL;
}
