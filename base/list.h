// SPDX-License-Identifier: Apache-2.0
// Intrusive doubly linked list. A link that is in no list points at itself, so list_unlink() is
// always allowed. The lists own nothing.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev;
    struct link *next;
};

struct list {
    struct link head;
    size_t count;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void link_init(struct link *l)
{
    l->prev = l->next = l;
}

static inline bool link_in_list(const struct link *l)
{
    return l->next != l;
}

static inline void list_init(struct list *list)
{
    link_init(&list->head);
    list->count = 0;
}

static inline bool list_empty(const struct list *list)
{
    return list->count == 0;
}

static inline void list_insert_after(struct list *list, struct link *where, struct link *l)
{
    l->prev = where;
    l->next = where->next;
    where->next->prev = l;
    where->next = l;
    list->count++;
}

static inline void list_push_front(struct list *list, struct link *l)
{
    list_insert_after(list, &list->head, l);
}

static inline void list_push_back(struct list *list, struct link *l)
{
    list_insert_after(list, list->head.prev, l);
}

// l must be in this list.
static inline void list_remove(struct list *list, struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
    list->count--;
}

static inline struct link *list_first(const struct list *list)
{
    return list_empty(list) ? NULL : list->head.next;
}

static inline struct link *list_last(const struct list *list)
{
    return list_empty(list) ? NULL : list->head.prev;
}

static inline struct link *list_pop_front(struct list *list)
{
    struct link *l = list_first(list);
    if (l != NULL)
        list_remove(list, l);
    return l;
}

// The loop body may remove `it`.
#define list_each(list, it)                                                                        \
    for (struct link *it = (list)->head.next, *it##_next = it->next; it != &(list)->head;          \
         it = it##_next, it##_next = it->next)
