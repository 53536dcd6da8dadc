// SPDX-License-Identifier: Apache-2.0
#include "config/hba.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "config/ident.h"
#include "config/ldap_options.h"
#include "config/problem.h"
#include "tests/unit/config/scratch.h"

// Which line fits: its number, 0: none. from: an address or "unix"; with "tls" or "replication".
static int line_for(const struct hba *hba, const char *database, const char *user,
                    const char *from, const char *with)
{
    uint8_t address[16];
    bool local = strcmp(from, "unix") == 0;
    bool v6 = strchr(from, ':') != NULL;
    if (!local)
        assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, from, address), 1);
    const struct hba_asker asker = {
        .database = database, .user = user, .is_local = local, .has_address = !local,
        .family = v6 ? NETWORK_IPV6 : NETWORK_IPV4, .address = address,
        .encrypted = strcmp(with, "tls") == 0, .physical = strcmp(with, "replication") == 0};
    const struct hba_rule *rule = hba_find(hba, &asker);
    return rule != NULL ? rule->line : 0;
}

static struct hba *load(void **state, const char *text, struct problems *problems)
{
    return hba_load(scratch_text(state, "hba", text), "", problems);
}

static void check(void **state, const char *line, const char *database, const char *user,
                  const char *from, const char *with, bool fits)
{
    struct problems problems = {0};
    struct hba *hba = load(state, line, &problems);
    assert_non_null(hba);
    assert_int_equal(problems.count, 0);
    if (line_for(hba, database, user, from, with) != (fits ? 1 : 0))
        fail_msg("%s: %s %s %s %s", line, database, user, from, with);
    hba_unref(hba);
}

static void connections(void **state)
{
    check(state, "local all all md5", "d", "u", "unix", "", true);
    check(state, "local all all md5", "d", "u", "10.0.0.1", "", false);
    check(state, "host all all 0.0.0.0/0 md5", "d", "u", "unix", "", false);
    check(state, "host all all all md5", "d", "u", "unix", "", false);
    check(state, "host all all all md5", "d", "u", "10.0.0.1", "", true);
    check(state, "host all all all md5", "d", "u", "10.0.0.1", "tls", true);
    check(state, "host all all all md5", "d", "u", "::1", "", true);
    check(state, "hostssl all all all md5", "d", "u", "10.0.0.1", "", false);
    check(state, "hostssl all all all md5", "d", "u", "10.0.0.1", "tls", true);
    check(state, "hostnossl all all all md5", "d", "u", "10.0.0.1", "", true);
    check(state, "hostnossl all all all md5", "d", "u", "10.0.0.1", "tls", false);
}

static void addresses(void **state)
{
    check(state, "host all all 10.0.0.0/8 md5", "d", "u", "10.255.1.2", "", true);
    check(state, "host all all 10.0.0.0/8 md5", "d", "u", "11.0.0.1", "", false);
    check(state, "host all all 10.0.0.0 255.0.0.0 md5", "d", "u", "10.255.1.2", "", true);
    check(state, "host all all 10.0.0.0 255.0.0.0 md5", "d", "u", "11.0.0.1", "", false);
    check(state, "host all all 199.199.199.199/32 md5", "d", "u", "199.199.199.199", "", true);
    check(state, "host all all 199.199.199.199/32 md5", "d", "u", "199.199.199.198", "", false);
    check(state, "host all all 128.0.0.0/1 md5", "d", "u", "254.1.1.1", "", true);
    check(state, "host all all 128.0.0.0/2 md5", "d", "u", "254.1.1.1", "", false);
    check(state, "host all all 0.0.0.0/0 md5", "d", "u", "254.1.1.1", "", true);
    check(state, "host all all 0.0.0.0/0 md5", "d", "u", "::1", "", false);
    check(state, "host all all ::/0 md5", "d", "u", "10.0.0.1", "", false);
    check(state, "host all all ff11::0/16 md5", "d", "u", "ff11:2::1", "", true);
    check(state, "host all all ff20::/12 md5", "d", "u", "ff22:3::1", "", true);
    check(state, "host all all ff20::/12 md5", "d", "u", "ff32:3::1", "", false);
    check(state, "host all all ::1/128 md5", "d", "u", "::2", "", false);
    check(state, "host all all fe80:: ffff:: md5", "d", "u", "fe80::2", "", true);
}

