// SPDX-License-Identifier: Apache-2.0
// Texts that are deep, long, or name more than is kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/sql/analysis.h"

// A text with `count` copies of part between head and core, and as many of close behind it.
static struct analysis *analysis_of_nest(const char *head, const char *part, size_t count,
                                         const char *core, const char *close)
{
    struct buf b = {0};
    buf_put(&b, slice_str(head));
    for (size_t i = 0; i < count; i++)
        buf_put(&b, slice_str(part));
    buf_put(&b, slice_str(core));
    for (size_t i = 0; i < count; i++)
        buf_put(&b, slice_str(close));
    struct analysis *a = analysis_new(buf_slice(&b));
    buf_fini(&b);
    return a;
}

static struct analysis *analysis_of_many(const char *head, const char *part, size_t count,
                                         const char *tail)
{
    return analysis_of_nest(head, part, count, tail, "");
}

// Texts that would end the process if they were parsed on an ordinary stack, or parsed at all.
static void test_deep(void **state)
{
    static const struct {
        const char *head;
        const char *part;
        const char *tail;
        const char *close;
    } nests[] = {
        {"select 1", "+1", " from t", ""},
        {"select ", "-(", "1", ""},
        {"select a", "::int", " from t", ""},
        {"select ", "not ", "a from t", ""},
        {"select a", " is null", " from t", ""},
        {"select ", "array[", "1", ""},
        {"select ", "(select ", "1", ""},
        {"select ", "f(", "1", ""},
        {"select 1", " union select 1", "", ""},
        {"select * from t", " join t on a", "", ""},
        {"select ", "case when ", "1", ""},
        {"select 1, 2", " union select 1, 2", "", ""},
        {"select * from (select 1, 2", " union select 1, 2", ") x", ""},
        {"select (", "(1)+", "1)", ""},
        {"select ", "(", "1", ""},
        {"explain ", "explain ", "select 1", ""},
        {"with x as (", "with x as (", "select 1", ""},
        {"select a", "[1]", " from t", ""},
        {"select a", " collate x", " from t", ""},
        {"select a from t where ", "a and ", "a", ""},
        {"create schema x ", "create schema y ", "", ""},
        {"select ", "-(", "1", ")"},
        {"select ", "array[", "1", "]"},
        {"select array[", "[", "1", "]"},
        {"select ", "(select ", "1", ")"},
        {"select ", "(select a from b where c in ", "(1)", ")"},
        {"select ", "f(", "1", ")"},
        {"select ", "f(1, g(2), -", "1", ")"},
        {"select ", "(", "1", ")"},
        {"select ", "case when ", "1", " then 2 end"},
        {"select ", "case a when 1 then ", "1", " end"},
        {"select * from ", "(select * from ", "t", ") x"},
        {"select * from ", "(t join ", "t", " on true)"},
        {"", "with x as (", "select 1", ") select 2"},
        {"select a from t where ", "(a = 1 or not ", "a", ")"},
        {"select ", "cast(", "1", " as int)"},
        {"select ", "row(1, ", "1", ")"},
    };
    static const size_t counts[] = {100, 300, 600, 1000, 3000, 5000, 9000, 15000, 40000};
    for (size_t i = 0; i < sizeof(nests) / sizeof(nests[0]); i++)
        for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++) {
            struct analysis *a =
                analysis_of_nest(nests[i].head, nests[i].part, counts[j], nests[i].tail,
                                 nests[i].close);
            if (counts[j] > 20000 && i == 0)
                assert_int_equal(a->kind, STATEMENT_UNKNOWN);
            if (counts[j] < 9000 && i == 0)
                assert_int_equal(a->kind, STATEMENT_SELECT);
            analysis_unref(&a);
        }
}

// Long but flat texts are read.
static void test_long(void **state)
{
    struct analysis *a =
        analysis_of_many("insert into t values (0)", ",(1,'some text',-2.5)", 30000, "");
    assert_int_equal(a->kind, STATEMENT_WRITE);
    assert_int_equal(a->writes.count, 1);
    assert_false(a->writes_unknown);
    analysis_unref(&a);
    a = analysis_of_many("insert into t values (0)", ",(null,'x'::jsonb,now(),default)", 30000, "");
    assert_int_equal(a->kind, STATEMENT_WRITE);
    analysis_unref(&a);
    a = analysis_of_many("select * from t where a in (0", ",12345", 50000, ")");
    assert_int_equal(a->bypass, BYPASS_NONE);
    analysis_unref(&a);
    a = analysis_of_many("select 1", ";update t set a = a + 1 where b = 2", 5000, "");
    assert_int_equal(a->kind, STATEMENT_MULTI);
    assert_int_equal(a->statements, 5001);
    analysis_unref(&a);
    a = analysis_of_many("insert into t values ('", "0123456789", 100000, "')");
    assert_int_equal(a->kind, STATEMENT_WRITE);
    analysis_unref(&a);
    a = analysis_of_many("insert into t values ('", "0123456789", 200000, "')");
    assert_int_equal(a->kind, STATEMENT_UNKNOWN);
    analysis_unref(&a);
}

// More names than are kept: not cached, and a barrier.
static void test_many_names(void **state)
{
    struct buf b = {0};
    buf_printf(&b, "select 1 from t");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, ", t%d", i);
    struct analysis *a = analysis_new(buf_slice(&b));
    assert_int_equal(a->bypass, BYPASS_UNSUPPORTED);
    assert_true(a->writes_unknown);
    analysis_unref(&a);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
