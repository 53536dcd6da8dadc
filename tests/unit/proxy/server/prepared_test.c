// SPDX-License-Identifier: Apache-2.0
// Which statements a server has, and which of them leaves first.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/server/server.h"
#include "proxy/session/statement.h"
#include "proxy/sql/texts.h"
#include "tests/unit/dice.h"

enum { COUNT = 12 };

struct desk {
    struct texts *texts;
    struct texts_front *front;
    struct statement_registry *registry;
    struct statement *s[COUNT];
    struct prepared prepared;
};

static int open_desk(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    desk->texts = texts_new(100, 1 << 20);
    desk->front = texts_front_new(desk->texts);
    desk->registry = statement_registry_new();
    for (int i = 0; i < COUNT; i++) {
        char tail[32] = {0};
        size_t n = (size_t)snprintf(tail, sizeof(tail), "select %d", i) + 1;
        desk->s[i] = statement_get(desk->registry, desk->front, 0, slice_of(tail, n + 2), n);
    }
    list_init(&desk->prepared.used);
    *state = desk;
    return 0;
}

static int close_desk(void **state)
{
    struct desk *desk = *state;
    prepared_clear(&desk->prepared);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(desk->s[i]->refs, 1);
        statement_unref(&desk->s[i]);
    }
    statement_registry_free(desk->registry);
    texts_front_free(desk->front);
    texts_free(desk->texts);
    free(desk);
    return 0;
}

static void test_least_recently_used_leaves(void **state)
{
    struct desk *desk = *state;
    struct prepared *p = &desk->prepared;
    assert_null(prepared_oldest(p));
    assert_false(prepared_has(p, desk->s[0]));
    for (int i = 0; i < 4; i++)
        prepared_add(p, desk->s[i], false);
    assert_int_equal(p->table.count, 4);
    assert_ptr_equal(prepared_oldest(p), desk->s[0]);
    assert_true(prepared_has(p, desk->s[0])); // used again
    assert_ptr_equal(prepared_oldest(p), desk->s[1]);
    assert_true(prepared_has(p, desk->s[0]));
    prepared_remove(p, desk->s[1]);
    assert_false(prepared_has(p, desk->s[1]));
    assert_ptr_equal(prepared_oldest(p), desk->s[2]);
    prepared_remove(p, desk->s[1]); // twice is fine
    prepared_add(p, desk->s[2], false);    // is there already
    assert_int_equal(p->table.count, 3);
    assert_int_equal(desk->s[2]->refs, 2);
    prepared_clear(p);
    assert_null(prepared_oldest(p));
    assert_null(p->table.buckets);
}

static void test_spoilt(void **state)
{
    struct desk *desk = *state;
    struct prepared *p = &desk->prepared;
    prepared_spoil(p, desk->s[0]->number); // not there
    assert_false(prepared_is_spoilt(p, desk->s[0]));
    prepared_add(p, desk->s[0], false);
    prepared_add(p, desk->s[1], false);
    prepared_spoil(p, 0);
    prepared_spoil(p, desk->s[0]->number);
    assert_true(prepared_is_spoilt(p, desk->s[0]));
    assert_false(prepared_is_spoilt(p, desk->s[1]));
    assert_true(prepared_has(p, desk->s[0])); // the server has it still
    prepared_remove(p, desk->s[0]);
    assert_false(prepared_is_spoilt(p, desk->s[0]));
    prepared_add(p, desk->s[0], false); // prepared anew
    assert_false(prepared_is_spoilt(p, desk->s[0]));
}

