// SPDX-License-Identifier: Apache-2.0
// What messages of pgoutput touch; that nothing is passed over in silence; that memory is bounded.
// Broken messages beyond those here are tests/fuzz/decode_test.c's.
#include "cache/pgoutput.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "cache/lineage.h"
#include "tests/unit/cache/follower_fixture.h"
#include "tests/unit/cache/pgoutput_messages.h"

static struct touched touched;

static struct catalog *catalog_with(const char *table, const char *first, enum rowkey_type type,
                                    const char *second, bool full)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(table)};
    r.key.count = first == NULL ? 0 : second == NULL || full ? 1 : 2;
    r.key.told = first == NULL ? 0 : second == NULL ? 1 : 2;
    r.key.full = full;
    r.key.columns[0].name = slice_str(first == NULL ? "" : first);
    r.key.columns[0].type = type;
    r.key.columns[1].name = slice_str(second == NULL ? "" : second);
    r.key.columns[1].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
    return catalog_builder_finish(b);
}

static bool is_touched(uint32_t s)
{
    for (size_t i = 0; i < touched.n; i++)
        if (touched.slots[i] == s)
            return true;
    return false;
}

static uint32_t key_slot(const char *table, enum rowkey_type type, const char *first,
                         const char *second)
{
    uint64_t values[2];
    assert_true(rowkey_text(type, slice_str(first), &values[0]));
    if (second != NULL)
        assert_true(rowkey_text(ROWKEY_TEXT, slice_str(second), &values[1]));
    return ledger_key_slot(ledger_table(slice_str("public"), slice_str(table)), values,
                           second == NULL ? 1 : 2);
}

static uint32_t rows_slot(const char *table)
{
    return ledger_rows_slot(ledger_table(slice_str("public"), slice_str(table)));
}

// The message touches the table and these keys, or, when none is given, all its rows.
static void touches(struct pgoutput *p, struct slice message, const char *table,
                    enum rowkey_type type, const char *one, const char *two)
{
    touched_clear(&touched);
    assert_int_equal(pgoutput_read(p, message, &touched).kind, DECODE_TABLE);
    assert_false(touched.all);
    assert_true(is_touched(slot(table)));
    assert_int_equal(is_touched(rows_slot(table)), one == NULL);
    if (one != NULL)
        assert_true(is_touched(key_slot(table, type, one, NULL)));
    if (two != NULL)
        assert_true(is_touched(key_slot(table, type, two, NULL)));
    // All rows are those of each kind of key.
    assert_int_equal(touched.n, 1 + (one == NULL ? 2 : 1 + (two != NULL)));
}

static void touches_rows(struct pgoutput *p, struct slice message)
{
    touched_clear(&touched);
    assert_int_equal(pgoutput_read(p, message, &touched).kind, DECODE_TABLE);
    assert_true(is_touched(slot("t")) && is_touched(rows_slot("t")));
}

static enum decode_kind kind_of(struct pgoutput *p, struct slice message)
{
    touched_clear(&touched);
    return pgoutput_read(p, message, &touched).kind;
}

