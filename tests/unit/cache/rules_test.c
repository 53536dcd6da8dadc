// SPDX-License-Identifier: Apache-2.0
#include "cache/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct hints none;

static struct rule_table table(const char *schema, const char *name)
{
    return (struct rule_table){slice_str(schema), slice_str(name)};
}

static struct rule_subject subject(const struct rule_table *tables, size_t count)
{
    return (struct rule_subject){.database = "app", .user = "ann",
                                 .text = slice_str("select * from orders where id = ?"),
                                 .tables = tables, .table_count = count};
}

static struct rules *one(struct rule rule)
{
    struct rules *rules = rules_new();
    rule.name = "one";
    rules_add(rules, &rule);
    return rules;
}

static bool fits(struct rule rule, const struct rule_subject *s)
{
    struct rules *rules = one(rule);
    bool is = rules_judge(rules, s, &none, 0).rule != NULL;
    rules_free(rules);
    return is;
}

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        {"", "", true},          {"", "a", false},      {"*", "", true},
        {"*", "abc", true},      {"a*", "abc", true},   {"*c", "abc", true},
        {"*b*", "abc", true},    {"a?c", "abc", true},  {"a?c", "ac", false},
        {"ABC", "abc", true},    {"abc", "ABC", true},  {"a b", "a  \n b", true},
        {"a  b", "a b", true},   {"a b", "ab", false},  {"a*b*c", "axxbyyc", true},
        {"a*b*c", "axxcyyb", false}, {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaa", false},
        {"**", "x", true},       {"x ", "x", true},     {"*?", "", false},
        {"select * from t", "select 1, 2 from t", true}, {"id = ?", "id = ?", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (rules_match(cases[i].pattern, slice_str(cases[i].text)) != cases[i].fits)
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

static void each_condition(void **state)
{
    struct rule_table orders = table("shop", "orders");
    struct rule_subject s = subject(&orders, 1);
    assert_true(fits((struct rule){0}, &s));
    assert_true(fits((struct rule){.database = "app"}, &s));
    assert_false(fits((struct rule){.database = "other"}, &s));
    assert_true(fits((struct rule){.user = "a*"}, &s));
    assert_false(fits((struct rule){.user = "b*"}, &s));
    assert_true(fits((struct rule){.table = "shop.orders"}, &s));
    assert_true(fits((struct rule){.table = "shop.*"}, &s));
    assert_true(fits((struct rule){.table = "orders"}, &s));
    assert_false(fits((struct rule){.table = "public.orders"}, &s));
    assert_false(fits((struct rule){.table = "order"}, &s));
    assert_true(fits((struct rule){.text = "select * from orders*"}, &s));
    assert_false(fits((struct rule){.text = "delete*"}, &s));
    assert_false(fits((struct rule){.database = "app", .user = "bob"}, &s));
}

// What allows more must fit all tables, what allows less one of them.
static void several_tables(void **state)
{
    struct rule_table both[] = {table("shop", "orders"), table("public", "users")};
    struct rule_subject s = subject(both, 2);
    assert_true(fits((struct rule){.table = "shop.*", .action = RULE_EXCLUDE}, &s));
    assert_true(fits((struct rule){.table = "shop.*", .action = RULE_HINT}, &s));
    assert_false(fits((struct rule){.table = "shop.*", .action = RULE_FORCE}, &s));
    assert_false(fits((struct rule){.table = "shop.*", .action = RULE_CACHE}, &s));
    assert_true(fits((struct rule){.table = "*.*", .action = RULE_FORCE}, &s));
    struct rule_subject nothing = subject(NULL, 0);
    assert_false(fits((struct rule){.table = "*", .action = RULE_FORCE}, &nothing));
    assert_false(fits((struct rule){.table = "*", .action = RULE_EXCLUDE}, &nothing));
}

static void the_first_counts(void **state)
{
    struct rules *rules = rules_new();
    rules_add(rules, &(struct rule){.name = "a", .user = "bob", .action = RULE_EXCLUDE});
    rules_add(rules, &(struct rule){.name = "b", .user = "ann", .action = RULE_CACHE, .ttl_us = 5});
    rules_add(rules, &(struct rule){.name = "c", .action = RULE_EXCLUDE});
    struct rule_subject s = subject(NULL, 0);
    struct ruling r = rules_judge(rules, &s, &none, 0);
    assert_string_equal(r.rule, "b");
    assert_true(!r.excluded && r.ttl_us == 5);
    s.user = "bob";
    assert_string_equal(rules_judge(rules, &s, &none, 0).rule, "a");
    s.user = "cyd";
    r = rules_judge(rules, &s, &none, 0);
    assert_true(r.excluded && !r.on_request);
    assert_string_equal(r.rule, "c");
    rules_free(rules);
    r = rules_judge(NULL, &s, &none, 0);
    assert_true(r.rule == NULL && !r.excluded && !r.forced && r.ttl_us == 0);
}

static void hints_within_rules(void **state)
{
    struct rule_subject s = subject(NULL, 0);
    struct hints cache = {.any = true, .cache = true}, ttl = {.any = true, .ttl_us = 60};
    struct rules *rules = one((struct rule){.action = RULE_HINT});
    assert_true(rules_judge(rules, &s, &none, 0).on_request);
    assert_false(rules_judge(rules, &s, &cache, 0).excluded);
    rules_free(rules);
    rules = one((struct rule){.action = RULE_EXCLUDE});
    assert_true(rules_judge(rules, &s, &cache, 0).excluded);
    rules_free(rules);
    // The shorter of a rule's and a hint's ttl; without a rule's, what is allowed at most.
    rules = one((struct rule){.ttl_us = 10});
    assert_int_equal(rules_judge(rules, &s, &ttl, 1000).ttl_us, 10);
    ttl.ttl_us = 3;
    assert_int_equal(rules_judge(rules, &s, &ttl, 1000).ttl_us, 3);
    rules_free(rules);
    assert_int_equal(rules_judge(NULL, &s, &ttl, 1000).ttl_us, 3);
    assert_int_equal(rules_judge(NULL, &s, &ttl, 2).ttl_us, 2);
    assert_int_equal(rules_judge(NULL, &s, &ttl, 0).ttl_us, 0);
    // A hint does not force, and does not go on without events.
    struct ruling r = rules_judge(NULL, &s, &cache, 0);
    assert_true(!r.forced && !r.ttl_without_events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),         cmocka_unit_test(each_condition),
        cmocka_unit_test(several_tables),   cmocka_unit_test(the_first_counts),
        cmocka_unit_test(hints_within_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
