// SPDX-License-Identifier: Apache-2.0
// Servers that cannot be had: who waits hears of it, or goes on waiting.
#include "tests/unit/pool/pool_fixture.h"

static void test_unreachable(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    queued(&b, 0, 0, true, -1);
    pool_open_failed(b.pool, b.now, false, "08006", "no route");
    assert_null(pool_hopeless(b.pool, 0, b.now));
    assert_false(pool_may_open(b.pool, b.now + 15 * SECOND_US - 1, &b.task)); // the pause
    assert_int_equal(request(&b, 1, 1), POOL_FAILING); // who asks now is told
    b.now += 15 * SECOND_US;
    queued(&b, 1, 1, true, -1);
    pool_opened(b.pool, &b.server[0], 0, b.now);
    returned_to(&b, 0, 0);
    returned_to(&b, 0, 1);
    bench_close(&b);
}

static void test_refused_login_is_told(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    queued(&b, 0, 0, true, -1);
    queued(&b, 1, 1, false, -1);
    assert_null(pool_hopeless(b.pool, 0, b.now)); // not known yet
    pool_open_failed(b.pool, b.now, true, "28P01", "password authentication failed");
    assert_string_equal(b.pool->failure, "password authentication failed");
    assert_string_equal(b.pool->failure_state, "28P01");
    assert_null(pool_hopeless(b.pool, 2, b.now));
    assert_ptr_equal(pool_hopeless(b.pool, 1, b.now), &b.waiter[1]);
    assert_int_equal(b.waiter[1].state, WAITER_NONE);
    assert_null(pool_hopeless(b.pool, 1, b.now));
    assert_ptr_equal(pool_hopeless(b.pool, 0, b.now), &b.waiter[0]);
    assert_int_equal(request(&b, 0, 0), POOL_FAILING);
    assert_int_equal(b.waiter[0].state, WAITER_NONE);
    assert_int_equal(request(&b, 3, 0), POOL_FAILING); // who asks
    b.now += 15 * SECOND_US;
    queued(&b, 0, 0, true, -1); // it may try again
    pool_opened(b.pool, &b.server[0], 0, b.now);
    returned_to(&b, 0, 0);
    bench_close(&b);
}

// The pause was over before anybody looked: who came behind the refusal goes on waiting.
static void test_refused_login_is_told_late(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    queued(&b, 0, 0, true, -1);
    pool_open_failed(b.pool, b.now, true, "28P01", "password authentication failed");
    b.now += 15 * SECOND_US;
    queued(&b, 1, 0, true, -1);
    assert_null(pool_hopeless(b.pool, 0, b.now)); // another login is under way
    pool_open_given_up(b.pool, b.now);
    assert_ptr_equal(pool_hopeless(b.pool, 0, b.now), &b.waiter[0]);
    assert_null(pool_hopeless(b.pool, 0, b.now));
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[0], 0, b.now);
    returned_to(&b, 0, 1);
    bench_close(&b);
}

// With a server there is somebody to wait for.
static void test_refused_login_beside_a_server(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    queued(&b, 0, 0, true, -1);
    pool_opened(b.pool, &b.server[0], 0, b.now);
    returned_to(&b, 0, 0);
    queued(&b, 1, 0, true, -1);
    pool_open_failed(b.pool, b.now, true, "28P01", "password authentication failed");
    assert_null(pool_hopeless(b.pool, 0, b.now));
    queued(&b, 2, 0, false, -1); // nor is who asks now refused
    returned_to(&b, 0, 1);
    returned_to(&b, 0, 2);
    bench_close(&b);
}

// Longer than the room for it, cut and ended.
static void test_long_failure_is_cut(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    queued(&b, 0, 0, true, -1);
    char why[1000];
    memset(why, 'x', sizeof(why) - 1);
    why[sizeof(why) - 1] = '\0';
    pool_open_failed(b.pool, b.now, true, "28P01xyz", why);
    assert_int_equal(strlen(b.pool->failure), sizeof(b.pool->failure) - 1);
    assert_string_equal(b.pool->failure_state, "28P01");
    assert_true(pool_abandon(b.pool, &b.waiter[0]));
    bench_close(&b);
}

// An attempt that was given up because of a pause is no failure: the next one may follow at once.
static void test_opening_given_up(void **state)
{
    struct bench b;
    bench_size(&b, 1);
    queued(&b, 0, 0, true, -1);
    pool_pause(b.pool, true);
    pool_open_given_up(b.pool, b.now);
    assert_int_equal(pool_figures(b.pool, b.now).servers_login, 0);
    assert_int_equal(b.database.used, 0);
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    pool_pause(b.pool, false);
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    assert_int_equal(b.database.used, 1);
    pool_open_given_up(b.pool, b.now);
    assert_true(pool_abandon(b.pool, &b.waiter[0]));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_refused_login_is_told),
        cmocka_unit_test(test_refused_login_is_told_late),
        cmocka_unit_test(test_refused_login_beside_a_server),
        cmocka_unit_test(test_long_failure_is_cut),
        cmocka_unit_test(test_opening_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
