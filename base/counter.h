// SPDX-License-Identifier: Apache-2.0
// Counters that one thread writes and any thread may read at any time: figures, not decisions
// (relaxed atomics; the writer pays a load and a store, no locked instruction).
//
// A table of counters is an X macro with rows X(member, name, sentence). COUNTER_TABLE makes a
// struct of it whose members have names and are also an array `all`, for summing and listing.
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

#define COUNTER_MEMBER(member, name, sentence) counter member;
#define COUNTER_SUM(member, name, sentence) uint64_t member;
#define COUNTER_ONE(member, name, sentence) +1

// The inside of a struct: TABLE's members, then `more` (further members of the same type, or
// nothing); count: of all.
#define COUNTER_TABLE(type, member_of, TABLE, more, count)                                         \
    union {                                                                                        \
        struct {                                                                                   \
            TABLE(member_of) more                                                                  \
        };                                                                                         \
        type all[count];                                                                           \
    }

// Owner only.
static inline void counter_add(counter *c, uint64_t n)
{
    uint64_t old = atomic_load_explicit(c, memory_order_relaxed);
    atomic_store_explicit(c, old + n, memory_order_relaxed);
}

// Adds count counters to as many sums, one by one. Any thread.
void counters_sum(uint64_t *sums, const counter *from, size_t count);
