// SPDX-License-Identifier: Apache-2.0
// Time that only moves forward and also counts while the machine sleeps: a staleness bound that
// stood still during a suspend would be broken by it. Microseconds; the origin means nothing.
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
