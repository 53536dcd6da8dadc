// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/analysis.h"

#include <stdatomic.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "proxy/sql/builtins.h"
#include "proxy/sql/calls.h"
#include "proxy/sql/classify.h"
#include "proxy/sql/comments.h"
#include "proxy/sql/parse.h"
#include "proxy/sql/pattern.h"
#include "proxy/sql/walk.h"

enum { ANALYSIS_TAG = 0x616e6c73 };

// ---- From the walk to one allocation ------------------------------------------------------------

static size_t names_bytes(const struct walk_names *names)
{
    size_t bytes = names->count * sizeof(struct sql_name);
    for (uint32_t i = 0; i < names->count; i++)
        bytes += names->at[i].schema.len + names->at[i].name.len;
    return bytes;
}

static struct slice copy_bytes(uint8_t **out, struct slice from)
{
    struct slice copy = slice_of(*out, from.len);
    if (from.len > 0)
        memcpy(*out, from.at, from.len);
    *out += from.len;
    return copy;
}

struct room { // what is left of the allocation behind the analysis
    struct sql_name *names;
    struct sql_fix *fixes;
    struct sql_value *values;
    uint32_t *columns;
    struct sql_scan *scans;
    uint8_t *bytes;
};

static size_t keys_bytes(const struct fixed *f)
{
    size_t bytes = f->n_fixes * sizeof(struct sql_fix) + f->n_scans * sizeof(struct sql_scan) +
                   f->n_values * sizeof(struct sql_value);
    for (uint16_t i = 0; i < f->n_fixes; i++)
        bytes += f->fixes[i].column.len + f->fixes[i].other_column.len;
    return bytes;
}

static bool is_shared(const struct fixed *f, const struct sql_value *v)
{
    return v->kind == SQL_PARAMETER && fixed_is_shared(f, v->number);
}

static size_t columns_bytes(const struct columns *c)
{
    return c->all_computed ? 0 : (size_t)(c->n_computed + c->n_shown) * sizeof(uint32_t);
}

static struct sql_columns copy_columns(struct room *room, const struct columns *c)
{
    if (c->all_computed)
        return (struct sql_columns){.all_computed = true};
    uint32_t *computed = room->columns, *shown = computed + c->n_computed;
    for (uint16_t i = 0; i < c->n_computed; i++)
        computed[i] = c->computed[i];
    for (uint16_t i = 0; i < c->n_shown; i++)
        shown[i] = c->shown[i].name;
    return (struct sql_columns){computed, shown, c->n_computed, c->n_shown, false, c->all_shown};
}

static struct sql_keys copy_keys(struct room *room, const struct fixed *f)
{
    struct sql_keys keys = {room->scans, room->fixes, room->values, f->n_scans, f->n_fixes,
                            f->n_values};
    if (f->lost)
        return (struct sql_keys){.n_scans = 0};
    for (uint16_t i = 0; i < f->n_scans; i++) {
        room->scans[i] = f->scans[i].scan;
        if (!f->scans[i].placed) // a CTE's name
            room->scans[i].name = UINT16_MAX;
    }
    for (uint16_t i = 0; i < f->n_fixes; i++) {
        room->fixes[i] = f->fixes[i];
        room->fixes[i].other = fixed_link(f, i);
        room->fixes[i].column = copy_bytes(&room->bytes, f->fixes[i].column);
        room->fixes[i].other_column = copy_bytes(&room->bytes, f->fixes[i].other_column);
    }
    for (uint16_t i = 0; i < f->n_values; i++) {
        room->values[i] = f->values[i];
        room->values[i].shared |= is_shared(f, &f->values[i]);
    }
    return keys;
}

static struct sql_names copy_names(struct room *room, const struct walk_names *from)
{
    struct sql_names copy = {.at = room->names, .count = from->count};
    for (uint32_t i = 0; i < from->count; i++) {
        struct slice schema = copy_bytes(&room->bytes, from->at[i].schema);
        struct slice name = copy_bytes(&room->bytes, from->at[i].name);
        *room->names++ = (struct sql_name){schema, name};
    }
    return copy;
}

static bool is_ascii(const struct walk_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (!slice_is_ascii(names->at[i].schema) || !slice_is_ascii(names->at[i].name))
            return false;
    return true;
}

// May there be a time or timetz in it, as far as the text can tell?
static bool is_of_times(const struct walk *w)
{
    for (uint32_t i = 0; i < w->functions.count; i++)
        if (builtin_function_of_times(w->functions.at[i].name))
            return true;
    for (uint32_t i = 0; i < w->casts.count; i++)
        if (slice_is(w->casts.at[i].name, "time") || slice_is(w->casts.at[i].name, "timetz"))
            return true;
    return false;
}

