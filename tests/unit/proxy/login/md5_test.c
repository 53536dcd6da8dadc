// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/md5.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// CREATE ROLE m PASSWORD 'secret' in PostgreSQL 15 with password_encryption = md5.
static const char stored[] = "md5b52328d7451bfeace80c4b8c338106f9";
static const uint8_t salt[MD5_SALT_BYTES] = {1, 0, 0xff, 7};

static void the_stored_form_is_postgresqls(void **state)
{
    char text[MD5_TEXT_BYTES];
    assert_true(md5_secret(text, slice_str("secret"), "m"));
    assert_string_equal(text, stored);
}

static void both_kinds_of_secret_answer_alike(void **state)
{
    char plain[MD5_TEXT_BYTES], hashed[MD5_TEXT_BYTES];
    assert_true(md5_answer(plain, "secret", "m", salt));
    assert_true(md5_answer(hashed, stored, "m", salt));
    assert_string_equal(plain, hashed);
    // md5 of "b52328d7451bfeace80c4b8c338106f9" and the four bytes, by md5sum(1)
    assert_string_equal(plain, "md5449be9f1adaf7ae8306009950ae198ce");
    assert_false(md5_answer(plain, "", "m", salt));
    assert_false(md5_answer(plain, NULL, "m", salt));
    assert_false(md5_answer(plain, "SCRAM-SHA-256$x", "m", salt));
}

static void only_the_right_answer_is_right(void **state)
{
    char answer[MD5_TEXT_BYTES];
    assert_true(md5_answer(answer, "secret", "m", salt));
    struct slice right = slice_of(answer, MD5_TEXT_BYTES - 1);
    assert_true(md5_check(right, "secret", "m", salt));
    assert_true(md5_check(right, stored, "m", salt));
    assert_false(md5_check(right, "other", "m", salt));
    assert_false(md5_check(right, "secret", "n", salt));
    assert_false(md5_check(right, "secret", "m", (const uint8_t[4]){1, 0, 0xff, 8}));
    assert_false(md5_check(slice_of(answer, 34), "secret", "m", salt));
    assert_false(md5_check(slice_of(answer, 36), "secret", "m", salt));
    assert_false(md5_check(slice_of(NULL, 0), "secret", "m", salt));
    assert_false(md5_check(right, NULL, "m", salt));
    assert_false(md5_check(right, "", "m", salt));
    assert_false(md5_check(right, "SCRAM-SHA-256$x", "m", salt));
    // The password that stands in for an unknown user opens nothing.
    assert_true(md5_answer(answer, "no such user", "m", salt));
    assert_false(md5_check(slice_of(answer, 35), NULL, "m", salt));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stored_form_is_postgresqls),
        cmocka_unit_test(both_kinds_of_secret_answer_alike),
        cmocka_unit_test(only_the_right_answer_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
