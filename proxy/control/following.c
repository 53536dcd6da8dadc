// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/following.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/follower.h"
#include "config/config.h"
#include "proxy/control/backoff.h"
#include "proxy/control/domain_inside.h"
#include "proxy/control/loads.h"
#include "proxy/control/notified.h"
#include "proxy/control/own_writes.h"
#include "proxy/control/reading.h"
#include "proxy/control/source.h"
#include "proxy/control/stream.h"
#include "proxy/control/target.h"

enum { FOLLOWING_TAG = 0xf0110119 };

enum following_state {
    FOLLOWING_REFUSED,
    FOLLOWING_WAITING,
    FOLLOWING_LOGIN,
    FOLLOWING_ALIAS,
    FOLLOWING_LOADING,
    FOLLOWING_SLOT,
    FOLLOWING_HORIZON,
    FOLLOWING_ON,
};

enum request { REQUEST_NONE, REQUEST_READING, REQUEST_LOAD, REQUEST_FLUSH, REQUEST_BACKENDS };

struct following {
    uint32_t tag;
    enum following_state state;
    struct ev_loop *loop;          // borrows
    struct domain *domain;         // borrows
    struct ledger *ledger;         // borrows: the domain's own
    struct config *config;         // counts
    struct following_peers peers;
    struct follower *follower;     // owns
    struct own_writes *own_writes; // owns; serves where the source is not the WAL
    enum source source;            // from LOADING on
    struct reading_connection *reading; // owns
    struct stream *stream;              // owns
    struct reading_identity identity;   // known from LOADING on, and in ALIAS
    struct domain *canonical;           // in ALIAS
    uint64_t consistent_point;
    ev_timer timer; // when to look again, or to try again
    struct backoff backoff;

    struct loads loads; // when the catalog is to be loaded
    enum request last;        // so that neither readings nor loads starve the other

    struct domain_status status;
};

// ---- What is told ------------------------------------------------------------------------------

static enum domain_state told_state(const struct following *f)
{
    static const enum domain_state told[] = {
        [FOLLOWING_REFUSED] = DOMAIN_REFUSED,    [FOLLOWING_WAITING] = DOMAIN_WAITING,
        [FOLLOWING_LOGIN] = DOMAIN_CONNECTING,   [FOLLOWING_ALIAS] = DOMAIN_ALIAS,
        [FOLLOWING_LOADING] = DOMAIN_CONNECTING, [FOLLOWING_SLOT] = DOMAIN_CONNECTING,
        [FOLLOWING_HORIZON] = DOMAIN_CONNECTING, [FOLLOWING_ON] = DOMAIN_FOLLOWING,
    };
    bool late = f->state == FOLLOWING_ON && !ledger_is_on(f->ledger);
    return late ? DOMAIN_CATCHING_UP : told[f->state];
}

static void tell(struct following *f)
{
    struct domain_status *s = &f->status;
    enum domain_state before = s->state;
    s->state = told_state(f);
    if (s->state == DOMAIN_FOLLOWING || s->state == DOMAIN_ALIAS)
        s->reason[0] = '\0';
    s->database_oid = f->identity.database.database_oid;
    s->stream = f->stream == NULL ? (struct stream_names){0} : stream_names(f->stream);
    if (f->source == SOURCE_WAL) {
        struct follower_status of = follower_status(f->follower);
        s->passed = of.passed;
        s->transactions = of.transactions;
    }
    domain_set_status(f->domain, s);
    const struct domain_target *target = domain_target(f->domain);
    if (s->state == DOMAIN_FOLLOWING && before != DOMAIN_FOLLOWING) {
        backoff_reset(&f->backoff);
        log_info("cache of %s@%s:%d is on", target->dbname, target->host, target->port);
    }
}

static void move(struct following *f, enum following_state state)
{
    f->state = state;
    tell(f);
}

// ---- Beginning, losing, beginning again --------------------------------------------------------

