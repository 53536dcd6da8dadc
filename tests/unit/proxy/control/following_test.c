// SPDX-License-Identifier: Apache-2.0
// The control thread's set against a real PostgreSQL of its own: what the ledger and the catalog
// say after things that happen on the server.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ev.h>
#include <libpq-fe.h>
#include <pthread.h>
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
static int port;
static struct ev_loop *loop;
static struct control *control;
static struct domain *domain;
static PGconn *sql;

// ---- Tools -------------------------------------------------------------------------------------

static void cluster(const char *action)
{
    char command[256];
    snprintf(command, sizeof(command), "tests/lib/control_cluster.sh %s %s %d", action, dir, port);
    assert_int_equal(system(command), 0);
}

// slot: of a table; NULL: none.
static void in_doubt(struct domain *of, const uint32_t *slot, bool barrier, uint32_t backend)
{
    struct ticket_slots slots = {.written = slot, .n_written = slot != NULL};
    domain_in_doubt(of, &slots, barrier, backend);
}

static void wrote(struct domain *of, const uint32_t *slot, bool barrier)
{
    in_doubt(of, slot, barrier, 0);
}

static void ignore_notice(void *arg, const char *text)
{
}

static PGconn *connect_as(const char *user)
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

static const char *run(const char *text)
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

static void on_tick(struct ev_loop *l, ev_timer *timer, int events)
{
    ev_break(l, EVBREAK_ONE);
}

static void pump_ms(int ms)
{
    ev_timer tick;
    ev_now_update(loop);
    ev_timer_init(&tick, on_tick, ms / 1e3, 0);
    ev_timer_start(loop, &tick);
    ev_run(loop, 0);
}

static bool pump_until(bool (*claim)(void), int at_most_ms)
{
    int64_t end_us = clock_us() + (int64_t)at_most_ms * 1000;
    while (!claim() && clock_us() < end_us)
        ev_run(loop, EVRUN_ONCE);
    return claim();
}

static struct ledger *ledger(void)
{
    return domain_ledger(domain);
}

static void copy_status(const struct domain_status *s, void *arg)
{
    struct domain_status *out = arg;
    if (out->id == s->id)
        *out = *s;
}

static struct domain_status status_of(struct domain *d)
{
    struct domain_status s = {.id = domain_id(d)};
    domains_status(control_domains(control), copy_status, &s);
    return s;
}

static bool is_on(void)
{
    return ledger_is_on(ledger());
}

static bool is_off(void)
{
    return !ledger_is_on(ledger());
}

static struct stamp stamp;
static uint32_t slot;

static enum ledger_verdict judge(void)
{
    return ledger_judge(ledger(), stamp, &slot, 1, clock_us(), 250000, INT64_MIN);
}

static void take_stamp(void)
{
    assert_true(ledger_stamp(ledger(), &stamp));
}

static bool is_dead(void)
{
    return judge() == LEDGER_DEAD;
}

static bool is_ok(void)
{
    return judge() == LEDGER_OK;
}

// As a worker would after it met a dead entry: a new fill.
static bool is_ok_anew(void)
{
    return ledger_stamp(ledger(), &stamp) && is_ok();
}

static uint64_t version_before;

static bool has_new_catalog(void)
{
    return domain_catalog_version(domain) != version_before;
}

static void want(const char *a, const char *b)
{
    struct slice names[] = {slice_str(a), slice_str(b)};
    version_before = domain_catalog_version(domain);
    domain_want_names(domain, names, 2);
}

static const struct catalog_relation *relation(struct catalog *catalog, const char *name)
{
    const struct catalog_relation *found = NULL;
    if (catalog_find(catalog, slice_str("public"), slice_str(name), &found) != CATALOG_FOUND)
        fail_msg("%s is not in the catalog", name);
    return found;
}

static struct config *configure(const char *extra)
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

