// SPDX-License-Identifier: Apache-2.0
// Statements shared by text, counted, on threads; and one client's names for them.
#include "proxy/session/statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/check.h"
#include "proxy/sql/texts.h"
#include "tests/unit/dice.h"

struct desk {
    struct texts *texts;
    struct texts_front *front;
    struct statement_registry *registry;
};

static int open_desk(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    desk->texts = texts_new(1000, 8 << 20);
    desk->front = texts_front_new(desk->texts);
    desk->registry = statement_registry_new();
    *state = desk;
    return 0;
}

static int close_desk(void **state)
{
    struct desk *desk = *state;
    statement_registry_free(desk->registry); // checks that none is left
    texts_front_free(desk->front);
    texts_free(desk->texts);
    free(desk);
    return 0;
}

// A Parse behind its name: text, NUL, types.
static struct statement *get(struct desk *desk, struct texts_front *front, int scope,
                             const char *text, const char *types, size_t types_bytes)
{
    uint8_t tail[300];
    size_t n = strlen(text) + 1;
    memcpy(tail, text, n);
    memcpy(tail + n, types, types_bytes);
    return statement_get(desk->registry, front, (uint64_t)scope, slice_of(tail, n + types_bytes),
                         n);
}

static struct statement *get_plain(struct desk *desk, const char *text)
{
    return get(desk, desk->front, 0, text, "\0\0", 2);
}

static void test_shared_by_text(void **state)
{
    struct desk *desk = *state;
    struct statement *a = get_plain(desk, "select 1");
    struct statement *b = get_plain(desk, "select 1");
    assert_ptr_equal(a, b);
    assert_int_equal(a->refs, 2);
    assert_true(slice_is(statement_text(a), "select 1"));
    assert_int_equal(statement_tail(a).len, 11);
    assert_non_null(a->analysis);
    char name[STATEMENT_NAME_BYTES];
    snprintf(name, sizeof(name), "PGWEIR_%llu", (unsigned long long)a->number);
    assert_string_equal(a->name, name);
    statement_unref(&a);
    assert_null(a);
    statement_unref(&a); // NULL is fine
    assert_int_equal(b->refs, 1);
    statement_unref(&b);
}

// One letter, the types or the scope make another statement; a number is never used twice.
static void test_told_apart(void **state)
{
    struct desk *desk = *state;
    struct statement *s[6] = {
        get_plain(desk, "select 1"),
        get_plain(desk, "select 2"),
        get_plain(desk, "SELECT 1"),
        get(desk, desk->front, 1, "select 1", "\0\0", 2),
        get(desk, desk->front, 0, "select 1", "\0\1\0\0\0\27", 6),
        get_plain(desk, ""),
    };
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++) {
            assert_ptr_not_equal(s[i], s[k]);
            assert_true(s[i]->number != s[k]->number);
        }
    uint64_t last = s[5]->number;
    for (int i = 0; i < 6; i++)
        statement_unref(&s[i]);
    struct statement *again = get_plain(desk, "select 1");
    assert_true(again->number > last); // forgotten with its last count
    statement_unref(&again);
}

// The same bytes, cut differently between text and types, are not the same statement.
static void test_text_and_types_are_not_mixed(void **state)
{
    struct desk *desk = *state;
    uint8_t tail[] = {'a', 0, 'b', 0};
    struct statement *a =
        statement_get(desk->registry, desk->front, 0, slice_of(tail, 4), 2);
    struct statement *b =
        statement_get(desk->registry, desk->front, 0, slice_of(tail, 4), 4);
    assert_ptr_not_equal(a, b);
    statement_unref(&a);
    statement_unref(&b);
}

