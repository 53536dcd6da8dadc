// SPDX-License-Identifier: Apache-2.0
#include "cache/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

// Tables as "schema|name;" in order, or the kind's word.
static const char *told(const char *line)
{
    static char out[4096];
    static const char *const words[] = {
        [DECODE_BAD] = "bad", [DECODE_BEGIN] = "begin", [DECODE_COMMIT] = "commit",
        [DECODE_TABLE] = "table", [DECODE_TRUNCATE] = "truncate", [DECODE_MESSAGE] = "message",
    };
    struct decoded d = decode_line(slice_str(line));
    int n = snprintf(out, sizeof(out), "%s", words[d.kind]);
    if (d.kind == DECODE_BEGIN || d.kind == DECODE_COMMIT)
        n += snprintf(out + n, sizeof(out) - n, " %u", d.xid);
    struct decode_name name;
    while ((d.kind == DECODE_TABLE || d.kind == DECODE_TRUNCATE) && decode_next_table(&d, &name))
        n += snprintf(out + n, sizeof(out) - n, " %.*s|%.*s", (int)name.schema_len,
                      name.schema_bytes, (int)name.name_len, name.name_bytes);
    return out;
}

static void lines_are_told_apart(void **state)
{
    static const char *const cases[][2] = {
        {"BEGIN 731", "begin 731"},
        {"COMMIT 4294967295", "commit 4294967295"},
        {"table public.t: INSERT: id[integer]:1", "table public|t"},
        {"table public.t: INSERT: (no-tuple-data)", "table public|t"},
        {"table public.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2",
         "table public|t"},
        {"table public.t: DELETE: (no-tuple-data)", "table public|t"},
        {"table public.t: UPDATE:", "table public|t"},
        {"table a1_.\"we.ird\": INSERT: x", "table a1_|we.ird"},
        {"table \"S x\".\"q\"\"q\": DELETE: x", "table S x|q\"q"},
        {"table \"a, b\".\": TRUNCATE:\": INSERT: x", "table a, b|: TRUNCATE:"},
        {"table public.t: TRUNCATE: (no-flags)", "truncate public|t"},
        {"table public.a, public.b: TRUNCATE: (no-flags)", "truncate public|a public|b"},
        {"table public.a, \"B\".\"c, d\", c.e: TRUNCATE: restart_seqs cascade",
         "truncate public|a B|c, d c|e"},
        {"table public.\"\303\251t\303\251\": INSERT: x", "table public|\303\251t\303\251"},
        {"message: transactional: 1 prefix: p, sz: 3 content:abc", "message"},
        // What we do not know
        {"", "bad"},
        {"BEGIN", "bad"},
        {"BEGIN ", "bad"},
        {"BEGIN 0", "bad"},
        {"BEGIN 4294967296", "bad"},
        {"BEGIN 99999999999", "bad"},
        {"BEGIN 12x", "bad"},
        {"COMMIT 12 (at 2026-01-01)", "bad"},
        {"begin 12", "bad"},
        {"table ", "bad"},
        {"table t: INSERT: x", "bad"},
        {"table public.: INSERT: x", "bad"},
        {"table .t: INSERT: x", "bad"},
        {"table \"\".t: INSERT: x", "bad"},
        {"table public.t", "bad"},
        {"table public.t:", "bad"},
        {"table public.t: MERGE: x", "bad"},
        {"table public.a, public.b: INSERT: x", "bad"},
        {"table public.a, : TRUNCATE: x", "bad"},
        {"table public.\"open: INSERT: x", "bad"},
        {"table public.T: INSERT: x", "bad"},
        {"opening a streamed block for transaction TXN 5", "bad"},
        {"PREPARE TRANSACTION 'x', txid 5", "bad"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(told(cases[i][0]), cases[i][1]);
}

static void long_names_are_refused(void **state)
{
    char line[1200];
    memset(line, 'a', sizeof(line));
    memcpy(line, "table s.", 8);
    strcpy(line + 8 + DECODE_NAME_BYTES, ": INSERT: x");
    assert_int_equal(decode_line(slice_str(line)).kind, DECODE_TABLE);
    line[8 + DECODE_NAME_BYTES] = 'a';
    strcpy(line + 8 + DECODE_NAME_BYTES + 1, ": INSERT: x");
    assert_int_equal(decode_line(slice_str(line)).kind, DECODE_BAD);
    memset(line + 8, '"', 1000);
    assert_int_equal(decode_line(slice_of(line, 1008)).kind, DECODE_BAD);
}

// Every head of every line, in memory that ends where the line does: for the sanitizers.
static void every_cut_is_survived(void **state)
{
    const char *line = "table \"S\"\"s\".t, public.\"q\": TRUNCATE: restart_seqs";
    for (size_t n = 0; n <= strlen(line); n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, line, n);
        struct decoded d = decode_line(slice_of(exact, n));
        assert_true(d.kind == DECODE_TRUNCATE || d.kind == DECODE_BAD);
        assert_int_equal(d.kind == DECODE_TRUNCATE, n >= strlen(line) - strlen(" restart_seqs"));
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_told_apart),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(every_cut_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
