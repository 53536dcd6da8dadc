// SPDX-License-Identifier: Apache-2.0
// Templates by example, and by their rule: texts of one template have one parse tree but for the
// values of constants. The rule is tested on texts made at random from pieces that are easily
// misread, each against a sibling with other constants.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "base/buf.h"
#include "base/mem.h"
#include "proxy/sql/template.h"

#define I "\x01"
#define D "\x02"
#define S "\x03"

static void check(const char *sql, const char *expected)
{
    uint8_t out[TEMPLATE_MAX_BYTES];
    struct template t = template_of(slice_str(sql), out);
    if (expected == NULL) {
        if (!t.verbatim)
            fail_msg("%s: should be verbatim", sql);
        assert_ptr_equal(t.bytes.at, sql);
        return;
    }
    if (t.verbatim || !slice_is(t.bytes, expected))
        fail_msg("%s: %s %.*s", sql, t.verbatim ? "verbatim" : "", (int)t.bytes.len, t.bytes.at);
}

static void test_replaced(void **state)
{
    check("SELECT a FROM t WHERE b = 5;", "SELECT a FROM t WHERE b = " I ";");
    check("select 1,2.5,.5,1.,1e5,1.5E-3,-7", "select " I "," D "," D "," D "," D "," D ",-" I);
    check("select 2147483647, 2147483648, 0000000000005, 99999999999",
          "select " I ", " D ", " I ", " D);
    check("select '', 'a', 'it''s'", "select " S ", " S ", " S);
    check("select a1, b2c, _3, a$1, $1, $23", "select a1, b2c, _3, a$1, $1, $23");
    check("select x from \"a 1 'b\" where c='1'", "select x from \"a 1 'b\" where c=" S);
    check("select \"a\"\"1\"", "select \"a\"\"1\"");
    check("select 'x'::int4, a[1], t.1", "select " S "::int4, a[" I "], t" D);
    check("select date '2020-01-01'", "select date " S);
    check("select 'now'", "select 'now'");
    check("select ' TODAY ', '[tomorrow,)', 'x', 'yesterday'",
          "select ' TODAY ', '[tomorrow,)', " S ", 'yesterday'");
    check("select 'know', 'nowhere', 'todays', 'snow'", "select " S ", " S ", " S ", " S);
    check("select 1 -- what 'ever\n, 2", "select " I " \n, " I);
    check("select 1--", "select " I);
    check("select/* '1 */1", "select " I);
    check("select 1 /**/", "select " I "  ");
    check("select 5-3, 5 - -3, a/b", "select " I "-" I ", " I " - -" I ", a/b");
    check("select 'caf\xc3\xa9', '\xe9'", "select " S ", " S);
    check("select floats(5), float", "select floats(" I "), float");
    check("", "");
}

