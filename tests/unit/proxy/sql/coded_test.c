// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/coded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void row(struct coded_draft *draft, const char *kind, const char *name)
{
    struct buf out = {0};
    buf_u16(&out, 2);
    buf_u32(&out, (uint32_t)strlen(kind));
    buf_put(&out, slice_str(kind));
    buf_u32(&out, (uint32_t)strlen(name));
    buf_put(&out, slice_str(name));
    coded_draft_row(draft, buf_slice(&out));
    buf_fini(&out);
}

static bool reshapes(const char *sql)
{
    struct analysis *analysis = analysis_new(slice_str(sql));
    bool found = analysis->reshapes;
    analysis_unref(&analysis);
    return found;
}

// What may put code behind relations; what the parser does not know is told by its words.
static void test_reshapes(void **state)
{
    const char *const yes[] = {
        "CREATE TABLE a(i int)", "ALTER TABLE a ADD b int", "CREATE VIEW v AS SELECT 1",
        "CREATE INDEX ON a(i)", "CREATE TRIGGER x BEFORE INSERT ON a EXECUTE FUNCTION f()",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS ''", "DO 'BEGIN END'",
        "CREATE POLICY p ON a USING (true)", "COMMIT PREPARED 'x'", "SELECT 1; CREATE TABLE a()",
        "new syntax; Create\nTABLE a()", "new syntax; DO $$ BEGIN END $$", "new syntax; do/**/''",
        "new ALTER", "new syntax; DO LANGUAGE plpgsql ''", "ALTER DOMAIN d SET DEFAULT 1",
    };
    const char *const no[] = {
        "SELECT 1", "DROP TABLE a", "GRANT SELECT ON a TO b", "COMMENT ON TABLE a IS ''",
        "TRUNCATE a", "CREATE TEMP TABLE a(i int)", "CREATE TABLE a AS SELECT 1", "VACUUM FULL a",
        "REFRESH MATERIALIZED VIEW a", "CREATE SEQUENCE s", "COMMIT", "ROLLBACK PREPARED 'x'",
        "new syntax", "INSERT new syntax INTO a ON CONFLICT DO NOTHING", "new created altered",
        "new syntax ON CONFLICT DO UPDATE SET a = 1", "CALL p()",
    };
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (!reshapes(yes[i]))
            fail_msg("%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (reshapes(no[i]))
            fail_msg("%s", no[i]);
}

// kind and name by turns, a NULL behind.
static struct coded *set_of(const char *const *names)
{
    struct coded_draft *draft = coded_draft_new();
    row(draft, "=", "f");
    for (; *names != NULL; names += 2)
        row(draft, names[0], names[1]);
    return coded_draft_end(&draft);
}

static bool concerns(const char *const *names, const char *sql)
{
    struct coded *coded = set_of(names);
    struct analysis *analysis = analysis_new(slice_str(sql));
    bool found = coded_concerns(coded, analysis);
    analysis_unref(&analysis);
    coded_unref(&coded);
    return found;
}
#define SET(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_relations(void **state)
{
    const char *const *t = SET("r", "t", "s", "t");
    const char *const yes[] = {
        "SELECT * FROM t", "SELECT * FROM s.t", "INSERT INTO t VALUES (1)", "UPDATE T SET i = 1",
        "DELETE FROM a USING t", "COPY t FROM STDIN", "COPY t TO STDOUT", "TRUNCATE a, t",
        "SELECT (SELECT 1 FROM t)", "WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) TABLE x",
        "MERGE INTO t USING a ON true WHEN MATCHED THEN DO NOTHING", "EXPLAIN ANALYZE TABLE t",
        "EXPLAIN TABLE t",
        "DECLARE c CURSOR FOR TABLE t", "SELECT 1; SELECT * FROM t", "CREATE TABLE a(i int)",
        "ANALYZE a", "VACUUM", "REFRESH MATERIALIZED VIEW a", "TRUNCATE a CASCADE",
        "ALTER TABLE a ADD b int", "COMMIT PREPARED 'x'",
    };
    const char *const no[] = {
        "SELECT * FROM a", "SELECT t FROM a", "INSERT INTO a VALUES (1)", "SELECT t.i FROM a t",
        "WITH t AS (SELECT 1) SELECT * FROM t", "BEGIN", "COMMIT", "SET t = 1", "SELECT 't'",
        "SELECT lower('t')", "LOCK TABLE t", "SHOW t", "LISTEN t", "",
    };
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (!concerns(t, yes[i]))
            fail_msg("%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (concerns(t, no[i]))
            fail_msg("%s", no[i]);
}

// Triggers, defaults, checks: who only reads the table runs none of them.
static void test_relations_that_are_only_read(void **state)
{
    const char *const *t = SET("r", "t");
    const char *const writes[] = {
        "INSERT INTO t VALUES (1)", "INSERT INTO t SELECT * FROM a", "UPDATE t SET i = 1",
        "DELETE FROM t", "COPY t FROM STDIN", "TRUNCATE t", "DELETE FROM t; SELECT 1",
        "WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) TABLE x", "SELECT 1; DELETE FROM t",
        "MERGE INTO t USING a ON true WHEN MATCHED THEN DO NOTHING",
        "EXPLAIN ANALYZE DELETE FROM t",
        "ALTER TABLE a ADD b int", "TRUNCATE a CASCADE",
    };
    const char *const reads[] = {
        "SELECT * FROM t", "COPY t TO STDOUT", "DELETE FROM a USING t", "SELECT (SELECT 1 FROM t)",
        "INSERT INTO a SELECT * FROM t", "SELECT * FROM t FOR UPDATE", "EXPLAIN ANALYZE TABLE t",
        "EXPLAIN TABLE t",
    };
    for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++)
        if (!concerns(t, writes[i]))
            fail_msg("%s", writes[i]);
    for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++)
        if (concerns(t, reads[i]))
            fail_msg("%s", reads[i]);
}

