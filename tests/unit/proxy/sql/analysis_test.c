// SPDX-License-Identifier: Apache-2.0
// What statements are and do, one line each. A line says everything: what it leaves out must be
// false or empty in the analysis.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cache/rules.h"
#include "proxy/sql/analysis.h"

struct expected {
    const char *sql;
    enum statement_kind kind;
    enum bypass bypass;
    // W writes_unknown, D ddl, F calls_unknown_function, E may_end_transaction,
    // B begins_transaction, b plain_begin, e plain_end, P has_parameters
    const char *flags;
    uint32_t effects;
    const char *reads;  // sorted as met, "schema.name name"
    const char *writes;
};

#define SELECT(bypass) STATEMENT_SELECT, BYPASS_##bypass
#define OTHER(kind) STATEMENT_##kind, BYPASS_NOT_SELECT
#define EFFECT(name) EFFECT_##name

static const struct expected cacheable[] = {
    {"select * from t where owner = current_user", SELECT(NONE), "", 0, "t", ""},
    {"select session_user, current_role, user, current_catalog from t", SELECT(NONE), "", 0, "t",
     ""},
    {"select to_char(a, 'YYYY'), quote_ident(a), format('%I', a) from t", SELECT(NONE), "", 0, "t",
     ""},
    {"select age(a, b), to_date(a, 'YYYY'), enum_range(c) from t", SELECT(NONE), "", 0, "t", ""},
    {"select * from t", SELECT(NONE), "", 0, "t", ""},
    {"SELECT abalance FROM pgbench_accounts WHERE aid = 5;", SELECT(NONE), "", 0,
     "pgbench_accounts", ""},
    {"select a, b from s.t where a = $1", SELECT(NONE), "P", 0, "s.t", ""},
    {"select * from \"T\", t, S.\"x y\"", SELECT(NONE), "", 0, "T t s.x y", ""},
    {"table t", SELECT(NONE), "", 0, "t", ""},
    {"select * from only t", SELECT(NONE), "", 0, "t", ""},
    {"(select * from t) order by 1 limit 3 offset 2", SELECT(NONE), "", 0, "t", ""},
    {"select a from t union all select b from u except select c from v", SELECT(NONE), "", 0,
     "t u v", ""},
    {"select * from t join u using (id) left join v on v.a = u.a natural join w", SELECT(NONE), "",
     0, "t u v w", ""},
    {"select * from t where exists (select 1 from u where u.a = t.a)", SELECT(NONE), "", 0, "t u",
     ""},
    {"select * from t where a in (select b from u) and c = any (array[1,2])", SELECT(NONE), "", 0,
     "t u", ""},
    {"select (select max(a) from u) from t", SELECT(NONE), "", 0, "u t", ""},
    {"select * from (select * from t) x, lateral (select * from u where u.a = x.a) y",
     SELECT(NONE), "", 0, "t u", ""},
    {"select count(*), sum(a), avg(b), min(c), array_agg(d order by e) from t group by f having "
     "count(*) > 1", SELECT(NONE), "", 0, "t", ""},
    {"select a, row_number() over (partition by b order by c rows between 1 preceding and current "
     "row) from t window w as (order by a)", SELECT(NONE), "", 0, "t", ""},
    {"select a, grouping(a) from t group by grouping sets ((a), ()), cube (b), rollup (c)",
     SELECT(NONE), "", 0, "t", ""},
    {"select distinct on (a) a, b from t order by a, b desc nulls last", SELECT(NONE), "", 0, "t",
     ""},
    {"select count(*) filter (where a > 1), percentile_cont(0.5) within group (order by a) from t",
     SELECT(NONE), "", 0, "t", ""},
    {"with x as (select * from t) select * from x", SELECT(NONE), "", 0, "t", ""},
    {"with recursive x as (select 1 as n from t union all select n + 1 from x where n < 9) select "
     "* from x", SELECT(NONE), "", 0, "t", ""},
    {"with x as materialized (select * from t), y as (select * from x, u) select * from y",
     SELECT(NONE), "", 0, "u t", ""},
    {"values (1, 'a')", SELECT(NO_RELATION), "", 0, "", ""},
    {"select * from t where (a, b) in (values (1, 2), (3, 4))", SELECT(NONE), "", 0, "t", ""},
    {"select case a when 1 then 'x' else 'y' end, coalesce(b, c), nullif(a, 1), greatest(a, b) "
     "from t", SELECT(NONE), "", 0, "t", ""},
    {"select a between 1 and 5, a not between symmetric 2 and 3, b like 'x%', b ilike 'y', b "
     "similar to 'z', c is distinct from d, e is null, f is not true from t", SELECT(NONE), "", 0,
     "t", ""},

        {"select lower(a), upper(b), length(c), substring(a from 2 for 3), position('x' in a), "
         "trim(a), "
     "abs(d), round(e, 2) from t", SELECT(NONE), "", 0, "t", ""},
    {"select a::int, b::text, cast(c as numeric(10,2)), d::varchar(5), e::pg_catalog.int8, f::uuid "
     "from t", SELECT(NONE), "", 0, "t", ""},
    {"select * from t where id = any($1::int[]) and u = $2::uuid", SELECT(NONE), "P", 0, "t", ""},
    {"select * from t where d = date '2020-01-01' and e < '2020-01-01 10:00'::timestamptz",
     SELECT(NONE), "", 0, "t", ""},
    {"select * from t where d > $1::date and e < $2::timestamp", SELECT(NONE), "P", 0, "t", ""},
    {"select * from t where e < timestamp '2020-01-01' + interval '1' day", SELECT(NONE), "", 0,
     "t", ""},
    {"select a::date, t.a::timestamptz(0), t.a::time from t", SELECT(NONE), "", 0, "t", ""},
    {"select x.a::date from t x join u on x.b = u.b, unnest(u.c) y", SELECT(NONE), "", 0, "t u",
     ""},
    {"select x.d from (select a::date as d from t) x", SELECT(NONE), "", 0, "t", ""},
    {"with x as (select a::date from t) select * from x", SELECT(NONE), "", 0, "t", ""},
    {"select (select max(a)::date from t where b = u.b) from u", SELECT(NONE), "", 0, "t u", ""},
    {"select date_trunc('day', a)::date, (a + '1 day')::date, coalesce(a, b)::date, (1 + "
     "a)::date, greatest(a, b)::timestamp, a::date::timestamp from t", SELECT(NONE), "", 0, "t",
     ""},
    {"select date(a) from t", SELECT(NONE), "", 0, "t", ""},
    {"select timestamptz(a) from t", SELECT(NONE), "", 0, "t", ""},
    {"select x.a::date from (select a from t) x", SELECT(NONE), "", 0, "t", ""},
    {"select a::date from t, (select b from u) x", SELECT(NONE), "", 0, "t u", ""},
    {"with x as (select a from t) select x.a::date from x, t", SELECT(NONE), "", 0, "t", ""},
    {"select (select a::date) from (select b as a from t) x", SELECT(NONE), "", 0, "t", ""},
    {"select (select x.a::date from (select b as a from u) x) from t x", SELECT(NONE), "", 0,
     "u t", ""},
    {"select (select a::date from u) from (select b as a from t) x", SELECT(NONE), "", 0, "u t",
     ""},
    {"select (case when b then a end)::date from t", SELECT(NONE), "", 0, "t", ""},
    {"select 'x'::mood, $1::s.mood, '{a}'::mood[] from t", SELECT(NONE), "P", 0, "t", ""},
    {"select (t).a, (a).lower, (t).b.c from t", SELECT(NONE), "", 0, "t", ""},
    {"select extract(year from d), date_trunc('day', e), e at time zone 'utc' from t",
     SELECT(NONE), "", 0, "t", ""},
    {"select j -> 'a' ->> 'b', j @> '{\"a\": 1}', j #>> '{a,b}' from t", SELECT(NONE), "", 0, "t",
     ""},
    {"select jsonb_agg(t), json_build_object('a', t.b) from t", SELECT(NONE), "", 0, "t", ""},
    {"select a[1], a[2:3], array[1,2], row(1,2), (c).f from t", SELECT(NONE), "", 0, "t", ""},
    {"select * from t, generate_series(1, 3) g, unnest(t.a) with ordinality", SELECT(NONE), "", 0,
     "t", ""},
    {"select a collate \"C\" from t order by b collate pg_catalog.\"default\"", SELECT(NONE), "", 0,
     "t", ""},
    {"select -a, +1, -2.5, a || b, a ~ 'x', a operator(pg_catalog.+) 1 from t", SELECT(NONE), "", 0,
     "t", ""},
    {"select a from t order by a using <", SELECT(NONE), "", 0, "t", ""},
    {"select t.* , t.a from t order by 1 fetch first 3 rows with ties", SELECT(NONE),
     "", 0, "t", ""},
    {"select 'I know what a snowman is' from t", SELECT(NONE), "", 0, "t", ""},
    {"with x as (select * from x) select * from x", SELECT(NONE), "", 0, "x", ""},
    {"with x as (select 1) select * from s.x", SELECT(NONE), "", 0, "s.x", ""},
    {"select * from (with x as (select 1) select * from x) y, x", SELECT(NONE), "", 0, "x", ""},
    {"with a as (select * from b), b as (select * from t) select * from a, b", SELECT(NONE), "", 0,
     "t b", ""},
    {"with recursive a as (select * from b), b as (select * from t) select * from a, b",
     SELECT(NONE), "", 0, "t", ""},
    {"select * from t where a = (with x as (select * from u) select max(a) from x)", SELECT(NONE),
     "", 0, "t u", ""},
    {"with recursive x(a, b) as (select a, b from t union all select t.a, t.b from t, x where x.a "
     "= t.b) search depth first by a set o cycle a set c using p select * from x", SELECT(NONE),
     "", 0, "t", ""},
};

