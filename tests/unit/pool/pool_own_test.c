// SPDX-License-Identifier: Apache-2.0
// Connections of one client alone, beside those of the pool.
#include "tests/unit/pool/pool_fixture.h"

static bool own(struct bench *b, int server)
{
    return pool_open_own(b->pool, &b->server[server], 0, b->now, b->now);
}

static void forget(struct bench *b, int server)
{
    pool_closed(b->pool, &b->server[server], b->now);
    b->server[server].pool = NULL;
}

// One client's own connection: counted like any other, and waited for by those that come later.
static void test_own_connections(void **state)
{
    struct bench b;
    bench_size(&b, 2);
    idle_at(&b, 0, 0);
    returned_to(&b, 0, -1);
    pool_want_own(b.pool, 1);
    assert_int_equal(pool_figures(b.pool, b.now).clients_waiting, 1);
    assert_true(own(&b, 1));
    pool_want_own(b.pool, -1);
    assert_int_equal(b.database.used, 2);
    // The second one needs the idle one's place.
    const char *why;
    assert_null(pool_stale(b.pool, 0, INT64_MIN, b.now, &why));
    pool_want_own(b.pool, 1);
    assert_false(own(&b, 2));
    assert_ptr_equal(pool_stale(b.pool, 0, INT64_MIN, b.now, &why), &b.server[0]);
    assert_string_equal(why, "evicted");
    forget(&b, 0);
    // Nobody else takes it meanwhile.
    queued(&b, 3, 0, false, -1);
    assert_false(pool_may_open(b.pool, b.now, &b.task));
    assert_true(own(&b, 2));
    pool_want_own(b.pool, -1);
    forget(&b, 1);
    assert_true(pool_may_open(b.pool, b.now, &b.task));
    pool_opened(b.pool, &b.server[1], 0, b.now);
    returned_to(&b, 1, 3);
    // One that comes back is closed for it, even when somebody waits.
    queued(&b, 4, 0, false, -1);
    pool_want_own(b.pool, 1);
    returned_to(&b, 1, -1);
    assert_string_equal(b.close, "evicted");
    forget(&b, 1);
    assert_true(own(&b, 3));
    pool_want_own(b.pool, -1);
    assert_true(pool_abandon(b.pool, &b.waiter[4]));
    bench_close(&b);
}

static void test_own_connections_and_quotas(void **state)
{
    struct bench b;
    bench_size(&b, 5);
    b.database.limit = 1;
    pool_want_own(b.pool, 1);
    assert_true(own(&b, 0));
    assert_false(own(&b, 1));
    pool_pause(b.pool, true);
    b.database.limit = 0;
    assert_false(own(&b, 1));
    pool_pause(b.pool, false);
    assert_true(own(&b, 1));
    pool_want_own(b.pool, -1);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_connections),
        cmocka_unit_test(test_own_connections_and_quotas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
