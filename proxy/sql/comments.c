// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/comments.h"

#include <ctype.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "base/mem.h"

// A look for the word spares nearly all texts the rest.
static bool may_have_hints(struct slice sql)
{
    const size_t n = sizeof(HINTS_PREFIX) - 1;
    for (const uint8_t *at = sql.at, *end = sql.at + sql.len; at < end; at++) {
        at = memchr(at, ':', (size_t)(end - at));
        if (at == NULL)
            return false;
        if ((size_t)(at - sql.at) + 1 >= n && hints_are(slice_of(at + 1 - n, n)))
            return true;
    }
    return false;
}

// Each byte beyond ASCII becomes a letter: the scanner minds encodings, and hints have none.
static char *copy_ascii(struct slice sql)
{
    char *text = mem_strndup((const char *)sql.at, sql.len);
    for (size_t i = 0; i < sql.len; i++)
        if ((uint8_t)text[i] >= 0x80)
            text[i] = 'x';
    return text;
}

void comments_hints(struct slice sql, struct hints *hints)
{
    if (!may_have_hints(sql))
        return;
    char *text = copy_ascii(sql);
    PgQueryScanResult scan = pg_query_scan(text);
    PgQuery__ScanResult *result = NULL;
    if (scan.error == NULL)
        result = pg_query__scan_result__unpack(NULL, scan.pbuf.len, (const void *)scan.pbuf.data);
    for (size_t i = 0; result != NULL && i < result->n_tokens; i++) {
        const PgQuery__ScanToken *t = result->tokens[i];
        bool is_block = t->token == PG_QUERY__TOKEN__C_COMMENT && t->end - t->start >= 4;
        if (is_block && t->start >= 0 && (size_t)t->end <= sql.len)
            hints_read(slice_of(text + t->start + 2, (size_t)(t->end - t->start) - 4), hints);
    }
    if (result != NULL)
        pg_query__scan_result__free_unpacked(result, NULL);
    pg_query_free_scan_result(scan);
    mem_free(text);
}
