// SPDX-License-Identifier: Apache-2.0
// Forms of arrays: element by element.
#include "tests/unit/cache/rowkey_forms.h"

#define ARRAY(type) ((enum rowkey_type)((unsigned)ROWKEY_##type | ROWKEY_ARRAY))

enum { INT4S = 1007, INT8S = 1016, TEXTS = 1009, VARCHARS = 1015, BPCHARS = 1014, NUMERICS = 1231 };

static void elements_in_text(void **state)
{
    static const char *const integers[][6] = {
        {"{1,2}", "{01,+2}", "{\"1\",2}", "{\\1,2}", "{\" 1\",\"2 \"}"},
        {"{2,1}"},
        {"{1,2,2}"},
        {"{1}"},
        {"{12}"},
        {"{}"},
        {"{NULL}", "{null}", "{Null}"},
    };
    CLASSES(ARRAY(INTEGER), integers);
    static const char *const more[][6] = {
        {"{1,NULL}", "{1,null}"}, {"{NULL,1}"}, {"{NULL,NULL}"}, {"{0}"}, {"{-1}"}};
    CLASSES(ARRAY(INTEGER), more);
    static const char *const texts[][6] = {
        {"{a,b}", "{\"a\",\"b\"}", "{\\a,\"\\b\"}"},
        {"{\"a,b\"}", "{a\\,b}"},
        {"{\"a\",b,\"\"}"},
        {"{\"\"}"},
        {"{}"},
        {"{\"a\\\"b\"}", "{a\\\"b}"},
        {"{\"a\\\\b\"}", "{a\\\\b}"},
        {"{\"{a}\"}", "{\\{a\\}}"},
        {"{\"a \"}"},
        {"{\" a\"}"},
        {"{a'b}", "{\"a'b\"}"},
        // A word with array_nulls = off, or written in quotes; else no value.
        {"{NULL}", "{null}", "{\"NULL\"}", "{\"nUll\"}", "{\\NULL}"},
        {"{NULLS}"},
        {"{\303\251}", "{\"\303\251\"}"},
    };
    CLASSES(ARRAY(TEXT), texts);
    static const char *const padded[][6] = {
        {"{a,b}", "{\"a  \",\"b \"}"}, {"{\"null \"}", "{NULL}"}, {"{\" a\"}"}};
    CLASSES(ARRAY(PADDED), padded);
    static const char *const numerics[][6] = {{"{1.0,2}", "{1,2.00}"}, {"{1.01,2}"}};
    CLASSES(ARRAY(NUMERIC), numerics);
    static const char *const bytes[][6] = {{"{\"\\\\x6162\"}", "{ab}", "{\"ab\"}"}, {"{b}"}};
    CLASSES(ARRAY(BYTES), bytes);
    static const char *const times[][6] = {
        {"{\"2024-02-29 12:00:00+00\"}", "{2024-02-29T13:00+01}"},
        {"{\"2024-02-29 13:00:00+00\"}"}};
    CLASSES(ARRAY(TIMESTAMPTZ), times);
    static const char *const flags[][6] = {{"{t,f}", "{true,\"no\"}"}, {"{f,t}"}};
    CLASSES(ARRAY(BOOLEAN), flags);
}

static void what_has_no_form(void **state)
{
    static const char *const no[] = {
        "", "{", "}", "1,2", "{1,2", "1,2}", "{1,2}}", "{1,2} ", " {1,2}", "{ 1,2}", "{1, 2}",
        "{1 ,2}", "{1,,2}", "{,1}", "{1,}", "{{1,2}}", "{{1},{2}}", "[0:1]={1,2}", "[1:2]={1,2}",
        "{\"1\"2}", "{1\"2\"}", "{\"1}", "{1\\", "{a}", "{1.5}", "{1;2}", "(1,2)", "{\"NULL\"}",
        "{\\NULL}", "{NULLS}", "null"};
    REFUSED(ARRAY(INTEGER), no);
    // What NULL means there a setting decides.
    static const char *const no_bytes[] = {"{NULL}", "{ab,null}"};
    REFUSED(ARRAY(BYTES), no_bytes);
    REFUSED(ARRAY(CHAR), no_bytes);
    char longest[ROWKEY_VALUE_BYTES + 2];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '{';
    longest[ROWKEY_VALUE_BYTES - 1] = '}';
    longest[ROWKEY_VALUE_BYTES] = '\0';
    text(ARRAY(TEXT), longest);
    memset(longest + 1, 'x', ROWKEY_VALUE_BYTES - 1);
    longest[ROWKEY_VALUE_BYTES] = '}';
    longest[ROWKEY_VALUE_BYTES + 1] = '\0';
    assert_true(refused(ARRAY(TEXT), longest));
}

// Dimensions, flags, type, length, lower bound; lengths and elements.
#define ONE "\0\0\0\1"
#define FOUR "\0\0\0\4"
#define OF_INT4 "\0\0\0\27"
#define NO_FLAGS "\0\0\0\0"
#define NONE "\377\377\377\377"

