// SPDX-License-Identifier: Apache-2.0
#include "cache/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "cache/ledger.h"

static void relation(struct catalog_builder *b, const char *schema, const char *name, uint32_t oid,
                     enum bypass bypass)
{
    catalog_builder_relation(b, &(struct catalog_relation){.schema = slice_str(schema),
                                                           .name = slice_str(name),
                                                           .oid = oid,
                                                           .bypass = bypass,
                                                           .writes_known = oid % 2 == 0});
}

static struct catalog *build(void)
{
    struct catalog_builder *b = catalog_builder_new(42);
    relation(b, "public", "t", 10, BYPASS_NONE);
    relation(b, "app", "t", 11, BYPASS_ROW_SECURITY);
    relation(b, "pg_catalog", "pg_class", 12, BYPASS_CATALOG_RELATION);
    relation(b, "public", "pg_class", 13, BYPASS_NONE);
    catalog_builder_name(b, slice_str("missing"));
    catalog_builder_function(b, slice_str("lower"), CATALOG_IMMUTABLE);
    catalog_builder_function(b, slice_str("to_char"), CATALOG_STABLE);
    catalog_builder_function(b, slice_str("to_char"), CATALOG_IMMUTABLE);
    catalog_builder_operator(b, slice_str("+"), CATALOG_STABLE);
    catalog_builder_capture_function(b, slice_str("lower"));
    catalog_builder_capture_operator(b, slice_str("="));
    return catalog_builder_finish(b);
}

static void names_are_found(void **state)
{
    struct catalog *c = build();
    const struct catalog_relation *r;
    assert_int_equal(catalog_version(c), 42);
    assert_int_equal(catalog_relations(c), 4);
    assert_int_equal(catalog_find(c, slice_str("public"), slice_str("t"), &r), CATALOG_FOUND);
    assert_int_equal(r->oid, 10);
    assert_true(r->writes_known);
    assert_int_equal(r->slot, ledger_slot_of(slice_str("public"), slice_str("t")));
    assert_int_equal(catalog_find(c, slice_str("app"), slice_str("t"), &r), CATALOG_FOUND);
    assert_int_equal(r->bypass, BYPASS_ROW_SECURITY);
    assert_true(slice_is(r->schema, "app") && slice_is(r->name, "t"));
    assert_int_equal(catalog_find(c, slice_str("other"), slice_str("t"), &r), CATALOG_ABSENT);
    assert_int_equal(catalog_find(c, slice_str("public"), slice_str("missing"), &r),
                     CATALOG_ABSENT);
    assert_int_equal(catalog_find(c, slice_str("public"), slice_str("T"), &r), CATALOG_PENDING);
    assert_int_equal(catalog_find(c, slice_str("public"), slice_str("lower"), &r),
                     CATALOG_PENDING); // known as a function only
    assert_true(catalog_knows(c, slice_str("missing")));
    assert_false(catalog_knows(c, slice_str("lower")));
    catalog_unref(&c);
    assert_null(c);
}

static void path_gives_every_candidate(void **state)
{
    struct catalog *c = build();
    const struct catalog_relation *r[2];
    size_t n;
    struct slice path[] = {slice_str("app"), slice_str("public"), slice_str("app")};
    assert_int_equal(catalog_search(c, path, 3, slice_str("t"), r, 2, &n), CATALOG_FOUND);
    assert_int_equal(n, 2);
    assert_int_equal(r[0]->oid, 11);
    assert_int_equal(r[1]->oid, 10);
    assert_int_equal(catalog_search(c, path, 3, slice_str("t"), r, 1, &n), CATALOG_PENDING);
    assert_int_equal(catalog_search(c, path, 1, slice_str("t"), r, 2, &n), CATALOG_FOUND);
    assert_int_equal(n, 1);
    assert_int_equal(catalog_search(c, path, 0, slice_str("t"), r, 2, &n), CATALOG_ABSENT);
    assert_int_equal(catalog_search(c, path, 3, slice_str("missing"), r, 2, &n), CATALOG_ABSENT);
    assert_int_equal(catalog_search(c, path, 3, slice_str("new"), r, 2, &n), CATALOG_PENDING);
    catalog_unref(&c);
}

