// SPDX-License-Identifier: Apache-2.0
// What follows for a relation from those around it, against a naive reading of the rules: for trees
// made at random, whoever reads rows that a write may change must share a slot with the writer, and
// with the event of the table whose row it was.
#include "cache/lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "cache/ledger.h"
#include "tests/unit/dice.h"

enum { TABLES = 12, FIRST = 20000 };

struct world {
    bool below[TABLES][TABLES]; // [a][b]: b is a, or below it
    bool edge[TABLES][TABLES];
    const struct catalog_relation *r[TABLES];
    struct catalog *catalog;
};

static struct catalog_relation table(uint32_t oid, const char *name)
{
    return (struct catalog_relation){.schema = slice_str("s"),
                                     .name = slice_str(name),
                                     .oid = oid,
                                     .writes_known = true};
}

static const struct catalog_relation *find(const struct catalog *c, const char *name)
{
    const struct catalog_relation *r;
    assert_int_equal(catalog_find(c, slice_str("s"), slice_str(name), &r), CATALOG_FOUND);
    return r;
}

static bool shares(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++)
            if (a[i] == b[k])
                return true;
    return false;
}

static void make_world(struct world *w, struct dice *dice)
{
    struct catalog_builder *b = catalog_builder_new(1);
    char names[TABLES][8];
    memset(w, 0, sizeof(*w));
    for (uint32_t i = 0; i < TABLES; i++) {
        snprintf(names[i], sizeof(names[i]), "t%u", i);
        struct catalog_relation t = table(FIRST + i, names[i]);
        catalog_builder_relation(b, &t);
        w->below[i][i] = true;
        for (uint32_t parent = 0; parent < i; parent++) // some have two parents
            if (dice_below(dice, 6) == 0) {
                lineage_child(catalog_builder_lineage(b), FIRST + parent, FIRST + i);
                w->edge[parent][i] = true;
            }
    }
    for (int k = 0; k < TABLES; k++)
        for (int i = TABLES - 1; i >= 0; i--)
            for (int j = 0; j < TABLES; j++)
                for (int m = 0; m < TABLES; m++)
                    w->below[i][j] |= w->edge[i][m] && w->below[m][j];
    w->catalog = catalog_builder_finish(b);
    for (int i = 0; i < TABLES; i++)
        w->r[i] = find(w->catalog, names[i]);
}

static bool have_rows_in_common(const struct world *w, int a, int b)
{
    for (int i = 0; i < TABLES; i++)
        if (w->below[a][i] && w->below[b][i])
            return true;
    return false;
}

static void whoever_reads_is_ended(void **state)
{
    struct dice dice = dice_of(42);
    for (int round = 0; round < 300; round++) {
        struct world w;
        make_world(&w, &dice);
        for (int reader = 0; reader < TABLES; reader++)
            for (int other = 0; other < TABLES; other++) {
                const struct catalog_relation *r = w.r[reader], *o = w.r[other];
                bool must = have_rows_in_common(&w, reader, other);
                assert_int_equal(r->bypass, BYPASS_NONE);
                if (must)
                    assert_true(shares(r->reads, r->read_count, o->writes, o->write_count));
                // Events: other's own slot, and those above.
                bool raised = shares(r->reads, r->read_count, &o->slot, 1);
                for (uint32_t i = 0; i < o->ancestor_count; i++)
                    raised |= shares(r->reads, r->read_count, &o->ancestors[i]->slot, 1);
                assert_int_equal(raised, w.below[reader][other]);
            }
        catalog_unref(&w.catalog);
    }
}

static void a_view_is_what_it_reads(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct lineage *l = catalog_builder_lineage(b);
    const char *const names[] = {"base", "bad", "leaf", "v1", "v2", "v3", "v4", "top"};
    for (uint32_t i = 0; i < 8; i++) {
        struct catalog_relation t = table(100 + i, names[i]);
        t.is_view = t.stands_for_others = i >= 3;
        t.by_oid = i == 0;
        catalog_builder_relation(b, &t);
    }
    lineage_deny(l, 101, BYPASS_COLUMN_TYPE);
    lineage_deny(l, 101, BYPASS_CAST); // the first one stays
    lineage_child(l, 107, 102);
    lineage_uses(l, 104, 103); // v2 reads v1 reads base
    lineage_uses(l, 103, 100);
    lineage_uses(l, 105, 104); // v3: v2 and bad
    lineage_uses(l, 105, 101);
    lineage_uses(l, 106, 102); // v4: leaf, and a function
    lineage_runs_code(l, 106);
    struct catalog *c = catalog_builder_finish(b);
    const struct catalog_relation *base;
    assert_int_equal(catalog_find(c, slice_str("s"), slice_str("base"), &base), CATALOG_PENDING);
    const struct catalog_relation *v2 = find(c, "v2"), *v3 = find(c, "v3"), *v4 = find(c, "v4");
    uint32_t slot = ledger_table_slot(ledger_table(slice_str("s"), slice_str("base")));
    assert_int_equal(v2->bypass, BYPASS_NONE);
    assert_true(shares(v2->reads, v2->read_count, &slot, 1));
    assert_false(v2->runs_code);
    assert_int_equal(v3->bypass, BYPASS_COLUMN_TYPE);
    assert_true(v3->reasons == (1ull << BYPASS_COLUMN_TYPE | 1ull << BYPASS_CAST));
    assert_true(v2->reasons == 0 && shares(v3->reads, v3->read_count, &slot, 1));
    assert_true(v4->runs_code);
    assert_true(shares(v4->reads, v4->read_count, find(c, "top")->writes,
                       find(c, "top")->write_count)); // a write through what is above the leaf
    assert_true(catalog_runs_code(c, slice_str("v4")));
    assert_false(catalog_runs_code(c, slice_str("v2")));
    catalog_unref(&c);
}