static void start(const char *extra)
{
    struct config *config = configure(extra);
    control = control_new(loop, config);
    config_unref(&config);
    struct domain_target target = {.host = dir, .port = port, .dbname = "postgres"};
    domain = domains_get(control_domains(control), &target);
    slot = ledger_slot_of(slice_str("public"), slice_str("item"));
}

static int end(void **state)
{
    if (control != NULL)
        control_free(control);
    control = NULL;
    return 0;
}

static void start_and_wait(const char *extra)
{
    start(extra);
    if (!pump_until(is_on, 5000))
        fail_msg("not on: %s", status_of(domain).reason);
}

// ---- Tests -------------------------------------------------------------------------------------

static void a_direct_update_is_followed_within_milliseconds(void **state)
{
    start_and_wait("");
    assert_int_equal(status_of(domain).state, DOMAIN_FOLLOWING);
    int64_t worst_us = 0, sum_us = 0;
    for (int i = 0; i < 50; i++) {
        assert_true(pump_until(is_ok_anew, 1000));
        run("UPDATE item SET v = v + 1 WHERE id = 1");
        int64_t from_us = clock_us();
        assert_true(pump_until(is_dead, 1000));
        int64_t took_us = clock_us() - from_us;
        worst_us = took_us > worst_us ? took_us : worst_us;
        sum_us += took_us;
        assert_true(pump_until(is_ok_anew, 1000)); // and refills soon live again
    }
    print_message("update to event: mean %lld us, worst %lld us; reading %lld us\n",
                  (long long)sum_us / 50, (long long)worst_us,
                  (long long)status_of(domain).reading_us);
    assert_true(sum_us / 50 < 20000);
}

static void freshness_goes_on_while_nothing_happens(void **state)
{
    start_and_wait("");
    take_stamp();
    for (int i = 0; i < 20; i++) {
        pump_ms(50);
        assert_int_equal(judge(), LEDGER_OK);
    }
}

static void a_commit_that_is_not_visible_yet_holds_stable_back(void **state)
{
    start_and_wait("");
    assert_true(pump_until(is_ok_anew, 1000));
    run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    run("SELECT pg_reload_conf()");
    pump_ms(100);
    PGconn *writer = connect_as("postgres");
    assert_int_equal(PQsendQuery(writer, "UPDATE item SET v = v + 1 WHERE id = 1"), 1);
    assert_true(pump_until(is_dead, 2000)); // the event has come,
    uint64_t stable = ledger_stable(ledger());
    for (int i = 0; i < 10; i++) { // but a refill in the meantime must not be served
        pump_ms(20);
        take_stamp();
        assert_int_equal(judge(), LEDGER_DEAD);
    }
    assert_true(ledger_stable(ledger()) == stable);
    run("ALTER SYSTEM RESET synchronous_standby_names");
    run("SELECT pg_reload_conf()");
    assert_true(pump_until(is_ok_anew, 2000));
    PGresult *result = PQgetResult(writer);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(writer);
    assert_true(ledger_stable(ledger()) > stable);
}

static void an_own_write_is_closed_and_then_placed(void **state)
{
    start_and_wait("");
    assert_true(pump_until(is_ok_anew, 1000));
    run("UPDATE item SET v = v + 1 WHERE id = 1");
    wrote(domain, &slot, false);
    assert_int_not_equal(judge(), LEDGER_OK); // at once
    take_stamp();
    assert_int_not_equal(judge(), LEDGER_OK);
    int64_t from_us = clock_us();
    assert_true(pump_until(is_ok_anew, 1000));
    print_message("own write to hits again: %lld us\n", (long long)(clock_us() - from_us));

    wrote(domain, NULL, true); // unknown effects
    assert_int_equal(judge(), LEDGER_BARRIER);
    assert_true(pump_until(is_ok, 1000)); // the barrier flushes nothing
}

static void with_asynchronous_commit_own_writes_are_placed_too(void **state)
{
    start_and_wait("");
    assert_true(pump_until(is_ok_anew, 1000));
    run("SET synchronous_commit = off");
    for (int i = 0; i < 20; i++) {
        run("UPDATE item SET v = v + 1 WHERE id = 1");
        wrote(domain, &slot, true);
        assert_int_not_equal(judge(), LEDGER_OK);
        assert_true(pump_until(is_ok_anew, 2000));
    }
    run("RESET synchronous_commit");
}