static void test_kinds(void **state)
{
    assert_true(concerns(SET("f", "lower"), "SELECT lower('A')"));
    assert_false(concerns(SET("f", "upper"), "SELECT lower('A')"));
    assert_false(concerns(SET("r", "lower"), "SELECT lower('A')"));
    assert_true(concerns(SET("o", "+"), "SELECT 1 + 1"));
    assert_false(concerns(SET("o", "-"), "SELECT 1 + 1"));
    assert_true(concerns(SET("t", "d"), "SELECT 1::d"));
    assert_true(concerns(SET("t", "d"), "SELECT * FROM json_to_record('{}') AS x(a d)"));
    assert_false(concerns(SET("t", "e"), "SELECT 1::d"));
    assert_true(concerns(SET(".", "f"), "SELECT t.f FROM t"));
    assert_false(concerns(SET(".", "f"), "SELECT t.g FROM t"));
    assert_true(concerns(SET(":", "f"), "SELECT (a).f FROM t"));
    assert_true(concerns(SET(":", "f"), "SELECT g.f FROM generate_series(1, 2) g"));
    assert_false(concerns(SET(":", "f"), "SELECT t.f FROM t"));
    assert_true(concerns(SET("r", "pg_mine"), "SELECT * FROM pg_mine"));
    assert_false(concerns(SET("r", "pg_mine"), "SELECT * FROM pg_class"));
    assert_true(concerns(SET("*", "cast"), "SELECT 1 FROM a"));
    assert_false(concerns(SET("*", "cast"), "SELECT 1"));
    assert_false(concerns(SET("*", "cast"), "BEGIN"));
    assert_true(concerns(SET("e", "event"), "CREATE TABLE a(i int)"));
    assert_false(concerns(SET("e", "event"), "SELECT * FROM a"));
}

// Names that are not plain ASCII are not told apart.
static void test_other_names(void **state)
{
    assert_true(concerns(SET("r", "t\\303\\244n"), "SELECT * FROM \"t\xc3\xa4n\""));
    assert_true(concerns(SET("r", "t\\303\\244n"), "SELECT * FROM \"b\xc3\xa4r\""));
    assert_false(concerns(SET("r", "t\\303\\244n"), "SELECT * FROM bar"));
    assert_false(concerns(SET("r", "tan"), "SELECT * FROM \"t\xc3\xa4n\""));
    assert_true(concerns(SET("r", "a\\\\b"), "SELECT * FROM \"a\\b\""));
    assert_true(concerns(SET("r", "tan"), "SELECT * FROM \"t\xe4n\"")); // of an unknown encoding
}

static void test_many(void **state)
{
    struct coded_draft *draft = coded_draft_new();
    char name[32];
    row(draft, "=", "f");
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "t%d", 2 * i);
        row(draft, "r", name);
    }
    struct coded *coded = coded_draft_end(&draft);
    assert_int_equal(coded_count(coded), 5000);
    for (int i = 0; i < 200; i++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "DELETE FROM t%d", i);
        struct analysis *analysis = analysis_new(slice_str(sql));
        assert_int_equal(coded_concerns(coded, analysis), i % 2 == 0);
        analysis_unref(&analysis);
    }
    coded_unref(&coded);
}

static struct coded *answer_of(const void *bytes, size_t n)
{
    struct coded_draft *draft = coded_draft_new();
    row(draft, "=", "f");
    coded_draft_row(draft, slice_of(bytes, n));
    return coded_draft_end(&draft);
}

static void test_odd_answers(void **state)
{
    struct coded_draft *draft = coded_draft_new();
    row(draft, "r", "t");
    assert_null(coded_draft_end(&draft)); // no fingerprint
    assert_null(draft);
    assert_null(set_of(SET("x", "t")));
    assert_null(set_of(SET("rr", "t")));
    assert_null(set_of(SET("=", "again")));
    assert_null(answer_of("", 0));
    assert_null(answer_of("\0\2\0\0\0\1r\0\0\0\5tt", 13));
    assert_null(answer_of("\0\2\0\0\0\1r\xff\xff\xff\xff", 11));
    assert_null(answer_of("\0\2\0\0\0\1r\0\0\0\1tt", 13));
    assert_null(answer_of("\0\3\0\0\0\1r\0\0\0\1t\0\0\0\1t", 17));
    struct coded *settings = answer_of("\0\1\0\0\0\1r", 7);
    assert_non_null(settings);
    assert_true(coded_is_empty(settings));
    coded_unref(&settings);
    coded_draft_free(&draft);
}

static void test_same(void **state)
{
    struct coded *a = set_of(SET("r", "t")), *b = set_of(SET("r", "u"));
    assert_true(coded_same(a, b)); // by the fingerprint alone
    assert_int_not_equal(coded_number(a), coded_number(b));
    coded_unref(&a);
    coded_unref(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_relations_that_are_only_read), cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_other_names), cmocka_unit_test(test_many),
        cmocka_unit_test(test_odd_answers), cmocka_unit_test(test_same),
        cmocka_unit_test(test_reshapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
