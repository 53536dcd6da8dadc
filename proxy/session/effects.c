// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/effects.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/protection.h"
#include "cache/ledger.h"
#include "cache/ticket.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/align.h"
#include "proxy/session/client.h"
#include "proxy/session/hidden.h"
#include "proxy/session/listening.h"
#include "proxy/session/resolutions.h"
#include "proxy/session/session.h"
#include "proxy/session/unsafe.h"
#include "proxy/sql/captured.h"
#include "proxy/sql/keys.h"
#include "proxy/worker.h"

// Where its server writes: since a RELOAD the route's may be another. NULL: nobody follows it.
static struct domain *domain_of(const struct client *client)
{
    const struct server *server = client->server;
    return server != NULL && server->counted_in != NULL ? server->counted_in
                                                        : client->route->domain;
}

static bool has_slot(const uint32_t *slots, uint8_t count, uint32_t slot)
{
    for (uint8_t i = 0; i < count; i++)
        if (slots[i] == slot)
            return true;
    return false;
}

static void note_table(struct effects *e, uint32_t slot)
{
    if (has_slot(e->slots, e->count, slot))
        return;
    if (e->count == EFFECTS_SLOTS_MAX)
        e->barrier = true;
    else
        e->slots[e->count++] = slot;
}

static void note_held(struct effects *e, uint32_t slot)
{
    if (has_slot(e->held, e->held_count, slot) || protection_is_off(PROTECTION_HELD))
        return;
    if (e->held_count == EFFECTS_HELD_MAX)
        e->barrier = true;
    else
        e->held[e->held_count++] = slot;
}

// The rows that a place names, or else any row of that table.
static void note_keys(struct effects *e, const struct resolved_scan *scan,
                      const struct key_values *values)
{
    uint32_t keys[KEYS_MAX];
    int n = values == NULL ? -1 : keys_slots(values, scan, keys);
    if (n < 0 || e->keys + n > EFFECTS_KEYS_MAX || e->count + n > EFFECTS_SLOTS_MAX) {
        note_held(e, ledger_rows_slot(scan->space));
        return;
    }
    for (int i = 0; i < n; i++) {
        if (has_slot(e->slots, e->count, keys[i]))
            continue;
        e->slots[e->count++] = keys[i];
        e->keys++;
    }
}

// Taken from those that other clients gave back: nothing is allocated in the long run.
struct effects *effects_of(struct client *client)
{
    struct effects *e = client->effects;
    if (e != NULL)
        return e;
    e = client->worker->spare_effects;
    if (e == NULL)
        e = mem_new(struct effects);
    else
        client->worker->spare_effects = e->next;
    memset(e, 0, offsetof(struct effects, slots));
    return client->effects = e;
}

void effects_clear(struct client *client)
{
    struct effects *e = client->effects;
    if (e == NULL)
        return;
    e->next = client->worker->spare_effects;
    client->worker->spare_effects = e;
    client->effects = NULL;
}

void effects_free_spare(struct worker *worker)
{
    for (struct effects *e = worker->spare_effects, *next; e != NULL; e = next) {
        next = e->next;
        mem_free(e);
    }
}

static void note_slots(struct client *client, const struct resolution *r,
                       const struct key_values *values)
{
    struct effects *e = effects_of(client);
    struct key_values known;
    if (values != NULL) {
        known = *values;
        known.utf8 = values->utf8 && r->utf8;
    }
    for (uint16_t i = 0; i < r->write_count; i++)
        note_table(e, r->writes[i]);
    for (uint16_t i = 0; i < r->held_count; i++)
        note_held(e, r->held[i]);
    for (uint16_t i = 0; i < r->write_scan_count; i++)
        note_keys(e, &r->write_scans[i], values == NULL ? NULL : &known);
}

