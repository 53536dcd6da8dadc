// SPDX-License-Identifier: Apache-2.0
// The control thread's set against a real PostgreSQL: what the ledger says after things that happen
// on the server.
#include "tests/unit/proxy/control/following_fixture.h"

#include <pthread.h>
#include <signal.h>

static void a_direct_update_is_followed_within_milliseconds(void **state)
{
    start_and_wait("");
    assert_int_equal(status_of(domain).state, DOMAIN_FOLLOWING);
    int64_t worst_us = 0, sum_us = 0;
    for (int i = 0; i < 50; i++) {
        assert_true(pump_until(is_ok_anew));
        run("UPDATE item SET v = v + 1 WHERE id = 1");
        int64_t from_us = clock_us();
        assert_true(pump_until(is_dead));
        int64_t took_us = clock_us() - from_us;
        worst_us = took_us > worst_us ? took_us : worst_us;
        sum_us += took_us;
        assert_true(pump_until(is_ok_anew)); // and refills soon live again
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

// It is the one that tells everybody whether commits wait; a reload by all would be a change of the
// schema.
static void tell_checkpointer(void)
{
    const char *pid = run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    assert_int_equal(kill((pid_t)atoi(pid), SIGHUP), 0);
}

static void a_commit_that_is_not_visible_yet_holds_stable_back(void **state)
{
    start_and_wait("");
    assert_true(pump_until(is_ok_anew));
    run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    tell_checkpointer();
    pump_ms(100);
    PGconn *writer = connect_as("postgres");
    assert_int_equal(PQsendQuery(writer, "UPDATE item SET v = v + 1 WHERE id = 1"), 1);
    assert_true(pump_until(is_dead)); // the event has come,
    uint64_t stable = ledger_stable(ledger());
    for (int i = 0; i < 10; i++) { // but a refill in the meantime must not be served
        pump_ms(20);
        take_stamp();
        assert_int_equal(judge(), LEDGER_DEAD);
    }
    assert_true(ledger_stable(ledger()) == stable);
    run("ALTER SYSTEM RESET synchronous_standby_names");
    tell_checkpointer();
    assert_true(pump_until(is_ok_anew));
    PGresult *result = PQgetResult(writer);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(writer);
    assert_true(ledger_stable(ledger()) > stable);
}

static void an_own_write_is_closed_and_then_placed(void **state)
{
    start_and_wait("");
    assert_true(pump_until(is_ok_anew));
    run("UPDATE item SET v = v + 1 WHERE id = 1");
    wrote(domain, &slot, false);
    assert_int_not_equal(judge(), LEDGER_OK); // at once
    take_stamp();
    assert_int_not_equal(judge(), LEDGER_OK);
    int64_t from_us = clock_us();
    assert_true(pump_until(is_ok_anew));
    print_message("own write to hits again: %lld us\n", (long long)(clock_us() - from_us));

    wrote(domain, NULL, true); // unknown effects
    assert_int_equal(judge(), LEDGER_BARRIER);
    assert_true(pump_until(is_ok)); // the barrier flushes nothing
}

static void with_asynchronous_commit_own_writes_are_placed_too(void **state)
{
    start_and_wait("");
    assert_true(pump_until(is_ok_anew));
    run("SET synchronous_commit = off");
    for (int i = 0; i < 20; i++) {
        run("UPDATE item SET v = v + 1 WHERE id = 1");
        wrote(domain, &slot, true);
        assert_int_not_equal(judge(), LEDGER_OK);
        assert_true(pump_until(is_ok_anew));
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
    snprintf(slot_name, sizeof(slot_name), "%s", status_of(domain).stream.slot);
    assert_true(slot_name[0] != '\0');
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "1");
    take_stamp();
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    int64_t from_us = clock_us();
    assert_true(pump_until(is_off));
    print_message("termination to off: %lld us\n", (long long)(clock_us() - from_us));
    assert_int_not_equal(judge(), LEDGER_OK);
    assert_true(pump_until(is_on));
    assert_int_equal(judge(), LEDGER_DEAD); // of another epoch
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "1");
    char query[128];
    snprintf(query, sizeof(query),
             "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s'", slot_name);
    assert_string_equal(run(query), "0");
    assert_int_equal(status_of(domain).reconnects, 1);
    // An own write while off settles without anybody's help.
    assert_true(pump_until(is_ok_anew));

    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgweir control'");
    assert_true(pump_until(is_off));
    wrote(domain, &slot, true);
    domain_ddl(domain, true, false);
    assert_true(pump_until(is_on));
    assert_true(pump_until(is_ok_anew));

    control_free(control);
    control = NULL;
    for (int i = 0; i < 2000 && strcmp(run("SELECT count(*) FROM pg_replication_slots"), "0"); i++)
        usleep(20000);
    assert_string_equal(run("SELECT count(*) FROM pg_replication_slots"), "0");
}

static void a_server_restart_is_survived(void **state)
{
    start_and_wait("");
    PQfinish(sql);
    cluster("restart_in_background"); // at its end the server waits for the stream's reader
    assert_true(pump_until(is_off));
    assert_true(pump_until(is_on));
    sql = connect_as("postgres");
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
        assert_true(pump_until(is_ok_anew));
        run(writes[i]);
        assert_true(pump_until(is_dead));
    }
    run("INSERT INTO item VALUES (1, 0)");
}

