// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/align.h"

#include "base/log.h"
#include "base/mem.h"
#include "cache/ledger.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/session/session.h"
#include "proxy/session/remains.h"
#include "proxy/session/sequences.h"
#include "proxy/sql/analysis.h"
#include "proxy/sql/learnt.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// Bits of client->aligning.
enum { WAIT_VARS = 1, WAIT_SETTINGS = 2, WAIT_LOOK = 4, WAIT_TURN = 8 };

enum { CANCELLED_LOOKS = 20 }; // more in a row are no accident

static void inject(struct server *server, enum op_purpose purpose, struct buf *sql)
{
    server_inject(server, purpose, (const char *)sql->at);
    buf_fini(sql);
}

// ---- making it the client's ----

// connects: behind connect_query, which may have set any.
static void align_vars(struct client *client, struct server *server, bool connects)
{
    struct buf sql = {0};
    struct vars *have = connects ? vars_none(client->vars->registry) : vars_ref(server->vars);
    vars_difference(client->vars, have, &sql);
    vars_unref(&have);
    buf_u8(&sql, 0);
    inject(server, PURPOSE_ALIGN, &sql);
    // Values that no server has seen yet may be refused: nothing runs before that is known.
    if (!client->vars_proven)
        client->aligning |= WAIT_VARS;
}

// What is sent behind settings without waiting must not run if they fail after all: then it meets a
// transaction that has failed.
static void guard(struct buf *sql)
{
    struct buf guarded = {0};
    buf_printf(&guarded, "BEGIN;%sCOMMIT", (const char *)sql->at);
    buf_u8(&guarded, 0);
    buf_fini(sql);
    *sql = guarded;
}

// A query of its own behind the other: values are in the client's encoding, which that one sets.
static void align_settings(struct client *client, struct server *server)
{
    struct buf sql = {0};
    struct gucs *have = gucs_join(server->base, server->applied);
    struct gucs *want = gucs_join(server->base, client->wanted);
    bool sure = gucs_change(have, want, &sql);
    gucs_unref(&have);
    gucs_unref(&want);
    if (sql.len == 1) { // all of it stands in the base already
        buf_fini(&sql);
    } else {
        if (!sure || !client->wanted_proven)
            client->aligning |= WAIT_SETTINGS;
        else
            guard(&sql);
        inject(server, PURPOSE_SETTINGS, &sql);
    }
    server->foreign = server->applied != NULL;
    gucs_unref(&server->applied);
    server->applied = gucs_ref(client->wanted);
    server_forget_profile(server);
}

void align_session(struct client *client, struct server *server, bool newly)
{
    struct worker *worker = client->worker;
    struct route *route = client->route;
    bool differs = !vars_equal(client->vars, server->vars);
    bool resets = !gucs_equal(client->wanted, server->applied);
    uint64_t epoch = route->domain ? ledger_epoch(domain_ledger(route->domain)) : 0;
    bool unknown = route->domain != NULL && (server->profile_epoch != epoch || resets);
    bool forgets = newly && sequences_take(client, server);
    if (newly && server->prepared.odd) {
        prepared_settle(&server->prepared);
        server->unnamed = 0;
    }
    if (!resets)
        client->realigned = false; // it has what it wanted
    if (!differs && !resets && !unknown && !forgets && !server->fresh)
        return;
    sender_begin(&worker->to_server, &server->conn);
    bool connects = server->fresh && server_freshen(server);
    if (forgets)
        server_inject(server, PURPOSE_RESET, sequences_forget);
    if (differs || connects)
        align_vars(client, server, connects);
    if (resets)
        align_settings(client, server);
    if (unknown)
        server_ask_profile(server);
    // Others wait for its answer, which can be recorded only once it is known what it was made by.
    bool leads = client->flight != NULL;
    // One that waits for its settings waits with its server: given back, it would go to those who
    // wait as well, who would do the same, for ever.
    if (leads || (newly && client->aligning != 0 && client->state == CLIENT_LINKED))
        client->aligning |= WAIT_TURN;
    if (!sender_end(&worker->to_server))
        server_close(server, "server conn crashed?");
}

bool align_is_its_turn(struct client *client)
{
    bool waited = (client->aligning & WAIT_TURN) != 0;
    client->aligning &= (uint8_t)~WAIT_TURN;
    return waited && client->aligning == 0;
}