// Everything that hangs on the connections. The ledger is off before a barrier is lowered.
static void drop(struct following *f, enum ledger_off_reason why)
{
    follower_lost(f->follower, why);
    own_writes_lost(f->own_writes);
    loads_lost(&f->loads);
    stream_close(f->stream);
    f->stream = NULL;
    reading_close(f->reading);
    f->reading = NULL;
    ev_timer_stop(f->loop, &f->timer);
    bool was_canonical = f->canonical == NULL && f->identity.database.started_us != 0;
    domain_set_canonical(f->domain, NULL);
    domain_set_identity(f->domain, (struct database_identity){0});
    f->identity = (struct reading_identity){0};
    f->canonical = NULL;
    f->last = REQUEST_NONE;
    f->state = FOLLOWING_WAITING; // the caller tells
    if (was_canonical)
        f->peers.lost(f->peers.arg, f->domain);
}

static void wait(struct following *f, int64_t us)
{
    ev_now_update(f->loop); // the timer counts from the loop's now
    ev_timer_stop(f->loop, &f->timer);
    ev_timer_set(&f->timer, (double)us / 1e6, 0);
    ev_timer_start(f->loop, &f->timer);
}

static void lose(struct following *f, enum ledger_off_reason why, const char *sentence)
{
    const struct domain_target *target = domain_target(f->domain);
    if (strcmp(f->status.reason, sentence) != 0)
        log_warning("cache of %s@%s:%d is off: %s (%s)", target->dbname, target->host, target->port,
                    ledger_off_sentence(why), sentence);
    f->status.reconnects += f->state == FOLLOWING_ON;
    snprintf(f->status.reason, sizeof(f->status.reason), "%s", sentence);
    drop(f, why);
    move(f, FOLLOWING_WAITING);
    wait(f, backoff_next_us(&f->backoff, why));
}

// What happens where some session leads to is not known, nor whether that is the right place.
static bool loses_strays(struct following *f)
{
    if (!domain_strays(f->domain))
        return false;
    lose(f, LEDGER_OFF_ELSEWHERE, "a connection to the database leads to another server");
    return true;
}

static void begin_anew(struct following *f)
{
    drop(f, LEDGER_OFF_STARTING);
    move(f, FOLLOWING_WAITING);
    wait(f, 0);
}

static void refuse(struct following *f, const char *sentence)
{
    drop(f, LEDGER_OFF_DISABLED);
    snprintf(f->status.reason, sizeof(f->status.reason), "%s", sentence);
    move(f, FOLLOWING_REFUSED);
}

static const struct reading_listener reading_calls;
static const struct stream_listener stream_calls;

static void begin(struct following *f)
{
    const struct settings *settings = config_settings(f->config);
    struct target_login login;
    if (!settings->cache) {
        refuse(f, "cache is off in the configuration");
        return;
    }
    const char *refusal =
        target_login(&login, domain_target(f->domain), f->config, "pgweir control");
    if (refusal != NULL) {
        refuse(f, refusal);
        return;
    }
    // Until the server has said what it allows: what becomes of a write in doubt meanwhile.
    f->source = settings->invalidation == CONFIG_INVALIDATION_PROXY ? SOURCE_OWN : SOURCE_WAL;
    struct reading_listener listener = reading_calls;
    listener.arg = f;
    f->reading = reading_open(f->loop, login.keywords, login.values, &listener);
    move(f, FOLLOWING_LOGIN);
}

static void open_stream(struct following *f)
{
    struct target_login login;
    CHECK(target_login(&login, domain_target(f->domain), f->config, "pgweir stream") == NULL);
    struct stream_listener listener = stream_calls;
    listener.arg = f;
    f->stream = stream_open(f->loop, login.keywords, login.values,
                            config_settings(f->config)->publication, &listener);
    move(f, FOLLOWING_SLOT);
}

// ---- Requests ----------------------------------------------------------------------------------

static void load(void *arg)
{
    struct following *f = arg;
    struct slice *names = mem_alloc(LOADS_NAMES_MAX * sizeof(*names));
    size_t n = loads_begin(&f->loads, f->identity.utf8, clock_us(), names);
    f->last = REQUEST_LOAD;
    reading_load(f->reading, names, n, f->loads.version);
    mem_free(names);
}

static void take_reading(struct following *f, enum reading_kind kind)
{
    if (kind == READING_FULL)
        domain_unhurry(f->domain); // before it is sent: whoever calls now wants the next one
    int64_t now_us = clock_us();
    if (f->source == SOURCE_WAL)
        follower_reading_sent(f->follower, kind, now_us);
    else
        own_writes_reading_sent(f->own_writes, now_us);
    f->last = REQUEST_READING;
    reading_take(f->reading, kind);
}