static struct domain *second_name;

static bool agree(void)
{
    return status_of(domain).canonical_id == status_of(second_name).canonical_id;
}

static void two_names_of_one_database_share_a_ledger(void **state)
{
    start_and_wait("");
    char second_dir[80];
    snprintf(second_dir, sizeof(second_dir), "%s/second", dir);
    struct domain_target target = {.host = second_dir, .port = port, .dbname = "postgres"};
    struct domain *second = domains_get(control_domains(control), &target);
    second_name = second;
    assert_true(second != domain);
    assert_true(domains_get(control_domains(control), &target) == second);
    // Before it is known which database that is, a write through it stops the other's hits.
    assert_true(pump_until(is_ok_anew));
    wrote(second, &slot, false);
    assert_int_equal(judge(), LEDGER_BARRIER);
    for (int i = 0; i < 2000 && status_of(second).state != DOMAIN_ALIAS; i++)
        pump_ms(10);
    assert_int_equal(status_of(second).state, DOMAIN_ALIAS);
    assert_ptr_equal(domain_canonical(second), domain);
    assert_ptr_equal(domain_ledger(second), ledger());
    assert_true(pump_until(is_ok_anew));
    wrote(second, &slot, false);
    assert_int_not_equal(judge(), LEDGER_OK);
    assert_true(pump_until(is_ok_anew));
    // One of them loses its connection: both find out again who they are.
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgweir control'");
    assert_true(pump_until(is_off));
    assert_true(pump_until(is_on));
    assert_true(pump_until(agree));
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
    assert_true(pump_until(tells_why));
    struct domain_status s = status_of(domain);
    assert_int_equal(s.state, DOMAIN_WAITING);
    assert_non_null(strstr(s.reason, "REPLICATION"));
    assert_int_equal(ledger_off_reason(ledger()), LEDGER_OFF_PRIVILEGE);
    end(NULL);
    run("ALTER ROLE ctl REPLICATION");

    start("control_user=nobody_here");
    assert_true(pump_until(tells_why));
    s = status_of(domain);
    assert_int_equal(s.state, DOMAIN_WAITING);
    assert_non_null(strstr(s.reason, "nobody_here"));
    struct config *config = configure(""); // a reload mends it at once
    control_reload(control, config);
    config_unref(&config);
    assert_true(pump_until(is_on));
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
    assert_true(pump_until(is_ok_anew));
    wrote(domain, &slot, false);
    assert_int_equal(judge(), LEDGER_CLOSED);
    struct stamp old = stamp;
    assert_true(pump_until(is_ok_anew));
    struct stamp new = stamp;
    stamp = old;
    assert_int_equal(judge(), LEDGER_DEAD);
    stamp = new;
    wrote(domain, NULL, true);
    assert_int_equal(judge(), LEDGER_BARRIER);
    assert_true(pump_until(is_ok_anew));
    stamp = new;
    assert_int_equal(judge(), LEDGER_DEAD);
    want("item", "other");
    assert_true(pump_until(has_new_catalog));
    assert_true(pump_until(is_ok_anew));
    run("ALTER TABLE item ADD COLUMN q int");
    assert_true(pump_until(is_dead));
    run("ALTER TABLE item DROP COLUMN q");
}

