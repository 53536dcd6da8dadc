// SPDX-License-Identifier: Apache-2.0
// The worker's side of clients that wait for a fresher cache (proxy/session/held.c).
#pragma once

struct worker;

#define HELD_PERIOD_S 0.001

// Lets go those for whom the cache is fresh enough by now, or who have waited long enough.
void held_release(struct worker *worker);