static void rows_tell_their_keys(void **state)
{
    struct pgoutput *p = pgoutput_new();
    struct catalog *c = catalog_with("t", "id", ROWKEY_INTEGER, NULL, false);
    pgoutput_set_catalog(p, c);
    assert_int_equal(kind_of(p, message_relation(7, "t", "a *id b")), DECODE_NOTHING);
    enum rowkey_type i = ROWKEY_INTEGER;
    touches(p, message_change('I', 7, NULL, "x 5 y"), "t", i, "5", NULL);
    touches(p, message_change('U', 7, NULL, "x 5 ="), "t", i, "5", NULL);
    touches(p, message_change('U', 7, "K- 5 -", "x 6 -"), "t", i, "5", "6");
    touches(p, message_change('U', 7, "Ox 5 y", "x 5 z"), "t", i, "5", NULL);
    touches(p, message_change('U', 7, "K- 5 -", "x = z"), "t", i, "5", NULL);
    touches(p, message_change('D', 7, "K- 5 -", NULL), "t", i, "5", NULL);
    touches(p, message_change('D', 7, "Ox 5 y", NULL), "t", i, "5", NULL);
    // What is not told, or has no form, may be any row.
    touches_rows(p, message_change('I', 7, NULL, "x - y"));
    touches_rows(p, message_change('I', 7, NULL, "x five y"));
    touches_rows(p, message_change('U', 7, NULL, "x = y"));
    touches_rows(p, message_change('U', 7, "K- - -", "x 5 y"));
    touches_rows(p, message_change('U', 7, "K- = -", "x 5 y"));
    touches(p, message_change('I', 7, NULL, "x 5"), "t", i, NULL, NULL);
    touches(p, message_change('I', 7, NULL, "x 5 y z"), "t", i, NULL, NULL);
    touches(p, message_change('U', 7, "K- 5", "x 5 y"), "t", i, NULL, NULL);
    touches(p, message_change('U', 7, "K- 5 -", NULL), "t", i, NULL, NULL);
    // A TRUNCATE is of all rows, of each table.
    assert_int_equal(kind_of(p, message_relation(8, "u", "*id")), DECODE_NOTHING);
    assert_int_equal(kind_of(p, message_truncate(7, 8)), DECODE_TRUNCATE);
    assert_true(is_touched(rows_slot("t")) && is_touched(rows_slot("u")));
    assert_true(is_touched(slot("t")) && is_touched(slot("u")) && touched.n == 6);
    catalog_unref(&c);
    pgoutput_free(p);
}

static void composite_keys(void **state)
{
    struct pgoutput *p = pgoutput_new();
    struct catalog *c = catalog_with("t", "id", ROWKEY_INTEGER, "code", false);
    pgoutput_set_catalog(p, c);
    kind_of(p, message_relation(7, "t", "*code:25 n *id"));
    assert_int_equal(kind_of(p, message_change('U', 7, "Ka - 5", "b 1 5")), DECODE_TABLE);
    assert_true(is_touched(key_slot("t", ROWKEY_INTEGER, "5", "a")));
    assert_true(is_touched(key_slot("t", ROWKEY_INTEGER, "5", "b")));
    assert_int_equal(touched.n, 3);
    catalog_unref(&c);
    pgoutput_free(p);
}

// The old value of a column that is not of the identity is not told: it is no key.
static void only_the_identity_tells(void **state)
{
    struct pgoutput *p = pgoutput_new();
    struct catalog *c = catalog_with("t", "id", ROWKEY_INTEGER, NULL, false);
    pgoutput_set_catalog(p, c);
    kind_of(p, message_relation(7, "t", "id *code"));
    touches(p, message_change('U', 7, NULL, "5 1"), "t", ROWKEY_INTEGER, NULL, NULL);
    kind_of(p, message_relation(7, "t", "*code n")); // a list of columns without it
    touches(p, message_change('U', 7, NULL, "5 1"), "t", ROWKEY_INTEGER, NULL, NULL);
    kind_of(p, message_relation(7, "t", "n *id"));
    touches(p, message_change('U', 7, NULL, "5 1"), "t", ROWKEY_INTEGER, "1", NULL);
    catalog_unref(&c);
    pgoutput_free(p);
}

