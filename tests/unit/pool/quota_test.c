// SPDX-License-Identifier: Apache-2.0
// Fair shares of a quota. Pools with clients that always want a connection compete for it in a
// simulation with a clock of its own: every client that is served thinks, then asks again.
#include "pool/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"

enum { POOLS_MAX = 12, CLIENTS = 8, SERVERS_MAX = 16 };
enum { STEP_US = 1000, OPEN_US = 5000 };

struct tenant;

struct server {
    struct pool_server slot; // first
    bool open;
    struct client *client;
};

struct client {
    struct pool_waiter waiter; // first
    bool waits;
    struct server *server;
    int64_t until_us; // has its server, or thinks, until then
};

struct tenant {
    struct pool *pool;
    int clients; // how many of them want anything
    int64_t think_us, hold_us;
    struct client client[CLIENTS];
    struct server server[SERVERS_MAX];
    bool opening;
    int64_t opened_us;
    // what came of it
    int served, opens;
    int64_t longest_us;
};

struct town {
    struct pool_quota database, users[POOLS_MAX], other; // other: of some tenants' databases
    struct tenant tenant[POOLS_MAX];
    int tenants;
    int64_t now_us;
};

static void tenant_open(struct town *town, int i, struct pool_quota *database,
                        struct pool_quota *user)
{
    struct tenant *t = &town->tenant[i];
    t->pool = pool_new("d", "u", POOL_TRANSACTION, 1, (struct pool_limits){.size = 10}, database,
                       user);
    t->clients = CLIENTS;
    t->hold_us = 5 * STEP_US;
}

static void town_begin(struct town *town, int tenants)
{
    *town = (struct town){.tenants = tenants, .now_us = 1000000};
    quota_init(&town->database);
    quota_init(&town->other);
    for (int i = 0; i < tenants; i++)
        quota_init(&town->users[i]);
}

static void town_open(struct town *town, int tenants, int limit)
{
    town_begin(town, tenants);
    town->database.limit = limit;
    for (int i = 0; i < tenants; i++)
        tenant_open(town, i, &town->database, &town->users[i]);
}

static void shut(struct town *town, struct tenant *t, struct server *server)
{
    server->open = false;
    if (server->client != NULL)
        server->client->server = NULL;
    server->client = NULL;
    pool_closed(t->pool, &server->slot, town->now_us);
}

static void town_close(struct town *town)
{
    for (int i = 0; i < town->tenants; i++) {
        struct tenant *t = &town->tenant[i];
        for (int c = 0; c < CLIENTS; c++)
            pool_abandon(t->pool, &t->client[c].waiter);
        if (t->opening)
            pool_open_failed(t->pool, town->now_us, false, "08006", "the end");
        for (int s = 0; s < SERVERS_MAX; s++)
            if (t->server[s].open)
                shut(town, t, &t->server[s]);
        assert_false(quota_is_deserted(t->pool->claim.database));
        assert_false(quota_is_deserted(t->pool->claim.user));
        pool_free(t->pool);
    }
    for (int i = 0; i < town->tenants; i++) {
        assert_true(quota_is_deserted(&town->users[i]));
        quota_fini(&town->users[i]);
    }
    assert_int_equal(town->database.used, 0);
    assert_true(quota_is_deserted(&town->database));
    quota_fini(&town->database);
    quota_fini(&town->other);
}

static void begin_opening(struct town *town, struct tenant *t, const struct pool_task *task)
{
    if (!task->open)
        return;
    t->opening = true;
    t->opened_us = town->now_us + OPEN_US;
    t->opens++;
}

static void granted(struct town *town, struct tenant *t, struct client *c, struct server *server)
{
    int64_t waited_us = c->waits ? town->now_us - c->waiter.since_us : 0;
    if (waited_us > t->longest_us)
        t->longest_us = waited_us;
    c->waits = false;
    c->server = server;
    server->client = c;
    c->until_us = town->now_us + t->hold_us;
    t->served++;
    pool_took(t->pool, &c->waiter);
}

static void give_back(struct town *town, struct tenant *t, struct server *server)
{
    const char *close;
    server->client = NULL;
    struct pool_waiter *next = pool_return(t->pool, &server->slot, town->now_us, &close);
    if (close != NULL)
        shut(town, t, server);
    else if (next != NULL)
        granted(town, t, (struct client *)next, server);
}

static void client_acts(struct town *town, struct tenant *t, struct client *c)
{
    if (c->waits || town->now_us < c->until_us)
        return;
    if (c->server != NULL) {
        struct server *server = c->server;
        c->server = NULL;
        c->until_us = town->now_us + t->think_us;
        give_back(town, t, server);
        return;
    }
    struct pool_server *slot;
    struct pool_task task;
    if (pool_request(t->pool, &c->waiter, town->now_us, &slot, &task) == POOL_GRANTED) {
        granted(town, t, c, (struct server *)slot);
        return;
    }
    c->waits = true;
    begin_opening(town, t, &task);
}