void align_done(struct client *client, struct server *server, enum op_purpose purpose)
{
    if (client == NULL)
        return;
    if (purpose == PURPOSE_SETTINGS) {
        if (!client->wanted_proven && client->given != NULL) {
            route_accepted(client->route, client->given);
            route_note_custom(client->route, client->given);
        }
        client->wanted_proven = true;
        client->realigned = false;
        client->aligning &= (uint8_t)~WAIT_SETTINGS;
        return;
    }
    // What differs in spelling only is the server's. What the client did not say anything about
    // (before it is greeted) may be another's there.
    for (int i = 0; i < VAR_COUNT; i++)
        if (client->vars->value[i] != NULL && server->vars->value[i] != NULL)
            vars_set(&client->vars, i, server->vars->value[i]);
    client->vars_proven = true;
    client->aligning &= (uint8_t)~WAIT_VARS;
}

// Behind what this turn has to say already.
static void tell(struct client *client, struct slice message)
{
    struct sender *s = &client->worker->to_client;
    if (s->conn == &client->conn) {
        sender_copy(s, message);
        return;
    }
    conn_queue(&client->conn, message);
    conn_flush(&client->conn); // a broken connection is noticed when it is read
}

// The setting that a refusal names, in whatever language it does; NULL: none of them.
static const char *named_in(const struct gucs *settings, const char *text)
{
    const char *found = NULL;
    for (uint32_t i = 0; settings != NULL && i < settings->count; i++) {
        const char *name = settings->at[i].name;
        if (strchr(name, '.') != NULL && strstr(text, name) != NULL &&
            (found == NULL || strlen(name) > strlen(found)))
            found = name;
    }
    return found;
}

// A name that the client made up is one that a module keeps to itself, which was loaded on this
// server and not yet on the one that took it. PostgreSQL takes the setting away when it loads the
// module, and says so (reserve_class_prefix() in guc.c); so do we. False: it is something else.
static bool lost_reserved(struct client *client, const struct error_fields *error)
{
    const char *name = strcmp(error->sqlstate, "42602") == 0
                           ? named_in(client->wanted, error->message)
                           : NULL;
    if (name == NULL)
        return false;
    struct buf text = {0}, detail = {0}, warning = {0};
    buf_printf(&text, "invalid configuration parameter name \"%s\", removing it", name);
    buf_printf(&detail, "\"%.*s\" is now a reserved prefix.", (int)strcspn(name, "."), name);
    buf_u8(&text, 0);
    buf_u8(&detail, 0);
    message_warning(&warning, error->sqlstate, (const char *)text.at, (const char *)detail.at);
    struct gucs *wanted = gucs_without_name(client->wanted, name);
    struct gucs *given = gucs_without_name(client->given, name);
    gucs_unref(&client->wanted);
    gucs_unref(&client->given);
    client->wanted = wanted;
    client->given = given;
    tell(client, buf_slice(&warning));
    buf_fini(&warning);
    buf_fini(&detail);
    buf_fini(&text);
    return true;
}

// By somebody, or by a time limit.
static bool is_cancelled(const struct error_fields *error)
{
    return strcmp(error->sqlstate, "57014") == 0; // query_canceled
}

// Is it perhaps because of what another client left there? Once in a row it may be anything; a
// time limit of the other's may be met on every server that it used, and each of those is closed.
static bool is_others_fault(const struct client *client, const struct server *server,
                            const struct error_fields *error)
{
    return server->foreign && (!client->realigned || is_cancelled(error));
}

void align_failed(struct client *client, struct server *server, enum op_purpose purpose,
                  const struct error_fields *error)
{
    bool waits = client != NULL && (client->aligning & WAIT_SETTINGS) != 0;
    bool movable = purpose == PURPOSE_SETTINGS && waits && client->pins == 0 &&
                   client->mode != POOL_SESSION;
    bool lost = movable && client->wanted_proven && lost_reserved(client, error);
    bool again = lost || (movable && is_others_fault(client, server, error));
    if (client != NULL) {
        client->aligning = 0;
        if (!waits)
            effects_in_doubt(client, server->process); // it may run what was sent behind
        client_unlink(client);
    }
    log_warning("S-%p: the client's settings cannot be made: %s", (void *)server, error->message);
    server_close(server, "setting the client's parameters failed");
    if (client == NULL)
        return;
    if (!again) {
        client_fail(client, error->sqlstate, error->message);
        return;
    }
    client->realigned = !lost; // nothing of it was sent yet
    client_request_server(client);
    if (client->state == CLIENT_LINKED)
        client_resume(client);
}