static void hurry_brings_a_later_freshness_soon(void **state)
{
    start_and_wait("max_staleness=5");
    take_stamp();
    pump_ms(50);
    int64_t after_us = clock_us(), from_us = after_us;
    while (ledger_fresh_us(ledger()) <= after_us) {
        domain_hurry(domain);
        ev_run(loop, EVRUN_ONCE);
        assert_true(clock_us() - from_us < 1000000);
    }
    print_message("hurry to fresh: %lld us\n", (long long)(clock_us() - from_us));
}

static void a_terminated_stream_turns_the_ledger_off_at_once(void **state)
{
    start_and_wait("");
    char slot_name[64];
    snprintf(slot_name, sizeof(slot_name), "%s", status_of(domain).slot);
    assert_true(slot_name[0] != '\0');
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "1");
    take_stamp();
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    int64_t from_us = clock_us();
    assert_true(pump_until(is_off, 2000));
    print_message("termination to off: %lld us\n", (long long)(clock_us() - from_us));
    assert_int_not_equal(judge(), LEDGER_OK);
    assert_true(pump_until(is_on, 5000));
    assert_int_equal(judge(), LEDGER_DEAD); // of another epoch
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "1");
    char query[128];
    snprintf(query, sizeof(query),
             "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s'", slot_name);
    assert_string_equal(run(query), "0");
    assert_int_equal(status_of(domain).reconnects, 1);
    // An own write while off settles without anybody's help.
    assert_true(pump_until(is_ok_anew, 1000));

    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgweir control'");
    assert_true(pump_until(is_off, 2000));
    wrote(domain, &slot, true);
    domain_ddl(domain);
    assert_true(pump_until(is_on, 5000));
    assert_true(pump_until(is_ok_anew, 1000));

    control_free(control);
    control = NULL;
    for (int i = 0; i < 100 && strcmp(run("SELECT count(*) FROM pg_replication_slots"), "0"); i++)
        usleep(20000);
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "0");
}

static void a_server_restart_is_survived(void **state)
{
    start_and_wait("");
    PQfinish(sql);
    cluster("restart_in_background"); // at its end the server waits for the stream's reader
    assert_true(pump_until(is_off, 5000));
    assert_true(pump_until(is_on, 20000));
    sql = connect_as("postgres");
}

