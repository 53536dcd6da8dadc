// SPDX-License-Identifier: Apache-2.0
// Units answered from memory, and the recording of those that were not there. The cache decides
// (cache/); here its questions get their answers: which text, which tables, which settings, how
// fresh, and where the bytes go.
#include <ctype.h>

#include "base/clock.h"
#include "base/protection.h"
#include "cache/admission.h"
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
#include "proxy/session/repeats.h"
#include "proxy/session/align.h"
#include "proxy/session/asked.h"
#include "proxy/session/session.h"
#include "proxy/session/unit.h"
#include "proxy/session/told.h"
#include "proxy/session/tracked.h"
#include "proxy/worker.h"

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

static void explain_hit(struct question *q, const struct entry *entry, bool stale)
{
    struct rule_table tables[EXPLAINED_TABLES_MAX];
    struct explained_query e = explained_query(q, tables);
    explained_hit(q->client, session_to_client(q->client), &e, entry, stale);
}

static void explain_miss(struct question *q, enum bypass bypass)
{
    struct client *client = q->client;
    struct rule_table tables[EXPLAINED_TABLES_MAX];
    struct explained_query e = explained_query(q, tables);
    if (bypass != BYPASS_NONE)
        explained_bypass(client, &e, bypass);
    else if (q->passes)
        explained_passing(client, &e);
    else
        explained_miss(client, &e, client->server->fill != NULL);
}

// ---- the key ----

static void make_key(struct question *q)
{
    struct client *client = q->client;
    struct buf *key = &client->worker->key;
    key_begin(key);
    key_u32(key, domain_id(q->domain));
    // Role, search path, what settings the profile knows.
    key_u32(key, protection_is_off(PROTECTION_PROFILE) ? 0 : q->profile->number);
    const struct gucs *wanted = client->wanted;
    bool relies = q->relied.rows != 0 || q->relied.types != 0;
    char shape = q->unit.simple ? 'Q' : q->unit.has_describe ? 'D' : 'E';
    key_u32(key, (wanted ? wanted->count : 0) << 8 | (uint8_t)(relies ? tolower(shape) : shape));
    if (relies) {
        key_u64(key, q->relied.rows);
        key_u64(key, q->relied.types);
    }
    for (uint32_t i = 0; wanted != NULL && i < wanted->count; i++) {
        key_bytes(key, slice_str(wanted->at[i].name));
        key_bytes(key, slice_str(wanted->at[i].value));
        key_bytes(key, slice_str(wanted->at[i].encoding));
    }
    if (!protection_is_off(PROTECTION_SETTINGS))
        for (size_t i = 0; i < 2; i++)
            key_u64(key, client->vars->result_key[i]);
    if (q->unit.simple) {
        key_bytes(key, q->unit.text);
    } else {
        key_bytes(key, statement_tail(q->statement));
        key_bytes(key, q->unit.bind);
    }
    q->key = buf_slice(key);
    q->hash = key_end(key);
}

// ---- hit and miss ----

// What the answer tells of the statement.
static void tell(struct question *q, const struct entry *entry)
{
    struct client *client = q->client;
    client->told_rows = true;
    if (q->unit.name.len == 0 && !client->reuses_unnamed)
        return;
    if (q->described == 0 || q->described_us != entry->filled_us) {
        q->described = layout_rows(entry_body(entry));
        q->described_us = entry->filled_us;
    }
    struct layout *told = q->told;
    if (told == NULL)
        told = q->unit.name.len == 0 ? &client->unnamed_told
                                     : &statement_names_get(&client->names, q->unit.name)->told;
    told->rows = q->described;
}

