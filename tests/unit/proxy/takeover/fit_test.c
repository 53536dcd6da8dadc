// SPDX-License-Identifier: Apache-2.0
// What is taken as it is now, what in a moment, and what never.
#include "proxy/takeover/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/server/hub.h"
#include "proxy/session/listening.h"
#include "tests/unit/proxy/takeover/taken.h"

// While it is so, the client (or server) is that fit. It is so no more when that is judged: what is
// left behind is followed at the end.
#define CHECK_WITH(look, object, of, set, back) \
    assert_int_equal(look(object), FIT_NOW); \
    set; \
    { \
        enum fit meanwhile = look(object); \
        back; \
        assert_int_equal(meanwhile, of); \
    } \
    assert_int_equal(look(object), FIT_NOW);

static int nothing; // whose address is an object that nobody looks into

static void test_clients_by_their_state(void **state)
{
    static const struct {
        enum client_state state;
        enum fit fit;
    } cases[] = {
        {CLIENT_STARTUP, FIT_NOW},     {CLIENT_LOGIN, FIT_SOON},   {CLIENT_CANCELLING, FIT_SOON},
        {CLIENT_GREETING, FIT_NOW},    {CLIENT_IDLE, FIT_NOW},     {CLIENT_WAITING, FIT_NOW},
        {CLIENT_CONSOLE, FIT_NEVER},   {CLIENT_CLOSED, FIT_NEVER}, {CLIENT_REPLICATING, FIT_NEVER},
    };
    struct client *client = taken_client();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        client->state = cases[i].state;
        assert_int_equal(fit_client(client), cases[i].fit);
    }
    client->state = CLIENT_IDLE;
}

static void test_clients_that_are_never_taken(void **state)
{
    struct client *client = taken_client();
    CHECK_WITH(fit_client, client, FIT_NEVER, client->conn.tls = (void *)&nothing,
               client->conn.tls = NULL)
    CHECK_WITH(fit_client, client, FIT_NEVER, client->ours = true, client->ours = false)
    CHECK_WITH(fit_client, client, FIT_NEVER, client->closing = true, client->closing = false)
    CHECK_WITH(fit_client, client, FIT_NEVER, client->replication = (void *)&nothing,
               client->replication = NULL)
    CHECK_WITH(fit_client, client, FIT_NEVER, client->route->removed = true,
               client->route->removed = false)
}

static void test_clients_with_something_of_ours_under_way(void **state)
{
    struct client *client = taken_client();
    CHECK_WITH(fit_client, client, FIT_SOON, client->aligning = 1, client->aligning = 0)
#define CHECK_FLAG(flag) \
    CHECK_WITH(fit_client, client, FIT_SOON, client->flag = true, client->flag = false)
    CHECK_FLAG(clearing)
    CHECK_FLAG(looking)
    CHECK_FLAG(settling)
    CHECK_FLAG(finish_later)
    CHECK_FLAG(stream_ended)
    CHECK_FLAG(ended_here)
    CHECK_WITH(fit_client, client, FIT_SOON, client->rerun = RERUN_DUE,
               client->rerun = RERUN_NONE)
    CHECK_WITH(fit_client, client, FIT_SOON, client->rerun = RERUN_DUE_WITH_SYNC,
               client->rerun = RERUN_DONE)
    CHECK_WITH(fit_client, client, FIT_SOON, client->transaction.state = TRANSACTION_FAILING,
               client->transaction.state = TRANSACTION_DEFERRED)
    CHECK_WITH(fit_client, client, FIT_SOON, client->explained = (void *)&nothing,
               client->explained = NULL)
    struct waiting waiting = {.waiter.state = WAITER_GRANTED};
    CHECK_WITH(fit_client, client, FIT_SOON, client->waiting = &waiting, client->waiting = NULL)
}

