// SPDX-License-Identifier: Apache-2.0
// Which rows the values of a Bind message name.
#include "tests/unit/proxy/sql/keys_fixture.h"

static void parameters_fix_keys(void **state)
{
    static const struct {
        const char *sql;
        struct parameter p;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(0, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(23, "05"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(705, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(0, "\0\0\0\5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(20, "\0\0\0\0\0\0\0\5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(21, "\0\5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int", AS_TEXT(0, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int", AS_TEXT(25, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int", AS_BINARY(25, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", {0, false, NULL, 0}, ""},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(1700, "5"), "t"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(701, "5"), "t"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(701, "\0\0\0\0\0\0\0\5"), "t"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(0, "5.0"), "t"},
        {"SELECT * FROM t WHERE id = $1::numeric", AS_TEXT(0, "5"), "t"},
        {"SELECT * FROM t WHERE id = $1 AND v = $1", AS_TEXT(0, "5"), "t"}, // of v's type?
        {"SELECT * FROM t WHERE id = $1 AND v = $1", AS_TEXT(23, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int AND v = $1::int4", AS_TEXT(0, "5"), "t=5"},
        {"SELECT $1::int FROM t WHERE id = $1::int AND v = $1", AS_TEXT(0, "5"), "t"},
        {"SELECT $1 FROM t WHERE id = $1::int AND v = $1::int", AS_TEXT(0, "5"), "t"},
        {"SELECT $1::int8 FROM t WHERE id = $1::int", AS_BINARY(0, "\0\0\0\5"), "t"},
        {"SELECT $1::int FROM t WHERE id = $1::int8 AND v = $1::int", AS_TEXT(0, "5"), "t"},
        {"SELECT $1::int[] FROM t WHERE id = $1::int", AS_TEXT(0, "5"), "t"},
        {"SELECT $1::int[] FROM t WHERE id = ANY($1::int[])", AS_TEXT(0, "{5}"), "t=5"},
        {"SELECT $1::numeric(5,2) FROM n WHERE id = $1::numeric", AS_TEXT(0, "5"), "n"},
        {"SELECT $1::int AS x FROM t WHERE id IN (SELECT id FROM o WHERE id = $1::int)",
         AS_BINARY(0, "\0\0\0\5"), "t=5;o=5"},
        {"SELECT $1::float8 FROM t WHERE id = $1", AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "t"},
        {"SELECT * FROM t JOIN o ON o.id = t.id WHERE t.id = $1", AS_TEXT(0, "5"), "t=5;o=5"},
        {"SELECT * FROM n WHERE id = $1", AS_TEXT(23, "5"), "n=5"},
        {"SELECT * FROM n WHERE id = $1", AS_BINARY(23, "\0\0\0\5"), "n=5"},
        {"SELECT * FROM n WHERE id = $1", AS_BINARY(0, "\0\1\0\0\0\0\0\1\0\5"), "n=5"},
        {"SELECT * FROM n WHERE id = $1::int", AS_TEXT(1700, "5"), "n"}, // it is rounded
        {"SELECT * FROM n WHERE id = $1::int", AS_BINARY(0, "\0\0\0\5"), "n=5"},
        {"SELECT * FROM s WHERE name = $1", AS_TEXT(0, "x"), "s=x"},
        {"SELECT * FROM s WHERE name = $1", AS_BINARY(1043, "x"), "s=x"},
        {"SELECT * FROM s WHERE name = $1", AS_TEXT(1042, "x"), "s"},
        {"SELECT * FROM s WHERE name = $1", AS_TEXT(19, "x"), "s"},
        {"SELECT * FROM s WHERE name = $1::text", AS_TEXT(23, "5"), "s"},
        {"SELECT * FROM p WHERE code = $1", AS_TEXT(25, "ab "), "p=ab"},
        {"SELECT * FROM u WHERE id = $1",
         AS_BINARY(2950, "\240\356\274\231\234\13\116\370\273\155\153\271\275\70\12\21"),
         "u=a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {"SELECT * FROM u WHERE id = $1::uuid", AS_TEXT(1043, "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
         "u=a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {"SELECT * FROM d WHERE day = $1", AS_BINARY(1082, "\0\0\42\171"), "d=2024-02-29"},
        {"SELECT * FROM d WHERE day = $1", AS_TEXT(1114, "2024-02-29"), "d"},
        {"SELECT * FROM t WHERE id IN ($1, 6)", AS_TEXT(0, "5"), "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(0, "{5,6}"), "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY($1::int[])", AS_TEXT(0, "{5,NULL}"), "t=5"},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(1007, "{}"), ""},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(1231, "{5}"), "t"},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(1007, "[0:0]={5}"), "t"},
        {"SELECT * FROM t WHERE id = ANY($1)",
         AS_BINARY(1007, "\0\0\0\1\0\0\0\1\0\0\0\27\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\5"
                         "\377\377\377\377"), "t=5"},
        {"SELECT * FROM t WHERE id = ANY($1)",
         AS_BINARY(0, "\0\0\0\1\0\0\0\0\0\0\2\275\0\0\0\1\0\0\0\1\0\0\0\10\0\0\0\0\0\0\0\5"),
         "t"}, // of float8
        {"SELECT * FROM t WHERE id = ANY($1)", AS_BINARY(1007, "\0\0\0\1\0\0\0\0\0\0\0\27"), "t"},
        {"SELECT * FROM s WHERE name = ANY($1)", AS_TEXT(1009, "{a,\"b\\\"c\",\\NULL}"),
         "s=a;s=b\"c;s=NULL"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        bound(cases[i].sql, &cases[i].p, 1, cases[i].expected, false);
    struct parameter two[] = {AS_TEXT(0, "1"), AS_BINARY(25, "x")};
    bound("SELECT * FROM c WHERE a = $1 AND b = $2", two, 2, "c=1|x", false);
    bound("SELECT * FROM c WHERE (a, b) IN (($1, $2))", two, 2, "c=1|x", false);
    struct parameter four[] = {AS_TEXT(0, "1"), AS_TEXT(25, "x"), AS_BINARY(23, "\0\0\0\2"),
                               AS_TEXT(0, "y")};
    bound("SELECT * FROM c WHERE (a, b) IN (($1, $2), ($3, $4))", four, 4, "c=1|x;c=2|y", false);
    bound("SELECT * FROM c WHERE a = $1 AND b = $2 OR a = $3 AND b = $4", four, 4, "c=1|x;c=2|y",
          false);
    // A NULL is none of the values: then those that are left do not stand in order.
    four[0] = (struct parameter){0, false, NULL, 0};
    bound("SELECT * FROM c WHERE (a, b) IN (($1, $2), ($3, $4))", four, 4, "c=2|x;c=2|y", false);
    bound("SELECT * FROM c WHERE a = $2 AND b = $1", two, 2, "c", false);
    bound("SELECT * FROM t WHERE id = $3", two, 2, "t", false);
}

static void parameters_of_other_types(void **state)
{
    static const struct {
        const char *sql;
        struct parameter p;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM oid WHERE id = $1", AS_TEXT(0, "5"), "oid=5"},
        {"SELECT * FROM oid WHERE id = $1", AS_BINARY(0, "\377\377\377\377"), "oid=4294967295"},
        {"SELECT * FROM oid WHERE id = $1", AS_BINARY(23, "\377\377\377\377"), "oid"},
        {"SELECT * FROM oid WHERE id = $1", AS_TEXT(23, "010"), "oid"},
        {"SELECT * FROM oid WHERE id = ANY($1)", AS_TEXT(1028, "{5,6}"), "oid=5;oid=6"},
        {"SELECT * FROM name WHERE id = $1", AS_TEXT(19, "x"), "name=x"},
        {"SELECT * FROM name WHERE id = $1", AS_BINARY(1043, "x"), "name=x"},
        {"SELECT * FROM bytes WHERE id = $1", AS_TEXT(0, "\\x6162"), "bytes=ab"},
        {"SELECT * FROM bytes WHERE id = $1", AS_BINARY(17, "ab"), "bytes=ab"},
        {"SELECT * FROM bytes WHERE id = $1", AS_TEXT(25, "ab"), "bytes"},
        {"SELECT * FROM bytes WHERE id = ANY($1)", AS_TEXT(1001, "{\"\\\\x6162\",c}"),
         "bytes=ab;bytes=c"},
        {"SELECT * FROM flag WHERE id = $1", AS_BINARY(0, "\1"), "flag=t"},
        {"SELECT * FROM mood WHERE id = $1", AS_TEXT(0, "sad"), "mood=sad"},
        {"SELECT * FROM mood WHERE id = $1", AS_BINARY(16400, "sad"), "mood=sad"},
        {"SELECT * FROM mood WHERE id = $1", AS_BINARY(16401, "sad"), "mood"},
        {"SELECT * FROM mood WHERE id = ANY($1)", AS_TEXT(0, "{sad,ok}"), "mood=sad;mood=ok"},
        {"SELECT * FROM mood WHERE id = ANY($1)",
         AS_BINARY(0, "\0\0\0\1\0\0\0\0\0\0\100\20\0\0\0\1\0\0\0\1\0\0\0\2ok"), "mood=ok"},
        {"SELECT * FROM mood WHERE id = 'sad' AND v = $1", AS_TEXT(0, "x"), "mood"}, // prepared
        {"SELECT * FROM mood WHERE id IN ('sad', $1)", AS_TEXT(0, "ok"), "mood"},
        {"SELECT * FROM at WHERE id = $1", AS_TEXT(1114, "2024-02-29 12:00:00+02"),
         "at=2024-02-29 12:00"},
        {"SELECT * FROM at WHERE id = $1", AS_TEXT(1184, "2024-02-29 12:00:00+00"), "at"},
        {"SELECT * FROM at WHERE id = $1", AS_BINARY(1184, "\0\0\0\0\0\0\0\0"), "at"},
        {"SELECT * FROM at WHERE id = $1", AS_BINARY(0, "\0\0\0\0\0\0\0\0"), "at=2000-01-01"},
        {"SELECT * FROM at WHERE id = $1::timestamp", AS_TEXT(1184, "2024-02-29 12:00+02"), "at"},
        {"SELECT * FROM at WHERE id = $1::timestamp", AS_TEXT(25, "2024-02-29 12:00"),
         "at=2024-02-29 12:00"},
        {"SELECT * FROM at WHERE id = ANY($1)", AS_TEXT(1115, "{\"2024-02-29 12:00\",2024-03-01}"),
         "at=2024-02-29 12:00;at=2024-03-01"},
        {"SELECT * FROM at WHERE id = ANY($1)", AS_TEXT(1115, "{2024-02-29 12:00}"), "at"},
        {"SELECT * FROM atz WHERE id = $1", AS_TEXT(0, "2024-02-29 12:00+02"),
         "atz=2024-02-29 10:00+00"},
        {"SELECT * FROM atz WHERE id = $1", AS_TEXT(1114, "2024-02-29 12:00+02"), "atz"},
        {"SELECT * FROM atz WHERE id = $1", AS_BINARY(1184, "\0\0\0\0\0\0\0\0"),
         "atz=2000-01-01 01:00+01"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        bound(cases[i].sql, &cases[i].p, 1, cases[i].expected, false);
}

static void parameters_of_still_other_types(void **state)
{
    static const struct {
        const char *sql;
        struct parameter p;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM f WHERE id = $1", AS_TEXT(0, "1.5"), "f=1.5"},
        {"SELECT * FROM f WHERE id = $1", AS_TEXT(1700, "1.50"), "f=1.5"},
        {"SELECT * FROM f WHERE id = $1", AS_TEXT(700, "1.5"), "f"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(0, "\77\370\0\0\0\0\0\0"), "f=1.5"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(701, "\200\0\0\0\0\0\0\0"), "f=0"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(700, "\77\300\0\0"), "f"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(1700, "\0\0\0\0\0\0\0\2"), "f"},
        {"SELECT * FROM f WHERE id = $1::numeric", AS_BINARY(0, "\0\0\0\0\0\0\0\2"), "f"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(20, "\0\0\0\0\0\0\0\5"), "f=5"},
        {"SELECT * FROM f WHERE id = $1::int8", AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "f=5"},
        {"SELECT * FROM f WHERE id = $1::float8", AS_TEXT(25, "5e0"), "f=5"},
        {"SELECT * FROM f4 WHERE id = $1", AS_TEXT(0, "1.5"), "f4=1.5"},
        {"SELECT * FROM f4 WHERE id = $1", AS_TEXT(700, "1.5"), "f4=1.5"},
        {"SELECT * FROM f4 WHERE id = $1", AS_TEXT(701, "0.10000000149011612"), "f4=0.1"},
        {"SELECT * FROM f4 WHERE id = $1", AS_BINARY(0, "\77\300\0\0"), "f4=1.5"},
        {"SELECT * FROM f4 WHERE id = $1", AS_BINARY(700, "\77\300\0\0"), "f4=1.5"},
        {"SELECT * FROM f4 WHERE id = $1", AS_BINARY(701, "\77\370\0\0\0\0\0\0"), "f4=1.5"},
        {"SELECT * FROM f4 WHERE id = $1::float8",
         AS_BINARY(0, "\77\370\0\0\0\0\0\0"), "f4=1.5"},
        {"SELECT * FROM f4 WHERE id = $1::float8", AS_BINARY(700, "\77\300\0\0"), "f4"},
        {"SELECT * FROM f4 WHERE id = $1", AS_BINARY(1700, "\0\0\0\0\0\0\0\2"), "f4"},
        {"SELECT * FROM f4 WHERE id = ANY($1)", AS_TEXT(1021, "{1.5,2}"), "f4=1.5;f4=2"},
        {"SELECT * FROM ints WHERE id = ARRAY[$1, 2]", AS_TEXT(23, "1"), "ints"},
        {"SELECT * FROM ints WHERE id = $1", AS_TEXT(0, "{1,2}"), "ints={1,2}"},
        {"SELECT * FROM ints WHERE id = $1", AS_TEXT(1007, "{1,2}"), "ints={1,2}"},
        {"SELECT * FROM ints WHERE id = $1::int[]", AS_TEXT(25, "{1,2}"), "ints={1,2}"},
        {"SELECT * FROM ints WHERE id = $1::int[]", AS_TEXT(1009, "{1,2}"), "ints"},
        {"SELECT * FROM ints WHERE id = $1", AS_TEXT(23, "1"), "ints"},
        {"SELECT * FROM ints WHERE id = ANY ($1)", AS_TEXT(1007, "{1,2}"), "ints"}, // an error
        {"SELECT * FROM ints WHERE id = $1", {0, false, NULL, 0}, ""},
        {"SELECT * FROM ints WHERE id = $1", AS_BINARY(0, "\0\0\0\1\0\0\0\0\0\0\0\27\0\0\0\1"
         "\0\0\0\1\0\0\0\4\0\0\0\5"), "ints={5}"},
        {"SELECT * FROM ints WHERE id = $1::int[]", AS_BINARY(1007, "\0\0\0\1\0\0\0\0\0\0\0\27"
         "\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\5"), "ints={5}"},
        {"SELECT * FROM ints WHERE id = $1", AS_BINARY(1007, "\0\0\0\1\0\0\0\0\0\0\0\27\0\0\0\1"
         "\0\0\0\0\0\0\0\4\0\0\0\5"), "ints={5}"}, // where it begins does not count
        {"SELECT * FROM t WHERE id = ANY ($1)", AS_BINARY(1007, "\0\0\0\1\0\0\0\0\0\0\0\27"
         "\0\0\0\1\0\0\0\0\0\0\0\4\0\0\0\5"), "t=5"},
        {"SELECT * FROM span4 WHERE id = $1", AS_TEXT(3904, "[1,4]"), "span4=[1,5)"},
        {"SELECT * FROM span4 WHERE id = $1", AS_TEXT(23, "1"), "span4"},
        {"SELECT * FROM span4 WHERE id = $1",
         AS_BINARY(0, "\2\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\5"), "span4=[1,5)"},
        {"SELECT * FROM span4 WHERE id = ANY ($1)", AS_TEXT(3905, "{empty}"), "span4=empty"},
        {"SELECT * FROM tags WHERE id = $1", AS_TEXT(0, "{a,NULL}"), "tags={a,null}"},
        {"SELECT * FROM f WHERE id = ANY($1)", AS_TEXT(1022, "{1.5,2}"), "f=1.5;f=2"},
        {"SELECT * FROM f WHERE id = ANY($1)", AS_TEXT(1021, "{1.5,2}"), "f"},
        {"SELECT * FROM f WHERE id IN ($1, 2.5)",
         AS_BINARY(0, "\77\370\0\0\0\0\0\0"), "f=1.5;f=2.5"},
        // Its type is that of the array, which the others decide on.
        {"SELECT * FROM f WHERE id = ANY(ARRAY[$1, 2.5])",
         AS_BINARY(0, "\0\0\0\0\0\0\0\2"), "f"},
        {"SELECT * FROM n WHERE id = ANY(ARRAY[$1, 3000000000])",
         AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "n"},
        {"SELECT * FROM n WHERE id = ANY(ARRAY[$1, 3000000000])",
         AS_BINARY(20, "\0\0\0\0\0\0\0\5"), "n=5;n=3000000000"},
        {"SELECT * FROM n WHERE id = ANY(ARRAY[$1::int8, 3000000000])",
         AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "n=5;n=3000000000"},
        {"SELECT * FROM inet WHERE id = $1", AS_TEXT(0, "10.1.2.3/24"), "inet=10.1.2.3/24"},
        {"SELECT * FROM inet WHERE id = $1", AS_BINARY(0, "\2\40\0\4\12\1\2\3"),
         "inet=10.1.2.3"},
        {"SELECT * FROM inet WHERE id = $1", AS_BINARY(650, "\2\30\1\4\12\1\2\0"),
         "inet=10.1.2.0/24"},
        {"SELECT * FROM inet WHERE id = $1::cidr", AS_BINARY(869, "\2\30\0\4\12\1\2\3"),
         "inet"}, // it loses the last ones
        {"SELECT * FROM inet WHERE id = $1", AS_TEXT(25, "10.1.2.3"), "inet"},
        {"SELECT * FROM inet WHERE id = $1::inet", AS_TEXT(25, "10.1.2.3"), "inet=10.1.2.3"},
        {"SELECT * FROM cidr WHERE id = $1", AS_BINARY(0, "\2\30\0\4\12\1\2\0"),
         "cidr=10.1.2.0/24"},
        {"SELECT * FROM cidr WHERE id = ANY($1)", AS_TEXT(1041, "{10.1.2.0/24}"),
         "cidr=10.1.2.0/24"},
        {"SELECT * FROM mac8 WHERE id = $1", AS_TEXT(829, "08:00:2b:01:02:03"), "mac8"},
        {"SELECT * FROM bits WHERE id = $1", AS_BINARY(0, "\0\0\0\3\240"), "bits=101"},
        {"SELECT * FROM bits WHERE id = $1", AS_BINARY(1562, "\0\0\0\3\240"), "bits=101"},
        {"SELECT * FROM lsn WHERE id = $1", AS_BINARY(0, "\0\0\0\1\0\0\0\12"), "lsn=1/A"},
        {"SELECT * FROM span WHERE id = $1",
         AS_BINARY(0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), "span=30 days"},
        {"SELECT * FROM span WHERE id = $1", AS_TEXT(1083, "12:34:56"), "span"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        bound(cases[i].sql, &cases[i].p, 1, cases[i].expected, false);
}

static void letters_beyond_ascii_need_one_encoding(void **state)
{
    const char *sql = "SELECT * FROM s WHERE name = '\303\251'";
    struct analysis *a = analysis_new(slice_str(sql));
    struct search_path where = path();
    struct resolution *r = resolve(a, catalog, &where);
    uint32_t slots[KEYS_MAX];
    struct key_values values = {.analysis = a, .text = slice_str(sql), .utf8 = true};
    assert_true(r->utf8);
    assert_int_equal(r->read_scan_count, 1);
    assert_int_equal(keys_slots(&values, &r->read_scans[0], slots), 1);
    values.utf8 = false;
    assert_int_equal(keys_slots(&values, &r->read_scans[0], slots), -1);
    resolution_unref(&r);
    analysis_unref(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_fix_keys), cmocka_unit_test(parameters_of_other_types),
        cmocka_unit_test(parameters_of_still_other_types),
        cmocka_unit_test(letters_beyond_ascii_need_one_encoding),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
