// SPDX-License-Identifier: Apache-2.0
#include "cache/ranking.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    LEAST_ROOM = 16,
    LOOKS_MAX = 64, // entries put right before one leaves: a bound on the time under the lock
    SAVED_ALWAYS_US = 50, // what any hit saves beside the server's time: the way there and back
};

// What the age rises by when one leaves, at least. It is too little for anything but to tell equals
// apart: without it, all that came in one turnover would be of one age.
static const double AGE_PART = 1e-12;

void ranking_init(struct ranking *r)
{
    *r = (struct ranking){.random = 0x9e3779b97f4a7c15u};
}

void ranking_fini(struct ranking *r)
{
    CHECK(r->count == 0);
    mem_free(r->at);
    *r = (struct ranking){0};
}

// How much of frequency, and of the newcomer's distance, counts: the less, the more the ranking
// leans to recency.
static double leaning(const struct ranking *r, double of)
{
    return r->lean == 0 ? of : pow(of, 1 - (double)r->lean / LEAN_WHOLE);
}

static double worth(const struct ranking *r, const struct entry *e)
{
    double saved = (e->took_us == UINT32_MAX ? 0 : e->took_us) + SAVED_ALWAYS_US;
    return saved * leaning(r, e->frequency) / (double)entry_size(e);
}

// A newcomer's part of its worth: mostly a tenth, for one of them now and then nearly all. With the
// same for all, what comes round in a circle that is larger than the cache would never be hit.
static double part_of_newcomer(struct ranking *r)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    double u = (double)(r->random >> 40) / (1 << 24); // 0 .. 1
    double u2 = u * u, u4 = u2 * u2, u8 = u4 * u4;
    double least = leaning(r, 0.1);
    return least + (1 - least) * u8 * u8;
}

// ---- the heap ----

static void place(struct ranking *r, uint32_t i, struct ranked ranked)
{
    r->at[i] = ranked;
    ranked.entry->rank = i;
}

static void rise(struct ranking *r, uint32_t i)
{
    struct ranked ranked = r->at[i];
    for (uint32_t up; i > 0 && r->at[up = (i - 1) / 2].merit > ranked.merit; i = up)
        place(r, i, r->at[up]);
    place(r, i, ranked);
}

static void sink(struct ranking *r, uint32_t i)
{
    struct ranked ranked = r->at[i];
    for (uint32_t child; (child = 2 * i + 1) < r->count; i = child) {
        if (child + 1 < r->count && r->at[child + 1].merit < r->at[child].merit)
            child++;
        if (r->at[child].merit >= ranked.merit)
            break;
        place(r, i, r->at[child]);
    }
    place(r, i, ranked);
}

// It grows by a sixteenth: what is not used of it counts as well.
static uint32_t room_for(const struct ranking *r, uint32_t count)
{
    uint32_t room = r->room > 0 ? r->room : LEAST_ROOM;
    while (room < count)
        room += room / 16;
    return room;
}

size_t ranking_bytes(const struct ranking *r, uint32_t count)
{
    return room_for(r, count) * sizeof(struct ranked);
}

void ranking_add(struct ranking *r, struct entry *e)
{
    uint32_t room = room_for(r, r->count + 1);
    if (room != r->room || r->at == NULL) {
        r->at = mem_realloc(r->at, room * sizeof(*r->at));
        r->room = room;
    }
    e->asked = false;
    r->at[r->count] = (struct ranked){r->age + worth(r, e) * part_of_newcomer(r), e};
    rise(r, r->count++);
}

void ranking_remove(struct ranking *r, struct entry *e)
{
    uint32_t i = e->rank;
    CHECK(i < r->count && r->at[i].entry == e);
    struct ranked last = r->at[--r->count];
    if (last.entry == e)
        return;
    place(r, i, last);
    sink(r, i);
    rise(r, last.entry->rank);
}

// An entry remembers only which of the last turns it was asked for in: that is exact enough, and
// one that was asked for longer ago than they reach lives a little longer once.
static void grow_older(struct ranking *r, double merit)
{
    r->age += r->age * AGE_PART;
    if (merit > r->age)
        r->age = merit;
    if (++r->left < r->count / 8)
        return;
    r->left = 0;
    r->turn = (r->turn + 1) % RANKING_TURNS;
    r->ages[r->turn] = r->age;
}

struct entry *ranking_least(struct ranking *r)
{
    if (r->count == 0)
        return NULL;
    for (int looks = 0; looks < LOOKS_MAX && r->at[0].entry->asked; looks++) {
        struct entry *e = r->at[0].entry;
        e->asked = false;
        r->at[0].merit = r->ages[e->turn] + worth(r, e);
        sink(r, 0);
    }
    grow_older(r, r->at[0].merit);
    return r->at[0].entry;
}
