// SPDX-License-Identifier: Apache-2.0
// What is taken for granted of columns, types and parameters, on a small made-up catalog.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/sql/columns.h"
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

static void add_odd(struct catalog_builder *b, const char *name, const char *columns)
{
    static uint32_t oid = 17384;
    catalog_builder_relation(b, &(struct catalog_relation){
                                    .schema = slice_str("public"),
                                    .name = slice_str(name),
                                    .oid = oid++,
                                    .columns = slice_str(columns),
                                    .odd_columns = true,
                                });
}

static struct catalog *make_catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    add_odd(b, "places", "o 2 idd 2 ato 4 names 4 geomu 4 pair");
    add_odd(b, "marks", "o 2 ido 4 whats 4 mark");
    add_odd(b, "unseen", "");
    add(b, "dates", "d 2 ato 4 word", false);
    add(b, "texts", "o 2 ato 1 x", false);
    add(b, "times", "t 2 tid 4 whenT 3 tisu 2 tz", true);
    add(b, "broken", "d 9 at", false);
    add(b, "unknown", "", false);
    catalog_builder_name(b, slice_str("mark"));
    catalog_builder_name(b, slice_str("mood"));
    catalog_builder_name(b, slice_str("pair"));
    catalog_builder_name(b, slice_str("day"));
    catalog_builder_name(b, slice_str("own"));
    catalog_builder_name(b, slice_str("nothing"));
    catalog_builder_type(b, slice_str("public"), slice_str("mood"), CATALOG_ENUM);
    catalog_builder_type(b, slice_str("elsewhere"), slice_str("mood"), CATALOG_OTHER_TYPE);
    catalog_builder_type(b, slice_str("public"), slice_str("pair"), CATALOG_ENUM);
    catalog_builder_type(b, slice_str("s"), slice_str("pair"), CATALOG_OTHER_TYPE);
    catalog_builder_type(b, slice_str("public"), slice_str("day"), CATALOG_OTHER_TYPE);
    catalog_builder_type(b, slice_str("pg_catalog"), slice_str("own"), CATALOG_OTHER_TYPE);
    catalog_builder_type(b, slice_str("public"), slice_str("own"), CATALOG_ENUM);
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
        fail_msg("%.200s: %s", sql, bypass_name(r->bypass));
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
    check("select ti::interval from times", BYPASS_NONE);
    check("select tis::time from times", BYPASS_CAST);
    check("select date(at), \"timestamp\"(max(at)) from dates group by at", BYPASS_NONE);
    check("select date(word) from dates", BYPASS_CAST);
    check("select date(word) from texts", BYPASS_CAST);
    check("select date('2020-01-01'), at from dates", BYPASS_VOLATILE_FUNCTION);
    check("select date($1), at from dates", BYPASS_VOLATILE_FUNCTION);
    check("select (at).date from dates", BYPASS_VOLATILE_FUNCTION);
}

