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
    BOOL = 16, BYTEA = 17, CHAR = 18, NAME = 19, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25,
    OID = 26, JSON = 114, FLOAT8 = 701, MACADDR = 829, BPCHAR = 1042, VARCHAR = 1043, DATE = 1082,
    TIME = 1083, TIMESTAMP = 1114, TIMESTAMPTZ = 1184, INTERVAL = 1186, NUMERIC = 1700,
    UUID = 2950, ANYENUM = 3500, CIDR = 650, FLOAT4 = 700, MACADDR8 = 774, INET = 869,
    TIMETZ = 1266, BIT = 1560, VARBIT = 1562, LSN = 3220, XID8 = 5069,
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

static void all_refused(enum rowkey_type type, const char *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!refused(type, values[i]))
            fail_msg("not refused: '%s'", values[i]);
}

#define REFUSED(type, values) all_refused(type, values, sizeof(values) / sizeof(*values))

static void booleans(void **state)
{
    static const char *const classes[][6] = {{"t", "true", "1", "yes", "on", "TRUE"},
                                             {"f", "false", "0", "no", "off", "False"}};
    CLASSES(ROWKEY_BOOLEAN, classes);
    static const char *const more[][6] = {{"t", "tr", "y", "ye", "On", " T "},
                                          {"f", "fals", "n", "of", "OFF", "\tno\n"}};
    CLASSES(ROWKEY_BOOLEAN, more);
    assert_int_equal(BINARY(ROWKEY_BOOLEAN, BOOL, "\1"), text(ROWKEY_BOOLEAN, "t"));
    assert_int_equal(BINARY(ROWKEY_BOOLEAN, BOOL, "\0"), text(ROWKEY_BOOLEAN, "f"));
    static const char *const no[] = {"", " ", "o", "truee", "null", "10", "00", "01", "\21", "ja"};
    REFUSED(ROWKEY_BOOLEAN, no);
    assert_true(refused_binary(ROWKEY_BOOLEAN, BOOL, "\0\0", 2));
}

static void oids(void **state)
{
    static const char *const classes[][6] = {
        {"8", " 8", "8\t"}, {"0"}, {"10"}, {"4294967295"}, {"2147483648"}};
    CLASSES(ROWKEY_OID, classes);
    assert_int_equal(BINARY(ROWKEY_OID, OID, "\0\0\0\10"), text(ROWKEY_OID, "8"));
    assert_int_equal(BINARY(ROWKEY_OID, OID, "\377\377\377\377"), text(ROWKEY_OID, "4294967295"));
    assert_int_equal(BINARY(ROWKEY_OID, 0, "\200\0\0\0"), text(ROWKEY_OID, "2147483648"));
    assert_int_equal(BINARY(ROWKEY_OID, INT2, "\0\10"), text(ROWKEY_OID, "8"));
    assert_int_equal(BINARY(ROWKEY_OID, INT4, "\0\0\0\10"), text(ROWKEY_OID, "8"));
    assert_int_equal(BINARY(ROWKEY_OID, INT8, "\0\0\0\0\377\377\377\377"),
                     text(ROWKEY_OID, "4294967295"));
    // 010 is ten before release 16, and eight since; -1 is the highest one, or an error.
    static const char *const no[] = {"", "010", "00", "0x8", "0o10", "-1", "+8", "8.0", "1e1",
                                     "4294967296", "18446744073709551624", "8 8", "1_0"};
    REFUSED(ROWKEY_OID, no);
    assert_true(refused_binary(ROWKEY_OID, INT4, "\377\377\377\377", 4));
    assert_true(refused_binary(ROWKEY_OID, INT8, "\0\0\0\1\0\0\0\0", 8));
    assert_true(refused_binary(ROWKEY_OID, OID, "\0\0\0\0\0\0\0\10", 8));
    assert_true(refused_binary(ROWKEY_OID, OID, "\0\10", 2));
}

