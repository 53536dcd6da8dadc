// SPDX-License-Identifier: Apache-2.0
// The intrusive list and the intrusive hash table, each beside a naive model.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/list.h"
#include "tests/unit/dice.h"

enum { ITEMS = 40 };

struct item {
    int before; // so that container_of has something to do
    struct link link;
    struct hash_node node;
    bool in;
};

static void check_list(const struct list *list, struct item *items, const int *model, int n)
{
    assert_int_equal(list->count, n);
    assert_int_equal(list_empty(list), n == 0);
    int i = 0;
    list_each(list, l)
        assert_ptr_equal(container_of(l, struct item, link), &items[model[i++]]);
    assert_int_equal(i, n);
    assert_ptr_equal(list_first(list), n ? &items[model[0]].link : NULL);
    assert_ptr_equal(list_last(list), n ? &items[model[n - 1]].link : NULL);
}

static void test_list(void **state)
{
    struct dice dice = dice_of(3);
    struct item items[ITEMS] = {0};
    int model[ITEMS], n = 0;
    struct list list;
    list_init(&list);
    for (int i = 0; i < ITEMS; i++)
        link_init(&items[i].link);
    for (int turn = 0; turn < 5000; turn++) {
        int i = (int)dice_below(&dice, ITEMS), at = 0;
        bool front = dice_below(&dice, 2);
        while (at < n && model[at] != i)
            at++;
        assert_int_equal(link_in_list(&items[i].link), at < n);
        if (at == n && front) {
            list_push_front(&list, &items[i].link);
            memmove(model + 1, model, (size_t)n++ * sizeof(*model));
            model[0] = i;
        } else if (at == n) {
            list_push_back(&list, &items[i].link);
            model[n++] = i;
        } else {
            at = front ? 0 : at;
            if (front)
                assert_ptr_equal(list_pop_front(&list), &items[model[0]].link);
            else
                list_remove(&list, &items[i].link);
            memmove(model + at, model + at + 1, (size_t)(--n - at) * sizeof(*model));
        }
        check_list(&list, items, model, n);
    }
}

static void test_list_removal_while_walking(void **state)
{
    struct item items[6] = {0};
    struct list list;
    list_init(&list);
    assert_null(list_pop_front(&list));
    for (int i = 0; i < 6; i++)
        list_push_back(&list, &items[i].link);
    list_each(&list, l)
    {
        if ((container_of(l, struct item, link) - items) % 2 == 0)
            list_remove(&list, l);
    }
    check_list(&list, items, (int[]){1, 3, 5}, 3);
    list_insert_after(&list, &items[3].link, &items[0].link);
    check_list(&list, items, (int[]){1, 3, 0, 5}, 4);
}

static void count_each(struct hash_node *node, void *arg)
{
    struct item *item = container_of(node, struct item, node);
    assert_true(item->in);
    ++*(size_t *)arg;
}

// Few hashes for many items: chains, and equal hashes within them.
static void test_hash(void **state)
{
    struct dice dice = dice_of(4);
    enum { MANY = 500, HASHES = 150 };
    struct item *items = calloc(MANY, sizeof(*items));
    uint64_t hashes[MANY];
    struct hash_table table = {0};
    size_t count = 0;
    assert_null(hash_first(&table, 7)); // holds no memory yet
    for (int i = 0; i < MANY; i++)
        hashes[i] = dice_below(&dice, HASHES) << (dice_below(&dice, 2) * 32);
    for (int turn = 0; turn < 20000; turn++) {
        size_t i = dice_below(&dice, MANY);
        if (items[i].in)
            hash_remove(&table, &items[i].node);
        else
            hash_insert(&table, &items[i].node, hashes[i]);
        items[i].in = !items[i].in;
        count += items[i].in ? 1 : (size_t)-1;
        assert_int_equal(table.count, count);
        size_t looked = dice_below(&dice, MANY), found = 0, expected = 0;
        for (struct hash_node *n = hash_first(&table, hashes[looked]); n; n = hash_next(n)) {
            assert_true(n->hash == hashes[looked] && container_of(n, struct item, node)->in);
            found++;
        }
        for (int k = 0; k < MANY; k++)
            expected += items[k].in && hashes[k] == hashes[looked];
        assert_int_equal(found, expected);
    }
    size_t seen = 0;
    hash_each(&table, count_each, &seen);
    assert_int_equal(seen, count);
    hash_fini(&table);
    hash_each(&table, count_each, NULL);
    free(items);
}

static void free_each(struct hash_node *node, void *arg)
{
    free(container_of(node, struct item, node));
}

static void test_hash_each_may_free(void **state)
{
    struct hash_table table = {0};
    for (uint64_t i = 0; i < 300; i++)
        hash_insert(&table, &((struct item *)calloc(1, sizeof(struct item)))->node, i % 50);
    hash_each(&table, free_each, NULL);
    hash_fini(&table);
    assert_int_equal(table.count, 0);
}

static void test_hash_bytes(void **state)
{
    assert_true(hash_seed() == hash_seed());
    assert_true(hash_bytes("abc", 3) == hash_bytes("abcd", 3));
    assert_true(hash_bytes("abc", 3) != hash_bytes("abd", 3));
    assert_true(hash_bytes("", 0) == hash_bytes(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_removal_while_walking),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hash_each_may_free),
        cmocka_unit_test(test_hash_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
