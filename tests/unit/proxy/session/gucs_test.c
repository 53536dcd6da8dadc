// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/gucs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct gucs *of(const char *const *pairs)
{
    struct gucs_draft draft = {.count = 0};
    for (; *pairs != NULL; pairs += 2)
        gucs_draft_add(&draft, slice_str(pairs[0]), slice_str(pairs[1]));
    return gucs_new(&draft);
}
#define GUCS(...) of((const char *const[]){__VA_ARGS__, NULL})

static void check_change(struct gucs *have, struct gucs *want, const char *sql, bool sure)
{
    struct buf got = {0};
    assert_int_equal(gucs_change(have, want, &got), sure);
    assert_string_equal((const char *)got.at, sql);
    buf_fini(&got);
    gucs_unref(&have);
    gucs_unref(&want);
}

static void test_a_set(void **state)
{
    struct gucs *a = GUCS("Work_Mem", "1MB", "app.x", "", "work_mem", "2MB");
    assert_int_equal(a->count, 2);
    assert_string_equal(gucs_find(a, "WORK_MEM"), "2MB"); // the last one counts
    assert_string_equal(gucs_find(a, "app.x"), "");
    assert_null(gucs_find(a, "app"));
    assert_null(gucs_find(NULL, "app"));
    struct gucs *b = GUCS("app.x", "", "work_mem", "2MB");
    assert_true(gucs_equal(a, b));
    assert_true(a->hash == b->hash);
    struct gucs *c = gucs_ref(a);
    assert_ptr_equal(a, c);
    gucs_unref(&c);
    assert_null(c);
    gucs_unref(&c);
    assert_false(gucs_equal(a, NULL));
    assert_true(gucs_equal(NULL, NULL));
    gucs_unref(&b);
    b = GUCS("app.x", "other", "work_mem", "2MB");
    assert_false(gucs_equal(a, b));
    assert_true(a->planning_hash == b->planning_hash); // no plan depends on it
    gucs_unref(&a);
    gucs_unref(&b);
    struct gucs_draft nothing = {.count = 0};
    assert_null(gucs_new(&nothing));
}

static void test_join_and_without(void **state)
{
    struct gucs *base = GUCS("a.a", "1", "b.b", "2");
    struct gucs *over = GUCS("b.b", "3", "c.c", "4");
    struct gucs *joined = gucs_join(base, over);
    struct gucs *want = GUCS("a.a", "1", "b.b", "3", "c.c", "4");
    assert_true(gucs_equal(joined, want));
    struct gucs *rest = gucs_without(joined, base);
    assert_true(gucs_equal(rest, over));
    assert_null(gucs_without(base, base));
    assert_null(gucs_join(NULL, NULL));
    gucs_unref(&base);
    gucs_unref(&over);
    gucs_unref(&joined);
    gucs_unref(&want);
    gucs_unref(&rest);
}

// Of equal sets one is kept, whoever had it first.
static void test_equal_ones_are_shared(void **state)
{
    struct gucs_common common = {0};
    struct gucs *a = GUCS("a.a", "1", "b.b", "2"), *b = GUCS("b.b", "2", "a.a", "1");
    struct gucs *other = GUCS("a.a", "1", "b.b", "3"), *none = NULL;
    const struct gucs *first = a;
    gucs_share(&common, &a);
    gucs_share(&common, &b);
    gucs_share(&common, &other);
    gucs_share(&common, &none);
    assert_ptr_equal(a, first);
    assert_ptr_equal(b, first);
    assert_ptr_not_equal(other, first);
    assert_null(none);
    assert_string_equal(gucs_find(other, "b.b"), "3");
    gucs_unref(&a);
    gucs_unref(&b);
    gucs_unref(&other);
    gucs_common_fini(&common);
}

static void test_changes(void **state)
{
    check_change(NULL, NULL, "", true);
    check_change(NULL, GUCS("work_mem", "1"),
                 "SELECT pg_catalog.set_config(E'work_mem',E'1',false);", true);
    check_change(GUCS("work_mem", "1", "app.x", "2"), NULL,
                 "RESET \"app\".\"x\";RESET \"work_mem\";", true);
    check_change(GUCS("work_mem", "1", "app.x", "2"), GUCS("work_mem", "1", "app.x", "3"),
                 "SELECT pg_catalog.set_config(E'app.x',E'3',false);", true);
    check_change(NULL, GUCS("app.a", "it's \\", "app.b", ""),
                 "SELECT pg_catalog.set_config(E'app.a',E'it''s \\\\',false),"
                 "CASE WHEN coalesce(pg_catalog.current_setting(E'app.b',true),'')"
                 " OPERATOR(pg_catalog.=) ''"
                 " OR NOT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name)"
                 " OPERATOR(pg_catalog.=) E'app.b' AND vartype OPERATOR(pg_catalog.<>) 'string')"
                 " THEN pg_catalog.set_config(E'app.b',E'',false) END;", true);
}

// What may fail is waited for: roles, privileges, objects that may be gone; another's time limit.
static void test_unsure(void **state)
{
    check_change(NULL, GUCS("default_text_search_config", "x"),
                 "SELECT pg_catalog.set_config(E'default_text_search_config',E'x',false);", false);
    check_change(NULL, GUCS("role", "o'r", "work_mem", "1"),
                 "SELECT pg_catalog.set_config(E'work_mem',E'1',false);SET ROLE E'o''r';", false);
    check_change(GUCS("role", "r", "session_authorization", "s"),
                 GUCS("session_authorization", "t"),
                 "RESET ROLE;RESET SESSION AUTHORIZATION;SET SESSION AUTHORIZATION E't';", false);
    check_change(GUCS("statement_timeout", "1ms"), NULL, "RESET \"statement_timeout\";", false);
    check_change(NULL, GUCS("statement_timeout", "1ms"),
                 "SELECT pg_catalog.set_config(E'statement_timeout',E'1ms',false);", true);
}

static struct gucs *encoded(const char *name, const char *value, const char *encoding)
{
    struct gucs_draft draft = {.encoding = encoding};
    gucs_draft_add(&draft, slice_str(name), slice_str(value));
    return gucs_new(&draft);
}

// The same bytes are not the same text in another encoding; ASCII is the same in all.
static void test_encodings(void **state)
{
    struct gucs *a = encoded("app.x", "\xc3\xa9", "UTF8");
    struct gucs *b = encoded("app.x", "\xc3\xa9", "LATIN1");
    assert_false(gucs_equal(a, b));
    struct gucs *rest = gucs_without(a, b);
    assert_true(gucs_equal(rest, a));
    gucs_unref(&rest);
    check_change(b, a,
                 "SELECT pg_catalog.set_config(pg_catalog.convert_from(pg_catalog.decode("
                 "'6170702e78','hex'),E'UTF8'),pg_catalog.convert_from(pg_catalog.decode("
                 "'c3a9','hex'),E'UTF8'),false);", false);
    check_change(encoded("app.\xe9", "1", "LATIN1"), NULL,
                 "SELECT pg_catalog.set_config(pg_catalog.convert_from(pg_catalog.decode("
                 "'6170702ee9','hex'),E'LATIN1'),NULL,false);", true);
    a = encoded("app.x", "1", "UTF8");
    b = encoded("app.x", "1", "SJIS");
    assert_true(gucs_equal(a, b));
    gucs_unref(&a);
    gucs_unref(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set),
        cmocka_unit_test(test_join_and_without),
        cmocka_unit_test(test_equal_ones_are_shared),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_unsure),
        cmocka_unit_test(test_encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