static void test_input_is_carried_up_to_a_limit_and_output_goes_first(void **state)
{
    struct client *client = taken_client();
    buf_room(&client->conn.in, (4 << 20) + 1);
    client->conn.in.len = 4 << 20;
    CHECK_WITH(fit_client, client, FIT_SOON, client->conn.in.len++, client->conn.in.len--)
    client->state = CLIENT_STARTUP;
    CHECK_WITH(fit_client, client, FIT_SOON, client->conn.in.len++, client->conn.in.len--)
    client->state = CLIENT_IDLE;
    client->conn.in.len = 0;
    // More than its socket takes.
    static uint8_t much[1 << 20];
    conn_queue(&client->conn, slice_of(much, sizeof(much)));
    assert_int_equal(fit_client(client), FIT_SOON);
}

static void test_linked_servers(void **state)
{
    struct client *client = taken_client();
    struct server *server = taken_server(client);
    CHECK_WITH(fit_server, server, FIT_NEVER, server->conn.tls = (void *)&nothing,
               server->conn.tls = NULL)
    CHECK_WITH(fit_server, server, FIT_NEVER, server->own = true, server->own = false)
    CHECK_WITH(fit_server, server, FIT_NEVER, server->client = NULL, server->client = client)
    CHECK_WITH(fit_server, server, FIT_NEVER, client->server = NULL, client->server = server)
    CHECK_WITH(fit_server, server, FIT_NEVER, server->state = SERVER_RESETTING,
               server->state = SERVER_LINKED)
    CHECK_WITH(fit_server, server, FIT_SOON, server->audit = (void *)&nothing,
               server->audit = NULL)
    CHECK_WITH(fit_server, server, FIT_SOON, server->cancels = 1, server->cancels = 0)
    CHECK_WITH(fit_server, server, FIT_SOON, server->profile_asked = true,
               server->profile_asked = false)
    ops_push(&server->ops, OP_EXECUTE, OP_CLIENTS, PURPOSE_NONE);
    assert_int_equal(fit_server(server), FIT_NOW);
    ops_push(&server->ops, OP_QUERY, OP_INJECTED, PURPOSE_VERIFY);
    assert_int_equal(fit_server(server), FIT_SOON);
    // A client is as fit as what it has.
    assert_int_equal(fit_client(client), FIT_SOON);
    server->own = true;
    assert_int_equal(fit_client(client), FIT_NEVER);
    server->own = false;
}

static void test_idle_servers(void **state)
{
    struct server *server = taken_server(NULL);
    server->state = SERVER_IDLE;
    CHECK_WITH(fit_server, server, FIT_NEVER, server->name = (void *)&nothing,
               server->name = NULL)
    CHECK_WITH(fit_server, server, FIT_NEVER, server->doomed = "because", server->doomed = NULL)
    CHECK_WITH(fit_server, server, FIT_NEVER, server->generation++, server->generation--)
    buf_cstr(&server->conn.in, "x");
    assert_int_equal(fit_server(server), FIT_NEVER);
    server->state = SERVER_LINKED;
}

static void test_who_listens_goes_with_who_hears_for_it(void **state)
{
    struct client *client = taken_client();
    struct route *route = taken_route();
    struct server *server = server_take_over(world.worker, route, taken_socket(), true);
    struct hub *hub = server->hub;
    route_unref(&route);
    server->process = 7;
    listening_of(client);
    assert_true(hub_join(client, slice_str("news"), hub_number(hub)));
    struct subscription *subscription = hub_find(client, slice_str("news"));
    CHECK_WITH(fit_client, client, FIT_SOON, subscription->active = false,
               subscription->active = true)
    CHECK_WITH(fit_client, client, FIT_SOON, hub->server = NULL, hub->server = server)
    CHECK_WITH(fit_client, client, FIT_SOON, hub->ready = false, hub->ready = true)
    CHECK_WITH(fit_server, server, FIT_SOON, hub->ready = false, hub->ready = true)
    CHECK_WITH(fit_client, client, FIT_NEVER, server->conn.tls = (void *)&nothing,
               server->conn.tls = NULL)
}

// ---- for those that keep what PgBouncer keeps ----

#define CHECK_ALL(fits, object, set, back) \
    assert_true(fits(object)); \
    set; \
    { \
        bool meanwhile = fits(object); \
        back; \
        assert_false(meanwhile); \
    } \
    assert_true(fits(object));

