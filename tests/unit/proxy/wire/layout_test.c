// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

struct column {
    const char *name;
    uint32_t table;
    uint16_t number;
    uint32_t type;
    uint16_t size;
    uint32_t modifier;
    uint16_t format;
};

static const struct column plain[] = {{"k", 16384, 1, 23, 4, UINT32_MAX, 0},
                                      {"v", 16384, 2, 1043, UINT16_MAX, 14, 0}};

static uint64_t rows_of(const struct column *c, uint16_t n)
{
    struct buf out = {0};
    size_t mark = buf_message_begin(&out, 'T');
    buf_u16(&out, n);
    for (uint16_t i = 0; i < n; i++, c++) {
        buf_cstr(&out, c->name);
        buf_u32(&out, c->table);
        buf_u16(&out, c->number);
        buf_u32(&out, c->type);
        buf_u16(&out, c->size);
        buf_u32(&out, c->modifier);
        buf_u16(&out, c->format);
    }
    buf_message_end(&out, mark);
    uint64_t rows = layout_rows(buf_slice(&out));
    buf_fini(&out);
    assert_true(rows != 0);
    return rows;
}

static uint64_t changed(void (*change)(struct column *c))
{
    struct column c[2];
    memcpy(c, plain, sizeof(c));
    change(&c[1]);
    return rows_of(c, 2);
}

static void another_origin(struct column *c)
{
    c->table = 5, c->number = 7;
}

static void another_format(struct column *c)
{
    c->format = 1;
}

static void another_name(struct column *c)
{
    c->name = "w";
}

static void another_type(struct column *c)
{
    c->type = 25;
}

static void another_modifier(struct column *c)
{
    c->modifier = 15;
}

// What PostgreSQL compares (plancache.c: RevalidateCachedQuery), but for the modifier.
static void test_rows(void **state)
{
    const uint64_t rows = rows_of(plain, 2);
    assert_true(rows == rows_of(plain, 2));
    assert_true(rows == changed(another_origin));
    assert_true(rows == changed(another_format));
    assert_true(rows != changed(another_name));
    assert_true(rows != changed(another_type));
    assert_true(rows == changed(another_modifier));
    const struct column other_order[] = {plain[1], plain[0]};
    assert_true(rows != rows_of(other_order, 2));
    assert_true(rows != rows_of(plain, 1));
    assert_true(rows_of(plain, 1) != rows_of(plain, 0));
    const uint8_t nothing[] = {'n', 0, 0, 0, 4};
    uint64_t none = layout_rows(slice_of(nothing, sizeof(nothing)));
    assert_true(none != 0 && none != rows_of(plain, 0));
}

// Two names that come to the same bytes, cut elsewhere.
static void test_names_end(void **state)
{
    const struct column one[] = {{"ab", 0, 0, 23, 4, 0, 0}, {"c", 0, 0, 23, 4, 0, 0}};
    const struct column other[] = {{"a", 0, 0, 23, 4, 0, 0}, {"bc", 0, 0, 23, 4, 0, 0}};
    assert_true(rows_of(one, 2) != rows_of(other, 2));
}

static void test_types(void **state)
{
    const uint8_t one[] = {'t', 0, 0, 0, 10, 0, 1, 0, 0, 0, 20};
    const uint8_t other[] = {'t', 0, 0, 0, 11, 0, 1, 0, 0, 2, 189};
    const uint8_t none[] = {'t', 0, 0, 0, 6, 0, 0};
    uint64_t types = layout_types(slice_of(one, sizeof(one)));
    assert_true(types == layout_types(slice_of(one, sizeof(one))));
    assert_true(types != 0 && types != layout_types(slice_of(other, sizeof(other))));
    assert_true(types != layout_types(slice_of(none, sizeof(none))));
}

// Cut anywhere: never read beyond its end, and never like the whole.
static void test_malformed(void **state)
{
    const uint8_t whole[] = {'T', 0, 0, 0, 26, 0, 1, 'k', 0, 0, 0, 0, 0, 0, 0,
                             0,   0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0};
    uint64_t rows = layout_rows(slice_of(whole, sizeof(whole)));
    for (size_t n = 5; n < sizeof(whole); n++) {
        uint8_t *cut = malloc(n);
        memcpy(cut, whole, n);
        uint64_t its = layout_rows(slice_of(cut, n));
        free(cut);
        assert_true(its != 0 && its != rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_names_end),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
