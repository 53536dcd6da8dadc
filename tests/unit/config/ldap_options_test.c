// SPDX-License-Identifier: Apache-2.0
#include "config/ldap_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void must_read(struct ldap_options *options, const char *text)
{
    char why[300] = "";
    *options = (struct ldap_options){0};
    if (!ldap_options_read(options, text, why, sizeof why))
        fail_msg("%s: %s", text, why);
}

static void must_fail(const char *text, const char *sentence)
{
    char why[300] = "";
    struct ldap_options options = {0};
    assert_false(ldap_options_read(&options, text, why, sizeof why));
    if (strstr(why, sentence) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", text, why, sentence);
    ldap_options_fini(&options);
}

static void simple_bind(void **state)
{
    struct ldap_options o;
    must_read(&o, "ldapserver=ldap.example.net ldapprefix=\"cn=\" "
                  "ldapsuffix=\", dc=example, dc=net\"");
    assert_string_equal(o.servers, "ldap.example.net");
    assert_string_equal(o.prefix, "cn=");
    assert_string_equal(o.suffix, ", dc=example, dc=net");
    assert_null(o.base_dn);
    assert_int_equal(o.port, 0);
    assert_false(o.ldaps);
    ldap_options_fini(&o);
    assert_null(o.servers);
    must_read(&o, "ldapserver=a,ldapsuffix=@example.net,ldapport=3890,ldaptls=1");
    assert_string_equal(o.suffix, "@example.net");
    assert_int_equal(o.port, 3890);
    assert_true(o.start_tls);
    ldap_options_fini(&o);
}

static void search_and_bind(void **state)
{
    struct ldap_options o;
    must_read(&o, "ldapserver=\"one two\" ldapscheme=ldaps \"ldapbasedn=dc=example, dc=net\" "
                  "ldapbinddn=\"cn=finder,dc=example\" ldapbindpasswd=\"a\"\"b \" "
                  "ldapsearchattribute=mail");
    assert_string_equal(o.servers, "one two");
    assert_true(o.ldaps);
    assert_string_equal(o.base_dn, "dc=example, dc=net");
    assert_string_equal(o.bind_dn, "cn=finder,dc=example");
    assert_string_equal(o.bind_password, "a\"b ");
    assert_string_equal(o.search_attribute, "mail");
    assert_int_equal(o.scope, LDAP_OPTIONS_SUB);
    ldap_options_fini(&o);
    must_read(&o, "ldapbasedn=\"dc=x\" ldapsearchfilter=\"(|(uid=$username)(mail=$username))\"");
    assert_null(o.servers);
    assert_string_equal(o.search_filter, "(|(uid=$username)(mail=$username))");
    ldap_options_fini(&o);
}

static void urls(void **state)
{
    struct ldap_options o;
    must_read(&o, "ldapurl=\"ldap://127.0.0.1:12345/dc=example,dc=net?uid?sub\"");
    assert_string_equal(o.servers, "127.0.0.1");
    assert_int_equal(o.port, 12345);
    assert_string_equal(o.base_dn, "dc=example,dc=net");
    assert_string_equal(o.search_attribute, "uid");
    assert_int_equal(o.scope, LDAP_OPTIONS_SUB);
    ldap_options_fini(&o);
    must_read(&o, "ldapurl=LDAPS://[::1]/dc=a%20b??one?(cn=$username)");
    assert_string_equal(o.servers, "[::1]");
    assert_int_equal(o.port, 0);
    assert_true(o.ldaps);
    assert_string_equal(o.base_dn, "dc=a b");
    assert_null(o.search_attribute);
    assert_int_equal(o.scope, LDAP_OPTIONS_ONE);
    assert_string_equal(o.search_filter, "(cn=$username)");
    ldap_options_fini(&o);
    must_read(&o, "ldapurl=ldap://[::1]:389/dc=x?uid");
    assert_int_equal(o.port, 389);
    assert_int_equal(o.scope, LDAP_OPTIONS_BASE);
    ldap_options_fini(&o);
    must_read(&o, "ldapurl=\"ldap:///dc=example,dc=net\"");
    assert_null(o.servers);
    ldap_options_fini(&o);
}

static void what_is_wrong_is_said(void **state)
{
    must_fail("", "requires argument");
    must_fail("ldapserver=x", "requires argument");
    must_fail("ldapprefix=a", "LDAP server not specified");
    must_fail("ldapserver=x ldapprefix=a ldapbasedn=b", "together with ldapprefix");
    must_fail("ldapserver=x ldapsuffix=a ldapurl=ldap://h/dc=b", "together with ldapprefix");
    must_fail("ldapbasedn=b ldapsearchattribute=u ldapsearchfilter=(a=b)", "ldapsearchfilter");
    must_fail("ldapserver=x ldapprefix", "not in name=value format: ldapprefix");
    must_fail("ldapserver=x ldapbasedn=dc=a,dc=b", "option name: \"dc\"");
    must_fail("ldapserver=\"x ldapprefix=a", "quotation mark");
    must_fail("ldaphost=x", "option name: \"ldaphost\"");
    must_fail("ldapport=0 ldapbasedn=b", "port number: \"0\"");
    must_fail("ldapport=65536 ldapbasedn=b", "port number");
    must_fail("ldapport=-1 ldapbasedn=b", "port number");
    must_fail("ldapport=38x ldapbasedn=b", "port number");
    must_fail("ldaptls=yes ldapbasedn=b", "ldaptls value: \"yes\"");
    must_fail("ldapscheme=http ldapbasedn=b", "ldapscheme value: \"http\"");
    must_fail("ldapurl=http://x/dc=a", "URL scheme: http");
    must_fail("ldapurl=ldapi:///dc=a", "URL scheme: ldapi");
    must_fail("ldapurl=x/dc=a", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h:x/dc=a", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h:1234567890/dc=a", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://[::1/dc=a", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h/dc=a?uid?all", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h/dc=%0", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h/dc=%00", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h/dc=%zz", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h?uid", "could not parse LDAP URL");
    must_fail("ldapurl=ldap://h/dc=a?uid?sub?" "?!x", "could not parse LDAP URL");
    must_fail("ldapserver=x ldapscheme=ldaps ldaptls=1 ldapprefix=a", "ldaptls together");
}

static void the_password_is_not_shown(void **state)
{
    static const char *const shown[][2] = {
        {"ldapserver=x ldapbindpasswd=secret ldapbasedn=b",
         "ldapserver=x ldapbindpasswd=*** ldapbasedn=b"},
        {"ldapbasedn=\"a, b\",\"ldapbindpasswd=se cr\"\"et\"",
         "ldapbasedn=\"a, b\" ldapbindpasswd=***"},
        {"ldapbind\"passwd=\"secret", "ldapbindpasswd=***"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        struct buf out = {0};
        ldap_options_print(shown[i][0], &out);
        assert_int_equal(out.len, strlen(shown[i][1]));
        assert_memory_equal(out.at, shown[i][1], out.len);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_bind),
        cmocka_unit_test(search_and_bind),
        cmocka_unit_test(urls),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_password_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
