// SPDX-License-Identifier: Apache-2.0
#include "cache/hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct hints read_one(const char *comment)
{
    struct hints hints = {0};
    hints_read(slice_str(comment), &hints);
    return hints;
}

static void only_ours(void **state)
{
    assert_false(read_one("nocache").any);
    assert_false(read_one("").any);
    assert_false(read_one("pgweir").any);
    assert_false(read_one("my pgweir: nocache").any);
    assert_false(read_one("pgweir : nocache").any);
    assert_true(read_one(" pgweir:").any);
    assert_true(read_one("\n\tPgWeir:nocache").nocache);
}

static void words(void **state)
{
    struct hints h = read_one(" pgweir: cache,explain\n nocache ");
    assert_true(h.cache && h.explain && h.nocache && !h.unknown && h.ttl_us == 0);
    h = read_one("pgweir: nocaches");
    assert_true(h.unknown && !h.nocache);
    h = read_one("pgweir: EXPLAIN x");
    assert_true(h.unknown && h.explain);
}

static void times(void **state)
{
    static const struct {
        const char *text;
        int64_t ttl_us; // 0: refused
    } cases[] = {{"ttl=5", 5000000},   {"ttl=5s", 5000000},
                 {"ttl=250ms", 250000}, {"TTL=1.5s", 1500000},
                 {"ttl=7us", 7},       {"ttl=2min", 120000000}, {"ttl=1h", 3600000000},
                 {"ttl=1d", 86400000000}, {"ttl=", 0},      {"ttl=s", 0},          {"ttl=-1", 0},
                 {"ttl=0", 0},         {"ttl=5 s", 5000000}, {"ttl=5x", 0},        {"ttl=1.2.3", 0},
                 {"ttl=.5s", 500000}, {"ttl=99999999999999999999d", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char comment[80];
        snprintf(comment, sizeof(comment), "pgweir: %s", cases[i].text);
        struct hints h = read_one(comment);
        if (h.ttl_us != cases[i].ttl_us || (cases[i].ttl_us == 0 && !h.unknown))
            fail_msg("%s: %lld", cases[i].text, (long long)h.ttl_us);
    }
    struct hints h = read_one("pgweir: ttl=5s ttl=2s ttl=9s");
    assert_int_equal(h.ttl_us, 2000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ours),
        cmocka_unit_test(words),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
