// SPDX-License-Identifier: Apache-2.0
// What is written of a client, a server or a route is read back as it was; what is no such record,
// or a part of one, is refused, and whatever is taken can be given and taken again.
#include "proxy/takeover/carried.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/server/hub.h"
#include "proxy/session/gucs.h"
#include "proxy/session/listening.h"
#include "tests/unit/proxy/takeover/taken.h"

static struct gucs *guc(const char *name, const char *value)
{
    struct gucs_draft draft = {.count = 0};
    gucs_draft_add(&draft, slice_str(name), slice_str(value));
    return gucs_new(&draft);
}

static struct reader behind_head(const struct buf *record, enum carried_kind kind)
{
    struct carried_head head;
    struct reader r = reader_of(buf_slice(record));
    assert_true(carried_take_head(&r, &head));
    assert_int_equal(head.kind, kind);
    assert_int_equal(head.worker, 0);
    return r;
}

// ---- heads and listeners ----

static bool takes_head(uint8_t version, uint8_t kind)
{
    const uint8_t bytes[] = {version, kind, 1, 2};
    struct carried_head head;
    struct reader r = reader_of(slice_of(bytes, sizeof(bytes)));
    bool ok = carried_take_head(&r, &head);
    return ok && head.kind == kind && head.worker == 0x102;
}

static void test_heads_of_this_version_alone_are_read(void **state)
{
    for (int kind = CARRIED_LISTENER; kind <= CARRIED_HUB; kind++)
        assert_true(takes_head(CARRIED_VERSION, (uint8_t)kind));
    assert_false(takes_head(CARRIED_VERSION, CARRIED_HUB + 1));
    assert_false(takes_head(CARRIED_VERSION, 255));
    assert_false(takes_head(CARRIED_VERSION + 1, CARRIED_CLIENT));
    assert_false(takes_head(CARRIED_VERSION - 1, CARRIED_CLIENT));
}

static void test_a_listener_says_its_process_in_any_version(void **state)
{
    struct buf out = {0};
    uint64_t last = 0;
    int pid = 0;
    carried_put_listener(&out, 77);
    struct reader r = behind_head(&out, CARRIED_LISTENER);
    assert_true(carried_take_listener(&r, &last) && last == 77);
    out.at[0] = 200;
    r = reader_of(buf_slice(&out));
    assert_true(carried_take_process(&r, &pid) && pid == getpid());
    for (uint32_t cut = 4; cut < out.len; cut++) {
        r = reader_of(slice_of(out.at + 4, cut - 4));
        assert_false(carried_take_listener(&r, &last));
        r = reader_of(slice_of(out.at, cut));
        assert_int_equal(carried_take_process(&r, &pid), cut >= 8);
    }
    out.at[1] = CARRIED_CLIENT;
    r = reader_of(buf_slice(&out));
    assert_false(carried_take_process(&r, &pid));
    buf_fini(&out);
}

// ---- clients ----

#define EACH_CLIENT_FLAG(flag) \
    flag(wanted_proven) flag(vars_proven) flag(unseen) flag(discarded) flag(open_batch) \
    flag(stream_discard) flag(clears) flag(in_transaction) flag(must_verify) flag(dropping) \
    flag(told_types) flag(told_rows) flag(only_local) flag(transaction.hit) \
    flag(transaction.portal) flag(local) flag(introduced)

// Into another one, which is known to be wholly there; the first one has gone, as in life.
static struct client *carry(struct client *client)
{
    struct buf out = {0};
    carried_put_client(&out, client);
    carried_put_channels(&out, client);
    client_close(client, "given");
    struct client *taken = taken_client();
    struct reader r = behind_head(&out, CARRIED_CLIENT);
    assert_true(carried_take_client(&r, taken, CARRIED_CLIENT));
    assert_true(carried_take_channels(&r, taken));
    buf_fini(&out);
    return taken;
}

