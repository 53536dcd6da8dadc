// SPDX-License-Identifier: Apache-2.0
// Forms of ranges: by what is in them.
#include "tests/unit/cache/rowkey_forms.h"

#define RANGE(type) ((enum rowkey_type)((unsigned)ROWKEY_##type | ROWKEY_RANGE))

enum { INT4RANGE = 3904, NUMRANGE = 3906, TSRANGE = 3908, DATERANGE = 3912, INT8RANGE = 3926 };

static void bounds_in_text(void **state)
{
    static const char *const integers[][6] = {
        {"[1,5)", "[1,4]", "(0,4]", "(0,5)", "[\"1\",\"5\")", "[01, 5)"},
        {"[1,5]", "[1,6)"},
        {"[1,)", "(0,)", "[1,]", "(\"0\",)"},
        {"(,5)", "[,5)", "(,4]", "[,\\4]"},
        {"(,)", "[,]", "[,)", "(,]"},
        {"empty", "EMPTY", "[1,1)", "(1,1]", "(1,2)", "(5,5)"},
        {"[1,1]", "[1,2)", "(0,2)"},
    };
    CLASSES(RANGE(INTEGER), integers);
    static const char *const more[][6] = {
        {"[-5,0)", "(-6,-1]"}, {"[1,9223372036854775807)", "[1,9223372036854775806]"},
        {"[-9223372036854775808,0]", "[-9223372036854775808,1)"}, {"empty", "Empty"}};
    CLASSES(RANGE(INTEGER), more);
    static const char *const days[][6] = {
        {"[2024-02-28,2024-03-01)", "[2024-02-28,2024-02-29]", "(2024-02-27,\"2024-03-01\")"},
        {"[2024-02-28,2024-03-01]"},
        {"[2024-02-28,)"},
        {"(,2024-02-28)"},
        {"empty", "[2024-02-28,2024-02-28)", "(2024-02-28,2024-02-29)"},
    };
    CLASSES(RANGE(DATE), days);
    static const char *const numbers[][6] = {
        {"[1,5)", "[1.0,5.00)", "[\"1\",\"5\")"},
        {"[1,5]"},
        {"(1,5)"},
        {"(1,5]"},
        {"[1,1]", "[1.0,1]"},
        {"empty", "[1,1)", "(1,1.0]", "(1,1)"},
        {"(1,)", "(1,]"},
        {"[1,)"},
        {"(,1)"},
        {"(,1]"},
        {"(,)"},
    };
    CLASSES(RANGE(NUMERIC), numbers);
    static const char *const instants[][6] = {
        {"[\"2024-02-29 12:00:00\",\"2024-02-29 13:00:00\")",
         "[2024-02-29 12:00,2024-02-29T13:00)"},
        {"[\"2024-02-29 12:00:00\",\"2024-02-29 13:00:00\"]"},
        {"[\"2024-02-29 12:00:00\",)"}};
    CLASSES(RANGE(TIMESTAMP), instants);
    static const char *const zoned[][6] = {
        {"[\"2024-02-29 12:00:00+00\",)", "[\"2024-02-29 14:00:00+02\",]"},
        {"[\"2024-02-29 12:00:00+02\",)"}};
    CLASSES(RANGE(TIMESTAMPTZ), zoned);
}

static void what_has_no_form(void **state)
{
    static const char *const no[] = {
        "", "[", "[]", "[,", ",", "[1", "[1,", "[1,2", "1,2", "1,2)", "[1,2)x", "[1,2) ", " [1,2)",
        "[1,2,3)", "[1)", "(1)", "[1 2)", "[1,\"2)", "[1,2\\", "[\"\",2)", "[a,2)", "[1.5,2)",
        "empty ", "emptyy", "empt", "null", "{1,2}", "[(1,2)", "[1,9223372036854775807]",
        "[1,9223372036854775808)"};
    REFUSED(RANGE(INTEGER), no);
    static const char *const no_days[] = {
        "[2024-02-28,infinity)", "[-infinity,2024-02-28)", "[today,)", "[02/28/2024,)",
        "[ 2024-02-28,)"};
    REFUSED(RANGE(DATE), no_days);
    static const char *const no_zone[] = {"[2024-02-28 12:00,)", "[2024-02-28 12:00 UTC,)"};
    REFUSED(RANGE(TIMESTAMPTZ), no_zone);
}

