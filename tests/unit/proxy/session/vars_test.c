// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/vars.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/dice.h"

static struct vars_registry *registry;

static bool vars_same_results(const struct vars *a, const struct vars *b)
{
    return memcmp(a->result_key, b->result_key, sizeof(a->result_key)) == 0;
}

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
    struct vars *a = vars_none(registry), *b = vars_none(registry);
    vars_set(&a, VAR_TIME_ZONE, "UTC");
    vars_set(&a, VAR_TIME_ZONE, a->value[VAR_TIME_ZONE]); // itself
    assert_string_equal(a->value[VAR_TIME_ZONE], "UTC");
    vars_set(&a, VAR_TIME_ZONE, "Europe/Paris");
    vars_set(&b, VAR_TIME_ZONE, "Asia/Tokyo");
    vars_set(&b, VAR_APPLICATION_NAME, "");
    vars_default(&a, b);
    assert_string_equal(a->value[VAR_TIME_ZONE], "Europe/Paris");
    assert_string_equal(a->value[VAR_APPLICATION_NAME], "");
    assert_null(a->value[VAR_DATE_STYLE]);
    vars_unref(&a);
    vars_unref(&b);
    assert_null(a);
}

// Equal ones are one, however they came about.
static void test_equal_ones_are_one(void **state)
{
    struct vars *a = vars_none(registry), *b = vars_none(registry);
    assert_ptr_equal(a, b);
    vars_set(&a, VAR_TIME_ZONE, "UTC");
    vars_set(&a, VAR_APPLICATION_NAME, "app");
    vars_set(&b, VAR_APPLICATION_NAME, "app");
    assert_ptr_not_equal(a, b);
    assert_int_not_equal(a->hash, b->hash);
    vars_set(&b, VAR_TIME_ZONE, "UTC");
    assert_ptr_equal(a, b);
    uint64_t hash = a->hash;
    vars_set(&b, VAR_APPLICATION_NAME, "another");
    assert_ptr_not_equal(a, b);
    assert_int_equal(b->hash, hash); // it changes no result
    assert_true(vars_same_results(a, b));
    assert_string_equal(a->value[VAR_APPLICATION_NAME], "app");
    vars_set(&b, VAR_APPLICATION_NAME, NULL);
    vars_set(&b, VAR_TIME_ZONE, NULL);
    vars_unref(&a);
    a = vars_none(registry);
    assert_ptr_equal(a, b);
    vars_unref(&a);
    vars_unref(&b);
    vars_registry_free(registry); // none is left
    registry = vars_registry_new();
}

// Each setting that a result may depend on is in the key, and not set is not empty.
static void test_result_key(void **state)
{
    static const enum followed_var in_key[] = {VAR_CLIENT_ENCODING, VAR_DATE_STYLE, VAR_TIME_ZONE,
                                               VAR_INTERVAL_STYLE};
    for (size_t i = 0; i < sizeof(in_key) / sizeof(*in_key); i++) {
        struct vars *none = vars_none(registry), *empty = vars_none(registry);
        struct vars *set = vars_none(registry);
        vars_set(&empty, in_key[i], "");
        vars_set(&set, in_key[i], "x");
        assert_false(vars_same_results(none, empty));
        assert_false(vars_same_results(empty, set));
        assert_int_not_equal(none->hash, set->hash);
        vars_unref(&none);
        vars_unref(&empty);
        vars_unref(&set);
    }
}

static bool plain_as(const char *encoding, const char *standard, const char *text)
{
    struct vars *v = vars_none(registry);
    vars_set(&v, VAR_CLIENT_ENCODING, encoding);
    vars_set(&v, VAR_STANDARD_CONFORMING_STRINGS, standard);
    bool plain = vars_text_is_plain(v, slice_str(text));
    vars_unref(&v);
    return plain;
}

static void test_text_is_plain(void **state)
{
    assert_true(plain_as("UTF8", "on", "a\\'\xc3\xa9"));
    assert_true(plain_as("LATIN1", "on", "\xe9"));
    assert_false(plain_as("SJIS", "on", "\x95\x5c"));
    assert_false(plain_as("big5", "on", "\x95\x5c"));
    assert_false(plain_as(NULL, "on", "\xe9"));
    assert_true(plain_as(NULL, "on", "a"));
    assert_false(plain_as("UTF8", "off", "a\\'"));
    assert_false(plain_as("UTF8", NULL, "a\\'"));
    assert_true(plain_as("UTF8", "off", "a'"));
}

static void test_equal(void **state)
{
    struct vars *wanted = vars_none(registry), *actual = vars_none(registry);
    assert_true(vars_equal(wanted, actual));
    vars_set(&actual, VAR_DATE_STYLE, "ISO, MDY");
    assert_true(vars_equal(wanted, actual)); // not wanted: whatever it is
    vars_set(&wanted, VAR_DATE_STYLE, "iso, mdy");
    assert_false(vars_equal(wanted, actual)); // a spelling that the server did not report
    vars_set(&wanted, VAR_DATE_STYLE, "ISO, MDY");
    assert_true(vars_equal(wanted, actual));
    vars_set(&wanted, VAR_TIME_ZONE, "UTC");
    assert_false(vars_equal(wanted, actual)); // the server's is not known
    vars_unref(&wanted);
    vars_unref(&actual);
}

static void difference(const char *wanted, const char *actual, const char *expected)
{
    struct vars *w = vars_none(registry), *a = vars_none(registry);
    struct buf sql = {0};
    if (wanted)
        vars_set(&w, VAR_APPLICATION_NAME, wanted);
    if (actual)
        vars_set(&a, VAR_APPLICATION_NAME, actual);
    vars_difference(w, a, &sql);
    assert_true(slice_is(buf_slice(&sql), expected));
    buf_fini(&sql);
    vars_unref(&w);
    vars_unref(&a);
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
    struct vars *w = vars_none(registry), *a = vars_none(registry);
    struct buf sql = {0};
    vars_set(&w, VAR_APPLICATION_NAME, "app");
    vars_set(&w, VAR_CLIENT_ENCODING, "UTF8");
    vars_set(&w, VAR_TIME_ZONE, "UTC");
    vars_set(&a, VAR_CLIENT_ENCODING, "LATIN1");
    vars_set(&a, VAR_TIME_ZONE, "UTC");
    vars_difference(w, a, &sql);
    assert_true(slice_is(buf_slice(&sql),
                         "SET client_encoding=E'UTF8';SET application_name=E'app';"));
    buf_fini(&sql);
    vars_unref(&w);
    vars_unref(&a);
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
        struct vars *w = vars_none(registry), *a = vars_none(registry);
        struct buf sql = {0};
        vars_set(&w, VAR_TIME_ZONE, value);
        vars_difference(w, a, &sql);
        buf_u8(&sql, 0);
        assert_memory_equal(sql.at, "SET TimeZone=E'", 15);
        assert_string_equal(literal_end((const char *)sql.at + 15, read), ";");
        assert_string_equal(read, value);
        buf_fini(&sql);
        vars_unref(&w);
        vars_unref(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_set_and_default),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_equal_ones_are_one),
        cmocka_unit_test(test_result_key),
        cmocka_unit_test(test_text_is_plain),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_difference_of_many),
        cmocka_unit_test(test_no_value_leaves_its_quotes),
    };
    registry = vars_registry_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vars_registry_free(registry); // every count was given back
    return failed;
}
