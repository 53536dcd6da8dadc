// SPDX-License-Identifier: Apache-2.0
// When is it hopeless to join a queue?
#include "pool/forecast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MS = 1000 };

// Connections came back to waiting clients every `every_us`, n times.
static int64_t learn(struct forecast *f, int n, int64_t every_us)
{
    int64_t now_us = 1000 * MS;
    forecast_note(f, false, now_us);
    for (int i = 0; i < n; i++)
        forecast_note(f, true, now_us += every_us);
    return now_us;
}

static void a_queue_that_moves_is_measured(void **state)
{
    struct forecast f = {0};
    int64_t now_us = learn(&f, 20, 10 * MS);
    // A hundred ahead: about a second.
    assert_false(forecast_is_hopeless(&f, 100, 1000 * MS, now_us));
    assert_false(forecast_is_hopeless(&f, 100, 506 * MS, now_us)); // within the margin
    assert_true(forecast_is_hopeless(&f, 100, 400 * MS, now_us));
    assert_false(forecast_is_hopeless(&f, 3, 400 * MS, now_us));
}

static void nothing_is_said_without_knowledge(void **state)
{
    struct forecast f = {0};
    int64_t now_us = learn(&f, FORECAST_SAMPLES - 1, 1000 * MS);
    assert_false(forecast_is_hopeless(&f, 1000, 1 * MS, now_us));
    forecast_note(&f, true, now_us += 1000 * MS);
    assert_true(forecast_is_hopeless(&f, 1000, 1 * MS, now_us));
    assert_false(forecast_is_hopeless(&f, 1000, 0, now_us)); // it may wait for ever
    forecast_note(&f, false, now_us += 1 * MS); // one was to be had
    assert_false(forecast_is_hopeless(&f, 1000, 1 * MS, now_us));
}

static void silence_counts(void **state)
{
    struct forecast f = {0};
    int64_t now_us = learn(&f, 20, 10 * MS);
    assert_false(forecast_is_hopeless(&f, 0, 500 * MS, now_us + 900 * MS));
    assert_true(forecast_is_hopeless(&f, 0, 500 * MS, now_us + 1100 * MS));
}

static void the_pace_follows(void **state)
{
    struct forecast f = {0};
    int64_t now_us = learn(&f, 20, 10 * MS);
    for (int i = 0; i < 40; i++)
        forecast_note(&f, true, now_us += 100 * MS);
    assert_in_range(f.pace_us, 98 * MS, 100 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_that_moves_is_measured),
        cmocka_unit_test(nothing_is_said_without_knowledge),
        cmocka_unit_test(silence_counts),
        cmocka_unit_test(the_pace_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