// Each column of a whole row is a key; NULL is none; and what the row's own message says of its
// table counts, not what the catalog says, which may be older or newer.
static void whole_rows(void **state)
{
    struct pgoutput *p = pgoutput_new();
    struct catalog *c = catalog_with("t", "id", ROWKEY_INTEGER, "code", true);
    uint64_t code = ledger_column(ledger_table(slice_str("public"), slice_str("t")),
                                  slice_str("code"));
    uint64_t a, b;
    assert_true(rowkey_text(ROWKEY_TEXT, slice_str("a"), &a));
    assert_true(rowkey_text(ROWKEY_TEXT, slice_str("b"), &b));
    pgoutput_set_catalog(p, c);
    kind_of(p, message_relation(7, "t", "*id *n *code:25"));
    kind_of(p, message_change('U', 7, "O5 1 a", "5 1 b"));
    assert_true(is_touched(key_slot("t", ROWKEY_INTEGER, "5", NULL)));
    assert_true(is_touched(ledger_key_slot(code, &a, 1)));
    assert_true(is_touched(ledger_key_slot(code, &b, 1)));
    assert_int_equal(touched.n, 5); // the table, id as the key and alone, two of code
    kind_of(p, message_change('U', 7, "O5 1 -", "5 1 ="));
    assert_int_equal(touched.n, 3);
    kind_of(p, message_change('D', 7, "O5 1 a", NULL));
    assert_int_equal(touched.n, 4);
    // Without an old row it is no whole one.
    kind_of(p, message_change('U', 7, NULL, "5 1 b"));
    assert_true(is_touched(rows_slot("t")));
    assert_true(is_touched(ledger_columns_slot(ledger_table(slice_str("public"), slice_str("t")))));
    // Another identity, or another type, by now.
    kind_of(p, message_relation(7, "t", "*id n code:25"));
    kind_of(p, message_change('D', 7, "K5 - -", NULL));
    assert_true(is_touched(key_slot("t", ROWKEY_INTEGER, "5", NULL)));
    assert_true(is_touched(ledger_rows_slot(code)));
    kind_of(p, message_relation(7, "t", "*id *n *code"));
    kind_of(p, message_change('D', 7, "O5 1 7", NULL));
    assert_true(is_touched(ledger_rows_slot(code)));
    kind_of(p, message_relation(7, "t", "*id:25 *n *code:25"));
    kind_of(p, message_change('D', 7, "O5 1 a", NULL));
    assert_true(is_touched(rows_slot("t")));
    catalog_unref(&c);
    pgoutput_free(p);
}

static void begin_with_pgoutput(void);
static void read_again(enum reading_schema schema, uint64_t flushed, const char *snapshot);

static bool ends(struct stamp stamp, uint32_t s)
{
    return ledger_judge(l, stamp, &s, 1, now, BOUND, INT64_MIN) == LEDGER_DEAD;
}

// What becomes a partition of what, nothing in this stream says: the keys of trees are not told
// apart, and a table that is not known may be part of any.
static void trees(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    const char *const names[] = {"root", "leaf", "plain"};
    for (uint32_t i = 0; i < 3; i++) {
        struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(names[i]),
                                     .oid = 100 + i, .is_partitioned = i == 0,
                                     .key = {.count = 1, .told = 1}};
        r.key.columns[0].name = slice_str("id");
        r.key.columns[0].type = ROWKEY_INTEGER;
        catalog_builder_relation(b, &r);
    }
    lineage_child(catalog_builder_lineage(b), 100, 101);
    struct catalog *c = catalog_builder_finish(b);
    follower_set_catalog(f, c);
    catalog_unref(&c);
    begin_with_pgoutput();
    const struct row {
        const char *table;
        bool all_of_root, all_of_it;
    } rows[] = {{"leaf", true, true}, {"plain", false, false}, {"new_leaf", true, true}};
    uint64_t position = 2000;
    for (uint32_t i = 0; i < 3; i++, position += 1000) {
        struct stamp stamp;
        assert_true(ledger_stamp(l, &stamp));
        assert_true(follower_data(f, 0, message_begin(250 + i, position)));
        assert_true(follower_data(f, 0, message_relation(7 + i, rows[i].table, "*id")));
        assert_true(follower_data(f, 0, message_change('I', 7 + i, NULL, "1")));
        assert_true(follower_data(f, 0, message_commit(position, position + 40)));
        assert_int_equal(ends(stamp, rows_slot("root")), rows[i].all_of_root);
        assert_int_equal(ends(stamp, rows_slot(rows[i].table)), rows[i].all_of_it);
        read_again(READING_SCHEMA_SAME, position + 40, "300:300:");
    }
}

