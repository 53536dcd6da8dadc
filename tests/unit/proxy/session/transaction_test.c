// SPDX-License-Identifier: Apache-2.0
// Which transactions may be answered from memory, and since when. What is sent to the server is
// told by its text; what names mean is said by the test.
#include "proxy/session/transaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cache/entry.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/effects.h"
#include "proxy/session/session.h"
#include "proxy/sql/resolve.h"
#include "proxy/worker.h"

static struct resolution meaning;
static bool meaning_known;
static int hurries;

const struct resolution *effects_meaning(struct client *client, const struct analysis *analysis)
{
    return meaning_known ? &meaning : NULL;
}

void domain_hurry(struct domain *domain)
{
    hurries++;
}

// A client with a server of its own, of a database that has a cache.
struct scene {
    struct worker *worker;
    struct route *route;
    struct client *client;
};

static struct scene begin(void)
{
    struct scene s = {mem_new(struct worker), mem_new(struct route), mem_new(struct client)};
    static char a_domain;
    s.route->domain = (struct domain *)&a_domain; // nobody looks into it
    s.client->worker = s.worker;
    s.client->route = s.route;
    s.client->server = mem_new(struct server);
    s.client->server->status = 'I';
    s.client->around_us = INT64_MIN;
    s.client->transaction.around_us = INT64_MIN;
    s.client->vars = mem_new(struct vars);
    s.client->vars->utf8 = true;
    meaning = (struct resolution){.bypass = BYPASS_NONE};
    meaning_known = true;
    hurries = 0;
    return s;
}

static void end(struct scene *s)
{
    mem_free(s->client->vars);
    mem_free(s->client->server);
    mem_free(s->client);
    mem_free(s->route);
    mem_free(s->worker);
}

static void note(struct scene *s, const char *sql)
{
    struct analysis *a = analysis_new(slice_str(sql));
    transaction_note(s->client, a);
    analysis_unref(&a);
}

static void answered(struct scene *s, char status)
{
    s->client->server->status = status;
    transaction_answered(s->client);
}

static enum transaction_state state_after(const char *begins, const char *sql)
{
    struct scene s = begin();
    note(&s, begins);
    answered(&s, 'T');
    if (sql != NULL) {
        note(&s, sql);
        answered(&s, 'T');
    }
    enum transaction_state state = s.client->transaction.state;
    end(&s);
    return state;
}

static void only_read_committed(void **state)
{
    static const char *const hit[] = {
        "BEGIN", "START TRANSACTION", "begin work", "BEGIN ISOLATION LEVEL READ COMMITTED",
        "BEGIN ISOLATION LEVEL READ UNCOMMITTED", "BEGIN READ ONLY", "BEGIN READ WRITE"};
    static const char *const never[] = {
        "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE", "BEGIN DEFERRABLE",
        "BEGIN; SELECT 1", "SELECT 1; BEGIN", "COMMIT AND CHAIN"};
    for (size_t i = 0; i < sizeof(hit) / sizeof(*hit); i++)
        assert_int_equal(state_after(hit[i], NULL), TRANSACTION_READS);
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
        assert_int_equal(state_after(never[i], NULL), TRANSACTION_NONE);
}