// What the client's session is afterwards.
static void adopt(struct question *q)
{
    struct client *client = q->client;
    if (q->unit.simple) {
        statement_unref(&client->unnamed); // a simple query ends the unnamed statement
    } else if (q->unit.has_parse && q->unit.name.len == 0) {
        statement_unref(&client->unnamed);
        client->unnamed = statement_ref(q->statement);
        client->unnamed_told = (struct layout){0};
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
    struct slice body = entry_body(entry);
    struct slice begin = slice_of(prefix + 5 * !q->unit.has_parse,
                                  q->unit.simple ? 0 : 5u + 5u * q->unit.has_parse);
    struct slice end = slice_of(open ? ready_open : ready_idle, sizeof(ready_idle));
    if (begin.len + body.len + end.len <= SENDER_SMALL_BYTES && !explains(q)) {
        uint8_t *at = sender_room(to_client, begin.len + body.len + end.len);
        memcpy(at, begin.at, begin.len);
        memcpy(at + begin.len, body.at, body.len);
        memcpy(at + begin.len + body.len, end.at, end.len);
    } else {
        sender_copy(to_client, begin);
        sender_put(to_client, body);
        if (explains(q))
            explain_hit(q, entry, stale);
        sender_copy(to_client, end);
        sender_flush(to_client); // before the entry is let go
    }
    if (worker->queries != NULL)
        tracked_hit(q->client, text_of(q), body.len);
    if (!stale && !q->handed && q->resolution->bypass == BYPASS_NONE && audit_wants(worker))
        audit_later(q->client, &(struct audit_subject){
                                   .entry = entry, .ledger = q->ledger, .profile = q->profile,
                                   .simple = q->unit.simple, .described = q->unit.has_describe,
                                   .text = text_of(q), .bind = q->unit.bind,
                                   .tail = q->unit.simple ? slice_of("", 0)
                                                          : statement_tail(q->statement)});
    adopt(q);
    if (q->unit.has_describe)
        tell(q, entry);
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

static enum ledger_verdict judge(const struct question *q, const struct entry *entry)
{
    // No event ends what depends on no table: only its ttl does.
    if (entry->n_slots == 0 && q->ruling.ttl_us > 0 &&
        clock_us() - q->ruling.ttl_us > entry_asked_us(entry))
        return LEDGER_DEAD;
    return entry_judge(entry, q->ledger, clock_us(),
                       config_settings(q->client->worker->config)->max_staleness_us,
                       transaction_after_us(q->client));
}

static void answer_fresh(struct question *q, struct entry *entry)
{
    struct client *client = q->client;
    answer(q, entry, false);
    if (misses_count(client->worker) &&
        entry->filled_us > client->around_us)
        client->around_us = entry->filled_us; // it may show what the stream has not told yet
}

// Of a repeat only when all is well.
static bool answer_again(struct question *q)
{
    struct entry *entry = store_get(q->client->worker->pooler->store, q->key, q->hash);
    bool ok = entry != NULL && judge(q, entry) == LEDGER_OK;
    if (ok)
        answer_fresh(q, entry);
    if (entry != NULL)
        entry_unref(&entry);
    return ok;
}

// Who asked for it to be cached, by a rule or a hint, or warms the cache, is not asked twice.
static bool is_worth_keeping(const struct question *q)
{
    const struct client *client = q->client;
    return q->ruling.forced || q->ruling.ttl_us > 0 || q->analysis->hints.cache || client->ours ||
           config_settings(client->worker->config)->cache_admission == CONFIG_ADMISSION_ALL ||
           admission_missed(client->worker->admission, q->analysis, q->hash.high);
}

// True: answered. *bypass: why there is an entry that may not be used just now.
static bool look_up(struct question *q, enum bypass *bypass)
{
    struct client *client = q->client;
    struct worker *worker = client->worker;
    struct entry *entry = store_get(worker->pooler->store, q->key, q->hash);
    if (entry == NULL)
        return false;
    enum ledger_verdict verdict = judge(q, entry);
    bool stale = verdict != LEDGER_OK && accepts_stale(q, entry);
    if (verdict == LEDGER_OK) {
        admission_hit(worker->admission, q->analysis);
        answer_fresh(q, entry);
    } else if (stale) {
        answer(q, entry, true);
    }
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

// ---- one run for all who miss the same ----

enum { FOLLOWS_MAX = 3 }; // then it asks for itself

// Whose answer to wait for: true, another client's. Else the server is to be asked, and others may
// wait for this client's answer if there is one in sight that may be served.
static bool follow(struct question *q, bool *landed)
{
    struct client *client = q->client;
    const struct follower *f = client->follower;
    *landed = false;
    if (client->flight != NULL || (f != NULL && f->alone) ||
        config_settings(client->worker->config)->cache_follow_timeout_us == 0)
        return false;
    const struct dependencies *d = filling_dependencies(q);
    struct flight_ask ask = {
        .worker = (unsigned)client->worker->number,
        .may_follow = client->server == NULL && (f == NULL || f->times < FOLLOWS_MAX),
        .known = ledger_look(q->ledger, d->slots, d->n),
    };
    switch (ledger_judge(q->ledger, q->stamp, d->slots, d->n, 0, INT64_MAX, INT64_MIN)) {
    case LEDGER_OFF:
    case LEDGER_CLOSED:
    case LEDGER_BARRIER:
        return false; // what is filled now could not be served in a moment
    case LEDGER_DEAD: // nor now, but handed to who asks while it is on its way
        if (!ask.known.settled)
            return false;
        break;
    case LEDGER_OK:
    case LEDGER_STALE:
    case LEDGER_BEHIND:
        break;
    }
    uint64_t number = 0;
    switch (store_join(client->worker->pooler->store, q->key, q->hash,
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

// The answer that it waited for, asked for since the last write to what it depends on; and when it
// was asked for, that was as new as what this session has seen, and still is new enough.
static bool take_handed(struct question *q)
{
    struct client *client = q->client;
    struct entry *entry = client->follower != NULL ? client->follower->handed : NULL;
    if (entry == NULL)
        return false;
    int64_t asked_us = entry_asked_us(entry);
    bool good = slice_eq(entry_key(entry), q->key) && entry->stamp.epoch == q->stamp.epoch &&
                asked_us > transaction_after_us(client) &&
                clock_us() - asked_us <= config_settings(client->worker->config)->max_staleness_us;
    q->handed = good;
    if (good)
        answer_fresh(q, entry);
    else
        entry_unref(&client->follower->handed);
    return good;
}

// Not in memory: does somebody ask for it already? A key that landed meanwhile is looked for again.
static enum cached look_up_or_follow(struct question *q, enum bypass *bypass)
{
    const struct client *client = q->client;
    if (take_handed(q))
        return CACHED_HIT;
    bool landed = true;
    for (int looks = 0; looks < 2 && landed; looks++) {
        if (look_up(q, bypass))
            return CACHED_HIT;
        if (*bypass != BYPASS_NONE)
            return CACHED_MISS;
        q->passes = client->flight == NULL && !is_worth_keeping(q);
        if (q->passes)
            return CACHED_MISS;
        if (follow(q, &landed))
            return CACHED_HELD;
    }
    return CACHED_MISS;
}

// One write by itself that tells its client of nothing but rows that it may have written. What it
// may have written is closed before it is answered, and opens for what is as new.
static bool tells_own_rows_alone(const struct question *q)
{
    const struct analysis *a = q->analysis;
    const struct client *client = q->client;
    return !misses_count(client->worker) && client->transaction.state == TRANSACTION_NONE &&
           (client->server == NULL || client->server->status == 'I') &&
           a->kind == STATEMENT_WRITE && a->statements == 1 &&
           a->reads.count + a->catalogs.count == 0 && !a->writes_unknown &&
           !a->calls_unknown_function && !a->on_conflict;
}

// It brings nothing that later reads must not be older than.
static bool note_nothing_read(struct question *q)
{
    struct client *client = q->client;
    if (q->analysis == NULL)
        return false;
    bool nothing = client->server != NULL &&
                   (q->analysis->plain_begin || (client->transaction.state == TRANSACTION_READS &&
                                                 transaction_reads_nothing(q->analysis)));
    if (!nothing && !tells_own_rows_alone(q))
        return false;
    note_unit(q, false, false);
    return true;
}

// What becomes of a unit that is not answered from memory. Without a server it will be asked about
// again, once there is one.
static void conclude(struct question *q, enum bypass bypass)
{
    struct client *client = q->client;
    struct statistics *statistics = &client->worker->cache;
    client->unit_decided = bypass != BYPASS_NONE || q->passes || client->server != NULL;
    if (bypass != BYPASS_NONE) {
        statistics_bypass(statistics, bypass);
    } else if (q->passes) { // a mere miss; to look again with its server costs more than it tells
        counter_add(&statistics->misses, 1);
        counter_add(&statistics->not_kept, 1);
        note_unit(q, misses_count(client->worker), true);
    } else if (client->server != NULL) {
        counter_add(&statistics->misses, 1);
        filling_begin(q);
    }
    if (client->unit_decided && client->worker->queries != NULL)
        tracked_not_hit(client, text_of(q), bypass);
    if (client->unit_decided && q->analysis != NULL && q->analysis->hints.any) {
        counter_add(&statistics->hint_unknown, q->analysis->hints.unknown);
        if (q->analysis->hints.explain)
            explain_miss(q, bypass);
    }
    bool filling = client->server != NULL && client->server->fill != NULL && filling_is_led(q);
    if (client->unit_decided && !filling)
        lead_end(client, FLIGHT_LEFT);
}

static enum cached ask(struct question *q, bool may_hit)
{
    struct client *client = q->client;
    enum bypass bypass = question_examine(q);
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
    // What the cache could have answered but for a moment is like a miss (decision 0054).
    if (bypass == BYPASS_BEHIND || bypass == BYPASS_CLOSED)
        note_unit(q, misses_count(client->worker), true);
    if (bypass == BYPASS_BEHIND)
        client->behind += client->behind < 100;
    else if (!note_nothing_read(q))
        client->behind = 0;
    conclude(q, bypass);
    if (!client->unit_decided)
        asked_keep(q);
    return CACHED_MISS;
}

// What a unit is until something else is noted of it.
static void begin_unit(struct client *client)
{
    client->went_around = true;
    client->unit_left = 0;
}

enum cached client_try_cache(struct client *client, struct slice data, bool may_hit, size_t *used)
{
    struct question q = {.client = client};
    begin_unit(client);
    asked_forget(client->worker->asked);
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
    if (cached == CACHED_HIT) {
        *used = q.unit.bytes;
        client->unit_decided = false;
        lead_end(client, FLIGHT_STORED);
        lead_done(client);
        if (q.unit.bytes == data.len)
            repeats_note(client->worker->repeats, &q, data);
    }
    statement_unref(&q.statement);
    return cached;
}

// Between the two no session goes on (one that does forgets what is kept), and only the pool and
// align.h are asked: so what is borrowed is still there, key and slots are this question's.
bool client_fill_missed(struct client *client)
{
    struct asked *asked = client->worker->asked;
    struct question *q = &asked->missed;
    bool holds = q->client == client && question_suits_server(q);
    if (holds) {
        begin_unit(client);
        conclude(q, BYPASS_NONE);
    }
    asked_forget(asked);
    return holds;
}

bool client_try_repeat(struct client *client, struct slice data)
{
    struct question *q = repeats_find(client->worker->repeats, client, data);
    if (q == NULL || !answer_again(q))
        return false;
    client->behind = 0;
    client->unit_decided = false;
    lead_end(client, FLIGHT_STORED);
    lead_done(client);
    return true;
}
