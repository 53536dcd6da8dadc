// SPDX-License-Identifier: Apache-2.0
// A read that is sent to the server although the cache could have answered it at rest: it is
// counted, and told to who asked for that. Its client is linked.
#pragma once
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/sql/analysis.h"

void bypassed_note_it(struct client *client, const struct analysis *analysis, struct slice text);
// Before its message gets an op.
static inline void bypassed_note(struct client *client, const struct analysis *analysis,
                                 struct slice text)
{
    if (client->route->domain != NULL || analysis->hints.explain)
        bypassed_note_it(client, analysis, text);
}
