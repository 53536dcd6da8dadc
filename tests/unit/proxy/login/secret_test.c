// SPDX-License-Identifier: Apache-2.0
// The secrets were made by PostgreSQL 15: CREATE ROLE s PASSWORD 'p"w, é=1', m PASSWORD 'secret'.
#include "proxy/login/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char scram[] = "SCRAM-SHA-256$4096:qLOOuiSM+BNCRfBRwzvZ1w==$"
                            "ry7aU8wKvwb6ihiNB9uLSFxpqXHUHtSDcVMgWBv924s=:"
                            "ijBDz9P2m6EKh1nEPWg+y21XJggioaRd9FOKrbWPZpY=";
static const char md5[] = "md5b52328d7451bfeace80c4b8c338106f9";

static void kinds_are_told_apart(void **state)
{
    assert_int_equal(secret_kind(NULL), SECRET_NONE);
    assert_int_equal(secret_kind(""), SECRET_NONE);
    assert_int_equal(secret_kind("password"), SECRET_PLAIN);
    assert_int_equal(secret_kind(md5), SECRET_MD5);
    assert_int_equal(secret_kind("md5b52328d7451bfeace80c4b8c338106f"), SECRET_PLAIN);
    assert_int_equal(secret_kind("md5b52328d7451bfeace80c4b8c338106f99"), SECRET_PLAIN);
    assert_int_equal(secret_kind("md5B52328D7451BFEACE80C4B8C338106F9"), SECRET_PLAIN);
    assert_int_equal(secret_kind(scram), SECRET_SCRAM);
    assert_int_equal(secret_kind("SCRAM-SHA-256"), SECRET_PLAIN);
    assert_int_equal(secret_kind("SCRAM-SHA-256$broken"), SECRET_SCRAM);
}

static bool fits(const char *secret, const char *user, const char *password)
{
    return secret_fits(secret, user, slice_str(password));
}

static void passwords_fit_their_secrets(void **state)
{
    assert_true(fits("plain", "x", "plain"));
    assert_false(fits("plain", "x", "plain2"));
    assert_false(fits("plain", "x", "plai"));
    assert_true(fits(md5, "m", "secret"));
    assert_false(fits(md5, "m", "Secret"));
    assert_false(fits(md5, "n", "secret"));
    assert_true(fits(scram, "anyone", "p\"w, \xc3\xa9=1"));
    assert_false(fits(scram, "s", "p\"w, e=1"));
    assert_false(fits(scram, "s", scram)); // knowing the secret is not knowing the password
    assert_false(fits(md5, "m", md5));
    assert_false(fits("SCRAM-SHA-256$broken", "s", "SCRAM-SHA-256$broken"));
    assert_false(fits(NULL, "x", "x"));
    assert_false(fits("", "x", ""));
    assert_false(fits("x", "x", ""));
}

static void a_scram_secret_is_read(void **state)
{
    struct scram_verifier v;
    assert_true(secret_read_scram(scram, &v));
    assert_int_equal(v.iterations, 4096);
    assert_int_equal(v.salt_len, 16);
    assert_int_equal(v.salt[0], 0xa8);
    assert_int_equal(v.stored_key[0], 0xaf);
    assert_int_equal(v.server_key[0], 0x8a);
}

static void broken_scram_secrets_are_not_read(void **state)
{
#define KEY "ry7aU8wKvwb6ihiNB9uLSFxpqXHUHtSDcVMgWBv924s="
    static const char *const bad[] = {
        "",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256$",
        "SCRAM-SHA-256$4096",
        "SCRAM-SHA-256$4096:c2FsdA==",
        "SCRAM-SHA-256$4096:c2FsdA==$" KEY,
        "SCRAM-SHA-256$4096:c2FsdA==$" KEY ":",
        "SCRAM-SHA-256$4096:c2FsdA==$:" KEY,
        "SCRAM-SHA-256$0:c2FsdA==$" KEY ":" KEY,
        "SCRAM-SHA-256$-1:c2FsdA==$" KEY ":" KEY,
        "SCRAM-SHA-256$1000001:c2FsdA==$" KEY ":" KEY,
        "SCRAM-SHA-256$99999999999:c2FsdA==$" KEY ":" KEY,
        "SCRAM-SHA-256$:c2FsdA==$" KEY ":" KEY,
        "SCRAM-SHA-256$4096:$" KEY ":" KEY,
        "SCRAM-SHA-256$4096:c2FsdA=$" KEY ":" KEY,
        "SCRAM-SHA-256$4096:c2FsdA==$" KEY ":" KEY "x",
        "SCRAM-SHA-256$4096:c2FsdA==$" KEY ":" KEY ":" KEY,
        "SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:" KEY,
        "SCRAM-SHA-1$4096:c2FsdA==$" KEY ":" KEY,
    };
    struct scram_verifier v;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(secret_read_scram(bad[i], &v));
    assert_false(secret_read_scram(NULL, &v));
    assert_true(secret_read_scram("SCRAM-SHA-256$1000000:c2FsdA==$" KEY ":" KEY, &v));
}

static void a_salt_of_any_length_stays_inside(void **state)
{
    struct scram_verifier v;
    char text[1024] = "SCRAM-SHA-256$4096:";
    for (int i = 0; i < 88; i++) // 264 bytes, eight too many
        strcat(text, "AAAA");
    strcat(text, "$" KEY ":" KEY);
    assert_false(secret_read_scram(text, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(passwords_fit_their_secrets),
        cmocka_unit_test(a_scram_secret_is_read),
        cmocka_unit_test(broken_scram_secrets_are_not_read),
        cmocka_unit_test(a_salt_of_any_length_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
