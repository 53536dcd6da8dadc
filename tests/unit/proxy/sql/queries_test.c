// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/queries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static uint32_t see(struct queries *q, const char *database, const char *text)
{
    uint32_t number = queries_find(q, database, slice_str(text));
    assert_int_not_equal(number, 0);
    queries_figures(q, number)->calls++;
    return number;
}

struct all {
    int count;
    char last[QUERIES_TEXT_BYTES + 1];
    uint64_t calls;
};

static void collect(const char *database, const char *text, const struct query_figures *figures,
                    void *arg)
{
    struct all *all = arg;
    all->count++;
    all->calls += figures->calls;
    snprintf(all->last, sizeof(all->last), "%s", text);
}

static void constants_make_no_difference(void **state)
{
    struct queries *q = queries_new(10, 1);
    uint32_t one = see(q, "db", "SELECT * FROM t WHERE a = 1 AND b = 'secret'");
    assert_int_equal(see(q, "db", "SELECT * FROM t WHERE a = 77 AND b = 'x'"), one);
    struct all all = {0};
    queries_each(q, collect, &all);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.calls, 2);
    assert_null(strstr(all.last, "secret"));
    assert_non_null(strstr(all.last, "a = ? AND b = ?"));
    assert_int_not_equal(see(q, "other", "SELECT * FROM t WHERE a = 1 AND b = 'x'"), one);
    assert_int_not_equal(see(q, "db", "SELECT * FROM u WHERE a = 1 AND b = 'x'"), one);
    queries_free(q);
}

static void what_cannot_be_read_is_not_shown(void **state)
{
    struct queries *q = queries_new(10, 1);
    see(q, "db", "SELECT login(E'pass\\'word', $$secret$$)");
    struct all all = {0};
    queries_each(q, collect, &all);
    assert_string_equal(all.last, "SELECT login(E...");
    queries_free(q);
}

static void old_ones_make_room(void **state)
{
    struct queries *q = queries_new(4, 7);
    char text[64];
    uint32_t kept = see(q, "db", "SELECT kept");
    uint32_t first = see(q, "db", "SELECT a0");
    for (int i = 1; i < 100; i++) {
        snprintf(text, sizeof(text), "SELECT a%d_", i);
        see(q, "db", text);
        assert_int_equal(see(q, "db", "SELECT kept"), kept);
    }
    struct all all = {0};
    queries_each(q, collect, &all);
    assert_int_equal(all.count, 4);
    // What began before another query got its place counts nowhere.
    assert_null(queries_figures(q, first));
    assert_null(queries_figures(q, 0));
    assert_null(queries_figures(q, 5));
    assert_int_equal(queries_figures(q, kept)->calls, 100);
    queries_free(q);
    // Nor does what a table before it had numbered.
    q = queries_new(4, 8);
    see(q, "db", "SELECT kept");
    assert_null(queries_figures(q, kept));
    queries_free(q);
}

static void long_texts_are_cut(void **state)
{
    struct queries *q = queries_new(4, 7);
    char text[40000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "SELECT ", 7);
    text[sizeof(text) - 1] = '\0';
    see(q, "db", text);
    struct all all = {0};
    queries_each(q, collect, &all);
    assert_int_equal(strlen(all.last), QUERIES_TEXT_BYTES);
    queries_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_make_no_difference),
        cmocka_unit_test(what_cannot_be_read_is_not_shown),
        cmocka_unit_test(old_ones_make_room),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