static void test_given_up(void **state)
{
    static const char *const texts[] = {
        "select E'a'", "select e'\\''", "select b'1'", "select X'1F'", "select n'a'",
        "select U&'a'", "select u&\"a\"", "select date'2020-01-01'", "select 1'a'",
        "select 'a\\'", "select \\", "select $$a$$", "select $a$ b $a$", "select $x", "select $",
        "select 'a", "select \"a", "select /* a", "select /* /* */ 1", "select 'a'\n'b'",
        "select 'a' -- x\n'b'", "select 'a' 'b'", "select 1a", "select 1_000", "select 0x1F",
        "select 1..2", "select 1.2.3", "select 1e", "select 1e+", "select $1a",
        "select caf\xc3\xa9",
        "select \"caf\xc3\xa9\"", "select \x01", "select a \x02", "select 'a'\x03", "select 1\x0b",
        "select a::float(5)", "select a::FLOAT (5)",
        "select a::float/**/(5)", "select a::float--\n(5)", "select 1$1", "select $1$2",
        "select \"a\x01\"",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check(texts[i], NULL);
    uint8_t *out = mem_alloc(TEMPLATE_MAX_BYTES);
    uint8_t *text = mem_alloc(TEMPLATE_MAX_BYTES + 1);
    memset(text, 'a', TEMPLATE_MAX_BYTES + 1);
    assert_true(template_of(slice_of(text, TEMPLATE_MAX_BYTES + 1), out).verbatim);
    assert_false(template_of(slice_of(text, TEMPLATE_MAX_BYTES), out).verbatim);
    assert_true(template_of(slice_of("select 'a\0b'", 12), out).verbatim);
    mem_free(text);
    mem_free(out);
}

static void test_datetime_words(void **state)
{
    static const char *const yes[] = {"now", "NOW", " now ", "{now}", "[now,]", "1now", "now1",
                                      "Today", "today 10:00", "TOMORROW", "yesterday,",
                                      "x tomorrow", "2020-01-01,now", "\xc3\xa9now", "{n\\ow}",
                                      "{\\t\\o\\d\\a\\y}", "[n\"o\"w,)", "[\"\"now,)"};
    static const char *const no[] = {"", "no", "know", "nowx", "snow", "nowadays", "todayx",
                                     "mytoday", "n ow", "to day", "tomorro", "epoch"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(template_has_datetime_word(slice_str(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(template_has_datetime_word(slice_str(no[i])));
}

// ---- The rule -----------------------------------------------------------------------------------

static const char *const pieces[] = {
    "select ", "select * from t where ", "a", "t", "b1", " ", "\n", "\t", ",", ", ", "(", ")", "+",
    "-", "*", "/", "=", " = ", "<", "|", "||", "::", "::int", "::text", ":", ".", "[", "]", ";",
    "@", "#", "~", "^", "&", "u&", "U&", "e", "E", "n", "x", "b", "_", "$", "$1", "$2", "$$", "\"",
    "\"q\"", "--", "-- c\n", "/*", "*/", "/* c */", "''", "'", "\\", "and ", " or ", " not ",
    " from t", " where a = ", " limit ", "interval ", "date ", "float(", "numeric(", " is null",
    " in (", "values (", "f(", "now", "today", " as ", "insert into t values (",
    "update t set a = ", "\x01", "\x0b", "\xc3\xa9", "like ", " escape ", "between ",
};
// %: a constant to be made anew for each sibling.
static const char *const constants[] = {"%i", "%d", "%s", "'%w'", "%i", "%s"};

static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 20) % n);
}

static void add_constant(struct buf *out, char kind)
{
    static const char *const integers[] = {"1", "42", "0", "007", "2147483647", "999999999"};
    static const char *const decimals[] = {"1.5", ".5", "1e5", "2147483648", "12345678901", "3."};
    static const char *const strings[] = {"'x'", "''", "'it''s'", "'--'", "'/*'", "'$$ \"'", "'5'",
                                          "'now'", "'a;b'", "'\n'", "'\xc3\xa9'", "'%'"};
    static const char *const words[] = {"a", "", "b c", "''", "today", "\""};
    switch (kind) {
    case 'i':
        buf_put(out, slice_str(integers[random_below(6)]));
        break;
    case 'd':
        buf_put(out, slice_str(decimals[random_below(6)]));
        break;
    case 's':
        buf_put(out, slice_str(strings[random_below(12)]));
        break;
    default:
        buf_put(out, slice_str(words[random_below(6)]));
    }
}

static void add_sibling(struct buf *out, struct slice pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.at[i] == '%' && i + 1 < pattern.len)
            add_constant(out, (char)pattern.at[++i]);
        else
            buf_u8(out, pattern.at[i]);
    }
}

static void blank_constant(PgQuery__AConst *constant)
{
    switch ((int)constant->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        constant->ival->ival = 0;
        break;
    case PG_QUERY__A__CONST__VAL_FVAL:
        constant->fval->fval = "";
        break;
    case PG_QUERY__A__CONST__VAL_SVAL:
        constant->sval->sval = "";
        break;
    }
}

// Locations and the values of constants to nothing, all through the tree.
static void blank(ProtobufCMessage *message)
{
    uint8_t *base = (uint8_t *)message;
    if (message->descriptor == &pg_query__a__const__descriptor)
        blank_constant((PgQuery__AConst *)message);
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (strstr(field->name, "location") != NULL || strcmp(field->name, "stmt_len") == 0)
            memset(base + field->offset, 0, sizeof(int32_t));
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            for (size_t j = 0; j < *(size_t *)(base + field->quantifier_offset); j++)
                blank((*(ProtobufCMessage ***)(base + field->offset))[j]);
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                   *(uint32_t *)(base + field->quantifier_offset) == field->id) {
            if (*(void **)(base + field->offset) != NULL)
                blank(*(ProtobufCMessage **)(base + field->offset));
        }
    }
}

static void *take(void *arena, size_t bytes)
{
    size_t *used = arena;
    void *taken = (uint8_t *)arena + sizeof(size_t) * 2 + *used;
    *used += (bytes + 15) & ~(size_t)15;
    assert_true(*used < 4000000);
    return taken;
}

static void give(void *arena, void *taken)
{
}

// The blanked tree, packed; empty when the text does not parse.
static void tree_of(struct buf *text, struct buf *out, void *arena)
{
    buf_u8(text, 0);
    PgQueryProtobufParseResult r = pg_query_parse_protobuf((const char *)text->at);
    if (r.error == NULL) {
        *(size_t *)arena = 0;
        ProtobufCAllocator allocator = {take, give, arena};
        PgQuery__ParseResult *tree = pg_query__parse_result__unpack(
            &allocator, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
        blank(&tree->base);
        size_t bytes = pg_query__parse_result__get_packed_size(tree);
        pg_query__parse_result__pack(tree, buf_room(out, bytes));
        out->len += bytes;
    }
    pg_query_free_protobuf_parse_result(r);
}

static void make_pattern(struct buf *out)
{
    buf_clear(out);
    if (random_below(3) > 0)
        buf_put(out, slice_str(pieces[random_below(2)]));
    for (unsigned n = 1 + random_below(9); n > 0; n--) {
        if (random_below(3) == 0)
            buf_put(out, slice_str(constants[random_below(6)]));
        else
            buf_put(out, slice_str(pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))]));
    }
}