static void flush(struct following *f)
{
    follower_flush_sent(f->follower, clock_us());
    f->last = REQUEST_FLUSH;
    reading_flush(f->reading);
}

static void ask_for_backends(struct following *f, int64_t now_us)
{
    struct buf pids = {0};
    own_writes_doubts_sent(f->own_writes, now_us, &pids);
    f->last = REQUEST_BACKENDS;
    reading_backends(f->reading, (const char *)pids.at);
    buf_fini(&pids);
}

// What is due, one request at a time; every kind gets its turn when more are always due.
static void send_due(struct following *f, const struct follower_wishes *w, int64_t now_us)
{
    if (!reading_idle(f->reading))
        return;
    bool load_due = loads_due_us(&f->loads) <= now_us;
    if (load_due && (f->last != REQUEST_LOAD || w->reading == READING_NONE))
        load(f);
    else if (w->flush && f->last != REQUEST_FLUSH)
        flush(f);
    else if (f->last != REQUEST_BACKENDS && own_writes_doubts_due_us(f->own_writes) <= now_us)
        ask_for_backends(f, now_us);
    else if (w->reading != READING_NONE)
        take_reading(f, w->reading);
}

static struct follower_wishes wishes(struct following *f, int64_t now_us)
{
    if (f->source != SOURCE_WAL)
        return own_writes_wants(f->own_writes, domain_hurried(f->domain), now_us);
    if (domain_hurried(f->domain))
        follower_hurry(f->follower);
    return follower_wants(f->follower, now_us);
}

// After anything that happened while FOLLOWING_ON: send what is due, and sleep until more is.
static void step(struct following *f)
{
    if (f->state != FOLLOWING_ON)
        return;
    int64_t now_us = clock_us();
    struct follower_wishes w = wishes(f, now_us);
    if (w.keepalive) {
        stream_ask(f->stream);
        follower_keepalive_sent(f->follower, now_us);
    }
    send_due(f, &w, now_us);
    w = wishes(f, now_us);
    int64_t load_us = loads_due_us(&f->loads), doubts_us = own_writes_doubts_due_us(f->own_writes);
    // What is due already and could not be sent waits for an answer, which comes by here.
    int64_t wake_us = load_us > now_us && load_us < w.wake_us ? load_us : w.wake_us;
    wake_us = doubts_us > now_us && doubts_us < wake_us ? doubts_us : wake_us;
    int64_t left_us = wake_us - now_us;
    wait(f, left_us > 1000000 ? 1000000 : left_us < 0 ? 0 : left_us);
}

// ---- The control connection --------------------------------------------------------------------

static void on_ready(void *arg, const struct reading_identity *identity)
{
    struct following *f = arg;
    enum ledger_off_reason why;
    const char *fault = source_choose(config_settings(f->config)->invalidation, identity,
                                      &f->source, &why);
    if (fault != NULL) {
        lose(f, why, fault);
        return;
    }
    f->identity = *identity;
    domain_set_identity(f->domain, identity->database);
    if (loses_strays(f))
        return;
    f->canonical = f->peers.same(f->peers.arg, f, identity->database);
    domain_set_canonical(f->domain, f->canonical == NULL ? f->domain : f->canonical);
    if (f->canonical != NULL) {
        backoff_reset(&f->backoff);
        move(f, FOLLOWING_ALIAS);
        return;
    }
    move(f, FOLLOWING_LOADING);
    const char *publication = config_settings(f->config)->publication;
    if (f->source == SOURCE_NOTIFY)
        reading_listen(f->reading);
    else if (f->source == SOURCE_WAL && *publication != '\0')
        reading_publication(f->reading, publication);
    else
        load(f);
}

static void on_notified(void *arg, struct slice payload)
{
    struct following *f = arg;
    uint32_t slots[NOTIFIED_SLOTS];
    own_writes_told(f->own_writes, slots, notified_slots(payload, slots));
    f->status.transactions++;
}

// A stream counts only for the publication that it began with: see publication.h.
static void lose_publication(struct following *f, bool missing)
{
    char sentence[128];
    snprintf(sentence, sizeof(sentence), "publication \"%s\" %s",
             config_settings(f->config)->publication, missing ? "does not exist" : "has changed");
    lose(f, LEDGER_OFF_PUBLICATION, sentence);
}

