// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proxy/control/sessions.h"

static struct database_identity place(uint32_t number)
{
    return (struct database_identity){.started_us = 1000 + number, .database_oid = 5};
}

static void those_of_one_place_do_not_stray(void **state)
{
    struct sessions s = {.beyond = 0};
    assert_false(sessions_stray(&s, place(0)));
    sessions_add(&s, place(0));
    sessions_add(&s, place(0));
    assert_false(sessions_stray(&s, place(0)));
    assert_true(sessions_stray(&s, place(1)));
}

static void another_database_of_the_same_server_is_elsewhere(void **state)
{
    struct sessions s = {.beyond = 0};
    struct database_identity here = place(0), there = place(0);
    there.database_oid++;
    sessions_add(&s, there);
    assert_true(sessions_stray(&s, here));
}

static void the_last_one_elsewhere_ends_it(void **state)
{
    struct sessions s = {.beyond = 0};
    sessions_add(&s, place(0));
    sessions_add(&s, place(1));
    sessions_add(&s, place(1));
    sessions_remove(&s, place(1));
    assert_true(sessions_stray(&s, place(0)));
    sessions_remove(&s, place(1));
    assert_false(sessions_stray(&s, place(0)));
}

static void more_places_than_are_known_count_too(void **state)
{
    struct sessions s = {.beyond = 0};
    enum { ALL = SESSIONS_PLACES_MAX + 3 };
    for (uint32_t i = 0; i < ALL; i++)
        sessions_add(&s, place(i));
    sessions_remove(&s, place(1)); // a place is free: one beyond may come to it
    sessions_add(&s, place(ALL - 1));
    for (uint32_t i = 1; i < ALL; i++) {
        assert_true(sessions_stray(&s, place(0)));
        sessions_remove(&s, place(i == 1 ? ALL - 1 : i));
    }
    assert_false(sessions_stray(&s, place(0)));
    sessions_remove(&s, place(0));
    assert_int_equal(s.beyond, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_one_place_do_not_stray),
        cmocka_unit_test(another_database_of_the_same_server_is_elsewhere),
        cmocka_unit_test(the_last_one_elsewhere_ends_it),
        cmocka_unit_test(more_places_than_are_known_count_too),
    };
    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