static void test_rule(void **state)
{
    struct buf pattern = {0}, text[2] = {{0}}, tree[2] = {{0}};
    uint8_t *out[2] = {mem_alloc(TEMPLATE_MAX_BYTES), mem_alloc(TEMPLATE_MAX_BYTES)};
    void *arena = mem_alloc(4100000);
    const char *more = getenv("TEMPLATE_TEST_ROUNDS");
    long rounds = more == NULL ? 300000 : atol(more);
    size_t same = 0, parsed = 0;
    for (long round = 0; round < rounds; round++) {
        struct template t[2];
        make_pattern(&pattern);
        for (int i = 0; i < 2; i++) {
            buf_clear(&text[i]);
            buf_clear(&tree[i]);
            add_sibling(&text[i], buf_slice(&pattern));
            t[i] = template_of(buf_slice(&text[i]), out[i]);
        }
        if (t[0].verbatim || t[1].verbatim || !slice_eq(t[0].bytes, t[1].bytes) ||
            slice_eq(buf_slice(&text[0]), buf_slice(&text[1])))
            continue;
        same++;
        tree_of(&text[0], &tree[0], arena);
        tree_of(&text[1], &tree[1], arena);
        parsed += tree[0].len > 0;
        if (!slice_eq(buf_slice(&tree[0]), buf_slice(&tree[1])))
            fail_msg("one template, two trees:\n%s\n%s", text[0].at, text[1].at);
    }
    print_message("%zu pairs of one template, %zu of them statements\n", same, parsed);
    assert_true(parsed > (size_t)rounds / 500);
    for (int i = 0; i < 2; i++) {
        buf_fini(&text[i]);
        buf_fini(&tree[i]);
        mem_free(out[i]);
    }
    buf_fini(&pattern);
    mem_free(arena);
}

// A text and its template with the placeholders read as constants again: one tree. So what the
// template drops (comments) or keeps changes nothing.
static void test_template_is_the_text(void **state)
{
    struct buf pattern = {0}, text = {0}, again = {0}, tree[2] = {{0}};
    uint8_t *out = mem_alloc(TEMPLATE_MAX_BYTES);
    void *arena = mem_alloc(4100000);
    size_t parsed = 0;
    for (long round = 0; round < 150000; round++) {
        make_pattern(&pattern);
        buf_clear(&text);
        add_sibling(&text, buf_slice(&pattern));
        struct template t = template_of(buf_slice(&text), out);
        if (t.verbatim)
            continue;
        buf_clear(&again);
        for (size_t i = 0; i < t.bytes.len; i++) {
            uint8_t byte = t.bytes.at[i];
            const char *constant = byte == TEMPLATE_INTEGER   ? "3"
                                   : byte == TEMPLATE_DECIMAL ? "3.5"
                                   : byte == TEMPLATE_STRING  ? "'s'"
                                                              : NULL;
            if (constant != NULL)
                buf_put(&again, slice_str(constant));
            else
                buf_u8(&again, byte);
        }
        buf_clear(&tree[0]);
        buf_clear(&tree[1]);
        tree_of(&text, &tree[0], arena);
        tree_of(&again, &tree[1], arena);
        parsed += tree[0].len > 0;
        if (!slice_eq(buf_slice(&tree[0]), buf_slice(&tree[1])))
            fail_msg("a text and its template differ:\n%s\n%s", text.at, again.at);
    }
    print_message("%zu statements\n", parsed);
    assert_true(parsed > 1000);
    buf_fini(&pattern);
    buf_fini(&text);
    buf_fini(&again);
    buf_fini(&tree[0]);
    buf_fini(&tree[1]);
    mem_free(out);
    mem_free(arena);
}

// Comments for us are kept, others are blanks.
static void test_hints(void **state)
{
    check("/* pgweir: nocache */select 1", "/* pgweir: nocache */select " I);
    check("select/*PGWEIR:ttl=5s*/ 1", "select/*PGWEIR:ttl=5s*/ " I);
    check("/* pgweirs */select 1 -- pgweir: nocache", " select " I " ");
    check("select '/* pgweir: nocache */'", "select " S);
    check("/* pgweir: a /* b */ */ select 1", NULL);
    check("/*/ pgweir: cache */select 1", " select " I);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_datetime_words),
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_template_is_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
