// SPDX-License-Identifier: Apache-2.0
// Classes of values that are one for PostgreSQL's equality, in text and binary, and values that are
// none of them; which types meet. Numbers with a fraction, addresses, points in time and intervals
// have tests of their own.
#include "tests/unit/cache/rowkey_forms.h"

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
        {FLOAT4, FLOAT4, true}, {FLOAT4, FLOAT8, true}, {FLOAT4, INT8, true},
        {FLOAT4, NUMERIC, true}, {FLOAT4, TEXT, false}, {FLOAT4, OID, false}, {FLOAT8, OID, false},
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
        cmocka_unit_test(integers), cmocka_unit_test(texts), cmocka_unit_test(uuids),
        cmocka_unit_test(booleans), cmocka_unit_test(oids), cmocka_unit_test(names_and_labels),
        cmocka_unit_test(bytes), cmocka_unit_test(positions), cmocka_unit_test(bits),
        cmocka_unit_test(types_meet_their_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
