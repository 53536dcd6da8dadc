// SPDX-License-Identifier: Apache-2.0
// What fits a pattern has the template of the text that it was made of.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/sql/pattern.h"
#include "proxy/sql/template.h"
#include "tests/unit/dice.h"

static bool fits(const char *known, const char *text)
{
    struct pattern *p = pattern_new(slice_str(known));
    bool result = p != NULL && pattern_fits(p, slice_str(text));
    pattern_free(p);
    return result;
}

static void test_constants_alone(void **state)
{
    assert_true(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 12345"));
    assert_true(fits("SELECT a FROM t WHERE id=1;", "SELECT a FROM t WHERE id=2;"));
    assert_true(fits("SELECT 'x', 1.5, 7", "SELECT 'it''s', 2e5, 8"));
    assert_true(fits("SELECT 1", "SELECT 2"));
    assert_true(fits("SELECT a", "SELECT a"));
    assert_true(fits("1", "2"));
    assert_true(fits("", ""));
}

static void test_what_differs(void **state)
{
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT b FROM t WHERE id = 1"));
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 1.5"));
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 2147483648"));
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = '1'"));
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 1 OR true"));
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = "));
    assert_false(fits("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 1a"));
    assert_false(fits("SELECT 'x'", "SELECT 'now'"));
    assert_false(fits("SELECT 'x'", "SELECT 'x\\'"));
    assert_false(fits("SELECT 'x'", "SELECT 'x' 'y'"));
    assert_false(fits("SELECT a", "SELECT a "));
    assert_false(fits("SELECT a.5", "SELECT a5.5")); // one word there
    assert_false(fits("SELECT 1", ""));
}

static const char *const nasty[] = {
    "a",   "float", "u",    "U&",   "u&",  "e",   "x",      " ",   "  ",   "\n",     "(",
    ")",   ",",     "=",    "-",    "--",  "--c\n", "/*c*/", "/*",  "*/",   "/",      "1",
    "007", ".5",    "3.",   "1.5",  "1e5", "2147483648",     "'x'", "''",   "'now'",  "'it''s'",
    "'",   "\"q\"", "\"",   "$1",   "$",   "&",   "\\",     ".",   "\xc3", "1e",     "'5'",
    "/* pgweir: nocache */", "e5",  "now", "today", "0",    "99",  "\x0b"};
enum { NASTY = sizeof(nasty) / sizeof(*nasty), TOKENS = 8 };

static void put(struct buf *out, const size_t *tokens, size_t n)
{
    out->len = 0;
    for (size_t i = 0; i < n; i++)
        buf_put(out, slice_str(nasty[tokens[i]]));
}

// Exactly sized, so that a sanitizer sees what is read beyond.
static struct slice copy_of(const struct buf *b)
{
    uint8_t *at = test_malloc(b->len + (b->len == 0));
    if (b->len > 0)
        memcpy(at, b->at, b->len);
    return slice_of(at, b->len);
}

static bool same_template(struct slice a, struct slice b)
{
    static uint8_t of_a[TEMPLATE_MAX_BYTES], of_b[TEMPLATE_MAX_BYTES];
    struct template x = template_of(a, of_a), y = template_of(b, of_b);
    return !x.verbatim && !y.verbatim && slice_eq(x.bytes, y.bytes);
}

// A pattern finds what taking the text apart finds.
static void same_constants(const struct pattern *p, struct slice text)
{
    struct template_constant found[PATTERN_CONSTANTS_MAX], all[TEMPLATE_CONSTANTS_MAX];
    size_t n;
    assert_true(pattern_constants(p, text, found, &n));
    assert_int_equal(n, template_constants(text, all));
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(found[i].raw.at, all[i].raw.at);
        assert_int_equal(found[i].raw.len, all[i].raw.len);
        assert_int_equal(found[i].kind, all[i].kind);
    }
}

static void test_never_too_much(void **state)
{
    struct dice dice = dice_of(7);
    static uint8_t room[TEMPLATE_MAX_BYTES];
    struct buf a = {0}, b = {0};
    size_t fitted = 0, alike = 0;
    for (int round = 0; round < 300000; round++) {
        size_t tokens[TOKENS], n = 1 + dice_below(&dice, TOKENS);
        for (size_t i = 0; i < n; i++)
            tokens[i] = dice_below(&dice, NASTY);
        put(&a, tokens, n);
        for (size_t i = 0; i < n; i++)
            if (dice_below(&dice, 3) == 0)
                tokens[i] = dice_below(&dice, NASTY);
        put(&b, tokens, n);
        struct slice one = copy_of(&a), other = copy_of(&b);
        if (!template_of(one, room).verbatim) {
            struct pattern *p = pattern_new(one);
            bool same = same_template(one, other);
            alike += same;
            if (p != NULL && pattern_fits(p, other)) {
                fitted++;
                same_constants(p, other);
                if (!same)
                    fail_msg("%.*s is not %.*s", (int)other.len, (const char *)other.at,
                             (int)one.len, (const char *)one.at);
            }
            pattern_free(p);
        }
        test_free((void *)(uintptr_t)one.at);
        test_free((void *)(uintptr_t)other.at);
    }
    assert_true(fitted > 1000);
    assert_true(fitted * 2 > alike); // others differ in spaces and comments, or begin with a dot
    buf_fini(&a);
    buf_fini(&b);
}

static void test_set(void **state)
{
    static const char *const texts[] = {
        "SELECT beginning_of_1 FROM t WHERE a = 1", "SELECT beginning_of_2 FROM t WHERE a = 1",
        "SELECT beginning_of_3 FROM t WHERE a = 1", "SELECT beginning_of_4 FROM t WHERE a = 1",
        "SELECT beginning_of_5 FROM t WHERE a = 1"};
    struct patterns all = {0};
    for (int i = 0; i < PATTERN_WAYS; i++)
        assert_null(patterns_put(&all, pattern_new(slice_str(texts[i]))));
    struct pattern *first = patterns_find(&all, slice_str(texts[0]));
    assert_non_null(first);
    for (int i = PATTERN_WAYS - 1; i >= 0; i--)
        assert_non_null(patterns_find(&all, slice_str(texts[i])));
    struct pattern *gone = patterns_put(&all, pattern_new(slice_str(texts[4])));
    assert_non_null(gone); // the one that fitted longest ago
    assert_true(pattern_fits(gone, slice_str(texts[3])));
    pattern_free(gone);
    assert_ptr_equal(patterns_find(&all, slice_str(texts[0])), first);
    assert_null(patterns_find(&all, slice_str(texts[3])));
    assert_null(patterns_find(&all, slice_str("SELECT beginning_of_9")));
    assert_null(patterns_find(&all, slice_str("")));
    for (int i = 0; i < PATTERN_SETS * PATTERN_WAYS; i++)
        pattern_free(all.at[i / PATTERN_WAYS][i % PATTERN_WAYS]);
}

static void test_too_much(void **state)
{
    struct buf text = {0};
    for (int i = 0; i <= PATTERN_CONSTANTS_MAX; i++)
        buf_put(&text, slice_str("1,"));
    assert_null(pattern_new(buf_slice(&text)));
    text.len = 0;
    for (int i = 0; i <= PATTERN_BYTES_MAX / 2; i++)
        buf_put(&text, slice_str("a,"));
    assert_null(pattern_new(buf_slice(&text)));
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants_alone), cmocka_unit_test(test_what_differs),
        cmocka_unit_test(test_never_too_much),  cmocka_unit_test(test_set),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
