// SPDX-License-Identifier: Apache-2.0
#include "config/ident.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/problem.h"
#include "tests/unit/config/scratch.h"

static void without_a_map_names_must_be_the_same(void **state)
{
    assert_true(ident_allows(NULL, "alice", "alice"));
    assert_false(ident_allows(NULL, "alice", "bob"));
    assert_false(ident_allows(NULL, "alice", "Alice"));
}

// Does the one line allow it? Lines are of map m.
static bool allows(void **state, const char *line, const char *system_user, const char *user)
{
    struct ident ident = {0};
    struct problems problems = {0};
    assert_true(ident_load(&ident, scratch_text(state, "ident", line), &problems));
    assert_int_equal(problems.count, 0);
    assert_null(ident_find(&ident, "M"));
    const struct ident_map *map = ident_find(&ident, "m");
    assert_non_null(map);
    bool is_allowed = ident_allows(map, system_user, user);
    ident_fini(&ident);
    return is_allowed;
}

static void names(void **state)
{
    assert_true(allows(state, "m os db", "os", "db"));
    assert_false(allows(state, "m os db", "os", "os"));
    assert_false(allows(state, "m os db", "db", "db"));
    assert_true(allows(state, "m os all", "os", "anybody"));
    assert_false(allows(state, "m os all", "other", "anybody"));
    assert_true(allows(state, "m os \"all\"", "os", "all"));
    assert_false(allows(state, "m os \"all\"", "os", "db"));
    assert_false(allows(state, "m all db", "os", "db")); // a name, there
    assert_true(allows(state, "m \"o s\" \"d b\" # comment", "o s", "d b"));
    // Any line of a map will do, and lines of another do not count.
    assert_true(allows(state, "m a b\nm os db\n", "os", "db"));
    assert_false(allows(state, "m a b\nn os db\n", "os", "db"));
    // \1 means nothing without a regular expression.
    assert_false(allows(state, "m os \\1", "os", "os"));
}

static void regular_expressions(void **state)
{
    assert_true(allows(state, "m /^(.*)@example\\.org$ \\1", "alice@example.org", "alice"));
    assert_false(allows(state, "m /^(.*)@example\\.org$ \\1", "alice@example.org", "bob"));
    assert_false(allows(state, "m /^(.*)@example\\.org$ \\1", "alice@example.com", "alice"));
    assert_false(allows(state, "m /^(.*)@example\\.org$ \\1", "alice@exampleXorg", "alice"));
    assert_true(allows(state, "m /^(.*)@x$ pre_\\1_post", "alice@x", "pre_alice_post"));
    assert_true(allows(state, "m /^(.*)@x$ guest", "alice@x", "guest"));
    assert_true(allows(state, "m /^(.*)@x$ all", "alice@x", "bob"));
    assert_true(allows(state, "m \"/^a{1,2}$\" db", "aa", "db")); // a comma wants quotes
    assert_true(allows(state, "m os /^db[0-9]$", "os", "db7"));
    assert_false(allows(state, "m os /^db[0-9]$", "os", "db77"));
    assert_false(allows(state, "m os /^db[0-9]$", "so", "db7"));
    // A group that took no part.
    assert_false(allows(state, "m /^(a)?x$ u\\1", "x", "u"));
}

static void bad_lines_are_left_out(void **state)
{
    static const char *const cases[][2] = {
        {"m", "a name is missing"},
        {"m os", "a name is missing"},
        {"\"m\" os db", "the name of a map is missing"},
        {"m os db more", "unsupported parameters"},
        {"m os, db", "a name is missing"},
        {"m /( db", "invalid regular expression"},
        {"m os /[", "invalid regular expression"},
        {"m \"os db", "a name is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ident ident = {0};
        struct problems problems = {0};
        char text[80];
        snprintf(text, sizeof text, "\n# comment\n%s\nm good one\n", cases[i][0]);
        assert_true(ident_load(&ident, scratch_text(state, "ident", text), &problems));
        assert_int_equal(problems.count, 1);
        assert_int_equal(problems.at[0].grade, PROBLEM_WARNING);
        assert_int_equal(problems.at[0].line, 3);
        if (strstr(problems.at[0].text, cases[i][1]) == NULL ||
            strstr(problems.at[0].text, "could not parse ident config line 3") == NULL)
            fail_msg("%s: %s", cases[i][0], problems.at[0].text);
        const struct ident_map *map = ident_find(&ident, "m");
        assert_true(ident_allows(map, "good", "one"));
        assert_false(ident_allows(map, "os", "db"));
        ident_fini(&ident);
        problems_fini(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_map_names_must_be_the_same),
        cmocka_unit_test_setup_teardown(names, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(regular_expressions, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(bad_lines_are_left_out, scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
