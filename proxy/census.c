// SPDX-License-Identifier: Apache-2.0
#include "proxy/census.h"

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

struct census_entry {
    struct hash_node node;
    enum census_kind kind;
    int count;
    char name[];
};

struct census {
    pthread_mutex_t lock;
    struct hash_table entries;
};

struct census *census_new(void)
{
    struct census *census = mem_new(struct census);
    pthread_mutex_init(&census->lock, NULL);
    return census;
}

void census_free(struct census *census)
{
    hash_fini(&census->entries);
    pthread_mutex_destroy(&census->lock);
    mem_free(census);
}

static uint64_t key_of(enum census_kind kind, const char *name)
{
    return hash_bytes(name, strlen(name)) + (uint64_t)kind;
}

static struct census_entry *find(struct census *census, enum census_kind kind, const char *name)
{
    struct hash_node *node = hash_first(&census->entries, key_of(kind, name));
    for (; node != NULL; node = hash_next(node)) {
        struct census_entry *entry = container_of(node, struct census_entry, node);
        if (entry->kind == kind && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

struct census_entry *census_enter(struct census *census, enum census_kind kind, const char *name,
                                  int *count)
{
    pthread_mutex_lock(&census->lock);
    struct census_entry *entry = find(census, kind, name);
    if (entry == NULL) {
        entry = mem_zalloc(sizeof(*entry) + strlen(name) + 1);
        entry->kind = kind;
        strcpy(entry->name, name);
        hash_insert(&census->entries, &entry->node, key_of(kind, name));
    }
    *count = ++entry->count;
    pthread_mutex_unlock(&census->lock);
    return entry;
}

void census_leave(struct census *census, struct census_entry **pointer)
{
    struct census_entry *entry = *pointer;
    *pointer = NULL;
    if (entry == NULL)
        return;
    pthread_mutex_lock(&census->lock);
    bool is_last = --entry->count == 0;
    if (is_last)
        hash_remove(&census->entries, &entry->node);
    pthread_mutex_unlock(&census->lock);
    if (is_last)
        mem_free(entry);
}

int census_count(struct census *census, enum census_kind kind, const char *name)
{
    pthread_mutex_lock(&census->lock);
    const struct census_entry *entry = find(census, kind, name);
    int count = entry != NULL ? entry->count : 0;
    pthread_mutex_unlock(&census->lock);
    return count;
}
