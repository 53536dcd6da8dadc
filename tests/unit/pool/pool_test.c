// SPDX-License-Identifier: Apache-2.0
// The rules of a pool, one by one.
#include "tests/unit/pool/pool_fixture.h"

static void test_first_come_first_served(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    idle_all(&b, 1, (int[]){0});
    granted(&b, 0, 0, 0);
    queued(&b, 1, 2, false, -1);
    queued(&b, 2, 0, false, -1);
    queued(&b, 3, 1, false, -1);
    returned_to(&b, 0, 1);
    returned_to(&b, 0, 2);
    queued(&b, 1, 2, false, -1);
    returned_to(&b, 0, 3);
    returned_to(&b, 0, 1);
    returned_to(&b, 0, -1);
    assert_true(b.server[0].idle);
    bench_close(&b);
}

// Nobody overtakes those who wait, even with a connection beside him.
static void test_no_overtaking(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    idle_all(&b, 1, (int[]){1});
    queued(&b, 0, 0, false, 1);
    queued(&b, 1, 1, false, 1);
    struct pool_waiter *first;
    assert_true(pool_serve(b.pool, 1, b.now, &b.got, &first, &b.task));
    assert_ptr_equal(first, &b.waiter[0]);
    pool_took(b.pool, first);
    assert_false(pool_serve(b.pool, 1, b.now, &b.got, &first, &b.task));
    returned_to(&b, 0, 1);
    bench_close(&b);
}

static void test_own_worker_most_recent(void **state)
{
    struct bench b;
    bench_size(&b, 3);
    idle_all(&b, 3, (int[]){0, 1, 1});
    granted(&b, 0, 1, 2);
    granted(&b, 1, 1, 1);
    granted(&b, 2, 0, 0);
    bench_close(&b);
}

static void test_other_worker_is_asked(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    idle_all(&b, 1, (int[]){2});
    queued(&b, 0, 0, false, 2);
    struct pool_waiter *waiter;
    assert_false(pool_serve(b.pool, 1, b.now, &b.got, &waiter, &b.task));
    assert_true(pool_serve(b.pool, 2, b.now, &b.got, &waiter, &b.task));
    assert_ptr_equal(b.got, &b.server[0]);
    assert_ptr_equal(waiter, &b.waiter[0]);
    assert_false(b.server[0].idle);
    pool_took(b.pool, waiter);
    assert_false(pool_serve(b.pool, 2, b.now, &b.got, &waiter, &b.task));
    bench_close(&b);
}

// Two waiters and an idle connection on each of two other workers: when everybody who was asked
// has served, nobody waits beside an idle connection.
static void test_every_idle_worker_is_asked(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    idle_all(&b, 2, (int[]){1, 2});
    bool asked[WORKERS] = {false};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(request(&b, i, 0), POOL_QUEUED);
        assert_false(b.task.open);
        assert_in_range(b.task.ask_worker, 1, 2);
        asked[b.task.ask_worker] = true;
    }
    int served = 0;
    struct pool_waiter *waiter;
    for (int round = 0; round < WORKERS; round++) // each one who runs out names the next
        for (int w = 0; w < WORKERS; w++) {
            while (asked[w] && pool_serve(b.pool, w, b.now, &b.got, &waiter, &b.task)) {
                pool_took(b.pool, waiter);
                served++;
            }
            if (asked[w] && b.task.ask_worker >= 0)
                asked[b.task.ask_worker] = true;
        }
    for (int i = 0; i < 2; i++)
        pool_abandon(b.pool, &b.waiter[i]);
    assert_int_equal(served, 2);
    bench_close(&b);
}

static void test_one_opening_at_a_time(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    queued(&b, 0, 0, true, -1);
    queued(&b, 1, 1, false, -1);
    queued(&b, 2, 2, false, -1);
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[0], 0, b.now);
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[1], 1, b.now);
    assert_false(pool_may_open(b.pool, b.now, &b.task)); // size
    returned_to(&b, 0, 0);
    returned_to(&b, 1, 1);
    returned_to(&b, 0, 2);
    bench_close(&b);
}

static void test_closing_makes_room(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    idle_all(&b, 1, (int[]){0});
    granted(&b, 0, 0, 0);
    queued(&b, 1, 0, false, -1);
    pool_closed(b.pool, &b.server[0], b.now);
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[0], 0, b.now);
    returned_to(&b, 0, 1);
    returned_to(&b, 0, -1);
    pool_closed(b.pool, &b.server[0], b.now); // an idle one
    b.server[0].pool = NULL;
    assert_int_equal(b.pool->claim.spare.idle, 0);
    assert_false(pool_may_open(b.pool, b.now, &b.task)); // nobody waits
    bench_close(&b);
}