struct profile *align_profile(const struct client *client, uint64_t epoch)
{
    const struct server *server = client->server;
    struct profile *any = route_profile(client->route, client->wanted, epoch);
    if (server == NULL || server->profile == NULL || server->profile_epoch != epoch ||
        server->profile_asked || !gucs_equal(server->applied, client->wanted))
        return any;
    if (any == NULL && server_is_known(server) && !server->bare) // there were too many of them
        route_profile_keep(client->route, client->wanted, server->profile, epoch);
    return server->profile;
}

void align_renew_profile(struct client *client, uint64_t epoch)
{
    struct server *server = client->server;
    if (server == NULL || server->profile_epoch == epoch || server->status != 'I')
        return;
    session_to_server(client);
    server_ask_profile(server);
}

// ---- what it has become ----

static void begin_answer(struct server *server)
{
    if (server->remains == NULL)
        server->remains = mem_new(struct remains);
    remains_fini(server->remains);
}

// Policies ask for them: a function may have set one that no statement mentions.
static void mention_settings(struct route *route, struct mentioned *names)
{
    struct catalog *catalog = route->domain != NULL ? domain_catalog_ref(route->domain) : NULL;
    size_t n = 0;
    const struct slice *settings = catalog != NULL ? catalog_settings(catalog, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        mentioned_note(names, settings[i]);
    catalog_unref(&catalog);
}

bool align_must_look(const struct client *client)
{
    bool matters = client->mode != POOL_SESSION || client->route->domain != NULL;
    return matters && client->must_verify;
}

void align_look(struct client *client, struct server *server)
{
    struct worker *worker = client->worker;
    client->must_verify = false;
    client->looking = true;
    client->went_around = false;
    if (client->given != NULL || client->given_vars != NULL)
        client->aligning |= WAIT_LOOK; // a RESET goes back to those: nothing may run before
    if (client->mode != POOL_SESSION &&
        (server_is_obsolete(server) || pool_wants_back(client->route->pool)))
        client->aligning |= WAIT_LOOK; // or it would never let go of its server
    begin_answer(server);
    struct mentioned heard = {.count = 0};
    struct buf sql = {0};
    if (client->unseen) {
        route_custom(client->route, &heard);
        mention_settings(client->route, &heard);
    }
    bool own_names = client->mode != POOL_SESSION && !session_shares_names(client);
    struct gucs *known = gucs_join(server->base, client->wanted);
    remains_question(&sql, client->route->server_user, client->mentioned, &heard, known,
                     own_names ? NULL : &server->named);
    mentioned_fini(&heard);
    gucs_unref(&known);
    sender_begin(&worker->to_server, &server->conn);
    inject(server, PURPOSE_VERIFY, &sql);
    if (!sender_end(&worker->to_server))
        server_close(server, "server conn crashed?");
}

void align_row(struct server *server, struct slice row)
{
    if (server->remains == NULL)
        return;
    server->remains->settings.encoding = server->vars->value[VAR_CLIENT_ENCODING];
    remains_row(server->remains, row);
}

void align_look_failed(struct server *server, const struct error_fields *error)
{
    if (server->remains == NULL)
        return;
    server->remains->odd = true;
    server->remains->cancelled = is_cancelled(error);
}

static uint32_t pins_of(uint32_t kinds)
{
    static const struct {
        uint32_t kind;
        enum pin pin;
    } pins[] = {
        {REMAINS_TEMP, PIN_TEMP},     {REMAINS_CURSOR, PIN_CURSOR},
        {REMAINS_PREPARED, PIN_PREPARE}, {REMAINS_LISTEN, PIN_LISTEN},
        {REMAINS_ADVISORY, PIN_ADVISORY},
    };
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof(pins) / sizeof(*pins); i++)
        if (kinds & pins[i].kind)
            bits |= 1u << pins[i].pin;
    return bits;
}

// Was one of the base reset?
static bool lacks_some(const struct gucs *now, const struct gucs *base)
{
    for (uint32_t i = 0; base != NULL && i < base->count; i++)
        if (gucs_find(now, base->at[i].name) == NULL)
            return true;
    return false;
}

// Code was put behind relations around the proxy: those who used the server before may have left
// something there that nobody looked for. This client did nothing that says it was its own.
static bool is_anybodys(const struct client *client, const struct server *server,
                        const struct gucs *found, uint32_t kinds)
{
    struct learnt *learnt = client->route->learnt;
    return client->unseen && client->mode != POOL_SESSION &&
           (client->pins & ~(1u << PIN_FUNCTION)) == 0 &&
           (kinds != 0 || !gucs_equal(found, client->wanted)) &&
           (server->surprises != learnt_surprises(learnt) || learnt_is_surprised(learnt));
}

