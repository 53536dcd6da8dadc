// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/backoff.h"

#include <stdbool.h>

#include "base/clock.h"
#include "base/hash.h"

enum { MIN_US = 250000, RECOVERY_US = 1000000, MAX_US = 10000000 };

void backoff_reset(struct backoff *b)
{
    b->us = MIN_US;
}

// These last until somebody changes the server or the configuration.
static bool is_lasting(enum ledger_off_reason why)
{
    return why == LEDGER_OFF_WAL_LEVEL || why == LEDGER_OFF_PRIVILEGE ||
           why == LEDGER_OFF_UNSUPPORTED;
}

static int64_t jittered(int64_t us)
{
    int64_t now_us = clock_us();
    return us / 2 + (int64_t)(hash_bytes(&now_us, sizeof(now_us)) % (uint64_t)us);
}

int64_t backoff_next_us(struct backoff *b, enum ledger_off_reason why)
{
    int64_t most_us = why == LEDGER_OFF_RECOVERY ? RECOVERY_US : MAX_US; // a promotion is urgent
    int64_t pause_us = is_lasting(why) || b->us > most_us ? most_us : b->us;
    if (b->us < MAX_US)
        b->us *= 2;
    return jittered(pause_us);
}
