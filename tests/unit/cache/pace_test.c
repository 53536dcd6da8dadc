// SPDX-License-Identifier: Apache-2.0
// When which reading is due.
#include "cache/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { REFRESH = 62500, T = 1000000 };

static struct pace p;
static struct pace_needs needs;

// The first reading, a full one, was sent at T and took that long.
static void after_first(int64_t took_us)
{
    needs = (struct pace_needs){.refresh_us = REFRESH, .on = true};
    pace_reset(&p);
    pace_sent(&p, READING_FULL, T);
    pace_answered(&p, T + took_us);
}

static void first_reading_is_a_full_one_at_once(void **state)
{
    pace_reset(&p);
    needs = (struct pace_needs){.refresh_us = REFRESH, .tickets = true, .pending = true};
    assert_int_equal(pace_due(&p, &needs).full_us, INT64_MIN);
    assert_int_equal(pace_due(&p, &needs).gate_us, INT64_MAX);
}

static void one_is_in_flight(void **state)
{
    after_first(200);
    needs.tickets = needs.hurry = true;
    pace_sent(&p, READING_GATE, T + 5000);
    assert_int_equal(pace_due(&p, &needs).full_us, INT64_MAX);
    assert_int_equal(pace_due(&p, &needs).gate_us, INT64_MAX);
    pace_answered(&p, T + 5100);
    assert_int_equal(p.full_us, 200);
    assert_int_equal(p.gate_us, 100);
    assert_int_equal(pace_due(&p, &needs).full_us, T + 1000); // gates do not put it off
    assert_int_equal(pace_due(&p, &needs).gate_us, T + 5500);
}

static void full_readings_take_a_part_of_the_time(void **state)
{
    after_first(200);
    assert_int_equal(pace_due(&p, &needs).full_us, T + REFRESH);
    assert_int_equal(pace_due(&p, &needs).gate_us, INT64_MAX);
    needs.hurry = true;
    assert_int_equal(pace_due(&p, &needs).full_us, T + 1000);
    after_first(400);
    needs.hurry = true;
    assert_int_equal(pace_due(&p, &needs).full_us, T + 1600);
    after_first(50000);
    assert_int_equal(pace_due(&p, &needs).full_us, T + 100000);
}

static void gates_wait_a_little_for_more(void **state)
{
    after_first(200);
    needs.pending = true;
    assert_int_equal(pace_due(&p, &needs).gate_us, T + 1000);
    needs.tickets = true;
    assert_int_equal(pace_due(&p, &needs).gate_us, T + 500);
    pace_sent(&p, READING_GATE, T + 500);
    pace_answered(&p, T + 3500); // a server far away
    assert_int_equal(pace_due(&p, &needs).gate_us, T + 1000);
    needs.tickets = false;
    assert_int_equal(pace_due(&p, &needs).gate_us, T + 6500);
}

static void vain_ones_become_seldom(void **state)
{
    after_first(200);
    needs.pending = true;
    p.fruitless = 3;
    assert_int_equal(pace_due(&p, &needs).gate_us, T + 8000);
    p.fruitless = 1000;
    assert_int_equal(pace_due(&p, &needs).gate_us, T + REFRESH);
    needs.on = false;
    assert_int_equal(pace_due(&p, &needs).full_us, T + 1000);
    p.waited = 4;
    assert_int_equal(pace_due(&p, &needs).full_us, T + 16000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_reading_is_a_full_one_at_once),
        cmocka_unit_test(one_is_in_flight),
        cmocka_unit_test(full_readings_take_a_part_of_the_time),
        cmocka_unit_test(gates_wait_a_little_for_more),
        cmocka_unit_test(vain_ones_become_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
