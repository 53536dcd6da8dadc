// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/entrance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void nobody_is_in(void **state)
{
    struct entrance e;
    struct entrant a = {0};
    entrance_init(&e);
    assert_null(entrance_weakest(&e));
    entrance_leave(&e, &a);
    entrance_move(&e, &a, 1);
    assert_null(entrance_weakest(&e));
    entrance_fini(&e);
}

static void the_oldest_of_one_place(void **state)
{
    struct entrance e;
    struct entrant a[3] = {0};
    entrance_init(&e);
    for (int i = 0; i < 3; i++)
        entrance_enter(&e, &a[i], 7);
    assert_ptr_equal(entrance_weakest(&e), &a[0]);
    entrance_leave(&e, &a[0]);
    assert_ptr_equal(entrance_weakest(&e), &a[1]);
    entrance_leave(&e, &a[1]);
    entrance_leave(&e, &a[2]);
    assert_null(entrance_weakest(&e));
    entrance_fini(&e);
}

static void who_has_many_makes_room(void **state)
{
    struct entrance e;
    struct entrant honest = {0}, late = {0}, many[50] = {0};
    entrance_init(&e);
    entrance_enter(&e, &honest, 1); // the oldest of all
    for (int i = 0; i < 50; i++)
        entrance_enter(&e, &many[i], 2);
    entrance_enter(&e, &late, 3);
    for (int i = 0; i < 49; i++) {
        assert_ptr_equal(entrance_weakest(&e), &many[i]);
        entrance_leave(&e, &many[i]);
    }
    assert_ptr_equal(entrance_weakest(&e), &honest); // one each: the oldest
    // Announced to come from where the other one comes from.
    entrance_move(&e, &late, 2);
    assert_ptr_equal(entrance_weakest(&e), &many[49]);
    entrance_leave(&e, &many[49]);
    entrance_leave(&e, &honest);
    assert_ptr_equal(entrance_weakest(&e), &late);
    entrance_leave(&e, &late);
    entrance_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_in),
        cmocka_unit_test(the_oldest_of_one_place),
        cmocka_unit_test(who_has_many_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
