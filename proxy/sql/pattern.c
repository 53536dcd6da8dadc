// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/pattern.h"

#include "base/mem.h"

enum { BEGINNING = 16 }; // the bytes that choose a set; constants seldom come earlier

struct pattern *pattern_new(struct slice sql)
{
    struct template_constant constants[TEMPLATE_CONSTANTS_MAX];
    if (sql.len > PATTERN_BYTES_MAX)
        return NULL;
    size_t n = template_constants(sql, constants);
    if (n > PATTERN_CONSTANTS_MAX)
        return NULL;
    struct pattern *p = mem_alloc(sizeof(*p) + sql.len);
    *p = (struct pattern){.len = (uint32_t)sql.len, .count = (uint32_t)n};
    if (sql.len > 0)
        memcpy(p->bytes, sql.at, sql.len);
    const uint8_t *end = sql.at; // of the constant before
    for (size_t i = 0; i < n; i++) {
        struct slice raw = constants[i].raw;
        // One that begins with a digit instead would belong to a word before it.
        if (raw.at[0] == '.') {
            mem_free(p);
            return NULL;
        }
        p->at[i].literal = (uint32_t)(raw.at - end);
        p->at[i].bytes = (uint32_t)raw.len;
        p->at[i].kind = constants[i].kind;
        end = raw.at + raw.len;
    }
    return p;
}

void pattern_free(struct pattern *p)
{
    mem_free(p);
}

static inline bool same(const uint8_t *a, const uint8_t *b, size_t n)
{
    return n == 0 || memcmp(a, b, n) == 0;
}

// Why that is enough: a token depends on its own bytes, on the one behind it, and on two before it.
// Constants begin with a digit or a quote in both texts and are of the same kind, so no token
// between them can tell the texts apart by those; and what is read of a constant here is what
// template_of() reads of it.
static inline bool read_by(const struct pattern *p, struct slice sql,
                           struct template_constant *out)
{
    const uint8_t *known = p->bytes;
    size_t at = 0;
    if (sql.len > TEMPLATE_MAX_BYTES)
        return false;
    for (uint32_t i = 0; i < p->count; i++) {
        size_t literal = p->at[i].literal;
        if (sql.len - at <= literal || !same(known, sql.at + at, literal))
            return false;
        at += literal;
        known += literal + p->at[i].bytes;
        size_t bytes = template_constant_at(sql, at, (uint8_t)p->at[i].kind);
        if (bytes == 0)
            return false;
        if (out != NULL)
            out[i] = (struct template_constant){slice_of(sql.at + at, bytes),
                                                (uint8_t)p->at[i].kind};
        at += bytes;
    }
    size_t rest = (size_t)(p->bytes + p->len - known);
    return sql.len - at == rest && same(known, sql.at + at, rest);
}

bool pattern_fits(const struct pattern *p, struct slice sql)
{
    return read_by(p, sql, NULL);
}

bool pattern_constants(const struct pattern *p, struct slice sql, struct template_constant *out,
                       size_t *n)
{
    *n = p->count;
    return read_by(p, sql, out);
}

static struct pattern **set_of(struct patterns *all, struct slice sql)
{
    uint64_t words[2] = {0, 0};
    if (sql.len >= BEGINNING)
        memcpy(words, sql.at, BEGINNING);
    else
        memcpy(words, sql.at, sql.len);
    uint64_t mixed = (words[0] ^ (words[1] << 7 | words[1] >> 57)) * 0x9e3779b97f4a7c15u;
    return all->at[mixed >> 58 & (PATTERN_SETS - 1)];
}

static void to_front(struct pattern **set, int way)
{
    struct pattern *p = set[way];
    for (; way > 0; way--)
        set[way] = set[way - 1];
    set[0] = p;
}

struct pattern *patterns_find(struct patterns *all, struct slice sql)
{
    if (sql.len == 0)
        return NULL;
    struct pattern **set = set_of(all, sql);
    for (int way = 0; way < PATTERN_WAYS && set[way] != NULL; way++) {
        if (!pattern_fits(set[way], sql))
            continue;
        if (way > 0)
            to_front(set, way);
        return set[0];
    }
    return NULL;
}

struct pattern *patterns_put(struct patterns *all, struct pattern *p)
{
    struct pattern **set = set_of(all, slice_of(p->bytes, p->len));
    struct pattern *last = set[PATTERN_WAYS - 1];
    set[PATTERN_WAYS - 1] = p;
    for (int way = PATTERN_WAYS - 1; way > 0 && set[way - 1] == NULL; way--) {
        set[way - 1] = p; // no gaps: finding ends at the first
        set[way] = NULL;
    }
    return last;
}
