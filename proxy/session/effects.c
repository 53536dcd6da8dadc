// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/effects.h"

#include "cache/ledger.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/align.h"
#include "proxy/session/client.h"
#include "proxy/session/listening.h"
#include "proxy/session/resolutions.h"
#include "proxy/session/unsafe.h"
#include "proxy/worker.h"

static void note_slots(struct effects *e, const struct resolution *r)
{
    for (uint16_t i = 0; i < r->write_count; i++) {
        bool known = false;
        for (uint8_t k = 0; k < e->count; k++)
            known |= e->slots[k] == r->writes[i];
        if (known)
            continue;
        if (e->count == EFFECTS_SLOTS_MAX) {
            e->barrier = true;
            return;
        }
        e->slots[e->count++] = r->writes[i];
    }
}

// What its names mean on the client's server now; NULL: that is not known.
static const struct resolution *meaning(struct client *client, const struct analysis *analysis)
{
    // Where the search path may have been changed, names may mean other tables than they did.
    const struct server *server = client->server;
    struct domain *domain = domain_canonical(client->route->domain);
    if (server == NULL || server->profile == NULL || client->pins != 0 ||
        client->effects.path_unknown ||
        server->profile_epoch != ledger_epoch(domain_ledger(domain)))
        return NULL;
    return resolution_front_get(client->worker->resolutions, domain,
                                (struct analysis *)(uintptr_t)analysis, server->profile, true);
}

// A user's function or operator behind a builtin's name may do anything.
static void note_captures(struct client *client, const struct analysis *analysis)
{
    if (analysis->functions.count == 0 && analysis->operators.count == 0)
        return;
    const struct resolution *r = meaning(client, analysis);
    if (r == NULL || !r->captured)
        return;
    client->effects.barrier = client->effects.path_unknown = true;
    client->must_verify = client->unseen = true;
    client_pin(client, PIN_FUNCTION);
}

// Which tables it writes, as far as that can be known.
static void note_writes(struct client *client, const struct analysis *analysis)
{
    struct effects *e = &client->effects;
    if (analysis == NULL) {
        e->barrier = e->ddl = e->may_end = true;
        return;
    }
    e->may_end |= analysis->may_end_transaction;
    e->ddl |= analysis->ddl;
    if (analysis->writes_unknown) {
        e->barrier = true;
        return;
    }
    if (analysis->writes.count == 0)
        return;
    const struct resolution *r = meaning(client, analysis);
    if (r == NULL || r->barrier)
        e->barrier = true;
    else
        note_slots(e, r);
}

// SET LOCAL, and its like: names may mean something else until the transaction ends.
static bool changes_locally(const struct analysis *analysis)
{
    if (analysis->kind == STATEMENT_SET || analysis->kind == STATEMENT_MULTI)
        return true;
    for (uint32_t i = 0; i < analysis->functions.count; i++)
        if (slice_is(analysis->functions.at[i].name, "set_config"))
            return true;
    return false;
}

// May the cause of a pin end with it? (The effects of others say so themselves.)
static bool may_end_pin(const struct client *client, const struct analysis *analysis)
{
    const uint32_t transient = 1u << PIN_SET | 1u << PIN_FUNCTION; // the last look failed
    if (analysis == NULL || ((client->pins & transient) != 0 && !client->looking))
        return true;
    if ((client->pins & 1u << PIN_CURSOR) != 0 && analysis->kind == STATEMENT_CURSOR)
        return true;
    if ((client->pins & 1u << PIN_PREPARE) != 0 && analysis->effects & EFFECT_DEALLOCATE_ALL)
        return true;
    return (client->pins & 1u << PIN_TEMP) != 0 && analysis->ddl;
}

