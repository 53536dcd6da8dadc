// SPDX-License-Identifier: Apache-2.0
// The analysis of a statement's text: it never fails, says the same twice, and says the same of a
// text of the same template. Comments, PREPAREs and quoted text on the way.
#include "base/mem.h"
#include "proxy/sql/analysis.h"
#include "proxy/sql/comments.h"
#include "proxy/sql/prepared_text.h"
#include "proxy/sql/quote.h"
#include "tests/fuzz/template_pairs.h"

const size_t target_rounds = 6000;

static void check_names(struct sql_names a, struct sql_names b)
{
    CHECK(a.count == b.count);
    for (uint32_t i = 0; i < a.count; i++) {
        CHECK(slice_eq(a.at[i].schema, b.at[i].schema));
        CHECK(slice_eq(a.at[i].name, b.at[i].name));
    }
}

static void check_keys(const struct sql_keys *a, const struct sql_keys *b)
{
    CHECK(a->n_scans == b->n_scans);
    CHECK(a->n_fixes == b->n_fixes);
    CHECK(a->n_values == b->n_values);
    for (size_t i = 0; i < a->n_scans; i++)
        CHECK(a->scans[i].first + a->scans[i].count <= a->n_fixes);
    for (size_t i = 0; i < a->n_fixes; i++)
        if (a->fixes[i].kind != FIX_CONFLICT)
            CHECK(a->fixes[i].first + a->fixes[i].count <= a->n_values);
    for (size_t i = 0; i < a->n_values; i++)
        CHECK(a->values[i].kind == b->values[i].kind && a->values[i].number == b->values[i].number);
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 0x80)
            return false;
    return true;
}

static void check_same(const struct analysis *a, const struct analysis *b)
{
    CHECK(a->kind == b->kind && a->bypass == b->bypass && a->reasons == b->reasons);
    CHECK(a->effects == b->effects && a->resets == b->resets && a->statements == b->statements);
    check_names(a->reads, b->reads);
    check_names(a->catalogs, b->catalogs);
    check_names(a->writes, b->writes);
    check_names(a->functions, b->functions);
    check_names(a->fields, b->fields);
    check_names(a->operators, b->operators);
    check_names(a->casts, b->casts);
    CHECK(a->writes_unknown == b->writes_unknown && a->ddl == b->ddl);
    CHECK(a->reshapes == b->reshapes && a->touches_unnamed == b->touches_unnamed);
    CHECK(a->plain_begin == b->plain_begin && a->plain_end == b->plain_end);
    CHECK(a->has_parameters == b->has_parameters && a->tells_time == b->tells_time);
    CHECK(a->may_end_transaction == b->may_end_transaction);
}

// Quoted, it is one statement with one constant, and a SELECT whatever was in it.
static void check_quoting(struct slice text)
{
    char *plain = mem_strndup((const char *)text.at, text.len);
    struct buf sql = {0};
    buf_bytes(&sql, "SELECT ", 7);
    quote_literal(&sql, plain);
    buf_bytes(&sql, " FROM ", 6);
    quote_name(&sql, "t\"u");
    struct analysis *a = analysis_new(buf_slice(&sql));
    CHECK(a->kind == STATEMENT_SELECT && a->statements == 1);
    CHECK(a->reads.count == 1 && slice_is(a->reads.at[0].name, "t\"u"));
    analysis_unref(&a);
    buf_fini(&sql);
    mem_free(plain);
}

void target_run(struct slice sql)
{
    static uint8_t room[TEMPLATE_MAX_BYTES];
    struct template_constant constants[TEMPLATE_CONSTANTS_MAX];
    struct analysis *a = analysis_new(sql), *b = analysis_new(sql);
    check_same(a, b);
    check_keys(&a->keys, &b->keys);
    analysis_unref(&b);
    if (a->bypass == BYPASS_NONE)
        CHECK(a->kind == STATEMENT_SELECT && analysis_only_reads(a));
    if (a->kind == STATEMENT_PREPARE)
        CHECK(target_inside(prepared_text_query(sql), sql));
    analysis_text_may_reshape(sql);
    if (!template_of(sql, room).verbatim) {
        size_t n = template_constants(sql, constants);
        struct buf other = {0};
        other_constants(sql, constants, n, &other);
        // With as many as there is room for there may be more: the rest of the text is the same.
        uint8_t *alone = target_alone(buf_slice(&other));
        b = analysis_new(slice_of(alone, other.len));
        check_same(a, b);
        if (is_ascii(sql)) // else a constant may be unreadable, and then nothing is fixed by it
            check_keys(&a->keys, &b->keys);
        analysis_unref(&b);
        mem_free(alone);
        buf_fini(&other);
    }
    analysis_unref(&a);
    if (sql.len % 8 == 0 && sql.len < 200)
        check_quoting(sql);
}
