// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/repeats.h"

#include "base/hash.h"
#include "base/mem.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/session/asked.h"
#include "proxy/session/gucs.h"

enum {
    SETS = 1024,     // a power of two
    WAYS = 4,        // of a set, which then is a line of the processor's cache
    BYTES_MAX = 512, // of a unit
    KEY_MAX = 1024,
    LUCK_MAX = 64,   // so many in a row that were not known; then only some are looked for
    UNLUCKY_TRIES = 16,
};

struct repeat {
    struct question question; // counts analysis, resolution, statement; its slices are in data;
                              // its client is who asked last, and may be gone
    uint64_t route;           // number
    struct vars *vars;        // counts
    struct gucs *wanted;      // counts
    bool used;                // since another one wanted its place
    uint32_t bytes;
    uint8_t data[];           // the unit, then the key
};

struct set {
    uint64_t hashes[WAYS];
    struct repeat *at[WAYS]; // own
};

struct repeats {
    struct set sets[SETS];
    unsigned luck, unlucky;
    bool looked;   // for the unit at hand: what is not looked for is not noted either
    uint64_t hash; // ... of it
};

struct repeats *repeats_new(void)
{
    struct repeats *repeats = mem_new(struct repeats);
    repeats->luck = LUCK_MAX;
    return repeats;
}

static void repeat_free(struct repeat *r)
{
    if (r == NULL)
        return;
    analysis_unref(&r->question.analysis);
    struct resolution *resolution = (struct resolution *)(uintptr_t)r->question.resolution;
    resolution_unref(&resolution);
    statement_unref(&r->question.statement);
    vars_unref(&r->vars);
    gucs_unref(&r->wanted);
    mem_free(r);
}

void repeats_free(struct repeats *repeats)
{
    for (int i = 0; repeats != NULL && i < SETS * WAYS; i++)
        repeat_free(repeats->sets[i / WAYS].at[i % WAYS]);
    mem_free(repeats);
}

// A client that a unit finds as it found the one before: no server, no transaction, nothing that
// makes its session its own.
static bool is_plain(const struct client *client)
{
    return client->server == NULL && client->transaction.state == TRANSACTION_NONE &&
           !client->dropping && !client_pins_session(client);
}

// Was this client told what its key says, too?
static bool relies_on_the_same(const struct question *q, const struct client *client)
{
    struct layout relied;
    if (q->unit.has_describe && (q->told->types | q->relied.types) == 0)
        return true;
    return question_relies(client, &q->unit, q->told, &relied) &&
           relied.rows == q->relied.rows && relied.types == q->relied.types;
}

// Does it mean the same to this client, by all that may have changed?
static bool holds(struct repeat *r, struct client *client)
{
    struct question *q = &r->question;
    struct route *route = client->route;
    struct domain *domain = route->domain;
    struct stamp now;
    if (r->route != route->number || r->vars != client->vars ||
        (r->wanted != client->wanted && !gucs_equal(r->wanted, client->wanted)) || domain == NULL ||
        domain_canonical(domain) != q->domain)
        return false;
    if (!q->unit.simple && !q->unit.has_parse) {
        struct meaning *named = NULL;
        if (q->unit.name.len > 0)
            named = statement_names_get(&client->names, q->unit.name);
        else
            client->reuses_unnamed = true;
        const struct statement *bound = q->unit.name.len == 0 ? client->unnamed
                                        : named != NULL       ? named->statement : NULL;
        q->told = named != NULL ? &named->told : &client->unnamed_told;
        if (bound != q->statement || !relies_on_the_same(q, client))
            return false;
    }
    return ledger_stamp(q->ledger, &now) && now.epoch == q->stamp.epoch &&
           domain_catalog_version(domain) == q->catalog_version &&
           route_profiles_edition(route) == q->profiles_edition;
}

