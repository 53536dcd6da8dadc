// SPDX-License-Identifier: Apache-2.0
// Which rows a statement reads or writes: from its text and the constants in it to slots.
#include "tests/unit/proxy/sql/keys_fixture.h"

static void constants_fix_keys(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t WHERE id = 5", "t=5"},
        {"SELECT * FROM t WHERE 5 = id", "t=5"},
        {"SELECT * FROM public.t WHERE t.id = 5", "t=5"},
        {"SELECT * FROM t x WHERE x.id = 5 AND x.v > 3 AND (x.w = 1 OR x.w = 2)", "t=5"},
        {"SELECT * FROM t WHERE v = 1 AND (w = 2 AND id = 5)", "t=5"},
        {"SELECT * FROM t WHERE id = '05'", "t=5"},
        {"SELECT * FROM t WHERE id = -5", "t=-5"},
        {"SELECT * FROM t WHERE id = - 5", "t=-5"},
        {"SELECT * FROM t WHERE id = -/* a */5", "t"},
        {"SELECT * FROM t WHERE id = 3000000000", "t=3000000000"},
        {"SELECT * FROM t WHERE id = -3000000000", "t=-3000000000"},
        {"SELECT * FROM t WHERE id = 5::bigint", "t=5"},
        {"SELECT * FROM t WHERE id = CAST('5' AS int)", "t=5"},
        {"SELECT v, count(*) FROM t WHERE id = 5 GROUP BY v HAVING count(*) > 0 ORDER BY 1 LIMIT 3",
         "t=5"},
        {"SELECT * FROM t WHERE id IN (5, 6, '7')", "t=5;t=6;t=7"},
        {"SELECT * FROM t WHERE id = ANY('{5,\"6\",NULL}')", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY(ARRAY[5, 6])", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY('{}'::int[])", ""},
        {"SELECT * FROM s WHERE name = 'it''s'", "s=it's"},
        {"SELECT * FROM s WHERE name = 'A '", "s=A "},
        {"SELECT * FROM s WHERE name = 'x'::varchar", "s=x"},
        {"SELECT * FROM p WHERE code = 'ab  '", "p=ab"},
        {"SELECT * FROM u WHERE id = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
         "u=a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {"SELECT * FROM n WHERE id = 5", "n=5"},
        {"SELECT * FROM n WHERE id = 5.50", "n=5.5"},
        {"SELECT * FROM n WHERE id = '05.0'", "n=5"},
        {"SELECT * FROM d WHERE day = '2024-02-29'", "d=2024-02-29"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x'", "c=1|x"},
        {"SELECT * FROM c WHERE b IN ('x', 'y') AND a IN (1, 2)", "c=1|x;c=1|y;c=2|x;c=2|y"},
        {"SELECT * FROM c WHERE (a, b) = (1, 'x')", "c=1|x"},
        {"SELECT * FROM c WHERE (b, v, c.a) IN (('x', 7, 1), ('y', 8, 2))", "c=1|x;c=2|y"},
        {"SELECT * FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y')) AND a = 1", "c=1|x;c=2|y"},
        {"SELECT * FROM c WHERE (a, v) IN ((1, 'x'), (2, 'y')) AND b IN ('x', 'y')",
         "c=1|x;c=1|y;c=2|x;c=2|y"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR b = 'y' AND v > 3 AND a = 2", "c=1|x;c=2|y"},
        {"SELECT * FROM c WHERE (a = 1 OR a = 2) AND (b = 'x' OR b = 'y')",
         "c=1|x;c=1|y;c=2|x;c=2|y"},
        {"SELECT * FROM c WHERE a IN (1, 2) AND b = 'x' OR a = 3 AND b = 'y'",
         "c=1|x;c=2|x;c=3|x;c=1|y;c=2|y;c=3|y"},
        {"SELECT * FROM c WHERE a = ANY('{1,2}') AND b = 'x' OR a = ANY('{}') AND b = 'y'",
         "c=1|x;c=2|x;c=1|y;c=2|y"},
        {"SELECT * FROM t WHERE id = 5 OR id = 6", "t=5;t=6"},
        {"SELECT * FROM t WHERE (id = 5 OR 6 = id OR id IN (7, 8)) AND v = 1", "t=5;t=6;t=7;t=8"},
        {"SELECT * FROM t WHERE id = 5 AND v = 1 OR w = 2 AND id = 6", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = 5 OR (v = 1 AND (id = 6 OR w = 2 AND id = 7))", "t=5;t=6;t=7"},
        {"SELECT * FROM t WHERE v = 1 AND (id = 5 OR (id = 6 OR id = 7))", "t=5;t=6;t=7"},
        {"SELECT * FROM t WHERE (id = 5 OR (id = 6 OR v = 7) AND (id = 8 OR id = 9))",
         "t=5;t=8;t=9"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR (a = 2 AND b = 'y' OR a = 3 AND b = 'z')",
         "c=1|x;c=1|y;c=1|z;c=2|x;c=2|y;c=2|z;c=3|x;c=3|y;c=3|z"},
        {"SELECT * FROM t JOIN o ON o.id = t.id WHERE t.id = 5 OR t.id = 6", "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM oid WHERE id = 5", "oid=5"},
        {"SELECT * FROM oid WHERE id = 3000000000", "oid=3000000000"},
        {"SELECT * FROM oid WHERE id = '5'::oid", "oid=5"},
        {"SELECT * FROM name WHERE id = 'it''s'", "name=it's"},
        {"SELECT * FROM name WHERE id = 'x'::text", "name=x"},
        {"SELECT * FROM bytes WHERE id = 'ab'", "bytes=\\x6162"},
        {"SELECT * FROM flag WHERE id = true", "flag=t"},
        {"SELECT * FROM flag WHERE FALSE = id", "flag=f"},
        {"SELECT * FROM flag WHERE id IN ('yes', false)", "flag=t;flag=f"},
        {"SELECT * FROM mood WHERE id = 'sad'", "mood=sad"},
        {"SELECT * FROM at WHERE id = '2024-02-29 12:00'", "at=2024-02-29T12:00:00"},
        {"SELECT * FROM at WHERE id = timestamp '2024-02-29'", "at=2024-02-29 00:00:00"},
        {"SELECT * FROM at3 WHERE id = '2024-02-29 12:00:00.0004'",
         "at3=2024-02-29 12:00:00.0004"},
        {"SELECT * FROM atz WHERE id = '2024-02-29 12:00+02'", "atz=2024-02-29 10:00:00+00"},
        {"SELECT * FROM (SELECT * FROM t WHERE id = 5) x", "t=5"},
        {"WITH w AS (SELECT * FROM t WHERE id = 5) SELECT * FROM w", "t=5"},
        {"WITH t AS (SELECT * FROM s WHERE name = 'x') SELECT * FROM t WHERE id = 5", "s=x"},
        {"SELECT * FROM t WHERE id = 5 UNION SELECT * FROM t WHERE id = 6", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = 5 AND EXISTS (SELECT FROM s WHERE name = 'x')", "t=5;s=x"},
        {"SELECT (SELECT max(v) FROM t WHERE id = 5)", "t=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void constants_of_other_types(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM f WHERE id = 1.50", "f=1.5"},
        {"SELECT * FROM f WHERE id = -5", "f=-5"},
        {"SELECT * FROM f WHERE id = 1e3", "f=1000"},
        {"SELECT * FROM f WHERE id = '15e-1'", "f=1.5"},
        {"SELECT * FROM f WHERE id = 1.5::float8", "f=1.5"},
        {"SELECT * FROM f WHERE id = CAST('1.5' AS double precision)", "f=1.5"},
        {"SELECT * FROM f WHERE id = 1.5::numeric", "f=1.5"},
        {"SELECT * FROM f WHERE id IN (1, 2.5, '3')", "f=1;f=2.5;f=3"},
        {"SELECT * FROM f WHERE id = ANY(ARRAY[1, 2.5])", "f=1;f=2.5"},
        {"SELECT * FROM inet WHERE id = '10.1.2.3'", "inet=10.1.2.3/32"},
        {"SELECT * FROM inet WHERE id = inet '::1'", "inet=0:0:0:0:0:0:0:1"},
        {"SELECT * FROM inet WHERE id = '10.1.2.0/24'::cidr", "inet=10.1.2.0/24"},
        {"SELECT * FROM cidr WHERE id = '10.1.2.0/24'", "cidr=10.1.2.0/24"},
        {"SELECT * FROM cidr WHERE id = '10.1.2.0/24'::inet", "cidr=10.1.2.0/24"},
        {"SELECT * FROM mac8 WHERE id = '08:00:2b:01:02:03'", "mac8=08-00-2B-FF-FE-01-02-03"},
        {"SELECT * FROM bits WHERE id = '101'", "bits=101"},
        {"SELECT * FROM bits WHERE id = '101'::varbit", "bits=101"},
        {"SELECT * FROM lsn WHERE id = '1/0A'", "lsn=1/A"},
        {"SELECT * FROM span WHERE id = '1 month'", "span=30 days"},
        {"SELECT * FROM span WHERE id = interval '24 hours'", "span=1 day"},
        {"SELECT * FROM span3 WHERE id = '00:00:00.0004'", "span3=00:00:00.0004"},
        {"SELECT * FROM f WHERE id = 1.5::float4", "f"},
        {"SELECT * FROM f4 WHERE id = 1.5::float4", "f4=1.5"},
        {"SELECT * FROM ints WHERE id = '{1,2}'", "ints={1,2}"},
        {"SELECT * FROM ints WHERE id = '{1,2}'::int[]", "ints={1,2}"},
        {"SELECT * FROM ints WHERE id = '{1,2}'::bigint[]", "ints={1,2}"}, // an error
        {"SELECT * FROM ints WHERE id IN ('{1,02}', '{}', CAST('{3}' AS int4[]))",
         "ints={1,2};ints={};ints={3}"},
        {"SELECT * FROM ints WHERE id = '{1,2}'::text[]", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY[1, -2]", "ints={1,-2}"},
        {"SELECT * FROM ints WHERE id = ARRAY['1', 2]::int[] OR id = ARRAY[]::int[]",
         "ints={1,2};ints={}"},
        {"SELECT * FROM ints WHERE id IN (ARRAY[1], '{2}', ARRAY[3, 4])",
         "ints={1};ints={2};ints={3,4}"},
        {"SELECT * FROM ints WHERE id = ARRAY[1.5]::int[]", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY['1.5'::numeric]::int[]", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY[1, NULL]", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY[ARRAY[1, 2]]", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY['{1,2}'::int[]]", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY[1]::int", "ints"},
        {"SELECT * FROM ints WHERE id = ARRAY[1]::bigint[]", "ints={1}"}, // an error
        {"SELECT * FROM ints WHERE id = ARRAY[true]", "ints"},
        {"SELECT * FROM tags WHERE id = ARRAY['it''s', 'a,\"b']", "tags={it's,\"a,\\\"b\"}"},
        {"SELECT * FROM tags WHERE id = ARRAY['NULL', '']::varchar[]", "tags={NULL,\"\"}"},
        {"SELECT * FROM tags WHERE id = ARRAY['a'::text, 'b']", "tags={a,b}"},
        {"SELECT * FROM tags WHERE id = ARRAY[5]", "tags"},
        {"SELECT * FROM tags WHERE id = ARRAY['a'::name, 'b']", "tags"},
        {"SELECT * FROM t WHERE id = ANY (ARRAY[ARRAY[5, 6], ARRAY[7, 8]])", "t"},
        {"SELECT * FROM t WHERE id = ARRAY[5]", "t"}, // an error
        {"SELECT * FROM ints WHERE id = '{1, 2}'", "ints"},
        {"SELECT * FROM ints WHERE id = '[0:1]={1,2}'", "ints"},
        {"SELECT * FROM ints WHERE id = '{1,2}'::int", "ints"},
        {"SELECT * FROM ints WHERE id = 5", "ints"},
        {"SELECT * FROM ints WHERE id @> '{1,2}'", "ints"},
        {"SELECT * FROM t WHERE id = '{5}'::int[]", "t"},
        {"SELECT * FROM t WHERE id = ANY (ARRAY['{5,6}'::int[]])", "t"}, // of two dimensions
        {"SELECT * FROM tags WHERE id = '{a,\"b c\"}'", "tags={a,\"b c\"}"},
        {"SELECT * FROM tags WHERE id = '{it''s}'::varchar[]", "tags={it's}"},
        {"SELECT * FROM span4 WHERE id = '[1,5)'", "span4=[1,5)"},
        {"SELECT * FROM span4 WHERE id IN ('(0,4]'::int4range, 'empty')",
         "span4=[1,5);span4=empty"},
        {"SELECT * FROM span4 WHERE id = ANY ('{\"[1,5)\"}'::int4range[])", "span4=[1,5)"},
        {"SELECT * FROM span4 WHERE id = '[1,5)'::numrange", "span4"},
        {"SELECT * FROM span4 WHERE id = '{\"[1,5)\"}'::int4range[]", "span4"},
        {"SELECT * FROM span4 WHERE id = int4range(1, 5)", "span4"},
        {"SELECT * FROM span4 WHERE id @> 5", "span4"},
        {"SELECT * FROM s WHERE name = ANY ('{a,NULL}')", "s=a;s=NULL"}, // with array_nulls = off
        {"SELECT * FROM s WHERE name = ANY ('{a,null}'::text[])", "s=a;s=null"},
        {"SELECT * FROM t WHERE id = ANY ('{5,NULL}')", "t=5"},
        {"SELECT * FROM letter WHERE id = ANY ('{a,NULL}')", "letter"}, // N
        {"SELECT * FROM letter WHERE id = ANY ('{a,b}')", "letter=a;letter=b"},
        {"SELECT * FROM f4 WHERE id = '1.50'", "f4=1.5"},
        {"SELECT * FROM f4 WHERE id IN (15e-1, 2, '3', 4::int2, '-5.0'::numeric, '6'::float8)",
         "f4=1.5;f4=2;f4=3;f4=4;f4=-5;f4=6"},
        {"SELECT * FROM f WHERE id = 'NaN'", "f"},
        {"SELECT * FROM f WHERE id = 0.12345678901234567890", "f"},
        {"SELECT * FROM f WHERE id = 1.5::int", "f"},
        {"SELECT * FROM f WHERE id = 1.25::numeric(3,1)", "f"},
        {"SELECT * FROM n WHERE id = 1.5::float8", "n"},
        {"SELECT * FROM t WHERE id = 5::float8", "t"},
        {"SELECT * FROM cidr WHERE id = '10.1'", "cidr"},
        {"SELECT * FROM mac8 WHERE id = '08:00:2b:01:02:03'::macaddr", "mac8"},
        {"SELECT * FROM bits WHERE id = B'101'", "bits"},
        {"SELECT * FROM bits WHERE id = '101'::bit", "bits"}, // the first of them
        {"SELECT * FROM bits WHERE id = '101'::varbit(2)", "bits"},
        {"SELECT * FROM span WHERE id = interval '1' day", "span"},
        {"SELECT * FROM span WHERE id = '1.5 days'", "span"},
        {"SELECT * FROM span WHERE id = '-1 day 02:03:04'", "span"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void what_does_not_fix_a_key(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t", "t"},
        {"SELECT * FROM plain WHERE id = 5", "plain"},
        {"SELECT * FROM t WHERE id = 5 OR v = 1", "t"},
        {"SELECT * FROM t WHERE id = 5 OR v = 5 AND id IS NOT NULL", "t"},
        {"SELECT * FROM t WHERE NOT (id = 5 OR id = 6)", "t"},
        {"SELECT * FROM t WHERE id = 5 OR t.id = 6", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id <> 6", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id = v", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id IS NULL", "t"},
        {"SELECT * FROM t WHERE id = 5 OR NOT id = 6", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id = 6.0", "t"},
        {"SELECT * FROM t WHERE (id = 5 OR id = 6) IS NOT TRUE", "t"},
        {"SELECT * FROM t WHERE id = 5 OR (v = 1 AND (id = 6 OR w = 2))", "t"},
        {"SELECT * FROM t WHERE id = 5 OR (id = 6 OR (id = 7 OR v = 1))", "t"},
        {"SELECT * FROM t WHERE id = 5 OR v = 1 AND NOT (id = 6 OR id = 7)", "t"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR (a = 2 AND b = 'y' OR a = 3)", "c"},
        {"SELECT * FROM t a, t b WHERE a.id = 5 OR b.id = 6", "t"},
        {"SELECT * FROM t WHERE NOT id = 5", "t"},
        {"SELECT * FROM t WHERE NOT (id = 5 AND v = 1)", "t"},
        {"SELECT * FROM t WHERE id <> 5", "t"},
        {"SELECT * FROM t WHERE id >= 5", "t"},
        {"SELECT * FROM t WHERE id NOT IN (5)", "t"},
        {"SELECT * FROM t WHERE id = ALL(ARRAY[5])", "t"},
        {"SELECT * FROM t WHERE (id = 5) IS NOT TRUE", "t"},
        {"SELECT * FROM t WHERE CASE WHEN id = 5 THEN true ELSE v = 1 END", "t"},
        {"SELECT * FROM t WHERE COALESCE(id = 5, v = 1)", "t"},
        {"SELECT * FROM t WHERE id + 0 = 5", "t"},
        {"SELECT * FROM t WHERE id = 5 + 0", "t"},
        {"SELECT * FROM t WHERE id = +5", "t"},
        {"SELECT * FROM t WHERE id = 5.0", "t"},
        {"SELECT * FROM t WHERE id = 5e0", "t"},
        {"SELECT * FROM t WHERE id IN (5, 6.0)", "t"},
        {"SELECT * FROM t WHERE id = 5::numeric", "t"},
        {"SELECT * FROM t WHERE id = 5.4::int", "t"},
        {"SELECT * FROM t WHERE id::text = '5'", "t"},
        {"SELECT * FROM t WHERE id IS NOT DISTINCT FROM 5", "t"},
        {"SELECT * FROM t WHERE v = 5", "t"},
        {"SELECT * FROM t WHERE id = v", "t"},
        {"SELECT * FROM t AS x(v, id) WHERE id = 5", "t"},
        {"SELECT * FROM t HAVING id = 5", "t"},
        {"SELECT *, id = 5 FROM t", "t"},
        {"SELECT count(*) FILTER (WHERE id = 5) FROM t", "t"},
        {"SELECT * FROM t WHERE id = (SELECT max(id) FROM t WHERE id = 5)", "t"},
        {"SELECT * FROM t a, t b WHERE a.id = 5", "t"},
        {"SELECT * FROM t WHERE id = 5 UNION SELECT * FROM t", "t"},
        {"SELECT * FROM c WHERE a = 1", "c"},
        {"SELECT * FROM c WHERE b = 'x'", "c"},
        {"SELECT * FROM c WHERE (a, b) <> (1, 'x')", "c"},
        {"SELECT * FROM c WHERE (a, b) >= (1, 'x')", "c"},
        {"SELECT * FROM c WHERE (a, v) IN ((1, 'x'), (2, 'y'))", "c"},
        {"SELECT * FROM c WHERE (a, b) NOT IN ((1, 'x'), (2, 'y'))", "c"},
        {"SELECT * FROM c WHERE (a, b) IN ((1, 'x'), (v, 'y'))", "c"},
        {"SELECT * FROM c WHERE (a, b) IN (SELECT 1, 'x')", "c"},
        {"SELECT * FROM c WHERE (a, b) = (1, 'x') OR a = 2", "c"},
        // A star stands for several, so what stands opposite is not known
        {"SELECT * FROM t, o WHERE (o.*, t.id, t.v) = (1, 5, o.*)", "t;o"},
        {"SELECT * FROM t, o WHERE ROW(o.*, t.id, t.v) IN (ROW(1, 5, o.*))", "t;o"},
        {"SELECT * FROM t, o WHERE ((o.x).*, t.id, t.v) = (1, 5, (o.x).*)", "t;o"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR a = 2", "c"},
        {"SELECT * FROM s WHERE name = 'x' COLLATE \"C\"", "s"},
        {"SELECT * FROM s WHERE name COLLATE \"C\" = 'x'", "s"},
        {"SELECT * FROM s WHERE name LIKE 'x'", "s"},
        {"SELECT * FROM s WHERE name = 'x'::char(1)", "s"},
        {"SELECT * FROM s WHERE name = 'xyz'::varchar(2)", "s"},
        {"SELECT * FROM s WHERE name = E'x'", "s"},
        {"SELECT * FROM s WHERE name = lower('X')", "s"},
        {"SELECT * FROM n WHERE id = 5.4::int", "n"},
        {"SELECT * FROM n WHERE id = 1e3", "n"},
        {"SELECT * FROM d WHERE day = '29 Feb 2024'", "d"},
        {"SELECT * FROM u WHERE id::text = 'x'", "u"},
        {"SELECT * FROM oid WHERE id = -5", "oid"},
        {"SELECT * FROM oid WHERE id = '010'", "oid"},
        {"SELECT * FROM oid WHERE id = 5000000000", "oid"},
        {"SELECT * FROM bytes WHERE id = '\\x6162'", "bytes"}, // what a backslash is depends
        {"SELECT * FROM flag WHERE id = NULL", "flag"},
        {"SELECT * FROM t WHERE id = true::int", "t"},
        {"SELECT * FROM s WHERE name = true::text", "s"},
        {"SELECT * FROM at WHERE id = '2024-02-29'::date", "at"},
        {"SELECT * FROM at WHERE id = timestamptz '2024-02-29 12:00+02'", "at"},
        {"SELECT * FROM at WHERE id = '2024-02-29 12:00:00.9'::timestamp(0)", "at"},
        {"SELECT * FROM atz WHERE id = '2024-02-29 12:00'", "atz"},
        {"SELECT * FROM atz WHERE id = timestamp '2024-02-29 12:00+02'", "atz"},
        {"SELECT * FROM t WHERE id = ANY('{{5},{6}}')", "t"},
        {"SELECT * FROM t WHERE id = ANY('{ 5}')", "t"},
        {"SELECT * FROM t WHERE id = ANY(SELECT 5)", "t"},
        {"SELECT * FROM t WHERE id IN (SELECT v FROM o WHERE id = 5)", "t;o=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void too_many_values_fix_no_key(void **state)
{
    char many[1024] = "SELECT * FROM t WHERE id IN (0";
    for (int i = 1; i <= KEYS_MAX; i++)
        sprintf(many + strlen(many), ", %d", i);
    reads(strcat(many, ")"), "t");
    strcpy(many, "SELECT * FROM t WHERE id = 0");
    for (int i = 1; i <= KEYS_MAX; i++)
        sprintf(many + strlen(many), " OR id = %d", i);
    reads(many, "t");
    strcpy(many, "SELECT * FROM c WHERE (a, b) IN ((0, 'x')");
    for (int i = 1; i <= KEYS_MAX; i++)
        sprintf(many + strlen(many), ", (%d, 'x')", i);
    reads(strcat(many, ")"), "c");
}

// The analysis is made once for a template: the values are those of the text at hand.
static void templates_share_an_analysis(void **state)
{
    static const char *const cases[][3] = {
        {"SELECT * FROM t WHERE v = 1 AND id = 5", "SELECT * FROM t WHERE v = 77 AND id = 6",
         "t=6"},
        {"SELECT * FROM t WHERE id = -5", "SELECT * FROM t WHERE id = -12", "t=-12"},
        {"SELECT * FROM t WHERE id = '5'", "SELECT * FROM t WHERE id = ' 006'", "t=6"},
        {"SELECT * FROM t WHERE id = '5'", "SELECT * FROM t WHERE id = 'x'", "t"},
        {"SELECT * FROM t WHERE id = 3000000000", "SELECT * FROM t WHERE id = 5.0", "t"},
        {"SELECT * FROM t WHERE id = 5.0", "SELECT * FROM t WHERE id = 3000000000",
         "t=3000000000"},
        {"SELECT * FROM s WHERE name = 'a'", "SELECT * FROM s WHERE name = 'it''s'", "s=it's"},
        {"SELECT 'x', 1.5, id FROM t WHERE id IN (1, 2)",
         "SELECT 'id', 2.5, id FROM t WHERE id IN (3, 4)", "t=3;t=4"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        judge(cases[i][0], cases[i][1], slice_of("", 0), slice_of("", 0), cases[i][2], false);
}

static void writes_of_known_rows(void **state)
{
    static const char *const cases[][2] = {
        {"UPDATE t SET v = 1 WHERE id = 5", "t=5"},
        {"UPDATE t AS x SET v = 1 WHERE x.id = 5 AND v = 2", "t=5"},
        {"UPDATE t SET v = o.v FROM o WHERE t.id = 5 AND o.id = t.v", "t=5"},
        {"DELETE FROM t WHERE id IN (5, 6)", "t=5;t=6"},
        {"DELETE FROM t USING o WHERE t.id = 5", "t=5"},
        {"INSERT INTO t(v, id) VALUES (1, 5), (2, '6')", "t=5;t=6"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT DO NOTHING", "t=5"},
        {"INSERT INTO t(id, v) VALUES (5, 1) ON CONFLICT (id) DO UPDATE SET v = 1", "t=5"},
        {"INSERT INTO c(a, b) VALUES (1, 'x')", "c=1|x"},
        {"INSERT INTO c(a, b) VALUES (1, 'x'), (2, 'y')", "c=1|x;c=2|y"},
        {"INSERT INTO at(id) VALUES ('2024-02-29 12:00')", "at=2024-02-29 12:00"},
        {"INSERT INTO flag(id) VALUES (true)", "flag=t"},
        {"INSERT INTO ints(id) VALUES ('{1,2}'), ('{3}'::bigint[])", "ints={1,2};ints={3}"},
        {"UPDATE ints SET v = 1 WHERE id = '{1,2}'", "ints={1,2}"},
        {"INSERT INTO ints(id, v) VALUES (ARRAY[1, 2], 5), ('{3}', 6)", "ints={1,2};ints={3}"},
        {"INSERT INTO nets(id) VALUES (ARRAY['10.1.2.3/24'::inet])", "nets={10.1.2.3/24}"},
        {"INSERT INTO ints(id) VALUES ('{1}') ON CONFLICT (id) DO UPDATE SET v = 1", "ints={1}"},
        {"INSERT INTO f(id) VALUES (1.50), (2), ('3e0')", "f=1.5;f=2;f=3"},
        {"INSERT INTO cidr(id) VALUES ('10.1.2.3/24'::inet)", "cidr=10.1.2.0/24"},
        {"INSERT INTO inet(id) VALUES ('10.1.2.3/24')", "inet=10.1.2.3/24"},
        {"INSERT INTO span(id) VALUES ('30 days')", "span=1 mon"},
        {"INSERT INTO span3(id) VALUES ('00:00:00.0004')", "span3"},
        {"INSERT INTO oid(id, v) VALUES (5, 1) ON CONFLICT (id) DO UPDATE SET v = 1", "oid=5"},
        {"UPDATE t SET v = 1 WHERE id = 5 OR id = 6", "t=5;t=6"},
        {"DELETE FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))", "c=1|x;c=2|y"},
        {"INSERT INTO v(name) VALUES ('x')", "v=x"},
        {"INSERT INTO s(name) VALUES ('x ')", "s=x "},
        {"WITH a AS (UPDATE t SET v = 1 WHERE id = 5) UPDATE o SET v = 1 WHERE id = 6", "t=5;o=6"},
        {"UPDATE t SET v = 1 WHERE id = 5; DELETE FROM o WHERE id = 6", "t=5;o=6"},
        {"UPDATE t SET v = 1 WHERE id = 5; DELETE FROM t WHERE id = 6", "t=5;t=6"},
        {"EXPLAIN ANALYZE UPDATE t SET v = 1 WHERE id = 5", "t=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        writes(cases[i][0], cases[i][1]);
    struct parameter two[] = {AS_TEXT(0, "7"), AS_TEXT(0, "5")};
    bound("UPDATE t SET v = $1 WHERE id = $2", two, 2, "t=5", true);
    bound("INSERT INTO t(v, id) VALUES ($1, $2)", two, 2, "t=5", true);
}

static void writes_of_unknown_rows(void **state)
{
    static const char *const cases[][2] = {
        {"UPDATE t SET v = 1", "t"},
        {"UPDATE t SET v = 1 WHERE v = 5", "t"},
        {"UPDATE t SET v = 1 WHERE id = 5 OR v = 1", "t"},
        {"UPDATE t SET id = 6 WHERE id = 5", "t"},
        {"UPDATE t SET (v, id) = (1, 6) WHERE id = 5", "t"},
        {"UPDATE t SET v = 1 FROM o WHERE o.id = 5", "t"},
        {"DELETE FROM t", "t"},
        {"DELETE FROM plain WHERE id = 5", "plain"},
        {"INSERT INTO t VALUES (5, 1)", "t"}, // which columns those are it does not say
        {"INSERT INTO t(v) VALUES (1)", "t"},
        {"INSERT INTO t(id) VALUES (DEFAULT)", "t"},
        {"INSERT INTO t(id) VALUES (5), (DEFAULT)", "t"},
        {"INSERT INTO t(id) VALUES (5.4)", "t"},
        {"INSERT INTO t(id) OVERRIDING USER VALUE VALUES (5)", "t"},
        {"INSERT INTO t(v, id) VALUES ((ROW(1, 5)).*, 9)", "t"},
        {"INSERT INTO t(v, id) VALUES (1, 5), ((ROW(1, 5)).*, 9)", "t"},
        {"UPDATE t SET v = 1 FROM o WHERE (o.*, t.id, t.v) = (1, 5, o.*)", "t"},
        {"DELETE FROM t USING o WHERE (o.*, t.id, t.v) IN ((1, 5, o.*))", "t"},
        {"INSERT INTO c(a, b) VALUES (1, 'x') ON CONFLICT (a, a) DO UPDATE SET v = 1", "c"},
        {"INSERT INTO t(id) SELECT 5", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT (v) DO UPDATE SET v = 1", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT (id, v) DO UPDATE SET v = 1", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT (id) DO UPDATE SET id = 6", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT ON CONSTRAINT x DO UPDATE SET v = 1", "t"},
        {"INSERT INTO s(name) VALUES ('x') ON CONFLICT (name) DO UPDATE SET v = 1", "s"},
        {"INSERT INTO c(a, b) VALUES (1, 'x') ON CONFLICT (a, b) DO UPDATE SET v = 1", "c"},
        {"INSERT INTO v(name) VALUES ('x      ')", "v"},    // what is too long loses its blanks
        {"INSERT INTO n2(id) VALUES (5.555)", "n2"},        // is rounded
        {"INSERT INTO nets(id) VALUES (ARRAY['10.1.2.3/24'::inet]::cidr[])", "nets"},
        {"INSERT INTO s(name) VALUES (ARRAY['a'])", "s"},
        {"INSERT INTO short(id) VALUES ('{\"a      \"}')", "short"},
        {"INSERT INTO ints(id[1]) VALUES (5)", "ints"},
        {"UPDATE ints SET id[1] = 6 WHERE id = '{5}'", "ints"},
        {"INSERT INTO ints(id) VALUES ('{1}') ON CONFLICT (id) DO UPDATE SET id[1] = 2", "ints"},
        {"INSERT INTO tags(id) VALUES ('{a}') ON CONFLICT (id) DO UPDATE SET v = 1", "tags"},
        {"INSERT INTO s(name) VALUES (5)", "s"},
        {"INSERT INTO at3(id) VALUES ('2024-02-29 12:00:00.0004')", "at3"}, // likewise
        {"INSERT INTO name(id) VALUES ('x') ON CONFLICT (id) DO UPDATE SET v = 1", "name"},
        {"DELETE FROM c WHERE (a, b) = (1, 'x') OR v = 2", "c"},
        {"MERGE INTO t USING o ON t.id = 5 WHEN MATCHED THEN UPDATE SET v = 1", "t"},
        {"TRUNCATE t, o", "t;o"},
        {"COPY t FROM STDIN", "t"},
        {"UPDATE t SET v = 1 WHERE id = 5; UPDATE t SET v = 1", "t"},
        {"WITH a AS (DELETE FROM t) UPDATE t SET v = 1 WHERE id = 5", "t"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        writes(cases[i][0], cases[i][1]);
    struct parameter two[] = {AS_TEXT(0, "7"), AS_TEXT(1700, "5")};
    bound("INSERT INTO t(v, id) VALUES ($1, $2)", two, 2, "t", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_fix_keys), cmocka_unit_test(constants_of_other_types),
        cmocka_unit_test(what_does_not_fix_a_key),
        cmocka_unit_test(too_many_values_fix_no_key),
        cmocka_unit_test(templates_share_an_analysis), cmocka_unit_test(writes_of_known_rows),
        cmocka_unit_test(writes_of_unknown_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
