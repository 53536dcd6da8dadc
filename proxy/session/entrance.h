// SPDX-License-Identifier: Apache-2.0
// The clients of a worker that have not proved who they are: in the order in which they came, and
// how many of them each place (origin_place()) has. When there are too many, the oldest of a place
// that has more than its share goes, so that whoever holds connections open holds up himself, and
// who logs in at once is hardly ever there. On the worker. How many are too many, and how one is
// ended, is the caller's business.
#pragma once
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"

struct entrance_place;

// Inside a client; zeroed: not in.
struct entrant {
    struct link link;
    struct entrance_place *place; // counts; NULL: not in
};

struct entrance {
    struct list entrants;     // the oldest first
    struct hash_table places; // owns; those that have entrants
};

void entrance_init(struct entrance *entrance);
void entrance_fini(struct entrance *entrance); // nobody is in it
void entrance_enter(struct entrance *entrance, struct entrant *entrant, uint64_t place);
// It turns out to come from elsewhere; it keeps its turn.
void entrance_move(struct entrance *entrance, struct entrant *entrant, uint64_t place);
void entrance_leave(struct entrance *entrance, struct entrant *entrant); // not in: nothing

// Who has to go; NULL: nobody is in.
struct entrant *entrance_weakest(const struct entrance *entrance);