static void test_reserve_for_the_patient(void **state)
{
    struct bench b;
    bench_open(&b, (struct pool_limits){.size = 1, .reserve = 1, .reserve_after_us = 5000});
    idle_all(&b, 1, (int[]){0});
    granted(&b, 0, 0, 0);
    queued(&b, 1, 0, false, -1);
    assert_false(pool_may_open(b.pool, b.now + 4999, &b.task));
    b.now += 5000;
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[1], 0, b.now);
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    returned_to(&b, 1, 1);
    queued(&b, 2, 1, false, -1);
    assert_false(pool_may_open(b.pool, b.now + SECOND_US, &b.task)); // the reserve is used up
    returned_to(&b, 1, 2);
    bench_close(&b);
}

static void test_quotas(void **state)
{
    struct bench b;
    bench_size(&b, 5);
    b.database.limit = 2;
    b.user.limit = 1;
    queued(&b, 0, 0, true, -1);
    assert_int_equal(b.database.used, 1);
    assert_int_equal(b.user.used, 1);
    pool_opened(b.pool, &b.server[0], 0, b.now);
    assert_ptr_equal(pool_return(b.pool, &b.server[0], b.now, &b.close), &b.waiter[0]);
    pool_took(b.pool, &b.waiter[0]);
    queued(&b, 1, 0, false, -1);
    assert_int_equal(b.database.used, 1); // given back when the user's said no
    b.user.limit = 0;                     // no limit
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_open_failed(b.pool, b.now, false, "08006", "gone");
    assert_int_equal(b.database.used, 1);
    assert_int_equal(b.user.used, 1);
    b.database.limit = 1;
    assert_false(pool_may_open(b.pool, b.now + 60 * SECOND_US, &b.task));
    assert_int_equal(b.user.used, 1);
    assert_true(pool_abandon(b.pool, &b.waiter[1]));
    bench_close(&b);
}

static void test_minimum_while_there_are_clients(void **state)
{
    struct bench b;
    bench_open(&b, (struct pool_limits){.size = 3, .minimum = 2});
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    pool_client_joined(b.pool);
    for (int i = 0; i < 2; i++) {
        assert_true(pool_may_open(b.pool, b.now, &b.task));
        pool_opened(b.pool, &b.server[i], 0, b.now);
        returned_to(&b, i, -1);
    }
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    // Idle for long, but needed for the minimum; a lifetime ends all the same.
    assert_null(pool_stale(b.pool, 0, INT64_MAX, b.now, &b.close));
    b.pool->limits.lifetime_us = 3600;
    b.now += 3600;
    struct pool_server *old = pool_stale(b.pool, 0, INT64_MIN, b.now, &b.close);
    assert_ptr_equal(old, &b.server[0]);
    assert_string_equal(b.close, "server lifetime over");
    b.pool->limits.lifetime_us = 0;
    pool_closed(b.pool, old, b.now);
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[0], 0, b.now);
    pool_client_left(b.pool, b.now);
    bench_close(&b);
}

static void test_stale_takes_the_least_recent(void **state)
{
    struct bench b;
    bench_size(&b, 3);
    idle_all(&b, 3, (int[]){0, 0, 1});
    assert_null(pool_stale(b.pool, 0, b.server[0].released_us, b.now, &b.close)); // before, not at
    assert_null(pool_stale(b.pool, 2, INT64_MAX, b.now, &b.close));
    struct pool_server *s = pool_stale(b.pool, 0, INT64_MAX, b.now, &b.close);
    assert_ptr_equal(s, &b.server[0]);
    assert_false(s->idle);
    assert_int_equal(b.pool->claim.spare.idle, 2);
    assert_ptr_equal(pool_stale(b.pool, 0, INT64_MAX, b.now, &b.close), &b.server[1]);
    assert_null(pool_stale(b.pool, 0, INT64_MAX, b.now, &b.close));
    bench_close(&b);
}

static void test_take_idle(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    idle_all(&b, 1, (int[]){0});
    assert_true(pool_take_idle(b.pool, &b.server[0]));
    assert_false(pool_take_idle(b.pool, &b.server[0]));
    queued(&b, 0, 0, false, -1);
    returned_to(&b, 0, 0);
    bench_close(&b);
}

static void test_abandon_or_granted(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    idle_all(&b, 1, (int[]){0});
    granted(&b, 0, 0, 0);
    queued(&b, 1, 1, false, -1);
    queued(&b, 2, 2, false, -1);
    assert_true(pool_abandon(b.pool, &b.waiter[1]));
    assert_true(pool_abandon(b.pool, &b.waiter[1])); // waits for nothing: free to go
    assert_ptr_equal(pool_return(b.pool, &b.server[0], b.now, &b.close), &b.waiter[2]);
    assert_false(pool_abandon(b.pool, &b.waiter[2])); // too late: it is on its way
    pool_took(b.pool, &b.waiter[2]);
    assert_true(pool_abandon(b.pool, &b.waiter[2]));
    bench_close(&b);
}

