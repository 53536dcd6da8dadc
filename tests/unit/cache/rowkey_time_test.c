// SPDX-License-Identifier: Apache-2.0
// Forms of dates, points in time and intervals.
#include "tests/unit/cache/rowkey_forms.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates), cmocka_unit_test(times_of_day), cmocka_unit_test(timestamps),
        cmocka_unit_test(timestamps_with_an_offset), cmocka_unit_test(intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
