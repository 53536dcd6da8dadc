// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/protection.h"
#include "proxy/control/behind.h"
#include "proxy/control/closure.h"
#include "proxy/control/connection.h"
#include "proxy/control/notified.h"
#include "proxy/control/publication.h"
#include "proxy/control/result.h"
#include "proxy/control/schema.h"

enum { READING_TAG = 0x4ead1e60, SILENCE_MAX_S = 15 };

static const double LOGIN_TIMEOUT_S = 15;

// What was sent last. Each step is one query; the answer to it decides the next.
enum reading_step {
    STEP_LOGIN,
    STEP_SETTINGS,
    STEP_IDENTITY,
    STEP_PREPARE, // one after the other
    STEP_IDLE,
    STEP_READING, // full
    STEP_GATE,
    STEP_HORIZON,
    STEP_FLUSH,
    STEP_BACKENDS,
    STEP_LISTEN,
    STEP_PREPARE_PUBLISHED_READING,
    STEP_PREPARE_PUBLISHED_FINGERPRINT,
    STEP_PREPARE_PUBLISHED,
    // A load is one REPEATABLE READ transaction, so that all of it is of one snapshot.
    STEP_LOAD_BEGIN,
    STEP_LOAD_OLD_FINGERPRINT, // of what the previous catalog was loaded from
    STEP_LOAD_RELATIONS,
    STEP_LOAD_PARTS,
    STEP_LOAD_FINGERPRINT,     // the new baseline
    STEP_LOAD_PUBLISHED,
    STEP_LOAD_CAPTURES,
    STEP_LOAD_BEHIND,
    STEP_LOAD_COMMIT,
};

struct reading_connection {
    uint32_t tag;
    enum reading_step step;
    struct ev_loop *loop;          // borrows
    struct connection *connection; // owns
    ev_timer silence;              // bounds a request
    size_t prepared;               // how many statements
    PGresult *result;              // owns; of the step under way, until all of the answer is there
    int64_t sent_us;
    struct reading_identity identity;
    bool listens;
    char *publication;      // owns; NULL: none is watched
    char *publication_mark; // owns; what the first load found; NULL: before it

    // The catalog in force: the names it was loaded for and the relations that these led to, as
    // array literals, and the fingerprint.
    char *names;              // owns; NULL before the first load
    struct closure_oids oids; // owns
    char *baseline;           // owns
    uint64_t settings_hash;   // of the catalog in force
    // The load under way.
    struct catalog_builder *builder; // owns
    char *new_names;                 // owns
    struct closure_oids new_oids;    // owns
    char *new_baseline;              // owns
    bool changed;
    enum reading_publication published;

    struct reading_listener listener;
};

// ---- Sending -----------------------------------------------------------------------------------

static void fail(struct reading_connection *r, const char *sentence)
{
    connection_fail(r->connection, LEDGER_OFF_CONTROL_LOST, sentence);
}

static void sent(struct reading_connection *r, enum reading_step step, int ok)
{
    r->step = step;
    ev_timer_again(r->loop, &r->silence);
    if (ok == 0)
        fail(r, PQerrorMessage(connection_pg(r->connection)));
    else
        connection_flush(r->connection);
}

// With a parameter, the extended protocol; without, the simple one.
static void query(struct reading_connection *r, enum reading_step step, const char *sql,
                  const char *parameter)
{
    PGconn *pg = connection_pg(r->connection);
    int ok = parameter == NULL ? PQsendQuery(pg, sql)
                               : PQsendQueryParams(pg, sql, 1, NULL, &parameter, NULL, NULL, 0);
    sent(r, step, ok);
}

// A NULL parameter: the statement has none.
static void execute(struct reading_connection *r, enum reading_step step, const char *statement,
                    const char *parameter)
{
    PGconn *pg = connection_pg(r->connection);
    sent(r, step,
         PQsendQueryPrepared(pg, statement, parameter != NULL, &parameter, NULL, NULL, 0));
}

static void prepare(struct reading_connection *r, enum reading_step step, const char *statement,
                    const char *sql)
{
    sent(r, step, PQsendPrepare(connection_pg(r->connection), statement, sql, 0, NULL));
}

