// SPDX-License-Identifier: Apache-2.0
// Units answered from memory, and the recording of those that were not there. The cache decides
// (cache/); here its questions get their answers: which text, which tables, which settings, how
// fresh, and where the bytes go.
#include "base/clock.h"
#include "base/protection.h"
#include "cache/fill.h"
#include "cache/key.h"
#include "cache/ledger.h"
#include "cache/store.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/audit.h"
#include "proxy/session/explained.h"
#include "proxy/session/lead.h"
#include "proxy/session/resolutions.h"
#include "proxy/session/rulings.h"
#include "proxy/session/align.h"
#include "proxy/session/session.h"
#include "proxy/session/unit.h"
#include "proxy/session/tracked.h"
#include "proxy/sql/keys.h"
#include "proxy/sql/texts.h"
#include "proxy/worker.h"

// What is known of one unit on its way to an answer.
struct question {
    struct client *client;
    struct unit unit;
    struct domain *domain; // canonical
    struct ledger *ledger;
    struct stamp stamp;    // taken before all that follows
    struct profile *profile;
    struct statement *statement; // counts; NULL for a simple query
    struct analysis *analysis;   // borrows
    const struct resolution *resolution; // borrows
    struct ruling ruling;  // of rules and hints
    bool without_events;   // the ledger is off: only a ttl may do
    struct key_hash hash;
};

// ---- may it be asked? ----

static bool is_setting(const struct client *client, enum followed_var var, const char *value)
{
    const char *have = client->vars.value[var];
    return have != NULL && strcmp(have, value) == 0;
}

static enum bypass find_statement(struct question *q)
{
    struct client *client = q->client;
    struct unit *unit = &q->unit;
    if (unit->simple) {
        q->analysis = texts_front_analysis(client->worker->texts, unit->text);
        return BYPASS_NONE;
    }
    bool shared = session_shares_names(client);
    struct statement *named = NULL;
    if (unit->name.len > 0) {
        named = statement_names_find(&client->names, unit->name);
        if (unit->has_parse && (named != NULL || !shared))
            return BYPASS_SHAPE; // an error to come, or a name that the server must know
    } else if (!unit->has_parse) {
        named = client->unnamed;
    }
    if (named != NULL && statement_is_sql(named))
        return BYPASS_SHAPE; // as the server has it
    if (unit->has_parse)
        q->statement = session_statement(client, unit->tail, unit->text.len + 1);
    else if (named != NULL)
        q->statement = statement_ref(named);
    else
        return BYPASS_SHAPE;
    q->analysis = q->statement->analysis;
    return BYPASS_NONE;
}

