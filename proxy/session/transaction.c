// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/transaction.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/protection.h"
#include "cache/entry.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/effects.h"
#include "proxy/session/session.h"
#include "proxy/sql/resolve.h"
#include "proxy/worker.h"

char transaction_status(const struct transaction *t)
{
    switch ((enum transaction_state)t->state) {
    case TRANSACTION_DEFERRED:
        return 'T';
    case TRANSACTION_FAILED:
    case TRANSACTION_FAILING:
        return 'E';
    case TRANSACTION_NONE:
    case TRANSACTION_READS:
        break;
    }
    return 'I';
}

int64_t transaction_after_us(const struct client *client)
{
    const struct transaction *t = &client->transaction;
    bool counts = t->state != TRANSACTION_NONE && t->around_us > client->around_us;
    counts = counts && !protection_is_off(PROTECTION_ORDER);
    if (protection_is_off(PROTECTION_AROUND))
        return INT64_MIN;
    return counts ? t->around_us : client->around_us;
}

// ---- what only reads ----

bool transaction_reads_nothing(const struct analysis *analysis)
{
    switch ((int)analysis->kind) {
    case STATEMENT_EMPTY:
    case STATEMENT_SHOW:
    case STATEMENT_SAVEPOINT:
        return true;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
        return analysis->plain_end;
    }
    return false;
}

// Not only what can be cached: but nothing that could run code that we cannot see.
static bool only_reads(struct client *client, const struct analysis *analysis)
{
    if (analysis->kind != STATEMENT_SELECT)
        return transaction_reads_nothing(analysis) && !analysis->may_end_transaction;
    if (analysis->effects != 0 || analysis->calls_unknown_function ||
        !analysis_only_reads(analysis))
        return false;
    if (analysis->bypass == BYPASS_NO_RELATION)
        return analysis->functions.count + analysis->operators.count + analysis->casts.count == 0;
    if (analysis->bypass != BYPASS_NONE ||
        !(session_speaks_utf8(client) || analysis->names_are_ascii))
        return false;
    const struct resolution *r = effects_meaning(client, analysis);
    return r != NULL && r->bypass == BYPASS_NONE && !r->captured && !r->barrier && !r->pending;
}

// Nothing of the client's runs in front of it, in an earlier batch or the same one, of which BEGIN
// would make a part of its transaction what was answered already.
static bool is_first(const struct client *client)
{
    const struct server *server = client->server;
    if (client->batch_runs)
        return false;
    for (uint32_t i = 0; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        bool only_names = op->kind == OP_PARSE || op->kind == OP_DESCRIBE || op->kind == OP_CLOSE;
        if (op->origin != OP_INJECTED && !only_names)
            return false;
    }
    return server->status == 'I';
}

// ---- the time at which it began ----

static uint16_t place_of(const struct analysis *analysis)
{
    uint64_t hash = hash_bytes(&analysis, sizeof(analysis));
    return (uint16_t)(hash % (WORKER_TIME_PLACES - 1) + 1); // 0 is none
}

// An analysis is known by its address: should that be another one's by now, then its transactions
// get their BEGIN sent a little earlier than they would have to.
static void note_time(struct client *client, const struct analysis *analysis)
{
    struct transaction *t = &client->transaction;
    struct worker *worker = client->worker;
    if (!t->hit || t->first == 0 || (analysis != NULL && !analysis->tells_time))
        return;
    uint64_t bit = UINT64_C(1) << t->first % 64;
    if ((worker->tells_time[t->first / 64] & bit) != 0)
        return;
    if (worker->tells_time_count == WORKER_TIME_PLACES / 8) { // learned anew
        memset(worker->tells_time, 0, sizeof(worker->tells_time));
        worker->tells_time_count = 0;
    }
    worker->tells_time[t->first / 64] |= bit;
    worker->tells_time_count++;
}

bool transaction_needs_time(const struct client *client, const struct analysis *analysis)
{
    const struct transaction *t = &client->transaction;
    if (t->state != TRANSACTION_DEFERRED || t->hit)
        return false;
    uint16_t place = place_of(analysis);
    return (client->worker->tells_time[place / 64] & UINT64_C(1) << place % 64) != 0;
}

// ---- its course ----

void transaction_note(struct client *client, const struct analysis *analysis)
{
    struct transaction *t = &client->transaction;
    if (client->route->domain == NULL)
        return;
    t->portal = false; // the caller sends another one, or a query, which ends it
    note_time(client, analysis);
    bool plain = analysis != NULL && analysis->plain_begin;
    if (protection_is_off(PROTECTION_COMMITTED))
        plain = analysis != NULL && analysis->kind == STATEMENT_BEGIN;
    if (plain && is_first(client)) {
        t->state = TRANSACTION_READS;
        t->hit = false;
        t->around_us = INT64_MIN;
    } else if (t->state == TRANSACTION_READS &&
               (analysis == NULL || !only_reads(client, analysis)) &&
               !protection_is_off(PROTECTION_READ_ONLY)) {
        t->state = TRANSACTION_NONE;
    }
}

void transaction_answered(struct client *client)
{
    struct transaction *t = &client->transaction;
    const struct server *server = client->server;
    if (t->state == TRANSACTION_FAILING) {
        t->state = TRANSACTION_FAILED;
        client->in_transaction = true;
    } else if (server->status != 'T') {
        t->state = TRANSACTION_NONE;
    }
    if (server->status == 'I')
        t->hit = t->portal = false;
    if (server->status != 'T' || t->state != TRANSACTION_READS || !ops_empty(&server->ops))
        return; // at its end see client_finished()
    if (t->read) // within a transaction a miss counts as well
        t->around_us = clock_us();
    if (client->went_around)
        client->around_us = clock_us();
    if (t->hurry) // now, as a reading from before this answer does not help
        domain_hurry(client->route->domain);
    t->hurry = false;
    t->read = client->went_around = true;
    client->unit_left = 0;
    client->unit_decided = false;
}

void transaction_hit(struct client *client, const struct analysis *analysis,
                     const struct entry *entry)
{
    struct transaction *t = &client->transaction;
    if (t->state == TRANSACTION_NONE)
        return;
    if (t->state == TRANSACTION_DEFERRED && !t->hit) {
        t->first = place_of(analysis);
        t->hit = true;
    }
    t->portal = true; // a simple query ends it, another has one that no server knows
    client->answered_us = client->worker->now_us;
    if (entry->filled_us > t->around_us)
        t->around_us = entry->filled_us; // it may show what the stream has not told yet
}