// word and x are texts; at is a date in dates alone.
static void test_outputs(void **state)
{
    static const char *const good[] = {
        "with q as (select at from dates) select at::date from q",
        "with q as (select at as d, word from dates) select q.d::date, date(d) from q",
        "with q as (select * from dates) select q.at::date from q",
        "with q as (select at as d from dates), r as (select q.* from q) select d::date from r",
        "select d::date from (select at as d from dates) q",
        "select x.d::date from (select date_trunc('day', at) as d, count(*) from dates) x",
        "select date_trunc::date from (select 1, date_trunc('day', at) from dates) x",
        "select x.d::date from (select at as d from dates) x, marks where marks.id = 1",
        "select d::date from (select at::date as d from dates) x, marks",
        "select (select q.d::date) from (select at as d from dates) q",
        "select (case when word = 'a' then null else at end)::date from dates",
        "select d::date from generate_series($1::date, $2::date, '1 day') d, dates",
        "select g.mark::date from generate_series($1::date, $2::date, '1 day') as g(mark), dates",
        "select nothing.nothing::date from generate_series($1::date, $2::date, '1 day') as nothing "
        "left join dates on at = nothing",
        "select at::date from dates, (select 1) x",
        "with recursive q as (select at from dates) select at::date from q",
        "with dates as (select at as word from dates) select word::date from dates",
    };
    static const char *const bad[] = {
        "with q as (select word as at from dates) select at::date from q",
        "with q as (select word as d from dates) select q.d::date from q, texts",
        "with q(d) as (select at from dates) select d::date from q",
        "with q as (select * from texts) select q.x::date from q",
        "with q as (select at from texts) select q.at::date from q",
        "with q as (select upper(word) as d from dates) select d::date from q",
        "with q as (select upper(word), at from dates) select q.upper::date from q",
        "with q as (select coalesce(word, 'a'), at from dates) select coalesce::date from q",
        "with q as (select (word) collate \"C\", at from dates) select word::date from q",
        "with q as (select at from dates union all select at from dates) select at::date from q",
        "with q as (values ('a')) select column1::date from q, dates",
        "with recursive q as (select at from q) select at::date from q, dates",
        "with q(at, word) as (select word, at from dates) select q.at::date from q",
        // Its own names, and those around it, are not those where the cast stands.
        "with q as (select what as d from marks), marks as (select at as what from dates) "
        "select q.d::date from q",
        "with q as (with dates as (select word as at from dates) select at from dates) "
        "select q.at::date from q",
        "select (with marks as (select at as what from dates) select m.what::date from marks) "
        "from marks m",
        "select (with marks as (select at as what from dates) select x.d::date from marks) "
        "from (select what as d from marks) x",
        "select x.d::date from (select word as d from dates) x",
        "select x.d::date from (select at from dates) as x(d)",
        "select x.nothing::date from (select at as d from dates) x",
        "select x.d::date from dates y, lateral (select y.at as d) x",
        "select x.mark::date from dates y, unnest(array[y.mark]) x(mark)",
        "select n::date from dates y, generate_series(1, 2) with ordinality g(d, n)",
        "select g.mark::date from dates, rows from (generate_series(1, 2)) as g(mark)",
        "select g.mark::date from dates, generate_series(1, 2) as g(d)",
        "select j.d::date from ((select at as d from dates) a join dates b on true) as j(d)",
        // In the join it is that of marks, or nobody's, not the query's beside it.
        "select 1 from (marks join places on what::date = name), (select at as what from dates) y",
        "select 1 from texts, lateral (select x::date) z, (select at as x from dates) y",
        // In its own FROM it is a text.
        "select (select x::date from texts) from (select at as x from dates) q",
        "select (case when word = 'a' then word else null end)::date from dates",
        "select (case at when '2020-01-01' then word end)::date from dates",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        check(good[i], BYPASS_NONE);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check(bad[i], BYPASS_CAST);
}

// Whoever wants to keep us busy is not followed.
static void test_bounded(void **state)
{
    static char sql[400000];
    int at = snprintf(sql, sizeof(sql), "with q0 as (select at from dates)");
    for (int i = 1; i < 12; i++)
        at += snprintf(sql + at, sizeof(sql) - (size_t)at,
                       ", q%d as (select at + at + at + at - at as at from q%d)", i, i - 1);
    snprintf(sql + at, sizeof(sql) - (size_t)at, " select at::date from q11");
    check(sql, BYPASS_CAST);
    at = snprintf(sql, sizeof(sql), "select 1");
    for (int i = 0; i < 500; i++)
        at += snprintf(sql + at, sizeof(sql) - (size_t)at, ", d::date");
    at += snprintf(sql + at, sizeof(sql) - (size_t)at, " from (select at as d");
    for (int i = 0; i < 150; i++)
        at += snprintf(sql + at, sizeof(sql) - (size_t)at, ", word as c%d", i);
    snprintf(sql + at, sizeof(sql) - (size_t)at, " from dates) q");
    check(sql, BYPASS_CAST);
}

static void test_records(void **state)
{
    check("select * from dates, jsonb_to_recordset($1::jsonb) as r(a int, b text, "
          "c pg_catalog.int8, d numeric(3, 1), e varchar(5), f int[])", BYPASS_NONE);
    check("select at, r.mark from dates, json_to_record('{\"a\": 1}') as r(mark int)", BYPASS_NONE);
    static const char *const bad[] = {
        "select 1 from dates, jsonb_to_recordset($1) as r(a int, b date)",
        "select 1 from dates, jsonb_to_recordset($1) as r(a timestamptz[])",
        "select 1 from dates, jsonb_to_recordset($1) as r(a mood)",
        "select 1 from dates, jsonb_to_recordset($1) as r(a public.text)",
        "select 1 from dates, rows from (jsonb_to_recordset($1) as (a int)) r",
        "select 1 from dates, jsonb_to_record($1) as r(a int), jsonb_to_record($1) as s(a date)",
        "select 1 from dates, jsonb_populate_record(null::record, $1) as r(a int)",
        "select 1 from dates, jsonb_populate_recordset(null::dates, $1) as r",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct analysis *a = analysis_new(slice_str(bad[i]));
        if ((a->reasons & (1ull << BYPASS_VOLATILE_FUNCTION)) == 0)
            fail_msg("%s", bad[i]);
        analysis_unref(&a);
    }
    check("select r.mark::date from dates, jsonb_to_record($1) as r(mark text)", BYPASS_CAST);
}

// places: geom may be shown, pair may not; marks: mark may be shown.
static void test_odd_columns(void **state)
{
    static const char *const good[] = {
        "select id, name from places where id = 1 order by name",
        "select geom from places where id = 1",
        "select id, p.geom, mark as m from places p join marks using (id) order by p.id, what",
        "select count(*) from places where name like 'a%'",
        "select * from marks where id in (1, 2) order by id",
        "select m.* from marks m, dates d where m.id = d.at",
        "select marks from marks",
        "select geom as g, id from places order by name, id limit 3",
        "select mark from marks where exists (select * from places where places.id = marks.id)",
        "select mark from marks where exists (select geom, pair from places)",
        "select mark from marks where id in (select id from places)",
        "select at::date, mark from places, marks",
        "select p.name, p.id from places p group by name, p.id having count(*) > 1",
        "with w as (select id from places) select mark from marks join w on w.id = marks.id",
        "select a.geom, b.geom from places a left join places b on a.id = b.id",
        "select row_number() over (order by id), geom from places",
        "select distinct id from places",
        "select id from places where geom is not null and pair is null",
        "select count(*) filter (where geom is null) from places",
        "select id from places union select id from marks",
    };
    static const char *const bad[] = {
        "select pair from places",
        "select * from places",
        "select p.* from places p",
        "select places from places",
        "select id from places where geom = 'a'",
        "select id from places order by geom",
        "select id from places order by geom is null, geom",
        "select geom from places order by 1",
        "select geom as g from places order by g",
        "select id as x, geom as y from places group by x, y",
        "select mark, id from marks order by 2",
        "select * from marks order by 1",
        "select geom, count(*) from places group by 1",
        "select mark, count(*) from marks group by rollup (mark)",
        "select distinct mark from marks",
        "select distinct on (id) mark from marks",
        "select distinct * from marks",
        "select mark from marks union all select mark from marks",
        "select mark from marks union select what from marks",
        "(select mark from marks) except (select mark from marks)",
        "select count(mark) from marks",
        "select max(mark) from marks",
        "select mark::text from marks",
        "select mark || 'x' from marks",
        "select (mark) collate \"C\" from marks",
        "select id from marks a join marks b using (mark)",
        "select a.id from marks a natural join marks b",
        "select x from marks as m(x, y, z)",
        "select z from marks as m(x, y, z) where z = y",
        "select j.id from (marks a join dates b on true) as j(p, q, r)",
        "select s.mark from (select mark from marks) s",
        "select 1 from (select * from marks) s",
        "with w as (select * from marks) select id from w",
        "with w(a) as (select mark from marks) select a from w order by a",
        "select (select mark from marks limit 1)",
        "select array(select mark from marks)",
        "select id from places where (id, geom) in (select id, mark from marks)",
        "select id from marks where id in (select mark from marks)",
        "select id from marks where exists (select distinct mark from marks)",
        "select id from marks where exists (select mark from marks group by 1)",
        "select id from marks where exists (select mark = what from marks)",
        "select id from marks where exists (select mark as g from marks group by g)",
        "select id from marks where exists (select mark as g from marks group by id, g)",
        "select id from marks where exists (select mark as g from marks order by g offset 1)",
        "select id from marks where exists (select marks as g from marks group by g)",
        "select count(marks) from marks",
        "select id from marks order by marks",
        "select row_to_json(m) from marks m",
        "select row_to_json(m.*) from marks m",
        "select (m).mark from marks m",
        "select (m).* from marks m",
        "select row(m.*) from marks m",
        "select m.to_json from marks m",
        "select m.count from marks m",
        "select lag(mark) over (order by id) from marks",
        "select rank() over (order by mark) from marks",
        "select sum(id) filter (where mark = what) from marks",
        "select case mark when 'a' then 1 end from marks",
        "select coalesce(mark, what) from marks",
        "select m.id from dates d, lateral (select * from marks where marks.id = d.at) m",
        "select id from unseen",
        "values ((select mark from marks))",
        "table places",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        check(good[i], BYPASS_NONE);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check(bad[i], BYPASS_COLUMN_TYPE);
    check("table marks", BYPASS_NONE);
    check("select \"größe\" from marks", BYPASS_COLUMN_TYPE);
}

static void test_many_columns(void **state)
{
    static char sql[64 * 1024];
    for (int shown = 0; shown < 2; shown++) {
        for (int n = 500; n < 700; n += 100) {
            int at = snprintf(sql, sizeof(sql), "select %s", shown ? "id" : "coalesce(id");
            for (int i = 0; i < n; i++)
                at += snprintf(sql + at, sizeof(sql) - (size_t)at, ", c%d", i);
            snprintf(sql + at, sizeof(sql) - (size_t)at, "%s from marks", shown ? "" : ")");
            check(sql, n > COLUMNS_MAX ? BYPASS_COLUMN_TYPE : BYPASS_NONE);
        }
    }
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
    check("select cast($1::text as public.mood), cast('a'::varchar(9) as mood) from dates",
          BYPASS_NONE);
    check("select array['a', $1]::mood[], array['a'::text]::public.mood[] from dates", BYPASS_NONE);
    check("select array[word]::mood[] from dates", BYPASS_CAST);
    check("select array[['a']]::mood[] from dates", BYPASS_CAST);
    check("select word::text::mood from dates", BYPASS_CAST);
    check("select $1::text::date from dates", BYPASS_CAST);
    check("select array['a', 'b']::date[] from dates", BYPASS_CAST);
    check("select $1::text::day from dates", BYPASS_CAST);
    check("select $1::public.mark::mood from dates", BYPASS_CAST);
    check("select $1::name, word::name, 'a'::tsquery, word::tsvector from dates", BYPASS_NONE);
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
    check("select ti from times", BYPASS_NONE);
    check("select \"when\" at time zone 'utc' from times", BYPASS_NONE);
    check("select \"when\" at time zone 'utc', ti, tis from times order by 1, \"when\"",
          BYPASS_VOLATILE_FUNCTION);
    check("select ti, tis, \"when\" at time zone 'utc' from times order by \"when\"", BYPASS_NONE);
    check("select at at time zone 'utc' from dates where exists (select from times)", BYPASS_NONE);
    static const char *const bad[] = {
        "select ti at time zone 'utc' from times",
        "select tis[1] at time zone 'utc' from times",
        "select tz at time zone 'utc' from times",
        "select x at time zone 'utc' from (select ti as x from times) q",
        "select (select ti from times limit 1) at time zone 'utc' from times",
        "select x at time zone 'utc' from times as q(x)",
        "select x at time zone 'utc' from (select * from times) as q(x)",
        "with q(x) as (table times) select x at time zone 'utc' from q",
        "select $1 at time zone 'utc' from times where ti > $1",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check(bad[i], BYPASS_VOLATILE_FUNCTION);
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
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_odd_columns),
        cmocka_unit_test(test_many_columns),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