static void schema_changes_end_entries_and_reload_the_catalog(void **state)
{
    static const char *const changes[] = {
        "ALTER TABLE item ADD COLUMN extra int",
        "ALTER TABLE item DROP COLUMN extra",
        "ALTER TABLE item RENAME COLUMN v TO w",
        "ALTER TABLE item RENAME COLUMN w TO v",
        "GRANT SELECT ON item TO app",
        "REVOKE SELECT ON item FROM app",
        "GRANT SELECT (v) ON item TO app",
        "REVOKE SELECT (v) ON item FROM app",
        "REVOKE USAGE ON SCHEMA public FROM public",
        "GRANT USAGE ON SCHEMA public TO public",
        "GRANT app TO ctl",
        "REVOKE app FROM ctl",
        "ALTER ROLE app BYPASSRLS",
        "ALTER ROLE app NOBYPASSRLS",
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE item DISABLE ROW LEVEL SECURITY",
        "CREATE TRIGGER one AFTER INSERT ON item EXECUTE FUNCTION touch_other()",
        "CREATE TRIGGER two AFTER INSERT ON item EXECUTE FUNCTION touch_other()",
        "DROP TRIGGER two ON item",
        "DROP TRIGGER one ON item",
        "ALTER TABLE item ALTER v SET DEFAULT 7",
        "ALTER TABLE item ALTER v SET DEFAULT 8",
        "CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION lower(int)",
        "CREATE SCHEMA elsewhere CREATE TABLE item (id int)",
        "DROP SCHEMA elsewhere CASCADE",
        "BEGIN; INSERT INTO other VALUES (1); ALTER TABLE item ADD COLUMN x int; COMMIT",
        "ALTER TABLE item DROP COLUMN x",
    };
    start_and_wait("");
    want("item", "other");
    assert_true(pump_until(has_new_catalog, 2000));
    int64_t worst_us = 0;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_true(pump_until(is_ok_anew, 2000));
        slot = ledger_slot_of(slice_str("public"), slice_str("unrelated"));
        assert_true(pump_until(is_ok_anew, 2000));
        version_before = domain_catalog_version(domain);
        run(changes[i]);
        int64_t from_us = clock_us();
        if (!pump_until(is_dead, 1000) || !pump_until(has_new_catalog, 1000))
            fail_msg("not seen: %s", changes[i]);
        int64_t took_us = clock_us() - from_us;
        worst_us = took_us > worst_us ? took_us : worst_us;
    }
    print_message("schema change to new catalog: worst %lld us\n", (long long)worst_us);
    // What changes nothing for us must not end anything.
    assert_true(pump_until(is_ok_anew, 2000));
    pump_ms(100);
    take_stamp();
    run("ANALYZE item");
    run("VACUUM item");
    run("CREATE TABLE quite_another (id int)");
    run("DROP TABLE quite_another");
    run("CREATE TEMP TABLE item (id int)");
    run("DROP TABLE pg_temp.item");
    pump_ms(300);
    assert_int_equal(judge(), LEDGER_OK);
}

static void own_ddl_stops_hits_until_the_catalog_is_new(void **state)
{
    start_and_wait("");
    want("item", "other");
    assert_true(pump_until(has_new_catalog, 2000));
    assert_true(pump_until(is_ok_anew, 1000));
    version_before = domain_catalog_version(domain);
    run("ALTER TABLE other ADD COLUMN z int");
    domain_ddl(domain);
    assert_true(is_dead() || judge() == LEDGER_BARRIER);
    take_stamp();
    assert_int_equal(judge(), LEDGER_BARRIER);
    assert_true(pump_until(is_ok_anew, 1000));
    assert_true(has_new_catalog());
    run("ALTER TABLE other DROP COLUMN z");
}

static void truncate_and_cascades_are_events(void **state)
{
    static const char *const writes[] = {
        "TRUNCATE child, item",
        "INSERT INTO item VALUES (1, 0), (2, 0)",
        "INSERT INTO child VALUES (1, 1)",
        "DELETE FROM item WHERE id = 1", // cascades to child
    };
    start_and_wait("");
    for (size_t i = 0; i < 4; i++) {
        slot = ledger_slot_of(slice_str("public"), slice_str(i < 2 ? "item" : "child"));
        assert_true(pump_until(is_ok_anew, 2000));
        run(writes[i]);
        assert_true(pump_until(is_dead, 1000));
    }
    run("INSERT INTO item VALUES (1, 0)");
}