static void test_names(void **state)
{
    struct desk *desk = *state;
    struct statement_names names = {.in_sql = 0};
    struct statement *a = get_plain(desk, "select 1");
    struct statement *b = get_plain(desk, "select 2");
    assert_null(statement_names_find(&names, slice_str("x")));
    statement_names_set(&names, slice_str("x"), NULL); // nothing becomes nothing
    statement_names_set(&names, slice_str("x"), a);
    statement_names_set(&names, slice_str("x\xff"), b);
    statement_names_set(&names, slice_str("X"), a);
    assert_ptr_equal(statement_names_find(&names, slice_str("x")), a);
    assert_ptr_equal(statement_names_find(&names, slice_str("x\xff")), b);
    assert_null(statement_names_find(&names, slice_str("")));
    assert_int_equal(a->refs, 3);
    statement_names_set(&names, slice_str("x"), a); // the same again
    assert_int_equal(a->refs, 3);
    statement_names_set(&names, slice_str("x"), b);
    assert_int_equal(a->refs, 2);
    assert_int_equal(b->refs, 3);
    statement_names_set(&names, slice_str("x"), NULL);
    assert_null(statement_names_find(&names, slice_str("x")));
    assert_int_equal(b->refs, 2);
    statement_names_clear(&names);
    assert_int_equal(a->refs, 1);
    assert_int_equal(b->refs, 1);
    assert_null(names.table.buckets);
    statement_names_clear(&names);
    statement_unref(&a);
    statement_unref(&b);
}

static void test_names_as_a_map(void **state)
{
    struct desk *desk = *state;
    enum { NAMES = 30, STATEMENTS = 5 };
    struct dice dice = dice_of(12);
    struct statement_names names = {.in_sql = 0};
    struct statement *s[STATEMENTS + 1] = {NULL}, *model[NAMES] = {NULL};
    for (int i = 0; i < STATEMENTS; i++)
        s[i] = get_plain(desk, (const char *const[]){"a", "b", "c", "d", "e"}[i]);
    for (int turn = 0; turn < 20000; turn++) {
        char name[16];
        size_t i = dice_below(&dice, NAMES);
        snprintf(name, sizeof(name), "n%zu", i);
        assert_ptr_equal(statement_names_find(&names, slice_str(name)), model[i]);
        model[i] = s[dice_below(&dice, STATEMENTS + 1)];
        statement_names_set(&names, slice_str(name), model[i]);
    }
    for (int i = 0; i < STATEMENTS; i++) {
        uint32_t refs = 1;
        for (int k = 0; k < NAMES; k++)
            refs += model[k] == s[i];
        assert_int_equal(s[i]->refs, refs);
    }
    statement_names_clear(&names);
    for (int i = 0; i < STATEMENTS; i++)
        statement_unref(&s[i]);
}

enum { THREADS = 4, TURNS = 8000, TEXTS = 6, HELD = 3 };

struct hand {
    struct desk *desk;
    int number;
};

// Takes and drops the same few statements as the others do, so that the last count often goes
// while somebody looks for it.
static void *juggle(void *arg)
{
    struct hand *hand = arg;
    struct desk *desk = hand->desk;
    struct texts_front *front = texts_front_new(desk->texts);
    struct dice dice = dice_of((uint64_t)hand->number);
    struct statement *held[HELD] = {NULL};
    int said[HELD] = {0};
    for (int turn = 0; turn < TURNS; turn++) {
        size_t i = dice_below(&dice, HELD);
        if (held[i] != NULL) {
            char text[32];
            snprintf(text, sizeof(text), "select %d from t", said[i]);
            CHECK(slice_is(statement_text(held[i]), text));
            if (dice_below(&dice, 4) == 0) {
                struct statement *more = statement_ref(held[i]);
                statement_unref(&more);
            }
            struct statement *same = get(desk, front, 0, text, "\0\0", 2);
            CHECK(same == held[i]); // as long as it is held there is no other
            statement_unref(&same);
            statement_unref(&held[i]);
        } else {
            char text[32];
            said[i] = (int)dice_below(&dice, TEXTS);
            snprintf(text, sizeof(text), "select %d from t", said[i]);
            held[i] = get(desk, front, 0, text, "\0\0", 2);
        }
    }
    for (int i = 0; i < HELD; i++)
        statement_unref(&held[i]);
    texts_front_free(front);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    struct hand hands[THREADS];
    for (int i = 0; i < THREADS; i++) {
        hands[i] = (struct hand){.desk = *state, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, juggle, &hands[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shared_by_text, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_told_apart, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_text_and_types_are_not_mixed, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_names, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_names_as_a_map, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_threads, open_desk, close_desk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
