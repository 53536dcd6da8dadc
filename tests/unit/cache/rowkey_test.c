// SPDX-License-Identifier: Apache-2.0
// Classes of values that are one for PostgreSQL's equality, in text and binary, and values that are
// none of them.
#include "cache/rowkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum {
    BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, JSON = 114, FLOAT8 = 701, BPCHAR = 1042,
    VARCHAR = 1043, DATE = 1082, TIMESTAMP = 1114, NUMERIC = 1700, UUID = 2950, OID = 26,
};

static uint64_t text(enum rowkey_type type, const char *value)
{
    uint64_t form;
    if (!rowkey_text(type, slice_str(value), &form))
        fail_msg("refused: '%s'", value);
    return form;
}

static uint64_t binary(enum rowkey_type type, uint32_t oid, const char *bytes, size_t n)
{
    uint64_t form;
    if (!rowkey_binary(type, oid, slice_of(bytes, n), &form))
        fail_msg("refused: %zu bytes of %u", n, oid);
    return form;
}

#define BINARY(type, oid, bytes) binary(type, oid, bytes, sizeof(bytes) - 1)

static bool refused(enum rowkey_type type, const char *value)
{
    uint64_t form;
    return !rowkey_text(type, slice_str(value), &form);
}

static bool refused_binary(enum rowkey_type type, uint32_t oid, const char *bytes, size_t n)
{
    uint64_t form;
    return !rowkey_binary(type, oid, slice_of(bytes, n), &form);
}

// Each list is one class; classes differ from each other.
static void text_classes(enum rowkey_type type, const char *const classes[][6], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t form = text(type, classes[i][0]);
        for (size_t k = 1; k < 6 && classes[i][k] != NULL; k++)
            assert_int_equal(text(type, classes[i][k]), form);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(text(type, classes[k][0]), form);
    }
}

#define CLASSES(type, classes) text_classes(type, classes, sizeof(classes) / sizeof(*classes))

static void integers(void **state)
{
    static const char *const classes[][6] = {
        {"5", "05", "+5", " 5", "5\t", "0000000000000000000005"},
        {"-5", "-05", " -5 "},
        {"0", "-0", "+0", "000"},
        {"9223372036854775807"},
        {"-9223372036854775808"},
        {"50"},
    };
    CLASSES(ROWKEY_INTEGER, classes);
    assert_int_equal(BINARY(ROWKEY_INTEGER, INT2, "\0\5"), text(ROWKEY_INTEGER, "5"));
    assert_int_equal(BINARY(ROWKEY_INTEGER, INT4, "\0\0\0\5"), text(ROWKEY_INTEGER, "5"));
    assert_int_equal(BINARY(ROWKEY_INTEGER, INT8, "\0\0\0\0\0\0\0\5"), text(ROWKEY_INTEGER, "5"));
    assert_int_equal(BINARY(ROWKEY_INTEGER, INT2, "\377\373"), text(ROWKEY_INTEGER, "-5"));
    assert_int_equal(BINARY(ROWKEY_INTEGER, INT4, "\377\377\377\373"), text(ROWKEY_INTEGER, "-5"));
    assert_int_equal(BINARY(ROWKEY_INTEGER, INT8, "\200\0\0\0\0\0\0\0"),
                     text(ROWKEY_INTEGER, "-9223372036854775808"));
    static const char *const no[] = {"", " ", "+", "-", "5.0", "5e0", "0x5", "1_000", "5 5", "--5",
                                     "null", "9223372036854775808", "-9223372036854775809",
                                     "99999999999999999999", "unchanged-toast-datum"};
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_true(refused(ROWKEY_INTEGER, no[i]));
    assert_true(refused_binary(ROWKEY_INTEGER, INT4, "\0\0\5", 3));
    assert_true(refused_binary(ROWKEY_INTEGER, INT4, "", 0));
}