// A statement that watches the publication as well.
static void prepare_watching(struct reading_connection *r, enum reading_step step,
                             const char *statement, const char *sql)
{
    struct buf whole = {0};
    buf_printf(&whole, "%s%s", sql, publication_watch_sql(r->identity.version));
    buf_u8(&whole, '\0');
    prepare(r, step, statement, (const char *)whole.at);
    buf_fini(&whole);
}

// A reading or a fingerprint, of what is watched.
static void execute_watched(struct reading_connection *r, enum reading_step step,
                            const char *names, const struct closure_oids *oids)
{
    const char *parameters[] = {names, (const char *)oids->others.at,
                                (const char *)oids->members.at, r->publication};
    bool published = r->publication != NULL;
    const char *statement = step == STEP_READING ? published ? "published_reading" : "reading"
                                                 : published ? "published_fingerprint"
                                                             : "fingerprint";
    PGconn *pg = connection_pg(r->connection);
    sent(r, step, PQsendQueryPrepared(pg, statement, 3 + published, parameters, NULL, NULL, 0));
}

bool reading_idle(const struct reading_connection *r)
{
    return r != NULL && r->step == STEP_IDLE;
}

void reading_take(struct reading_connection *r, enum reading_kind kind)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE && r->names != NULL && kind != READING_NONE);
    r->sent_us = clock_us();
    if (kind == READING_FULL)
        execute_watched(r, STEP_READING, r->names, &r->oids);
    else
        execute(r, STEP_GATE, "gate", NULL);
}

void reading_load(struct reading_connection *r, const struct slice *names, size_t n,
                  uint64_t version)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE && r->builder == NULL);
    struct buf literal = {0};
    schema_array_literal(&literal, names, n);
    mem_free(r->new_names);
    r->new_names = (char *)literal.at; // ours from now on
    r->changed = r->names == NULL;
    r->builder = catalog_builder_new(version);
    if (r->identity.utf8)
        catalog_builder_utf8(r->builder);
    for (size_t i = 0; i < n; i++)
        catalog_builder_name(r->builder, names[i]);
    query(r, STEP_LOAD_BEGIN, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL);
}

void reading_horizon(struct reading_connection *r, const char *slot)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE);
    query(r, STEP_HORIZON, schema_horizon_sql, slot);
}

void reading_flush(struct reading_connection *r)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE);
    query(r, STEP_FLUSH, schema_flush_sql, NULL);
}

void reading_listen(struct reading_connection *r)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE);
    r->listens = true;
    query(r, STEP_LISTEN, "LISTEN " NOTIFIED_CHANNEL, NULL);
}

void reading_publication(struct reading_connection *r, const char *publication)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE && r->names == NULL && r->publication == NULL);
    r->publication = mem_strdup(publication);
    prepare_watching(r, STEP_PREPARE_PUBLISHED_READING, "published_reading", schema_reading_sql);
}

void reading_backends(struct reading_connection *r, const char *pids)
{
    TAG_CHECK(r, READING_TAG);
    CHECK(r->step == STEP_IDLE);
    query(r, STEP_BACKENDS, schema_backends_sql, pids);
}

// ---- Answers -----------------------------------------------------------------------------------

static void idle(struct reading_connection *r)
{
    r->step = STEP_IDLE;
    ev_timer_stop(r->loop, &r->silence);
}

static void prepare_next(struct reading_connection *r)
{
    static const struct {
        const char *name, *sql;
    } all[] = {
        {"reading", schema_reading_sql},         {"gate", schema_gate_sql},
        {"fingerprint", schema_fingerprint_sql}, {"relations", closure_relations_sql},
        {"parts", closure_parts_sql},            {"captures", schema_captures_sql},
        {"behind", behind_sql},
    };
    if (r->prepared < sizeof(all) / sizeof(all[0])) {
        prepare(r, STEP_PREPARE, all[r->prepared].name, all[r->prepared].sql);
        r->prepared++;
    } else {
        idle(r);
        r->listener.ready(r->listener.arg, &r->identity); // r may be gone
    }
}