static struct slice text_of(const struct question *q)
{
    return q->unit.simple ? q->unit.text
           : q->statement ? statement_text(q->statement) : slice_of("", 0);
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

static enum bypass examine(struct question *q)
{
    struct client *client = q->client;
    enum bypass bypass = find_statement(q);
    if (bypass == BYPASS_NONE && !vars_text_is_plain(&client->vars, text_of(q))) {
        q->analysis = NULL; // not to be believed
        bypass = BYPASS_ENCODING;
    }
    if (bypass == BYPASS_NONE)
        bypass = examine_text(q);
    if (bypass != BYPASS_NONE)
        return bypass;
    if (q->unit.has_max_rows)
        return BYPASS_MAX_ROWS;
    if (client_pins_session(client) ||
        !is_setting(client, VAR_STANDARD_CONFORMING_STRINGS, "on"))
        return BYPASS_SESSION_STATE;
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
    q->profile = align_profile(client, q->stamp.epoch);
    if (q->profile == NULL)
        return BYPASS_NO_PROFILE;
    if (!q->profile->cacheable)
        return BYPASS_TRANSACTION;
    if (client->server != NULL &&
        !server_may_have(client->server, q->profile, q->stamp.epoch))
        return BYPASS_NO_PROFILE;
    q->resolution = resolution_front_get(client->worker->resolutions, q->domain, q->analysis,
                                         q->profile, session_speaks_utf8(client));
    enum bypass settings = q->resolution ? examine_settings(q) : BYPASS_CATALOG_PENDING;
    return settings != BYPASS_NONE ? settings : examine_ruling(q);
}

// ---- what is said of it ----

enum { EXPLAINED_TABLES_MAX = 32 };

static bool explains(const struct question *q)
{
    return q->analysis != NULL && q->analysis->hints.explain;
}

// tables: room for EXPLAINED_TABLES_MAX.
static struct explained_query explained_query(const struct question *q, struct rule_table *tables)
{
    struct worker *worker = q->client->worker;
    struct explained_query e = {.ruling = q->ruling, .hints = &q->analysis->hints,
                                .tables = tables};
    if (q->ledger != NULL && !ledger_is_on(q->ledger))
        e.why = ledger_off_sentence(ledger_off_reason(q->ledger));
    if (q->profile != NULL)
        e.table_count = resolution_front_tables(worker->resolutions, q->domain, q->analysis,
                                                q->profile, tables, EXPLAINED_TABLES_MAX);
    return e;
}

static void explain_miss(struct question *q, enum bypass bypass)
{
    struct client *client = q->client;
    struct rule_table tables[EXPLAINED_TABLES_MAX];
    struct explained_query e = explained_query(q, tables);
    if (bypass != BYPASS_NONE)
        explained_bypass(client, &e, bypass);
    else
        explained_miss(client, &e, client->server->fill != NULL);
}

// ---- the key ----

static void make_key(struct question *q)
{
    static const enum followed_var in_key[] = {VAR_CLIENT_ENCODING, VAR_DATE_STYLE, VAR_TIME_ZONE,
                                               VAR_INTERVAL_STYLE};
    struct client *client = q->client;
    struct buf *key = &client->worker->key;
    key_begin(key);
    key_u32(key, domain_id(q->domain));
    // Role, search path, what settings the profile knows.
    key_u32(key, protection_is_off(PROTECTION_PROFILE) ? 0 : q->profile->number);
    const struct gucs *wanted = client->wanted;
    key_u32(key, wanted ? wanted->count : 0);
    for (uint32_t i = 0; wanted != NULL && i < wanted->count; i++) {
        key_bytes(key, slice_str(wanted->at[i].name));
        key_bytes(key, slice_str(wanted->at[i].value));
        key_bytes(key, slice_str(wanted->at[i].encoding));
    }
    for (size_t i = 0; i < sizeof(in_key) / sizeof(*in_key); i++) {
        const char *value = client->vars.value[in_key[i]];
        if (value != NULL && !protection_is_off(PROTECTION_SETTINGS))
            key_bytes(key, slice_str(value));
        else
            key_null(key);
    }
    if (q->unit.simple) {
        key_u32(key, 'Q');
        key_bytes(key, q->unit.text);
    } else {
        key_u32(key, q->unit.has_describe ? 'D' : 'E');
        key_bytes(key, statement_tail(q->statement));
        key_bytes(key, q->unit.bind);
    }
    q->hash = key_end(key);
}

// ---- hit and miss ----

// What the client's session is afterwards.
static void adopt(struct question *q)
{
    struct client *client = q->client;
    client->told_rows |= q->unit.has_describe;
    if (q->unit.simple) {
        statement_unref(&client->unnamed); // a simple query ends the unnamed statement
    } else if (q->unit.has_parse && q->unit.name.len == 0) {
        statement_unref(&client->unnamed);
        client->unnamed = statement_ref(q->statement);
    } else if (q->unit.has_parse) {
        statement_names_set(&client->names, q->unit.name, q->statement);
    }
}

// stale: only its ttl allows it.
static void answer(struct question *q, struct entry *entry, bool stale)
{
    static const uint8_t prefix[] = {'1', 0, 0, 0, 4, '2', 0, 0, 0, 4};
    static const uint8_t ready_idle[] = {'Z', 0, 0, 0, 5, 'I'};
    static const uint8_t ready_open[] = {'Z', 0, 0, 0, 5, 'T'};
    struct worker *worker = q->client->worker;
    bool open = q->client->transaction.state != TRANSACTION_NONE;
    struct sender *to_client = session_to_client(q->client);
    if (!q->unit.simple)
        sender_copy(to_client, q->unit.has_parse ? slice_of(prefix, 10) : slice_of(prefix + 5, 5));
    struct slice body = entry_body(entry);
    if (body.len <= SENDER_SMALL_BYTES)
        sender_copy(to_client, body);
    else
        sender_put(to_client, body);
    if (explains(q)) {
        struct rule_table tables[EXPLAINED_TABLES_MAX];
        struct explained_query e = explained_query(q, tables);
        explained_hit(q->client, to_client, &e, entry, stale);
    }
    sender_copy(to_client, slice_of(open ? ready_open : ready_idle, sizeof(ready_idle)));
    if (body.len > SENDER_SMALL_BYTES)
        sender_flush(to_client); // before the entry is let go
    if (worker->queries != NULL)
        tracked_hit(q->client, text_of(q), body.len);
    if (!stale && q->resolution->bypass == BYPASS_NONE && audit_wants(worker))
        audit_later(q->client, &(struct audit_subject){
                                   .entry = entry, .ledger = q->ledger, .profile = q->profile,
                                   .simple = q->unit.simple, .described = q->unit.has_describe,
                                   .text = text_of(q), .bind = q->unit.bind,
                                   .tail = q->unit.simple ? slice_of("", 0)
                                                          : statement_tail(q->statement)});
    adopt(q);
    transaction_hit(q->client, q->analysis, entry);
    q->client->since_us = worker->now_us; // it is not idle
    counter_add(&worker->cache.hits, 1);
    if (stale)
        counter_add(&worker->cache.ttl_hits, 1);
    if (q->analysis->hints.unknown)
        counter_add(&worker->cache.hint_unknown, 1);
    counter_add(&worker->cache.hit_bytes, body.len);
    route_count(q->client->route, worker, queries, 1);
    route_count(q->client->route, worker, xacts, !open);
}

static enum bypass bypass_of(enum ledger_verdict verdict)
{
    switch (verdict) {
    case LEDGER_OK:
    case LEDGER_DEAD:
        return BYPASS_NONE;
    case LEDGER_OFF:
        return BYPASS_OFF;
    case LEDGER_STALE:
        return BYPASS_STALE;
    case LEDGER_BEHIND:
        return BYPASS_BEHIND;
    case LEDGER_BARRIER:
        return BYPASS_BARRIER;
    case LEDGER_CLOSED:
        return BYPASS_CLOSED;
    }
    return BYPASS_OFF;
}

static enum config_monotonic_reads monotonic_reads(const struct worker *worker)
{
    return config_settings(worker->config)->monotonic_reads;
}

// Does the client accept it although it may be stale? Not the state before its own last write, nor
// what was flushed, nor (by default) another schema or other privileges.
static bool accepts_stale(const struct question *q, const struct entry *entry)
{
    int64_t asked_us = entry_asked_us(entry);
    bool same_epoch = !q->without_events && entry->stamp.epoch == ledger_epoch(q->ledger);
    return q->ruling.ttl_us > 0 && clock_us() - q->ruling.ttl_us <= asked_us &&
           (same_epoch || q->ruling.ttl_without_events) && asked_us > q->client->wrote_us &&
           asked_us > ledger_forgotten_us(q->ledger, entry->slots, entry->n_slots);
}

// True: answered. *bypass: why there is an entry that may not be used just now.
static bool look_up(struct question *q, enum bypass *bypass)
{
    struct client *client = q->client;
    struct worker *worker = client->worker;
    struct entry *entry = store_get(worker->pooler->store, buf_slice(&worker->key), q->hash);
    if (entry == NULL)
        return false;
    enum ledger_verdict verdict =
        entry_judge(entry, q->ledger, clock_us(),
                    config_settings(worker->config)->max_staleness_us,
                    transaction_after_us(client));
    bool stale = verdict != LEDGER_OK && accepts_stale(q, entry);
    if (verdict == LEDGER_OK || stale)
        answer(q, entry, stale);
    if (verdict == LEDGER_OK && monotonic_reads(worker) == CONFIG_MONOTONIC_ALL &&
        entry->filled_us > client->around_us)
        client->around_us = entry->filled_us; // it may show what the stream has not told yet
    if (verdict == LEDGER_STALE || verdict == LEDGER_BEHIND)
        domain_hurry(q->domain);
    if (verdict == LEDGER_DEAD && !stale) {
        counter_add(&worker->cache.invalidated, 1);
        store_drop(worker->pooler->store, entry);
    }
    entry_unref(&entry);
    *bypass = q->without_events ? BYPASS_NONE : bypass_of(verdict);
    return verdict == LEDGER_OK || stale;
}

// ---- what the reply depends on ----

enum { DEPENDENCIES_MAX = 512, DEPENDENCY_KEYS_MAX = 64 };
_Static_assert(DEPENDENCIES_MAX >= RESOLVE_SLOTS_MAX + DEPENDENCY_KEYS_MAX * 2 + 128,
               "tables, keys, and the rows slots of their tables");

// Tables; of those of which only rows with certain keys are read, those keys. Where a key cannot
// be told, or there are too many of them, the table.
static size_t dependencies(const struct question *q, uint32_t *out)
{
    const struct resolution *r = q->resolution;
    bool simple = q->unit.simple;
    struct key_values values = {
        .analysis = q->analysis,
        .text = simple ? q->unit.text : statement_text(q->statement),
        .types = simple ? slice_of("", 0) : statement_types(q->statement),
        .bind = q->unit.bind,
        .utf8 = r->utf8 && session_speaks_utf8(q->client),
    };
    size_t n = r->read_count, keys = 0;
    memcpy(out, r->reads, n * sizeof(*out));
    for (uint16_t i = 0; i < r->read_scan_count; i++) {
        uint32_t slots[KEYS_MAX];
        int found = keys_slots(&values, &r->read_scans[i], slots);
        if (found < 0 || keys + (size_t)found > DEPENDENCY_KEYS_MAX) {
            out[n++] = ledger_table_slot(r->read_scans[i].table);
            continue;
        }
        keys += (size_t)found;
        memcpy(out + n, slots, (size_t)found * sizeof(*out));
        n += (size_t)found;
        out[n++] = ledger_rows_slot(r->read_scans[i].space);
        if (r->read_scans[i].space != r->read_scans[i].table)
            out[n++] = ledger_columns_slot(r->read_scans[i].table);
    }
    return n;
}

// ---- one run for all who miss the same ----

enum { FOLLOWS_MAX = 3 }; // then it asks for itself

// Whose answer to wait for: true, another client's. Else the server is to be asked, and others may
// wait for this client's answer if there is one in sight that may be served.
static bool follow(struct question *q, bool *landed)
{
    struct client *client = q->client;
    *landed = false;
    if (client->flight != NULL || client->alone ||
        config_settings(client->worker->config)->cache_follow_timeout_us == 0)
        return false;
    uint32_t slots[DEPENDENCIES_MAX];
    size_t n = dependencies(q, slots);
    struct flight_ask ask = {
        .worker = (unsigned)client->worker->number,
        .may_follow = client->server == NULL && client->follows < FOLLOWS_MAX,
        .need = ledger_need(q->ledger, slots, n),
    };
    switch (ledger_judge(q->ledger, q->stamp, slots, n, 0, INT64_MAX, INT64_MIN)) {
    case LEDGER_OFF:
    case LEDGER_DEAD:
    case LEDGER_CLOSED:
    case LEDGER_BARRIER:
        return false; // what is filled now could not be served in a moment
    case LEDGER_OK:
    case LEDGER_STALE:
    case LEDGER_BEHIND:
        break;
    }
    uint64_t number = 0;
    switch (store_join(client->worker->pooler->store, buf_slice(&client->worker->key), q->hash,
                       &ask, &client->flight, &number)) {
    case STORE_LEAD:
    case STORE_ALONE:
        return false;
    case STORE_LANDED:
        *landed = true;
        return false;
    case STORE_FOLLOW:
        lead_follow(client, number);
        return true;
    }
    return false;
}

// The flight that the client leads, if it does, goes on with this very key.
static bool is_led(const struct question *q)
{
    const struct flight *flight = q->client->flight;
    return flight != NULL && key_hash_eq(flight->hash, q->hash);
}

// Records the reply that the server will give, when all that the key says is true of it.
static void begin_fill(struct question *q)
{
    struct client *client = q->client;
    struct worker *worker = client->worker;
    struct server *server = client->server;
    if (!server_may_have(server, q->profile, q->stamp.epoch) ||
        !gucs_equal(server->applied, client->wanted) || server->needs_reset || server->fill != NULL)
        return;
    client->went_around = monotonic_reads(worker) == CONFIG_MONOTONIC_ALL;
    client->transaction.read = true;
    client->unit_left = q->unit.bytes;
    // A write to what it reads is not yet placed, or not yet known to be visible: the reply would
    // be dead on arrival.
    uint32_t slots[DEPENDENCIES_MAX];
    size_t n = dependencies(q, slots);
    enum ledger_verdict verdict =
        ledger_judge(q->ledger, q->stamp, slots, n, 0, INT64_MAX, INT64_MIN);
    if ((verdict == LEDGER_DEAD || verdict == LEDGER_CLOSED) && q->ruling.ttl_us == 0)
        return;
    size_t max = (size_t)config_settings(worker->config)->cache_max_entry_size_bytes;
    size_t limit = store_entry_limit_bytes(worker->pooler->store);
    server->fill = fill_begin(&(struct fill_plan){
        .arena = store_arena(worker->pooler->store), .key = buf_slice(&worker->key),
        .hash = q->hash, .stamp = q->stamp, .slots = slots, .n_slots = (uint32_t)n,
        .max_bytes = max < limit ? max : limit});
    fill_asked(server->fill, worker->now_us);
    server->fill_profile = q->profile;
    if (is_led(q))
        store_flight_start(worker->pooler->store, client->flight, q->stamp);
}

// Not in memory: does somebody ask for it already? A key that landed meanwhile is looked for again.
static enum cached look_up_or_follow(struct question *q, enum bypass *bypass)
{
    bool landed = true;
    for (int looks = 0; looks < 2 && landed; looks++) {
        if (look_up(q, bypass))
            return CACHED_HIT;
        if (*bypass != BYPASS_NONE)
            return CACHED_MISS;
        if (follow(q, &landed))
            return CACHED_HELD;
    }
    return CACHED_MISS;
}

// It brings nothing that later reads must not be older than.
static bool note_nothing_read(struct question *q)
{
    struct client *client = q->client;
    if (q->analysis == NULL || client->server == NULL ||
        !(q->analysis->plain_begin || (client->transaction.state == TRANSACTION_READS &&
                                       transaction_reads_nothing(q->analysis))))
        return false;
    client->went_around = client->transaction.read = false;
    client->unit_left = q->unit.bytes;
    return true;
}

static enum cached ask(struct question *q, bool may_hit)
{
    struct client *client = q->client;
    struct statistics *statistics = &client->worker->cache;
    enum bypass bypass = examine(q);
    may_hit &= client->server == NULL || client->server->profile == q->profile;
    if (bypass == BYPASS_NONE && transaction_needs_time(client, q->analysis))
        bypass = BYPASS_TRANSACTION_TIME;
    if (bypass == BYPASS_NONE) {
        make_key(q);
        enum cached cached = may_hit ? look_up_or_follow(q, &bypass) : CACHED_MISS;
        if (cached == CACHED_HIT)
            client->behind = 0;
        if (cached != CACHED_MISS)
            return cached;
    }
    if (bypass == BYPASS_BEHIND && may_hit && client_may_hold(client)) {
        client_hold(client);
        return CACHED_HELD;
    }
    client->gave_up_hold = false;
    if (bypass == BYPASS_NO_PROFILE)
        align_renew_profile(client, q->stamp.epoch);
    client->transaction.hurry |= bypass == BYPASS_BEHIND;
    if (bypass == BYPASS_BEHIND)
        client->behind += client->behind < 100;
    else if (!note_nothing_read(q))
        client->behind = 0;
    client->unit_decided = bypass != BYPASS_NONE || client->server != NULL;
    if (bypass != BYPASS_NONE) {
        statistics_bypass(statistics, bypass);
    } else if (client->server != NULL) {
        counter_add(&statistics->misses, 1);
        begin_fill(q);
    }
    if (client->unit_decided && client->worker->queries != NULL)
        tracked_not_hit(client, text_of(q), bypass);
    if (client->unit_decided && q->analysis != NULL && q->analysis->hints.any) {
        counter_add(&statistics->hint_unknown, q->analysis->hints.unknown);
        if (q->analysis->hints.explain)
            explain_miss(q, bypass);
    }
    bool filling = client->server != NULL && client->server->fill != NULL && is_led(q);
    if (client->unit_decided && !filling)
        lead_end(client, FLIGHT_LEFT);
    return CACHED_MISS;
}

enum cached client_try_cache(struct client *client, struct slice data, bool may_hit, size_t *used)
{
    struct question q = {.client = client};
    switch (unit_read(data, &q.unit)) {
    case UNIT_MORE:
        return CACHED_MORE;
    case UNIT_OTHER:
        client->unit_decided = true;
        lead_end(client, FLIGHT_LEFT);
        if (q.unit.executes)
            statistics_bypass(&client->worker->cache, BYPASS_SHAPE);
        return CACHED_MISS;
    case UNIT_OK:
        break;
    }
    enum cached cached = ask(&q, may_hit);
    statement_unref(&q.statement);
    if (cached == CACHED_HIT) {
        *used = q.unit.bytes;
        client->unit_decided = false;
        lead_end(client, FLIGHT_STORED);
        lead_done(client);
    }
    return cached;
}