static void another_catalog_says_anew(void **state)
{
    struct pgoutput *p = pgoutput_new();
    kind_of(p, message_relation(7, "t", "*id *n"));
    touches(p, message_change('I', 7, NULL, "1 2"), "t", ROWKEY_INTEGER, NULL, NULL);
    struct catalog *first = catalog_with("t", "id", ROWKEY_INTEGER, NULL, false);
    pgoutput_set_catalog(p, first);
    touches(p, message_change('I', 7, NULL, "1 2"), "t", ROWKEY_INTEGER, "1", NULL);
    struct catalog *second = catalog_with("t", "n", ROWKEY_INTEGER, NULL, false);
    pgoutput_set_catalog(p, second);
    catalog_unref(&first);
    touches(p, message_change('I', 7, NULL, "1 2"), "t", ROWKEY_INTEGER, "2", NULL);
    struct catalog *third = catalog_with("u", NULL, ROWKEY_NONE, NULL, false);
    pgoutput_set_catalog(p, third);
    catalog_unref(&second);
    touches(p, message_change('I', 7, NULL, "1 2"), "t", ROWKEY_INTEGER, NULL, NULL);
    catalog_unref(&third);
    pgoutput_free(p);
}

static void what_was_not_told_may_be_anything(void **state)
{
    struct pgoutput *p = pgoutput_new();
    assert_int_equal(kind_of(p, message_change('I', 7, NULL, "1")), DECODE_TABLE);
    assert_true(touched.all);
    kind_of(p, message_relation(7, "t", "*id"));
    assert_int_equal(kind_of(p, message_truncate(7, 8)), DECODE_TRUNCATE);
    assert_true(touched.all);
    // Another stream tells everything anew: numbers may mean other tables.
    pgoutput_forget(p);
    assert_int_equal(pgoutput_bytes(p), 0);
    kind_of(p, message_change('D', 7, "K1", NULL));
    assert_true(touched.all);
    pgoutput_free(p);
}

static void memory_is_bounded(void **state)
{
    struct pgoutput *p = pgoutput_new();
    char columns[1000];
    memset(columns, 'c', sizeof(columns) - 1);
    columns[sizeof(columns) - 1] = '\0';
    for (uint32_t oid = 1; oid <= 60000; oid++) {
        assert_int_equal(kind_of(p, message_relation(oid, "t", columns)), DECODE_NOTHING);
        assert_in_range(pgoutput_bytes(p), 1, PGOUTPUT_BYTES_MAX);
    }
    kind_of(p, message_change('I', 1, NULL, "1"));
    assert_false(touched.all);
    kind_of(p, message_change('I', 60000, NULL, "1"));
    assert_true(touched.all);
    // Told again it takes the place of what was told before.
    size_t before = pgoutput_bytes(p);
    for (int i = 0; i < 1000; i++)
        kind_of(p, message_relation(1, "t", "*id"));
    assert_in_range(pgoutput_bytes(p), 1, before - 1);
    pgoutput_free(p);
}

static void transactions(void **state)
{
    struct pgoutput *p = pgoutput_new();
    struct decode_event e = pgoutput_read(p, message_begin(731, 0x100), &touched);
    assert_int_equal(e.kind, DECODE_BEGIN);
    assert_int_equal(e.xid, 731);
    e = pgoutput_read(p, message_commit(0x100, 0x130), &touched);
    assert_int_equal(e.kind, DECODE_COMMIT);
    assert_int_equal(e.xid, 731);
    assert_int_equal(e.position, 0x130);
    assert_int_equal(kind_of(p, message_commit(0x100, 0x130)), DECODE_BAD); // once
    kind_of(p, message_begin(732, 0x200));
    assert_int_equal(kind_of(p, message_commit(0x210, 0x230)), DECODE_BAD); // another one's
    kind_of(p, message_begin(732, 0x200));
    assert_int_equal(kind_of(p, message_commit(0x200, 0x200)), DECODE_BAD); // before its end
    assert_int_equal(kind_of(p, message_begin(0, 0x300)), DECODE_BAD);
    assert_int_equal(kind_of(p, message_begin(5, 0)), DECODE_BAD);
    assert_int_equal(kind_of(p, message_commit(0, 9)), DECODE_BAD);
    pgoutput_free(p);
}