static unsigned flags_set(const struct client *client)
{
    unsigned count = 0;
#define COUNT(flag) count += client->flag;
    EACH_CLIENT_FLAG(COUNT)
#undef COUNT
    return count;
}

static void test_each_flag_of_a_client_is_its_own(void **state)
{
    struct client *client = carry(taken_client());
    assert_int_equal(flags_set(client), 0);
    client_close(client, "over");
#define CARRY(flag) \
    client = taken_client(); \
    client->flag = true; \
    client = carry(client); \
    assert_true(client->flag && flags_set(client) == 1); \
    taken_end(NULL);
    EACH_CLIENT_FLAG(CARRY)
#undef CARRY
}

static void fill_numbers(struct client *client)
{
    client->minor = 2;
    client->mode = POOL_STATEMENT;
    client->asked_encryption = 3;
    client->origin = (struct origin){.kind = ORIGIN_IPV4, .port = 4711, .address = {1, 2, 3, 4}};
    client->connected_us = 11;
    client->since_us = 12;
    client->pinned_us = 13;
    client->query_us = 14;
    client->answered_us = 15;
    client->xact_us = 16;
    client->resets = 17;
    client->stream_left = 18;
    client->pins = (1u << PIN_COUNT) - 1;
    client->transaction.state = TRANSACTION_FAILED;
    buf_cstr(&client->transaction.begin, "BEGIN");
    buf_cstr(&client->conn.in, "half of it");
}

