// SPDX-License-Identifier: Apache-2.0
// What notifications name, where `invalidation` finds its events, and what readings then say.
#include "proxy/control/notified.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cache/ledger.h"
#include "proxy/control/own_writes.h"
#include "proxy/control/source.h"

static void names(const char *payload, const char *schema, const char *name)
{
    uint32_t slots[NOTIFIED_SLOTS] = {0};
    uint64_t table = ledger_table(slice_str(schema), slice_str(name));
    assert_int_equal(notified_slots(slice_str(payload), slots), NOTIFIED_SLOTS);
    assert_int_equal(slots[0], ledger_table_slot(table));
    assert_int_equal(slots[1], ledger_rows_slot(table));
}

static void test_names(void **state)
{
    names("public.t", "public", "t");
    names("Public.T_1$", "public", "t_1$");
    names("\"Public\".\"T\"", "Public", "T");
    names("\"a.b\".\"c\"\"d\"", "a.b", "c\"d");
    names("s.\"T x\"", "s", "T x");
}

static void test_anything_else_is_everything(void **state)
{
    static const char *const odd[] = {"", "t", "s.", ".t", "s.t.u", "s.t ", " s.t", "s t", "1.t",
                                      "s.1", "\"s.t", "\"s\".\"t", "\"s\"t", "s.t\xc3\xa4",
                                      "\"\".t"};
    uint32_t slots[NOTIFIED_SLOTS];
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        assert_int_equal(notified_slots(slice_str(odd[i]), slots), 0);
    char longer[600];
    memset(longer, 'x', sizeof(longer));
    longer[300] = '.';
    assert_int_equal(notified_slots(slice_of(longer, sizeof(longer)), slots), 0);
}

static void test_sources(void **state)
{
    enum source source;
    enum ledger_off_reason why;
    struct reading_identity good = {
        .version = 150000, .logical = true, .may_replicate = true, .triggers = true};
    struct reading_identity id = good;
    assert_null(source_choose(CONFIG_INVALIDATION_AUTO, &id, &source, &why));
    assert_int_equal(source, SOURCE_WAL);
    assert_null(source_choose(CONFIG_INVALIDATION_PROXY, &id, &source, &why));
    assert_int_equal(source, SOURCE_OWN);
    assert_null(source_choose(CONFIG_INVALIDATION_NOTIFY, &id, &source, &why));
    assert_int_equal(source, SOURCE_NOTIFY);
    id.may_replicate = false;
    assert_null(source_choose(CONFIG_INVALIDATION_AUTO, &id, &source, &why));
    assert_int_equal(source, SOURCE_NOTIFY);
    assert_non_null(source_choose(CONFIG_INVALIDATION_WAL, &id, &source, &why));
    assert_int_equal(why, LEDGER_OFF_PRIVILEGE);
    id.triggers = false;
    assert_non_null(source_choose(CONFIG_INVALIDATION_AUTO, &id, &source, &why));
    assert_int_equal(why, LEDGER_OFF_PRIVILEGE);
    assert_non_null(source_choose(CONFIG_INVALIDATION_NOTIFY, &id, &source, &why));
    assert_int_equal(why, LEDGER_OFF_NO_TRIGGERS);
    id = good;
    id.logical = id.triggers = false;
    assert_non_null(source_choose(CONFIG_INVALIDATION_AUTO, &id, &source, &why));
    assert_int_equal(why, LEDGER_OFF_WAL_LEVEL);
    id = good;
    id.in_recovery = true;
    assert_non_null(source_choose(CONFIG_INVALIDATION_PROXY, &id, &source, &why));
    assert_int_equal(why, LEDGER_OFF_RECOVERY);
    id = good;
    id.version = 120000;
    assert_non_null(source_choose(CONFIG_INVALIDATION_NOTIFY, &id, &source, &why));
    assert_int_equal(why, LEDGER_OFF_UNSUPPORTED);
}

