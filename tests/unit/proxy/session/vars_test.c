// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/vars.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/dice.h"

static void test_names(void **state)
{
    assert_int_equal(var_find("DateStyle"), VAR_DATE_STYLE);
    assert_int_equal(var_find("datestyle"), VAR_DATE_STYLE);
    assert_int_equal(var_find("TIMEZONE"), VAR_TIME_ZONE);
    assert_int_equal(var_find("Client_Encoding"), VAR_CLIENT_ENCODING);
    assert_int_equal(var_find(""), -1);
    assert_int_equal(var_find("timezone "), -1);
    assert_int_equal(var_find("search_path"), -1);
    for (int i = 0; i < VAR_COUNT; i++)
        assert_int_equal(var_find(var_name(i)), i);
    assert_string_equal(var_name(VAR_TIME_ZONE), "TimeZone"); // as it is reported
}

static void test_set_and_default(void **state)
{
    struct vars a = {0}, b = {0};
    vars_set(&a, VAR_TIME_ZONE, "UTC");
    vars_set(&a, VAR_TIME_ZONE, a.value[VAR_TIME_ZONE]); // itself
    assert_string_equal(a.value[VAR_TIME_ZONE], "UTC");
    vars_set(&a, VAR_TIME_ZONE, "Europe/Paris");
    vars_set(&b, VAR_TIME_ZONE, "Asia/Tokyo");
    vars_set(&b, VAR_APPLICATION_NAME, "");
    vars_default(&a, &b);
    assert_string_equal(a.value[VAR_TIME_ZONE], "Europe/Paris");
    assert_string_equal(a.value[VAR_APPLICATION_NAME], "");
    assert_ptr_not_equal(a.value[VAR_APPLICATION_NAME], b.value[VAR_APPLICATION_NAME]);
    assert_null(a.value[VAR_DATE_STYLE]);
    vars_fini(&a);
    vars_fini(&b);
    assert_null(a.value[VAR_TIME_ZONE]);
}

// What was found equal is known to be; what changes since is looked at again.
static void test_equal_is_remembered(void **state)
{
    struct vars client = {0}, server[2] = {0};
    vars_set(&client, VAR_TIME_ZONE, "UTC");
    vars_set(&server[0], VAR_TIME_ZONE, "UTC");
    vars_set(&server[1], VAR_TIME_ZONE, "UTC");
    assert_true(vars_equal(&client, &server[1]));
    assert_true(vars_equal(&client, &server[0]));
    assert_true(vars_equal(&client, &server[1]));
    assert_true(client.content == server[0].content && client.content == server[1].content);
    vars_set(&server[1], VAR_TIME_ZONE, "Asia/Tokyo");
    assert_false(vars_equal(&client, &server[1]));
    assert_true(vars_equal(&client, &server[0]));
    vars_set(&server[0], VAR_DATE_STYLE, "ISO, MDY"); // equal as far as the client wants
    assert_true(vars_equal(&client, &server[0]));
    assert_true(client.content != server[0].content);
    vars_set(&client, VAR_DATE_STYLE, "SQL, MDY");
    assert_false(vars_equal(&client, &server[0]));
    vars_fini(&client);
    vars_fini(&server[0]);
    vars_fini(&server[1]);
}

static void test_equal(void **state)
{
    struct vars wanted = {0}, actual = {0};
    assert_true(vars_equal(&wanted, &actual));
    vars_set(&actual, VAR_DATE_STYLE, "ISO, MDY");
    assert_true(vars_equal(&wanted, &actual)); // not wanted: whatever it is
    vars_set(&wanted, VAR_DATE_STYLE, "iso, mdy");
    assert_false(vars_equal(&wanted, &actual)); // a spelling that the server did not report
    vars_set(&wanted, VAR_DATE_STYLE, "ISO, MDY");
    assert_true(vars_equal(&wanted, &actual));
    vars_set(&wanted, VAR_TIME_ZONE, "UTC");
    assert_false(vars_equal(&wanted, &actual)); // the server's is not known
    vars_fini(&wanted);
    vars_fini(&actual);
}

static void difference(const char *wanted, const char *actual, const char *expected)
{
    struct vars w = {0}, a = {0};
    struct buf sql = {0};
    if (wanted)
        vars_set(&w, VAR_APPLICATION_NAME, wanted);
    if (actual)
        vars_set(&a, VAR_APPLICATION_NAME, actual);
    vars_difference(&w, &a, &sql);
    assert_true(slice_is(buf_slice(&sql), expected));
    buf_fini(&sql);
    vars_fini(&w);
    vars_fini(&a);
}

static void test_difference(void **state)
{
    difference(NULL, "x", "");
    difference("x", "x", "");
    difference("x", NULL, "SET application_name=E'x';");
    difference("", "x", "SET application_name=E'';");
    difference("it's", "x", "SET application_name=E'it''s';");
    difference("a\\b", "x", "SET application_name=E'a\\\\b';");
    difference("\\'; DROP TABLE t; --", "x",
               "SET application_name=E'\\\\''; DROP TABLE t; --';");
    difference("100%s", "x", "SET application_name=E'100%s';");
}

static void test_difference_of_many(void **state)
{
    struct vars w = {0}, a = {0};
    struct buf sql = {0};
    vars_set(&w, VAR_APPLICATION_NAME, "app");
    vars_set(&w, VAR_CLIENT_ENCODING, "UTF8");
    vars_set(&w, VAR_TIME_ZONE, "UTC");
    vars_set(&a, VAR_CLIENT_ENCODING, "LATIN1");
    vars_set(&a, VAR_TIME_ZONE, "UTC");
    vars_difference(&w, &a, &sql);
    assert_true(slice_is(buf_slice(&sql),
                         "SET client_encoding=E'UTF8';SET application_name=E'app';"));
    buf_fini(&sql);
    vars_fini(&w);
    vars_fini(&a);
}

// Reads an E'' literal as PostgreSQL does. Returns what is behind the closing quote.
static const char *literal_end(const char *p, char *value)
{
    for (; *p != '\0'; p++) {
        if (*p == '\\') {
            assert_int_not_equal(*++p, '\0');
        } else if (*p == '\'') {
            if (p[1] != '\'') {
                *value = '\0';
                return p + 1;
            }
            p++;
        }
        *value++ = *p;
    }
    fail_msg("the literal does not end");
    return p;
}

// Whatever the value, it is one literal and says the value.
static void test_no_value_leaves_its_quotes(void **state)
{
    static const char letters[] = "\\'\"a; -$/*\n\t%";
    struct dice dice = dice_of(11);
    for (int round = 0; round < 20000; round++) {
        char value[16] = "", read[64];
        size_t n = dice_below(&dice, sizeof(value));
        for (size_t i = 0; i < n; i++)
            value[i] = letters[dice_below(&dice, sizeof(letters) - 1)];
        struct vars w = {0}, a = {0};
        struct buf sql = {0};
        vars_set(&w, VAR_TIME_ZONE, value);
        vars_difference(&w, &a, &sql);
        buf_u8(&sql, 0);
        assert_memory_equal(sql.at, "SET TimeZone=E'", 15);
        assert_string_equal(literal_end((const char *)sql.at + 15, read), ";");
        assert_string_equal(read, value);
        buf_fini(&sql);
        vars_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_set_and_default),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_equal_is_remembered),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_difference_of_many),
        cmocka_unit_test(test_no_value_leaves_its_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