static void texts(void **state)
{
    static const char *const classes[][6] = {{""}, {"a"}, {"a "}, {" a"}, {"A"}, {"5"}, {"05"},
                                             {"\303\251"}, {"e\314\201"}};
    CLASSES(ROWKEY_TEXT, classes);
    assert_int_equal(BINARY(ROWKEY_TEXT, TEXT, "a "), text(ROWKEY_TEXT, "a "));
    assert_int_equal(BINARY(ROWKEY_TEXT, VARCHAR, "a"), text(ROWKEY_TEXT, "a"));
    static const char *const padded[][6] = {{"a", "a ", "a      "}, {"", "   "}, {" a", " a "},
                                            {"a\t"}};
    CLASSES(ROWKEY_PADDED, padded);
    assert_int_equal(BINARY(ROWKEY_PADDED, BPCHAR, "a  "), text(ROWKEY_PADDED, "a"));
    char longest[ROWKEY_VALUE_BYTES + 2];
    memset(longest, 'x', sizeof(longest));
    longest[ROWKEY_VALUE_BYTES] = '\0';
    text(ROWKEY_TEXT, longest);
    longest[ROWKEY_VALUE_BYTES] = 'x';
    longest[ROWKEY_VALUE_BYTES + 1] = '\0';
    assert_true(refused(ROWKEY_TEXT, longest));
    assert_true(refused_binary(ROWKEY_TEXT, TEXT, longest, ROWKEY_VALUE_BYTES + 1));
}