static const struct expected denied[] = {
    {"select 1", SELECT(NO_RELATION), "", 0, "", ""},
    {"select $1::int", SELECT(NO_RELATION), "P", 0, "", ""},
    {"select lower('X')", SELECT(NO_RELATION), "", 0, "", ""},
    {"select now() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select pg_catalog.now() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select random(), t.* from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select clock_timestamp() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a from t, pg_sleep(1)", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select nextval('s') from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select gen_random_uuid() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select txid_current() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a from t order by random()", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a from t limit (random() * 3)::int", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a from t group by a having random() > 0", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select sum(a) over (order by random()) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select sum(a) filter (where random() > 0.5) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t",
     ""},
    {"select * from t join u on random() > 0", SELECT(VOLATILE_FUNCTION), "", 0, "t u", ""},
    {"with x as (select random()) select * from t, x", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select * from t where a > (select random())", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select current_date from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select current_timestamp(3), localtime from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select current_schema from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select current_setting('a.b') from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select age(a) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select date(lower(a)) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select timestamptz($1) from t", SELECT(VOLATILE_FUNCTION), "P", 0, "t", ""},
    {"select date(a, b) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select ts_lexize('english_stem', a) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a::regconfig from t", SELECT(CAST), "", 0, "t", ""},
    {"select 'english'::regdictionary from t", SELECT(CAST), "", 0, "t", ""},
    {"select ts_lexize('english_stem', a) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select convert_from(a, 'UTF8') from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select jsonb_populate_record(null::t, a) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select has_table_privilege('t', 'select') from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select pg_backend_pid() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select version() from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a @@@ b from t", SELECT(OPERATOR), "", 0, "t", ""},
    {"select a <~~~> b from t", SELECT(OPERATOR), "W", EFFECT(FUNCTION), "t", ""},
    {"select a operator(public.+) b from t", SELECT(OPERATOR), "W", EFFECT(FUNCTION), "t", ""},
    {"select a from t order by a using operator(s.<)", SELECT(OPERATOR), "W", EFFECT(FUNCTION), "t",
     ""},
    {"select f(a) from t", SELECT(UNKNOWN_FUNCTION), "WF", EFFECT(FUNCTION), "t", ""},
    {"select public.lower(a) from t", SELECT(UNKNOWN_FUNCTION), "WF", EFFECT(FUNCTION), "t", ""},
    {"select * from f(1)", SELECT(UNKNOWN_FUNCTION), "WF", EFFECT(FUNCTION), "", ""},
    {"select * from rows from (generate_series(1,2), f(1)), t", SELECT(UNKNOWN_FUNCTION), "WF",
     EFFECT(FUNCTION), "t", ""},
    {"select * from t where f(a) over (order by b) = 1", SELECT(UNKNOWN_FUNCTION), "WF",
     EFFECT(FUNCTION), "t", ""},
    {"select dblink_exec('x', 'delete from t')", SELECT(UNKNOWN_FUNCTION), "WF", EFFECT(FUNCTION),
     "", ""},
    {"select query_to_xml('select 1', true, true, '') from t", SELECT(VOLATILE_FUNCTION), "W",
     EFFECT(FUNCTION), "t", ""},
    {"select table_to_xml('v', true, true, '')", SELECT(VOLATILE_FUNCTION), "W", EFFECT(FUNCTION),
     "", ""},
    {"select * from t where d > 'now'", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = 'TODAY'::date", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = ' Tomorrow 10:00'", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = date 'yesterday'", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = 'to'\n'day'", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = e'\\x6eow'", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = $$now$$", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = U&'\\006eow'", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where r && '[now,)'::tstzrange", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select * from t where d = any('{now}')", SELECT(DATETIME_WORD), "", 0, "t", ""},
    {"select a::timetz from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::date[] from t", SELECT(CAST), "", 0, "t", ""},
    {"select x.a::date from t as x(a)", SELECT(CAST), "", 0, "t", ""},
    {"select x.a::date from (t join u using (b)) as x", SELECT(CAST), "", 0, "t u", ""},
    {"select a::date from t join u using (b) as x", SELECT(CAST), "", 0, "t u", ""},
    {"select x.a::date from t, unnest(t.b) x(a)", SELECT(CAST), "", 0, "t", ""},
    {"select y.a::date from t, lateral (select x.a::date from u) y, (select 1) x", SELECT(CAST),
     "", 0, "t u", ""},
    {"select a::date from (t join u using (b)) as x(c, a)", SELECT(CAST), "", 0, "t u", ""},
    {"select 1 from (select b as a from t) x, lateral (select a::date from u) y", SELECT(CAST), "",
     0, "t u", ""},
    {"select v.a::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select t.concat::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select lower(a)::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a || b)::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a).f::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select a[1]::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select (select a from t)::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select max(lower(a))::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a at time zone 'x')::timetz from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a).age from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select (t).a.age from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select (a).pg_advisory_lock from t", SELECT(VOLATILE_FUNCTION), "", EFFECT(ADVISORY), "t",
     ""},
    {"select (a).table_to_xml from t", SELECT(VOLATILE_FUNCTION), "W", EFFECT(FUNCTION), "t", ""},
    {"select t.pg_typeof from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select g.age from generate_series(now(), now(), '1 day') g, t", SELECT(VOLATILE_FUNCTION), "",
     0, "t", ""},
    {"select g.pg_advisory_lock from t, generate_series(7, 7) g", SELECT(VOLATILE_FUNCTION), "",
     EFFECT(ADVISORY), "t", ""},
    {"select t.pg_advisory_lock from t", SELECT(NONE), "", 0, "t", ""},
    {"select u.date from t, unnest(array[a]) u", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select u.id from t, unnest(array[1]) u(id)", SELECT(NONE), "", 0, "t", ""},
    {"select (a).daterange from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a)._date from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a).regrole from t", SELECT(CAST), "", 0, "t", ""},
    {"select (a).timetz from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select make_time(1, 2, 3) at time zone 'utc' from t", SELECT(VOLATILE_FUNCTION), "", 0, "t",
     ""},
    {"select time '10:00' at time zone 'utc' from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select a::time, b at time zone 'utc' from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select pg_catalog.timezone('utc', $1) from t where time_hash($1) > 0",
     SELECT(VOLATILE_FUNCTION), "P", 0, "t", ""},
    {"select timetz_larger(a, a) from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select datetimetz_pl(a, '10:00') from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select jsonb_path_query_tz(a, '$') from t", SELECT(VOLATILE_FUNCTION), "", 0, "t", ""},
    {"select ('no' || 'w')::timestamp from t", SELECT(CAST), "", 0, "t", ""},
    {"select 'x'::text::date from t", SELECT(CAST), "", 0, "t", ""},
    {"select array['2020-01-01']::date[] from t", SELECT(CAST), "", 0, "t", ""},
    {"select '12:00 Europe/Berlin'::timetz from t", SELECT(CAST), "", 0, "t", ""},
    {"select 't'::regclass from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::regproc from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::mood from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::public.text from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::xml from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::money from t", SELECT(CAST), "", 0, "t", ""},
    {"select a::\"char\" from t", SELECT(CAST), "", 0, "t", ""},
    {"select ctid from t", SELECT(UNSUPPORTED), "", 0, "t", ""},
    {"select t.xmin, a from t", SELECT(UNSUPPORTED), "", 0, "t", ""},
    {"select * from t where t.tableoid = 5", SELECT(UNSUPPORTED), "", 0, "t", ""},
    {"select * from t tablesample system (10)", SELECT(UNSUPPORTED), "", 0, "t", ""},
    {"select * from t tablesample mine (10)", SELECT(UNSUPPORTED), "WF", EFFECT(FUNCTION), "t",
     ""},
    {"select xmlelement(name a) from t", SELECT(UNSUPPORTED), "", 0, "t", ""},
    {"select * from t, json_to_record(t.j) as r(d date)", SELECT(VOLATILE_FUNCTION), "", 0, "t",
     ""},
    {"select * from t, xmltable('/a' passing t.x columns d date) x", SELECT(UNSUPPORTED), "", 0,
     "t", ""},
    {"select * from t for update", SELECT(LOCKING), "", 0, "t", ""},
    {"select * from t, u for share of u skip locked", SELECT(LOCKING), "", 0, "t u", ""},
    {"select * from (select * from t for no key update) x", SELECT(LOCKING), "", 0, "t", ""},
    {"select * from pg_class", SELECT(CATALOG_RELATION), "", 0, "", ""},
    {"select * from pg_catalog.pg_class, t", SELECT(CATALOG_RELATION), "", 0, "t", ""},
    {"select * from information_schema.tables", SELECT(CATALOG_RELATION), "", 0, "", ""},
    {"select * from t where exists (select 1 from pg_stat_activity)", SELECT(CATALOG_RELATION), "",
     0, "t", ""},
    {"select * from pg_temp.t", SELECT(CATALOG_RELATION), "", 0, "", ""},
    {"with x as (select * from t for update) select * from x", SELECT(LOCKING), "", 0, "t", ""},
};

static const struct expected writes[] = {
    {"insert into t values (1)", OTHER(WRITE), "", 0, "", "t"},
    {"insert into s.t (a) select a from u returning *", OTHER(WRITE), "", 0, "u", "s.t"},
    {"insert into t default values", OTHER(WRITE), "", 0, "", "t"},
    {"insert into t values ($1) on conflict (a) do update set b = excluded.b", OTHER(WRITE), "P", 0,
     "", "t"},
    {"update t set a = 1", OTHER(WRITE), "", 0, "", "t"},
    {"update s.t set a = u.a from u where u.b = t.b", OTHER(WRITE), "", 0, "u", "s.t"},
    {"delete from t using u where u.a = t.a", OTHER(WRITE), "", 0, "u", "t"},
    {"merge into t using u on t.a = u.a when matched then delete when not matched then insert "
     "values (1)", OTHER(WRITE), "", 0, "u", "t"},
    {"with x as (insert into u values (1) returning *) update t set a = x.a from x", OTHER(WRITE),
     "", 0, "", "t u"},
    {"with x as (select 1) insert into x select * from x", OTHER(WRITE), "", 0, "", "x"},
    {"with d as (delete from t returning *) select * from d", SELECT(NOT_SELECT), "", 0, "", "t"},
    {"select * from (select 1) y where exists (with i as (select * from u) select * from i)",
     SELECT(NONE), "", 0, "u", ""},
    {"update t set a = f(1)", OTHER(WRITE), "WF", EFFECT(FUNCTION), "", "t"},
    {"update t set a = now(), b = nextval('s')", OTHER(WRITE), "", 0, "", "t"},
    {"truncate t, s.u", OTHER(WRITE), "", 0, "", "t s.u"},
    {"truncate t cascade", OTHER(WRITE), "W", 0, "", "t"},
    {"truncate only t restart identity", OTHER(WRITE), "", 0, "", "t"},
    {"copy t from stdin", OTHER(COPY), "", 0, "", "t"},
    {"copy s.t (a, b) from '/x' with (format csv)", OTHER(COPY), "", 0, "", "s.t"},
    {"copy t to stdout", OTHER(COPY), "", 0, "t", ""},
    {"copy (select * from t) to stdout", OTHER(COPY), "", 0, "t", ""},
    {"copy (delete from t returning *) to stdout", OTHER(COPY), "", 0, "", "t"},
    {"copy t from stdin where f(a) = 1", OTHER(COPY), "WF", EFFECT(FUNCTION), "", "t"},
    {"update pg_class set relname = 'x'", OTHER(WRITE), "WD", 0, "", "pg_class"},
    {"select * into x from t", SELECT(NOT_SELECT), "WD", 0, "t", ""},
    {"select * into temp x from t", SELECT(NOT_SELECT), "W", EFFECT(TEMP), "t", ""},
    {"select 1 into x union select 2", SELECT(NOT_SELECT), "WD", 0, "", ""},
    {"create table x as select * from t", OTHER(DDL), "WD", 0, "t", ""},
    {"create temp table x as select f(a) from t", OTHER(DDL), "WF",
     EFFECT(TEMP) | EFFECT(FUNCTION), "t", ""},
    {"create materialized view v as select * from t", OTHER(DDL), "WD", 0, "t", ""},
    {"create table x as execute p", OTHER(DDL), "WD", EFFECT(PREPARE) | EFFECT(EXECUTE), "", ""},
    {"create temp table x as execute p", OTHER(DDL), "W",
     EFFECT(PREPARE) | EFFECT(EXECUTE) | EFFECT(TEMP), "", ""},
    {"refresh materialized view v", OTHER(UTILITY), "WD", 0, "", ""},
    {"call p()", OTHER(CALL), "WFE", EFFECT(FUNCTION), "", ""},
    {"do $$ begin delete from t; end $$", OTHER(DO), "WFE", EFFECT(FUNCTION), "", ""},
    {"explain select * from t", OTHER(EXPLAIN), "", 0, "t", ""},
    {"explain delete from t", OTHER(EXPLAIN), "", 0, "t", ""},
    {"explain analyze delete from t", OTHER(EXPLAIN), "", 0, "", "t"},
    {"explain (verbose, analyze false) update t set a = 1", OTHER(EXPLAIN), "", 0, "", "t"},
    {"explain (analyze) create table x as select 1", OTHER(EXPLAIN), "WD", 0, "", ""},
    {"explain analyze select f()", OTHER(EXPLAIN), "WF", EFFECT(FUNCTION), "", ""},
    {"explain analyze execute p", OTHER(EXPLAIN), "W", EFFECT(PREPARE) | EFFECT(EXECUTE), "", ""},
    {"explain execute p(1)", OTHER(EXPLAIN), "W", EFFECT(PREPARE) | EFFECT(EXECUTE), "", ""},
};

static const struct expected transactions[] = {
    {"begin", OTHER(BEGIN), "Bb", 0, "", ""},
    {"BEGIN;", OTHER(BEGIN), "Bb", 0, "", ""},
    {"start transaction", OTHER(BEGIN), "Bb", 0, "", ""},
    {"begin work", OTHER(BEGIN), "Bb", 0, "", ""},
    {"begin isolation level serializable read only", OTHER(BEGIN), "B", 0, "", ""},
    {"start transaction read write", OTHER(BEGIN), "Bb", 0, "", ""},
    {"begin isolation level read committed, read only", OTHER(BEGIN), "Bb", 0, "", ""},
    {"begin transaction isolation level read uncommitted", OTHER(BEGIN), "Bb", 0, "", ""},
    {"begin isolation level repeatable read", OTHER(BEGIN), "B", 0, "", ""},
    {"begin isolation level read committed, isolation level serializable", OTHER(BEGIN), "B", 0, "",
     ""},
    {"begin read only deferrable", OTHER(BEGIN), "B", 0, "", ""},
    {"begin not deferrable", OTHER(BEGIN), "B", 0, "", ""},
    {"commit", OTHER(COMMIT), "Ee", 0, "", ""},
    {"end transaction", OTHER(COMMIT), "Ee", 0, "", ""},
    {"commit and chain", OTHER(COMMIT), "EB", 0, "", ""},
    {"rollback", OTHER(ROLLBACK), "Ee", 0, "", ""},
    {"abort", OTHER(ROLLBACK), "Ee", 0, "", ""},
    {"rollback and chain", OTHER(ROLLBACK), "EB", 0, "", ""},
    {"savepoint a", OTHER(SAVEPOINT), "", 0, "", ""},
    {"release a", OTHER(SAVEPOINT), "", 0, "", ""},
    {"rollback to savepoint a", OTHER(SAVEPOINT), "", 0, "", ""},
    {"prepare transaction 'g'", OTHER(TWO_PHASE), "E", 0, "", ""},
    {"commit prepared 'g'", OTHER(TWO_PHASE), "W", 0, "", ""},
    {"rollback prepared 'g'", OTHER(TWO_PHASE), "", 0, "", ""},
    {"", STATEMENT_EMPTY, BYPASS_NOT_SELECT, "", 0, "", ""},
    {" ; -- nothing\n ;", STATEMENT_EMPTY, BYPASS_NOT_SELECT, "", 0, "", ""},
    {"begin; update t set a = 1; commit", STATEMENT_MULTI, BYPASS_MULTI_STATEMENT, "BE", 0, "",
     "t"},
    {"select * from t; select * from u", STATEMENT_MULTI, BYPASS_MULTI_STATEMENT, "", 0, "t u",
     ""},
    {"begin;begin", STATEMENT_MULTI, BYPASS_MULTI_STATEMENT, "B", 0, "", ""},
    {"delete from t; listen x; set work_mem = 1; call p()", STATEMENT_MULTI,
     BYPASS_MULTI_STATEMENT, "WFE", EFFECT_LISTEN | EFFECT_SET | EFFECT_FUNCTION, "", "t"},
    {"select 1;", SELECT(NO_RELATION), "", 0, "", ""},
    {"selec 1", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WDFEBP", EFFECT(UNKNOWN), "", ""},
    {"select 'x", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WFEBP", EFFECT(UNKNOWN), "", ""},
    {"select 1; selec 2", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WDFEBP", EFFECT(UNKNOWN), "", ""},
    {" select 0x10 from t ; ", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WFEBP",
     EFFECT(UNKNOWN), "", ""},
    {"insert into t select from where", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WFEBP",
     EFFECT(UNKNOWN), "", ""},
    {"select 1 INTO x from where", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WDFEBP",
     EFFECT(UNKNOWN), "", ""},
    {"-- x\nselect 1 from where", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WDFEBP",
     EFFECT(UNKNOWN), "", ""},
    {"selects from where", STATEMENT_UNKNOWN, BYPASS_UNPARSABLE, "WDFEBP",
     EFFECT(UNKNOWN), "", ""},
};

static const struct expected sessions[] = {
    {"set timezone = 'UTC'", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"set time zone 'UTC'", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"set time zone local", OTHER(SET), "", EFFECT(FOLLOWED_SET) | EFFECT(RESET), "", ""},
    {"set names 'utf8'", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"set session client_encoding to latin1", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"SET DateStyle TO 'ISO, DMY'", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"set \"IntervalStyle\" = iso_8601", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"set application_name to default", OTHER(SET), "",
     EFFECT(FOLLOWED_SET) | EFFECT(RESET), "", ""},
    {"set standard_conforming_strings = off", OTHER(SET), "", EFFECT(FOLLOWED_SET), "", ""},
    {"reset timezone", OTHER(RESET), "", EFFECT(FOLLOWED_SET) | EFFECT(RESET), "", ""},
    {"reset time zone", OTHER(RESET), "", EFFECT(FOLLOWED_SET) | EFFECT(RESET), "", ""},
    {"set local timezone = 'UTC'", OTHER(SET), "", 0, "", ""},
    {"set local work_mem = '1MB'", OTHER(SET), "", 0, "", ""},
    {"set search_path = a, b", OTHER(SET), "", EFFECT(SET), "", ""},
    {"set work_mem = '1MB'", OTHER(SET), "", EFFECT(SET), "", ""},
    {"set my.thing = 'x'", OTHER(SET), "", EFFECT(SET), "", ""},
    {"reset search_path", OTHER(RESET), "", EFFECT(SET) | EFFECT(RESET), "", ""},
    {"reset all", OTHER(RESET), "", EFFECT(SET) | EFFECT(RESET), "", ""},
    {"set role bob", OTHER(SET), "", EFFECT(SET), "", ""},
    {"set local role bob", OTHER(SET), "", 0, "", ""},
    {"reset role", OTHER(RESET), "", EFFECT(SET) | EFFECT(RESET), "", ""},
    {"set session authorization bob", OTHER(SET), "", EFFECT(SET), "", ""},
    {"set session authorization default", OTHER(SET), "", EFFECT(SET) | EFFECT(RESET), "",
     ""},
    {"set transaction isolation level repeatable read", OTHER(SET), "", 0, "", ""},
    {"set transaction snapshot 'x'", OTHER(SET), "", 0, "", ""},
    {"set transaction_isolation = 'serializable'", OTHER(SET), "", 0, "", ""},
    {"set session characteristics as transaction read only", OTHER(SET), "", EFFECT(SET), "", ""},
    {"set default_transaction_isolation = 'serializable'", OTHER(SET), "", EFFECT(SET), "", ""},
    {"set constraints all deferred", OTHER(UTILITY), "", 0, "", ""},
    {"show work_mem", OTHER(SHOW), "", 0, "", ""},
    {"show all", OTHER(SHOW), "", 0, "", ""},
    {"discard all", OTHER(DISCARD), "", EFFECT(DISCARD_ALL), "", ""},
    {"discard temp", OTHER(DISCARD), "", EFFECT(DISCARD_SOME), "", ""},
    {"discard plans", OTHER(DISCARD), "", EFFECT(DISCARD_SOME), "", ""},
    {"prepare p as select * from t", OTHER(PREPARE), "", EFFECT(PREPARE), "", ""},
    {"prepare p (int) as delete from t where a = $1", OTHER(PREPARE), "", EFFECT(PREPARE), "", ""},
    {"execute p (1)", OTHER(EXECUTE), "W", EFFECT(PREPARE) | EFFECT(EXECUTE), "", ""},
    {"deallocate p", OTHER(DEALLOCATE), "", EFFECT(PREPARE), "", ""},
    {"deallocate prepare all", OTHER(DEALLOCATE), "", EFFECT(DEALLOCATE_ALL), "", ""},
    {"listen c", OTHER(LISTEN), "", EFFECT(LISTEN), "", ""},
    {"unlisten *", OTHER(LISTEN), "", EFFECT(LISTEN), "", ""},
    {"notify c, 'x'", OTHER(NOTIFY), "", 0, "", ""},
    {"select pg_notify('c', 'x')", SELECT(VOLATILE_FUNCTION), "", 0, "", ""},
    {"declare c cursor for select * from t", OTHER(CURSOR), "", 0, "t", ""},
    {"declare c cursor with hold for select * from t", OTHER(CURSOR), "", EFFECT(CURSOR_HOLD), "t",
     ""},
    {"declare c binary insensitive scroll cursor without hold for select f()", OTHER(CURSOR), "WF",
     EFFECT(FUNCTION), "", ""},
    {"fetch 5 from c", OTHER(CURSOR), "", 0, "", ""},
    {"move all in c", OTHER(CURSOR), "", 0, "", ""},
    {"close all", OTHER(CURSOR), "", 0, "", ""},
    {"create temp table x (a int)", OTHER(DDL), "W", EFFECT(TEMP), "", ""},
    {"create temporary table x (a int default f()) on commit drop", OTHER(DDL), "W", EFFECT(TEMP),
     "", ""},
    {"create table pg_temp.x (a int)", OTHER(DDL), "W", EFFECT(TEMP), "", ""},
    {"create temp table x () inherits (t)", OTHER(DDL), "WD", EFFECT(TEMP), "", ""},
    {"create temp view x as select * from t", OTHER(DDL), "WD", EFFECT(TEMP), "", ""},
    {"create temp sequence x", OTHER(DDL), "WD", EFFECT(TEMP), "", ""},
    {"create function pg_temp.f() returns int language sql as 'select 1'", OTHER(DDL), "WD",
     EFFECT(TEMP), "", ""},
    {"create type pg_temp.x as (a int)", OTHER(DDL), "WD", EFFECT(TEMP), "", ""},
    {"insert into pg_temp.x values (1)", OTHER(WRITE), "", 0, "", "pg_temp.x"},
    {"select pg_advisory_lock(1)", SELECT(VOLATILE_FUNCTION), "", EFFECT(ADVISORY), "", ""},
    {"select pg_try_advisory_lock_shared(1, 2) from t", SELECT(VOLATILE_FUNCTION), "",
     EFFECT(ADVISORY), "t", ""},
    {"select pg_advisory_unlock_all()", SELECT(VOLATILE_FUNCTION), "", EFFECT(ADVISORY), "", ""},
    {"select pg_advisory_xact_lock(1)", SELECT(VOLATILE_FUNCTION), "", 0, "", ""},
    {"select pg_try_advisory_xact_lock(1)", SELECT(VOLATILE_FUNCTION), "", 0, "", ""},
    {"select set_config('a.b', 'x', false)", SELECT(VOLATILE_FUNCTION), "", EFFECT(SET_CONFIG), "",
     ""},
    {"select pg_catalog.set_config('search_path', '', true)", SELECT(VOLATILE_FUNCTION), "", 0, "",
     ""},
    {"select set_config('a.b', 'x', 't')", SELECT(VOLATILE_FUNCTION), "", EFFECT(SET_CONFIG), "",
     ""},
    {"select set_config('a.b', $1, $2)", SELECT(VOLATILE_FUNCTION), "P", EFFECT(SET_CONFIG), "",
     ""},
    {"select setseed(0.5)", SELECT(VOLATILE_FUNCTION), "W", EFFECT(FUNCTION), "", ""},
    {"load 'x'", OTHER(UTILITY), "", EFFECT(LOAD), "", ""},
};

static const struct expected schema_changes[] = {
    {"create table t (a int references u)", OTHER(DDL), "WD", 0, "", ""},
    {"create unlogged table t (a int)", OTHER(DDL), "WD", 0, "", ""},
    {"create view v as select f(a) from t", OTHER(DDL), "WD", 0, "", ""},
    {"create index on t (a)", OTHER(DDL), "WD", 0, "t", ""},
    {"create index on t (f(a))", OTHER(DDL), "WDF", EFFECT(FUNCTION), "t", ""},
    {"create function f() returns int language sql as 'select 1'", OTHER(DDL), "WD", 0, "", ""},
    {"create trigger g after insert on t execute function f()", OTHER(DDL), "WD", 0, "", ""},
    {"create rule r as on insert to t do also delete from u", OTHER(DDL), "WD", 0, "", ""},
    {"create policy p on t using (a = f())", OTHER(DDL), "WD", 0, "", ""},
    {"create extension x", OTHER(DDL), "WD", 0, "", ""},
    {"create role bob", OTHER(DDL), "WD", 0, "", ""},
    {"create schema s", OTHER(DDL), "WD", 0, "", ""},
    {"alter table t add column b int", OTHER(DDL), "WD", 0, "t", ""},
    {"alter table t add column b int default f()", OTHER(DDL), "WDF", EFFECT(FUNCTION), "t", ""},
    {"alter table t rename to u", OTHER(DDL), "WD", 0, "", ""},
    {"alter role bob set search_path = x", OTHER(DDL), "WD", 0, "", ""},
    {"alter database d set work_mem = 1", OTHER(DDL), "WD", 0, "", ""},
    {"alter system set work_mem = 1", OTHER(DDL), "WD", 0, "", ""},
    {"alter default privileges grant select on tables to bob", OTHER(DDL), "WD", 0, "", ""},
    {"drop table t", OTHER(DDL), "WD", 0, "", ""},
    {"drop schema s cascade", OTHER(DDL), "WD", 0, "", ""},
    {"drop owned by bob", OTHER(DDL), "WD", 0, "", ""},
    {"grant select on t to bob", OTHER(DDL), "WD", 0, "", ""},
    {"revoke all on t from bob", OTHER(DDL), "WD", 0, "", ""},
    {"grant a to b", OTHER(DDL), "WD", 0, "", ""},
    {"comment on table t is 'x'", OTHER(DDL), "WD", 0, "", ""},
    {"security label on table t is 'x'", OTHER(DDL), "WD", 0, "", ""},
    {"reindex table t", OTHER(UTILITY), "WD", 0, "", ""},
    {"cluster t", OTHER(UTILITY), "WD", 0, "", ""},
    {"vacuum t", OTHER(UTILITY), "", 0, "", ""},
    {"vacuum full t", OTHER(UTILITY), "D", 0, "", ""},
    {"vacuum (full false) t", OTHER(UTILITY), "D", 0, "", ""},
    {"analyze t", OTHER(UTILITY), "W", 0, "", ""},
    {"lock table t in share mode", OTHER(UTILITY), "", 0, "", ""},
    {"checkpoint", OTHER(UTILITY), "", 0, "", ""},
    {"import foreign schema s from server x into y", OTHER(DDL), "WD", 0, "", ""},
    {"create publication p for all tables", OTHER(DDL), "WD", 0, "", ""},
};

static char *names_text(const struct sql_names *names)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < names->count; i++) {
        if (i > 0)
            buf_u8(&b, ' ');
        buf_put(&b, names->at[i].schema);
        if (names->at[i].schema.len > 0)
            buf_u8(&b, '.');
        buf_put(&b, names->at[i].name);
    }
    buf_u8(&b, 0);
    return (char *)b.at;
}

static int wrong_lines; // all are shown before the test fails
#define WRONG(...) (print_error(__VA_ARGS__), wrong_lines++)

static void check_flag(const struct expected *e, char letter, bool actual)
{
    if ((strchr(e->flags, letter) != NULL) != actual)
        WRONG("%s: flag %c is %d\n", e->sql, letter, actual);
}

static void check_line(const struct expected *e)
{
    struct analysis *a = analysis_new(slice_str(e->sql));
    if (a->kind != e->kind)
        WRONG("%s: kind %s\n", e->sql, statement_kind_name(a->kind));
    if (a->bypass != e->bypass)
        WRONG("%s: bypass %s\n", e->sql, bypass_name(a->bypass));
    // What concerns sequences has a test of its own.
    const uint32_t sequences = EFFECT_SEQUENCE_USE | EFFECT_DISCARD_SEQUENCES;
    if ((a->effects & ~sequences) != e->effects)
        WRONG("%s: effects %x\n", e->sql, a->effects);
    check_flag(e, 'W', a->writes_unknown);
    check_flag(e, 'D', a->ddl);
    check_flag(e, 'F', a->calls_unknown_function);
    check_flag(e, 'E', a->may_end_transaction);
    check_flag(e, 'B', a->begins_transaction);
    check_flag(e, 'b', a->plain_begin);
    check_flag(e, 'e', a->plain_end);
    check_flag(e, 'P', a->has_parameters);
    char *reads = names_text(&a->reads);
    char *written = names_text(&a->writes);
    if (strcmp(reads, e->reads) != 0)
        WRONG("%s: reads %s\n", e->sql, reads);
    if (strcmp(written, e->writes) != 0)
        WRONG("%s: writes %s\n", e->sql, written);
    mem_free(reads);
    mem_free(written);
    analysis_unref(&a);
    assert_null(a);
}

#define TEST_LINES(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)                                \
            check_line(&name[i]);                                                                  \
        assert_int_equal(wrong_lines, 0);                                                          \
    }
TEST_LINES(cacheable)
TEST_LINES(denied)
TEST_LINES(writes)
TEST_LINES(transactions)
TEST_LINES(sessions)
TEST_LINES(schema_changes)

static void check_names(const char *sql, const char *functions, const char *fields,
                        const char *operators, const char *casts)
{
    struct analysis *a = analysis_new(slice_str(sql));
    char *text[] = {names_text(&a->functions), names_text(&a->fields), names_text(&a->operators),
                    names_text(&a->casts)};
    assert_string_equal(text[0], functions);
    assert_string_equal(text[1], fields);
    assert_string_equal(text[2], operators);
    assert_string_equal(text[3], casts);
    for (int i = 0; i < 4; i++)
        mem_free(text[i]);
    analysis_unref(&a);
}

static void test_names(void **state)
{
    check_names("select lower(t.a), s.f(b), extract(year from c) from t where lower(d) = 'x'",
                "lower s.f pg_catalog.extract", "a", "=", "");
    check_names("select a::int, b::text[], c::s.mood, d::text from t", "", "",
                "", "pg_catalog.int4 text s.mood");
    check_names("select * from t where a in (1, 2) and b like 'x' and c between 1 and 2 and d <> 3",
                "", "", "= ~~ < <= > >= <>", "");
    check_names("select * from t where a not in (select 1) and b = all (select 2) and c > any "
                "(array[3])", "", "", "= >", "");
    check_names("select case a when 1 then 2 end, nullif(b, c) from t natural join u", "", "", "=",
                "");
    check_names("select (t.r).f, (g(x)).h.i, s.t.j, t.* from t", "g", "r f h i t j", "", "");
    check_names("select a operator(s.+) b from t order by c using ~>~", "", "", "s.+ ~>~", "");
    check_names("create view v as select f(a::mood) + 1 from t", "", "", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cacheable),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_schema_changes),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