static void names_and_labels(void **state)
{
    static const char *const classes[][6] = {{""}, {"a"}, {"a "}, {" a"}, {"A"}, {"\303\251"}};
    CLASSES(ROWKEY_NAME, classes);
    CLASSES(ROWKEY_ENUM, classes);
    assert_int_equal(BINARY(ROWKEY_NAME, NAME, "a "), text(ROWKEY_NAME, "a "));
    assert_int_equal(BINARY(ROWKEY_NAME, TEXT, "a"), text(ROWKEY_NAME, "a"));
    assert_int_equal(BINARY(ROWKEY_ENUM, 16400, "a"), text(ROWKEY_ENUM, "a"));
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = '\0';
    assert_true(refused(ROWKEY_NAME, longest)); // it would be cut
    assert_true(refused_binary(ROWKEY_NAME, TEXT, longest, 64));
    longest[63] = '\0';
    text(ROWKEY_NAME, longest);

    static const char *const one[][6] = {{""}, {"a"}, {"A"}, {" "}, {"\\"}};
    CLASSES(ROWKEY_CHAR, one);
    assert_int_equal(BINARY(ROWKEY_CHAR, CHAR, "a"), text(ROWKEY_CHAR, "a"));
    assert_int_equal(BINARY(ROWKEY_CHAR, CHAR, "\0"), text(ROWKEY_CHAR, ""));
    static const char *const no[] = {"ab", "a ", "\303\251", "\\101", "\200"};
    REFUSED(ROWKEY_CHAR, no);
    assert_true(refused_binary(ROWKEY_CHAR, CHAR, "\200", 1));
    assert_true(refused_binary(ROWKEY_CHAR, CHAR, "", 0));
    assert_true(refused_binary(ROWKEY_CHAR, CHAR, "ab", 2));
}

static void bytes(void **state)
{
    static const char *const classes[][6] = {
        {"", "\\x"},
        {"a\\\\b", "\\x615c62", "\\x615C62", "\\141\\134\\142", "a\\134b"},
        {"\\x00ff", "\\000\\377", "\\x00FF"},
        {"\\x00"},
        {"\\x0000"},
        {"x61", "\\x783631"},
        {"\\\\x61", "\\x5c783631"},
        {" a", "\\x2061"},
    };
    CLASSES(ROWKEY_BYTES, classes);
    assert_int_equal(BINARY(ROWKEY_BYTES, BYTEA, "a\\b"), text(ROWKEY_BYTES, "\\x615c62"));
    assert_int_equal(BINARY(ROWKEY_BYTES, BYTEA, "\0\377"), text(ROWKEY_BYTES, "\\000\\377"));
    assert_int_equal(BINARY(ROWKEY_BYTES, BYTEA, ""), text(ROWKEY_BYTES, "\\x"));
    // Blanks between digits; letters that the server would convert; what it refuses.
    static const char *const no[] = {"\\x61 62", "\\x6", "\\x6g", "\303\251", "\\", "\\1", "\\14",
                                     "\\400", "\\189", "a\\", "\\n"};
    REFUSED(ROWKEY_BYTES, no);
    char longest[ROWKEY_VALUE_BYTES + 1];
    memset(longest, '6', sizeof(longest));
    longest[0] = '\\';
    longest[1] = 'x';
    longest[ROWKEY_VALUE_BYTES] = '\0';
    text(ROWKEY_BYTES, longest);
    assert_true(refused_binary(ROWKEY_BYTES, BYTEA, longest, ROWKEY_VALUE_BYTES + 1));
}

static void macaddrs(void **state)
{
    static const char *const classes[][6] = {
        {"08:00:2b:01:02:0a", "08-00-2B-01-02-0A", "08:00:2B:01:02:0a"},
        {"08:00:2b:01:02:0b"}};
    CLASSES(ROWKEY_MACADDR, classes);
    assert_int_equal(BINARY(ROWKEY_MACADDR, MACADDR, "\10\0\53\1\2\12"),
                     text(ROWKEY_MACADDR, classes[0][0]));
    static const char *const no[] = {"", "08:00:2b:01:02", "08:00-2b:01:02:0a", "08002b01020a",
                                     "08002b:01020a", "8:0:2b:1:2:a", "08:00:2b:01:02:0a ",
                                     "08:00:2b:01:02:0g", "0800.2b01.020a"};
    REFUSED(ROWKEY_MACADDR, no);
    assert_true(refused_binary(ROWKEY_MACADDR, MACADDR, "\10\0\53\377\376\1\2\12", 8));
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

static uint64_t micros(enum rowkey_type type, int64_t n)
{
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)n >> (56 - 8 * i));
    return binary(type, 0, bytes, 8);
}

struct instant {
    const char *text;
    int64_t us;
};