// ---- own_writes with notifications ----

enum { SECOND_US = 1000000 };

struct told {
    struct ledger *ledger;
    struct own_writes *own;
    uint32_t slot;
};

static struct told told_new(bool told)
{
    struct told t = {.ledger = ledger_new()};
    t.own = own_writes_new(t.ledger, SECOND_US);
    t.slot = ledger_slot_of(slice_str("public"), slice_str("t"));
    own_writes_begin(t.own, told);
    return t;
}

static void told_free(struct told *t)
{
    ledger_turn_off(t->ledger, LEDGER_OFF_CONTROL_LOST);
    own_writes_free(t->own);
    ledger_free(t->ledger);
}

static void read_at(struct told *t, int64_t now_us)
{
    assert_int_equal(own_writes_wants(t->own, true, now_us).reading, READING_FULL);
    own_writes_reading_sent(t->own, now_us);
    own_writes_reading(t->own, now_us + 100, true);
}

// A reading that was answered says what had been told when the one before it was sent.
static void test_freshness_is_that_of_the_reading_before(void **state)
{
    struct told t = told_new(true);
    read_at(&t, 1 * SECOND_US);
    assert_false(ledger_is_on(t.ledger));
    read_at(&t, 1 * SECOND_US + 200); // at once: they come in twos
    assert_true(ledger_is_on(t.ledger));
    assert_int_equal(ledger_fresh_us(t.ledger), 1 * SECOND_US);
    read_at(&t, 2 * SECOND_US);
    assert_int_equal(ledger_fresh_us(t.ledger), 1 * SECOND_US + 200);
    told_free(&t);
    t = told_new(false);
    read_at(&t, 1 * SECOND_US);
    assert_int_equal(ledger_fresh_us(t.ledger), 1 * SECOND_US);
    told_free(&t);
}

// What began before the notification is dead, what began after it lives; another table's stays.
static void test_a_notification_ends_what_began_before(void **state)
{
    struct told t = told_new(true);
    struct stamp before, after;
    uint32_t other = ledger_slot_of(slice_str("public"), slice_str("u"));
    own_writes_told(t.own, &t.slot, 1); // while it is off: nothing to do
    read_at(&t, 1);
    read_at(&t, 2);
    assert_true(ledger_stamp(t.ledger, &before));
    own_writes_told(t.own, &t.slot, 1);
    assert_true(ledger_stamp(t.ledger, &after));
    int64_t never = INT64_MIN;
    assert_int_equal(ledger_judge(t.ledger, before, &t.slot, 1, 3, SECOND_US, never), LEDGER_DEAD);
    assert_int_equal(ledger_judge(t.ledger, after, &t.slot, 1, 3, SECOND_US, never), LEDGER_OK);
    assert_int_equal(ledger_judge(t.ledger, before, &other, 1, 3, SECOND_US, never), LEDGER_OK);
    own_writes_told(t.own, NULL, 0);
    assert_int_equal(ledger_judge(t.ledger, after, &other, 1, 3, SECOND_US, never), LEDGER_DEAD);
    told_free(&t);
}

// A changed schema ends all, and the next two readings are needed to be fresh again.
static void test_a_changed_schema(void **state)
{
    struct told t = told_new(true);
    read_at(&t, 1);
    read_at(&t, 2);
    own_writes_reading_sent(t.own, SECOND_US);
    own_writes_reading(t.own, SECOND_US + 1, false);
    read_at(&t, 2 * SECOND_US);
    assert_int_equal(ledger_fresh_us(t.ledger), 1);
    read_at(&t, 3 * SECOND_US);
    assert_int_equal(ledger_fresh_us(t.ledger), 2 * SECOND_US);
    told_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_anything_else_is_everything),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_freshness_is_that_of_the_reading_before),
        cmocka_unit_test(test_a_notification_ends_what_began_before),
        cmocka_unit_test(test_a_changed_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
