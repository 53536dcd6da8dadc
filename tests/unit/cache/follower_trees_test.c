// SPDX-License-Identifier: Apache-2.0
// Events of partitions end what was read of the tables above, by the catalog in force, and when
// that changes: a follower with a made-up stream.
#include "cache/lineage.h"
#include "tests/unit/cache/follower_fixture.h"

static struct catalog *catalog_with(bool attached)
{
    struct catalog_builder *b = catalog_builder_new(1);
    const char *const names[] = {"top", "middle", "leaf", "plain"};
    for (uint32_t i = 0; i < 4; i++) {
        struct catalog_relation r = {.schema = slice_str("public"),
                                     .name = slice_str(names[i]),
                                     .oid = 100 + i,
                                     .by_oid = i == 2,
                                     .writes_known = true};
        catalog_builder_relation(b, &r);
    }
    lineage_child(catalog_builder_lineage(b), 100, 101);
    if (attached)
        lineage_child(catalog_builder_lineage(b), 101, 102);
    return catalog_builder_finish(b);
}

static void use(bool attached)
{
    struct catalog *c = catalog_with(attached);
    follower_set_catalog(f, c);
    catalog_unref(&c);
}

static bool is_good(struct stamp s, const char *table)
{
    return judge(s, table) == LEDGER_OK;
}

static void an_event_raises_all_above(void **state)
{
    use(true);
    begin_on();
    struct stamp s = stamp();
    assert_true(is_good(s, "top") && is_good(s, "middle") && is_good(s, "plain"));
    commit(101, 2000, "leaf", NULL);
    assert_false(is_good(s, "top") || is_good(s, "middle") || is_good(s, "leaf"));
    assert_true(is_good(s, "plain"));
    read_all(2000, "102:102:");
    s = stamp();
    commit(102, 2100, "top", NULL); // inherited from, it has rows of its own
    assert_false(is_good(s, "top"));
    assert_true(is_good(s, "middle") && is_good(s, "leaf"));
    read_all(2100, "103:103:");
    s = stamp();
    assert_true(line(2190, "BEGIN 103"));
    assert_true(line(2191, "table public.leaf, public.plain: TRUNCATE: (no-flags)"));
    assert_true(line(2200, "COMMIT 103"));
    assert_false(is_good(s, "top") || is_good(s, "middle") || is_good(s, "plain"));
}

// Code that nobody sees may have refreshed it: no event tells of that.
static void a_barrier_touches_materialized_views(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    const char *const names[] = {"plain", "dashboard"};
    for (uint32_t i = 0; i < 2; i++)
        catalog_builder_relation(b, &(struct catalog_relation){.schema = slice_str("public"),
                                                               .name = slice_str(names[i]),
                                                               .oid = 100 + i,
                                                               .is_materialized = i == 1});
    struct catalog *c = catalog_builder_finish(b);
    follower_set_catalog(f, c);
    catalog_unref(&c);
    begin_on();
    struct stamp s = stamp();
    write_through("plain", false);
    ask_gate();
    answer_gate(START, 1100, "101:101:");
    assert_true(is_good(s, "dashboard"));
    write_through(NULL, true);
    ask_gate();
    answer_gate(START, 1200, "101:101:");
    assert_int_equal(judge(s, "dashboard"), LEDGER_DEAD);
    assert_true(follower_keepalive(f, 1200));
    assert_int_equal(ledger_barriers(l), 0);
    assert_int_equal(judge(s, "dashboard"), LEDGER_DEAD);
    assert_true(is_good(s, "other"));
    assert_true(is_good(stamp(), "dashboard"));
}

// The commit came before the catalog that says whose rows these are, and no snapshot shows it yet:
// a fill that begins now may miss it.
static void what_is_pending_when_the_trees_change_ends_all(void **state)
{
    use(false);
    begin_on();
    commit(101, 2000, "leaf", NULL);
    struct stamp s = stamp();
    assert_true(is_good(s, "top"));
    use(true);
    assert_false(is_good(s, "top"));
    read_all(2000, "102:102:"); // seen by all now
    s = stamp();
    assert_true(is_good(s, "top"));
    use(true); // the same trees
    assert_true(is_good(s, "top"));
}

static void an_open_transaction_then_touches_everything(void **state)
{
    use(false);
    begin_on();
    assert_true(line(1990, "BEGIN 101"));
    assert_true(line(1991, "table public.leaf: INSERT: id[integer]:1"));
    use(true);
    struct stamp s = stamp();
    assert_true(is_good(s, "top"));
    assert_true(line(2000, "COMMIT 101"));
    assert_false(is_good(s, "top"));
}

static void use_keyed(bool whole)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_relation r = {.schema = slice_str("public"),
                                 .key = {.told = 1, .full = true}};
    r.key.columns[0].name = slice_str("a");
    r.key.columns[0].type = ROWKEY_INTEGER;
    const char *const names[] = {"root", "one", "two"};
    for (uint32_t i = 0; i < 3; i++) {
        r.name = slice_str(names[i]);
        r.oid = 100 + i;
        r.is_partitioned = i == 0;
        r.key.full = i < 2 || whole;
        r.key.told = r.key.full;
        catalog_builder_relation(b, &r);
    }
    lineage_child(catalog_builder_lineage(b), 100, 101);
    lineage_child(catalog_builder_lineage(b), 100, 102);
    struct catalog *c = catalog_builder_finish(b);
    follower_set_catalog(f, c);
    catalog_unref(&c);
}

// A partition has become one that tells of whole rows; what another one told before, and what no
// snapshot shows yet, was not entered by column.
static void likewise_when_the_keys_of_a_tree_change(void **state)
{
    use_keyed(false);
    begin_on();
    commit(101, 2000, "one", NULL);
    struct stamp s = stamp();
    assert_true(is_good(s, "plain"));
    use_keyed(true);
    assert_false(is_good(s, "plain"));
}

static enum ledger_verdict judge_slot(struct stamp s, uint32_t slot)
{
    return ledger_judge(l, s, &slot, 1, now, BOUND, INT64_MIN);
}

// An empty transaction may have made a partition; until a reading has looked at the schema, a table
// that is not known may be one.
static void an_unknown_table_after_a_change_may_be_a_partition(void **state)
{
    use_keyed(true);
    begin_on();
    uint32_t rows = ledger_rows_slot(ledger_table(slice_str("public"), slice_str("root")));
    struct stamp s = stamp();
    commit(101, 2000, "unknown", NULL);
    assert_int_equal(judge_slot(s, rows), LEDGER_OK);
    assert_true(line(2050, "BEGIN 102"));
    assert_true(line(2060, "COMMIT 102"));
    read_all(2050, "102:103:102"); // does not see it yet
    assert_int_equal(judge_slot(s, rows), LEDGER_OK);
    commit(103, 2100, "unknown", NULL);
    assert_int_equal(judge_slot(s, rows), LEDGER_DEAD);
    read_all(2100, "104:104:");
    s = stamp();
    commit(104, 2200, "unknown", NULL);
    assert_int_equal(judge_slot(s, rows), LEDGER_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_raises_all_above),
        TEST(a_barrier_touches_materialized_views),
        TEST(what_is_pending_when_the_trees_change_ends_all),
        TEST(an_open_transaction_then_touches_everything),
        TEST(likewise_when_the_keys_of_a_tree_change),
        TEST(an_unknown_table_after_a_change_may_be_a_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