// What is spoilt is so on every server; what is outdated, here only.
static void test_spoilt_elsewhere(void **state)
{
    struct desk *desk = *state;
    struct prepared *p = &desk->prepared;
    struct prepared other = {.table = {0}};
    list_init(&other.used);
    prepared_add(p, desk->s[0], false);
    prepared_add(&other, desk->s[0], false);
    prepared_outdate(p, desk->s[1]->number); // not there
    prepared_outdate(p, desk->s[0]->number);
    assert_true(prepared_is_spoilt(p, desk->s[0]));
    assert_false(prepared_is_spoilt(&other, desk->s[0]));
    prepared_spoil(p, desk->s[0]->number); // old news: it is outdated here
    assert_false(prepared_is_spoilt(&other, desk->s[0]));
    prepared_spoil(&other, desk->s[0]->number);
    assert_true(prepared_is_spoilt(&other, desk->s[0]));
    prepared_remove(p, desk->s[0]);
    prepared_add(p, desk->s[0], false);
    prepared_spoil(&other, desk->s[0]->number); // it is spoilt there already
    assert_false(prepared_is_spoilt(p, desk->s[0]));
    prepared_clear(&other);
}

static void test_as_a_list(void **state)
{
    struct desk *desk = *state;
    struct prepared *p = &desk->prepared;
    struct dice dice = dice_of(14);
    int model[COUNT], n = 0; // most recent first
    for (int turn = 0; turn < 20000; turn++) {
        int i = (int)dice_below(&dice, COUNT), at = 0;
        while (at < n && model[at] != i)
            at++;
        bool there = at < n;
        switch (dice_below(&dice, 3)) {
        case 0:
            assert_int_equal(prepared_has(p, desk->s[i]), there);
            if (!there)
                break;
            memmove(model + 1, model, (size_t)at * sizeof(*model));
            model[0] = i;
            break;
        case 1:
            prepared_add(p, desk->s[i], false);
            if (there)
                break;
            memmove(model + 1, model, (size_t)n++ * sizeof(*model));
            model[0] = i;
            break;
        case 2:
            prepared_remove(p, desk->s[i]);
            if (there)
                memmove(model + at, model + at + 1, (size_t)(--n - at) * sizeof(*model));
            break;
        }
        assert_int_equal(p->table.count, n);
        assert_ptr_equal(prepared_oldest(p), n ? desk->s[model[n - 1]] : NULL);
    }
}

// Read under settings of a moment: read anew once others may use it, and then as good as any.
static void test_odd(void **state)
{
    struct desk *desk = *state;
    struct prepared *p = &desk->prepared;
    prepared_add(p, desk->s[0], false);
    assert_false(p->odd);
    prepared_add(p, desk->s[1], true);
    assert_true(p->odd);
    assert_false(prepared_is_spoilt(p, desk->s[1]));
    prepared_settle(p);
    assert_false(p->odd);
    assert_true(prepared_is_spoilt(p, desk->s[1]));
    assert_false(prepared_is_spoilt(p, desk->s[0]));
    prepared_remove(p, desk->s[1]);
    prepared_add(p, desk->s[1], false);
    prepared_settle(p);
    assert_false(prepared_is_spoilt(p, desk->s[1]));
    prepared_clear(p);
}

// What a server would say of a statement holds for as long as it is prepared there.
static void test_layout(void **state)
{
    struct desk *desk = *state;
    struct prepared *p = &desk->prepared;
    assert_null(prepared_newest(p));
    assert_null(prepared_layout(p, desk->s[0]->number));
    prepared_add(p, desk->s[0], false);
    assert_int_equal(prepared_newest(p)->rows, 0);
    prepared_newest(p)->rows = 5;
    prepared_add(p, desk->s[1], false);
    assert_int_equal(prepared_newest(p)->rows, 0);
    assert_int_equal(prepared_layout(p, desk->s[0]->number)->rows, 5);
    assert_true(prepared_has(p, desk->s[0])); // used: it is the newest
    assert_int_equal(prepared_newest(p)->rows, 5);
    prepared_remove(p, desk->s[0]);
    prepared_add(p, desk->s[0], false); // prepared anew
    assert_int_equal(prepared_newest(p)->rows, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_least_recently_used_leaves, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_spoilt, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_spoilt_elsewhere, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_odd, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_as_a_list, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_layout, open_desk, close_desk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
