// SPDX-License-Identifier: Apache-2.0
// Intrusive hash table with chains. The caller hashes (XXH3, seeded by hash_seed() where a peer
// chooses the keys) and compares; the table owns nothing but its buckets. One thread, or a lock
// that the owner names.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    struct hash_node **buckets; // owns; NULL until the first insert
    uint32_t mask;              // buckets - 1
    uint32_t count;
};

uint64_t hash_seed(void); // random, once for each process; any thread
uint64_t hash_bytes(const void *bytes, size_t n); // XXH3-64 with that seed
// XXH3-64 of what comes behind what gave `hash`: the same in every process.
uint64_t hash_on(uint64_t hash, const void *bytes, size_t n);

void hash_fini(struct hash_table *t); // the nodes are the caller's to free first
void hash_insert(struct hash_table *t, struct hash_node *node, uint64_t hash);
void hash_remove(struct hash_table *t, struct hash_node *node); // node must be in t

// First node with that hash, then the next one: the caller compares keys.
struct hash_node *hash_first(const struct hash_table *t, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *node);

// Calls visit for each node. It may take that node out and free it, and change nothing else.
void hash_each(const struct hash_table *t, void (*visit)(struct hash_node *, void *), void *arg);
