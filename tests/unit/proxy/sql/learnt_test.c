// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/learnt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SECOND = 1000000, INTERVAL = 10 * SECOND };

static struct coded *set_of(const char *fingerprint, const char *relation)
{
    struct coded_draft *draft = coded_draft_new();
    const char *rows[][2] = {{"=", fingerprint}, {"r", relation}, {"s", relation}};
    for (size_t i = 0; i < 3 && rows[i][1] != NULL; i++) {
        struct buf row = {0};
        buf_u16(&row, 2);
        for (int k = 0; k < 2; k++) {
            buf_u32(&row, (uint32_t)strlen(rows[i][k]));
            buf_put(&row, slice_str(rows[i][k]));
        }
        coded_draft_row(draft, buf_slice(&row));
        buf_fini(&row);
    }
    struct coded *coded = coded_draft_end(&draft);
    assert_non_null(coded);
    return coded;
}

struct world {
    struct learnt *learnt;
    struct analysis *t, *u, *nothing;
};

static int set_up(void **state)
{
    static struct world w;
    w.learnt = learnt_new("x");
    w.t = analysis_new(slice_str("INSERT INTO t VALUES (1)"));
    w.u = analysis_new(slice_str("SELECT * FROM u"));
    w.nothing = analysis_new(slice_str("BEGIN"));
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    learnt_free(w->learnt);
    analysis_unref(&w->t);
    analysis_unref(&w->u);
    analysis_unref(&w->nothing);
    return 0;
}

static enum learnt_wants tell(struct world *w, enum learnt_wants asked, struct coded *answer,
                              int64_t now)
{
    return learnt_told(w->learnt, asked, answer, INTERVAL, now);
}

// Asks for all at `now`, and is answered a millisecond later.
static void learn(struct world *w, const char *fingerprint, const char *relation, int64_t now)
{
    enum learnt_wants wants = learnt_wants(w->learnt, now);
    assert_int_not_equal(wants, LEARNT_NOTHING);
    if (wants == LEARNT_CHECK)
        wants = tell(w, LEARNT_CHECK, set_of(fingerprint, NULL), now + 1000);
    if (wants == LEARNT_ALL)
        wants = tell(w, LEARNT_ALL, set_of(fingerprint, relation), now + 1000);
    assert_int_equal(wants, LEARNT_NOTHING);
}

static void check(struct world *w, int64_t now, enum learnt_verdict t, enum learnt_verdict u)
{
    for (int i = 0; i < 2; i++) { // the second time from memory
        assert_int_equal(learnt_verdict(w->learnt, w->t, now), t);
        assert_int_equal(learnt_verdict(w->learnt, w->u, now), u);
        assert_int_equal(learnt_verdict(w->learnt, w->nothing, now), LEARNT_HARMLESS);
    }
}

static void test_from_the_beginning(void **state)
{
    struct world *w = *state;
    check(w, 0, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    learn(w, "a", "t", SECOND);
    check(w, SECOND, LEARNT_CODED, LEARNT_HARMLESS);
    check(w, SECOND + INTERVAL, LEARNT_CODED, LEARNT_HARMLESS);
    check(w, SECOND + INTERVAL + 1, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
}

static void test_nothing_there(void **state)
{
    struct world *w = *state;
    learn(w, "a", NULL, SECOND);
    check(w, SECOND, LEARNT_HARMLESS, LEARNT_HARMLESS);
    check(w, SECOND + INTERVAL + 1, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
}

// One at a time, at half time; what is the same goes on, what is not is learnt by the same.
static void test_asked_again(void **state)
{
    struct world *w = *state;
    learn(w, "a", "t", 0);
    uint64_t changes = learnt_changes(w->learnt);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL / 2 - 1), LEARNT_NOTHING);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL / 2), LEARNT_CHECK);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL / 2), LEARNT_NOTHING);
    assert_int_equal(tell(w, LEARNT_CHECK, set_of("a", NULL), INTERVAL / 2 + 1000),
                     LEARNT_NOTHING);
    check(w, INTERVAL / 2 + INTERVAL, LEARNT_CODED, LEARNT_HARMLESS);
    assert_int_equal(learnt_changes(w->learnt), changes);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL), LEARNT_CHECK);
    assert_int_equal(tell(w, LEARNT_CHECK, set_of("b", NULL), INTERVAL + 1000), LEARNT_ALL);
    check(w, INTERVAL + 1000, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    assert_true(learnt_changes(w->learnt) > changes);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL + 2000), LEARNT_NOTHING);
    changes = learnt_changes(w->learnt);
    assert_int_equal(tell(w, LEARNT_ALL, set_of("b", "u"), INTERVAL + 3000), LEARNT_NOTHING);
    check(w, INTERVAL + 3000, LEARNT_HARMLESS, LEARNT_CODED);
    assert_true(learnt_changes(w->learnt) > changes);
}

