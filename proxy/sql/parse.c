// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/parse.h"

#include <pg_query.h>
#include <pthread.h>

#include "base/mem.h"

enum {
    SHORT_TEXT_BYTES = 2048,   // cannot nest deeper than an ordinary stack bears
    SHALLOW_TOKENS = 1000,     // likewise, by its tokens
    DEEPEST_TOKENS = 16384,    // deeper than PostgreSQL itself goes with max_stack_depth's default
    STACK_BYTES_PER_TOKEN = 4096,
    ARENA_BLOCK_BYTES = 64 * 1024,
};

// ---- Memory for the unpacked tree: given back all at once ---------------------------------------

struct block {
    struct block *next;
    size_t used;
    size_t room;
    _Alignas(16) uint8_t bytes[];
};

static void *arena_take(void *arena, size_t bytes)
{
    struct block **first = arena;
    bytes = (bytes + 15) & ~(size_t)15;
    if (*first == NULL || (*first)->room - (*first)->used < bytes) {
        size_t room = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;
        struct block *block = mem_alloc(sizeof(*block) + room);
        *block = (struct block){.next = *first, .room = room};
        *first = block;
    }
    void *taken = (*first)->bytes + (*first)->used;
    (*first)->used += bytes;
    return taken;
}

static void arena_give(void *arena, void *taken)
{
    (void)arena;
    (void)taken;
}

static void arena_free(struct block **first)
{
    for (struct block *block = *first; block != NULL;) {
        struct block *next = block->next;
        mem_free(block);
        block = next;
    }
    *first = NULL;
}

// ---- The text -----------------------------------------------------------------------------------

