// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/proxy/session/unit_parts.h"

static enum unit_result read_buf(const struct buf *b, struct unit *unit)
{
    return unit_read(buf_slice(b), unit);
}

static void expect(struct buf *b, enum unit_result expected)
{
    struct unit unit;
    assert_int_equal(read_buf(b, &unit), expected);
    buf_fini(b);
}

static void test_simple(void **state)
{
    struct buf b = {0};
    struct unit unit;
    unit_query(&b, "select 1");
    size_t n = b.len;
    unit_query(&b, "what follows is another one");
    assert_int_equal(read_buf(&b, &unit), UNIT_OK);
    assert_int_equal(unit.bytes, n);
    assert_true(unit.simple && unit.executes);
    assert_false(unit.has_parse || unit.has_describe || unit.has_max_rows);
    assert_true(slice_is(unit.text, "select 1"));
    buf_fini(&b);
}

static void test_extended(void **state)
{
    for (int shape = 1; shape < UNIT_SHAPES; shape++) {
        struct buf b = {0};
        struct unit unit;
        unit_shape(&b, shape);
        size_t n = b.len;
        buf_u8(&b, 'S'); // the next one begins
        assert_int_equal(read_buf(&b, &unit), UNIT_OK);
        assert_int_equal(unit.bytes, n);
        assert_false(unit.simple);
        assert_true(unit.executes);
        assert_int_equal(unit.has_parse, shape <= 2);
        assert_int_equal(unit.has_describe, shape == 1 || shape == 3);
        assert_false(unit.has_max_rows);
        assert_true(slice_is(unit.name, "s"));
        static const char bind[] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 1, '5', 0, 0};
        assert_true(slice_eq(unit.bind, slice_of(bind, sizeof(bind))));
        if (unit.has_parse) {
            assert_true(slice_is(unit.text, "select a from t where b = $1"));
            assert_ptr_equal(unit.tail.at, unit.text.at);
            assert_int_equal(unit.tail.len, unit.text.len + 1 + 2 + 4);
        }
        buf_fini(&b);
    }
}

static void test_portions(void **state)
{
    struct buf b = {0};
    struct unit unit;
    unit_bind(&b, "", "", "5", 1);
    unit_execute(&b, "", 10);
    unit_sync(&b);
    assert_int_equal(read_buf(&b, &unit), UNIT_OK);
    assert_true(unit.has_max_rows);
    buf_fini(&b);
}

// Cut anywhere: more is needed, and nothing behind the cut is looked at.
static void test_every_truncation(void **state)
{
    for (int shape = 0; shape < UNIT_SHAPES; shape++) {
        struct buf b = {0};
        unit_shape(&b, shape);
        for (size_t n = 0; n < b.len; n++) {
            uint8_t *copy = malloc(n ? n : 1);
            memcpy(copy, b.at, n);
            struct unit unit;
            assert_int_equal(unit_read(slice_of(copy, n), &unit), UNIT_MORE);
            free(copy);
        }
        buf_fini(&b);
    }
}

static void check_inside(struct slice part, const uint8_t *at, size_t n)
{
    if (part.at == NULL) {
        assert_int_equal(part.len, 0);
        return;
    }
    if (part.len == 0)
        return;
    assert_true(part.at >= at && part.len <= n && (size_t)(part.at - at) <= n - part.len);
}

// Each byte changed to each value: a result, and slices within the unit when it is one.
static void test_every_mutation(void **state)
{
    for (int shape = 0; shape < UNIT_SHAPES; shape++) {
        struct buf b = {0};
        unit_shape(&b, shape);
        uint8_t *copy = malloc(b.len);
        for (size_t i = 0; i < b.len; i++) {
            for (int value = 0; value < 256; value++) {
                memcpy(copy, b.at, b.len);
                copy[i] = (uint8_t)value;
                struct unit unit;
                enum unit_result result = unit_read(slice_of(copy, b.len), &unit);
                unit_has_datetime_word(unit.bind);
                if (result != UNIT_OK)
                    continue;
                assert_in_range(unit.bytes, 5, b.len);
                assert_true(unit.executes);
                check_inside(unit.text, copy, unit.bytes);
                check_inside(unit.name, copy, unit.bytes);
                check_inside(unit.tail, copy, unit.bytes);
                check_inside(unit.bind, copy, unit.bytes);
            }
        }
        free(copy);
        buf_fini(&b);
    }
}

