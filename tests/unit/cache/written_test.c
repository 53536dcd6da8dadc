// SPDX-License-Identifier: Apache-2.0
// Which tables' rows may get another key than a write says, and to which table a write through a
// view is one.
#include "cache/written.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "cache/lineage.h"

static struct catalog_builder *b;
static struct lineage *l;

static void add(uint32_t oid, const char *name, bool view, bool writes_known)
{
    struct catalog_relation r = {.schema = slice_str("s"), .name = slice_str(name), .oid = oid,
                                 .is_view = view, .stands_for_others = view,
                                 .writes_known = writes_known};
    if (!view)
        r.key = (struct catalog_key){.count = 1, .told = 2, .full = true,
                                     .columns = {{.name = slice_str("id")},
                                                 {.name = slice_str("a")}}};
    catalog_builder_relation(b, &r);
}

static int begin(void **state)
{
    b = catalog_builder_new(1);
    l = catalog_builder_lineage(b);
    return 0;
}

static const struct catalog_relation *find(const struct catalog *c, const char *name)
{
    const struct catalog_relation *r;
    assert_int_equal(catalog_find(c, slice_str("s"), slice_str(name), &r), CATALOG_FOUND);
    return r;
}

static void assigned_columns(void **state)
{
    static const char *const names[] = {"none", "other", "key", "told", "any", "top", "leaf",
                                        "leaf2", "under"};
    static const bool expected[] = {false, false, true, true, true, true, true, false, false};
    enum { N = sizeof(names) / sizeof(*names) };
    for (uint32_t i = 0; i < N; i++)
        add(i + 1, names[i], false, true);
    lineage_child(l, 6, 7);
    lineage_child(l, 6, 8);
    lineage_child(l, 8, 9);
    lineage_assigns(l, 2, slice_str("n"));
    lineage_assigns(l, 3, slice_str("id"));
    lineage_assigns(l, 4, slice_str("n"));
    lineage_assigns(l, 4, slice_str("a"));
    lineage_assigns(l, 5, slice_of(NULL, 0));
    lineage_assigns(l, 7, slice_str("n")); // the key of the tables around it may be another one
    lineage_assigns(l, 99, slice_str("id"));
    struct catalog *c = catalog_builder_finish(b);
    for (uint32_t i = 0; i < N; i++)
        if (find(c, names[i])->rewrites != expected[i])
            fail_msg("%s", names[i]);
    catalog_unref(&c);
}

static void writes_through_views(void **state)
{
    add(1, "t", false, true);
    add(2, "unknown", false, false);
    add(3, "triggered", false, true);
    add(10, "v", true, true);
    add(11, "vv", true, true);
    add(9, "vvv", true, true);
    add(12, "of_unknown", true, true);
    add(13, "of_triggered", true, true);
    add(14, "ruled", true, false);
    add(15, "of_ruled", true, true);
    add(16, "calls", true, true);
    add(17, "of_calls", true, true);
    add(18, "two", true, true);
    add(19, "nothing", true, true);
    add(20, "not_loaded", true, true);
    add(21, "view_triggered", true, true);
    static const uint32_t uses[][2] = {{10, 1}, {11, 10}, {9, 11}, {12, 2}, {13, 3}, {14, 1},
                                       {15, 14}, {16, 1}, {17, 16}, {18, 1}, {18, 3}, {20, 77},
                                       {21, 1}};
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
        lineage_uses(l, uses[i][0], uses[i][1]);
    lineage_runs_code(l, 16);
    lineage_writes_unknown(l, 3);
    lineage_writes_unknown(l, 21);
    struct catalog *c = catalog_builder_finish(b);
    static const char *const known[] = {"v", "vv", "vvv"};
    static const char *const unknown[] = {"of_unknown", "of_triggered", "ruled", "of_ruled",
                                          "calls", "of_calls", "two", "nothing", "not_loaded",
                                          "view_triggered"};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        assert_true(find(c, known[i])->writes_known);
        assert_ptr_equal(find(c, known[i])->base, find(c, "t"));
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
        if (find(c, unknown[i])->writes_known || find(c, unknown[i])->base != NULL)
            fail_msg("%s", unknown[i]);
    assert_false(find(c, "triggered")->writes_known);
    catalog_unref(&c);
}

// As everything that stands for others.
static void views_of_what_was_cut_off(void **state)
{
    add(1, "t", false, true);
    add(2, "v", true, true);
    lineage_uses(l, 2, 1);
    lineage_truncated(l);
    struct catalog *c = catalog_builder_finish(b);
    assert_false(find(c, "v")->writes_known);
    assert_null(find(c, "v")->base);
    catalog_unref(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(assigned_columns, begin),
        cmocka_unit_test_setup(writes_through_views, begin),
        cmocka_unit_test_setup(views_of_what_was_cut_off, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