// Length of the well-formed UTF-8 character at at, 0 when there is none.
static size_t utf8_length(const uint8_t *at, const uint8_t *end)
{
    uint8_t first = *at;
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 :
                 first < 0xf5 ? 4 : 0;
    if ((size_t)(end - at) < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

// The text with a NUL behind it. A text that is not UTF-8 throughout is in another encoding: every
// byte beyond ASCII then becomes U+0080, so that it is seen wherever it ends up.
static char *copy_text(struct slice sql, bool *foreign)
{
    const uint8_t *end = sql.at + sql.len;
    const uint8_t *at = sql.at;
    size_t len = 1;
    while (at < end && (len = utf8_length(at, end)) > 0)
        at += len;
    *foreign = at < end;
    if (!*foreign)
        return mem_strndup((const char *)sql.at, sql.len);
    char *text = mem_alloc(2 * sql.len + 1);
    char *out = text;
    for (at = sql.at; at < end; at++) {
        if (*at >= 0x80)
            *out++ = (char)0xc2;
        *out++ = (char)(*at >= 0x80 ? 0x80 : *at);
    }
    *out = 0;
    return text;
}

// ---- The depth ----------------------------------------------------------------------------------

// Tokens that add no level of nesting however many there are: constants, names, and the dots
// between them. Everything else may.
static bool is_flat(const PgQuery__ScanToken *token)
{
    if (token->keyword_kind != PG_QUERY__KEYWORD_KIND__NO_KEYWORD)
        return false;
    switch ((int)token->token) {
    case PG_QUERY__TOKEN__ASCII_46: // .
    case PG_QUERY__TOKEN__IDENT:
    case PG_QUERY__TOKEN__FCONST:
    case PG_QUERY__TOKEN__SCONST:
    case PG_QUERY__TOKEN__ICONST:
    case PG_QUERY__TOKEN__PARAM:
    case PG_QUERY__TOKEN__SQL_COMMENT:
    case PG_QUERY__TOKEN__C_COMMENT:
        return true;
    }
    return false;
}

// What is between one pair of brackets: items with commas between them, which do not nest in one
// another.
struct level {
    uint32_t tokens;  // of the current item that may each add a level
    uint32_t inner;   // the deepest brackets closed in the current item
    uint32_t deepest; // of the items before
    bool chains;      // UNION was met: a chain of SELECTs nests across the commas of their lists
};

static void end_item(struct level *level)
{
    uint32_t depth = level->tokens + level->inner;
    if (depth > level->deepest)
        level->deepest = depth;
    level->tokens = 0;
    level->inner = 0;
}

static void close_level(struct level *level, struct level *around)
{
    end_item(level);
    if (level->deepest + 1 > around->inner)
        around->inner = level->deepest + 1;
}

// An upper bound of the nesting of any one statement, in tokens. levels: DEEPEST_TOKENS of them.
static size_t depth_of(const PgQuery__ScanResult *scan, struct level *levels)
{
    size_t open = 0;
    levels[0] = (struct level){0};
    for (size_t i = 0; i < scan->n_tokens; i++) {
        const PgQuery__ScanToken *token = scan->tokens[i];
        struct level *level = &levels[open];
        switch ((int)token->token) {
        case PG_QUERY__TOKEN__ASCII_40: // (
        case PG_QUERY__TOKEN__ASCII_91: // [
            if (++open == DEEPEST_TOKENS)
                return SIZE_MAX;
            levels[open] = (struct level){0};
            break;
        case PG_QUERY__TOKEN__ASCII_41: // )
        case PG_QUERY__TOKEN__ASCII_93: // ]
            if (open > 0)
                close_level(&levels[open--], level - 1);
            break;
        case PG_QUERY__TOKEN__ASCII_44: // ,
            if (open > 0 && !level->chains)
                end_item(level);
            break;
        case PG_QUERY__TOKEN__ASCII_59: // ;
            if (open == 0)
                end_item(level);
            break;
        case PG_QUERY__TOKEN__UNION:
        case PG_QUERY__TOKEN__INTERSECT:
        case PG_QUERY__TOKEN__EXCEPT:
            level->chains = true;
            level->tokens++;
            break;
        default:
            level->tokens += !is_flat(token);
        }
    }
    for (; open > 0; open--)
        close_level(&levels[open], &levels[open - 1]);
    end_item(&levels[0]);
    return levels[0].deepest;
}

// SIZE_MAX: not even the scanner could read it.
static size_t text_depth(const char *text)
{
    PgQueryScanResult result = pg_query_scan(text);
    size_t depth = SIZE_MAX;
    if (result.error == NULL) {
        struct block *arena = NULL;
        ProtobufCAllocator allocator = {arena_take, arena_give, &arena};
        PgQuery__ScanResult *scan = pg_query__scan_result__unpack(
            &allocator, result.pbuf.len, (const uint8_t *)result.pbuf.data);
        if (scan != NULL)
            depth = depth_of(scan, arena_take(&arena, DEEPEST_TOKENS * sizeof(struct level)));
        arena_free(&arena);
    }
    pg_query_free_scan_result(result);
    return depth;
}

// ---- Parsing ------------------------------------------------------------------------------------

struct job {
    const char *text;
    struct parsed parsed;
    void (*visit)(const struct parsed *parsed, void *arg);
    void *arg;
};

static void *parse_here(void *arg)
{
    struct job *job = arg;
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(job->text);
    struct block *arena = NULL;
    ProtobufCAllocator allocator = {arena_take, arena_give, &arena};
    if (result.error == NULL)
        job->parsed.tree = pg_query__parse_result__unpack(
            &allocator, result.parse_tree.len, (const uint8_t *)result.parse_tree.data);
    job->visit(&job->parsed, job->arg);
    arena_free(&arena);
    pg_query_free_protobuf_parse_result(result);
    return NULL;
}

static bool parse_in_thread(struct job *job, size_t stack_bytes)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    bool started = pthread_attr_setstacksize(&attributes, stack_bytes) == 0 &&
                   pthread_create(&thread, &attributes, parse_here, job) == 0;
    pthread_attr_destroy(&attributes);
    return started && pthread_join(thread, NULL) == 0;
}

void parse(struct slice sql, void (*visit)(const struct parsed *parsed, void *arg), void *arg)
{
    struct job job = {.visit = visit, .arg = arg};
    if (sql.len > 0 && memchr(sql.at, 0, sql.len) != NULL) {
        visit(&job.parsed, arg);
        return;
    }
    char *text = copy_text(sql.len > 0 ? sql : slice_str(""), &job.parsed.foreign);
    job.text = text;
    size_t depth = sql.len <= SHORT_TEXT_BYTES ? 0 : text_depth(text);
    if (depth <= SHALLOW_TOKENS)
        parse_here(&job);
    else if (depth > DEEPEST_TOKENS ||
             !parse_in_thread(&job, (depth + SHALLOW_TOKENS) * STACK_BYTES_PER_TOKEN))
        visit(&job.parsed, arg);
    mem_free(text);
}
