// SPDX-License-Identifier: Apache-2.0
// May the cache be asked for this unit, and what is it? Its text, whom it is asked for, what its
// names mean, and what rules and hints say of it. Why not, if not.
#include "base/protection.h"
#include "cache/ledger.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/session/align.h"
#include "proxy/session/asked.h"
#include "proxy/session/resolutions.h"
#include "proxy/session/rulings.h"
#include "proxy/session/told.h"
#include "proxy/sql/texts.h"

// Who was told the columns and does not ask again reads the answer by them; and binary values are
// of the types that were told.
bool question_relies(const struct client *client, const struct unit *unit,
                     const struct layout *told, struct layout *relied)
{
    *relied = (struct layout){0};
    if (told == NULL)
        return true;
    if (told->types != 0 && told_sends_binary(unit->bind))
        relied->types = told->types;
    if (unit->has_describe)
        return true;
    relied->rows = told->rows;
    // What portals of the unnamed statement were told to have is not noted of most.
    bool told_unknown = unit->name.len > 0 ? client->told_vaguely : client->told_rows;
    return told->rows != 0 || !told_unknown;
}

static enum bypass find_statement(struct question *q)
{
    struct client *client = q->client;
    struct unit *unit = &q->unit;
    if (unit->simple) {
        q->analysis = texts_front_read(client->worker->texts, unit->text);
        return BYPASS_NONE;
    }
    bool shared = session_shares_names(client);
    client->reuses_unnamed |= unit->name.len == 0 && !unit->has_parse;
    struct statement *named = NULL;
    if (unit->name.len > 0) {
        struct meaning *meaning = statement_names_get(&client->names, unit->name);
        named = meaning != NULL ? meaning->statement : NULL;
        q->told = meaning != NULL ? &meaning->told : NULL;
        if (unit->has_parse && (named != NULL || !shared))
            return BYPASS_SHAPE; // an error to come, or a name that the server must know
    } else if (!unit->has_parse) {
        named = client->unnamed;
        q->told = &client->unnamed_told;
    }
    if (named != NULL && !session_knows(client, unit->name, named))
        return BYPASS_SHAPE; // as the server has it
    if (unit->has_parse)
        q->statement = session_statement(client, unit->tail, unit->text.len + 1);
    else if (named != NULL)
        q->statement = statement_ref(named);
    else
        return BYPASS_SHAPE;
    q->analysis = q->statement->analysis;
    return question_relies(client, unit, q->told, &q->relied) ? BYPASS_NONE : BYPASS_SHAPE;
}

// Only reasons that a rule may put aside?
static bool only(uint64_t reasons, uint64_t more)
{
    return (reasons & ~(RULES_FORCEABLE | more)) == 0;
}

// As far as the text can tell.
static enum bypass examine_text(const struct question *q)
{
    const struct analysis *a = q->analysis;
    const struct rulings *rulings = q->client->worker->rulings;
    if (a->hints.nocache)
        return BYPASS_HINT;
    bool may_be_forced = rulings_has_rules(rulings) &&
                         only(a->reasons, 1ull << BYPASS_NO_RELATION) &&
                         (a->effects & ~(uint32_t)EFFECT_FUNCTION) == 0;
    return may_be_forced ? BYPASS_NONE : a->bypass;
}

// What the rules and hints say of it, once it is known who asks and what the names mean.
static enum bypass examine_ruling(struct question *q)
{
    struct worker *worker = q->client->worker;
    const struct resolution *r = q->resolution;
    if (q->analysis->hints.any || rulings_has_rules(worker->rulings))
        q->ruling = rulings_find(worker->rulings, q->client->route, worker->resolutions, q->domain,
                                 q->profile, q->analysis, text_of(q));
    if (q->ruling.excluded)
        return q->ruling.on_request ? BYPASS_ON_REQUEST : BYPASS_RULE;
    uint64_t with_ttl = q->ruling.ttl_us > 0 ? 1ull << BYPASS_NO_RELATION : 0;
    if (r->bypass != BYPASS_NONE && !(q->ruling.forced && only(r->reasons, with_ttl)))
        return r->bypass;
    return q->without_events && !q->ruling.ttl_without_events ? BYPASS_OFF : BYPASS_NONE;
}

