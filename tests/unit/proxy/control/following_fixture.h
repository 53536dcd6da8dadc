// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL of its own, a control thread's set that follows it, and the steps that tests take.
// Of one test program.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ev.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/catalog.h"
#include "cache/ledger.h"
#include "cache/ticket.h"
#include "config/config.h"
#include "proxy/control/control.h"
#include "proxy/control/domain.h"

static char dir[64];
enum { port = 5432 }; // of its socket in dir: nobody else's
static struct ev_loop *loop;
static struct control *control;
static struct domain *domain;
static PGconn *sql;

static inline void cluster(const char *action)
{
    char command[256];
    snprintf(command, sizeof(command), "tests/lib/control_cluster.sh %s %s %d", action, dir, port);
    assert_int_equal(system(command), 0);
}

// slot: of a table; NULL: none.
static inline void in_doubt(struct domain *of, const uint32_t *slot, bool barrier, uint32_t backend)
{
    struct ticket_slots slots = {.written = slot, .n_written = slot != NULL};
    domain_in_doubt(of, &slots, barrier, backend);
}

static inline void wrote(struct domain *of, const uint32_t *slot, bool barrier)
{
    in_doubt(of, slot, barrier, 0);
}

static inline void ignore_notice(void *arg, const char *text)
{
}

static inline PGconn *connect_as(const char *user)
{
    char conninfo[256];
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%d dbname=postgres user=%s", dir, port,
             user);
    PGconn *pg = PQconnectdb(conninfo);
    if (PQstatus(pg) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(pg));
    PQsetNoticeProcessor(pg, ignore_notice, NULL);
    return pg;
}

static inline const char *run(const char *text)
{
    static char value[256];
    PGresult *result = PQexec(sql, text);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", text, PQerrorMessage(sql));
    snprintf(value, sizeof(value), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

static inline void on_tick(struct ev_loop *l, ev_timer *timer, int events)
{
    ev_break(l, EVBREAK_ONE);
}

static inline void pump_ms(int ms)
{
    ev_timer tick;
    ev_now_update(loop);
    ev_timer_init(&tick, on_tick, ms / 1e3, 0);
    ev_timer_start(loop, &tick);
    ev_run(loop, 0);
}

// False: it has not come true in far longer than it takes on a busy machine.
static inline bool pump_until(bool (*claim)(void))
{
    int64_t end_us = clock_us() + 20000000;
    while (!claim() && clock_us() < end_us)
        ev_run(loop, EVRUN_ONCE);
    return claim();
}

static inline struct ledger *ledger(void)
{
    return domain_ledger(domain);
}

static inline void copy_status(const struct domain_status *s, void *arg)
{
    struct domain_status *out = arg;
    if (out->id == s->id)
        *out = *s;
}

static inline struct domain_status status_of(struct domain *d)
{
    struct domain_status s = {.id = domain_id(d)};
    domains_status(control_domains(control), copy_status, &s);
    return s;
}

static inline bool is_on(void)
{
    return ledger_is_on(ledger());
}

static inline bool is_off(void)
{
    return !ledger_is_on(ledger());
}

static struct stamp stamp;
static uint32_t slot;

static inline enum ledger_verdict judge(void)
{
    return ledger_judge(ledger(), stamp, &slot, 1, clock_us(), 250000, INT64_MIN);
}

static inline void take_stamp(void)
{
    assert_true(ledger_stamp(ledger(), &stamp));
}

static inline bool is_dead(void)
{
    return judge() == LEDGER_DEAD;
}

static inline bool is_ok(void)
{
    return judge() == LEDGER_OK;
}

// As a worker would after it met a dead entry: a new fill.
static inline bool is_ok_anew(void)
{
    return ledger_stamp(ledger(), &stamp) && is_ok();
}

static uint64_t version_before;

static inline bool has_new_catalog(void)
{
    return domain_catalog_version(domain) != version_before;
}

static inline void want(const char *a, const char *b)
{
    struct slice names[] = {slice_str(a), slice_str(b)};
    version_before = domain_catalog_version(domain);
    domain_want_names(domain, names, 2);
}

static inline const struct catalog_relation *relation(struct catalog *catalog, const char *name)
{
    const struct catalog_relation *found = NULL;
    if (catalog_find(catalog, slice_str("public"), slice_str(name), &found) != CATALOG_FOUND)
        fail_msg("%s is not in the catalog", name);
    return found;
}

static inline struct config *configure(const char *extra)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/test.ini", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_port=1\nauth_type=any\n"
            "cache=on\ncontrol_user=ctl\nmax_staleness=0.25\n%s\n",
            dir, port, extra);
    fclose(f);
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);
    if (config == NULL)
        for (size_t i = 0; i < problems.count; i++)
            print_error("%s\n", problems.at[i].text);
    assert_non_null(config);
    problems_fini(&problems);
    return config;
}

