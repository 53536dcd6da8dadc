// SPDX-License-Identifier: Apache-2.0
#include "cache/store.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

enum {
    FREQUENCY_MAX = 3,
    SMALL_TENTHS = 1,         // the small queue's share of the bytes
    ENTRY_SHARE = 8,          // an entry may take at most this part of a shard
    ENTRY_OVERHEAD_BYTES = 24, // its share of the buckets, and the allocator's rounding
    GHOSTS = 2048,            // remembered hashes of what left the small queue, in each shard
    SHARDS_MAX = 1024,
};

struct shard {
    pthread_mutex_t lock;
    struct hash_table table; // counts each entry once
    struct flights flights;
    struct list small;       // oldest first
    struct list main;
    size_t small_bytes;
    size_t bytes; // of both queues
    size_t budget_bytes;
    uint64_t ghosts[GHOSTS]; // by hash; 0: none
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

static size_t weight(const struct entry *e)
{
    return e->bytes + ENTRY_OVERHEAD_BYTES;
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
    s->shards = aligned_alloc(64, count * sizeof(*s->shards));
    CHECK(s->shards != NULL);
    memset(s->shards, 0, count * sizeof(*s->shards));
    for (unsigned i = 0; i < count; i++) {
        struct shard *shard = &s->shards[i];
        CHECK(pthread_mutex_init(&shard->lock, NULL) == 0);
        list_init(&shard->small);
        list_init(&shard->main);
        shard->budget_bytes = budget_bytes / count;
        shard->flights.last = (uint64_t)i << 48; // so that no two have the same number
    }
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    TAG_CHECK(s, STORE_TAG);
    store_clear(s);
    for (unsigned i = 0; i <= s->mask; i++) {
        hash_fini(&s->shards[i].table);
        flights_fini(&s->shards[i].flights);
        pthread_mutex_destroy(&s->shards[i].lock);
    }
    free(s->shards);
    TAG_CLEAR(s);
    mem_free(s);
}

// ---- In a shard, under its lock ---------------------------------------------------------------

// The high half picks the shard, the low half the bucket.
static struct shard *shard_of(struct store *s, struct key_hash hash)
{
    TAG_CHECK(s, STORE_TAG);
    return &s->shards[hash.high & s->mask];
}

static struct entry *shard_find(struct shard *shard, struct slice key, struct key_hash hash)
{
    struct hash_node *n = hash_first(&shard->table, hash.low);
    while (n != NULL && !slice_eq(entry_key(entry_of(n)), key))
        n = hash_next(n);
    return n == NULL ? NULL : entry_of(n);
}

static void enqueue(struct shard *shard, struct entry *e, uint8_t queue)
{
    e->queue = queue;
    list_push_back(queue == QUEUE_SMALL ? &shard->small : &shard->main, &e->link);
    if (queue == QUEUE_SMALL)
        shard->small_bytes += weight(e);
}

static void dequeue(struct shard *shard, struct entry *e)
{
    list_remove(e->queue == QUEUE_SMALL ? &shard->small : &shard->main, &e->link);
    if (e->queue == QUEUE_SMALL)
        shard->small_bytes -= weight(e);
    e->queue = QUEUE_NONE;
}

static void shard_remove(struct shard *shard, struct entry *e, struct leavers *leavers)
{
    dequeue(shard, e);
    shard->bytes -= weight(e);
    hash_remove(&shard->table, &e->node);
    e->node.next = leavers->first;
    leavers->first = &e->node;
}

static uint64_t *ghost_of(struct shard *shard, const struct entry *e)
{
    return &shard->ghosts[(e->hash.low >> 20) % GHOSTS];
}

static void evict_small(struct shard *shard, struct leavers *leavers)
{
    struct entry *e = container_of(list_first(&shard->small), struct entry, link);
    if (e->frequency > 0) {
        dequeue(shard, e);
        e->frequency = 0;
        enqueue(shard, e, QUEUE_MAIN);
        return;
    }
    *ghost_of(shard, e) = e->hash.high;
    shard_remove(shard, e, leavers);
    shard->evictions++;
}

static void evict_main(struct shard *shard, struct leavers *leavers)
{
    struct entry *e = container_of(list_first(&shard->main), struct entry, link);
    if (e->frequency > 0) {
        e->frequency--;
        dequeue(shard, e);
        enqueue(shard, e, QUEUE_MAIN);
        return;
    }
    shard_remove(shard, e, leavers);
    shard->evictions++;
}

// Each step takes an entry away, moves it to main, or lowers a frequency: it ends.
static void make_room(struct shard *shard, size_t bytes, struct leavers *leavers)
{
    while (shard->bytes + bytes > shard->budget_bytes) {
        bool small_over = shard->small_bytes > shard->budget_bytes / 10 * SMALL_TENTHS;
        if (!list_empty(&shard->small) && (small_over || list_empty(&shard->main)))
            evict_small(shard, leavers);
        else
            evict_main(shard, leavers);
    }
}

// ---- The callers' side ------------------------------------------------------------------------

static void leavers_free(struct leavers *leavers)
{
    for (struct hash_node *n = leavers->first, *next; n != NULL; n = next) {
        next = n->next;
        struct entry *e = entry_of(n);
        entry_unref(&e);
    }
}

struct entry *store_get(struct store *s, struct slice key, struct key_hash hash)
{
    struct shard *shard = shard_of(s, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *e = shard_find(shard, key, hash);
    if (e != NULL) {
        entry_ref(e);
        if (e->frequency < FREQUENCY_MAX)
            e->frequency++;
    }
    pthread_mutex_unlock(&shard->lock);
    if (e != NULL)
        atomic_fetch_add_explicit(&e->hits, 1, memory_order_relaxed);
    return e;
}

bool store_put(struct store *s, struct entry *e)
{
    struct shard *shard = shard_of(s, e->hash);
    struct leavers leavers = {NULL};
    bool fits = weight(e) <= shard->budget_bytes / ENTRY_SHARE;
    pthread_mutex_lock(&shard->lock);
    CHECK(e->queue == QUEUE_NONE);
    struct entry *old = shard_find(shard, entry_key(e), e->hash);
    uint8_t queue = QUEUE_SMALL;
    if (old != NULL) { // the key is known; its place and merit pass to the newcomer
        queue = old->queue;
        e->frequency = old->frequency;
        shard_remove(shard, old, &leavers);
        shard->replaced++;
    } else if (*ghost_of(shard, e) == e->hash.high) {
        queue = QUEUE_MAIN;
    }
    if (fits) {
        make_room(shard, weight(e), &leavers);
        entry_ref(e);
        hash_insert(&shard->table, &e->node, e->hash.low);
        enqueue(shard, e, queue);
        shard->bytes += weight(e);
        shard->puts++;
        flights_stored(&shard->flights, e->hash);
    } else {
        shard->refused++;
    }
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
    return fits;
}

bool store_drop(struct store *s, struct entry *e)
{
    struct shard *shard = shard_of(s, e->hash);
    struct leavers leavers = {NULL};
    pthread_mutex_lock(&shard->lock);
    bool kept = e->queue != QUEUE_NONE;
    if (kept) {
        if (e->queue == QUEUE_MAIN) // ended by a write, not for want of interest: let it return
            *ghost_of(shard, e) = e->hash.high;
        shard_remove(shard, e, &leavers);
        shard->dropped++;
    }
    pthread_mutex_unlock(&shard->lock);
    leavers_free(&leavers);
    return kept;
}

void store_clear(struct store *s)
{
    TAG_CHECK(s, STORE_TAG);
    for (unsigned i = 0; i <= s->mask; i++) {
        struct shard *shard = &s->shards[i];
        struct leavers leavers = {NULL};
        pthread_mutex_lock(&shard->lock);
        list_each(&shard->small, link)
            shard_remove(shard, container_of(link, struct entry, link), &leavers);
        list_each(&shard->main, link)
            shard_remove(shard, container_of(link, struct entry, link), &leavers);
        pthread_mutex_unlock(&shard->lock);
        leavers_free(&leavers);
    }
}

void store_each(struct store *s, void (*visit)(const struct entry *entry, void *arg), void *arg)
{
    TAG_CHECK(s, STORE_TAG);
    for (unsigned i = 0; i <= s->mask; i++) {
        struct shard *shard = &s->shards[i];
        pthread_mutex_lock(&shard->lock);
        list_each(&shard->small, link)
            visit(container_of(link, struct entry, link), arg);
        list_each(&shard->main, link)
            visit(container_of(link, struct entry, link), arg);
        pthread_mutex_unlock(&shard->lock);
    }
}

size_t store_entry_limit_bytes(const struct store *s)
{
    size_t share = s->shards[0].budget_bytes / ENTRY_SHARE;
    return share > ENTRY_OVERHEAD_BYTES ? share - ENTRY_OVERHEAD_BYTES : 0;
}

struct store_stats store_stats(struct store *s)
{
    TAG_CHECK(s, STORE_TAG);
    struct store_stats sum = {0};
    for (unsigned i = 0; i <= s->mask; i++) {
        struct shard *shard = &s->shards[i];
        pthread_mutex_lock(&shard->lock);
        sum.entries += shard->table.count;
        sum.bytes += shard->bytes;
        sum.budget_bytes += shard->budget_bytes;
        sum.puts += shard->puts;
        sum.replaced += shard->replaced;
        sum.refused += shard->refused;
        sum.evictions += shard->evictions;
        sum.dropped += shard->dropped;
        pthread_mutex_unlock(&shard->lock);
    }
    return sum;
}

// ---- Single flight ----------------------------------------------------------------------------

enum store_answer store_join(struct store *s, struct slice key, struct key_hash hash,
                             const struct flight_ask *ask, struct flight **flight,
                             uint64_t *number)
{
    static const enum store_answer answers[] = {
        [FLIGHT_LEAD] = STORE_LEAD, [FLIGHT_FOLLOW] = STORE_FOLLOW, [FLIGHT_ALONE] = STORE_ALONE};
    struct shard *shard = shard_of(s, hash);
    struct flight *fresh = mem_new(struct flight);
    enum store_answer answer = STORE_LANDED;
    pthread_mutex_lock(&shard->lock);
    if (shard_find(shard, key, hash) == NULL)
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
    struct shard *shard = shard_of(s, flight->hash);
    pthread_mutex_lock(&shard->lock);
    flights_start(&shard->flights, flight, stamp);
    pthread_mutex_unlock(&shard->lock);
}

uint64_t store_flight_end(struct store *s, struct flight **flight, enum flight_end end)
{
    struct shard *shard = shard_of(s, (*flight)->hash);
    pthread_mutex_lock(&shard->lock);
    uint64_t workers = flights_end(&shard->flights, *flight, end);
    pthread_mutex_unlock(&shard->lock);
    mem_free(*flight);
    *flight = NULL;
    return workers;
}