static void uuids(void **state)
{
    static const char *const classes[][6] = {
        {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
         "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11",
         "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"},
        {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"},
        {"00000000-0000-0000-0000-000000000000"},
    };
    CLASSES(ROWKEY_UUID, classes);
    assert_int_equal(BINARY(ROWKEY_UUID, UUID,
                            "\240\356\274\231\234\13\116\370\273\155\153\271\275\70\12\21"),
                     text(ROWKEY_UUID, classes[0][0]));
    assert_true(refused(ROWKEY_UUID, "a0eebc99"));
    assert_true(refused(ROWKEY_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111"));
    assert_true(refused(ROWKEY_UUID, "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
    assert_true(refused_binary(ROWKEY_UUID, UUID, "\0\0\0\0", 4));
}

static void booleans(void **state)
{
    static const char *const classes[][6] = {{"t", "true", "1", "yes", "on"},
                                             {"f", "false", "0", "no", "off"}};
    CLASSES(ROWKEY_BOOLEAN, classes);
    assert_int_equal(BINARY(ROWKEY_BOOLEAN, BOOL, "\1"), text(ROWKEY_BOOLEAN, "t"));
    assert_int_equal(BINARY(ROWKEY_BOOLEAN, BOOL, "\0"), text(ROWKEY_BOOLEAN, "f"));
    assert_true(refused(ROWKEY_BOOLEAN, "tr"));
    assert_true(refused(ROWKEY_BOOLEAN, "null"));
    assert_true(refused_binary(ROWKEY_BOOLEAN, BOOL, "\0\0", 2));
}

static uint64_t days(int32_t n)
{
    char bytes[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    return binary(ROWKEY_DATE, DATE, bytes, 4);
}

static void dates(void **state)
{
    static const struct {
        const char *text;
        int32_t days;
    } same[] = {{"2000-01-01", 0}, {"1999-12-31", -1}, {"2000-02-29", 59}, {"2000-03-01", 60},
                {"2024-02-29", 8825}, {"1970-01-01", -10957}, {"0001-01-01", -730119},
                {"9999-12-31", 2921939}, {"2100-03-01", 36584}, {"2026-11-28", 9828}};
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        assert_int_equal(text(ROWKEY_DATE, same[i].text), days(same[i].days));
    static const char *const no[] = {"01/02/2000", "2000-1-1", "20000101", "2000-01-01 00:00",
                                     "01-02-2000", "Jan 1 2000", "infinity", "today", "",
                                     "2000-01-01 BC"};
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_true(refused(ROWKEY_DATE, no[i]));
    assert_true(refused_binary(ROWKEY_DATE, DATE, "\177\377\377\377", 4)); // infinity
    assert_true(refused_binary(ROWKEY_DATE, DATE, "\200\0\0\0", 4));
    assert_true(refused_binary(ROWKEY_DATE, DATE, "\0\0", 2));
}

static void numerics(void **state)
{
    static const char *const classes[][6] = {
        {"5", "5.0", "05.00", "+5", "5.", " 5 "},
        {"-5", "-5.000"},
        {"0", "-0", "0.000", "000", "-0.0"},
        {"0.5", ".5", "00.500"},
        {"-0.5", "-.5"},
        {"100", "0100.00"},
    };
    CLASSES(ROWKEY_NUMERIC, classes);
    static const char *const more[][6] = {
        {"12345.6789", "12345.67890"}, {"10000"}, {"0.0001"}, {"100000000"}, {"1"}, {"10"}};
    CLASSES(ROWKEY_NUMERIC, more);
    // count, weight, sign, scale; digits to the base 10000
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\1\0\0\0\0\0\0\0\5"),
                     text(ROWKEY_NUMERIC, "5"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\1\0\0\100\0\0\2\0\5"),
                     text(ROWKEY_NUMERIC, "-5.00"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\0\0\0\0\0\0\0"),
                     text(ROWKEY_NUMERIC, "0"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\1\0\1\0\0\0\0\0\1"),
                     text(ROWKEY_NUMERIC, "10000"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\1\377\377\0\0\0\4\0\1"),
                     text(ROWKEY_NUMERIC, "0.0001"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\1\377\376\0\0\0\10\0\1"),
                     text(ROWKEY_NUMERIC, "0.00000001"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, NUMERIC, "\0\3\0\1\0\0\0\4\0\1\11\51\32\205"),
                     text(ROWKEY_NUMERIC, "12345.6789"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, INT4, "\0\0\0\5"), text(ROWKEY_NUMERIC, "5"));
    assert_int_equal(BINARY(ROWKEY_NUMERIC, INT8, "\377\377\377\377\377\377\377\373"),
                     text(ROWKEY_NUMERIC, "-5"));
    static const char *const no[] = {"", ".", "1e3", "NaN", "Infinity", "1.2.3", "5 5", "0x5"};
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_true(refused(ROWKEY_NUMERIC, no[i]));
    assert_true(refused_binary(ROWKEY_NUMERIC, NUMERIC, "\0\0\0\0\300\0\0\0", 8)); // NaN
    assert_true(refused_binary(ROWKEY_NUMERIC, NUMERIC, "\0\2\0\0\0\0\0\0\0\5", 10));
    assert_true(refused_binary(ROWKEY_NUMERIC, NUMERIC, "\0\1\0\0\0\0\0\0\47\20", 10));
    assert_true(refused_binary(ROWKEY_NUMERIC, NUMERIC, "\0\1\177\377\0\0\0\0\0\5", 10));
}

static void types_meet_their_like(void **state)
{
    static const struct {
        uint32_t column;
        uint32_t value;
        bool accepted;
    } cases[] = {
        {INT4, INT4, true},      {INT2, INT8, true},     {INT8, INT2, true},
        {INT4, NUMERIC, false},  {INT4, FLOAT8, false},  {INT4, TEXT, false},
        {INT4, OID, false},      {TEXT, VARCHAR, true},  {VARCHAR, TEXT, true},
        {TEXT, BPCHAR, false},   {BPCHAR, TEXT, true},   {BPCHAR, BPCHAR, true},
        {UUID, UUID, true},      {UUID, TEXT, false},    {DATE, DATE, true},
        {DATE, TIMESTAMP, false}, {NUMERIC, INT4, true}, {NUMERIC, NUMERIC, true},
        {NUMERIC, FLOAT8, false}, {BOOL, BOOL, true},    {FLOAT8, FLOAT8, false},
        {JSON, JSON, false},     {TIMESTAMP, TIMESTAMP, false}, {OID, OID, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(rowkey_accepts(rowkey_type_of(cases[i].column), cases[i].value),
                         cases[i].accepted);
    assert_true(refused(ROWKEY_NONE, "5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(texts),    cmocka_unit_test(uuids),
        cmocka_unit_test(booleans), cmocka_unit_test(dates),    cmocka_unit_test(numerics),
        cmocka_unit_test(types_meet_their_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