static void test_clients_of_whom_pgbouncer_knows_all(void **state)
{
    struct client *client = taken_client();
    struct gucs gucs = {.refs = 1};
    client->key.bytes.length = 8;
    CHECK_ALL(fit_client_for_all, client, client->state = CLIENT_WAITING,
              client->state = CLIENT_IDLE)
    CHECK_ALL(fit_client_for_all, client, client->in_transaction = true,
              client->in_transaction = false)
    CHECK_ALL(fit_client_for_all, client, client->closing = true, client->closing = false)
    CHECK_ALL(fit_client_for_all, client, client->pins = 1, client->pins = 0)
    CHECK_ALL(fit_client_for_all, client, client->wanted = &gucs, client->wanted = NULL)
    CHECK_ALL(fit_client_for_all, client, client->names.table.count = 1,
              client->names.table.count = 0)
    CHECK_ALL(fit_client_for_all, client, buf_u8(&client->conn.in, 'Q'), client->conn.in.len = 0)
    CHECK_ALL(fit_client_for_all, client, client->stream_left = 1, client->stream_left = 0)
    CHECK_ALL(fit_client_for_all, client, client->open_batch = true, client->open_batch = false)
    CHECK_ALL(fit_client_for_all, client, client->dropping = true, client->dropping = false)
    CHECK_ALL(fit_client_for_all, client, client->key.bytes.length = 36,
              client->key.bytes.length = 8)
    CHECK_ALL(fit_client_for_all, client,
              vars_set(&client->vars, VAR_INTERVAL_STYLE, "iso_8601"),
              vars_set(&client->vars, VAR_INTERVAL_STYLE, NULL))
    client->key.bytes.length = 0;
}

static void test_servers_of_which_pgbouncer_knows_all(void **state)
{
    struct server *server = taken_server(taken_client());
    struct gucs gucs = {.refs = 1};
    CHECK_ALL(fit_server_for_all, server, server->doomed = "because", server->doomed = NULL)
    CHECK_ALL(fit_server_for_all, server, server->stream_left = 1, server->stream_left = 0)
    CHECK_ALL(fit_server_for_all, server, server->copying_in = true, server->copying_in = false)
    CHECK_ALL(fit_server_for_all, server, server->prepared.table.count = 1,
              server->prepared.table.count = 0)
    CHECK_ALL(fit_server_for_all, server, server->named.table.count = 1,
              server->named.table.count = 0)
    CHECK_ALL(fit_server_for_all, server, server->applied = &gucs, server->applied = NULL)
    CHECK_ALL(fit_server_for_all, server, buf_u8(&server->conn.in, 'Z'), server->conn.in.len = 0)
    CHECK_ALL(fit_server_for_all, server, server->cancels = 1, server->cancels = 0)
    ops_push(&server->ops, OP_EXECUTE, OP_CLIENTS, PURPOSE_NONE);
    assert_false(fit_server_for_all(server));
    ops_pop(&server->ops);
    server->state = SERVER_IDLE;
    server->fresh = false;
    CHECK_ALL(fit_server_for_all, server, server->needs_reset = true, server->needs_reset = false)
    CHECK_ALL(fit_server_for_all, server, server->needs_settings_reset = true,
              server->needs_settings_reset = false)
    CHECK_ALL(fit_server_for_all, server, server->fresh = true, server->fresh = false)
    CHECK_ALL(fit_server_for_all, server, server->prepared.table.count = 1,
              server->prepared.table.count = 0)
    server->state = SERVER_LINKED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_clients_by_their_state, taken_end),
        cmocka_unit_test_teardown(test_clients_that_are_never_taken, taken_end),
        cmocka_unit_test_teardown(test_clients_with_something_of_ours_under_way, taken_end),
        cmocka_unit_test_teardown(test_input_is_carried_up_to_a_limit_and_output_goes_first,
                                  taken_end),
        cmocka_unit_test_teardown(test_linked_servers, taken_end),
        cmocka_unit_test_teardown(test_idle_servers, taken_end),
        cmocka_unit_test_teardown(test_who_listens_goes_with_who_hears_for_it, taken_end),
        cmocka_unit_test_teardown(test_clients_of_whom_pgbouncer_knows_all, taken_end),
        cmocka_unit_test_teardown(test_servers_of_which_pgbouncer_knows_all, taken_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
