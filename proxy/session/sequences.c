// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/sequences.h"

#include "base/mem.h"
#include "proxy/route.h"
#include "proxy/session/session.h"
#include "proxy/session/unsafe.h"
#include "proxy/sql/analysis.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

const char sequences_forget[SEQUENCES_FORGET_BYTES] = "DISCARD SEQUENCES"; // also its tag

static bool asks(const struct analysis *analysis)
{
    return analysis != NULL && (analysis->effects & EFFECT_SEQUENCE) != 0;
}

// ---- whose values a server knows ----

static struct sequences *sequences_of(struct client *client)
{
    if (client->sequences == NULL)
        client->sequences = mem_new(struct sequences);
    return client->sequences;
}

static const struct pool_server *latest_of(const struct client *client)
{
    return client->sequences != NULL ? client->sequences->server : NULL;
}

static bool used_in_transaction(const struct client *client)
{
    return client->sequences != NULL && client->sequences->open > 0;
}

// Is what the server may know the client's, and the latest that there is of it?
static bool knows(const struct server *server, const struct client *client)
{
    const struct pool_server *latest = latest_of(client);
    return server->sequences_of == client->number && (latest == NULL || latest == &server->slot);
}

bool sequences_take(const struct client *client, struct server *server)
{
    if (knows(server, client))
        return false;
    bool nobodys = server->sequences_of == SEQUENCES_OF_NOBODY;
    bool matters = client->mode != POOL_SESSION &&
                   atomic_load_explicit(&client->route->asks_sequences, memory_order_relaxed);
    server->sequences_of = nobodys || matters ? client->number : SEQUENCES_OF_SEVERAL;
    return matters && !nobodys;
}

const struct pool_server *sequences_prefer(const struct client *client)
{
    bool matters = atomic_load_explicit(&client->route->asks_sequences, memory_order_relaxed);
    return matters ? latest_of(client) : NULL;
}

// ---- after which statements clients ask ----

// A use: the template, and whether it is likely that it used a sequence.
static uint64_t use_of(const struct analysis *analysis, bool likely)
{
    uint64_t hash = analysis != NULL ? analysis->hash : 0;
    return (hash & ~3ull) | 2 | likely; // never 0
}

static bool is_likely(uint64_t use)
{
    return (use & 1) != 0;
}

static bool is_user(const struct sequence_users *users, uint64_t use)
{
    uint32_t count = atomic_load_explicit(&users->count, memory_order_acquire);
    for (uint32_t i = 0; i < count && i < SEQUENCE_USERS_MAX; i++)
        if (atomic_load_explicit(&users->at[i], memory_order_relaxed) == use)
            return true;
    return false;
}

