// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/queries.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "proxy/sql/template.h"

enum { ERA_TURNS = 1021 }; // keeps the numbers of two tables in a row apart

struct query {
    struct hash_node node;
    uint64_t hash;    // of database and the whole normalised text
    uint16_t turn;    // rises when the place is given to another one
    bool used;        // since the clock's hand came by
    char *database;   // owns
    char *text;       // owns; what is shown
    struct query_figures figures;
};

struct queries {
    struct hash_table table;
    size_t limit, count, hand;
    uint16_t era;
    struct query *at; // owns
    uint8_t template[TEMPLATE_MAX_BYTES];
    char shown[TEMPLATE_MAX_BYTES + 4];
};

struct queries *queries_new(size_t limit, unsigned era)
{
    struct queries *q = mem_new(struct queries);
    CHECK(limit > 0 && limit <= QUERIES_MAX);
    q->era = (uint16_t)(era * ERA_TURNS);
    q->limit = limit;
    q->at = mem_zalloc(limit * sizeof(*q->at));
    return q;
}

static void forget(struct queries *q, struct query *query)
{
    hash_remove(&q->table, &query->node);
    mem_free(query->database);
    mem_free(query->text);
    *query = (struct query){.turn = (uint16_t)(query->turn + 1)};
}

void queries_free(struct queries *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < q->count; i++)
        forget(q, &q->at[i]);
    hash_fini(&q->table);
    mem_free(q->at);
    mem_free(q);
}

// A text whose constants cannot be told apart with certainty is shown up to where they may begin.
static size_t plain_prefix(struct slice text)
{
    size_t n = 0;
    while (n < text.len && strchr("'\"$\\", text.at[n]) == NULL && text.at[n] < 0x80 &&
           (text.at[n] < '0' || text.at[n] > '9'))
        n++;
    return n;
}

// The normalised text, in q->shown; returns its length.
static size_t normalise(struct queries *q, struct slice sql)
{
    struct template t = template_of(sql, q->template);
    size_t n = t.verbatim ? plain_prefix(t.bytes) : t.bytes.len;
    if (n > TEMPLATE_MAX_BYTES)
        n = TEMPLATE_MAX_BYTES;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = t.bytes.at[i];
        bool constant = !t.verbatim && c >= TEMPLATE_INTEGER && c <= TEMPLATE_STRING;
        q->shown[i] = constant ? '?' : c < ' ' ? ' ' : (char)c;
    }
    if (n < t.bytes.len) {
        memcpy(q->shown + n, "...", 3);
        n += 3;
    }
    return n;
}

static struct query *place(struct queries *q)
{
    if (q->count < q->limit) {
        q->at[q->count].turn = q->era;
        return &q->at[q->count++];
    }
    for (;;) {
        struct query *query = &q->at[q->hand];
        q->hand = (q->hand + 1) % q->limit;
        if (!query->used) {
            forget(q, query);
            return query;
        }
        query->used = false;
    }
}

static struct query *find(const struct queries *q, uint64_t hash, const char *database)
{
    for (struct hash_node *n = hash_first(&q->table, hash); n != NULL; n = hash_next(n)) {
        struct query *query = container_of(n, struct query, node);
        if (query->hash == hash && strcmp(query->database, database) == 0)
            return query;
    }
    return NULL;
}

uint32_t queries_find(struct queries *q, const char *database, struct slice text)
{
    size_t n = normalise(q, text);
    uint64_t hash = hash_bytes(q->shown, n) * 31 + hash_bytes(database, strlen(database));
    struct query *query = find(q, hash, database);
    if (query == NULL) {
        query = place(q);
        query->hash = hash;
        query->database = mem_strdup(database);
        query->text = mem_strndup(q->shown, n < QUERIES_TEXT_BYTES ? n : QUERIES_TEXT_BYTES);
        hash_insert(&q->table, &query->node, hash);
    } else {
        query->used = true; // a second time: it stays longer than those that came once
    }
    return (uint32_t)query->turn << 16 | ((uint32_t)(query - q->at) + 1);
}

struct query_figures *queries_figures(struct queries *q, uint32_t number)
{
    uint32_t nth = number & 0xffff;
    if (nth == 0 || nth > q->count || q->at[nth - 1].turn != number >> 16)
        return NULL;
    return &q->at[nth - 1].figures;
}

void queries_each(const struct queries *q, queries_visit visit, void *arg)
{
    for (size_t i = 0; i < q->count; i++)
        visit(q->at[i].database, q->at[i].text, &q->at[i].figures, arg);
}
