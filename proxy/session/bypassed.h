// SPDX-License-Identifier: Apache-2.0
// A read that is sent to the server although the cache could have answered it at rest: it is
// counted, and told to who asked for that. Its client is linked.
#pragma once
#include "base/slice.h"

struct analysis;
struct client;

// Before its message gets an op.
void bypassed_note(struct client *client, const struct analysis *analysis, struct slice text);
