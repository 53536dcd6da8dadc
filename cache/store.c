// SPDX-License-Identifier: Apache-2.0
#include "cache/store.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "cache/ghosts.h"
#include "cache/ranking.h"
#include "cache/recall.h"

enum {
    ENTRY_SHARE = 8,    // an entry may take at most this part of a shard
    RECALL_SHARE = 64,  // and the memory of how often keys were asked for takes this part
    PERIOD_ENTRIES = 10, // ... and is halved each time so many questions for each entry were asked
    PERIOD_LEAST = 64,
    SHARDS_MAX = 1024,
    LEAVE_AT_ONCE = 256, // entries that leave under one hold of the lock when a budget shrinks
    MOVE_AT_ONCE = 64,   // ... and that are moved
    MOVED_LARGEST_BYTES = 14336, // what jemalloc keeps several of in one run of pages
};

struct shard {
    pthread_mutex_t lock;
    struct hash_table table; // counts each entry once
    uint32_t asked;          // questions since the last put
    struct ranking ranking;  // of the same entries
    struct recall recall;
    struct ghosts ghosts;
    struct flights flights;
    size_t entries_bytes; // as they are allocated
    size_t budget_bytes;
    uint64_t puts;
    uint64_t replaced;
    uint64_t refused;
    uint64_t evictions;
    uint64_t dropped;
} __attribute__((aligned(64)));

struct store {
    uint32_t tag;
    unsigned mask; // shards - 1
    struct shard *shards;
    struct arena *arena; // owns
    _Atomic size_t entry_limit_bytes;
};

enum { STORE_TAG = 0x5704e001 };

// What left a shard under its lock, to be freed after it: a chain through hash_node.next, as these
// nodes are in no table any more.
struct leavers {
    struct hash_node *first;
};

static struct entry *entry_of(struct hash_node *node)
{
    return container_of(node, struct entry, node);
}

// ---- In a shard, under its lock ---------------------------------------------------------------

// The upper half of the hash's low word picks the shard, the lower half the bucket.
static struct shard *shard_of(struct store *s, uint64_t hash)
{
    TAG_CHECK(s, STORE_TAG);
    return &s->shards[hash >> 32 & s->mask];
}

static struct entry *shard_find(struct shard *shard, struct slice key, uint64_t hash)
{
    struct hash_node *n = hash_first(&shard->table, hash);
    while (n != NULL && !slice_eq(entry_key(entry_of(n)), key))
        n = hash_next(n);
    return n == NULL ? NULL : entry_of(n);
}

// All the memory that the shard takes with so many entries more.
static size_t shard_bytes(const struct shard *shard, uint32_t more)
{
    size_t count = shard->table.count + more;
    size_t buckets = shard->table.buckets ? shard->table.mask + 1 : 0;
    if (count > 0 && buckets == 0)
        buckets = 8;
    while (buckets < count)
        buckets *= 2;
    return shard->entries_bytes + buckets * sizeof(struct hash_node *) +
           ranking_bytes(&shard->ranking, (uint32_t)count) + recall_bytes(&shard->recall) +
           ghosts_bytes(&shard->ghosts);
}

static void shard_remove(struct shard *shard, struct entry *e, struct leavers *leavers)
{
    ranking_remove(&shard->ranking, e);
    shard->entries_bytes -= entry_size(e);
    hash_remove(&shard->table, &e->node);
    e->kept = false;
    e->node.next = leavers->first;
    leavers->first = &e->node;
    recall_at_least(&shard->recall, e->node.hash, e->frequency); // it may come back
}

static bool evict(struct shard *shard, struct leavers *leavers)
{
    struct entry *e = ranking_least(&shard->ranking);
    if (e == NULL)
        return false;
    ghosts_left(&shard->ghosts, e->node.hash, e->hits > 0, shard->table.mask + 1);
    shard->ranking.lean = shard->ghosts.lean;
    shard_remove(shard, e, leavers);
    shard->evictions++;
    return true;
}