// Everything that a client may have; each of it is something else.
static struct client *full_client(void)
{
    static const uint8_t key[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct client *client = taken_client();
    fill_numbers(client);
    pooler_key_keep(world.pooler, &client->key, slice_of(key, sizeof(key)), true);
    vars_set(&client->vars, VAR_TIME_ZONE, "Asia/Tokyo");
    client->wanted = guc("app.wanted", "1");
    client->given = guc("app.given", "2");
    client->given_vars = guc("datestyle", "3");
    client->mentioned = mem_new(struct mentioned);
    mentioned_note(client->mentioned, slice_str("app.mentioned"));
    client->unnamed = taken_statement("SELECT 'unnamed'");
    client->saying = taken_statement("SELECT 'saying'");
    struct statement *named = taken_statement("SELECT 'named'");
    statement_names_set(&client->names, slice_str("name"), named);
    statement_unref(&named);
    return client;
}

static void check_numbers(const struct client *client)
{
    assert_int_equal(client->minor, 2);
    assert_int_equal(client->mode, POOL_STATEMENT);
    assert_int_equal(client->asked_encryption, 3);
    assert_int_equal(client->origin.kind, ORIGIN_IPV4);
    assert_int_equal(client->origin.port, 4711);
    assert_memory_equal(client->origin.address, "\1\2\3\4\0", 5);
    assert_int_equal(client->connected_us, 11);
    assert_int_equal(client->since_us, 12);
    assert_int_equal(client->pinned_us, 13);
    assert_int_equal(client->query_us, 14);
    assert_int_equal(client->answered_us, 15);
    assert_int_equal(client->xact_us, 16);
    assert_int_equal(client->resets, 17);
    assert_int_equal(client->stream_left, 18);
    assert_int_equal(client->pins, (1u << PIN_COUNT) - 1);
    assert_int_equal(client->transaction.state, TRANSACTION_FAILED);
    assert_string_equal(client->transaction.begin.at, "BEGIN");
    assert_string_equal(client->conn.in.at, "half of it");
}

static void test_a_client_keeps_what_it_has(void **state)
{
    struct client *client = carry(full_client());
    check_numbers(client);
    assert_memory_equal(client->key.bytes.at, "\1\2\3\4\5\6\7\10", 8);
    assert_true(client->key.bytes.length == 8 && client->key.bytes.peered);
    assert_string_equal(client->vars->value[VAR_TIME_ZONE], "Asia/Tokyo");
    assert_string_equal(gucs_find(client->wanted, "app.wanted"), "1");
    assert_string_equal(gucs_find(client->given, "app.given"), "2");
    assert_string_equal(gucs_find(client->given_vars, "datestyle"), "3");
    assert_true(mentioned_has(client->mentioned, slice_str("app.mentioned")));
    assert_true(slice_eq(statement_text(client->unnamed), slice_str("SELECT 'unnamed'")));
    assert_true(slice_eq(statement_text(client->saying), slice_str("SELECT 'saying'")));
    const struct statement *named = statement_names_find(&client->names, slice_str("name"));
    assert_true(slice_eq(statement_text(named), slice_str("SELECT 'named'")));
}

static void test_only_a_transaction_that_no_server_knows_is_told(void **state)
{
    struct client *client = taken_client();
    client->transaction.state = TRANSACTION_READS;
    buf_cstr(&client->transaction.begin, "BEGIN");
    client = carry(client);
    assert_int_equal(client->transaction.state, TRANSACTION_NONE);
    assert_int_equal(client->transaction.begin.len, 0);
}

static void test_a_stranger_has_no_session(void **state)
{
    struct client *client = taken_client();
    struct buf out = {0};
    client->state = CLIENT_STARTUP;
    buf_cstr(&client->conn.in, "half");
    carried_put_client(&out, client);
    client->state = CLIENT_IDLE;
    struct reader r = behind_head(&out, CARRIED_NEW);
    struct client *taken = taken_client();
    assert_true(carried_take_client(&r, taken, CARRIED_NEW) && reader_done(&r));
    assert_string_equal(taken->conn.in.at, "half");
    buf_fini(&out);
}

static void test_channels(void **state)
{
    struct client *client = taken_client();
    struct route *route = taken_route();
    struct server *server = server_take_over(world.worker, route, taken_socket(), true);
    route_unref(&route);
    server->process = 3;
    struct listening *listening = listening_of(client);
    buf_cstr(&listening->waiting, "waiting");
    buf_cstr(&listening->unlisten, "unlisten");
    assert_true(hub_join(client, slice_str("news"), hub_number(server->hub)));
    struct buf out = {0};
    carried_put_channels(&out, client);
    struct client *taken = taken_client();
    struct reader r = reader_of(buf_slice(&out));
    assert_true(carried_take_channels(&r, taken));
    assert_string_equal(taken->listening->waiting.at, "waiting");
    assert_string_equal(taken->listening->unlisten.at, "unlisten");
    assert_true(hub_find(taken, slice_str("news"))->active);
    // Another server of the route is not the one that has been read so far.
    server->process = 4;
    struct client *other = taken_client();
    r = reader_of(buf_slice(&out));
    assert_false(carried_take_channels(&r, other));
    // What it says is not read before all who are to hear it have come.
    assert_null(server->conn.loop);
    hub_go_on(world.worker);
    assert_ptr_equal(server->conn.loop, world.worker->loop);
    buf_fini(&out);
}

// ---- servers ----

#define EACH_SERVER_FLAG(flag) \
    flag(ended_before) flag(copying_in) flag(copies) flag(skipping) flag(foreign) flag(fresh) \
    flag(unfit)

// As another one of the same client's (NULL: of nobody), which has gone.
static struct server *carry_server(struct server *server)
{
    struct buf out = {0};
    bool of_client = server->client != NULL;
    carried_put_server(&out, server);
    taken_end(NULL);
    struct client *client = of_client ? taken_client() : NULL;
    struct server *taken = taken_server(client);
    struct reader r = behind_head(&out, CARRIED_SERVER);
    assert_true(carried_take_server(&r, taken, client));
    buf_fini(&out);
    return taken;
}

static unsigned server_flags_set(const struct server *server)
{
    unsigned count = 0;
#define COUNT(flag) count += server->flag;
    EACH_SERVER_FLAG(COUNT)
#undef COUNT
    return count;
}

static void test_each_flag_of_a_server_is_its_own(void **state)
{
    struct server *server;
#define CARRY(flag) \
    server = taken_server(NULL); \
    server->fresh = false; \
    server->flag = true; \
    server = carry_server(server); \
    assert_true(server->flag && server_flags_set(server) == 1); \
    taken_end(NULL);
    EACH_SERVER_FLAG(CARRY)
#undef CARRY
}

static void test_a_server_keeps_what_it_has(void **state)
{
    struct server *server = taken_server(taken_client());
    server->mode = POOL_STATEMENT;
    server->status = 'T';
    server->process = 4711;
    buf_cstr(&server->secret, "secret");
    server->opened_us = 21;
    server->slot.opened_us = 22;
    server->fitness.in_hot_standby = -1;
    server->fitness.read_only = 1;
    vars_set(&server->vars, VAR_DATE_STYLE, "German");
    server->applied = guc("app.applied", "1");
    server->base = guc("app.base", "2");
    server->stream_left = 23;
    server->early_syncs = 24;
    buf_cstr(&server->conn.in, "half of it");
    server = carry_server(server);
    assert_int_equal(server->mode, POOL_STATEMENT);
    assert_int_equal(server->status, 'T');
    assert_int_equal(server->process, 4711);
    assert_string_equal(server->secret.at, "secret");
    assert_int_equal(server->opened_us, 21);
    assert_int_equal(server->slot.opened_us, 22);
    assert_int_equal(server->fitness.in_hot_standby, -1);
    assert_int_equal(server->fitness.read_only, 1);
    assert_string_equal(server->vars->value[VAR_DATE_STYLE], "German");
    assert_string_equal(gucs_find(server->applied, "app.applied"), "1");
    assert_string_equal(gucs_find(server->base, "app.base"), "2");
    assert_int_equal(server->stream_left, 23);
    assert_int_equal(server->early_syncs, 24);
    assert_string_equal(server->conn.in.at, "half of it");
    assert_null(server->doomed);
}

static void put_ops(struct server *server)
{
    struct op *op = ops_push(&server->ops, OP_PARSE, OP_CLIENTS, PURPOSE_PREPARE);
    ops_rename(op, slice_str("name"), taken_statement("SELECT 'before'"));
    op->mute = true;
    op->told = (struct layout){.rows = 5, .types = 6};
    op = ops_push(&server->ops, OP_BIND, OP_INJECTED, PURPOSE_BEGIN);
    op->unnames = op->unnamed = op->quiet = true;
    op->before = taken_statement("SELECT 'unnamed before'");
    ops_push(&server->ops, OP_COPY_END, OP_LOCAL, PURPOSE_NONE);
    struct statement *named = taken_statement("PREPARE");
    statement_names_set(&server->named, slice_str("named"), named);
    statement_unref(&named);
}

static void test_what_a_server_owes_is_in_order(void **state)
{
    struct server *server = taken_server(taken_client());
    put_ops(server);
    server = carry_server(server);
    assert_int_equal(server->ops.count, 3);
    const struct op *op = ops_nth(&server->ops, 0);
    assert_true(op->kind == OP_PARSE && op->origin == OP_CLIENTS && op->purpose == PURPOSE_PREPARE);
    assert_true(op->renames && op->mute && !op->quiet && !op->unnames && !op->unnamed);
    assert_true(slice_eq(slice_of(op->name, op->name_bytes), slice_str("name")));
    assert_true(slice_eq(statement_text(op->before), slice_str("SELECT 'before'")));
    assert_true(op->told.rows == 5 && op->told.types == 6);
    op = ops_nth(&server->ops, 1);
    assert_true(op->kind == OP_BIND && op->origin == OP_INJECTED && op->purpose == PURPOSE_BEGIN);
    assert_true(!op->renames && !op->mute && op->quiet && op->unnames && op->unnamed);
    assert_true(slice_eq(statement_text(op->before), slice_str("SELECT 'unnamed before'")));
    op = ops_nth(&server->ops, 2);
    assert_true(op->kind == OP_COPY_END && op->origin == OP_LOCAL && op->purpose == PURPOSE_NONE);
    assert_true(!op->renames && !op->mute && !op->quiet && !op->unnames && op->before == NULL);
    assert_non_null(statement_names_find(&server->named, slice_str("named")));
}

static void test_a_server_that_owes_is_somebodys(void **state)
{
    struct server *server = taken_server(NULL);
    struct buf out = {0};
    ops_push(&server->ops, OP_SYNC, OP_CLIENTS, PURPOSE_NONE);
    carried_put_server(&out, server);
    struct server *taken = taken_server(NULL);
    struct reader r = behind_head(&out, CARRIED_SERVER);
    assert_false(carried_take_server(&r, taken, NULL));
    buf_fini(&out);
}

static void test_ops_for_which_there_is_no_place(void **state)
{
    for (int purpose = PURPOSE_NONE; purpose <= PURPOSE_LAYOUT; purpose++) {
        const struct op op = {.purpose = (uint8_t)purpose};
        bool has = purpose == PURPOSE_NONE || purpose == PURPOSE_PREPARE ||
                   purpose == PURPOSE_BEGIN || purpose == PURPOSE_LAYOUT;
        assert_int_equal(carried_takes_op(&op), has);
    }
    assert_false(carried_takes_op(&(struct op){.gives = true}));
    assert_false(carried_takes_op(&(struct op){.takes = true}));
    assert_false(carried_takes_op(&(struct op){.says = 1}));
}

static void test_sequences_are_the_clients_or_several(void **state)
{
    struct server *server = taken_server(taken_client());
    server->sequences_of = server->client->number;
    server = carry_server(server);
    assert_true(server->sequences_of == server->client->number);
    server->sequences_of = SEQUENCES_OF_NOBODY;
    server = carry_server(server);
    assert_true(server->sequences_of == SEQUENCES_OF_NOBODY);
    server->sequences_of = server->client->number + 100;
    server = carry_server(server);
    assert_true(server->sequences_of == SEQUENCES_OF_SEVERAL);
    taken_end(NULL);
}

static void test_what_was_leaving_leaves(void **state)
{
    struct server *server = taken_server(NULL);
    server->doomed = "because";
    assert_non_null(carry_server(server)->doomed);
    taken_end(NULL);
    // So does one of another server than the file names by now.
    struct buf out = {0};
    server = taken_server(NULL);
    carried_put_server(&out, server);
    out.at[4 + 4] ^= 1; // in the target's text
    struct reader r = behind_head(&out, CARRIED_SERVER);
    server = taken_server(NULL);
    assert_true(carried_take_server(&r, server, NULL));
    assert_non_null(server->doomed);
    buf_fini(&out);
}

// ---- routes ----

static void test_a_route_keeps_what_it_knows(void **state)
{
    struct route *route = taken_route();
    struct vars *defaults = vars_none(world.pooler->vars);
    struct buf out = {0}, welcome = {0};
    message_parameter(&welcome, "TimeZone", "Asia/Tokyo");
    vars_set(&defaults, VAR_TIME_ZONE, "Asia/Tokyo");
    route_welcome(route, buf_slice(&welcome), defaults);
    mentioned_note(&route->custom, slice_str("app.custom"));
    route->asks_sequences = true;
    route->has_keys = true;
    route->keys.salt_len = 3;
    memcpy(route->keys.salt, "abc", 3);
    route->keys.iterations = 4096;
    carried_put_route(&out, route);
    route_unref(&route);
    taken_end(NULL); // it is forgotten
    route = taken_route();
    assert_false(route_has_welcome(route));
    struct reader r = behind_head(&out, CARRIED_ROUTE);
    assert_true(carried_take_route(&r, route));
    assert_true(route_has_welcome(route));
    assert_true(slice_eq(buf_slice(&route->welcome), buf_slice(&welcome)));
    assert_ptr_equal(route->defaults, defaults);
    assert_true(mentioned_has(&route->custom, slice_str("app.custom")) && route->asks_sequences);
    assert_true(route->keys.salt_len == 3 && route->keys.iterations == 4096);
    assert_memory_equal(route->keys.salt, "abc", 3);
    for (uint32_t cut = 4; cut < out.len; cut++) {
        r = reader_of(slice_of(out.at + 4, cut - 4));
        assert_false(carried_take_route(&r, route));
    }
    route_unref(&route);
    taken_end(NULL);
    // One to another server is not welcomed by what that one says.
    out.at[4 + 4] ^= 1;
    route = taken_route();
    r = behind_head(&out, CARRIED_ROUTE);
    assert_true(carried_take_route(&r, route));
    assert_false(route_has_welcome(route));
    route_unref(&route);
    vars_unref(&defaults);
    buf_fini(&out);
    buf_fini(&welcome);
}

// ---- what is no record ----

static bool takes_client(struct slice record)
{
    struct reader r = reader_of(record);
    struct client *client = taken_client();
    return carried_take_client(&r, client, CARRIED_CLIENT) && carried_take_channels(&r, client);
}

static bool takes_server(struct slice record)
{
    struct reader r = reader_of(record);
    struct client *client = taken_client();
    return carried_take_server(&r, taken_server(client), client);
}

// A server may have said no secret: then nobody cancels there.
static bool takes_server_or_none(struct slice record)
{
    bool ok = takes_server(record);
    const struct server *server = container_of(list_first(&world.worker->servers), struct server,
                                               link);
    return ok && server->secret.len > 0;
}

// Every part of it is refused, and so is more; any bit of it may be another.
static void check_record(struct buf *record, bool (*takes)(struct slice record))
{
    assert_true(takes(buf_slice(record)));
    taken_end(NULL);
    for (uint32_t cut = 0; cut < record->len; cut++) {
        uint8_t *part = target_alone(slice_of(record->at, cut));
        assert_false(takes(slice_of(part, cut)));
        mem_free(part);
        taken_end(NULL);
    }
    for (uint32_t bit = 0; bit < record->len * 8; bit++) {
        uint8_t *other = target_alone(buf_slice(record));
        other[bit / 8] ^= (uint8_t)(1 << bit % 8);
        takes(slice_of(other, record->len));
        mem_free(other);
        taken_end(NULL);
    }
    buf_u8(record, 0);
    assert_false(takes(buf_slice(record)));
}

// The record with other bytes (and their length) in the place of these.
static struct buf with_bytes(const struct buf *record, const char *these, size_t others)
{
    static const uint8_t bytes[CANCEL_SECRET_MAX + 1];
    const uint8_t *at = memmem(record->at, record->len, these, strlen(these));
    struct buf out = {0};
    assert_non_null(at);
    buf_bytes(&out, record->at, (size_t)(at - record->at) - 4);
    buf_u32(&out, (uint32_t)others);
    buf_bytes(&out, bytes, others);
    buf_put(&out, slice_skip(buf_slice(record), (size_t)(at - record->at) + strlen(these)));
    return out;
}

static void check_lengths(struct buf *record, const char *these, size_t least, size_t most,
                          bool (*takes)(struct slice record))
{
    const size_t lengths[] = {least - 1, least, most, most + 1};
    taken_end(NULL);
    buf_consume(record, 4);
    for (int i = 0; i < 4; i++) {
        struct buf other = with_bytes(record, these, lengths[i]);
        assert_int_equal(takes(buf_slice(&other)), i == 1 || i == 2);
        taken_end(NULL);
        buf_fini(&other);
    }
    buf_fini(record);
}

static void test_keys_and_secrets_have_room(void **state)
{
    struct buf out = {0};
    struct client *client = taken_client();
    pooler_key_keep(world.pooler, &client->key, slice_str("the key!"), false);
    carried_put_client(&out, client);
    carried_put_channels(&out, client);
    check_lengths(&out, "the key!", CANCEL_PROCESS_BYTES + 1,
                  CANCEL_PROCESS_BYTES + CANCEL_SECRET_LONG, takes_client);
    struct server *server = taken_server(taken_client());
    buf_bytes(&server->secret, "secret", 6);
    carried_put_server(&out, server);
    check_lengths(&out, "secret", 1, CANCEL_SECRET_MAX, takes_server_or_none);
}

static void test_no_op_of_an_unknown_kind_is_taken(void **state)
{
    struct buf out = {0};
    struct server *server = taken_server(taken_client());
    ops_push(&server->ops, OP_COPY_END, OP_INJECTED, PURPOSE_BEGIN);
    carried_put_server(&out, server);
    taken_end(NULL);
    buf_consume(&out, 4);
    // Before its flags, name, statement, what was told of that, and the names.
    uint8_t *op = out.at + out.len - 4 - 4 - 4 - 16 - 4;
    assert_true(op[0] == OP_COPY_END && op[1] == OP_INJECTED && op[2] == PURPOSE_BEGIN);
    for (int i = 0; i < 3; i++) {
        assert_true(takes_server(buf_slice(&out)));
        taken_end(NULL);
        op[i]++;
        assert_false(takes_server(buf_slice(&out)));
        taken_end(NULL);
        op[i]--;
    }
    buf_fini(&out);
}

static void test_a_client_is_taken_wholly_or_not(void **state)
{
    struct buf out = {0};
    struct client *client = full_client();
    carried_put_client(&out, client);
    carried_put_channels(&out, client);
    taken_end(NULL);
    buf_consume(&out, 4);
    check_record(&out, takes_client);
    buf_fini(&out);
}

static void test_a_server_is_taken_wholly_or_not(void **state)
{
    struct buf out = {0};
    struct server *server = taken_server(taken_client());
    put_ops(server);
    carried_put_server(&out, server);
    taken_end(NULL);
    buf_consume(&out, 4);
    check_record(&out, takes_server);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_of_this_version_alone_are_read),
        cmocka_unit_test(test_a_listener_says_its_process_in_any_version),
        cmocka_unit_test_teardown(test_each_flag_of_a_client_is_its_own, taken_end),
        cmocka_unit_test_teardown(test_a_client_keeps_what_it_has, taken_end),
        cmocka_unit_test_teardown(test_only_a_transaction_that_no_server_knows_is_told, taken_end),
        cmocka_unit_test_teardown(test_a_stranger_has_no_session, taken_end),
        cmocka_unit_test_teardown(test_channels, taken_end),
        cmocka_unit_test_teardown(test_each_flag_of_a_server_is_its_own, taken_end),
        cmocka_unit_test_teardown(test_a_server_keeps_what_it_has, taken_end),
        cmocka_unit_test_teardown(test_what_a_server_owes_is_in_order, taken_end),
        cmocka_unit_test_teardown(test_a_server_that_owes_is_somebodys, taken_end),
        cmocka_unit_test(test_ops_for_which_there_is_no_place),
        cmocka_unit_test_teardown(test_sequences_are_the_clients_or_several, taken_end),
        cmocka_unit_test_teardown(test_what_was_leaving_leaves, taken_end),
        cmocka_unit_test_teardown(test_a_route_keeps_what_it_knows, taken_end),
        cmocka_unit_test_teardown(test_keys_and_secrets_have_room, taken_end),
        cmocka_unit_test_teardown(test_no_op_of_an_unknown_kind_is_taken, taken_end),
        cmocka_unit_test_teardown(test_a_client_is_taken_wholly_or_not, taken_end),
        cmocka_unit_test_teardown(test_a_server_is_taken_wholly_or_not, taken_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
