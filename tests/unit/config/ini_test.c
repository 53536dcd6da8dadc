// SPDX-License-Identifier: Apache-2.0
#include "config/ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "tests/unit/config/scratch.h"

static void record(void *arg, const struct ini_line *line)
{
    struct buf *seen = arg;
    if (line->key == NULL)
        buf_printf(seen, "[%s]%d;", line->section, line->line);
    else
        buf_printf(seen, "%s.%s=%s;", line->section, line->key, line->value);
}

static bool read_all(const char *path, struct buf *seen, struct problems *problems)
{
    *seen = (struct buf){0};
    *problems = (struct problems){0};
    bool ok = ini_read(path, record, seen, problems);
    buf_u8(seen, 0);
    return ok;
}

static void expect(void **state, const char *text, const char *expected)
{
    struct buf seen;
    struct problems problems;
    assert_true(read_all(scratch_text(state, "a.ini", text), &seen, &problems));
    assert_string_equal((char *)seen.at, expected);
    assert_int_equal(problems.count, 0);
    buf_fini(&seen);
    problems_fini(&problems);
}

static void expect_error(void **state, const char *text, const char *expected, int line)
{
    struct buf seen;
    struct problems problems;
    assert_false(read_all(scratch_text(state, "a.ini", text), &seen, &problems));
    assert_int_equal(problems.errors, 1);
    assert_non_null(strstr(problems.at[0].text, expected));
    assert_int_equal(problems.at[0].line, line);
    buf_fini(&seen);
    problems_fini(&problems);
}

static void lines_are_read(void **state)
{
    expect(state, "", "");
    expect(state, "; comment\n# comment\n\n[a]\nx = 1\n  y=2  \r\nz\t=\t3;4 # 5\ne =\n",
           "[a]4;a.x=1;a.y=2;a.z=3;4 # 5;a.e=;");
    expect(state, "[a]\n* = host=x\n\"odd \"\"name\"\" é\" = v\n[b]\nk=v",
           "[a]1;a.*=host=x;a.odd \"name\" é=v;[b]4;b.k=v;");
    expect(state, "[a]\n\"q\"=v\n", "[a]1;a.q=v;");
}

static void broken_lines_are_reported(void **state)
{
    expect_error(state, "[a\n", "closing ]", 1);
    expect_error(state, "[a] x=1\n", "nothing may follow", 1);
    expect_error(state, "x=1\n", "before the first [section]", 1);
    expect_error(state, "[a]\nx\n", "expected name = value", 2);
    expect_error(state, "[a]\n= 1\n", "expected name = value", 2);
    expect_error(state, "[a]\n\"\" = 1\n", "expected name = value", 2);
    expect_error(state, "[a]\n\"x = 1\n", "has no end", 2);
    expect_error(state, "[a]\nx y = 1\n", "expected name = value", 2);
    expect_error(state, "[a]\n%exclude b\n", "%include", 2);
    expect_error(state, "[a]\n\n%include /nonexistent/file\n", "could not load file", 3);
}

static void reading_goes_on_after_an_error(void **state)
{
    struct buf seen;
    struct problems problems;
    const char *path = scratch_text(state, "a.ini", "[a]\nbroken\nx=1\nbroken too\ny=2\n");
    assert_false(read_all(path, &seen, &problems));
    assert_string_equal((char *)seen.at, "[a]1;a.x=1;a.y=2;");
    assert_int_equal(problems.errors, 2);
    buf_fini(&seen);
    problems_fini(&problems);
}

static void a_nul_byte_is_an_error(void **state)
{
    struct buf seen;
    struct problems problems;
    assert_false(read_all(scratch_file(state, "a.ini", "[a]\nx=\0" "1\n", 9), &seen, &problems));
    assert_non_null(strstr(problems.at[0].text, "NUL"));
    buf_fini(&seen);
    problems_fini(&problems);
}

static void files_are_included_in_place(void **state)
{
    const char *inner = scratch_text(state, "inner.ini", "y=2\n[b]\nz=3\n");
    char text[512];
    snprintf(text, sizeof text, "[a]\nx=1\n%%include %s\nw=4\n", inner);
    expect(state, text, "[a]1;a.x=1;a.y=2;[b]2;b.z=3;b.w=4;");
}

static void an_include_loop_ends(void **state)
{
    struct scratch *s = *state;
    char text[512];
    snprintf(text, sizeof text, "%%include %s/a.ini\n", s->directory);
    expect_error(state, text, "nested too deeply", 1);
}

static void a_missing_file_is_an_error(void **state)
{
    struct buf seen;
    struct problems problems;
    assert_false(read_all("/nonexistent/pgweir.ini", &seen, &problems));
    assert_int_equal(problems.errors, 1);
    buf_fini(&seen);
    problems_fini(&problems);
}

// "a=b;c=d;" or "error"
static void expect_pairs(const char *line, const char *expected)
{
    char text[256], *key, *value, *at = text;
    struct buf seen = {0};
    strcpy(text, line);
    while ((at = ini_pair(at, &key, &value)) != NULL && *key != '\0')
        buf_printf(&seen, "%s=%s;", key, value);
    if (at == NULL)
        buf_printf(&seen, "error");
    buf_u8(&seen, 0);
    assert_string_equal((char *)seen.at, expected);
    buf_fini(&seen);
}

static void connection_strings_are_cut(void **state)
{
    expect_pairs("", "");
    expect_pairs("   ", "");
    expect_pairs("host=a port=1", "host=a;port=1;");
    expect_pairs(" host = a\tport\t=\t1 ", "host=a;port=1;");
    expect_pairs("q='SELECT ''x'' = 1' r=2", "q=SELECT 'x' = 1;r=2;");
    expect_pairs("q='a'r=2", "q=a;r=2;");
    expect_pairs("p=a'b", "p=a'b;");
    expect_pairs("host", "error");
    expect_pairs("host=", "error");
    expect_pairs("host=''", "error");
    expect_pairs("=x", "error");
    expect_pairs("a=1 b='x", "a=1;error");
    expect_pairs("a=1 b='x''", "a=1;error");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(lines_are_read),
        TEST(broken_lines_are_reported),
        TEST(reading_goes_on_after_an_error),
        TEST(a_nul_byte_is_an_error),
        TEST(files_are_included_in_place),
        TEST(an_include_loop_ends),
        TEST(a_missing_file_is_an_error),
        TEST(connection_strings_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