static void are_instants(enum rowkey_type type, const struct instant *same, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text(type, same[i].text) != micros(type, same[i].us))
            fail_msg("'%s' is not %lld", same[i].text, (long long)same[i].us);
}

static void times_of_day(void **state)
{
    static const struct instant same[] = {
        {"00:00:00", 0}, {"00:00", 0}, {"12:34", 45240000000}, {"12:34:56", 45296000000},
        {"12:34:56.0", 45296000000}, {"12:34:56.5", 45296500000}, {"12:34:56.50", 45296500000},
        {"12:34:56.000001", 45296000001}, {"23:59:59.999999", 86399999999}};
    are_instants(ROWKEY_TIME, same, sizeof(same) / sizeof(*same));
    static const char *const no[] = {
        "", "12", "1:2", "12:34:", "12:34:56.", "12:34:56.1234567", "24:00:00", "12:60", "23:59:60",
        "12:34:56 PM", "12:34:56+02", " 12:34", "12:34 ", "T12:34", "123456", "allballs"};
    REFUSED(ROWKEY_TIME, no);
    assert_true(refused_binary(ROWKEY_TIME, TIME, "\0\0\0\0", 4));
}

static void timestamps(void **state)
{
    static const struct instant same[] = {
        {"2000-01-01 00:00:00", 0}, {"2000-01-01", 0}, {"2000-01-01T00:00", 0},
        {"1999-12-31 23:59:59.999999", -1}, {"2024-02-29 12:34:56.789", 762525296789000},
        {"2024-02-29 12:34:56.789000", 762525296789000},
        {"2024-02-29 12:34:56.789+05:30", 762525296789000}, // of no meaning without a zone
        {"2024-02-29T12:34:56.789-08", 762525296789000}, {"2024-03-01", 762566400000000},
        {"1900-02-28 00:00:00", -3150662400000000}, {"1900-03-01 00:00:00", -3150576000000000},
        {"0001-01-01 00:00:00", -63082281600000000},
        {"9999-12-31 23:59:59.999999", 252455615999999999}};
    are_instants(ROWKEY_TIMESTAMP, same, sizeof(same) / sizeof(*same));
    static const char *const no[] = {
        "", "infinity", "epoch", "now", "2024-2-29", "29.02.2024 12:34:56", "02/29/2024 12:34:56",
        "Thu Feb 29 12:34:56 2024", "20240229T123456", "2024-02-29  12:34", "2024-02-29 ",
        "2024-02-29 24:00:00", "2024-02-29 12:34:60", "2024-02-29 12:34:56.1234567",
        "2024-02-29 12:34:56 BC", "2024-02-29 12:34:56 PM", "0000-01-01 00:00:00", "2024-13-01",
        "2024-00-01", "2024-01-00", "2024-01-32", "10000-01-01 00:00:00", "2024-02-29t12:34",
        "2024-02-29 12:34:56+16", "2024-02-29 12:34:56 CET", "2024-02-29+02", "2024.5", "-1"};
    REFUSED(ROWKEY_TIMESTAMP, no);
    assert_true(refused_binary(ROWKEY_TIMESTAMP, TIMESTAMP, "\0\0\0\0", 4));
}