static void names(void **state)
{
    check(state, "local d1 u1 md5", "d1", "u1", "unix", "", true);
    check(state, "local d1 u1 md5", "d2", "u1", "unix", "", false);
    check(state, "local d1 u1 md5", "d1", "u2", "unix", "", false);
    check(state, "local d1,d2 u1,u2 , u3 md5", "d2", "u3", "unix", "", true);
    check(state, "local d1,d2 u1,u2 , u3 md5", "d3", "u3", "unix", "", false);
    check(state, "local sameuser all md5", "one", "one", "unix", "", true);
    check(state, "local sameuser all md5", "one", "two", "unix", "", false);
    check(state, "local x,sameuser all md5", "x", "two", "unix", "", true);
    // In quotes nothing is a keyword.
    check(state, "local \"all\" \"all\" md5", "d", "u", "unix", "", false);
    check(state, "local \"all\" \"all\" md5", "all", "all", "unix", "", true);
    check(state, "local \"sameuser\" all md5", "one", "one", "unix", "", false);
    check(state, "local \"q1\"\"q2\" \"a , b\" md5#", "q1\"q2", "a , b", "unix", "",
          true);
    check(state, "local \"#\" all md5", "#", "u", "unix", "", true);
    // sameuser is a database's keyword only.
    check(state, "local all sameuser md5", "one", "one", "unix", "", false);
    // Case counts, and no name is a part of another.
    check(state, "local ALL all md5", "d", "u", "unix", "", false);
    check(state, "local d u md5", "dd", "u", "unix", "", false);
}

static void replication(void **state)
{
    check(state, "local replication all md5", "d", "u", "unix", "replication", true);
    check(state, "local all all md5", "d", "u", "unix", "replication", false);
    check(state, "local d all md5", "d", "u", "unix", "replication", false);
    check(state, "local replication all md5", "replication", "u", "unix", "", false);
    check(state, "local \"replication\" all md5", "replication", "u", "unix", "", true);
    check(state, "local \"replication\" all md5", "d", "u", "unix", "replication", false);
    check(state, "local d2,replication u md5", "d2", "u", "unix", "", true);
    check(state, "local d2,replication u md5", "d2", "u", "unix", "replication", true);
}

static void the_first_line_counts(void **state)
{
    struct problems problems = {0};
    struct hba *hba = load(state,
                           "# comment\n\n \t\t\nlocal all u1 reject\n"
                           "local all all scram-sha-256\r\n"
                           "host d all 10.0.0.0/8 trust",
                           &problems);
    assert_int_equal(problems.count, 0);
    assert_int_equal(line_for(hba, "d", "u1", "unix", ""), 4);
    assert_int_equal(line_for(hba, "d", "u2", "unix", ""), 5);
    assert_int_equal(line_for(hba, "d", "u2", "10.0.0.1", ""), 6);
    assert_int_equal(line_for(hba, "e", "u2", "10.0.0.1", ""), 0);
    hba_unref(hba);
}