// Nobody was told whether it is committed, and it may yet be, as long as its process lives.
static void a_write_in_doubt_is_held_while_its_process_lives(void **state)
{
    start_and_wait("invalidation=proxy");
    assert_true(pump_until(is_ok_anew));
    PGconn *writer = connect_as("postgres");
    PQclear(PQexec(writer, "BEGIN; UPDATE item SET v = v + 1 WHERE id = 2"));
    in_doubt(domain, &slot, false, (uint32_t)PQbackendPID(writer));
    struct stamp old = stamp;
    pump_ms(150);
    take_stamp();
    assert_int_equal(judge(), LEDGER_CLOSED);
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgweir control'");
    assert_true(pump_until(is_off));
    PGconn *other = connect_as("postgres");
    in_doubt(domain, NULL, true, (uint32_t)PQbackendPID(other)); // while it is off
    assert_true(pump_until(is_on));
    pump_ms(100);
    assert_int_equal(ledger_barriers(ledger()), 1);
    PQfinish(other);
    for (int i = 0; i < 2000 && ledger_barriers(ledger()) > 0; i++)
        pump_ms(10);
    take_stamp();
    assert_int_equal(judge(), LEDGER_CLOSED);
    PQclear(PQexec(writer, "COMMIT"));
    pump_ms(100);
    assert_int_equal(judge(), LEDGER_CLOSED);
    PQfinish(writer);
    assert_true(pump_until(is_ok_anew));
    stamp = old;
    assert_int_equal(judge(), LEDGER_DEAD);
    end(NULL);

    start_and_wait(""); // with the WAL it is as any other
    assert_true(pump_until(is_ok_anew));
    in_doubt(domain, &slot, true, (uint32_t)PQbackendPID(sql));
    assert_int_not_equal(judge(), LEDGER_OK);
    assert_true(pump_until(is_ok_anew));
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
            domain_ddl(domain, true, false);
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
    assert_true(pump_until(is_on));
    assert_true(pump_until(is_ok_anew));
    assert_int_equal(ledger_barriers(ledger()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLLOWING_TEST(a_direct_update_is_followed_within_milliseconds),
        FOLLOWING_TEST(freshness_goes_on_while_nothing_happens),
        FOLLOWING_TEST(a_commit_that_is_not_visible_yet_holds_stable_back),
        FOLLOWING_TEST(an_own_write_is_closed_and_then_placed),
        FOLLOWING_TEST(with_asynchronous_commit_own_writes_are_placed_too),
        FOLLOWING_TEST(hurry_brings_a_later_freshness_soon),
        FOLLOWING_TEST(a_terminated_stream_turns_the_ledger_off_at_once),
        FOLLOWING_TEST(a_server_restart_is_survived),
        FOLLOWING_TEST(truncate_and_cascades_are_events),
        FOLLOWING_TEST(two_names_of_one_database_share_a_ledger),
        FOLLOWING_TEST(what_forbids_following_is_told),
        FOLLOWING_TEST(own_writes_alone_can_be_trusted),
        FOLLOWING_TEST(a_write_in_doubt_is_held_while_its_process_lives),
        FOLLOWING_TEST(workers_do_everything_at_once),
    };
    return cmocka_run_group_tests_name("following", tests, group_setup, group_teardown);
}