// While the schema is being changed nothing is known, and an answer that was asked for before the
// end tells nothing.
static void test_change(void **state)
{
    struct world *w = *state;
    learn(w, "a", "t", 0);
    uint64_t changes = learnt_changes(w->learnt);
    learnt_change_begins(w->learnt);
    check(w, SECOND, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    assert_true(learnt_changes(w->learnt) > changes);
    assert_int_equal(learnt_wants(w->learnt, SECOND), LEARNT_NOTHING);
    changes = learnt_changes(w->learnt);
    learnt_change_ends(w->learnt);
    assert_true(learnt_changes(w->learnt) > changes);
    check(w, SECOND, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    assert_int_equal(learnt_wants(w->learnt, SECOND), LEARNT_CHECK);
    learnt_change_begins(w->learnt);
    learnt_change_ends(w->learnt);
    assert_int_equal(tell(w, LEARNT_CHECK, set_of("a", NULL), SECOND + 1000), LEARNT_NOTHING);
    check(w, SECOND + 1000, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    // Not at once again: ten times as long as the last one took.
    assert_int_equal(learnt_wants(w->learnt, SECOND + 2000), LEARNT_NOTHING);
    learn(w, "a", "t", SECOND + 11000);
    check(w, SECOND + 12000, LEARNT_CODED, LEARNT_HARMLESS);
}

// Code that somebody else has put there: what ran before may have been judged too well.
static void test_surprise(void **state)
{
    struct world *w = *state;
    learn(w, "a", NULL, 0);
    learn(w, "b", NULL, INTERVAL);
    assert_int_equal(learnt_surprises(w->learnt), 0);
    learn(w, "c", "t", 2 * INTERVAL);
    assert_int_equal(learnt_surprises(w->learnt), 1);
    learn(w, "d", "t", 3 * INTERVAL);
    learn(w, "e", NULL, 4 * INTERVAL);
    assert_int_equal(learnt_surprises(w->learnt), 1);
    // Through the proxy it was in doubt all the time.
    learnt_change_begins(w->learnt);
    learnt_change_ends(w->learnt);
    learn(w, "f", "t", 5 * INTERVAL);
    assert_int_equal(learnt_surprises(w->learnt), 1);
    learn(w, "g", "u", 6 * INTERVAL);
    assert_int_equal(learnt_surprises(w->learnt), 2);
}

static void test_asked_by_who_is_lost(void **state)
{
    struct world *w = *state;
    assert_int_equal(learnt_wants(w->learnt, 0), LEARNT_ALL);
    assert_int_equal(learnt_wants(w->learnt, 0), LEARNT_NOTHING);
    learnt_give_up(w->learnt, 0);
    learn(w, "a", "t", 0);
    check(w, SECOND, LEARNT_CODED, LEARNT_HARMLESS);
}

static void test_failure(void **state)
{
    struct world *w = *state;
    learn(w, "a", "t", 0);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL / 2), LEARNT_CHECK);
    assert_int_equal(tell(w, LEARNT_CHECK, NULL, INTERVAL / 2), LEARNT_NOTHING);
    check(w, INTERVAL / 2, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    assert_int_equal(learnt_wants(w->learnt, INTERVAL - 1), LEARNT_NOTHING);
    learn(w, "a", "t", INTERVAL);
    check(w, INTERVAL, LEARNT_CODED, LEARNT_HARMLESS);
}

static void test_forget(void **state)
{
    struct world *w = *state;
    learn(w, "a", "t", 0);
    learnt_forget(w->learnt);
    check(w, 0, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    assert_int_equal(learnt_wants(w->learnt, SECOND), LEARNT_ALL);
}

// A check that costs much is made less often, within bounds; the first question does not count.
static void test_dear(void **state)
{
    struct world *w = *state;
    assert_int_equal(learnt_wants(w->learnt, 0), LEARNT_ALL);
    tell(w, LEARNT_ALL, set_of("a", "t"), SECOND);
    check(w, INTERVAL, LEARNT_CODED, LEARNT_HARMLESS);
    check(w, INTERVAL + 1, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    int64_t now = 2 * INTERVAL;
    assert_int_equal(learnt_wants(w->learnt, now), LEARNT_CHECK);
    tell(w, LEARNT_CHECK, set_of("a", NULL), now + SECOND / 10);
    check(w, now + 20 * SECOND, LEARNT_CODED, LEARNT_HARMLESS);
    check(w, now + 20 * SECOND + 1, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
    now = 10 * INTERVAL;
    assert_int_equal(learnt_wants(w->learnt, now), LEARNT_CHECK);
    tell(w, LEARNT_CHECK, set_of("a", NULL), now + 3 * SECOND);
    check(w, now + 60 * SECOND, LEARNT_CODED, LEARNT_HARMLESS);
    check(w, now + 60 * SECOND + 1, LEARNT_IN_DOUBT, LEARNT_IN_DOUBT);
}

// Two databases, one text: what was found for one is not taken for the other.
static void test_memo(void **state)
{
    struct world *w = *state;
    struct world other = {.learnt = learnt_new("y"), .t = w->t, .u = w->u, .nothing = w->nothing};
    learn(w, "a", "t", 0);
    learn(&other, "a", "u", 0);
    for (int i = 0; i < 3; i++) {
        check(w, 0, LEARNT_CODED, LEARNT_HARMLESS);
        check(&other, 0, LEARNT_HARMLESS, LEARNT_CODED);
    }
    learnt_free(other.learnt);
}

static void test_deserted(void **state)
{
    struct world *w = *state;
    assert_true(learnt_is_deserted(w->learnt));
    learnt_join(w->learnt);
    learnt_join(w->learnt);
    learnt_leave(w->learnt);
    assert_false(learnt_is_deserted(w->learnt));
    learnt_leave(w->learnt);
    assert_true(learnt_is_deserted(w->learnt));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_from_the_beginning), TEST(test_nothing_there), TEST(test_asked_again),
        TEST(test_change),             TEST(test_failure),       TEST(test_asked_by_who_is_lost),
        TEST(test_forget),             TEST(test_dear),          TEST(test_memo),
        TEST(test_surprise),           TEST(test_deserted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