const struct resolution *effects_meaning(struct client *client, const struct analysis *analysis)
{
    // Where the search path may have been changed, names may mean other tables than they did.
    const struct server *server = client->server;
    struct domain *of_route = client->route->domain;
    struct domain *domain = domain_canonical(domain_of(client));
    if (server == NULL || server->profile == NULL || client_pins_session(client) ||
        (client->effects != NULL && client->effects->path_unknown) || of_route == NULL ||
        domain_canonical(of_route) != domain ||
        server->profile_epoch != ledger_epoch(domain_ledger(domain)))
        return NULL;
    return resolution_front_get(client->worker->resolutions, domain,
                                (struct analysis *)(uintptr_t)analysis, server->profile, true);
}

// A user's function or operator behind a builtin's name may do anything, and so may one behind a
// view. (Of a name that is met for the first time this is not known; it is asked for now.)
static void note_captures(struct client *client, const struct analysis *analysis)
{
    if (analysis->functions.count + analysis->operators.count + analysis->casts.count +
            analysis->reads.count + analysis->perhaps.count == 0)
        return;
    struct domain *domain = domain_canonical(domain_of(client));
    const struct resolution *r = effects_meaning(client, analysis);
    bool runs_code = r != NULL && r->barrier, new_name = r != NULL && r->pending;
    if (r == NULL) { // by whatever path
        enum catalog_answer answer =
            resolution_front_runs_code(client->worker->resolutions, domain, analysis);
        runs_code = answer == CATALOG_FOUND;
        new_name = answer == CATALOG_PENDING;
    }
    if (runs_code)
        effects_of(client)->barrier = true;
    if (new_name && domain_learns_names(domain))
        effects_of(client)->new_name = true;
    if (r == NULL || !r->captured)
        return;
    effects_of(client)->barrier = effects_of(client)->path_unknown = true;
    client->must_verify = client->unseen = true;
    client_pin(client, PIN_FUNCTION);
}

// All that is noted of a transaction is so by one catalog, under one schema.
static void note_judged(struct effects *e, uint64_t epoch, uint64_t catalog)
{
    if (!e->judged) {
        e->epoch = epoch;
        e->catalog = catalog;
    }
    e->barrier |= e->catalog != catalog;
    e->judged = true;
}

// A transaction that is prepared changes the schema when it is committed, perhaps by another
// client.
static void note_two_phases(struct effects *e, const struct analysis *analysis,
                            struct domain *domain)
{
    bool commits = analysis->kind == STATEMENT_TWO_PHASE && analysis->writes_unknown;
    bool may_prepare = analysis->may_end_transaction && (analysis->kind == STATEMENT_TWO_PHASE ||
                                                         analysis->kind == STATEMENT_MULTI);
    if (may_prepare && e->ddl)
        domain_prepares_ddl(domain);
    if (commits && domain_has_prepared_ddl(domain))
        e->ddl = DDL_MORE, e->roles = true;
}

static bool calls_write_nothing(struct client *client, const struct analysis *analysis,
                                struct domain *domain)
{
    return analysis->writes_by_calls &&
           resolution_front_calls_write(client->worker->resolutions, domain, analysis) ==
               CATALOG_ABSENT;
}

// Which tables it writes, as far as that can be known.
static void note_writes(struct client *client, const struct analysis *analysis,
                        const struct key_values *values)
{
    struct effects *e = effects_of(client);
    if (analysis == NULL) {
        e->barrier = e->may_end = true;
        e->ddl = DDL_MORE;
        return;
    }
    e->may_end |= analysis->may_end_transaction;
    e->ddl |= analysis->ddl;
    e->roles |= analysis->changes_roles;
    struct domain *domain = domain_canonical(domain_of(client));
    note_two_phases(e, analysis, domain);
    uint64_t catalog = domain_catalog_version(domain);
    if (analysis->writes_unknown && !calls_write_nothing(client, analysis, domain)) {
        e->barrier = true;
        return;
    }
    if (analysis->writes_by_calls)
        note_judged(e, ledger_epoch(domain_ledger(domain)), catalog);
    if (analysis->writes.count == 0)
        return;
    const struct resolution *r = effects_meaning(client, analysis);
    if (r == NULL || r->barrier) {
        e->barrier = true;
        return;
    }
    note_judged(e, client->server->profile_epoch, catalog);
    note_slots(client, r, values);
}