static void on_loaded(void *arg, struct catalog *catalog, bool changed,
                      enum reading_publication publication)
{
    struct following *f = arg;
    f->status.catalog_loads++;
    if (publication != READING_PUBLICATION_SAME) {
        catalog_unref(&catalog);
        lose_publication(f, publication == READING_PUBLICATION_MISSING);
        return;
    }
    follower_set_catalog(f->follower, catalog);
    domain_publish(f->domain, catalog, f->loads.names_loaded);
    f->status.schema_changes += loads_end(&f->loads, changed, clock_us());
    if (f->state != FOLLOWING_LOADING) {
        step(f);
    } else if (f->source == SOURCE_WAL) {
        open_stream(f);
    } else {
        own_writes_begin(f->own_writes, f->source == SOURCE_NOTIFY);
        move(f, FOLLOWING_ON);
        step(f);
    }
}

static void on_horizon(void *arg, uint64_t xid, bool slot_is_here)
{
    struct following *f = arg;
    if (!slot_is_here) {
        lose(f, LEDGER_OFF_UNSUPPORTED, "the two control connections reached different servers");
        return;
    }
    struct follower_start start = {
        .consistent_lsn = f->consistent_point,
        .horizon_xid = xid,
        .wal_block_bytes = f->identity.wal_block_bytes,
        .wal_segment_bytes = f->identity.wal_segment_bytes,
        .pgoutput = *config_settings(f->config)->publication != '\0',
    };
    follower_begin(f->follower, &start);
    stream_start(f->stream);
    move(f, FOLLOWING_ON);
    step(f);
}

static void count_reading(struct following *f, const struct reading *reading, int64_t duration_us)
{
    f->status.flushed = reading->flush_lsn;
    if (reading->schema == READING_SCHEMA_UNREAD) {
        f->status.gates++;
        f->status.gate_us = duration_us;
    } else {
        f->status.readings++;
        f->status.reading_us = duration_us;
    }
}

static void on_result(void *arg, const struct reading *reading, int64_t duration_us)
{
    struct following *f = arg;
    count_reading(f, reading, duration_us);
    f->loads.schema_changed |= reading->schema == READING_SCHEMA_CHANGED;
    if (f->source != SOURCE_WAL) {
        own_writes_reading(f->own_writes, clock_us(), reading->schema == READING_SCHEMA_SAME);
    } else if (!follower_reading(f->follower, clock_us(), reading)) {
        lose(f, ledger_off_reason(f->ledger), "a reading could not be used");
        return;
    }
    tell(f);
    step(f);
}

static void on_progress(void *arg) // of either connection
{
    step(arg);
}

static void on_backends(void *arg, const uint32_t *alive, size_t n)
{
    struct following *f = arg;
    own_writes_doubts(f->own_writes, alive, n);
    step(f);
}

static void on_lost(void *arg, enum ledger_off_reason why, const char *sentence)
{
    lose(arg, why, sentence);
}

static const struct reading_listener reading_calls = {
    .ready = on_ready,
    .result = on_result,
    .loaded = on_loaded,
    .horizon = on_horizon,
    .flushed = on_progress,
    .source_ready = load,
    .notified = on_notified,
    .backends = on_backends,
    .lost = on_lost,
};

// ---- The stream --------------------------------------------------------------------------------

static void on_slot(void *arg, uint64_t consistent_point, uint64_t system)
{
    struct following *f = arg;
    f->consistent_point = consistent_point;
    f->status.system = system;
    move(f, FOLLOWING_HORIZON);
    reading_horizon(f->reading, stream_slot(f->stream));
}

static uint64_t on_data(void *arg, uint64_t lsn, struct slice bytes)
{
    struct following *f = arg;
    if (follower_data(f->follower, lsn, bytes))
        return follower_passed(f->follower);
    lose(f, ledger_off_reason(f->ledger), "a message of the stream could not be used");
    return 0;
}

static bool on_keepalive(void *arg, uint64_t wal_end)
{
    struct following *f = arg;
    if (follower_keepalive(f->follower, wal_end))
        return true;
    lose(f, ledger_off_reason(f->ledger), "a keepalive could not be used");
    return false;
}