static void timestamps_with_an_offset(void **state)
{
    static const struct instant same[] = {
        {"2000-01-01 00:00:00+00", 0}, {"2000-01-01 00:00:00-00", 0}, {"2000-01-01T01:00+01", 0},
        {"1999-12-31 19:00:00-05:00", 0}, {"2000-01-01 05:30:00+05:30", 0},
        {"2000-01-01 00:53:28+00:53:28", 0}, {"1999-12-31 23:59:59.999999+00", -1},
        {"2024-02-29 12:34:56.789+02", 762518096789000},
        {"2024-02-29 05:34:56.789-05", 762518096789000}};
    are_instants(ROWKEY_TIMESTAMPTZ, same, sizeof(same) / sizeof(*same));
    // What they mean depends on the session, or on a file of abbreviations.
    static const char *const no[] = {
        "", "2024-02-29", "2024-02-29 12:34:56", "2024-02-29 12:34:56Z", "2024-02-29 12:34:56 +02",
        "2024-02-29 12:34:56 UTC", "2024-02-29 12:34:56+0230", "2024-02-29 12:34:56+2",
        "2024-02-29 12:34:56+16", "2024-02-29 12:34:56+02:60", "2024-02-29 12:34:56+02:30:15:1",
        "2024-02-29+02", "29.02.2024 12:34:56 CET", "infinity", "2024-02-29 12:34:56+02 BC",
        "2024-02-29 12:34:56 Europe/Berlin", "2024-02-29 12:34:56+02:"};
    REFUSED(ROWKEY_TIMESTAMPTZ, no);
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

static void doubles(void **state)
{
    static const char *const classes[][6] = {
        {"1.5", "1.50", "+01.5", " 1.5e0", "15E-1", ".15e+1"},
        {"0", "-0", "0.000", "-.0", "0e9", "0."},
        {"-1.5", "-15e-1"},
        {"1000", "1e3", "1000.", "0.001e6"},
        {"100000000000000000000", "1e20", "1.e20"},
        {"0.1", "0.10", "1e-1"},
        {"0.30000000000000004", "0.300000000000000040", "0.3"}, // fifteen digits count
        {"1.7976931348623157e308"},
    };
    CLASSES(ROWKEY_DOUBLE, classes);
    static const char *const more[][6] = {
        {"2.2250738585072014e-308"}, {"9007199254740993", "9007199254740992"}, {"1.25"}, {"1e22"},
        {"1.00000000000001"}, {"1"}, {"123456789012345"}, {"123456789012346"}};
    CLASSES(ROWKEY_DOUBLE, more);
    assert_int_equal(BINARY(ROWKEY_DOUBLE, FLOAT8, "\77\370\0\0\0\0\0\0"),
                     text(ROWKEY_DOUBLE, "1.5"));
    assert_int_equal(BINARY(ROWKEY_DOUBLE, 0, "\277\370\0\0\0\0\0\0"),
                     text(ROWKEY_DOUBLE, "-1.5"));
    assert_int_equal(BINARY(ROWKEY_DOUBLE, FLOAT8, "\200\0\0\0\0\0\0\0"),
                     text(ROWKEY_DOUBLE, "0"));
    assert_int_equal(BINARY(ROWKEY_DOUBLE, FLOAT8, "\77\323\63\63\63\63\63\64"),
                     text(ROWKEY_DOUBLE, "0.30000000000000004"));
    assert_int_equal(BINARY(ROWKEY_DOUBLE, INT4, "\377\377\377\373"),
                     text(ROWKEY_DOUBLE, "-5"));
    assert_int_equal(BINARY(ROWKEY_DOUBLE, INT8, "\0\40\0\0\0\0\0\1"),
                     text(ROWKEY_DOUBLE, "9007199254740993"));
    assert_int_equal(BINARY(ROWKEY_DOUBLE, INT2, "\0\5"), text(ROWKEY_DOUBLE, "5e0"));
    static const char *const no[] = {
        "", ".", "e5", "1e", "1e+", "1.5.2", "NaN", "nan", "inf", "Infinity", "-inf", "0x10",
        "0x1p3", "1_000", "1 5", "--1", "1e400", "-1e400", "1e-400", "4.9e-324",
        "0.123456789012345678", "123456789012345678"};
    REFUSED(ROWKEY_DOUBLE, no);
    assert_true(refused_binary(ROWKEY_DOUBLE, FLOAT8, "\177\370\0\0\0\0\0\0", 8)); // NaN
    assert_true(refused_binary(ROWKEY_DOUBLE, FLOAT8, "\177\360\0\0\0\0\0\0", 8));
    assert_true(refused_binary(ROWKEY_DOUBLE, FLOAT8, "\77\300\0\0", 4));
    assert_true(refused_binary(ROWKEY_DOUBLE, NUMERIC, "\0\0\0\0\0\0\0\0", 8));
}

static void addresses(void **state)
{
    static const char *const classes[][6] = {
        {"10.1.2.3", "10.1.2.3/32"},
        {"10.1.2.3/24"},
        {"10.1.2.0/24"},
        {"10.1.2.0/25"},
        {"0.0.0.0/0"},
        {"::", "0:0:0:0:0:0:0:0", "::/128", "0::", "::0.0.0.0", "::0"},
        {"::1", "0:0::1", "0000:0:0:0:0:0:0:0001", "::0:1/128", "::0.0.0.1", "0:0:0:0:0:0:0.0.0.1"},
        {"::ffff:10.1.2.3", "::FFFF:a01:203", "0:0:0:0:0:ffff:10.1.2.3"},
    };
    CLASSES(ROWKEY_INET, classes);
    static const char *const more[][6] = {
        {"2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "2001:db8:0::0:1"},
        {"2001:db8::1/64"},
        {"2001:db8::/32", "2001:db8:0::/32"},
        {"1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1::8", "1:0::0:8"},
        {"::/0"}};
    CLASSES(ROWKEY_INET, more);
    assert_int_equal(BINARY(ROWKEY_INET, INET, "\2\40\0\4\12\1\2\3"),
                     text(ROWKEY_INET, "10.1.2.3"));
    assert_int_equal(BINARY(ROWKEY_INET, CIDR, "\2\30\1\4\12\1\2\0"),
                     text(ROWKEY_INET, "10.1.2.0/24"));
    assert_int_equal(BINARY(ROWKEY_INET, 0, "\3\100\0\20\40\1\15\270\0\0\0\0\0\0\0\0"
                                            "\0\0\0\1"),
                     text(ROWKEY_INET, "2001:db8::1/64"));
    static const char *const no[] = {
        "", "10", "10.1", "10.1.2", "10.1/16", "10.1.2.3.4", "10.1.2.3/33", "10.1.2.3/", "/8",
        "10.1.2.3/08", "10.1.2.3/255.0.0.0", "010.1.2.3", "10.1.2.256", " 10.1.2.3", "10.1.2.3 ",
        "0x0a010203", "10.1.2.-3", ":", ":::", "1:::2", "1::2::3", "1:2:3:4:5:6:7",
        ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8", "::12345",
        "::g", "::1/129", "::1/0128", "fe80::1%eth0",
        "::1.2.3", "::1.2.3.4.5", "::01.2.3.4", "1.2.3.4::",
        "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "[::1]"};
    REFUSED(ROWKEY_INET, no);
    assert_true(refused_binary(ROWKEY_INET, INET, "\2\41\0\4\12\1\2\3", 8));
    assert_true(refused_binary(ROWKEY_INET, INET, "\3\40\0\4\12\1\2\3", 8));
    assert_true(refused_binary(ROWKEY_INET, INET, "\2\40\0\20\12\1\2\3", 8));
    assert_true(refused_binary(ROWKEY_INET, INET, "\2\40\0\4\12\1\2", 7));
    assert_true(refused_binary(ROWKEY_INET, INET, "\2", 1));
}

static void networks(void **state)
{
    static const char *const classes[][6] = {
        {"10.1.2.3", "10.1.2.3/32"},
        {"10.1.2.0/24", "10.1.2.3/24"}, // an inet that is stored as a cidr
        {"10.1.2.0/25", "10.1.2.127/25"},
        {"10.1.2.128/25", "10.1.2.129/25"},
        {"0.0.0.0/0", "10.1.2.3/0"},
        {"2001:db8::/32", "2001:db8:1::1/32"},
        {"2001:db8::/33", "2001:db8:7fff::/33"},
        {"::1", "::1/128"},
    };
    CLASSES(ROWKEY_CIDR, classes);
    assert_int_equal(text(ROWKEY_CIDR, "10.1.2.0/24"), text(ROWKEY_INET, "10.1.2.0/24"));
    assert_int_equal(BINARY(ROWKEY_CIDR, INET, "\2\30\0\4\12\1\2\3"),
                     text(ROWKEY_CIDR, "10.1.2.0/24"));
    assert_true(refused(ROWKEY_CIDR, "10.1"));
}

static void macaddrs_of_eight(void **state)
{
    static const char *const classes[][6] = {
        {"08:00:2b:01:02:03:04:05", "08-00-2B-01-02-03-04-05"},
        {"08:00:2b:01:02:03", "08:00:2b:ff:fe:01:02:03", "08-00-2b-01-02-03"},
    };
    CLASSES(ROWKEY_MACADDR8, classes);
    assert_int_equal(BINARY(ROWKEY_MACADDR8, MACADDR8, "\10\0\53\1\2\3\4\5"),
                     text(ROWKEY_MACADDR8, "08:00:2b:01:02:03:04:05"));
    static const char *const no[] = {"", "08:00:2b:01:02", "08:00:2b:01:02:03:04",
                                     "08002b0102030405", "08:00:2b-01:02:03:04:05",
                                     "08:00:2b:01:02:03:04:0g",
                                     "08:00:2b:01:02:03:04:05 ", "8:0:2b:1:2:3:4:5"};
    REFUSED(ROWKEY_MACADDR8, no);
    assert_true(refused_binary(ROWKEY_MACADDR8, MACADDR8, "\10\0\53\1\2\3", 6));
}

static void positions(void **state)
{
    static const char *const lsns[][6] = {
        {"0/0", "00000000/0"}, {"1/A", "1/a", "01/0000000A"}, {"FFFFFFFF/FFFFFFFF"}, {"0/1A"}};
    CLASSES(ROWKEY_LSN, lsns);
    assert_int_equal(BINARY(ROWKEY_LSN, LSN, "\0\0\0\1\0\0\0\12"), text(ROWKEY_LSN, "1/A"));
    static const char *const no_lsn[] = {"", "/", "1", "1/", "/1", "1/2/3", "123456789/0", "0/0x1",
                                         "0/123456789", " 0/1", "0/1 ", "-1/1"};
    REFUSED(ROWKEY_LSN, no_lsn);
    assert_true(refused_binary(ROWKEY_LSN, LSN, "\0\0\0\1", 4));
}

static void bits(void **state)
{
    static const char *const classes[][6] = {{""}, {"0"}, {"00"}, {"1"}, {"101"}, {"1010"},
                                             {"10100000"}, {"101000001"}};
    CLASSES(ROWKEY_BITS, classes);
    assert_int_equal(BINARY(ROWKEY_BITS, BIT, "\0\0\0\3\240"), text(ROWKEY_BITS, "101"));
    assert_int_equal(BINARY(ROWKEY_BITS, BIT, "\0\0\0\3\277"), // behind the last one
                     text(ROWKEY_BITS, "101"));
    assert_int_equal(BINARY(ROWKEY_BITS, VARBIT, "\0\0\0\11\240\200"),
                     text(ROWKEY_BITS, "101000001"));
    assert_int_equal(BINARY(ROWKEY_BITS, VARBIT, "\0\0\0\0"), text(ROWKEY_BITS, ""));
    static const char *const no[] = {"2", "b101", "B101", "xA", "B'101'", "1 1", " 1", "1_0"};
    REFUSED(ROWKEY_BITS, no);
    assert_true(refused_binary(ROWKEY_BITS, BIT, "\0\0\0\3", 4));
    assert_true(refused_binary(ROWKEY_BITS, BIT, "\0\0\0\3\240\0", 6));
    assert_true(refused_binary(ROWKEY_BITS, BIT, "\377\377\377\377\240", 5));
    assert_true(refused_binary(ROWKEY_BITS, BIT, "\0\0", 2));
}

static void intervals(void **state)
{
    static const char *const classes[][6] = {
        {"1 mon", "30 days", "720:00:00", "1 month", "4 weeks 2 days", "29 days 24 hours"},
        {"1 year", "12 mons", "360 days", "1 years", "11 mons 30 days", "1 year 00:00:00"},
        {"00:00:00", "0 days", "0 years -00:00:00", "1 mon -30 days", "-1 days +24:00:00",
         "0.0 secs"},
        {"1 year 2 mons 3 days 04:05:06.789", "1 years 2 months 3 days 4 hours 5 mins 6.789 secs",
         "423 days 4 hours 5 minutes 6.789 seconds", "14 mons 3 days 04:05:06.789000"},
        {"-1 years -2 mons +3 days -04:05:06.5", "-14 mons +2 days +19:54:53.500000",
         "-1 years -2 mons +3 days -4 hours -5 min -6.5 sec"},
        {"-1 days", "-24:00:00", "-24 hours", "-1 mon +29 days"},
        {"00:00:00.000001", "0.000001 secs", "+0.000001 sec", "1 day -23:59:59.999999"},
        {"100:00:00", "4 days 04:00:00"},
    };
    CLASSES(ROWKEY_INTERVAL, classes);
    assert_int_equal(BINARY(ROWKEY_INTERVAL, INTERVAL, "\0\0\0\0\0\17\102\100"
                                                       "\0\0\0\3\0\0\0\16"),
                     text(ROWKEY_INTERVAL, "1 year 2 mons 3 days 00:00:01"));
    assert_int_equal(BINARY(ROWKEY_INTERVAL, 0, "\377\377\377\377\377\377\377\377"
                                                "\0\0\0\0\0\0\0\0"),
                     text(ROWKEY_INTERVAL, "-00:00:00.000001"));
    assert_int_equal(BINARY(ROWKEY_INTERVAL, INTERVAL, "\0\0\0\0\0\0\0\0"
                                                       "\0\0\0\36\377\377\377\377"),
                     text(ROWKEY_INTERVAL, "00:00:00"));
    // The least of all, which release 17 calls infinite.
    assert_false(refused_binary(ROWKEY_INTERVAL, INTERVAL, "\200\0\0\0\0\0\0\0"
                                                           "\200\0\0\0\200\0\0\0", 16));
    // Of other styles, or of a meaning that hangs on the style or the precision.
    static const char *const no[] = {
        "", "1", "1 day 5", "P1Y2M", "1-2", "1-2 3 4:05:06", "@ 1 year", "1 day ago", "1.5 days",
        "1.5 hours", "-1 days 04:05:06", "-1 years 2 mons", "1 day 2 days", "1 hour 04:05:06",
        "04:05:06 1 hour", "04:05", "04:60:00", "4:5:6", "04:05:06.1234567", "1 day  04:05:06",
        " 1 day", "1 day ", "1 Day", "1 DAY", "1day", "1 d", "1 century", "1 decade", "1 quarter",
        "1000000 days", "1000000:00:00", "infinity", "+ 1 day", "1 days,", ".5 secs", "1. secs",
        "1e3 days", "04:05:06 PM"};
    REFUSED(ROWKEY_INTERVAL, no);
    assert_true(refused_binary(ROWKEY_INTERVAL, INTERVAL, "\0\0\0\0\0\0\0\0", 8));
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
        {NUMERIC, FLOAT8, false}, {BOOL, BOOL, true},    {FLOAT8, FLOAT8, true},
        {JSON, JSON, false},     {TIMESTAMP, TIMESTAMP, true}, {OID, OID, true},
        {OID, INT4, true},       {OID, INT8, true},      {OID, TEXT, false},
        {OID, NUMERIC, false},   {CHAR, CHAR, true},     {CHAR, TEXT, false},
        {TEXT, CHAR, false},     {NAME, NAME, true},     {NAME, VARCHAR, true},
        {NAME, BPCHAR, false},   {TEXT, NAME, false},    {ANYENUM, TEXT, false},
        {BYTEA, BYTEA, true},    {BYTEA, TEXT, false},   {MACADDR, MACADDR, true},
        {TIME, TIME, true},      {TIME, INTERVAL, false}, {TIME, TIMESTAMP, false},
        {TIMESTAMP, DATE, false}, {TIMESTAMP, TIMESTAMPTZ, false}, {TIMESTAMPTZ, DATE, false},
        {TIMESTAMPTZ, TIMESTAMPTZ, true}, {TIMESTAMPTZ, TIMESTAMP, false},
        {INTERVAL, INTERVAL, true}, {INTERVAL, TIME, false}, {16400, 16400, false},
        {FLOAT8, INT8, true},    {FLOAT8, NUMERIC, true}, {FLOAT8, FLOAT4, false},
        {FLOAT4, FLOAT4, false}, {FLOAT4, FLOAT8, false}, {FLOAT8, OID, false},
        {NUMERIC, FLOAT4, false}, {INT4, FLOAT4, false}, {INET, INET, true}, {INET, CIDR, true},
        {CIDR, INET, true},      {CIDR, TEXT, false},    {MACADDR8, MACADDR8, true},
        {MACADDR8, MACADDR, false}, {MACADDR, MACADDR8, false}, {BIT, VARBIT, true},
        {VARBIT, BIT, true},     {BIT, INT4, false},     {LSN, LSN, true}, {LSN, INT8, false},
        {XID8, XID8, false},     {TIMETZ, TIMETZ, false}, {TIME, TIMETZ, false},
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
        cmocka_unit_test(oids),     cmocka_unit_test(names_and_labels),
        cmocka_unit_test(bytes),    cmocka_unit_test(macaddrs), cmocka_unit_test(times_of_day),
        cmocka_unit_test(timestamps), cmocka_unit_test(timestamps_with_an_offset),
        cmocka_unit_test(doubles),  cmocka_unit_test(addresses), cmocka_unit_test(networks),
        cmocka_unit_test(macaddrs_of_eight), cmocka_unit_test(positions),
        cmocka_unit_test(bits),
        cmocka_unit_test(intervals), cmocka_unit_test(types_meet_their_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
