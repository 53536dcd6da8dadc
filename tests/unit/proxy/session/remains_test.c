// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/remains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void check_names(const char *bytes, const char *want)
{
    struct mentioned m = {.count = 0};
    mentioned_note(&m, slice_str(bytes));
    struct buf got = {0};
    struct slice rest = buf_slice(&m.names);
    while (rest.len > 0) {
        size_t n = strlen((const char *)rest.at);
        buf_bytes(&got, rest.at, n);
        buf_u8(&got, ' ');
        rest = slice_skip(rest, n + 1);
    }
    buf_u8(&got, 0);
    assert_string_equal((const char *)got.at, want);
    buf_fini(&got);
    mentioned_fini(&m);
}

static void test_names(void **state)
{
    check_names("", "");
    check_names("SET work_mem = 1.5", "");
    check_names("SET app.tenant = 'a'", "app.tenant ");
    check_names("select set_config('my.var','x.y',false), set_config('my.var', z, true)",
                "my.var x.y ");
    check_names("a.b.c d. .e f..g 1a.b $1.x _x.y$2", "a.b.c _x.y$2 ");
    check_names("\xc3\xa9.b", "\xc3\xa9.b ");
    check_names("a.", "");
}

static void test_too_many(void **state)
{
    struct mentioned m = {.count = 0};
    char name[200];
    for (int i = 0; i < 140; i++) {
        snprintf(name, sizeof(name), "a.b%d", i);
        mentioned_note(&m, slice_str(name));
    }
    assert_true(m.too_many);
    mentioned_fini(&m);
    assert_false(m.too_many);
    memset(name, 'x', sizeof(name));
    name[1] = '.';
    mentioned_note(&m, slice_of(name, sizeof(name)));
    assert_true(m.too_many && m.count == 0);
    mentioned_fini(&m);
}

static void row(struct remains *r, const char *name, const char *value)
{
    struct buf b = {0};
    buf_u16(&b, 2);
    buf_u32(&b, (uint32_t)strlen(name));
    buf_bytes(&b, name, strlen(name));
    buf_u32(&b, value ? (uint32_t)strlen(value) : UINT32_MAX);
    buf_bytes(&b, value, value ? strlen(value) : 0);
    remains_row(r, buf_slice(&b));
    buf_fini(&b);
}

static void timeout(struct remains *r, const char *value)
{
    struct buf b = {0};
    buf_u16(&b, 1);
    buf_u32(&b, (uint32_t)strlen(value));
    buf_bytes(&b, value, strlen(value));
    remains_row(r, buf_slice(&b));
    buf_fini(&b);
}

static void test_rows(void **state)
{
    struct remains r = {.kinds = 0};
    timeout(&r, "1s");
    row(&r, "*default", "0");
    row(&r, "app.x", NULL);
    row(&r, "*temp", "");
    row(&r, "*advisory", "");
    row(&r, "*who knows", "");
    assert_false(r.odd);
    assert_int_equal(r.kinds, REMAINS_TEMP | REMAINS_ADVISORY);
    struct gucs *g = gucs_new(&r.settings);
    assert_int_equal(g->count, 2);
    assert_string_equal(gucs_find(g, "statement_timeout"), "1s");
    assert_string_equal(gucs_find(g, "app.x"), "");
    gucs_unref(&g);
    remains_fini(&r);
    timeout(&r, "30s");
    row(&r, "*default", "30s"); // it is the role's own
    assert_null(gucs_new(&r.settings));
    remains_fini(&r);
    remains_row(&r, slice_of("\0\1", 2));
    assert_true(r.odd);
    remains_fini(&r);
    remains_row(&r, slice_of("\0\2\0\0\0\1", 6));
    assert_true(r.odd);
    remains_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