static void until_the_first_write(void **state)
{
    static const char *const reads[] = {
        "SELECT n FROM t WHERE id = 1", "SELECT count(*) FROM t", "SELECT 1", "SELECT 'a', $1",
        "SHOW work_mem", "SAVEPOINT s", "RELEASE s", "", "TABLE t", "VALUES (1)",
        "WITH w AS (SELECT * FROM t) SELECT * FROM w"};
    static const char *const others[] = {
        "UPDATE t SET n = 1", "INSERT INTO t VALUES (1)", "DELETE FROM t", "TRUNCATE t",
        "WITH w AS (DELETE FROM t RETURNING *) SELECT * FROM w", "SELECT * FROM t FOR UPDATE",
        "SELECT nextval('s')", "SELECT mine(1)", "SELECT set_config('a.b', 'c', true)",
        "SET LOCAL timezone = 'UTC'", "SET search_path = a", "DO $$ BEGIN END $$", "CALL p()",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "LOCK t", "COPY t FROM STDIN",
        "CREATE TABLE u()", "DECLARE c CURSOR FOR SELECT 1", "EXECUTE x", "SELECT 1 INTO u",
        "SELECT 1; UPDATE t SET n = 1", "PREPARE TRANSACTION 'x'", "COMMIT AND CHAIN", "NOTIFY n",
        "EXPLAIN ANALYZE UPDATE t SET n = 1", "EXPLAIN ANALYZE SELECT 1", "NOT SQL AT ALL",
        "SELECT relname FROM pg_class", "SELECT now()"};
    for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
        if (state_after("BEGIN", reads[i]) != TRANSACTION_READS)
            fail_msg("no hits after %s", reads[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (state_after("BEGIN", others[i]) != TRANSACTION_NONE)
            fail_msg("still hits after %s", others[i]);
    }
}

// A view that writes, a function of the user's behind a builtin's name, a name not known yet.
static void what_names_mean_decides(void **state)
{
    static const struct resolution against[] = {
        {.bypass = BYPASS_VOLATILE_FUNCTION}, {.barrier = true}, {.captured = true},
        {.pending = true}};
    for (size_t i = 0; i <= sizeof(against) / sizeof(*against); i++) {
        struct scene s = begin();
        bool known = i < sizeof(against) / sizeof(*against);
        note(&s, "BEGIN");
        answered(&s, 'T');
        meaning_known = known;
        if (known)
            meaning = against[i];
        note(&s, "SELECT n FROM t");
        assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
        end(&s);
    }
    struct scene s = begin();
    note(&s, "BEGIN");
    answered(&s, 'T');
    transaction_note(s.client, NULL); // not read
    assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
    end(&s);
    s = begin();
    note(&s, "BEGIN");
    answered(&s, 'T');
    s.client->vars->utf8 = false; // SJIS: its names cannot be read for sure
    note(&s, "SELECT n FROM t");
    assert_int_equal(s.client->transaction.state, TRANSACTION_READS);
    note(&s, "SELECT n FROM \"\xc3\xa9\"");
    assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
    end(&s);
}

// A BEGIN that something runs in front of may be in a transaction already.
static void begin_must_be_first(void **state)
{
    struct scene s = begin();
    struct op ring[4] = {{.kind = OP_QUERY, .origin = OP_INJECTED}, {.kind = OP_PARSE}};
    s.client->server->ops = (struct ops){.at = ring, .room = 4, .mask = 3, .count = 2};
    note(&s, "BEGIN");
    assert_int_equal(s.client->transaction.state, TRANSACTION_READS); // ours, and names alone
    s.client->transaction.state = TRANSACTION_NONE;
    ring[1].kind = OP_EXECUTE;
    note(&s, "BEGIN");
    assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
    s.client->server->ops.count = 0;
    s.client->server->status = 'T';
    note(&s, "BEGIN");
    assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
    s.client->server->status = 'I';
    s.route->domain = NULL; // no cache here
    note(&s, "BEGIN");
    assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
    end(&s);
}

static void ends_with_the_transaction(void **state)
{
    for (const char *status = "IE"; *status != '\0'; status++) {
        struct scene s = begin();
        note(&s, "BEGIN");
        answered(&s, 'T');
        s.client->transaction.hit = true;
        answered(&s, *status);
        assert_int_equal(s.client->transaction.state, TRANSACTION_NONE);
        assert_true(s.client->transaction.hit == (*status != 'I'));
        end(&s);
    }
    struct scene s = begin();
    s.client->transaction.state = TRANSACTION_FAILING;
    answered(&s, 'I');
    assert_int_equal(s.client->transaction.state, TRANSACTION_FAILED);
    assert_true(s.client->in_transaction);
    assert_int_equal(transaction_status(&s.client->transaction), 'E');
    end(&s);
}

// Within a transaction nothing goes back behind what was read from the server or from memory.
static void nothing_goes_back(void **state)
{
    struct scene s = begin();
    struct transaction *t = &s.client->transaction;
    note(&s, "BEGIN");
    t->read = false; // the BEGIN's own
    answered(&s, 'T');
    assert_true(transaction_after_us(s.client) == INT64_MIN);
    t->read = true;
    t->hurry = true;
    s.client->went_around = false;
    answered(&s, 'T');
    int64_t after = transaction_after_us(s.client);
    assert_true(after > INT64_MIN && hurries == 1 && !t->hurry);
    assert_true(s.client->around_us == INT64_MIN); // a miss does not count longer than that
    struct entry entry = {.filled_us = after + 1000};
    struct analysis *a = analysis_new(slice_str("SELECT 1"));
    transaction_hit(s.client, a, &entry);
    assert_true(transaction_after_us(s.client) == after + 1000);
    entry.filled_us = after; // an older one takes nothing back
    transaction_hit(s.client, a, &entry);
    assert_true(transaction_after_us(s.client) == after + 1000);
    s.client->around_us = after + 2000;
    assert_true(transaction_after_us(s.client) == after + 2000);
    t->state = TRANSACTION_NONE;
    s.client->around_us = 5;
    assert_true(transaction_after_us(s.client) == 5);
    analysis_unref(&a);
    end(&s);
}

// One that was answered from memory, then asked for the time at which it began: the next ones like
// it are begun on the server.
static void time_is_learnt(void **state)
{
    struct scene s = begin();
    struct transaction *t = &s.client->transaction;
    struct analysis *first = analysis_new(slice_str("SELECT n FROM t"));
    struct analysis *other = analysis_new(slice_str("SELECT m FROM t"));
    struct entry entry = {0};
    t->state = TRANSACTION_DEFERRED;
    assert_int_equal(transaction_status(t), 'T');
    assert_true(transaction_is_ours(t));
    assert_false(transaction_needs_time(s.client, first));
    transaction_hit(s.client, first, &entry);
    assert_true(t->hit && t->portal);
    note(&s, "SELECT n FROM u"); // does not ask for it
    t->hit = false;
    assert_false(transaction_needs_time(s.client, first));
    transaction_hit(s.client, first, &entry);
    note(&s, "SELECT now()");
    assert_false(t->portal);
    assert_false(transaction_needs_time(s.client, first)); // this one is under way
    t->hit = false;
    assert_true(transaction_needs_time(s.client, first));
    assert_false(transaction_needs_time(s.client, other));
    t->state = TRANSACTION_READS;
    assert_false(transaction_needs_time(s.client, first));
    analysis_unref(&first);
    analysis_unref(&other);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_read_committed),    cmocka_unit_test(until_the_first_write),
        cmocka_unit_test(what_names_mean_decides), cmocka_unit_test(begin_must_be_first),
        cmocka_unit_test(ends_with_the_transaction), cmocka_unit_test(nothing_goes_back),
        cmocka_unit_test(time_is_learnt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
