// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proxy/session/statement.h"
#include "proxy/sql/texts.h"
#include "tests/unit/dice.h"

static void test_order_and_growth(void **state)
{
    struct ops ops = {0};
    assert_true(ops_empty(&ops));
    assert_null(ops_head(&ops));
    assert_false(ops_unsettled(&ops, slice_str("x"), 0));
    for (int round = 0; round < 50; round++) { // the head moves round the ring
        for (int i = 0; i < 100; i++) {
            struct op *op = ops_push(&ops, i % 8, i % 3, i % 7);
            assert_int_equal(op->kind, i % 8);
            assert_null(op->name);
            assert_false(op->renames);
            op->number = (uint64_t)(round * 100 + i);
        }
        for (int i = 0; i < 100; i++) {
            assert_true(ops_head(&ops)->number == (uint64_t)(round * 100 + i));
            assert_int_equal(ops_head(&ops)->origin, i % 3);
            assert_int_equal(ops_head(&ops)->purpose, i % 7);
            if (i < 99)
                assert_true(ops_nth(&ops, 1)->number == (uint64_t)(round * 100 + i + 1));
            ops_pop(&ops);
        }
        assert_true(ops_empty(&ops));
    }
    ops_fini(&ops);
    ops_fini(&ops);
}

static void rename_to(struct ops *ops, const char *name)
{
    ops_rename(ops_push(ops, OP_PARSE, OP_CLIENTS, PURPOSE_NONE), slice_str(name), NULL);
}

static void test_unsettled(void **state)
{
    struct ops ops = {0};
    rename_to(&ops, "a");
    assert_false(ops_unsettled(&ops, slice_str("a"), 0)); // skipped together with it
    ops_push(&ops, OP_EXECUTE, OP_CLIENTS, PURPOSE_NONE);
    assert_false(ops_unsettled(&ops, slice_str("a"), 0));
    ops_push(&ops, OP_SYNC, OP_CLIENTS, PURPOSE_NONE);
    assert_true(ops_unsettled(&ops, slice_str("a"), 0));
    assert_false(ops_unsettled(&ops, slice_str("ab"), 0));
    assert_false(ops_unsettled(&ops, slice_str(""), 0));
    rename_to(&ops, "b");
    assert_false(ops_unsettled(&ops, slice_str("b"), 0)); // the Sync is before it
    ops_pop(&ops);                                     // done: it means what it should
    assert_false(ops_unsettled(&ops, slice_str("a"), 0));
    ops_push(&ops, OP_QUERY, OP_CLIENTS, PURPOSE_NONE);
    assert_false(ops_unsettled(&ops, slice_str("b"), 0));
    ops_push(&ops, OP_SYNC, OP_CLIENTS, PURPOSE_NONE);
    assert_true(ops_unsettled(&ops, slice_str("b"), 0));
    while (!ops_empty(&ops))
        ops_drop_newest(&ops);
    ops_fini(&ops);
}

// The name is copied: the message that it lay in is gone.
// What SQL does to a name counts once it is answered: until then it is open, Sync or not.
static void test_named_in_sql(void **state)
{
    struct ops ops = {0};
    struct op *op = ops_push(&ops, OP_EXECUTE, OP_CLIENTS, PURPOSE_NONE);
    op->says = 1;
    op->name = mem_strdup("a");
    op->name_bytes = 1;
    assert_true(ops_unsettled(&ops, slice_str("a"), 0));
    assert_false(ops_unsettled(&ops, slice_str("b"), 0));
    assert_false(ops_unnamed_changes(&ops));
    ops_pop(&ops);
    assert_false(ops_unsettled(&ops, slice_str("a"), 0));
    ops_push(&ops, OP_PARSE, OP_INJECTED, PURPOSE_PREPARE)->unnamed = true;
    assert_true(ops_unnamed_changes(&ops));
    ops_fini(&ops);
}