// What workers do: connections that are ready, evictions, openings.
static void tenant_acts(struct town *town, struct tenant *t)
{
    if (t->opening && town->now_us >= t->opened_us) {
        struct server *server = t->server;
        while (server->open)
            server++;
        t->opening = false;
        server->open = true;
        pool_opened(t->pool, &server->slot, 0, town->now_us);
        give_back(town, t, server);
    }
    struct pool_server *slot;
    while ((slot = pool_evict(t->pool, 0, town->now_us)) != NULL)
        shut(town, t, (struct server *)slot);
    struct pool_task task;
    pool_may_open(t->pool, town->now_us, &task);
    begin_opening(town, t, &task);
}

static void live(struct town *town, int64_t time_us)
{
    for (int64_t end_us = town->now_us + time_us; town->now_us < end_us; town->now_us += STEP_US) {
        for (int i = 0; i < town->tenants; i++) {
            struct tenant *t = &town->tenant[i];
            for (int c = 0; c < t->clients; c++)
                client_acts(town, t, &t->client[c]);
            tenant_acts(town, t);
        }
        if (town->database.limit > 0)
            assert_in_range(town->database.used, 0, town->database.limit);
    }
}

static void forget(struct town *town)
{
    for (int i = 0; i < town->tenants; i++)
        town->tenant[i].served = town->tenant[i].opens = 0, town->tenant[i].longest_us = 0;
}

static int held(const struct tenant *t)
{
    return t->pool->claim.of_database.held;
}

// A pool that was first and is always busy has to give up what is beyond its share; then all stays
// as it is.
static void the_latecomer_gets_its_share(void **state)
{
    struct town town;
    town_open(&town, 2, 6);
    town.tenant[1].clients = 0;
    live(&town, 1000000);
    assert_int_equal(held(&town.tenant[0]), 6);
    town.tenant[1].clients = CLIENTS;
    live(&town, 1000000);
    assert_int_equal(held(&town.tenant[0]), 3);
    assert_int_equal(held(&town.tenant[1]), 3);
    forget(&town);
    live(&town, 10000000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(town.tenant[i].opens, 0); // nothing moves any more
        assert_in_range(town.tenant[i].longest_us, 0, 100000);
    }
    assert_in_range(town.tenant[0].served * 100 / town.tenant[1].served, 95, 105);
    town_close(&town);
}

// Shares that do not come out even: those that have one less do not take it from others for ever.
static void what_is_left_over_stays_where_it_is(void **state)
{
    struct town town;
    town_open(&town, 3, 5);
    live(&town, 2000000);
    forget(&town);
    live(&town, 10000000);
    for (int i = 0; i < 3; i++) {
        assert_in_range(held(&town.tenant[i]), 1, 3);
        assert_int_equal(town.tenant[i].opens, 0);
        assert_true(town.tenant[i].served > 0);
    }
    town_close(&town);
}

// More pools than connections: they take turns, and everybody's wait is bounded.
static void with_too_few_for_all_they_take_turns(void **state)
{
    struct town town;
    town_open(&town, 6, 2);
    live(&town, 5000000);
    forget(&town);
    live(&town, 30000000);
    for (int i = 0; i < 6; i++) {
        const struct tenant *t = &town.tenant[i];
        // Three rounds of a turn and an opening, and a turn's own queue.
        assert_in_range(t->longest_us, 1, 3 * (QUOTA_TURN_US + 4 * OPEN_US) + 200000);
        assert_in_range(t->served * 6 * 100 / (town.tenant[0].served * 6), 80, 120);
        // A connection serves a whole turn, not one client.
        assert_in_range(t->served / t->opens, 10, 40);
    }
    town_close(&town);
}

// PgBouncer 103, 131: one rare client beside many busy ones.
static void a_rare_client_does_not_starve(void **state)
{
    struct town town;
    town_open(&town, 2, 1);
    town.tenant[1].clients = 1;
    town.tenant[1].think_us = 500000;
    live(&town, 20000000);
    assert_in_range(town.tenant[1].longest_us, 1, QUOTA_TURN_US + 4 * OPEN_US);
    assert_in_range(town.tenant[1].served, 25, 45);
    assert_true(town.tenant[0].served > 1500); // and they lose little by it
    town_close(&town);
}

// What nobody uses goes to who waits, at once.
static void an_idle_connection_is_given_up(void **state)
{
    struct town town;
    town_open(&town, 2, 2);
    town.tenant[1].clients = 0;
    live(&town, 100000);
    town.tenant[0].clients = 0;
    for (int c = 0; c < CLIENTS; c++) {
        pool_abandon(town.tenant[0].pool, &town.tenant[0].client[c].waiter);
        town.tenant[0].client[c].waits = false;
        if (town.tenant[0].client[c].server != NULL)
            give_back(&town, &town.tenant[0], town.tenant[0].client[c].server);
        town.tenant[0].client[c].server = NULL;
    }
    assert_int_equal(held(&town.tenant[0]), 2);
    town.tenant[1].clients = 1;
    live(&town, 3 * OPEN_US);
    assert_true(town.tenant[1].served > 0);
    assert_int_equal(held(&town.tenant[0]), 1); // no more than is needed
    town_close(&town);
}