static void remember(struct route *route, uint64_t use)
{
    struct sequence_users *users = &route->sequence_users;
    pthread_mutex_lock(&route->lock);
    if (!is_user(users, use)) {
        uint32_t count = atomic_load_explicit(&users->count, memory_order_relaxed);
        atomic_store_explicit(&users->at[count % SEQUENCE_USERS_MAX], use, memory_order_relaxed);
        atomic_store_explicit(&users->count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&route->lock);
}

// The latest of the client's uses, before the open transaction, that is likely to be what was asked
// for. unknown: among those that are not remembered yet. 0: none.
static uint64_t find_use(const struct client *client, bool unknown)
{
    const struct sequences *s = client->sequences;
    uint64_t found = 0;
    if (s == NULL)
        return 0;
    for (int i = s->open; i < SEQUENCE_USES_MAX && s->uses[i] != 0 && !is_likely(found); i++)
        if ((found == 0 || is_likely(s->uses[i])) &&
            !(unknown && is_user(&client->route->sequence_users, s->uses[i])))
            found = s->uses[i];
    return found;
}

static void note_use(struct sequences *s, uint64_t use)
{
    int i = 0;
    while (i < SEQUENCE_USES_MAX - 1 && s->uses[i] != use)
        i++;
    if (i >= s->open)
        s->open = (uint8_t)(s->open + (s->open < SEQUENCE_USES_MAX));
    for (; i > 0; i--)
        s->uses[i] = s->uses[i - 1];
    s->uses[0] = use;
}

void sequences_note(struct client *client, const struct analysis *analysis, uint32_t effects)
{
    const uint32_t unlikely = EFFECT_FUNCTION | EFFECT_UNKNOWN;
    if ((effects & EFFECT_DISCARD_SEQUENCES) != 0)
        sequences_of(client)->forgets = true;
    if (client->mode == POOL_SESSION || (effects & (EFFECT_SEQUENCE_USE | unlikely)) == 0)
        return;
    struct sequences *s = sequences_of(client);
    uint64_t use = use_of(analysis, (effects & EFFECT_SEQUENCE_USE) != 0);
    note_use(s, use);
    s->forgets = false;
    s->server = &client->server->slot;
    if (!is_user(&client->route->sequence_users, use) || unsafe_is_refused(client))
        return;
    unsafe_warn(client, PIN_SEQUENCE);
    client_pin(client, PIN_SEQUENCE);
}

// ---- asking ----

// A query can be slipped in where the client has nothing under way (what we have slipped in before
// it aside), in a transaction or not.
static bool may_inject(const struct client *client)
{
    const struct ops *ops = &client->server->ops;
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct op *op = ops_nth(ops, i);
        if (op->origin != OP_INJECTED || (op->kind != OP_QUERY && op->purpose != PURPOSE_BEGIN))
            return false;
    }
    return !client->open_batch && client->server->status != 'E';
}

void sequences_ask(struct client *client, const struct analysis *analysis, bool runs)
{
    struct server *server = client->server;
    struct route *route = client->route;
    if (!asks(analysis))
        return;
    if (!atomic_load_explicit(&route->asks_sequences, memory_order_relaxed))
        atomic_store_explicit(&route->asks_sequences, true, memory_order_relaxed);
    if (client->mode == POOL_SESSION)
        return;
    runs &= !analysis->ddl; // a default that asks, perhaps
    bool earlier = !used_in_transaction(client) && (analysis->effects & EFFECT_SEQUENCE_USE) == 0;
    if (!earlier)
        return; // the session's own nextval() may be what it asks for
    uint64_t use = runs && (client->pins & 1u << PIN_SEQUENCE) == 0 ? find_use(client, false) : 0;
    if (use != 0)
        remember(route, use);
    if (!knows(server, client) && may_inject(client)) {
        session_to_server(client);
        server_inject(server, PURPOSE_RESET, sequences_forget);
        server->sequences_of = client->number;
    }
}

bool sequences_refuse(const struct client *client, const struct analysis *analysis)
{
    return asks(analysis) && unsafe_is_refused(client) && !used_in_transaction(client) &&
           !analysis->ddl && (analysis->effects & EFFECT_SEQUENCE_USE) == 0 &&
           find_use(client, false) != 0;
}

void sequences_failed(struct client *client, struct slice error)
{
    struct error_fields fields;
    if (!atomic_load_explicit(&client->route->asks_sequences, memory_order_relaxed))
        return;
    error_fields_read(slice_skip(error, MESSAGE_HEADER_BYTES), &fields);
    uint64_t use = find_use(client, true);
    if (strcmp(fields.sqlstate, "55000") == 0 && use != 0)
        remember(client->route, use);
}

// What it did on other servers is not its own any more: this one alone is known to have nothing.
void sequences_forgotten(struct client *client)
{
    const struct server *server = client->server;
    *sequences_of(client) = (struct sequences){.server = server != NULL ? &server->slot : NULL};
}

void sequences_completed(struct client *client, struct slice body)
{
    if (!slice_eq(body, slice_of(sequences_forget, sizeof(sequences_forget))))
        return;
    sequences_forgotten(client);
    client->pins &= ~(1u << PIN_SEQUENCE);
    client->server->sequences_of = client->number;
}