// A policy reads tables as a view does, and what stands against those stands against it, whatever a
// rule says; settings that are asked for reach whoever reads it.
static void a_table_is_what_its_policies_read(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct lineage *l = catalog_builder_lineage(b);
    const char *const names[] = {"members", "docs", "view", "bad", "guarded", "turn1", "turn2"};
    for (uint32_t i = 0; i < 7; i++) {
        struct catalog_relation t = table(100 + i, names[i]);
        t.is_view = i == 2;
        catalog_builder_relation(b, &t);
    }
    lineage_uses(l, 101, 100); // docs: a policy reads members
    lineage_uses(l, 102, 101); // a view of docs
    lineage_reads_settings(l, 100);
    lineage_deny(l, 103, BYPASS_UNKNOWN_FUNCTION);
    lineage_uses(l, 104, 103);
    lineage_uses(l, 105, 106); // two that read each other
    lineage_uses(l, 106, 105);
    struct catalog *c = catalog_builder_finish(b);
    const struct catalog_relation *members = find(c, "members"), *docs = find(c, "docs");
    assert_int_equal(docs->bypass, BYPASS_NONE);
    assert_true(shares(docs->reads, docs->read_count, &members->slot, 1));
    assert_true(shares(docs->reads, docs->read_count, &docs->slot, 1));
    assert_true(shares(find(c, "view")->reads, find(c, "view")->read_count, &members->slot, 1));
    assert_true(members->reads_settings && docs->reads_settings && find(c, "view")->reads_settings);
    assert_false(find(c, "bad")->reads_settings);
    assert_int_equal(find(c, "guarded")->bypass, BYPASS_UNKNOWN_FUNCTION);
    assert_true((find(c, "guarded")->reasons & 1ull << BYPASS_ROW_SECURITY) != 0);
    assert_true((find(c, "turn1")->reasons & 1ull << BYPASS_ROW_SECURITY) != 0);
    assert_true((find(c, "turn2")->reasons & 1ull << BYPASS_ROW_SECURITY) != 0);
    catalog_unref(&c);
}

static void below_counts(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct lineage *l = catalog_builder_lineage(b);
    const char *const names[] = {"p", "unlogged", "q", "triggered", "circle1", "circle2"};
    for (uint32_t i = 0; i < 6; i++) {
        struct catalog_relation t = table(100 + i, names[i]);
        t.unreported = i == 1 ? BYPASS_RELATION_KIND : BYPASS_NONE;
        t.writes_known = i != 3;
        t.is_view = i >= 4;
        catalog_builder_relation(b, &t);
    }
    lineage_child(l, 100, 101);
    lineage_child(l, 102, 103);
    lineage_child(l, 102, 999); // not known: somebody's temporary table
    lineage_uses(l, 104, 105);
    lineage_uses(l, 105, 104);
    struct catalog *c = catalog_builder_finish(b);
    assert_int_equal(find(c, "p")->bypass, BYPASS_RELATION_KIND);
    assert_int_equal(find(c, "q")->bypass, BYPASS_NONE);
    assert_false(find(c, "q")->writes_known);
    assert_int_equal(find(c, "circle1")->bypass, BYPASS_RELATION_KIND);
    catalog_unref(&c);
}

static void too_much_is_given_up(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    const char *const names[] = {"plain", "view"};
    for (uint32_t i = 0; i < 2; i++) {
        struct catalog_relation t = table(100 + i, names[i]);
        t.is_view = t.stands_for_others = i == 1;
        catalog_builder_relation(b, &t);
    }
    lineage_truncated(catalog_builder_lineage(b));
    struct catalog *c = catalog_builder_finish(b);
    assert_int_equal(find(c, "plain")->bypass, BYPASS_NONE);
    assert_int_equal(find(c, "view")->bypass, BYPASS_INHERITANCE);
    assert_true(find(c, "view")->runs_code);
    catalog_unref(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_reads_is_ended),
        cmocka_unit_test(a_view_is_what_it_reads),
        cmocka_unit_test(a_table_is_what_its_policies_read),
        cmocka_unit_test(below_counts),
        cmocka_unit_test(too_much_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