static inline void start(const char *extra)
{
    struct config *config = configure(extra);
    control = control_new(loop, config);
    config_unref(&config);
    struct domain_target target = {.host = dir, .port = port, .dbname = "postgres"};
    domain = domains_get(control_domains(control), &target);
    slot = ledger_slot_of(slice_str("public"), slice_str("item"));
}

static inline int end(void **state)
{
    if (control != NULL)
        control_free(control);
    control = NULL;
    return 0;
}

#define FOLLOWING_TEST(f) cmocka_unit_test_teardown(f, end)

static inline void start_and_wait(const char *extra)
{
    start(extra);
    if (!pump_until(is_on))
        fail_msg("not on: %s", status_of(domain).reason);
}

static inline int group_setup(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/pgweir_control_XXXXXX");
    assert_non_null(mkdtemp(dir));
    cluster("start");
    loop = ev_loop_new(EVFLAG_AUTO);
    sql = connect_as("postgres");
    run("SET statement_timeout = '20s'");
    // A configuration that was just read may be news to some process: a change of the schema.
    run("SELECT pg_sleep(extract(epoch FROM pg_conf_load_time() + interval '1.1 second'"
        " - clock_timestamp()))");
    run("CREATE ROLE ctl LOGIN REPLICATION; CREATE ROLE app LOGIN;"
        "CREATE TABLE item (id int PRIMARY KEY, v int);"
        "CREATE TABLE child (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE);"
        "CREATE TABLE other (id int);"
        "CREATE FUNCTION touch_other() RETURNS trigger LANGUAGE plpgsql AS "
        " 'BEGIN INSERT INTO other VALUES (1); RETURN NULL; END';"
        "CREATE TABLE noted (id int);"
        "CREATE TRIGGER note AFTER INSERT ON noted EXECUTE FUNCTION touch_other();"
        "CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;"
        "CREATE TABLE by_tenant (o text); ALTER TABLE by_tenant ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON by_tenant USING (o = current_setting('App.Tenant', true) AND"
        " o <> session_user);"
        "CREATE TABLE by_clock (o text); ALTER TABLE by_clock ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON by_clock USING (now() > '2020-01-01');"
        "CREATE TABLE by_name (o text); ALTER TABLE by_name ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON by_name USING (o = current_setting(o, true));"
        "CREATE TABLE by_date (o text); ALTER TABLE by_date ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON by_date USING (current_date > '2020-01-01');"
        "CREATE TABLE by_other (o text); ALTER TABLE by_other ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON by_other USING (EXISTS (SELECT FROM by_tenant));"
        "CREATE UNLOGGED TABLE light (id int);"
        "CREATE VIEW seen AS SELECT * FROM item;"
        "CREATE TABLE parted (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE parent (id int); CREATE TABLE heir () INHERITS (parent);"
        "CREATE TABLE priced (id int, price money);"
        "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE moody (id int, m mood);"
        "CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TABLE domained (id positive);"
        "CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7';"
        "CREATE TABLE defaulted (id int DEFAULT seven());"
        "CREATE TABLE checked (id int CHECK (id < seven()));"
        "CREATE TABLE everything (a bool, b bytea, c \"char\", d int2, e int4, f int8, g float4,"
        " h float8, i numeric, j text, k varchar(3), l char(3), m date, n time,"
        " p timestamp, q timestamptz, r interval, s uuid, t json, u jsonb, v inet, w cidr,"
        " x macaddr, y int[], z text[], aa timestamptz[], ab serial, ac bit(3));"
        "CREATE TABLE \"We\"\"ird\" (id int);"
        "CREATE FUNCTION upper(text) RETURNS text LANGUAGE sql AS 'SELECT $1';"
        "CREATE FUNCTION far(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE OPERATOR <-> (LEFTARG = int, RIGHTARG = int, FUNCTION = far);"
        "INSERT INTO item VALUES (1, 0), (2, 0)");
    return 0;
}

static inline int group_teardown(void **state)
{
    PQfinish(sql);
    ev_loop_destroy(loop);
    cluster("stop");
    return 0;
}
