// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/server.h"

#include "base/mem.h"
#include "proxy/session/statement.h"

struct prepared_node {
    struct hash_node node; // hash: the number
    struct link link;
    struct statement *statement; // counts
    uint32_t edition;            // of the statement, when it was prepared here
    struct layout layout;        // what it gives and takes, so prepared; for as long as it is here
    bool odd;
};

static struct prepared_node *find(const struct prepared *prepared, uint64_t number)
{
    struct hash_node *n = hash_first(&prepared->table, number);
    return n ? container_of(n, struct prepared_node, node) : NULL;
}

static void touch(struct prepared *prepared, struct prepared_node *node)
{
    if (list_first(&prepared->used) == &node->link)
        return;
    list_remove(&prepared->used, &node->link);
    list_push_front(&prepared->used, &node->link);
}

bool prepared_has(struct prepared *prepared, const struct statement *statement)
{
    struct prepared_node *node = find(prepared, statement->number);
    if (node == NULL)
        return false;
    touch(prepared, node);
    return true;
}

void prepared_spoil(struct prepared *prepared, uint64_t number)
{
    struct prepared_node *node = find(prepared, number);
    if (node != NULL && node->edition == node->statement->edition)
        node->statement->edition++; // two at once: prepared anew once too often
}

void prepared_outdate(struct prepared *prepared, uint64_t number)
{
    struct prepared_node *node = find(prepared, number);
    if (node != NULL)
        node->edition = node->statement->edition - 1;
}

bool prepared_is_spoilt(const struct prepared *prepared, const struct statement *statement)
{
    struct prepared_node *node = find(prepared, statement->number);
    return node != NULL && node->edition != statement->edition;
}

void prepared_add(struct prepared *prepared, struct statement *statement, bool odd)
{
    if (find(prepared, statement->number) != NULL)
        return;
    prepared->odd |= odd;
    struct prepared_node *node = mem_new(struct prepared_node);
    node->statement = statement_ref(statement);
    node->edition = statement->edition;
    node->layout = (struct layout){0};
    node->odd = odd;
    hash_insert(&prepared->table, &node->node, statement->number);
    link_init(&node->link);
    list_push_front(&prepared->used, &node->link);
}

bool prepared_is_odd(const struct prepared *prepared, const struct statement *statement)
{
    const struct prepared_node *node = find(prepared, statement->number);
    return node != NULL && node->odd;
}

void prepared_settle(struct prepared *prepared)
{
    list_each(&prepared->used, l)
    {
        struct prepared_node *node = container_of(l, struct prepared_node, link);
        if (node->odd)
            node->edition = node->statement->edition - 1;
    }
    prepared->odd = false;
}

static void drop(struct prepared *prepared, struct prepared_node *node)
{
    hash_remove(&prepared->table, &node->node);
    list_remove(&prepared->used, &node->link);
    statement_unref(&node->statement);
    mem_free(node);
}

void prepared_remove(struct prepared *prepared, const struct statement *statement)
{
    struct prepared_node *node = find(prepared, statement->number);
    if (node != NULL)
        drop(prepared, node);
}

struct statement *prepared_oldest(struct prepared *prepared)
{
    struct link *l = list_last(&prepared->used);
    return l ? container_of(l, struct prepared_node, link)->statement : NULL;
}

struct layout *prepared_newest(struct prepared *prepared)
{
    struct link *l = list_first(&prepared->used);
    return l ? &container_of(l, struct prepared_node, link)->layout : NULL;
}

struct layout *prepared_layout(struct prepared *prepared, uint64_t number)
{
    struct prepared_node *node = find(prepared, number);
    return node ? &node->layout : NULL;
}

void prepared_clear(struct prepared *prepared)
{
    struct link *l;
    while ((l = list_first(&prepared->used)) != NULL)
        drop(prepared, container_of(l, struct prepared_node, link));
    hash_fini(&prepared->table);
}
