// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/sql/builtins.h"
#include "proxy/sql/builtins_table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NAME(text) slice_str(text)

static void check_sorted(const struct builtin *table, size_t count)
{
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(table[i - 1].name, table[i].name) < 0);
}

static void test_tables(void **state)
{
    check_sorted(builtin_functions, COUNT_OF(builtin_functions));
    check_sorted(builtin_operators, COUNT_OF(builtin_operators));
    for (size_t i = 0; i < COUNT_OF(builtin_functions); i++)
        assert_int_not_equal(builtin_function_volatility(NAME(builtin_functions[i].name)),
                             VOLATILITY_UNKNOWN);
    for (size_t i = 0; i < COUNT_OF(builtin_operators); i++)
        assert_int_not_equal(builtin_operator_volatility(NAME(builtin_operators[i].name)),
                             VOLATILITY_UNKNOWN);
}

static void test_volatility(void **state)
{
    assert_int_equal(builtin_function_volatility(NAME("lower")), VOLATILITY_IMMUTABLE);
    assert_int_equal(builtin_function_volatility(NAME("now")), VOLATILITY_STABLE);
    assert_int_equal(builtin_function_volatility(NAME("random")), VOLATILITY_VOLATILE);
    assert_int_equal(builtin_function_volatility(NAME("")), VOLATILITY_UNKNOWN);
    assert_int_equal(builtin_function_volatility(NAME("lowe")), VOLATILITY_UNKNOWN);
    assert_int_equal(builtin_function_volatility(NAME("lowerr")), VOLATILITY_UNKNOWN);
    assert_int_equal(builtin_function_volatility(NAME("LOWER")), VOLATILITY_UNKNOWN);
    assert_int_equal(builtin_function_volatility(NAME("zzz")), VOLATILITY_UNKNOWN);
    assert_int_equal(builtin_operator_volatility(NAME("=")), VOLATILITY_STABLE);
    assert_int_equal(builtin_operator_volatility(NAME("~~*")), VOLATILITY_IMMUTABLE);
    assert_int_equal(builtin_operator_volatility(NAME("<~>")), VOLATILITY_UNKNOWN);
}

// Nothing that is volatile may ever be cacheable, whatever the reviewed lists say.
static void test_cacheable(void **state)
{
    for (size_t i = 0; i < COUNT_OF(builtin_functions); i++)
        if (builtin_functions[i].volatility == 'v')
            assert_false(builtin_function_cacheable(NAME(builtin_functions[i].name)));
    assert_true(builtin_function_cacheable(NAME("count")));
    assert_true(builtin_function_cacheable(NAME("date_trunc")));
    assert_false(builtin_function_cacheable(NAME("now")));
    assert_false(builtin_function_cacheable(NAME("age")));
    assert_false(builtin_function_cacheable(NAME("to_tsvector")));
    assert_false(builtin_function_cacheable(NAME("pg_partition_root")));
    assert_false(builtin_function_cacheable(NAME("regclasssend")));
    assert_true(builtin_function_searches_text(NAME("to_tsvector")));
    assert_false(builtin_function_searches_text(NAME("ts_rewrite")));
    assert_true(builtin_operator_searches_text(NAME("@@")));
    assert_true(builtin_cast_searches_text(NAME("regconfig"), true));
    assert_false(builtin_cast_searches_text(NAME("regconfig"), false));
    assert_false(builtin_function_cacheable_as(NAME("to_tsvector"), 'i'));
    assert_true(builtin_function_cacheable_as(NAME("age"), 'i'));
    assert_false(builtin_function_cacheable_as(NAME("age"), 's'));
    assert_true(builtin_function_cacheable_as(NAME("date"), 's'));
    assert_false(builtin_function_cacheable(NAME("date")));
    assert_false(builtin_function_cacheable_as(NAME("random"), 'v'));
    assert_false(builtin_function_cacheable(NAME("nothing_such")));
    assert_true(builtin_operator_cacheable(NAME("=")));
    assert_false(builtin_operator_cacheable(NAME("@@")));
    assert_false(builtin_operator_cacheable(NAME("@@@")));
    assert_false(builtin_operator_cacheable(NAME("<~>")));
    assert_true(builtin_cast_cacheable(NAME("int4"), false));
    assert_false(builtin_cast_cacheable(NAME("date"), false));
    assert_true(builtin_cast_cacheable(NAME("date"), true));
    assert_false(builtin_cast_cacheable(NAME("timetz"), true));
    assert_false(builtin_cast_cacheable(NAME("regclass"), true));
}

static void test_deeds(void **state)
{
    assert_int_equal(builtin_function_deed(NAME("lower")), BUILTIN_NOTHING);
    assert_int_equal(builtin_function_deed(NAME("now")), BUILTIN_NOTHING);
    assert_int_equal(builtin_function_deed(NAME("random")), BUILTIN_NOTHING);
    assert_int_equal(builtin_function_deed(NAME("nextval")), BUILTIN_SEQUENCE_USE);
    assert_int_equal(builtin_function_deed(NAME("pg_advisory_xact_lock")), BUILTIN_NOTHING);
    assert_int_equal(builtin_function_deed(NAME("pg_advisory_lock")), BUILTIN_ADVISORY);
    assert_int_equal(builtin_function_deed(NAME("set_config")), BUILTIN_SET_CONFIG);
    assert_int_equal(builtin_function_deed(NAME("query_to_xml")), BUILTIN_ANYTHING);
    assert_int_equal(builtin_function_deed(NAME("table_to_xml")), BUILTIN_ANYTHING);
    assert_int_equal(builtin_function_deed(NAME("ts_stat")), BUILTIN_ANYTHING);
    assert_int_equal(builtin_function_deed(NAME("setseed")), BUILTIN_ANYTHING);
    assert_int_equal(builtin_function_deed(NAME("my_function")), BUILTIN_ANYTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_volatility),
        cmocka_unit_test(test_cacheable),
        cmocka_unit_test(test_deeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