static void take_identity(struct reading_connection *r, const PGresult *result)
{
    r->identity = (struct reading_identity){
        .database = {.started_us = result_number(result, 0, SCHEMA_IDENTITY_STARTED_US),
                     .database_oid = result_oid(result, 0, SCHEMA_IDENTITY_DATABASE_OID)},
        .version = (int)result_number(result, 0, SCHEMA_IDENTITY_VERSION),
        .in_recovery = result_flag(result, 0, SCHEMA_IDENTITY_RECOVERY),
        .logical = strcmp(PQgetvalue(result, 0, SCHEMA_IDENTITY_WAL_LEVEL), "logical") == 0,
        .utf8 = result_flag(result, 0, SCHEMA_IDENTITY_UTF8),
        .may_replicate = result_flag(result, 0, SCHEMA_IDENTITY_MAY_REPLICATE),
        .triggers = result_flag(result, 0, SCHEMA_IDENTITY_TRIGGERS),
        .wal_block_bytes = (uint32_t)result_number(result, 0, SCHEMA_IDENTITY_WAL_BLOCK),
        .wal_segment_bytes = (uint32_t)result_number(result, 0, SCHEMA_IDENTITY_WAL_SEGMENT),
    };
}

static enum reading_schema schema(const struct reading_connection *r, const PGresult *result)
{
    if (r->step == STEP_GATE)
        return READING_SCHEMA_UNREAD;
    bool same = strcmp(PQgetvalue(result, 0, 3), r->baseline) == 0;
    return same || protection_is_off(PROTECTION_SCHEMA) ? READING_SCHEMA_SAME
                                                        : READING_SCHEMA_CHANGED;
}

static void give_reading(struct reading_connection *r, const PGresult *result)
{
    struct reading reading = {
        .flush_lsn = result_lsn(result, 0, 0),
        .insert_lsn = result_lsn(result, 0, 1),
        .snapshot = slice_str(PQgetvalue(result, 0, 2)),
        .schema = schema(r, result),
    };
    idle(r);
    r->listener.result(r->listener.arg, &reading, clock_us() - r->sent_us); // r may be gone
}

static void give_backends(struct reading_connection *r, const PGresult *result)
{
    size_t n = (size_t)PQntuples(result);
    uint32_t *alive = mem_alloc((n + 1) * sizeof(*alive));
    for (size_t i = 0; i < n; i++)
        alive[i] = result_oid(result, (int)i, 0);
    idle(r);
    r->listener.backends(r->listener.arg, alive, n); // r may be gone
    mem_free(alive);
}

static void give_catalog(struct reading_connection *r)
{
    mem_free(r->names);
    mem_free(r->baseline);
    closure_oids_fini(&r->oids);
    r->names = r->new_names;
    r->oids = r->new_oids;
    r->baseline = r->new_baseline;
    r->new_names = r->new_baseline = NULL;
    r->new_oids = (struct closure_oids){0};
    struct catalog *catalog = catalog_builder_finish(r->builder);
    r->builder = NULL;
    r->changed |= catalog_settings_hash(catalog) != r->settings_hash; // sessions are asked anew
    r->settings_hash = catalog_settings_hash(catalog);
    idle(r);
    r->listener.loaded(r->listener.arg, catalog, r->changed, r->published); // r may be gone
}

static void load_behind(struct reading_connection *r)
{
    const char *oids = (const char *)r->new_oids.triggered.at;
    if (strcmp(oids, "{}") == 0) // mostly; and it takes longer to plan than to run
        query(r, STEP_LOAD_COMMIT, "COMMIT", NULL);
    else
        execute(r, STEP_LOAD_BEHIND, "behind", oids);
}

static void load_published(struct reading_connection *r)
{
    const char *parameters[] = {(const char *)r->new_oids.all.at, r->publication};
    PGconn *pg = connection_pg(r->connection);
    sent(r, STEP_LOAD_PUBLISHED,
         PQsendQueryPrepared(pg, "published", 2, parameters, NULL, NULL, 0));
}

// The stream began with what the first load found, or with something later, which then shows as a
// changed schema.
static bool take_published(struct reading_connection *r, const PGresult *result)
{
    char *mark;
    if (!publication_add(r->builder, result, &mark))
        return false;
    bool first = r->publication_mark == NULL;
    r->published = mark == NULL ? READING_PUBLICATION_MISSING
                   : first || strcmp(mark, r->publication_mark) == 0
                       ? READING_PUBLICATION_SAME
                       : READING_PUBLICATION_CHANGED;
    if (first)
        r->publication_mark = mark;
    else
        mem_free(mark);
    return true;
}