static void test_name_is_copied(void **state)
{
    struct ops ops = {0};
    char name[] = "mine";
    struct op *op = ops_push(&ops, OP_CLOSE, OP_LOCAL, PURPOSE_NONE);
    ops_rename(op, slice_of(name, 4), NULL);
    memset(name, 'x', 4);
    assert_true(op->renames);
    assert_true(slice_is(slice_of(op->name, op->name_bytes), "mine"));
    ops_fini(&ops);
}

static void test_counts_are_given_back(void **state)
{
    struct texts *texts = texts_new(100, 1 << 20);
    struct texts_front *front = texts_front_new(texts);
    struct statement_registry *registry = statement_registry_new();
    struct statement *s = statement_get(registry, front, 0, slice_of("select 1\0\0", 11), 9);
    struct ops ops = {0};
    for (int i = 0; i < 20; i++) {
        struct op *op = ops_push(&ops, OP_PARSE, OP_CLIENTS, PURPOSE_NONE);
        op->after = statement_ref(s);
        if (i % 2)
            ops_rename(op, slice_str("n"), statement_ref(s));
    }
    assert_int_equal(s->refs, 31);
    ops_pop(&ops);
    assert_int_equal(s->refs, 30);
    ops_drop_newest(&ops);
    assert_int_equal(s->refs, 28);
    ops_fini(&ops);
    assert_int_equal(s->refs, 1);
    statement_unref(&s);
    statement_registry_free(registry);
    texts_front_free(front);
    texts_free(texts);
}

// ---- beside a naive model ----

struct plain {
    int kind, name; // name: -1 none
    uint64_t number;
};

enum { MOST = 3000, NAMES = 4 };
static const char *const names[NAMES] = {"a", "b", "ab", "long one"};

static bool model_unsettled(const struct plain *model, int n, int name)
{
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++)
            if (model[i].name == name && model[k].kind == OP_SYNC)
                return true;
    return false;
}

static void push_both(struct ops *ops, struct plain *model, int *n, struct dice *dice,
                      uint64_t number)
{
    struct plain plain = {.kind = (int)dice_below(dice, OP_FUNCTION + 1), .name = -1,
                          .number = number};
    if (plain.kind == OP_SYNC && dice_below(dice, 3))
        plain.kind = OP_BIND;
    struct op *op = ops_push(ops, plain.kind, OP_CLIENTS, PURPOSE_NONE);
    op->number = number;
    if (plain.kind == OP_PARSE || plain.kind == OP_CLOSE) {
        plain.name = (int)dice_below(dice, NAMES);
        ops_rename(op, slice_str(names[plain.name]), NULL);
    }
    model[(*n)++] = plain;
}

static void check_both(const struct ops *ops, const struct plain *model, int n)
{
    assert_int_equal(ops->count, n);
    for (int i = 0; i < n; i++) {
        const struct op *op = ops_nth(ops, (uint32_t)i);
        assert_true(op->number == model[i].number && op->kind == model[i].kind);
        assert_int_equal(op->renames, model[i].name >= 0);
    }
    for (int i = 0; i < NAMES; i++)
        assert_int_equal(ops_unsettled(ops, slice_str(names[i]), 0), model_unsettled(model, n, i));
}

static void test_as_the_model(void **state)
{
    struct dice dice = dice_of(13);
    struct plain *model = calloc(MOST, sizeof(*model));
    struct ops ops = {.head = UINT32_MAX - 1000}; // the counter goes round
    int n = 0;
    for (uint64_t turn = 0; turn < 30000; turn++) {
        size_t die = dice_below(&dice, 20);
        bool filling = turn / 100 % 2;
        if (die < (filling ? 13u : 7u) && n < 40)
            push_both(&ops, model, &n, &dice, turn);
        else if (n > 0 && die < 17) {
            ops_pop(&ops);
            memmove(model, model + 1, (size_t)--n * sizeof(*model));
        } else if (n > 0) {
            ops_drop_newest(&ops);
            n--;
        }
        check_both(&ops, model, n);
    }
    ops_fini(&ops);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_growth),     cmocka_unit_test(test_unsettled),
        cmocka_unit_test(test_name_is_copied),       cmocka_unit_test(test_counts_are_given_back),
        cmocka_unit_test(test_named_in_sql),         cmocka_unit_test(test_as_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