// The time at which the transaction began; age(x) counts from its day.
static bool tells_time(const struct walk *w)
{
    for (uint32_t i = 0; i < w->functions.count; i++) {
        struct slice name = w->functions.at[i].name;
        if (slice_is(name, "now") || slice_is(name, "transaction_timestamp") ||
            slice_is(name, "age"))
            return true;
    }
    return w->tells_time || (w->reasons & 1ull << BYPASS_DATETIME_WORD) != 0;
}

static struct analysis *analysis_of(const struct walk *w)
{
    const struct walk_names *lists[] = {&w->reads,  &w->catalogs,  &w->writes, &w->functions,
                                        &w->fields, &w->operators, &w->casts,  &w->dated,
                                        &w->types,  &w->perhaps};
    struct slice prepared = slice_str(w->prepared ? w->prepared : "");
    struct slice channel = slice_str(w->channel ? w->channel : "");
    const struct fixed *fixed = &w->fixed;
    size_t bytes = sizeof(struct analysis) + prepared.len + channel.len + keys_bytes(fixed) +
                   columns_bytes(&w->columns);
    size_t count = 0;
    bool ascii = true;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        bytes += names_bytes(lists[i]);
        count += lists[i]->count;
        ascii &= is_ascii(lists[i]);
    }
    struct analysis *a = mem_alloc(bytes);
    struct sql_name *names = (struct sql_name *)(a + 1);
    struct room room = {.names = names, .fixes = (struct sql_fix *)(names + count)};
    room.values = (struct sql_value *)(room.fixes + fixed->n_fixes);
    room.columns = (uint32_t *)(room.values + fixed->n_values);
    room.scans = (struct sql_scan *)((uint8_t *)room.columns + columns_bytes(&w->columns));
    room.bytes = (uint8_t *)(room.scans + fixed->n_scans);
    *a = (struct analysis){
        .tag = ANALYSIS_TAG,
        .refs = 1,
        .bypass = w->bypass,
        .reasons = w->reasons,
        .effects = w->effects,
        .resets = w->resets,
        .rereads = w->rereads,
        .reads = copy_names(&room, &w->reads),
        .catalogs = copy_names(&room, &w->catalogs),
        .writes = copy_names(&room, &w->writes),
        .functions = copy_names(&room, &w->functions),
        .fields = copy_names(&room, &w->fields),
        .operators = copy_names(&room, &w->operators),
        .casts = copy_names(&room, &w->casts),
        .dated = copy_names(&room, &w->dated),
        .types = copy_names(&room, &w->types),
        .perhaps = copy_names(&room, &w->perhaps),
        .keys = copy_keys(&room, fixed),
        .columns = copy_columns(&room, &w->columns),
        .prepared = copy_bytes(&room.bytes, prepared),
        .channel = copy_bytes(&room.bytes, channel),
        .unlistens = w->unlistens,
        .writes_unknown = w->writes_unknown || w->calls_unknown,
        .writes_by_calls = w->calls_unknown && !w->writes_unknown,
        .reshapes = w->reshapes,
        .touches_unnamed = w->touches_unnamed,
        .ddl = w->ddl,
        .changes_roles = w->changes_roles,
        .starts = w->starts,
        .calls_unknown_function = w->calls_unknown_function,
        .has_parameters = w->has_parameters,
        .tells_time = tells_time(w),
        .searches_text = w->searches_text,
        .zones = w->zones,
        .gets = w->gets,
        .on_conflict = w->on_conflict,
        .names_are_ascii = ascii,
        .bytes = bytes,
    };
    return a;
}

// ---- From the tree to the analysis --------------------------------------------------------------

