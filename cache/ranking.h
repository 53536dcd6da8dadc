// SPDX-License-Identifier: Apache-2.0
// Which entry leaves next: a heap by merit. An entry's merit is what it saves for each byte, times
// how often it was asked for (its worth), on top of the ranking's age when it was last asked for.
// The age is the merit of the last one that left: so what is not asked for is overtaken, however
// much it was worth; and of equal ones the one leaves that was asked for longest ago. What has not
// been asked for since it came has but a part of its merit. Where queries come in bursts, both
// count less (`lean`): in the end the order is nearly that of the last question.
//
// A hit only writes in the entry (ranking_asked): its place in the heap is put right when it comes
// to the top. The owner's lock.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "cache/entry.h"
#include "cache/ghosts.h"

enum { RANKING_TURNS = 64, FREQUENCY_MAX = 15 };

struct ranked {
    double merit;        // when it was placed: a lower bound
    struct entry *entry; // borrows; knows its index here
};

struct ranking {
    struct ranked *at; // owns; the least merit first
    uint32_t count;
    uint32_t room;
    double age;
    uint8_t lean;     // ghosts.h's, set by the owner
    uint8_t turn;     // goes on with each eighth of the entries that left; 0 .. RANKING_TURNS - 1
    uint32_t left;    // since it did
    double ages[RANKING_TURNS]; // the age at the beginning of the last turns
    uint64_t random;
};

void ranking_init(struct ranking *ranking);
void ranking_fini(struct ranking *ranking); // must be empty
void ranking_add(struct ranking *ranking, struct entry *entry);
void ranking_remove(struct ranking *ranking, struct entry *entry);
// The one that is to leave now, still in the ranking; NULL when there is none. The age rises to its
// merit.
struct entry *ranking_least(struct ranking *ranking);

// The hot path: it was asked for.
static inline void ranking_asked(const struct ranking *ranking, struct entry *entry)
{
    if (entry->frequency < FREQUENCY_MAX)
        entry->frequency++;
    entry->turn = ranking->turn & (RANKING_TURNS - 1);
    entry->asked = true;
}

// Memory of the heap with so many entries.
size_t ranking_bytes(const struct ranking *ranking, uint32_t count);