static void test_pause(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    idle_all(&b, 2, (int[]){0, 1});
    granted(&b, 0, 0, 0);
    assert_true(pool_pause(b.pool, true));
    assert_false(pool_pause(b.pool, true));
    assert_true(pool_is_paused(b.pool));
    queued(&b, 1, 1, false, -1); // though one is idle beside it
    returned_to(&b, 0, -1);
    struct pool_waiter *waiter;
    assert_false(pool_serve(b.pool, 1, b.now, &b.got, &waiter, &b.task));
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    assert_true(pool_figures(b.pool, b.now).paused);
    pool_pause(b.pool, false);
    assert_true(pool_serve(b.pool, 1, b.now, &b.got, &waiter, &b.task));
    assert_ptr_equal(waiter, &b.waiter[1]);
    pool_took(b.pool, waiter);
    bench_close(&b);
}

static void test_relimit(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    idle_all(&b, 2, (int[]){0, 0});
    granted(&b, 0, 0, 1);
    granted(&b, 1, 0, 0);
    pool_relimit(b.pool, (struct pool_limits){.size = 1});
    queued(&b, 2, 0, false, -1);
    pool_closed(b.pool, &b.server[0], b.now);
    b.server[0].pool = NULL;
    assert_false(pool_may_open(b.pool, b.now, &b.task)); // one is open, one is allowed
    pool_relimit(b.pool, (struct pool_limits){.size = 2});
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[0], 0, b.now);
    returned_to(&b, 0, 2);
    bench_close(&b);
}

static void test_figures(void **state)
{
    struct bench b;
    bench_size(&b, 3);
    idle_all(&b, 2, (int[]){0, 1});
    for (int i = 0; i < 5; i++)
        pool_client_joined(b.pool);
    struct pool_figures f = pool_figures(b.pool, b.now);
    assert_int_equal(f.servers_idle, 2);
    assert_int_equal(f.servers_active, 0);
    assert_int_equal(f.clients_waiting, 0);
    assert_int_equal(f.longest_wait_us, 0);
    granted(&b, 0, 0, 0);
    granted(&b, 1, 1, 1);
    queued(&b, 2, 0, true, -1);
    b.now += 70;
    queued(&b, 3, 0, false, -1);
    b.now += 7;
    f = pool_figures(b.pool, b.now);
    assert_int_equal(f.clients_active, 3);
    assert_int_equal(f.clients_waiting, 2);
    assert_int_equal(f.servers_active, 2);
    assert_int_equal(f.servers_idle, 0);
    assert_int_equal(f.servers_login, 1);
    assert_int_equal(f.longest_wait_us, 77);
    assert_false(f.paused);
    pool_opened(b.pool, &b.server[2], 0, b.now);
    returned_to(&b, 2, 2);
    returned_to(&b, 2, 3);
    bench_close(&b);
}

static void test_mode_names(void **state)
{
    assert_string_equal(pool_mode_name(POOL_SESSION), "session");
    assert_string_equal(pool_mode_name(POOL_TRANSACTION), "transaction");
    assert_string_equal(pool_mode_name(POOL_STATEMENT), "statement");
}

static void an_idle_one_that_is_preferred_goes_first(void **state)
{
    struct bench b;
    bench_size(&b, 3);
    idle_all(&b, 3, (int[]){1, 1, 2});
    b.waiter[0].prefers = &b.server[0];
    granted(&b, 0, 1, 0);
    b.waiter[1].prefers = &b.server[2]; // not of this worker
    granted(&b, 1, 1, 1);
    b.waiter[2].prefers = &b.server[0]; // in use
    queued(&b, 2, 1, false, 2);
    assert_true(pool_abandon(b.pool, &b.waiter[2]));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_one_that_is_preferred_goes_first),
        cmocka_unit_test(test_first_come_first_served),
        cmocka_unit_test(test_no_overtaking),
        cmocka_unit_test(test_own_worker_most_recent),
        cmocka_unit_test(test_other_worker_is_asked),
        cmocka_unit_test(test_every_idle_worker_is_asked),
        cmocka_unit_test(test_one_opening_at_a_time),
        cmocka_unit_test(test_closing_makes_room),
        cmocka_unit_test(test_reserve_for_the_patient),
        cmocka_unit_test(test_quotas),
        cmocka_unit_test(test_minimum_while_there_are_clients),
        cmocka_unit_test(test_stale_takes_the_least_recent),
        cmocka_unit_test(test_take_idle),
        cmocka_unit_test(test_abandon_or_granted),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_relimit),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_mode_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
