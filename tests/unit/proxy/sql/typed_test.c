// SPDX-License-Identifier: Apache-2.0
// What is taken for granted of columns, types and parameters, on a small made-up catalog.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/sql/resolve.h"
#include "proxy/sql/typed.h"

static void add(struct catalog_builder *b, const char *name, const char *columns, bool times)
{
    static uint32_t oid = 16384;
    catalog_builder_relation(b, &(struct catalog_relation){
                                    .schema = slice_str("public"),
                                    .name = slice_str(name),
                                    .oid = oid++,
                                    .columns = slice_str(columns),
                                    .has_times = times,
                                });
}

static struct catalog *make_catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    add(b, "dates", "d 2 ato 4 word", false);
    add(b, "texts", "o 2 ato 1 x", false);
    add(b, "times", "d 2 tid 4 when", true);
    add(b, "broken", "d 9 at", false);
    add(b, "unknown", "", false);
    catalog_builder_name(b, slice_str("mood"));
    catalog_builder_name(b, slice_str("pair"));
    catalog_builder_name(b, slice_str("day"));
    catalog_builder_name(b, slice_str("own"));
    catalog_builder_name(b, slice_str("nothing"));
    catalog_builder_type(b, slice_str("public"), slice_str("mood"), true);
    catalog_builder_type(b, slice_str("elsewhere"), slice_str("mood"), false);
    catalog_builder_type(b, slice_str("public"), slice_str("pair"), true);
    catalog_builder_type(b, slice_str("s"), slice_str("pair"), false);
    catalog_builder_type(b, slice_str("public"), slice_str("day"), false);
    catalog_builder_type(b, slice_str("pg_catalog"), slice_str("own"), false);
    catalog_builder_type(b, slice_str("public"), slice_str("own"), true);
    return catalog_builder_finish(b);
}

static void check(const char *sql, enum bypass bypass)
{
    struct slice schemas[] = {slice_str("s"), slice_str("public")};
    struct search_path path = {schemas, 2, true};
    struct catalog *catalog = make_catalog();
    struct analysis *a = analysis_new(slice_str(sql));
    struct resolution *r = resolve(a, catalog, &path);
    if (r->bypass != bypass)
        fail_msg("%s: %s", sql, bypass_name(r->bypass));
    assert_int_equal(r->pending, bypass == BYPASS_CATALOG_PENDING);
    resolution_unref(&r);
    analysis_unref(&a);
    catalog_unref(&catalog);
}

static void test_columns(void **state)
{
    check("select at::date from dates", BYPASS_NONE);
    check("select word::date from dates", BYPASS_CAST);
    check("select at::date from texts", BYPASS_CAST);
    check("select d.at::date from dates d, texts", BYPASS_CAST); // it is not looked at whose it is
    check("select at::date, \"when\"::date from dates, times", BYPASS_NONE);
    check("select missing::date from dates", BYPASS_CAST);
    check("select at::date from broken", BYPASS_CAST);
    check("select at::date from unknown", BYPASS_CAST);
    check("select at::date, at::time, ti::interval from dates, times", BYPASS_NONE);
    check("select date_trunc('day', now.at)::date from dates now", BYPASS_NONE);
    check("select coalesce(word, at)::date from dates", BYPASS_CAST);
}

static void test_types(void **state)
{
    check("select 'a'::mood from dates", BYPASS_NONE);
    check("select 'a'::public.mood, $1::mood[] from dates", BYPASS_NONE);
    check("select 'a'::elsewhere.mood from dates", BYPASS_CAST);
    check("select 'a'::pair from dates", BYPASS_CAST); // which one the role decides
    check("select 'a'::public.pair from dates", BYPASS_NONE);
    check("select 'a'::day from dates", BYPASS_CAST);
    check("select 'a'::own from dates", BYPASS_CAST);
    check("select 'a'::nothing from dates", BYPASS_CAST);
    check("select 'a'::unheard_of from dates", BYPASS_CATALOG_PENDING);
    check("select (word).day from dates", BYPASS_CAST);
    check("select (word).mood from dates", BYPASS_NONE);
    check("select (word).nothing from dates", BYPASS_NONE);
    check("select (word).unheard_of from dates", BYPASS_CATALOG_PENDING);
}

static void test_zones(void **state)
{
    check("select at at time zone 'utc' from dates", BYPASS_NONE);
    check("select \"when\" at time zone 'utc' from times", BYPASS_VOLATILE_FUNCTION);
    check("select at at time zone 'utc' from dates where exists (select from times)",
          BYPASS_VOLATILE_FUNCTION);
    check("select ti from times", BYPASS_NONE);
}

static void test_parameters(void **state)
{
    enum { TEXT = 25, TIME = 1083, TIMES = 1183, TIMETZ = 1266, REGCLASS = 2205, USERS = 16384 };
    struct analysis *plain = analysis_new(slice_str("select * from t where a = $1"));
    struct analysis *zones = analysis_new(slice_str("select $1 at time zone 'utc' from t"));
    static const uint32_t always[] = {0, 705, TEXT, 1114, 1184},
                          not_in_zones[] = {TIME, TIMES, USERS},
                          never[] = {TIMETZ, REGCLASS, 1270, 2249};
    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++) {
        assert_int_equal(typed_parameter(plain, always[i]), BYPASS_NONE);
        assert_int_equal(typed_parameter(zones, always[i]), BYPASS_NONE);
    }
    for (size_t i = 0; i < sizeof(not_in_zones) / sizeof(*not_in_zones); i++) {
        assert_int_equal(typed_parameter(plain, not_in_zones[i]), BYPASS_NONE);
        assert_int_equal(typed_parameter(zones, not_in_zones[i]), BYPASS_VOLATILE_FUNCTION);
    }
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
        assert_int_equal(typed_parameter(plain, never[i]), BYPASS_CAST);
        assert_int_not_equal(typed_parameter(zones, never[i]), BYPASS_NONE);
    }
    analysis_unref(&plain);
    analysis_unref(&zones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