// Streamed and two-phase transactions were not asked for, nor was anything that does not exist.
static void others_are_refused(void **state)
{
    static const char known[] = "BCRIUDTMYO";
    struct pgoutput *p = pgoutput_new();
    for (int c = 0; c < 256; c++) {
        char text[2] = {(char)c, '\0'};
        bool harmless = c == 'M' || c == 'Y' || c == 'O';
        enum decode_kind kind = kind_of(p, message_bare(text));
        assert_int_equal(kind != DECODE_BAD, harmless); // the others are cut
        assert_true(kind == DECODE_BAD || strchr(known, c) != NULL);
    }
    kind_of(p, message_relation(7, "t", "*id"));
    assert_int_equal(kind_of(p, message_change('I', 7, "K1", NULL)), DECODE_BAD);
    assert_int_equal(kind_of(p, message_change('D', 7, NULL, "1")), DECODE_BAD);
    assert_int_equal(kind_of(p, message_change('U', 7, "X1", "1")), DECODE_BAD);
    struct slice truncate = message_truncate(7, 7);
    for (size_t n = 0; n < truncate.len; n++)
        assert_int_equal(kind_of(p, slice_of(truncate.at, n)), DECODE_BAD);
    struct slice relation = message_relation(7, "t", "*id n");
    for (size_t n = 0; n < relation.len; n++)
        assert_int_equal(kind_of(p, slice_of(relation.at, n)), DECODE_BAD);
    pgoutput_free(p);
}

// ---- With the follower --------------------------------------------------------------------------

static void read_again(enum reading_schema schema, uint64_t flushed, const char *snapshot)
{
    struct reading r = {flushed, flushed, slice_str(snapshot), schema};
    follower_reading_sent(f, READING_FULL, now);
    now += 100;
    assert_true(follower_reading(f, now, &r));
}

static void begin_with_pgoutput(void)
{
    follower_begin(f, &(struct follower_start){
                          .consistent_lsn = START, .horizon_xid = HORIZON, .pgoutput = true});
    read_again(READING_SCHEMA_SAME, START, "200:200:");
    assert_true(ledger_is_on(l));
}

// The commit counts where its record ends, and stable stays in front of it until it can be seen.
static void commits_wait_to_be_visible(void **state)
{
    begin_with_pgoutput();
    assert_true(follower_data(f, 0, message_begin(250, 2000)));
    assert_true(follower_data(f, 0, message_relation(7, "t", "*id")));
    assert_true(follower_data(f, 0, message_change('I', 7, NULL, "1")));
    assert_true(follower_data(f, 2040, message_commit(2000, 2040)));
    assert_int_equal(follower_passed(f), 2040);
    assert_int_equal(ledger_stable(l), 2039);
    read_again(READING_SCHEMA_SAME, 2040, "250:260:250");
    assert_int_equal(ledger_stable(l), 2039);
    read_again(READING_SCHEMA_SAME, 2040, "251:260:");
    assert_int_equal(ledger_stable(l), 2040);
}

// Releases before 15 show transactions that have nothing to do with the publication.
static void empty_transactions_say_nothing(void **state)
{
    begin_with_pgoutput();
    assert_true(follower_data(f, 0, message_begin(250, 2000)));
    assert_true(follower_data(f, 2040, message_commit(2000, 2040)));
    assert_false(follower_status(f).schema_suspect);
}

static void rows_outside_of_transactions_are_refused(void **state)
{
    begin_with_pgoutput();
    assert_true(follower_data(f, 0, message_relation(7, "t", "*id")));
    assert_false(follower_data(f, 0, message_change('I', 7, NULL, "1")));
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_UNREADABLE);
    begin_with_pgoutput();
    assert_true(follower_data(f, 0, message_begin(250, 2000)));
    assert_false(follower_data(f, 0, message_begin(251, 2100)));
    begin_with_pgoutput();
    assert_false(follower_data(f, 0, message_bare("BEGIN 250")));
}

static int clean(void **state)
{
    buf_fini(&message_buf);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_tell_their_keys),
        TEST(composite_keys),
        TEST(only_the_identity_tells),
        TEST(whole_rows),
        TEST(trees),
        TEST(another_catalog_says_anew),
        TEST(what_was_not_told_may_be_anything),
        TEST(memory_is_bounded),
        TEST(transactions),
        TEST(others_are_refused),
        TEST(commits_wait_to_be_visible),
        TEST(empty_transactions_say_nothing),
        TEST(rows_outside_of_transactions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
