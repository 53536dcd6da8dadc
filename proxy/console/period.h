// SPDX-License-Identifier: Apache-2.0
// Averages over stats_period, as PgBouncer makes them: from the last end of a period but one until
// now, so over one to two periods.
#pragma once
#include <stdbool.h>

#include "proxy/tally.h"

struct pooler;

// A period has ended; the line of log_stats, and systemd's status. The main thread.
void period_end(struct pooler *pooler, bool log);

// Counts and bytes for each second; times for each transaction, query and assignment.
struct tally_sum period_average(const struct tally_sum *now, const struct tally_sum *older,
                                int64_t elapsed_us);