static void the_catalog_says_what_may_be_cached(void **state)
{
    static const struct {
        const char *name;
        enum bypass bypass;
        bool writes_known;
    } expected[] = {
        {"item", BYPASS_NONE, false}, // a cascade hangs on it
        {"child", BYPASS_NONE, true}, // only looks at item
        {"other", BYPASS_NONE, true},
        {"noted", BYPASS_NONE, false}, // trigger
        {"guarded", BYPASS_NONE, false}, // nobody sees a row
        {"by_tenant", BYPASS_NONE, false},
        {"by_clock", BYPASS_POLICY_FUNCTION, false},
        {"by_name", BYPASS_POLICY_SETTING, false},
        {"by_date", BYPASS_ROW_SECURITY, false},
        {"by_other", BYPASS_NONE, false}, // a policy reads another
        {"light", BYPASS_RELATION_KIND, true}, // unlogged
        {"seen", BYPASS_NONE, false}, // view
        {"parted", BYPASS_NONE, true},
        {"parted_1", BYPASS_NONE, true},
        {"parent", BYPASS_NONE, true},
        {"priced", BYPASS_NONE, true},
        {"moody", BYPASS_NONE, true},
        {"domained", BYPASS_NONE, false},
        {"defaulted", BYPASS_NONE, false},
        {"checked", BYPASS_NONE, false},
        {"everything", BYPASS_NONE, true},
        {"We\"ird", BYPASS_NONE, true},
    };
    enum { N = sizeof(expected) / sizeof(expected[0]) };
    start_and_wait("");
    struct slice names[N + 1];
    for (size_t i = 0; i < N; i++)
        names[i] = slice_str(expected[i].name);
    names[N] = slice_of("\xff\xfe", 2); // must not spoil the query
    version_before = domain_catalog_version(domain);
    domain_want_names(domain, names, N + 1);
    assert_true(pump_until(has_new_catalog, 2000));
    uint64_t epoch = ledger_epoch(ledger());
    struct catalog *catalog = domain_catalog_ref(domain);
    for (size_t i = 0; i < N; i++) {
        const struct catalog_relation *r = relation(catalog, expected[i].name);
        if (r->bypass != expected[i].bypass || r->writes_known != expected[i].writes_known)
            fail_msg("%s: %s, writes %sknown", expected[i].name, bypass_name(r->bypass),
                     r->writes_known ? "" : "un");
    }
    size_t settings;
    const struct slice *setting = catalog_settings(catalog, &settings);
    assert_true(settings == 1 && slice_is(setting[0], "app.tenant"));
    assert_true(relation(catalog, "by_tenant")->reads_settings);
    assert_true(relation(catalog, "by_other")->reads_settings);
    assert_false(relation(catalog, "by_clock")->reads_settings);
    assert_int_equal(relation(catalog, "by_other")->read_count, 2);
    assert_false(catalog_knows(catalog, slice_str("never_asked")));
    assert_true(catalog_captures_function(catalog, slice_str("upper")));
    assert_false(catalog_captures_function(catalog, slice_str("lower")));
    assert_true(catalog_captures_operator(catalog, slice_str("<->")));
    assert_int_equal(catalog_denied(catalog), BYPASS_NONE);
    catalog_unref(&catalog);

    // New names alone end nothing.
    want("quite", "new");
    assert_true(pump_until(has_new_catalog, 2000));
    assert_true(ledger_epoch(ledger()) == epoch);
    want("quite", "new"); // asked for already
    pump_ms(20);
    assert_false(has_new_catalog());
}