// What it may leave behind in the session.
static void note_session(struct client *client, const struct analysis *analysis,
                         uint32_t effects)
{
    if (client->pins != 0 && may_end_pin(client, analysis))
        client->must_verify = true;
    if ((effects & EFFECT_RESET) != 0 && client->given_vars != NULL) {
        client->must_verify = true; // it goes back to what it gave
        client->resets |= analysis->resets;
        client_pin(client, PIN_SET);
    }
    if ((effects & ~(uint32_t)(EFFECT_FOLLOWED_SET | EFFECT_RESET | EFFECT_DISCARD_ALL |
                               EFFECT_DEALLOCATE_ALL | EFFECT_SEQUENCE)) == 0)
        return;
    static const struct {
        uint32_t effect;
        enum pin pin;
    } pinning[] = {
        {EFFECT_SET, PIN_SET},           {EFFECT_SET_CONFIG, PIN_SET},
        {EFFECT_TEMP, PIN_TEMP},         {EFFECT_CURSOR_HOLD, PIN_CURSOR},
        {EFFECT_PREPARE, PIN_PREPARE},   {EFFECT_LISTEN, PIN_LISTEN},
        {EFFECT_ADVISORY, PIN_ADVISORY}, {EFFECT_LOAD, PIN_LOAD},
    };
    if (effects & (EFFECT_SET | EFFECT_SET_CONFIG))
        client->effects.path_unknown = true;
    for (size_t i = 0; i < sizeof(pinning) / sizeof(*pinning); i++)
        if (effects & pinning[i].effect) {
            unsafe_warn(client, pinning[i].pin);
            client_pin(client, pinning[i].pin);
        }
    if ((effects & EFFECT_LISTEN) != 0 && client->listening != NULL)
        listening_note(client, analysis);
    if (effects & (EFFECT_FUNCTION | EFFECT_UNKNOWN | EFFECT_DISCARD_SOME | EFFECT_EXECUTE)) {
        client->effects.path_unknown = true;
        client_pin(client, PIN_FUNCTION);
    }
    if (effects & (EFFECT_FUNCTION | EFFECT_UNKNOWN | EFFECT_EXECUTE))
        client->unseen = true;
    client->must_verify = true;
}

void effects_mention(struct client *client, const struct analysis *analysis, struct slice bytes)
{
    static const uint32_t naming = EFFECT_SET | EFFECT_SET_CONFIG | EFFECT_FUNCTION |
                                   EFFECT_PREPARE | EFFECT_EXECUTE | EFFECT_UNKNOWN;
    bool may = analysis == NULL || (analysis->effects & naming) != 0;
    if (may && client->must_verify && align_must_look(client))
        mentioned_note(&client->mentioned, bytes);
}

void effects_note(struct client *client, const struct analysis *analysis)
{
    // First what changes the meaning of names: in one text of several statements, in any order.
    if (analysis != NULL && analysis->bypass != BYPASS_NONE && changes_locally(analysis))
        client->effects.path_unknown = true;
    if (client->route->domain != NULL && analysis != NULL && !client->effects.barrier)
        note_captures(client, analysis);
    if (client->route->domain != NULL &&
        (analysis == NULL || !analysis_only_reads(analysis) || analysis->may_end_transaction))
        note_writes(client, analysis);
    note_session(client, analysis, analysis ? analysis->effects : EFFECT_UNKNOWN);
}

void effects_note_arguments(struct client *client, const struct analysis *analysis)
{
    uint32_t others = analysis->effects & ~(uint32_t)(EFFECT_PREPARE | EFFECT_EXECUTE);
    note_session(client, analysis, others);
    if (client->route->domain != NULL && analysis->functions.count + analysis->operators.count > 0)
        client->effects.barrier = true;
}

void effects_publish(struct client *client)
{
    const struct effects *e = &client->effects;
    struct domain *domain = client->route->domain;
    if (domain == NULL)
        return;
    if (e->ddl)
        domain_ddl(domain);
    if (e->count > 0 || e->barrier)
        domain_wrote(domain, e->slots, e->count, e->barrier);
}

void effects_in_doubt(struct client *client, uint32_t process)
{
    struct effects *e = &client->effects;
    struct domain *domain = client->route->domain;
    if (domain == NULL || !effects_any(e))
        return;
    if (e->ddl)
        domain_ddl(domain);
    domain_in_doubt(domain, e->slots, e->count, e->barrier || e->ddl, process);
    *e = (struct effects){.count = 0};
}
