// SPDX-License-Identifier: Apache-2.0
// How fast a pool's queue moves, and so whether it is hopeless to join it (query_wait_fail_fast).
// Plain data inside the pool, under its lock. What is done about it is the pool's business.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    FORECAST_SAMPLES = 4, // fewer say nothing
    FORECAST_MARGIN = 2,  // hopeless is what would take so many times as long as one may wait
};

struct forecast {
    int64_t pace_us; // between two connections that come back while clients wait; a moving mean
    int64_t last_us; // when one came back last, or was there to be had
    int samples;
};

// A connection came back; waiting: to clients that wait for it.
void forecast_note(struct forecast *forecast, bool waiting, int64_t now_us);

// Would a client behind `ahead` others wait far longer than patience_us (0: for ever)? What has
// not come back for so long is no sign of more to come.
bool forecast_is_hopeless(const struct forecast *forecast, uint64_t ahead, int64_t patience_us,
                          int64_t now_us);