static const struct stream_listener stream_calls = {
    .ready = on_slot,
    .data = on_data,
    .keepalive = on_keepalive,
    .drained = on_progress,
    .lost = on_lost,
};

// ---- From workers ------------------------------------------------------------------------------

static bool take_ticket(struct following *f, struct ticket *ticket)
{
    bool in_doubt = ticket->backend != 0; // stays so whatever becomes of the connection
    if (f->source != SOURCE_WAL && (f->state == FOLLOWING_ON || in_doubt)) {
        own_writes_ticket(f->own_writes, ticket);
        return true;
    }
    return follower_ticket(f->follower, ticket); // settles it at once while the ledger is off
}

// Without a connection there is no catalog to wait for: whatever comes loads it first.
static void take_ddl(struct following *f, struct mail *mail)
{
    bool more = mail->kind == DOMAIN_MAIL_DDL;
    mem_free(mail);
    if (f->state >= FOLLOWING_LOADING)
        loads_own_ddl(&f->loads, more);
    else
        ledger_lower_barrier(f->ledger);
}

void following_called(struct following *f)
{
    TAG_CHECK(f, FOLLOWING_TAG);
    bool sound = true;
    struct mail *next, *mail = domain_take_mail(f->domain);
    for (; mail != NULL; mail = next) {
        next = mail->next;
        if (mail->kind == DOMAIN_MAIL_TICKET)
            sound &= take_ticket(f, container_of(mail, struct ticket, mail));
        else
            take_ddl(f, mail);
    }
    if (!sound)
        lose(f, ledger_off_reason(f->ledger), "more own writes are under way than can be followed");
    loses_strays(f);
    step(f);
}

// ---- Life --------------------------------------------------------------------------------------

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct following *f = timer->data;
    TAG_CHECK(f, FOLLOWING_TAG);
    if (f->state == FOLLOWING_WAITING)
        begin(f);
    else
        step(f);
}

struct following *following_new(struct ev_loop *loop, struct domain *domain, struct config *config,
                                const struct following_peers *peers)
{
    struct following *f = mem_new(struct following);
    TAG_SET(f, FOLLOWING_TAG);
    f->loop = loop;
    f->domain = domain;
    f->ledger = domain_own_ledger(domain);
    f->config = config_ref(config);
    f->peers = *peers;
    backoff_reset(&f->backoff);
    loads_init(&f->loads, domain, f->ledger);
    int64_t max_staleness_us = config_settings(config)->max_staleness_us;
    f->follower = follower_new(f->ledger, max_staleness_us);
    f->own_writes = own_writes_new(f->ledger, max_staleness_us);
    ev_timer_init(&f->timer, on_timer, 0, 0);
    f->timer.data = f;
    move(f, FOLLOWING_WAITING);
    wait(f, 0);
    return f;
}

void following_free(struct following *f)
{
    TAG_CHECK(f, FOLLOWING_TAG);
    drop(f, LEDGER_OFF_DISABLED);
    following_called(f);
    follower_free(f->follower);
    own_writes_free(f->own_writes);
    config_unref(&f->config);
    TAG_CLEAR(f);
    mem_free(f);
}

void following_reload(struct following *f, struct config *config)
{
    TAG_CHECK(f, FOLLOWING_TAG);
    bool again = f->state == FOLLOWING_REFUSED || f->state == FOLLOWING_WAITING ||
                 target_login_changed(domain_target(f->domain), f->config, config);
    config_unref(&f->config);
    f->config = config_ref(config);
    int64_t max_staleness_us = config_settings(config)->max_staleness_us;
    follower_set_max_staleness(f->follower, max_staleness_us);
    own_writes_set_max_staleness(f->own_writes, max_staleness_us);
    if (!again)
        return;
    backoff_reset(&f->backoff);
    begin_anew(f);
}

bool following_is(const struct following *f, struct database_identity database)
{
    return f->state >= FOLLOWING_LOADING && database_identity_equal(f->identity.database, database);
}

void following_forsake(struct following *f, const struct domain *canonical)
{
    if (f->state != FOLLOWING_ALIAS || f->canonical != canonical)
        return;
    begin_anew(f);
}

struct domain *following_domain(const struct following *f)
{
    return f->domain;
}
