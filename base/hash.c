// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/mem.h"

static uint64_t seed; // written before main()

__attribute__((constructor)) static void seed_draw(void)
{
    CHECK(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
}

uint64_t hash_seed(void)
{
    return seed;
}

uint64_t hash_bytes(const void *bytes, size_t n)
{
    return XXH3_64bits_withSeed(bytes, n, seed);
}

uint64_t hash_on(uint64_t hash, const void *bytes, size_t n)
{
    return XXH3_64bits_withSeed(bytes, n, hash);
}

void hash_fini(struct hash_table *t)
{
    mem_free(t->buckets);
    *t = (struct hash_table){0};
}

static void hash_grow(struct hash_table *t)
{
    size_t size = t->buckets ? ((size_t)t->mask + 1) * 2 : 1;
    struct hash_node **fresh = mem_zalloc(size * sizeof(*fresh));
    if (t->buckets != NULL) {
        for (size_t i = 0; i <= t->mask; i++) {
            for (struct hash_node *n = t->buckets[i], *next; n != NULL; n = next) {
                next = n->next;
                n->next = fresh[n->hash & (size - 1)];
                fresh[n->hash & (size - 1)] = n;
            }
        }
        mem_free(t->buckets);
    }
    t->buckets = fresh;
    CHECK(size - 1 <= UINT32_MAX);
    t->mask = (uint32_t)(size - 1);
}

void hash_insert(struct hash_table *t, struct hash_node *node, uint64_t hash)
{
    if (t->buckets == NULL || t->count > t->mask)
        hash_grow(t);
    node->hash = hash;
    node->next = t->buckets[hash & t->mask];
    t->buckets[hash & t->mask] = node;
    t->count++;
}

void hash_remove(struct hash_table *t, struct hash_node *node)
{
    struct hash_node **at = &t->buckets[node->hash & t->mask];
    while (*at != node) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    t->count--;
}

static struct hash_node *hash_from(struct hash_node *n, uint64_t hash)
{
    while (n != NULL && n->hash != hash)
        n = n->next;
    return n;
}

struct hash_node *hash_first(const struct hash_table *t, uint64_t hash)
{
    return t->buckets == NULL ? NULL : hash_from(t->buckets[hash & t->mask], hash);
}

struct hash_node *hash_next(const struct hash_node *node)
{
    return hash_from(node->next, node->hash);
}

void hash_each(const struct hash_table *t, void (*visit)(struct hash_node *, void *), void *arg)
{
    if (t->buckets == NULL)
        return;
    for (size_t i = 0; i <= t->mask; i++) {
        for (struct hash_node *n = t->buckets[i], *next; n != NULL; n = next) {
            next = n->next;
            visit(n, arg);
        }
    }
}
