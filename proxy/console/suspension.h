// SPDX-License-Identifier: Apache-2.0
// SUSPEND, from its word to its answer: nobody comes in, what was said goes out, and what cannot be
// frozen as it is (takeover/fit.h) gets a moment to come to an end: a login, a question of our own.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct client;

// Asks all workers whether it is over; the answer follows, or another look is due. The console
// client's worker. since_us: of the command.
void suspension_look(struct client *client, int64_t since_us);
