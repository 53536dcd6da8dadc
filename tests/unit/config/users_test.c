// SPDX-License-Identifier: Apache-2.0
#include "config/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config/scratch.h"

static void users_are_read(void **state)
{
    struct users users = {0};
    struct problems problems = {0};
    const char *path = scratch_text(state, "userlist.txt",
                                    "; comment\n"
                                    "\n"
                                    "\"alice\" \"secret\"\n"
                                    "  \"bob\"\t\"md5abc\" \"ignored\" more\r\n"
                                    "\"o\"\"d\"\"d\" \"\"\"quoted\"\"\"\n"
                                    "# comment\n"
                                    "\"empty\" \"\"\n"
                                    "\"last\" \"SCRAM-SHA-256$4096:x$y:z\"");
    assert_true(users_load(&users, path, &problems));
    assert_int_equal(users.count, 5);
    assert_string_equal(users.at[0].name, "alice");
    assert_string_equal(users.at[0].secret, "secret");
    assert_int_equal(users.at[0].line, 3);
    assert_string_equal(users.at[1].name, "bob");
    assert_string_equal(users.at[1].secret, "md5abc");
    assert_string_equal(users.at[2].name, "o\"d\"d");
    assert_string_equal(users.at[2].secret, "\"quoted\"");
    assert_string_equal(users.at[3].secret, "");
    assert_string_equal(users.at[4].secret, "SCRAM-SHA-256$4096:x$y:z");
    users_fini(&users);
    assert_int_equal(users.count, 0);
    problems_fini(&problems);
}

static void broken_lines_are_reported(void **state)
{
    static const char *const broken[] = {"alice secret", "\"alice\"", "\"alice", "\"alice\" secret",
                                         "\"alice\" \"secret", "\"alice\" \"secret\"\""};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct users users = {0};
        struct problems problems = {0};
        char text[128];
        snprintf(text, sizeof text, "\"good\" \"one\"\n%s\n\"and\" \"another\"\n", broken[i]);
        assert_false(users_load(&users, scratch_text(state, "u", text), &problems));
        assert_int_equal(problems.errors, 1);
        assert_int_equal(problems.at[0].line, 2);
        assert_int_equal(users.count, 2);
        users_fini(&users);
        problems_fini(&problems);
    }
}

static void a_missing_file_is_an_error(void **state)
{
    struct users users = {0};
    struct problems problems = {0};
    assert_false(users_load(&users, "/nonexistent/userlist.txt", &problems));
    assert_string_equal(
        problems.at[0].text,
        "could not open auth_file /nonexistent/userlist.txt: No such file or directory");
    problems_fini(&problems);
}

static void a_large_file_is_read_whole(void **state)
{
    enum { LINES = 20000 };
    char *text = malloc(LINES * 32);
    size_t n = 0;
    for (int i = 0; i < LINES; i++)
        n += (size_t)sprintf(text + n, "\"user%d\" \"secret%d\"\n", i, i);
    struct users users = {0};
    struct problems problems = {0};
    assert_true(users_load(&users, scratch_file(state, "u", text, n), &problems));
    assert_int_equal(users.count, LINES);
    assert_string_equal(users.at[LINES - 1].secret, "secret19999");
    users_fini(&users);
    free(text);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(users_are_read),
        TEST(broken_lines_are_reported),
        TEST(a_missing_file_is_an_error),
        TEST(a_large_file_is_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