static void system_schema_comes_first_unless_named(void **state)
{
    struct catalog *c = build();
    const struct catalog_relation *r[4];
    size_t n;
    struct slice path[] = {slice_str("public"), slice_str("pg_catalog")};
    assert_int_equal(catalog_search(c, path, 1, slice_str("pg_class"), r, 4, &n), CATALOG_FOUND);
    assert_int_equal(r[0]->oid, 12);
    assert_int_equal(catalog_search(c, path, 2, slice_str("pg_class"), r, 4, &n), CATALOG_FOUND);
    assert_int_equal(r[0]->oid, 13);
    assert_int_equal(r[1]->oid, 12);
    catalog_unref(&c);
}

static void functions_and_operators(void **state)
{
    struct catalog *c = build();
    assert_int_equal(catalog_function(c, slice_str("lower")), CATALOG_IMMUTABLE);
    assert_int_equal(catalog_function(c, slice_str("to_char")), CATALOG_STABLE); // the worst
    assert_int_equal(catalog_function(c, slice_str("now")), CATALOG_UNKNOWN);
    assert_int_equal(catalog_operator(c, slice_str("+")), CATALOG_STABLE);
    assert_int_equal(catalog_operator(c, slice_str("lower")), CATALOG_UNKNOWN);
    assert_true(catalog_captures_function(c, slice_str("lower")));
    assert_false(catalog_captures_operator(c, slice_str("lower")));
    assert_true(catalog_captures_operator(c, slice_str("=")));
    assert_false(catalog_captures_function(c, slice_str("=")));
    struct catalog *held = catalog_ref(c);
    catalog_unref(&c);
    assert_int_equal(catalog_version(held), 42);
    catalog_unref(&held);
}

static void whole_database_can_be_denied(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    catalog_builder_deny(b, BYPASS_CAST);
    catalog_builder_deny(b, BYPASS_DISABLED);
    struct catalog *c = catalog_builder_finish(b);
    assert_int_equal(catalog_denied(c), BYPASS_CAST);
    catalog_unref(&c);
    b = catalog_builder_new(1);
    catalog_builder_name(b, slice_str("t"));
    catalog_builder_free(b);
    catalog_builder_free(NULL);
}

static struct catalog *with_settings(const char *const *names)
{
    struct catalog_builder *b = catalog_builder_new(1);
    for (; *names != NULL; names++)
        assert_true(catalog_builder_setting(b, slice_str(*names)));
    return catalog_builder_finish(b);
}

static void settings_are_a_set(void **state)
{
    struct catalog *one = with_settings((const char *const[]){"b.x", "a.y", "b.x", "a.x", NULL});
    struct catalog *same = with_settings((const char *const[]){"a.x", "a.y", "b.x", NULL});
    struct catalog *less = with_settings((const char *const[]){"a.x", "a.y", NULL});
    struct catalog *none = with_settings((const char *const[]){NULL});
    size_t n;
    const struct slice *names = catalog_settings(one, &n);
    assert_int_equal(n, 3);
    assert_true(slice_is(names[0], "a.x") && slice_is(names[1], "a.y"));
    assert_true(catalog_settings_hash(one) == catalog_settings_hash(same));
    assert_true(catalog_settings_hash(one) != catalog_settings_hash(less));
    assert_true(catalog_settings_hash(less) != 0 && catalog_settings_hash(none) == 0);
    catalog_unref(&one);
    catalog_unref(&same);
    catalog_unref(&less);
    catalog_unref(&none);
    struct catalog_builder *b = catalog_builder_new(1);
    for (uint8_t i = 0; i < CATALOG_SETTINGS_MAX; i++)
        assert_true(catalog_builder_setting(b, slice_of(&i, 1)));
    assert_false(catalog_builder_setting(b, slice_str("too.many")));
    assert_true(catalog_builder_setting(b, slice_of("\0", 1))); // is there already
    catalog_builder_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(path_gives_every_candidate),
        cmocka_unit_test(system_schema_comes_first_unless_named),
        cmocka_unit_test(functions_and_operators),
        cmocka_unit_test(whole_database_can_be_denied),
        cmocka_unit_test(settings_are_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
