// SPDX-License-Identifier: Apache-2.0
#include "base/counter.h"

void counters_sum(uint64_t *sums, const counter *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += atomic_load_explicit(&from[i], memory_order_relaxed);
}