static void a_cast_between_builtin_types_denies_the_database(void **state)
{
    run("CREATE FUNCTION to_bool(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "CREATE CAST (text AS bool) WITH FUNCTION to_bool(text)");
    start_and_wait("");
    struct catalog *catalog = domain_catalog_ref(domain);
    assert_int_equal(catalog_denied(catalog), BYPASS_CAST);
    catalog_unref(&catalog);
    run("DROP FUNCTION to_bool(text) CASCADE");
}

static struct domain *second_name;

static bool agree(void)
{
    return status_of(domain).canonical_id == status_of(second_name).canonical_id;
}

static void two_names_of_one_database_share_a_ledger(void **state)
{
    start_and_wait("");
    struct domain_target target = {.host = "127.0.0.1", .port = port, .dbname = "postgres"};
    struct domain *second = domains_get(control_domains(control), &target);
    second_name = second;
    assert_true(second != domain);
    assert_true(domains_get(control_domains(control), &target) == second);
    // Before it is known which database that is, a write through it stops the other's hits.
    assert_true(pump_until(is_ok_anew, 1000));
    wrote(second, &slot, false);
    assert_int_equal(judge(), LEDGER_BARRIER);
    for (int i = 0; i < 200 && status_of(second).state != DOMAIN_ALIAS; i++)
        pump_ms(10);
    assert_int_equal(status_of(second).state, DOMAIN_ALIAS);
    assert_ptr_equal(domain_canonical(second), domain);
    assert_ptr_equal(domain_ledger(second), ledger());
    assert_true(pump_until(is_ok_anew, 1000));
    wrote(second, &slot, false);
    assert_int_not_equal(judge(), LEDGER_OK);
    assert_true(pump_until(is_ok_anew, 1000));
    // One of them loses its connection: both find out again who they are.
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgweir control'");
    assert_true(pump_until(is_off, 5000));
    assert_true(pump_until(is_on, 5000));
    assert_true(pump_until(agree, 5000));
    assert_int_equal(status_of(domain).canonical_id, status_of(second).canonical_id);
}

static bool tells_why(void)
{
    struct domain_status s = status_of(domain);
    return s.state == DOMAIN_WAITING && s.reason[0] != '\0';
}

static void what_forbids_following_is_told(void **state)
{
    run("ALTER ROLE ctl NOREPLICATION");
    start("");
    assert_true(pump_until(tells_why, 5000));
    struct domain_status s = status_of(domain);
    assert_int_equal(s.state, DOMAIN_WAITING);
    assert_non_null(strstr(s.reason, "REPLICATION"));
    assert_int_equal(ledger_off_reason(ledger()), LEDGER_OFF_PRIVILEGE);
    end(NULL);
    run("ALTER ROLE ctl REPLICATION");

    start("control_user=nobody_here");
    assert_true(pump_until(tells_why, 5000));
    s = status_of(domain);
    assert_int_equal(s.state, DOMAIN_WAITING);
    assert_non_null(strstr(s.reason, "nobody_here"));
    struct config *config = configure(""); // a reload mends it at once
    control_reload(control, config);
    config_unref(&config);
    assert_true(pump_until(is_on, 5000));
    config = configure("cache=off");
    control_reload(control, config);
    config_unref(&config);
    assert_true(is_off());
    pump_ms(20);
    assert_int_equal(status_of(domain).state, DOMAIN_REFUSED);
}

static void own_writes_alone_can_be_trusted(void **state)
{
    start_and_wait("invalidation=proxy");
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "0");
    assert_true(pump_until(is_ok_anew, 1000));
    wrote(domain, &slot, false);
    assert_int_equal(judge(), LEDGER_CLOSED);
    struct stamp old = stamp;
    assert_true(pump_until(is_ok_anew, 1000));
    struct stamp new = stamp;
    stamp = old;
    assert_int_equal(judge(), LEDGER_DEAD);
    stamp = new;
    wrote(domain, NULL, true);
    assert_int_equal(judge(), LEDGER_BARRIER);
    assert_true(pump_until(is_ok_anew, 1000));
    stamp = new;
    assert_int_equal(judge(), LEDGER_DEAD);
    want("item", "other");
    assert_true(pump_until(has_new_catalog, 1000));
    assert_true(pump_until(is_ok_anew, 1000));
    run("ALTER TABLE item ADD COLUMN q int");
    assert_true(pump_until(is_dead, 1000));
    run("ALTER TABLE item DROP COLUMN q");
}

