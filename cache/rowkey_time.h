// SPDX-License-Identifier: Apache-2.0
// Points in time as PostgreSQL's ISO forms have them, in microseconds since 2000-01-01 00:00 (or
// since midnight). Only what is read in one way whatever the session's settings are: a year of four
// digits first, at most six digits behind the point, a zone as a numeric offset.
//
// Internal to rowkey.c. Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct rowkey_interval {
    int64_t days; // a month has thirty
    int64_t us;   // of a day: not negative
};

// 2024-02-29, as days since 2000-01-01: four digits first are the year whatever DateStyle says.
bool rowkey_date(struct slice text, int64_t *days);
// 12:34, 12:34:56, 12:34:56.789; from 00:00 to before 24:00.
bool rowkey_time_of_day(struct slice text, int64_t *us);
// 2024-02-29, 2024-02-29 12:34:56.789, with a T in the middle, with +02, +02:30, +02:30:15 behind
// the time. zoned: it must say the offset, which counts; else PostgreSQL ignores one.
bool rowkey_point_in_time(struct slice text, bool zoned, int64_t *us);
// 1 year 2 mons 3 days 04:05:06.789, or with units instead of the time: whole numbers of lower-case
// units, each at most once, and a fraction of seconds. Where a minus in front might count for all
// (intervalstyle = sql_standard), it is refused.
bool rowkey_span(struct slice text, struct rowkey_interval *out);
// Equal are intervals of the same length in this sense.
struct rowkey_interval rowkey_interval_of(int64_t months, int64_t days, int64_t us);
