// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/bypassed.h"

#include "proxy/session/explained.h"
#include "proxy/session/tracked.h"
#include "proxy/server/server.h"
#include "proxy/worker.h"

void bypassed_note_it(struct client *client, const struct analysis *analysis, struct slice text)
{
    bool open = client->server->status != 'I' && client->transaction.state != TRANSACTION_READS;
    bool off = client->route->domain == NULL;
    bool decided = !open && client->unit_decided && !off;
    enum bypass bypass = off ? BYPASS_DISABLED : open ? BYPASS_TRANSACTION : BYPASS_PIPELINED;
    const struct ops *ops = &client->server->ops;
    if (bypass == BYPASS_PIPELINED && !ops_empty(ops) &&
        ops_nth(ops, ops->count - 1)->origin == OP_INJECTED)
        bypass = BYPASS_NO_PROFILE; // what is under way is ours
    if (analysis->hints.explain && (!decided || client->explained == NULL)) {
        struct explained_query e = {.hints = &analysis->hints};
        explained_bypass(client, &e, analysis->bypass != BYPASS_NONE && !off ? analysis->bypass
                                     : decided && ops_empty(&client->server->ops) ? BYPASS_SHAPE
                                                                                   : bypass);
    }
    if (off || decided || analysis->bypass != BYPASS_NONE)
        return;
    statistics_bypass(&client->worker->cache, bypass);
    if (client->worker->queries != NULL)
        tracked_not_hit(client, text, bypass);
}