// SET LOCAL, and its like: names may mean something else until the transaction ends. DISCARD ALL:
// to what is sent behind it in the same batch.
static bool changes_locally(const struct analysis *analysis)
{
    if (analysis->kind == STATEMENT_SET || analysis->kind == STATEMENT_MULTI ||
        analysis->kind == STATEMENT_DISCARD)
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
    if ((effects & EFFECT_RESET) != 0 && (client->given_vars != NULL || client->given != NULL)) {
        client->must_verify = true; // it goes back to what it gave
        client->clears = true;      // before anything else: see align_look()
        client->resets |= analysis->resets;
        client_pin(client, PIN_SET);
    }
    if (effects & (EFFECT_SEQUENCE_USE | EFFECT_FUNCTION | EFFECT_UNKNOWN |
                   EFFECT_DISCARD_SEQUENCES))
        sequences_note(client, analysis, effects);
    if ((effects & ~(uint32_t)(EFFECT_FOLLOWED_SET | EFFECT_RESET | EFFECT_DISCARD_ALL |
                               EFFECT_DEALLOCATE_ALL | EFFECT_SEQUENCE | EFFECT_NAMES |
                               EFFECT_SEQUENCE_USE)) == 0)
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
        effects_of(client)->path_unknown = true;
    for (size_t i = 0; i < sizeof(pinning) / sizeof(*pinning); i++)
        if (effects & pinning[i].effect) {
            unsafe_warn(client, pinning[i].pin);
            client_pin(client, pinning[i].pin);
        }
    if ((effects & EFFECT_LISTEN) != 0 && client->listening != NULL)
        listening_note(client, analysis);
    if (effects & (EFFECT_FUNCTION | EFFECT_UNKNOWN | EFFECT_DISCARD_SOME | EFFECT_EXECUTE)) {
        effects_of(client)->path_unknown = true;
        client_pin(client, PIN_FUNCTION);
    }
    if (effects & (EFFECT_FUNCTION | EFFECT_UNKNOWN | EFFECT_EXECUTE))
        client->unseen = true;
    client->must_verify = true;
}

// A name of its own server, in session mode, that may mean nothing any more: an answer from memory
// is none to it.
static void note_names(struct client *client, const struct analysis *analysis)
{
    if (session_shares_names(client))
        return;
    bool unread = analysis == NULL || (analysis->effects & EFFECT_UNKNOWN) != 0;
    if (unread || analysis->kind == STATEMENT_DO) {
        statement_names_clear(&client->names);
        return;
    }
    if ((analysis->effects & EFFECT_PREPARE) == 0)
        return;
    if (analysis->kind == STATEMENT_DEALLOCATE && analysis->prepared.len > 0)
        statement_names_set(&client->names, analysis->prepared, NULL);
    else if (analysis->kind == STATEMENT_DEALLOCATE || analysis->kind == STATEMENT_MULTI)
        statement_names_clear(&client->names);
}

void effects_mention(struct client *client, const struct analysis *analysis, struct slice bytes)
{
    static const uint32_t naming = EFFECT_SET | EFFECT_SET_CONFIG | EFFECT_FUNCTION |
                                   EFFECT_PREPARE | EFFECT_EXECUTE | EFFECT_UNKNOWN;
    bool may = analysis == NULL || client->unseen || (analysis->effects & naming) != 0;
    if (!may || !client->must_verify || !align_must_look(client))
        return;
    if (client->mentioned == NULL)
        client->mentioned = mem_new(struct mentioned);
    mentioned_note(client->mentioned, bytes);
}