// The answer to a step was right: what is in it, and what comes next. r may be gone afterwards.
static void advance(struct reading_connection *r, const PGresult *result)
{
    switch (r->step) {
    case STEP_SETTINGS:
        query(r, STEP_IDENTITY, schema_identity_sql, NULL);
        return;
    case STEP_IDENTITY:
        take_identity(r, result);
        prepare_next(r);
        return;
    case STEP_PREPARE:
        prepare_next(r); // r may be gone
        return;
    case STEP_READING:
    case STEP_GATE:
        give_reading(r, result);
        return;
    case STEP_HORIZON:
        idle(r);
        r->listener.horizon(r->listener.arg, result_number(result, 0, 0),
                            result_flag(result, 0, 1));
        return;
    case STEP_FLUSH:
        idle(r);
        r->listener.flushed(r->listener.arg);
        return;
    case STEP_BACKENDS:
        give_backends(r, result);
        return;
    case STEP_LISTEN:
    case STEP_PREPARE_PUBLISHED:
        idle(r);
        r->listener.source_ready(r->listener.arg);
        return;
    case STEP_PREPARE_PUBLISHED_READING:
        prepare_watching(r, STEP_PREPARE_PUBLISHED_FINGERPRINT, "published_fingerprint",
                         schema_fingerprint_sql);
        return;
    case STEP_PREPARE_PUBLISHED_FINGERPRINT:
        prepare(r, STEP_PREPARE_PUBLISHED, "published",
                publication_tables_sql(r->identity.version));
        return;
    case STEP_LOAD_BEGIN:
        if (r->names != NULL)
            execute_watched(r, STEP_LOAD_OLD_FINGERPRINT, r->names, &r->oids);
        else
            execute(r, STEP_LOAD_RELATIONS, "relations", r->new_names);
        return;
    case STEP_LOAD_OLD_FINGERPRINT:
        r->changed = strcmp(PQgetvalue(result, 0, 0), r->baseline) != 0;
        execute(r, STEP_LOAD_RELATIONS, "relations", r->new_names);
        return;
    case STEP_LOAD_RELATIONS:
        if (!closure_add_relations(r->builder, result, r->listens, &r->new_oids))
            fail(r, "the relations were not listed as asked for");
        else
            execute(r, STEP_LOAD_PARTS, "parts", (const char *)r->new_oids.all.at);
        return;
    case STEP_LOAD_PARTS:
        if (!closure_add_parts(r->builder, result))
            fail(r, "the parts of relations were not listed as asked for");
        else
            execute_watched(r, STEP_LOAD_FINGERPRINT, r->new_names, &r->new_oids);
        return;
    case STEP_LOAD_FINGERPRINT:
        mem_free(r->new_baseline);
        r->new_baseline = mem_strdup(PQgetvalue(result, 0, 0));
        if (r->publication != NULL)
            load_published(r);
        else
            execute(r, STEP_LOAD_CAPTURES, "captures", r->new_names);
        return;
    case STEP_LOAD_PUBLISHED:
        if (!take_published(r, result))
            fail(r, "the publication was not listed as asked for");
        else
            execute(r, STEP_LOAD_CAPTURES, "captures", r->new_names);
        return;
    case STEP_LOAD_CAPTURES:
        if (!schema_add_captures(r->builder, result))
            fail(r, "functions and operators were not listed as asked for");
        else
            load_behind(r);
        return;
    case STEP_LOAD_BEHIND:
        if (!behind_add(r->builder, result))
            fail(r, "triggers were not listed as asked for");
        else
            query(r, STEP_LOAD_COMMIT, "COMMIT", NULL);
        return;
    case STEP_LOAD_COMMIT:
        give_catalog(r);
        return;
    case STEP_LOGIN:
    case STEP_IDLE:
        return;
    }
}