// Nobody was told whether it is committed, and it may yet be, as long as its process lives.
static void a_write_in_doubt_is_held_while_its_process_lives(void **state)
{
    start_and_wait("invalidation=proxy");
    assert_true(pump_until(is_ok_anew, 1000));
    PGconn *writer = connect_as("postgres");
    PQclear(PQexec(writer, "BEGIN; UPDATE item SET v = v + 1 WHERE id = 2"));
    in_doubt(domain, &slot, false, (uint32_t)PQbackendPID(writer));
    struct stamp old = stamp;
    pump_ms(150);
    take_stamp();
    assert_int_equal(judge(), LEDGER_CLOSED);
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgweir control'");
    assert_true(pump_until(is_off, 2000));
    PGconn *other = connect_as("postgres");
    in_doubt(domain, NULL, true, (uint32_t)PQbackendPID(other)); // while it is off
    assert_true(pump_until(is_on, 5000));
    pump_ms(100);
    assert_int_equal(ledger_barriers(ledger()), 1);
    PQfinish(other);
    for (int i = 0; i < 100 && ledger_barriers(ledger()) > 0; i++)
        pump_ms(10);
    take_stamp();
    assert_int_equal(judge(), LEDGER_CLOSED);
    PQclear(PQexec(writer, "COMMIT"));
    pump_ms(100);
    assert_int_equal(judge(), LEDGER_CLOSED);
    PQfinish(writer);
    assert_true(pump_until(is_ok_anew, 1000));
    stamp = old;
    assert_int_equal(judge(), LEDGER_DEAD);
    end(NULL);

    start_and_wait(""); // with the WAL it is as any other
    assert_true(pump_until(is_ok_anew, 1000));
    in_doubt(domain, &slot, true, (uint32_t)PQbackendPID(sql));
    assert_int_not_equal(judge(), LEDGER_OK);
    assert_true(pump_until(is_ok_anew, 1000));
}

static _Atomic bool workers_stop;

// What a worker may do, all at once, from several threads.
static void *worker(void *arg)
{
    uint64_t n = (uintptr_t)arg * 7919;
    while (!workers_stop) {
        char text[32];
        snprintf(text, sizeof(text), "name_%d", (int)(n % 50));
        struct slice name = slice_str(text);
        domain_want_names(domain, &name, 1);
        domain_hurry(domain);
        struct catalog *catalog = domain_catalog_ref(domain);
        if (catalog != NULL)
            catalog_knows(catalog, name);
        catalog_unref(&catalog);
        wrote(domain, &slot, n % 5 == 0);
        if (n % 97 == 0)
            domain_ddl(domain);
        usleep(200);
        n++;
    }
    return NULL;
}

static void workers_do_everything_at_once(void **state)
{
    pthread_t threads[3];
    start_and_wait("");
    workers_stop = false;
    for (uintptr_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, (void *)i), 0);
    for (int i = 0; i < 3; i++) {
        pump_ms(300);
        run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    }
    workers_stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    // Every slot that was closed is open again, every barrier lowered.
    assert_true(pump_until(is_on, 5000));
    assert_true(pump_until(is_ok_anew, 5000));
    assert_int_equal(ledger_barriers(ledger()), 0);
}

static int group_setup(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/pgweir_control_%d", (int)getpid());
    port = 20000 + (int)getpid() % 20000;
    cluster("start");
    loop = ev_loop_new(EVFLAG_AUTO);
    sql = connect_as("postgres");
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

static int group_teardown(void **state)
{
    PQfinish(sql);
    ev_loop_destroy(loop);
    cluster("stop");
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, end)
    const struct CMUnitTest tests[] = {
        TEST(a_direct_update_is_followed_within_milliseconds),
        TEST(freshness_goes_on_while_nothing_happens),
        TEST(a_commit_that_is_not_visible_yet_holds_stable_back),
        TEST(an_own_write_is_closed_and_then_placed),
        TEST(with_asynchronous_commit_own_writes_are_placed_too),
        TEST(hurry_brings_a_later_freshness_soon),
        TEST(a_terminated_stream_turns_the_ledger_off_at_once),
        TEST(a_server_restart_is_survived),
        TEST(schema_changes_end_entries_and_reload_the_catalog),
        TEST(own_ddl_stops_hits_until_the_catalog_is_new),
        TEST(truncate_and_cascades_are_events),
        TEST(the_catalog_says_what_may_be_cached),
        TEST(a_cast_between_builtin_types_denies_the_database),
        TEST(two_names_of_one_database_share_a_ledger),
        TEST(what_forbids_following_is_told),
        TEST(own_writes_alone_can_be_trusted),
        TEST(a_write_in_doubt_is_held_while_its_process_lives),
        TEST(workers_do_everything_at_once),
    };
    return cmocka_run_group_tests_name("following", tests, group_setup, group_teardown);
}