void effects_note(struct client *client, const struct analysis *analysis,
                  const struct key_values *values)
{
    transaction_note(client, analysis);
    const bool unread = client->effects == NULL && analysis != NULL &&
                        analysis->kind == STATEMENT_UNKNOWN;
    if (analysis != NULL)
        hidden_note(client, analysis);
    else if (values != NULL)
        hidden_note_unread(client, values->text);
    client->reads_oddly |= analysis == NULL || analysis->rereads ||
                           (analysis->effects & EFFECT_UNKNOWN) != 0;
    // Then what changes the meaning of names: in one text of several statements, in any order.
    if (analysis != NULL && analysis->bypass != BYPASS_NONE && changes_locally(analysis))
        effects_of(client)->path_unknown = true;
    const bool followed = domain_of(client) != NULL;
    if (followed && analysis != NULL &&
        (client->effects == NULL || !client->effects->barrier))
        note_captures(client, analysis);
    if (followed &&
        (analysis == NULL || !analysis_only_reads(analysis) || analysis->may_end_transaction))
        note_writes(client, analysis, values);
    if (analysis == NULL || analysis->effects != 0 || client->pins != 0)
        note_session(client, analysis, analysis ? analysis->effects : EFFECT_UNKNOWN);
    if (analysis != NULL || (values != NULL && values->text.len > 0))
        note_names(client, analysis); // last: the statement may go with its name
    if (client->effects != NULL)
        client->effects->unread = unread;
}

void effects_refused(struct client *client, struct slice error_body)
{
    if (client->effects == NULL || !client->effects->unread)
        return;
    // The scanner and the grammar are asked before anything of the text runs (scan.l).
    struct error_fields fields;
    error_fields_read(error_body, &fields);
    if (!fields.nested && strcmp(fields.sqlstate, "42601") == 0 &&
        strcmp(fields.routine, "scanner_yyerror") == 0)
        effects_clear(client);
}

void effects_note_arguments(struct client *client, const struct analysis *analysis)
{
    uint32_t others = analysis->effects & ~(uint32_t)(EFFECT_PREPARE | EFFECT_EXECUTE);
    note_session(client, analysis, others);
    if (domain_of(client) == NULL)
        return;
    if (analysis->ddl) // CREATE TABLE AS EXECUTE
        effects_of(client)->ddl |= analysis->ddl;
    if (analysis->ddl || analysis->functions.count + analysis->operators.count > 0)
        effects_of(client)->barrier = true;
    for (uint32_t i = 0; i < analysis->casts.count; i++)
        if (!captured_builtin_type(&analysis->casts.at[i]))
            effects_of(client)->barrier = true;
}

// What was noted is what names, keys and triggers were then. Since the schema has changed, it may
// have run under another one: it waits for locks, and sees what is there when it gets them. And by
// what is known now, other tables may hold the same rows.
static bool is_outdated(const struct effects *e, struct domain *domain)
{
    return e->judged &&
           (e->epoch != ledger_epoch(domain_ledger(domain)) ||
            e->catalog != domain_catalog_version(domain));
}

static struct ticket_slots slots_of(const struct effects *e)
{
    return (struct ticket_slots){e->slots, e->count, e->held, e->held_count};
}

void effects_publish(struct client *client)
{
    const struct effects *e = client->effects;
    struct domain *domain = domain_of(client);
    if (domain == NULL || e == NULL)
        return;
    if (e->count > 0 || e->held_count > 0 || e->barrier || e->ddl)
        client->wrote_us = clock_us();
    if (e->ddl && !protection_is_off(PROTECTION_DDL))
        domain_ddl(domain, e->ddl == DDL_MORE, e->roles);
    bool barrier = e->barrier || e->new_name || is_outdated(e, domain);
    barrier = barrier && !protection_is_off(PROTECTION_BARRIER);
    struct ticket_slots slots = slots_of(e);
    if (protection_is_off(PROTECTION_MARKS))
        slots = (struct ticket_slots){.written = NULL};
    if (slots.n_written > 0 || slots.n_held > 0 || barrier)
        domain_wrote(domain, &slots, barrier);
}

void effects_in_doubt(struct client *client, uint32_t process)
{
    struct effects *e = client->effects;
    struct domain *domain = domain_of(client);
    hidden_settle(client);
    if (domain == NULL || !effects_any(e))
        return;
    bool barrier = e->barrier || e->new_name || e->ddl || is_outdated(e, domain);
    if (e->ddl)
        domain_ddl(domain, e->ddl == DDL_MORE, e->roles);
    struct ticket_slots slots = slots_of(e);
    domain_in_doubt(domain, &slots, barrier, process);
    effects_clear(client);
}
