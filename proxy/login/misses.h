// SPDX-License-Identifier: Apache-2.0
// How often somebody was wrong of late, place by place (origin_place()): passwords that do not fit,
// keys that nobody has. A count that goes down by one each so often, and never beyond a most. The
// table has a fixed size: places made up by the thousand push each other out, and cost no memory.
// Any thread; a lock of its own, a leaf. Time is passed in. What follows from a count is the
// caller's business.
#pragma once
#include <stdint.h>

struct misses;

// forget_us: how long until one is forgotten.
struct misses *misses_new(int64_t forget_us, int most);
void misses_free(struct misses *misses);

int misses_note(struct misses *misses, uint64_t place, int64_t now_us); // the count with this one
int misses_count(struct misses *misses, uint64_t place, int64_t now_us);