static void elements_in_binary(void **state)
{
    enum rowkey_type integers = ARRAY(INTEGER), texts = ARRAY(TEXT), bytes = ARRAY(BYTES);
    assert_int_equal(BINARY(integers, INT4S, ONE NO_FLAGS OF_INT4 "\0\0\0\2" ONE FOUR "\0\0\0\5"
                            FOUR "\0\0\0\6"), text(integers, "{5,6}"));
    assert_int_equal(BINARY(integers, INT8S, ONE NO_FLAGS "\0\0\0\24" ONE ONE
                            "\0\0\0\10\0\0\0\0\0\0\0\5"), text(integers, "{5}"));
    assert_int_equal(BINARY(integers, 0, ONE ONE OF_INT4 "\0\0\0\2" ONE NONE FOUR "\0\0\0\6"),
                     text(integers, "{NULL,6}"));
    assert_int_equal(BINARY(integers, 0, NO_FLAGS NO_FLAGS OF_INT4), text(integers, "{}"));
    assert_int_equal(BINARY(ARRAY(NUMERIC), INT4S, ONE NO_FLAGS OF_INT4 ONE ONE FOUR "\0\0\0\5"),
                     text(ARRAY(NUMERIC), "{5.0}"));
    assert_int_equal(BINARY(texts, TEXTS, ONE NO_FLAGS "\0\0\0\31" "\0\0\0\2" ONE ONE "a"
                            "\0\0\0\0"), text(texts, "{a,\"\"}"));
    assert_int_equal(BINARY(texts, VARCHARS, ONE NO_FLAGS "\0\0\4\23" ONE ONE FOUR "null"),
                     text(texts, "{NULL}"));
    assert_int_equal(BINARY(bytes, 0, ONE NO_FLAGS "\0\0\0\21" ONE ONE ONE "a"),
                     text(bytes, "{a}"));
#define REFUSED_BINARY(type, oid, bytes)                                                           \
    assert_true(refused_binary(type, oid, bytes, sizeof(bytes) - 1))
    REFUSED_BINARY(integers, INT4S, "");
    REFUSED_BINARY(integers, INT4S, NO_FLAGS NO_FLAGS OF_INT4 "\0");
    // Of two dimensions; of text, of float4; cut off; with something behind.
    REFUSED_BINARY(integers, INT4S, "\0\0\0\2" NO_FLAGS OF_INT4 ONE ONE ONE ONE FOUR "\0\0\0\5");
    REFUSED_BINARY(integers, INT4S, ONE NO_FLAGS "\0\0\0\31" ONE ONE ONE "5");
    REFUSED_BINARY(integers, INT4S, ONE NO_FLAGS "\0\0\2\274" ONE ONE FOUR "\0\0\0\5");
    REFUSED_BINARY(integers, INT4S, ONE NO_FLAGS OF_INT4 "\0\0\0\2" ONE FOUR "\0\0\0\5");
    REFUSED_BINARY(integers, INT4S, ONE NO_FLAGS OF_INT4 ONE ONE FOUR "\0\0\0\5\0");
    REFUSED_BINARY(integers, INT4S, ONE NO_FLAGS OF_INT4 "\177\377\377\377" ONE FOUR "\0\0\0\5");
    char many[20 + 4 * 200];
    memset(many, 255, sizeof(many));
    memcpy(many, ONE NO_FLAGS OF_INT4 "\0\0\0\200" ONE, 20);
    assert_false(refused_binary(integers, INT4S, many, 20 + 4 * 128));
    many[15] = (char)129;
    assert_true(refused_binary(integers, INT4S, many, 20 + 4 * 129));
}

static void arrays_meet_their_like(void **state)
{
    static const struct {
        uint32_t column;
        uint32_t value;
        bool accepted;
    } cases[] = {
        {INT4S, INT4S, true}, {INT4S, INT8S, true}, {INT4S, INT4, false}, {INT4, INT4S, false},
        {TEXTS, VARCHARS, true}, {TEXTS, BPCHARS, false}, {BPCHARS, TEXTS, true},
        {NUMERICS, INT4S, true}, {INT4S, NUMERICS, false}, {INT4S, TEXT, false},
        {199, 199, false}, {22, 22, false}, {1270, 1270, false}, {3905, 3905, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(rowkey_accepts(rowkey_type_of(cases[i].column), cases[i].value),
                         cases[i].accepted);
    assert_true(rowkey_has_collation(ARRAY(TEXT)) && rowkey_has_letters(ARRAY(NAME)));
    assert_false(rowkey_has_collation(ARRAY(INTEGER)) || rowkey_has_letters(ARRAY(BYTES)));
    assert_true(rowkey_is_rounded(ARRAY(TEXT)) && rowkey_comes_last(ARRAY(INTEGER)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_in_text), cmocka_unit_test(what_has_no_form),
        cmocka_unit_test(elements_in_binary), cmocka_unit_test(arrays_meet_their_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