// Of two clients who say the same, and to whom it means different things, none pushes out the
// other's.
static uint64_t hash_of(const struct client *client, struct slice data)
{
    uint64_t whose = client->route->number ^ (uintptr_t)client->vars ^
                     (client->wanted != NULL ? client->wanted->hash : 0);
    return hash_bytes(data.at, data.len) ^ whose * 0x9e3779b97f4a7c15u;
}

// Where it is, or may go: the ways of a set are taken in order. -1: there is none.
static inline int way_of(const struct set *set, uint64_t hash)
{
    for (int way = 0; way < WAYS; way++)
        if (set->hashes[way] == hash || set->at[way] == NULL)
            return way;
    return -1;
}

struct question *repeats_find(struct repeats *repeats, struct client *client, struct slice data)
{
    repeats->looked = data.len <= BYTES_MAX && is_plain(client) &&
                      (repeats->luck > 0 || ++repeats->unlucky % UNLUCKY_TRIES == 0);
    if (!repeats->looked)
        return NULL;
    uint64_t hash = repeats->hash = hash_of(client, data);
    const struct set *set = &repeats->sets[hash % SETS];
    int way = way_of(set, hash);
    struct repeat *r = way < 0 ? NULL : set->at[way];
    if (r == NULL || r->bytes != data.len || memcmp(r->data, data.at, data.len) != 0 ||
        !holds(r, client)) {
        repeats->luck -= repeats->luck > 0;
        return NULL;
    }
    repeats->luck = LUCK_MAX;
    r->used = true;
    r->question.client = client;
    return &r->question;
}

static bool is_worth_it(const struct repeats *repeats, const struct question *q)
{
    bool names = q->unit.has_parse && q->unit.name.len > 0; // whether it may depends on the client
    return repeats->looked && q->key.len <= KEY_MAX && !names &&
           is_plain(q->client) && !q->without_events && !q->analysis->hints.any;
}

static struct slice moved(struct slice s, struct slice from, const uint8_t *to)
{
    return s.at == NULL ? s : slice_of(to + (s.at - from.at), s.len);
}

static struct repeat *repeat_new(const struct question *q, struct slice data)
{
    const struct client *client = q->client;
    struct repeat *r = mem_alloc(sizeof(*r) + data.len + q->key.len);
    *r = (struct repeat){.question = *q, .route = client->route->number,
                         .vars = vars_ref(client->vars), .wanted = gucs_ref(client->wanted),
                         .bytes = (uint32_t)data.len};
    memcpy(r->data, data.at, data.len);
    memcpy(r->data + data.len, q->key.at, q->key.len);
    struct unit *unit = &r->question.unit;
    unit->text = moved(unit->text, data, r->data);
    unit->name = moved(unit->name, data, r->data);
    unit->tail = moved(unit->tail, data, r->data);
    unit->bind = moved(unit->bind, data, r->data);
    r->question.dependencies = NULL;
    r->question.told = NULL; // its client's
    r->question.key = slice_of(r->data + data.len, q->key.len);
    analysis_ref(q->analysis);
    resolution_ref((struct resolution *)(uintptr_t)q->resolution);
    if (q->statement != NULL)
        statement_ref(q->statement);
    return r;
}

// Whose place may be taken; if all were used, none is: they leave the next time, unless they come
// again before.
static int unused(struct set *set)
{
    for (int way = 0; way < WAYS; way++)
        if (!set->at[way]->used)
            return way;
    for (int way = 0; way < WAYS; way++)
        set->at[way]->used = false;
    return -1;
}

void repeats_note(struct repeats *repeats, const struct question *q, struct slice data)
{
    if (repeats == NULL || !is_worth_it(repeats, q))
        return;
    struct set *set = &repeats->sets[repeats->hash % SETS];
    int way = way_of(set, repeats->hash);
    if (way < 0)
        way = unused(set);
    if (way < 0)
        return;
    repeat_free(set->at[way]);
    set->at[way] = repeat_new(q, data);
    set->hashes[way] = repeats->hash;
}
