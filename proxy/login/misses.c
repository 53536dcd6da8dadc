// SPDX-License-Identifier: Apache-2.0
// Sets of a few entries each; in a full one the one that was wrong longest ago makes room.
#include "proxy/login/misses.h"

#include <pthread.h>
#include <stddef.h>

#include "base/mem.h"

enum { SETS = 1024, WAYS = 4 };

struct entry {
    uint64_t place; // 0: free
    int64_t since_us; // as of when `count` is right
    int count;
};

struct misses {
    pthread_mutex_t lock;
    int64_t forget_us;
    int most;
    struct entry sets[SETS][WAYS];
};

struct misses *misses_new(int64_t forget_us, int most)
{
    struct misses *misses = mem_new(struct misses);
    pthread_mutex_init(&misses->lock, NULL);
    misses->forget_us = forget_us;
    misses->most = most;
    return misses;
}

void misses_free(struct misses *misses)
{
    if (misses == NULL)
        return;
    pthread_mutex_destroy(&misses->lock);
    mem_free(misses);
}

static void forget(const struct misses *misses, struct entry *entry, int64_t now_us)
{
    int64_t passed = (now_us - entry->since_us) / misses->forget_us;
    if (passed <= 0)
        return;
    entry->since_us += passed * misses->forget_us;
    entry->count = passed < entry->count ? entry->count - (int)passed : 0;
}

static struct entry *find(struct misses *misses, uint64_t place)
{
    struct entry *set = misses->sets[place % SETS];
    for (int i = 0; i < WAYS; i++)
        if (set[i].place == place)
            return &set[i];
    return NULL;
}

static struct entry *make_room(struct misses *misses, uint64_t place, int64_t now_us)
{
    struct entry *set = misses->sets[place % SETS], *oldest = set;
    for (int i = 0; i < WAYS; i++)
        if (set[i].place == 0 || (oldest->place != 0 && set[i].since_us < oldest->since_us))
            oldest = &set[i];
    *oldest = (struct entry){.place = place, .since_us = now_us};
    return oldest;
}

int misses_note(struct misses *misses, uint64_t place, int64_t now_us)
{
    pthread_mutex_lock(&misses->lock);
    struct entry *entry = find(misses, place);
    if (entry == NULL)
        entry = make_room(misses, place, now_us);
    forget(misses, entry, now_us);
    if (entry->count == 0)
        entry->since_us = now_us;
    if (entry->count < misses->most)
        entry->count++;
    int count = entry->count;
    pthread_mutex_unlock(&misses->lock);
    return count;
}

int misses_count(struct misses *misses, uint64_t place, int64_t now_us)
{
    int count = 0;
    pthread_mutex_lock(&misses->lock);
    struct entry *entry = find(misses, place);
    if (entry != NULL) {
        forget(misses, entry, now_us);
        count = entry->count;
    }
    pthread_mutex_unlock(&misses->lock);
    return count;
}
