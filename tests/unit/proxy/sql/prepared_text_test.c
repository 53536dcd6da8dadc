// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/sql/prepared_text.h"

static void check(const char *sql, const char *query)
{
    struct slice got = prepared_text_query(slice_str(sql));
    if (!slice_is(got, query))
        fail_msg("%s: %.*s", sql, (int)got.len, (const char *)got.at);
}

static void test_found(void **state)
{
    check("PREPARE a AS SELECT 1", " SELECT 1");
    check("prepare a as select 1 as x;", " select 1 as x;");
    check("PREPARE a(int, numeric(10, 2)) AS SELECT $1", " SELECT $1");
    check("PREPARE \"as\" AS VALUES (1)", " VALUES (1)");
    check("PREPARE \"a\"\" as b\"(\"as\") AS VALUES (1)", " VALUES (1)");
    check("/* as /* as */ as */ PREPARE -- as\n a\tAS/**/SELECT 1", "/**/SELECT 1");
    check("PREPARE U&\"d\\0061t\" AS SELECT 1", " SELECT 1");
    check("PREPARE asas AS SELECT 1", " SELECT 1");
    check("PREPARE a (int[]) aS TABLE t", " TABLE t");
}

static void test_not_found(void **state)
{
    const char *const none[] = {
        "",           "PREPARE",         "PREPARE a",      "AS",           "PREPARE a(AS",
        "PREPARE \"a AS", "/* PREPARE a AS", "PREPARE -- a AS", "PREPARE a AS", "PREPARE a 'AS",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        check(none[i], "");
}

// Whatever the bytes: what is found lies within them.
static void test_any_bytes(void **state)
{
    static const char alphabet[] = "aAsS \"'()/*-\n$1\xff";
    char text[40];
    srand(1);
    for (int i = 0; i < 200000; i++) {
        size_t n = (size_t)rand() % sizeof(text);
        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
        struct slice got = prepared_text_query(slice_of(text, n));
        if (got.len > 0)
            assert_ptr_equal(got.at + got.len, text + n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
