// SPDX-License-Identifier: Apache-2.0
// Forms of numeric, float8 and float4.
#include "tests/unit/cache/rowkey_forms.h"

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

static void floats(void **state)
{
    static const char *const classes[][6] = {
        {"1.5", "1.50", "+01.5", " 1.5e0", "15E-1", ".15e+1"},
        {"0", "-0", "0.000", "-.0", "0e9", "0."},
        {"-1.5", "-15e-1"},
        {"1000", "1e3", "1000.", "0.001e6"},
        {"0.1", "0.10", "1e-1", "0.10000000149011612", "0.100000001"}, // what is next to it
        {"16777216", "16777217", "1.6777216e+07", "1.67772e+07"}, // six digits count
        {"3.4028235e38", "3.40282347e+38"},
        {"100000000000000000000", "1e20", "1.e20"},
    };
    CLASSES(ROWKEY_FLOAT, classes);
    static const char *const more[][6] = {
        {"1.17549435e-38"}, {"1.25"}, {"1"}, {"1.00001"}, {"0.3"}, {"0.300001"}, {"123456"},
        {"123457"}};
    CLASSES(ROWKEY_FLOAT, more);
    assert_int_equal(BINARY(ROWKEY_FLOAT, FLOAT4, "\77\300\0\0"), text(ROWKEY_FLOAT, "1.5"));
    assert_int_equal(BINARY(ROWKEY_FLOAT, 0, "\277\300\0\0"), text(ROWKEY_FLOAT, "-1.5"));
    assert_int_equal(BINARY(ROWKEY_FLOAT, FLOAT4, "\200\0\0\0"), text(ROWKEY_FLOAT, "0"));
    assert_int_equal(BINARY(ROWKEY_FLOAT, FLOAT4, "\75\314\314\315"),
                     text(ROWKEY_FLOAT, "0.1"));
    // As which they are stored; equal are only those that are a float4.
    assert_int_equal(BINARY(ROWKEY_FLOAT, FLOAT8, "\77\370\0\0\0\0\0\0"),
                     text(ROWKEY_FLOAT, "1.5"));
    assert_int_equal(BINARY(ROWKEY_FLOAT, FLOAT8, "\77\271\231\231\240\0\0\0"),
                     text(ROWKEY_FLOAT, "0.1")); // (float8) 0.1::float4
    assert_int_equal(BINARY(ROWKEY_FLOAT, FLOAT8, "\77\271\231\231\231\231\231\232"),
                     text(ROWKEY_FLOAT, "0.1")); // 0.1::float8
    assert_int_equal(BINARY(ROWKEY_FLOAT, INT4, "\377\377\377\373"),
                     text(ROWKEY_FLOAT, "-5"));
    assert_int_equal(BINARY(ROWKEY_FLOAT, INT8, "\0\40\0\0\0\0\0\1"),
                     text(ROWKEY_FLOAT, "9007199254740993"));
    assert_int_equal(BINARY(ROWKEY_FLOAT, INT2, "\0\5"), text(ROWKEY_FLOAT, "5e0"));
    static const char *const no[] = {
        "", ".", "e5", "1e", "1e+", "1.5.2", "NaN", "nan", "inf", "Infinity", "-inf", "0x10",
        "0x1p3", "1_000", "1 5", "--1", "1e39", "3.5e38", "-1e400", "1e-46", "1e-40",
        "0.123456789012345678", "123456789012345678",
        "7038531e-32", "9007199791611905"}; // another float4 by way of a float8
    REFUSED(ROWKEY_FLOAT, no);
    assert_true(refused_binary(ROWKEY_FLOAT, FLOAT4, "\177\300\0\0", 4)); // NaN
    assert_true(refused_binary(ROWKEY_FLOAT, FLOAT4, "\177\200\0\0", 4));
    assert_true(refused_binary(ROWKEY_FLOAT, 0, "\77\370\0\0\0\0\0\0", 8));
    assert_true(refused_binary(ROWKEY_FLOAT, FLOAT8, "\77\300\0\0", 4));
    assert_true(refused_binary(ROWKEY_FLOAT, FLOAT8, "\107\360\0\0\0\0\0\0", 8)); // 2^128
    assert_true(refused_binary(ROWKEY_FLOAT, INT8, "\0\40\0\0\40\0\0\1", 8)); // 2^53+2^29+1
    assert_true(refused_binary(ROWKEY_FLOAT, NUMERIC, "\0\0\0\0", 4));
    for (int i = 0; i < 10000; i++) { // each decimal number of six digits comes back
        char wide[24], narrow[24];
        float value = (float)i * 1.2345e-3f + 1e-9f;
        snprintf(wide, sizeof(wide), "%.9g", (double)value);
        snprintf(narrow, sizeof(narrow), "%.6g", (double)value);
        assert_int_equal(text(ROWKEY_FLOAT, wide), text(ROWKEY_FLOAT, narrow));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numerics), cmocka_unit_test(doubles), cmocka_unit_test(floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