static void test_other_sequences(void **state)
{
    struct buf b = {0};
    unit_sync(&b);
    expect(&b, UNIT_OTHER);
    unit_execute(&b, "", 0);
    expect(&b, UNIT_OTHER);
    unit_describe(&b, 'P', "");
    expect(&b, UNIT_OTHER);
    unit_parse(&b, "", "select 1", 0);
    unit_sync(&b); // prepared, not run
    expect(&b, UNIT_OTHER);
    unit_parse(&b, "", "select 1", 0);
    unit_query(&b, "select 1");
    expect(&b, UNIT_OTHER);
    unit_parse(&b, "", "select 1", 0);
    unit_parse(&b, "", "select 1", 0);
    expect(&b, UNIT_OTHER);
    unit_parse(&b, "a", "select 1", 0);
    unit_bind(&b, "", "b", "5", 0); // another one than was parsed
    expect(&b, UNIT_OTHER);
    unit_bind(&b, "p", "a", "5", 0); // a named portal
    expect(&b, UNIT_OTHER);
    unit_bind(&b, "", "a", "5", 0);
    unit_describe(&b, 'S', "a"); // of the statement
    expect(&b, UNIT_OTHER);
    unit_bind(&b, "", "a", "5", 0);
    unit_describe(&b, 'P', "p");
    expect(&b, UNIT_OTHER);
    unit_bind(&b, "", "a", "5", 0);
    unit_execute(&b, "p", 0);
    expect(&b, UNIT_OTHER);
    unit_bind(&b, "", "a", "5", 0);
    unit_sync(&b); // bound, not run
    expect(&b, UNIT_OTHER);
    buf_message_end(&b, buf_message_begin(&b, 'X'));
    expect(&b, UNIT_OTHER);
}

// Two executes belong to two results; what came before tells that something runs.
static void test_two_executes(void **state)
{
    struct buf b = {0};
    struct unit unit;
    unit_bind(&b, "", "a", "5", 0);
    unit_execute(&b, "", 0);
    unit_execute(&b, "", 0);
    assert_int_equal(read_buf(&b, &unit), UNIT_OTHER);
    assert_true(unit.executes);
    buf_fini(&b);
}

static void test_malformed_bodies(void **state)
{
    struct buf b = {0};
    size_t mark = buf_message_begin(&b, 'Q');
    buf_bytes(&b, "select 1", 8); // no NUL
    buf_message_end(&b, mark);
    expect(&b, UNIT_OTHER);
    mark = buf_message_begin(&b, 'Q');
    buf_bytes(&b, "select\0 1", 10); // and something behind it
    buf_message_end(&b, mark);
    expect(&b, UNIT_OTHER);
    mark = buf_message_begin(&b, 'P');
    buf_bytes(&b, "\0select 1\0\0\2\0\0\0\27", 16); // two types, one there
    buf_message_end(&b, mark);
    expect(&b, UNIT_OTHER);
    buf_bytes(&b, "Q\0\0\0\3", 5); // a length that cannot be
    expect(&b, UNIT_OTHER);
    buf_bytes(&b, "Q\xff\xff\xff\xff", 5);
    expect(&b, UNIT_OTHER);
    unit_bind(&b, "", "a", "5", 0);
    unit_execute(&b, "", 0);
    mark = buf_message_begin(&b, 'S');
    buf_u8(&b, 0);
    buf_message_end(&b, mark);
    expect(&b, UNIT_OTHER);
}

// The limit counts all its messages, and a longer one is known by its header alone.
static void test_size_limit(void **state)
{
    struct buf b = {0};
    struct unit unit;
    size_t mark = buf_message_begin(&b, 'Q');
    memset(buf_room(&b, UNIT_MAX_BYTES), ' ', UNIT_MAX_BYTES);
    b.len = UNIT_MAX_BYTES - 1;
    buf_u8(&b, 0);
    buf_message_end(&b, mark);
    assert_int_equal(b.len, UNIT_MAX_BYTES);
    assert_int_equal(read_buf(&b, &unit), UNIT_OK);
    assert_int_equal(unit_read(slice_of(b.at, 5), &unit), UNIT_MORE);
    store_u32(b.at + 1, UNIT_MAX_BYTES);
    assert_int_equal(unit_read(slice_of(b.at, 5), &unit), UNIT_OTHER);
    buf_clear(&b);
    unit_parse(&b, "", "select 1", 0);
    size_t n = b.len;
    buf_u8(&b, 'B');
    buf_u32(&b, (uint32_t)(UNIT_MAX_BYTES - n));
    assert_int_equal(read_buf(&b, &unit), UNIT_OTHER);
    store_u32(b.at + n + 1, (uint32_t)(UNIT_MAX_BYTES - n - 1));
    assert_int_equal(read_buf(&b, &unit), UNIT_MORE);
    buf_fini(&b);
}

// ---- words of time in values ----

static bool has_word(uint16_t format, const char *value)
{
    struct buf b = {0};
    unit_bind(&b, "", "", value, format);
    bool has = unit_has_datetime_word(slice_of(b.at + 7, b.len - 7));
    buf_fini(&b);
    return has;
}