#define FOUR "\0\0\0\4"
#define EIGHT "\0\0\0\10"

static void bounds_in_binary(void **state)
{
    enum rowkey_type integers = RANGE(INTEGER), numbers = RANGE(NUMERIC), days = RANGE(DATE);
    uint64_t one_to_five = text(integers, "[1,5)");
    assert_int_equal(BINARY(integers, INT4RANGE, "\2" FOUR "\0\0\0\1" FOUR "\0\0\0\5"),
                     one_to_five);
    assert_int_equal(BINARY(integers, 0, "\6" FOUR "\0\0\0\1" FOUR "\0\0\0\4"), one_to_five);
    assert_int_equal(BINARY(integers, INT8RANGE, "\4" EIGHT "\0\0\0\0\0\0\0\0"
                            EIGHT "\0\0\0\0\0\0\0\4"), one_to_five);
    assert_int_equal(BINARY(integers, INT4RANGE, "\22" FOUR "\0\0\0\1"), text(integers, "[1,)"));
    assert_int_equal(BINARY(integers, INT4RANGE, "\10" FOUR "\0\0\0\5"), text(integers, "(,5)"));
    assert_int_equal(BINARY(integers, INT4RANGE, "\36"), text(integers, "(,)"));
    assert_int_equal(BINARY(integers, INT4RANGE, "\1"), text(integers, "empty"));
    assert_int_equal(BINARY(days, DATERANGE, "\6" FOUR "\0\0\0\0" FOUR "\0\0\0\1"),
                     text(days, "[2000-01-01,2000-01-03)"));
    assert_int_equal(BINARY(numbers, NUMRANGE, "\22\0\0\0\12\0\1\0\0\0\0\0\0\0\5"),
                     text(numbers, "[5,)"));
    assert_int_equal(BINARY(RANGE(TIMESTAMP), TSRANGE, "\20" EIGHT "\0\0\0\0\0\0\0\0"),
                     text(RANGE(TIMESTAMP), "(2000-01-01,)"));
#define REFUSED_BINARY(type, bytes) assert_true(refused_binary(type, 0, bytes, sizeof(bytes) - 1))
    REFUSED_BINARY(integers, "");
    REFUSED_BINARY(integers, "\1" FOUR "\0\0\0\1");
    REFUSED_BINARY(integers, "\2" FOUR "\0\0\0\1");
    REFUSED_BINARY(integers, "\2" FOUR "\0\0\0\1" FOUR "\0\0\0\5\0");
    REFUSED_BINARY(integers, "\2\0\0\0\3\0\0\1" FOUR "\0\0\0\5");
    REFUSED_BINARY(integers, "\42" FOUR "\0\0\0\1" FOUR "\0\0\0\5");
    REFUSED_BINARY(integers, "\202" FOUR "\0\0\0\1" FOUR "\0\0\0\5");
    REFUSED_BINARY(days, "\22" FOUR "\177\377\377\377"); // infinity
    assert_int_not_equal(text(integers, "[1,5)"), text(numbers, "[1,5)"));
}

static void ranges_meet_their_like(void **state)
{
    static const struct {
        uint32_t column;
        uint32_t value;
        bool accepted;
    } cases[] = {
        {INT4RANGE, INT4RANGE, true}, {INT4RANGE, INT8RANGE, true}, {NUMRANGE, INT4RANGE, false},
        {INT4RANGE, INT4, false},     {INT4, INT4RANGE, false},     {DATERANGE, DATERANGE, true},
        {DATERANGE, TSRANGE, false},  {INT4RANGE, 1007, false},     {1007, INT4RANGE, false},
        {4451, 4451, false}}; // int4multirange
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(rowkey_accepts(rowkey_type_of(cases[i].column), cases[i].value),
                         cases[i].accepted);
    assert_false(rowkey_has_letters(RANGE(INTEGER)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_in_text), cmocka_unit_test(what_has_no_form),
        cmocka_unit_test(bounds_in_binary), cmocka_unit_test(ranges_meet_their_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