// The key was asked for and not found; so often lately.
static unsigned count_miss(struct shard *shard, uint64_t hash)
{
    uint32_t entries = (uint32_t)shard->table.count;
    uint32_t period = PERIOD_ENTRIES * (entries > PERIOD_LEAST ? entries : PERIOD_LEAST);
    recall_passed(&shard->recall, shard->asked + 1, period);
    shard->asked = 0;
    return recall_count(&shard->recall, hash);
}

static void shard_insert(struct shard *shard, struct entry *e)
{
    hash_insert(&shard->table, &e->node, e->node.hash);
    shard->entries_bytes += entry_size(e);
    e->kept = true;
    ranking_add(&shard->ranking, e);
    shard->puts++;
}

static void leavers_free(struct leavers *leavers)
{
    for (struct hash_node *n = leavers->first, *next; n != NULL; n = next) {
        next = n->next;
        struct entry *e = entry_of(n);
        entry_unref(&e);
    }
}

// ---- Life -------------------------------------------------------------------------------------

struct store *store_new(size_t budget_bytes, unsigned shards)
{
    unsigned count = 1;
    while (count < shards && count < SHARDS_MAX)
        count *= 2;
    struct store *s = mem_new(struct store);
    TAG_SET(s, STORE_TAG);
    s->mask = count - 1;
    s->arena = arena_new();
    s->shards = mem_aligned(64, count * sizeof(*s->shards));
    for (unsigned i = 0; i < count; i++) {
        struct shard *shard = &s->shards[i];
        CHECK(pthread_mutex_init(&shard->lock, NULL) == 0);
        ranking_init(&shard->ranking);
        recall_init(&shard->recall, 0);
        ghosts_init(&shard->ghosts);
        shard->flights.last = (uint64_t)i << 48; // so that no two have the same number
    }
    store_set_budget(s, budget_bytes);
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    TAG_CHECK(s, STORE_TAG);
    store_clear(s);
    for (unsigned i = 0; i <= s->mask; i++) {
        recall_fini(&s->shards[i].recall);
        ghosts_fini(&s->shards[i].ghosts);
        flights_fini(&s->shards[i].flights);
        pthread_mutex_destroy(&s->shards[i].lock);
    }
    mem_free(s->shards);
    arena_free(s->arena);
    TAG_CLEAR(s);
    mem_free(s);
}