static bool is_word_byte(uint8_t c)
{
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

// DO stands in front of its code, in INSERT ... ON CONFLICT something else follows.
static bool is_do_block(struct slice rest)
{
    while (rest.len > 0 && (rest.at[0] == ' ' || (rest.at[0] >= '\t' && rest.at[0] <= '\r')))
        rest = slice_skip(rest, 1);
    return rest.len == 0 || (rest.at[0] | 0x20) == 'l' || !is_word_byte(rest.at[0]);
}

// The word that begins there; empty: none does.
static struct slice word_at(struct slice sql, size_t at)
{
    size_t n = 0;
    while (at + n < sql.len && is_word_byte(sql.at[at + n]))
        n++;
    return slice_of(sql.at + at, n);
}

static bool is_one_of(struct slice word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (word.len == strlen(words[i]) &&
            strncasecmp((const char *)word.at, words[i], word.len) == 0)
            return true;
    return false;
}

bool analysis_text_may_reshape(struct slice sql)
{
    static const char *const makes[] = {"create", "alter", "import"}, *const runs[] = {"do"};
    struct slice word;
    for (size_t i = 0; i < sql.len; i += word.len + (word.len == 0)) {
        word = word_at(sql, i);
        if (is_one_of(word, makes, sizeof(makes) / sizeof(*makes)) ||
            (is_one_of(word, runs, 1) && is_do_block(slice_skip(sql, i + word.len))))
            return true;
    }
    return false;
}

// False: one statement that begins as a read or a write of rows does, and makes no table of them.
// What it calls is another matter.
static bool may_be_ddl(struct slice sql)
{
    static const char *const reads[] = {"select", "values", "table", "with"};
    static const char *const writes[] = {"insert", "update", "delete", "merge"};
    static const char *const makes[] = {"into"};
    bool first = true, reading = false, ended = false;
    struct slice word;
    for (size_t i = 0; i < sql.len; i += word.len + (word.len == 0)) {
        word = word_at(sql, i);
        if (word.len == 0) {
            if ((ended || first) && sql.at[i] > ' ' && sql.at[i] != ';')
                return true;
            ended |= sql.at[i] == ';';
            continue;
        }
        if (ended || (reading && is_one_of(word, makes, 1)))
            return true;
        if (!first)
            continue;
        first = false;
        reading = is_one_of(word, reads, sizeof(reads) / sizeof(*reads));
        if (!reading && !is_one_of(word, writes, sizeof(writes) / sizeof(*writes)))
            return true;
    }
    return first;
}

// Whatever its constants say: the analysis is that of every text of the template.
static bool may_reshape(struct slice sql)
{
    uint8_t room[TEMPLATE_MAX_BYTES];
    return analysis_text_may_reshape(template_of(sql, room).bytes);
}

// sql: empty when it was not looked at.
static struct analysis *analyse_unknown(struct slice sql)
{
    bool ddl = may_be_ddl(sql);
    struct walk w = {
        .bypass = BYPASS_UNPARSABLE,
        .reasons = 1ull << BYPASS_UNPARSABLE,
        .effects = EFFECT_UNKNOWN,
        .writes_unknown = true,
        .ddl = ddl ? DDL_MORE : DDL_NONE,
        .changes_roles = ddl,
        .reshapes = sql.len == 0 || may_reshape(sql),
        .calls_unknown_function = true,
        .has_parameters = true,
        .tells_time = true,
    };
    struct analysis *a = analysis_of(&w);
    a->kind = STATEMENT_UNKNOWN;
    a->statements = 1;
    a->may_end_transaction = true;
    a->begins_transaction = true;
    return a;
}

// The names are in an encoding that we do not know, so they name nothing.
static void forget_names(struct analysis *a)
{
    a->touches_unnamed = true;
    a->writes_unknown |= a->writes.count > 0;
    a->writes_by_calls = false;
    a->reads.count = 0;
    a->writes.count = 0;
    a->keys.n_scans = 0;
    if (a->bypass == BYPASS_NONE)
        a->bypass = BYPASS_ENCODING;
    a->reasons |= 1ull << BYPASS_ENCODING;
}

static enum bypass bypass_of(const struct walk *w, size_t statements, enum statement_kind kind)
{
    if (statements > 1)
        return BYPASS_MULTI_STATEMENT;
    if (kind == STATEMENT_UNKNOWN)
        return BYPASS_UNPARSABLE;
    if (kind != STATEMENT_SELECT)
        return BYPASS_NOT_SELECT;
    return w->bypass;
}

static struct analysis *analyse_tree(const PgQuery__ParseResult *tree, struct slice text)
{
    struct walk w = {0};
    fixed_begin(&w.fixed, text);
    columns_begin(&w.columns, tree->n_stmts == 1 ? tree->stmts[0]->stmt : NULL);
    struct classified all = {.kind = STATEMENT_EMPTY};
    for (size_t i = 0; i < tree->n_stmts; i++) {
        struct classified one = classify(&w, tree->stmts[i]->stmt);
        all.kind = i == 0 ? one.kind : STATEMENT_MULTI;
        all.may_end_transaction |= one.may_end_transaction;
        all.begins_transaction |= one.begins_transaction;
        all.plain_begin = i == 0 && one.plain_begin;
        all.plain_end = i == 0 && one.plain_end;
    }
    calls_judge_fields(&w);
    columns_end(&w.columns);
    if (w.reads.count == 0)
        walk_deny(&w, BYPASS_NO_RELATION); // nothing could end the entry, and it is cheap anyway
    if (w.zones && is_of_times(&w))
        walk_deny(&w, BYPASS_VOLATILE_FUNCTION);
    struct analysis *a = analysis_of(&w);
    a->kind = all.kind;
    if (tree->n_stmts != 1 || !slice_is_ascii(a->prepared))
        a->prepared.len = 0;
    if (tree->n_stmts != 1 || !slice_is_ascii(a->channel)) {
        a->channel.len = 0;
        a->unlistens = false;
    }
    a->statements = (uint32_t)tree->n_stmts;
    a->bypass = bypass_of(&w, tree->n_stmts, all.kind);
    if (a->bypass != BYPASS_NONE)
        a->reasons |= 1ull << a->bypass;
    a->may_end_transaction = all.may_end_transaction;
    a->begins_transaction = all.begins_transaction;
    a->plain_begin = all.plain_begin;
    a->plain_end = all.plain_end;
    walk_fini(&w);
    return a;
}

struct analysing {
    struct slice sql;
    struct analysis *made;
};

static void analyse_parsed(const struct parsed *parsed, void *arg)
{
    struct analysing *a = arg;
    if (parsed->tree == NULL) {
        a->made = analyse_unknown(a->sql);
        return;
    }
    // Where bytes were replaced the tree's locations are those of another text.
    a->made = analyse_tree(parsed->tree, parsed->foreign ? slice_of("", 0) : a->sql);
    if (parsed->foreign && !a->made->names_are_ascii)
        forget_names(a->made);
}

struct analysis *analysis_new(struct slice sql)
{
    if (sql.len > ANALYSIS_TEXT_MAX_BYTES)
        return analyse_unknown(slice_of("", 0));
    struct analysing a = {.sql = sql};
    parse(sql, analyse_parsed, &a);
    CHECK(a.made != NULL);
    comments_hints(sql, &a.made->hints);
    return a.made;
}

// ---- Its life -----------------------------------------------------------------------------------

struct analysis *analysis_ref(struct analysis *a)
{
    TAG_CHECK(a, ANALYSIS_TAG);
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void analysis_unref(struct analysis **pointer)
{
    struct analysis *a = *pointer;
    *pointer = NULL;
    TAG_CHECK(a, ANALYSIS_TAG);
    if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
        return;
    TAG_CLEAR(a);
    pattern_free(a->pattern);
    mem_free(a);
}

// ---- Facts --------------------------------------------------------------------------------------

const char *statement_kind_name(enum statement_kind kind)
{
    switch (kind) {
    case STATEMENT_EMPTY:
        return "empty";
    case STATEMENT_SELECT:
        return "select";
    case STATEMENT_WRITE:
        return "write";
    case STATEMENT_COPY:
        return "copy";
    case STATEMENT_BEGIN:
        return "begin";
    case STATEMENT_COMMIT:
        return "commit";
    case STATEMENT_ROLLBACK:
        return "rollback";
    case STATEMENT_SAVEPOINT:
        return "savepoint";
    case STATEMENT_TWO_PHASE:
        return "two_phase";
    case STATEMENT_SET:
        return "set";
    case STATEMENT_RESET:
        return "reset";
    case STATEMENT_SHOW:
        return "show";
    case STATEMENT_DISCARD:
        return "discard";
    case STATEMENT_PREPARE:
        return "prepare";
    case STATEMENT_EXECUTE:
        return "execute";
    case STATEMENT_DEALLOCATE:
        return "deallocate";
    case STATEMENT_LISTEN:
        return "listen";
    case STATEMENT_NOTIFY:
        return "notify";
    case STATEMENT_CURSOR:
        return "cursor";
    case STATEMENT_EXPLAIN:
        return "explain";
    case STATEMENT_CALL:
        return "call";
    case STATEMENT_DO:
        return "do";
    case STATEMENT_DDL:
        return "ddl";
    case STATEMENT_UTILITY:
        return "utility";
    case STATEMENT_MULTI:
        return "multi";
    case STATEMENT_UNKNOWN:
        return "unknown";
    }
    CHECK(!"a statement kind");
    return "";
}

int analysis_setting_reported(const char *name)
{
    static const char *const names[] = {
        "application_name", "client_encoding",           "datestyle",
        "intervalstyle",    "standard_conforming_strings", "timezone",
    };
    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++)
        if (strcasecmp(name, names[i]) == 0)
            return i;
    return -1;
}