// Where a policy asks for settings: is each of them in the key?
static enum bypass examine_settings(const struct question *q)
{
    const struct server *server = q->client->server;
    if (q->resolution->settings == 0)
        return BYPASS_NONE;
    if (server != NULL && !server_is_known(server))
        return BYPASS_SESSION_STATE;
    return q->profile->settings == q->resolution->settings ? BYPASS_NONE : BYPASS_NO_PROFILE;
}

// A user's type is cast, compared and read by what was made for it: for an enum that is nothing.
static bool has_strange_types(const struct question *q)
{
    if (q->statement == NULL || !q->statement->of_users_types)
        return false;
    struct catalog *catalog = domain_catalog_ref(q->domain);
    bool strange = !statement_types_known(q->statement, catalog);
    catalog_unref(&catalog);
    return strange;
}

static bool is_in_transaction(const struct client *client)
{
    return client->transaction.state != TRANSACTION_NONE ||
           (client->server != NULL && client->server->status != 'I');
}

enum bypass question_examine(struct question *q)
{
    struct client *client = q->client;
    enum bypass bypass = find_statement(q);
    if (bypass == BYPASS_NONE && !vars_text_is_plain(client->vars, text_of(q))) {
        q->analysis = NULL; // not to be believed
        bypass = BYPASS_ENCODING;
    }
    if (bypass == BYPASS_NONE)
        bypass = examine_text(q);
    if (bypass != BYPASS_NONE)
        return bypass;
    if (q->unit.has_max_rows)
        return BYPASS_MAX_ROWS;
    if (client_pins_session(client) || !client->vars->standard_strings)
        return BYPASS_SESSION_STATE;
    if (client->server != NULL && server_is_obsolete(client->server))
        return BYPASS_SESSION_STATE; // on another database than the route's, perhaps
    if (q->statement != NULL && q->statement->parameters != BYPASS_NONE)
        return q->statement->parameters;
    if (!q->unit.simple && unit_has_datetime_word(q->unit.bind) &&
        !protection_is_off(PROTECTION_DATETIME))
        return BYPASS_DATETIME_WORD;
    q->domain = domain_canonical(client->route->domain);
    q->ledger = domain_ledger(q->domain);
    // Before the catalog is read: a new catalog is published before the epoch rises, so what was
    // resolved by an old one carries an old epoch.
    if (!ledger_stamp(q->ledger, &q->stamp)) {
        if (!rulings_any_without_events(client->worker->rulings))
            return BYPASS_OFF;
        q->without_events = true;
        q->stamp = (struct stamp){.epoch = q->stamp.epoch | 1}; // the ledger never agrees with that
    }
    q->profiles_edition = route_profiles_edition(client->route);
    q->profile = align_profile(client, q->stamp.epoch);
    if (q->profile == NULL)
        return BYPASS_NO_PROFILE;
    if (!q->profile->cacheable || (q->profile->one_snapshot && is_in_transaction(client)))
        return BYPASS_TRANSACTION;
    if (client->server != NULL &&
        !server_may_have(client->server, q->profile, q->stamp.epoch))
        return BYPASS_NO_PROFILE;
    if (has_strange_types(q))
        return BYPASS_CAST;
    q->catalog_version = domain_catalog_version(q->domain);
    q->resolution = resolution_front_get(client->worker->resolutions, q->domain, q->analysis,
                                         q->profile, session_speaks_utf8(client));
    enum bypass settings = q->resolution ? examine_settings(q) : BYPASS_CATALOG_PENDING;
    return settings != BYPASS_NONE ? settings : examine_ruling(q);
}

// What question_examine() asks of the server.
bool question_suits_server(const struct question *q)
{
    const struct client *client = q->client;
    return !q->without_events && !client_pins_session(client) &&
           domain_canonical(client->route->domain) == q->domain &&
           !server_is_obsolete(client->server) &&
           align_profile(client, q->stamp.epoch) == q->profile &&
           server_may_have(client->server, q->profile, q->stamp.epoch) &&
           examine_settings(q) == BYPASS_NONE;
}