static void methods(void **state)
{
    static const struct {
        const char *word;
        enum config_auth_type method;
        const char *pam_service, *ldap_server;
    } cases[] = {
        {"trust", CONFIG_AUTH_TRUST, NULL, NULL}, {"reject", CONFIG_AUTH_REJECT, NULL, NULL},
        {"md5", CONFIG_AUTH_MD5, NULL, NULL}, {"password", CONFIG_AUTH_PLAIN, NULL, NULL},
        {"scram-sha-256", CONFIG_AUTH_SCRAM, NULL, NULL}, {"peer", CONFIG_AUTH_PEER, NULL, NULL},
        {"cert", CONFIG_AUTH_CERT, NULL, NULL}, {"pam", CONFIG_AUTH_PAM, NULL, NULL},
        {"pam pamservice=x # c", CONFIG_AUTH_PAM, "x", NULL},
        {"ldap", CONFIG_AUTH_LDAP, NULL, NULL},
        {"ldap ldapserver=x ldapsuffix=\"a # b\" # c", CONFIG_AUTH_LDAP, NULL, "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[120];
        struct problems problems = {0};
        snprintf(text, sizeof text, "local all all %s\n", cases[i].word);
        struct hba *hba = load(state, text, &problems);
        assert_int_equal(problems.count, 0);
        const struct hba_asker asker = {.database = "d", .user = "u", .is_local = true};
        const struct hba_rule *rule = hba_find(hba, &asker);
        assert_int_equal(rule->method, cases[i].method);
        assert_int_equal(rule->pam_service != NULL, cases[i].pam_service != NULL);
        if (cases[i].pam_service != NULL)
            assert_string_equal(rule->pam_service, cases[i].pam_service);
        assert_int_equal(rule->ldap != NULL, cases[i].ldap_server != NULL);
        if (cases[i].ldap_server != NULL) {
            assert_string_equal(rule->ldap->servers, cases[i].ldap_server);
            assert_string_equal(rule->ldap->suffix, "a # b");
        }
        hba_unref(hba);
    }
}

static void bad_lines_are_left_out(void **state)
{
    static const char *const cases[][2] = {
        {"hosts all all all md5", "hba line 2: unknown type"},
        {"\"local\" all all md5", "unknown type"},
        {"local", "did not find a database"},
        {"local all", "did not find a user"},
        {"local all all", "unsupported method: buf="},
        {"local all all any", "unsupported method: buf=any"},
        {"local all all hba", "unsupported method: buf=hba"},
        {"local all all \"trust\"", "unsupported method: buf=trust"},
        {"local all, all md5", "unsupported method: buf="},
        {"local all +group md5", "names of groups are not supported: +group"},
        {"local samerole all md5", "samerole is not supported"},
        {"local samegroup all md5", "samegroup is not supported"},
        {"local all all md5 more", "Ident map is malformed"},
        {"local all all peer map=none", "Ident map is not found in ident config file: none"},
        {"local all all md5 \"x\"", "Ident map is malformed"},
        {"local all all md5 ,", "unsupported parameters"},
        {"local all all pam pamservice=a/b", "unsupported parameter: pamservice=a/b"},
        {"local all all ldap nonsense=1", "nonsense"},
        {"local \"all all md5", "did not find a database"},
        {"local @none all md5", "could not open"},
        {"host all all md5", "failed to parse address - md5"},
        {"host all all", "did not find address"},
        {"host all all samenet md5", "failed to parse address - samenet"},
        {"host all all example.org md5", "failed to parse address - example.org"},
        {"host all all 10.0.0.1 md5", "failed to parse mask: md5"},
        {"host all all 10.0.0.1", "did not find mask"},
        {"host all all 10.0.0.0/33 md5", "invalid mask"},
        {"host all all ::/129 md5", "invalid mask"},
        {"host all all 10.0.0.0/ md5", "invalid mask"},
        {"host all all 10.0.0.0/-1 md5", "invalid mask"},
        {"host all all 10.0.0.0/8x md5", "invalid mask"},
        {"host all all 10.0.0/8 md5", "failed to parse address"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[160];
        struct problems problems = {0};
        snprintf(text, sizeof text, "local d u reject\n%s\nlocal all all trust\n", cases[i][0]);
        struct hba *hba = load(state, text, &problems);
        assert_non_null(hba);
        assert_int_equal(problems.count, 1);
        assert_int_equal(problems.at[0].grade, PROBLEM_WARNING);
        assert_int_equal(problems.at[0].line, 2);
        if (strstr(problems.at[0].text, cases[i][1]) == NULL ||
            strstr(problems.at[0].text, "could not parse hba config line 2") == NULL)
            fail_msg("%s: %s", cases[i][0], problems.at[0].text);
        assert_int_equal(line_for(hba, "d", "u", "unix", ""), 1);
        assert_int_equal(line_for(hba, "e", "u", "unix", ""), 3);
        assert_int_equal(line_for(hba, "e", "u", "10.0.0.1", ""), 0);
        hba_unref(hba);
        problems_fini(&problems);
    }
}

// What is missing may be what rejects.
static void an_include_that_cannot_be_followed_is_an_error(void **state)
{
    static const char *const cases[][2] = {
        {"include none", "could not open"}, {"include", "include of what?"},
        {"include_if_exists", "include of what?"}, {"include hba", "nested too deeply"},
        {"include outer", "could not open"},
    };
    scratch_text(state, "outer", "include none\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[160];
        struct problems problems = {0};
        snprintf(text, sizeof text, "%s\nlocal all all trust\n", cases[i][0]);
        assert_null(load(state, text, &problems));
        assert_int_equal(problems.errors, 1);
        assert_int_equal(problems.count, 1);
        if (strstr(problems.at[0].text, cases[i][1]) == NULL ||
            strstr(problems.at[0].text, "could not parse hba config line 1") == NULL)
            fail_msg("%s: %s", cases[i][0], problems.at[0].text);
        problems_fini(&problems);
    }
}

static void a_mask_that_cuts_the_address_fits_nobody(void **state)
{
    struct problems problems = {0};
    struct hba *hba = load(state, "host all all 10.0.0.1/8 md5", &problems);
    assert_int_equal(problems.count, 1);
    assert_non_null(strstr(problems.at[0].text, "address does not match mask in "));
    assert_int_equal(line_for(hba, "d", "u", "10.0.0.1", ""), 0);
    hba_unref(hba);
    problems_fini(&problems);
    hba = load(state, "host all all 10.0.0.1/8 reject\nhost all all 0.0.0.0/0 md5", &problems);
    assert_int_equal(line_for(hba, "d", "u", "10.9.9.9", ""), 1);
    assert_int_equal(line_for(hba, "d", "u", "11.0.0.1", ""), 2);
    hba_unref(hba);
    problems_fini(&problems);
}

static void files_of_names(void **state)
{
    struct problems problems = {0};
    scratch_text(state, "more", "u7\n");
    scratch_text(state, "names", "u1, u2\n\n# comment\nu3 \"u 4\"\n@more\n");
    struct hba *hba = load(state, "local all @names,u5 md5\n", &problems);
    assert_int_equal(problems.count, 0);
    static const char *const in[] = {"u1", "u2", "u3", "u 4", "u5", "u7"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
        assert_int_equal(line_for(hba, "d", in[i], "unix", ""), 1);
    assert_int_equal(line_for(hba, "d", "u6", "unix", ""), 0);
    hba_unref(hba);
    // Into itself: it ends.
    scratch_text(state, "names", "@names");
    hba = load(state, "local all @names md5\n", &problems);
    assert_int_equal(problems.count, 1);
    assert_int_equal(line_for(hba, "d", "u1", "unix", ""), 0);
    hba_unref(hba);
    problems_fini(&problems);
}

static void included_files(void **state)
{
    struct problems problems = {0};
    scratch_text(state, "inner", "# none\nlocal all u1 md5\nnonsense\n");
    struct hba *hba = load(state, "include inner\ninclude_if_exists none\nlocal all all md5\n",
                           &problems);
    assert_int_equal(problems.count, 1);
    assert_non_null(strstr(problems.at[0].file, "/inner"));
    assert_int_equal(problems.at[0].line, 3);
    const struct hba_asker asker = {.database = "d", .user = "u1", .is_local = true};
    const struct hba_rule *rule = hba_find(hba, &asker);
    assert_int_equal(rule->line, 2);
    assert_non_null(strstr(rule->file, "/inner"));
    assert_int_equal(line_for(hba, "d", "u2", "unix", ""), 3);
    hba_unref(hba);
    problems_fini(&problems);
}

static void files_that_cannot_be_read(void **state)
{
    struct problems problems = {0};
    assert_null(hba_load("/nonexistent/hba", "", &problems));
    assert_int_equal(problems.errors, 1);
    assert_non_null(strstr(problems.at[0].text, "could not open hba config file /nonexistent/hba"));
    assert_null(hba_load(scratch_text(state, "hba", ""), "/nonexistent/ident", &problems));
    assert_int_equal(problems.errors, 2);
    assert_non_null(strstr(problems.at[1].text, "could not open ident config file "));
    // A NUL must not make a line of a part of one.
    static const char nul[] = "local all all trust\0 more\n";
    assert_null(hba_load(scratch_file(state, "hba", nul, sizeof nul - 1), "", &problems));
    assert_int_equal(problems.errors, 3);
    problems_fini(&problems);
}

static void maps_are_found(void **state)
{
    struct problems problems = {0};
    const char *ident = scratch_text(state, "ident", "m os db\n");
    struct hba *hba = hba_load(scratch_text(state, "hba", "local all all peer map=m # c\n"), ident,
                               &problems);
    assert_int_equal(problems.count, 0);
    const struct hba_asker asker = {.database = "d", .user = "u", .is_local = true};
    const struct hba_rule *rule = hba_find(hba, &asker);
    assert_string_equal(ident_map_name(rule->map), "m");
    assert_true(ident_allows(rule->map, "os", "db"));
    hba_unref(hba_ref(hba));
    assert_true(ident_allows(rule->map, "os", "db"));
    hba_unref(hba);
}

// Read anew: the same text, in the files that it names as well.
static void the_same_text(void **state)
{
    static const char *const texts[][3] = {
        {"include lines\n", "local all all trust\n", "m os db\n"},
        {"include lines\n\n", "local all all trust\n", "m os db\n"},
        {"include lines\n", "local all all reject\n", "m os db\n"},
        {"include lines\n", "local all all trust\n", "m os other\n"},
    };
    struct problems problems = {0};
    struct hba *first = NULL;
    for (size_t i = 0; i < 5; i++) {
        const char *const *t = texts[i % 4];
        scratch_text(state, "lines", t[1]);
        const char *ident = scratch_text(state, "ident", t[2]);
        struct hba *hba = hba_load(scratch_text(state, "hba", t[0]), ident, &problems);
        assert_non_null(hba);
        if (i == 0)
            first = hba_ref(hba);
        assert_int_equal(hba_same(first, hba), i % 4 == 0);
        assert_false(hba_same(hba, NULL));
        hba_unref(hba);
    }
    hba_unref(first);
    assert_true(hba_same(NULL, NULL));
    problems_fini(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(addresses, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(names, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(replication, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(the_first_line_counts, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(methods, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(bad_lines_are_left_out, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(an_include_that_cannot_be_followed_is_an_error,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_mask_that_cuts_the_address_fits_nobody, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(files_of_names, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(included_files, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(maps_are_found, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(the_same_text, scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
