// SPDX-License-Identifier: Apache-2.0
// Names that are more than names.
#include "proxy/login/ldap_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/ldap_options.h"

static char *const dn = (char *)(uintptr_t)"cn=";
static char *const tail = (char *)(uintptr_t)",dc=x";

static void filters(void **state)
{
    static const char *const cases[][3] = {
        {NULL, "alice", "(uid=alice)"},
        {NULL, "*", "(uid=\\2a)"},
        {NULL, "a)(uid=*", "(uid=a\\29\\28uid=\\2a)"},
        {NULL, "a\\2a", "(uid=a\\5c2a)"},
        {NULL, "m\xc3\xbcller", "(uid=m\xc3\xbcller)"},
        {"(|(uid=$username)(mail=$username))", "a)(b", "(|(uid=a\\29\\28b)(mail=a\\29\\28b))"},
        {"(uid=$username)", "$username", "(uid=$username)"},
        {"(cn=x)", "alice", "(cn=x)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ldap_options o = {.search_filter = (char *)(uintptr_t)cases[i][0]};
        struct buf out = {0};
        ldap_text_filter(&o, cases[i][1], &out);
        assert_string_equal((char *)out.at, cases[i][2]);
        buf_fini(&out);
    }
    struct ldap_options mail = {.search_attribute = (char *)(uintptr_t)"mail"};
    struct buf out = {0};
    ldap_text_filter(&mail, "a", &out);
    assert_string_equal((char *)out.at, "(mail=a)");
    buf_fini(&out);
}

static void distinguished_names(void **state)
{
    static const char *const cases[][2] = {
        {"alice", "cn=alice,dc=x"},
        {"a,ou=admins", "cn=a\\2cou\\3dadmins,dc=x"},
        {"a+uid=b", "cn=a\\2buid\\3db,dc=x"},
        {"\"a\";<b>\\", "cn=\\22a\\22\\3b\\3cb\\3e\\5c,dc=x"},
        {" a b ", "cn=\\20a b\\20,dc=x"},
        {"#a#b", "cn=\\23a#b,dc=x"},
        {" ", "cn=\\20,dc=x"},
        {"a\nb", "cn=a\\0ab,dc=x"},
        {"o'neil", "cn=o'neil,dc=x"},
    };
    struct ldap_options o = {.prefix = dn, .suffix = tail};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        assert_true(ldap_text_name(&o, cases[i][0], &out));
        assert_string_equal((char *)out.at, cases[i][1]);
        buf_fini(&out);
    }
}

static void names_with_a_domain(void **state)
{
    struct ldap_options at = {.suffix = (char *)(uintptr_t)"@example.net"};
    struct ldap_options domain = {.prefix = (char *)(uintptr_t)"EXAMPLE\\"};
    struct buf out = {0};
    assert_true(ldap_text_name(&at, "o'neil x.y-z_1", &out));
    assert_string_equal((char *)out.at, "o'neil x.y-z_1@example.net");
    buf_clear(&out);
    assert_true(ldap_text_name(&domain, "alice", &out));
    assert_string_equal((char *)out.at, "EXAMPLE\\alice");
    buf_clear(&out);
    static const char *const more[] = {"cn=admin,dc=x", "a@other.net", "OTHER\\a", "a/b", "a*",
                                       "a;b", "a<b", "a\tb", "a\"b", "a+b", "a(b"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        assert_false(ldap_text_name(&at, more[i], &out));
        assert_false(ldap_text_name(&domain, more[i], &out));
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters),
        cmocka_unit_test(distinguished_names),
        cmocka_unit_test(names_with_a_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