// The limit of a user does not hold up those who only share the database's.
static void one_limit_does_not_block_the_other(void **state)
{
    struct town town;
    town_open(&town, 3, 4);
    town.users[0].limit = 1; // it would want all four
    live(&town, 5000000);
    assert_int_equal(held(&town.tenant[0]), 1);
    assert_int_equal(held(&town.tenant[0]) + held(&town.tenant[1]) + held(&town.tenant[2]), 4);
    for (int i = 0; i < 3; i++)
        assert_in_range(town.tenant[i].longest_us, 0, 300000);
    // Who is at a limit of its own takes nothing from others at the one that they share.
    forget(&town);
    live(&town, 5000000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(town.tenant[i].opens, 0);
    town_close(&town);
}

// It is not counted upon to take its share, and others may have it.
static void what_one_may_not_have_is_for_the_other(void **state)
{
    for (int which = 0; which < 2; which++) {
        struct town town;
        town_open(&town, 2, 5);
        town.users[which].limit = 1;
        live(&town, 2000000);
        assert_int_equal(held(&town.tenant[which]), 1);
        assert_int_equal(held(&town.tenant[1 - which]), 4);
        forget(&town);
        live(&town, 5000000);
        assert_int_equal(town.tenant[0].opens + town.tenant[1].opens, 0);
        town_close(&town);
    }
}

// Two limits, each used up by another pool: who shares both gets one of both.
static void who_needs_two_places_gets_them(void **state)
{
    for (int limit = 1; limit < 5; limit++) {
        struct town town;
        town_begin(&town, 3);
        town.database.limit = town.users[0].limit = limit;
        tenant_open(&town, 0, &town.database, &town.users[0]);
        tenant_open(&town, 1, &town.other, &town.users[0]);
        tenant_open(&town, 2, &town.database, &town.users[1]);
        town.tenant[0].clients = 0;
        live(&town, 1000000);
        assert_int_equal(held(&town.tenant[1]), limit);
        assert_int_equal(held(&town.tenant[2]), limit);
        town.tenant[0].clients = CLIENTS;
        live(&town, 5000000);
        forget(&town);
        live(&town, 20000000);
        for (int i = 0; i < 3; i++)
            assert_in_range(town.tenant[i].longest_us, 1, 1000000);
        if (limit > 1)
            for (int i = 0; i < 3; i++)
                assert_int_equal(town.tenant[i].opens, 0);
        town_close(&town);
    }
}

// It waits for the second of its places: beside the first one, that is kept for it, others have
// what is free.
static void one_place_is_kept_and_no_more(void **state)
{
    struct town town;
    town_begin(&town, 3);
    town.database.limit = 12;
    town.users[0].limit = 1;
    tenant_open(&town, 0, &town.database, &town.users[0]);
    tenant_open(&town, 1, &town.other, &town.users[0]);
    tenant_open(&town, 2, &town.database, &town.users[1]);
    town.tenant[2].clients = 0;
    while (!link_in_list(&town.tenant[0].pool->claim.of_database.turn))
        live(&town, STEP_US);
    town.tenant[2].clients = CLIENTS;
    live(&town, CLIENTS * (OPEN_US + 2 * STEP_US));
    assert_int_equal(held(&town.tenant[2]), CLIENTS);
    town_close(&town);
}

static void a_smaller_limit_takes_effect(void **state)
{
    struct town town;
    town_open(&town, 2, 0);
    live(&town, 1000000);
    assert_int_equal(town.database.used, 16);
    town.database.limit = 4;
    for (int i = 0; i < 3000 && town.database.used > 4; i++) {
        for (int p = 0; p < 2; p++) {
            for (int c = 0; c < CLIENTS; c++)
                client_acts(&town, &town.tenant[p], &town.tenant[p].client[c]);
            tenant_acts(&town, &town.tenant[p]);
        }
        town.now_us += STEP_US;
    }
    // Nobody waits who has none: it stays as it is until connections are closed for other reasons.
    assert_int_equal(town.database.used, 16);
    for (int s = 0; s < 6; s++)
        for (int p = 0; p < 2; p++)
            if (town.tenant[p].server[s].open)
                shut(&town, &town.tenant[p], &town.tenant[p].server[s]);
    live(&town, 1000000);
    assert_int_equal(town.database.used, 4);
    assert_int_equal(held(&town.tenant[0]), 2);
    town_close(&town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latecomer_gets_its_share),
        cmocka_unit_test(what_is_left_over_stays_where_it_is),
        cmocka_unit_test(with_too_few_for_all_they_take_turns),
        cmocka_unit_test(a_rare_client_does_not_starve),
        cmocka_unit_test(an_idle_connection_is_given_up),
        cmocka_unit_test(one_limit_does_not_block_the_other),
        cmocka_unit_test(what_one_may_not_have_is_for_the_other),
        cmocka_unit_test(who_needs_two_places_gets_them),
        cmocka_unit_test(one_place_is_kept_and_no_more),
        cmocka_unit_test(a_smaller_limit_takes_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
