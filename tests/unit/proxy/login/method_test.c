// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_scram_secret_makes_md5_scram(void **state)
{
    assert_int_equal(login_method_with(CONFIG_AUTH_MD5, "SCRAM-SHA-256$x"), CONFIG_AUTH_SCRAM);
    assert_int_equal(login_method_with(CONFIG_AUTH_MD5, "a password"), CONFIG_AUTH_MD5);
    assert_int_equal(login_method_with(CONFIG_AUTH_MD5, NULL), CONFIG_AUTH_MD5);
    assert_int_equal(login_method_with(CONFIG_AUTH_PLAIN, "SCRAM-SHA-256$x"), CONFIG_AUTH_PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scram_secret_makes_md5_scram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