static void test_datetime_words(void **state)
{
    assert_true(has_word(0, "now"));
    assert_true(has_word(0, "NOW"));
    assert_true(has_word(0, " Today "));
    assert_true(has_word(0, "tomorrow 12:00"));
    assert_true(has_word(0, "[yesterday,infinity)"));
    assert_true(has_word(0, "{now}"));
    assert_false(has_word(0, "no"));
    assert_false(has_word(0, "2026-01-01"));
    assert_false(has_word(0, ""));
    assert_false(has_word(0, "infinity"));
    assert_true(has_word(1, "now")); // a text may be cast
    assert_false(has_word(1, "Snow"));
}

static void put_values(struct buf *b, const uint16_t *formats, int nf, const char *const *values,
                       int nv)
{
    buf_clear(b);
    buf_u16(b, (uint16_t)nf);
    for (int i = 0; i < nf; i++)
        buf_u16(b, formats[i]);
    buf_u16(b, (uint16_t)nv);
    for (int i = 0; i < nv; i++) {
        buf_u32(b, values[i] ? (uint32_t)strlen(values[i]) : UINT32_MAX);
        buf_bytes(b, values[i], values[i] ? strlen(values[i]) : 0);
    }
    buf_u16(b, 0);
}

static void test_datetime_formats(void **state)
{
    struct buf b = {0};
    const char *const values[] = {"5", NULL, "now"};
    static const struct {
        int n;
        uint16_t formats[3];
        bool has;
    } cases[] = {
        {0, {0}, true},        {1, {0}, true},           {1, {1}, true},
        {3, {0, 0, 0}, true},  {3, {1, 1, 0}, true},     {3, {0, 0, 1}, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        put_values(&b, cases[i].formats, cases[i].n, values, 3);
        assert_int_equal(unit_has_datetime_word(buf_slice(&b)), cases[i].has);
    }
    put_values(&b, NULL, 0, values, 0);
    assert_false(unit_has_datetime_word(buf_slice(&b)));
    put_values(&b, NULL, 0, values, 2); // NULL is no word
    assert_false(unit_has_datetime_word(buf_slice(&b)));
    buf_fini(&b);
}

// No text as long as this is read as a date, but one in an array may be at its end.
static void test_datetime_length(void **state)
{
    char value[400];
    memset(value, ',', sizeof(value));
    memcpy(value + 390, "now}", 5);
    assert_true(has_word(0, value));
}

static bool has_word_in_array(const char *element)
{
    struct buf b = {0};
    buf_u16(&b, 1);
    buf_u16(&b, 1); // all values are binary
    buf_u16(&b, 1);
    buf_u32(&b, (uint32_t)(20 + 4 + strlen(element)));
    static const uint32_t array[] = {1, 0, 25, 1, 1}; // dimensions, NULLs, type, elements, from
    for (size_t i = 0; i < sizeof(array) / sizeof(*array); i++)
        buf_u32(&b, array[i]);
    buf_u32(&b, (uint32_t)strlen(element));
    buf_bytes(&b, element, strlen(element));
    buf_u16(&b, 0);
    bool has = unit_has_datetime_word(buf_slice(&b));
    buf_fini(&b);
    return has;
}

// The length of an element may look like a letter: 65 to 90, and 97 to 122.
static void test_datetime_in_binary_arrays(void **state)
{
    char element[200];
    for (int len = 3; len < 200; len++) {
        snprintf(element, sizeof(element), "%-*s", len, "now");
        assert_true(has_word_in_array(element));
        memcpy(element, "know", 4);
        assert_false(len > 3 && has_word_in_array(element));
    }
}

static void test_datetime_malformed(void **state)
{
    struct buf b = {0};
    put_values(&b, (const uint16_t[]){0, 0}, 2, (const char *const[]){"5", "6"}, 2);
    size_t whole = b.len - 2; // the result formats are not looked at
    assert_false(unit_has_datetime_word(slice_of(b.at, whole)));
    for (size_t n = 0; n < whole; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, b.at, n);
        assert_true(unit_has_datetime_word(slice_of(copy, n)));
        free(copy);
    }
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),           cmocka_unit_test(test_extended),
        cmocka_unit_test(test_portions),         cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_mutation),   cmocka_unit_test(test_other_sequences),
        cmocka_unit_test(test_two_executes),     cmocka_unit_test(test_malformed_bodies),
        cmocka_unit_test(test_size_limit),       cmocka_unit_test(test_datetime_words),
        cmocka_unit_test(test_datetime_formats), cmocka_unit_test(test_datetime_in_binary_arrays),
        cmocka_unit_test(test_datetime_length),
        cmocka_unit_test(test_datetime_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