static void looked_enough(struct client *client, struct remains *remains)
{
    client->unseen = false;
    mentioned_free(&client->mentioned);
    remains_fini(remains);
}

// What it gave at its start counts again where it was reset.
static void want_what_is_left(struct client *client, struct gucs *own)
{
    bool all = client->resets == UINT8_MAX;
    struct gucs *kept =
        (client->resets & ANALYSIS_RESETS_INVENTED) == 0
            ? gucs_ref(own)
            : gucs_without_emptied(own, client->given, all ? NULL : client->wanted);
    gucs_unref(&client->wanted);
    client->wanted = gucs_join(client->given, kept);
    gucs_unref(&kept);
}

void align_looked(struct client *client, struct server *server)
{
    struct remains *remains = server->remains;
    if (client != NULL) {
        client->aligning &= (uint8_t)~WAIT_LOOK;
        client->looking = false;
    }
    // What was sent since may have changed it again: then it is looked at again.
    if (client == NULL || remains == NULL || client->must_verify)
        return;
    if (remains->odd && remains->cancelled && client->cancelled_looks++ < CANCELLED_LOOKS) {
        client->must_verify = true; // nothing is wrong with the question
        return;
    }
    client->cancelled_looks = 0;
    if (remains->odd) { // it stays pinned, until the next look
        mentioned_free(&client->mentioned); // perhaps one of those was why
        client->unseen = true;
        return;
    }
    struct gucs *now = gucs_new(&remains->settings);
    struct gucs *own = gucs_without(now, server->base);
    bool lacks = lacks_some(now, server->base);
    bool bare = lacks || (server->bare && server->base == NULL);
    if (lacks) // connect_query is due again
        server->needs_settings_reset = true;
    gucs_unref(&now);
    if (is_anybodys(client, server, own, remains->kinds)) {
        gucs_unref(&own);
        server->doomed = "what it has may be another's";
        client->pins = 0;
        looked_enough(client, remains);
        return;
    }
    route_note_custom(client->route, own);
    // What was asked before says nothing of now.
    if (own != NULL || server->applied != NULL || bare != server->bare) {
        server_forget_profile(server);
    }
    gucs_unref(&server->applied);
    server->applied = own; // the count moves
    server->bare = bare;
    want_what_is_left(client, own);
    client->wanted_proven = true;
    align_give_back(client, client->resets, remains->own_vars);
    client->pins = pins_of(remains->kinds) | (client->pins & (1u << PIN_LOAD | 1u << PIN_SEQUENCE));
    // Settings of names that nobody mentioned cannot be seen: they are reset.
    if (client->unseen || (client->mentioned != NULL && client->mentioned->too_many))
        server->needs_settings_reset = true;
    if (client->unseen && !remains_knows_texts(&server->named))
        server->needs_reset = true;
    looked_enough(client, remains);
}

void align_give_back(struct client *client, uint8_t resets, uint32_t own_vars)
{
    const struct gucs *given = client->given_vars;
    struct buf news = {0};
    client->discarded = false;
    client->resets = 0;
    for (uint32_t i = 0; given != NULL && i < given->count; i++) {
        int var = var_find(given->at[i].name);
        const char *now = client->vars->value[var];
        bool reset = resets & 1u << analysis_setting_reported(given->at[i].name);
        if (!reset || (own_vars & 1u << var) != 0 ||
            (now != NULL && strcmp(now, given->at[i].value) == 0))
            continue;
        vars_set(&client->vars, var, given->at[i].value);
        client->vars_proven = false;
        message_parameter(&news, var_name(var), given->at[i].value);
    }
    if (news.len > 0)
        tell(client, buf_slice(&news));
    buf_fini(&news);
}

// ---- connect_query ----

void align_ask_base(struct server *server, const char *connect_query)
{
    struct mentioned names = {.count = 0};
    struct buf sql = {0};
    begin_answer(server);
    mentioned_note(&names, slice_str(connect_query));
    remains_question(&sql, server->route->server_user, &names, NULL, NULL, &server->named);
    mentioned_fini(&names);
    inject(server, PURPOSE_BASE, &sql);
}

void align_base_known(struct server *server)
{
    if (server->remains == NULL)
        return;
    gucs_unref(&server->base);
    server->base = gucs_new(&server->remains->settings);
    remains_fini(server->remains);
}

void align_forget(struct server *server)
{
    gucs_unref(&server->applied);
    gucs_unref(&server->base);
}
