// SPDX-License-Identifier: Apache-2.0
// Forms of networks and interfaces.
#include "tests/unit/cache/rowkey_forms.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macaddrs), cmocka_unit_test(addresses), cmocka_unit_test(networks),
        cmocka_unit_test(macaddrs_of_eight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
