// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct got {
    char text[2000]; // "name=value;" for each
    int left;        // how many are taken before it says stop
};

static bool take(void *arg, const char *name, const char *value)
{
    struct got *got = arg;
    size_t n = strlen(got->text);
    snprintf(got->text + n, sizeof(got->text) - n, "%s=%s;", name, value);
    return --got->left != 0;
}

static char why[200];

static void reads(const char *options, const char *expected)
{
    struct got got = {.text = "", .left = -1};
    assert_int_equal(options_each(options, take, &got, why, sizeof(why)), OPTIONS_OK);
    assert_string_equal(got.text, expected);
}

static void fails(const char *options, enum options_result result, const char *sentence)
{
    struct got got = {.text = "", .left = -1};
    assert_int_equal(options_each(options, take, &got, why, sizeof(why)), result);
    assert_string_equal(why, sentence);
}

static void test_both_forms(void **state)
{
    reads("", "");
    reads("   ", "");
    reads("-c a=1", "a=1;");
    reads("-ca=1", "a=1;");
    reads("-c   a=1  ", "a=1;");
    reads("--a=1", "a=1;");
    reads("-c a=1 --b=2\t-cc=3\n--d=4", "a=1;b=2;c=3;d=4;");
    reads("-c a=", "a=;");
    reads("-c a=b=c", "a=b=c;");
    reads("-c app.x=1", "app.x=1;");
}

static void test_dashes_in_names(void **state)
{
    reads("--statement-timeout=5-6 -c work-mem=1", "statement_timeout=5-6;work_mem=1;");
}

static void test_backslashes(void **state)
{
    reads("-c a=x\\ y", "a=x y;");
    reads("-c a=\\\\", "a=\\;");
    reads("-c a=\\-c\\ b=2 -c c=3", "a=-c b=2;c=3;");
    reads("-c a=x\\", "a=x;");
    reads("-c\\ a=1", " a=1;"); // a word of its own, with a space in it
    reads("-c a=\xc3\xa9\\\xc3\xa9", "a=\xc3\xa9\xc3\xa9;");
}

static void test_long(void **state)
{
    char text[1200] = "-c a=", expected[1200] = "a=";
    memset(text + 5, 'x', 1000);
    memset(expected + 2, 'x', 1000);
    strcat(expected, ";");
    reads(text, expected);
}

#define ONLY                                                                                       \
    "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"

static void test_failures(void **state)
{
    fails("-c", OPTIONS_UNKNOWN, ONLY);
    fails("-c a", OPTIONS_NO_VALUE, "-c a requires a value");
    fails("--a", OPTIONS_NO_VALUE, "--a requires a value");
    fails("--", OPTIONS_UNKNOWN, ONLY);
    fails("-B 100", OPTIONS_UNKNOWN, ONLY);
    fails("a=1", OPTIONS_UNKNOWN, ONLY);
    fails("-c a=1 b=2", OPTIONS_UNKNOWN, ONLY);
    fails("\\", OPTIONS_UNKNOWN, ONLY);
}

static void test_stops(void **state)
{
    struct got got = {.text = "", .left = 2};
    assert_int_equal(options_each("-c a=1 -c b=2 -c c=3", take, &got, why, sizeof(why)),
                     OPTIONS_STOPPED);
    assert_string_equal(got.text, "a=1;b=2;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms), cmocka_unit_test(test_dashes_in_names),
        cmocka_unit_test(test_backslashes), cmocka_unit_test(test_long),
        cmocka_unit_test(test_failures),   cmocka_unit_test(test_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
