// SPDX-License-Identifier: Apache-2.0
// What a worker does by the clock: every timeout of clients and servers, the minimum of the pools,
// and the end of the worker itself. Ten times a second; no timer per connection.
#pragma once

struct worker;

#define JANITOR_PERIOD_S 0.1

void janitor_sweep(struct worker *worker);
// A new configuration is in force.
void janitor_configured(struct worker *worker);
// Pools compete for a limit: opens and closes what is to be opened and closed here.
void janitor_share(struct worker *worker);
// The mode in worker->shutdown has changed.
void janitor_shutdown(struct worker *worker);
// Breaks the loop when the shutdown in progress has nothing left to wait for.
void janitor_stop_if_done(struct worker *worker);
