// SPDX-License-Identifier: Apache-2.0
// How long to wait before a connection of the control thread is tried again. Part of a following.
#pragma once
#include <stdint.h>

#include "cache/ledger.h"

struct backoff {
    int64_t us; // of the next try, before the jitter
};

void backoff_reset(struct backoff *b); // all is well
int64_t backoff_next_us(struct backoff *b, enum ledger_off_reason why); // 250 ms .. 10 s, jittered
