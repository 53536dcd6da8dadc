// SPDX-License-Identifier: Apache-2.0
// Units that were answered from memory lately, by their bytes: what was found out about them on the
// way, up to the key, so that one that comes again is not read, resolved and named anew. Nothing is
// answered from here: the store is asked and the ledger judges each time.
//
// What is kept holds for whoever has the same route, followed settings, other settings and (by that
// name) statement, and for as long as the epoch, the catalog and the route's profiles are those by
// which it was found. All of that is compared each time; see docs/decisions/0053-repeats.md.
// A worker's, made anew with each configuration. Bounded.
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct client;
struct question;
struct repeats;

struct repeats *repeats_new(void);
void repeats_free(struct repeats *repeats); // NULL is fine

// Is this run of bytes, as a whole, a unit that is known? The question is lent, as this client's,
// until the next call or a new configuration. NULL: it is not.
struct question *repeats_find(struct repeats *repeats, struct client *client, struct slice data);
// q, which came as these bytes, was answered from memory.
void repeats_note(struct repeats *repeats, const struct question *q, struct slice data);