// The most that is surely not more than `bytes` when it is allocated.
static size_t largest_within(size_t bytes)
{
    size_t low = 0, high = bytes;
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (arena_size(middle) <= bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

// How many have left; LEAVE_AT_ONCE: perhaps more are to.
static int shrink(struct shard *shard)
{
    struct leavers leavers = {NULL};
    pthread_mutex_lock(&shard->lock);
    int left = 0;
    while (shard_bytes(shard, 0) > shard->budget_bytes && left < LEAVE_AT_ONCE &&
           evict(shard, &leavers))
        left++;
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
    return left;
}

// What is left after many left lies scattered over pages that hold little else. The allocator gives
// out the lowest place that is free: so who moves closes ranks, and the pages left behind go back.
// An entry that somebody else holds stays where it is. True: there are more, from *at on.
static bool close_ranks(struct store *s, struct shard *shard, uint32_t *at)
{
    struct leavers leavers = {NULL};
    pthread_mutex_lock(&shard->lock);
    struct ranking *ranking = &shard->ranking;
    for (int moved = 0; moved < MOVE_AT_ONCE && *at < ranking->count; moved++, ++*at) {
        struct entry *e = ranking->at[*at].entry;
        if (atomic_load(&e->references) > 1 || // who takes another one needs the lock
            entry_size(e) > MOVED_LARGEST_BYTES)
            continue;
        hash_remove(&shard->table, &e->node);
        struct entry *copy = entry_copy(s->arena, e);
        hash_insert(&shard->table, &copy->node, copy->node.hash);
        ranking->at[*at].entry = copy;
        e->node.next = leavers.first;
        leavers.first = &e->node;
    }
    bool more = *at < ranking->count;
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
    return more;
}

void store_set_budget(struct store *s, size_t budget_bytes)
{
    TAG_CHECK(s, STORE_TAG);
    size_t share = budget_bytes / (s->mask + 1);
    for (unsigned i = 0; i <= s->mask; i++) {
        struct shard *shard = &s->shards[i];
        struct recall recall;
        recall_init(&recall, share / RECALL_SHARE);
        pthread_mutex_lock(&shard->lock);
        shard->budget_bytes = share;
        if (recall_bytes(&recall) != recall_bytes(&shard->recall)) {
            struct recall old = shard->recall;
            shard->recall = recall;
            recall = old;
        }
        pthread_mutex_unlock(&shard->lock);
        recall_fini(&recall);
        bool any = false;
        for (int left = LEAVE_AT_ONCE; left == LEAVE_AT_ONCE; any |= left > 0)
            left = shrink(shard);
        for (uint32_t at = 0; any && close_ranks(s, shard, &at);)
            continue;
    }
    atomic_store(&s->entry_limit_bytes, share == 0 ? 0 : largest_within(share / ENTRY_SHARE));
    arena_purge(s->arena);
}

struct arena *store_arena(struct store *s)
{
    return s->arena;
}

// ---- The callers' side ------------------------------------------------------------------------

struct entry *store_get(struct store *s, struct slice key, struct key_hash hash)
{
    struct shard *shard = shard_of(s, hash.low);
    pthread_mutex_lock(&shard->lock);
    shard->asked++;
    struct entry *e = shard_find(shard, key, hash.low);
    if (e != NULL) {
        entry_ref(e);
        ranking_asked(&shard->ranking, e);
        e->hits++;
    }
    pthread_mutex_unlock(&shard->lock);
    return e;
}

bool store_put(struct store *s, struct entry *e)
{
    uint64_t hash = e->node.hash;
    struct shard *shard = shard_of(s, hash);
    struct leavers leavers = {NULL};
    size_t size = entry_size(e);
    pthread_mutex_lock(&shard->lock);
    CHECK(!e->kept);
    bool fits = size <= shard->budget_bytes / ENTRY_SHARE;
    struct entry *old = shard_find(shard, entry_key(e), hash);
    if (old != NULL) { // what is known of the key stays known
        shard_remove(shard, old, &leavers);
        shard->replaced++;
    }
    unsigned times = count_miss(shard, hash);
    ghosts_came(&shard->ghosts, hash);
    e->frequency = (uint8_t)(times < FREQUENCY_MAX ? times : FREQUENCY_MAX);
    while (fits && shard_bytes(shard, 1) + size > shard->budget_bytes)
        fits = evict(shard, &leavers);
    if (fits) {
        shard_insert(shard, entry_ref(e));
        flights_stored(&shard->flights, hash);
    } else {
        shard->refused++;
    }
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
    return fits;
}

bool store_drop(struct store *s, struct entry *e)
{
    struct shard *shard = shard_of(s, e->node.hash);
    struct leavers leavers = {NULL};
    pthread_mutex_lock(&shard->lock);
    bool kept = e->kept;
    if (kept) {
        shard_remove(shard, e, &leavers);
        shard->dropped++;
    }
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
    return kept;
}

// All are found before the first one leaves: then the ranking is in another order.
static void sweep_shard(struct shard *shard, bool (*doomed)(const struct entry *, void *),
                        void *arg)
{
    struct leavers leavers = {NULL};
    pthread_mutex_lock(&shard->lock);
    struct entry **found = mem_alloc((shard->ranking.count + 1) * sizeof(*found));
    uint32_t n = 0;
    for (uint32_t k = 0; k < shard->ranking.count; k++)
        if (doomed(shard->ranking.at[k].entry, arg))
            found[n++] = shard->ranking.at[k].entry;
    for (uint32_t i = 0; i < n; i++)
        shard_remove(shard, found[i], &leavers);
    shard->dropped += n;
    pthread_mutex_unlock(&shard->lock);
    mem_free(found);
    leavers_free(&leavers);
}

void store_sweep(struct store *s, bool (*doomed)(const struct entry *, void *), void *arg)
{
    TAG_CHECK(s, STORE_TAG);
    for (unsigned i = 0; i <= s->mask; i++)
        sweep_shard(&s->shards[i], doomed, arg);
}

static void clear_shard(struct shard *shard)
{
    struct leavers leavers = {NULL};
    pthread_mutex_lock(&shard->lock);
    while (shard->ranking.count > 0) // from the end: no heap to put right
        shard_remove(shard, shard->ranking.at[shard->ranking.count - 1].entry, &leavers);
    hash_fini(&shard->table);
    ranking_fini(&shard->ranking);
    ranking_init(&shard->ranking);
    ghosts_fini(&shard->ghosts);
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
}

void store_clear(struct store *s)
{
    TAG_CHECK(s, STORE_TAG);
    for (unsigned i = 0; i <= s->mask; i++)
        clear_shard(&s->shards[i]);
    arena_purge(s->arena);
}

void store_each(struct store *s, void (*visit)(const struct entry *entry, void *arg), void *arg)
{
    TAG_CHECK(s, STORE_TAG);
    for (unsigned i = 0; i <= s->mask; i++) {
        struct shard *shard = &s->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (uint32_t k = 0; k < shard->ranking.count; k++)
            visit(shard->ranking.at[k].entry, arg);
        pthread_mutex_unlock(&shard->lock);
    }
}

size_t store_entry_limit_bytes(const struct store *s)
{
    return atomic_load_explicit(&s->entry_limit_bytes, memory_order_relaxed);
}

struct store_stats store_stats(struct store *s)
{
    TAG_CHECK(s, STORE_TAG);
    struct store_stats sum = {0};
    for (unsigned i = 0; i <= s->mask; i++) {
        struct shard *shard = &s->shards[i];
        pthread_mutex_lock(&shard->lock);
        sum.entries += shard->table.count;
        sum.bytes += shard_bytes(shard, 0);
        sum.budget_bytes += shard->budget_bytes;
        sum.puts += shard->puts;
        sum.replaced += shard->replaced;
        sum.refused += shard->refused;
        sum.evictions += shard->evictions;
        sum.dropped += shard->dropped;
        pthread_mutex_unlock(&shard->lock);
    }
    struct arena_figures arena = arena_figures(s->arena);
    sum.arena_bytes = arena.allocated_bytes;
    sum.resident_bytes = arena.resident_bytes;
    return sum;
}

// ---- Single flight ----------------------------------------------------------------------------

enum store_answer store_join(struct store *s, struct slice key, struct key_hash hash,
                             const struct flight_ask *ask, struct flight **flight,
                             uint64_t *number)
{
    static const enum store_answer answers[] = {
        [FLIGHT_LEAD] = STORE_LEAD, [FLIGHT_FOLLOW] = STORE_FOLLOW, [FLIGHT_ALONE] = STORE_ALONE};
    struct shard *shard = shard_of(s, hash.low);
    struct flight *fresh = mem_new(struct flight);
    enum store_answer answer = STORE_LANDED;
    pthread_mutex_lock(&shard->lock);
    if (shard_find(shard, key, hash.low) == NULL)
        answer = answers[flights_join(&shard->flights, hash, ask, fresh, number)];
    pthread_mutex_unlock(&shard->lock);
    if (answer == STORE_LEAD)
        *flight = fresh;
    else
        mem_free(fresh);
    return answer;
}

void store_flight_start(struct store *s, struct flight *flight, struct stamp stamp)
{
    struct shard *shard = shard_of(s, flight->hash.low);
    pthread_mutex_lock(&shard->lock);
    flights_start(&shard->flights, flight, stamp);
    pthread_mutex_unlock(&shard->lock);
}

void store_flight_pass(struct store *s, struct flight *flight, const struct ledger_known *known)
{
    struct shard *shard = shard_of(s, flight->hash.low);
    pthread_mutex_lock(&shard->lock);
    flights_pass(&shard->flights, flight, known);
    pthread_mutex_unlock(&shard->lock);
}

uint64_t store_flight_end(struct store *s, struct flight **flight, enum flight_end end)
{
    struct shard *shard = shard_of(s, (*flight)->hash.low);
    pthread_mutex_lock(&shard->lock);
    uint64_t workers = flights_end(&shard->flights, *flight, end);
    pthread_mutex_unlock(&shard->lock);
    mem_free(*flight);
    *flight = NULL;
    return workers;
}
