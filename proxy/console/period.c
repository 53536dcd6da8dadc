// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/period.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/pooler.h"
#include "proxy/route.h"

static uint64_t share(uint64_t time_us, uint64_t count)
{
    return count > 0 ? time_us / count : 0;
}

struct tally_sum period_average(const struct tally_sum *now, const struct tally_sum *older,
                                int64_t elapsed_us)
{
    struct tally_sum d = {0}, average = {0};
    if (elapsed_us <= 0)
        return average;
    for (int i = 0; i < TALLY_COUNT; i++) {
        d.all[i] = now->all[i] - older->all[i];
        average.all[i] = (uint64_t)((double)d.all[i] * 1e6 / (double)elapsed_us);
    }
    average.xact_us = share(d.xact_us, d.xacts);
    average.query_us = share(d.query_us, d.queries);
    average.wait_us = share(d.wait_us, d.assignments);
    return average;
}

static void turn(struct route *route, void *arg)
{
    struct tally_sum *sums = arg;
    route->older = route->newer;
    route->newer = route_tally(route);
    tally_sum_add(&sums[0], &route->older);
    tally_sum_add(&sums[1], &route->newer);
}

void period_end(struct pooler *pooler, bool log)
{
    struct tally_sum sums[2] = {{{{0}}}}; // at its beginning, at its end
    int64_t now = clock_us();
    pthread_mutex_lock(&pooler->lock);
    pooler->period_older_us = pooler->period_newer_us;
    pooler->period_newer_us = now;
    int64_t elapsed_us = now - pooler->period_older_us;
    pthread_mutex_unlock(&pooler->lock);
    pooler_each_route(pooler, turn, sums);
    struct tally_sum a = period_average(&sums[1], &sums[0], elapsed_us);
    char line[400];
    snprintf(line, sizeof(line),
             "stats: %" PRIu64 " xacts/s, %" PRIu64 " queries/s, %" PRIu64
             " client parses/s, %" PRIu64 " server parses/s, %" PRIu64 " binds/s, in %" PRIu64
             " B/s, out %" PRIu64 " B/s, xact %" PRIu64 " us, query %" PRIu64 " us, wait %" PRIu64
             " us",
             a.xacts, a.queries, a.parses, a.injected_parses, a.binds, a.received, a.sent,
             a.xact_us, a.query_us, a.wait_us);
    if (log)
        log_info("%s", line);
    sd_notifyf(0, "STATUS=%s", line);
}