// How many columns the one row of a step's answer has; 0: none or any rows.
static int columns_expected(enum reading_step step)
{
    switch (step) {
    case STEP_IDENTITY:
        return SCHEMA_IDENTITY_COLUMNS;
    case STEP_READING:
        return 4;
    case STEP_GATE:
        return 3;
    case STEP_HORIZON:
        return 2;
    case STEP_LOAD_OLD_FINGERPRINT:
    case STEP_LOAD_FINGERPRINT:
        return 1;
    case STEP_LOGIN:
    case STEP_SETTINGS:
    case STEP_PREPARE:
    case STEP_PREPARE_PUBLISHED_READING:
    case STEP_PREPARE_PUBLISHED_FINGERPRINT:
    case STEP_PREPARE_PUBLISHED:
    case STEP_IDLE:
    case STEP_FLUSH:
    case STEP_BACKENDS:
    case STEP_LISTEN:
    case STEP_LOAD_PUBLISHED:
    case STEP_LOAD_BEGIN:
    case STEP_LOAD_RELATIONS:
    case STEP_LOAD_PARTS:
    case STEP_LOAD_CAPTURES:
    case STEP_LOAD_BEHIND:
    case STEP_LOAD_COMMIT:
        return 0;
    }
    return 0;
}

static void answer(struct reading_connection *r, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    int columns = columns_expected(r->step);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        char sentence[240];
        enum ledger_off_reason why = connection_error(result, sentence, sizeof(sentence));
        if (why == LEDGER_OFF_STREAM_LOST)
            why = LEDGER_OFF_CONTROL_LOST;
        connection_fail(r->connection, why, sentence);
    } else if (columns > 0 && (PQntuples(result) != 1 || PQnfields(result) != columns)) {
        fail(r, "an answer did not have the form that was asked for");
    } else {
        advance(r, result);
    }
}

// libpq keeps them in order of arrival, in front of the answer that came behind them.
static void hear(struct reading_connection *r)
{
    PGnotify *notify;
    while ((notify = PQnotifies(connection_pg(r->connection))) != NULL) {
        if (r->listens && strcmp(notify->relname, NOTIFIED_CHANNEL) == 0)
            r->listener.notified(r->listener.arg, slice_str(notify->extra));
        PQfreemem(notify);
    }
}

static void on_readable(void *arg)
{
    struct reading_connection *r = arg;
    TAG_CHECK(r, READING_TAG);
    PGconn *pg = connection_pg(r->connection);
    hear(r);
    while (!PQisBusy(pg)) {
        hear(r);
        PGresult *result = PQgetResult(pg);
        if (result != NULL) { // the first one counts, the end of the answer sends us on
            if (r->result == NULL)
                r->result = result;
            else
                PQclear(result);
            continue;
        }
        if (r->result == NULL)
            return;
        result = r->result;
        r->result = NULL;
        answer(r, result); // r may be gone
        PQclear(result);
        return;
    }
}

// ---- Life --------------------------------------------------------------------------------------

static void on_up(void *arg)
{
    query(arg, STEP_SETTINGS, schema_settings_sql, NULL);
}

static void on_down(void *arg, enum ledger_off_reason why, const char *sentence)
{
    struct reading_connection *r = arg;
    if (why == LEDGER_OFF_STREAM_LOST)
        why = LEDGER_OFF_CONTROL_LOST;
    r->listener.lost(r->listener.arg, why, sentence); // r is gone
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct reading_connection *r = timer->data;
    ev_timer_stop(loop, timer);
    fail(r, "the control connection has fallen silent");
}

struct reading_connection *reading_open(struct ev_loop *loop, const char *const *keywords,
                                        const char *const *values,
                                        const struct reading_listener *listener)
{
    struct reading_connection *r = mem_new(struct reading_connection);
    TAG_SET(r, READING_TAG);
    r->loop = loop;
    r->listener = *listener;
    ev_init(&r->silence, on_silence);
    r->silence.repeat = SILENCE_MAX_S;
    r->silence.data = r;
    struct connection_listener below = {
        .up = on_up, .readable = on_readable, .down = on_down, .arg = r};
    r->connection = connection_open(loop, keywords, values, LOGIN_TIMEOUT_S, &below);
    return r;
}

void reading_close(struct reading_connection *r)
{
    if (r == NULL)
        return;
    TAG_CHECK(r, READING_TAG);
    ev_timer_stop(r->loop, &r->silence);
    PQclear(r->result);
    connection_close(r->connection);
    catalog_builder_free(r->builder);
    mem_free(r->publication);
    mem_free(r->publication_mark);
    mem_free(r->names);
    mem_free(r->baseline);
    mem_free(r->new_names);
    mem_free(r->new_baseline);
    closure_oids_fini(&r->oids);
    closure_oids_fini(&r->new_oids);
    TAG_CLEAR(r);
    mem_free(r);
}
