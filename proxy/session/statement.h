// SPDX-License-Identifier: Apache-2.0
// A prepared statement, shared by text. Of the extended protocol: the same text with the same
// declared parameter types is one statement for all clients and servers, and has one name on every
// server ("PGWEIR_" and its number). Counted; the registry forgets it with the last count.
// And the names by which one client knows its statements.
#pragma once
#include "base/hash.h"
#include "base/slice.h"
#include "cache/statistics.h"
#include "proxy/wire/layout.h"

struct analysis;
struct catalog;
struct statement_registry;
struct texts_front;

#define STATEMENT_PREFIX "PGWEIR_"
enum { STATEMENT_NAME_BYTES = 32 };

struct statement {
    struct hash_node node; // in the registry's shard, under its lock
    _Atomic uint32_t refs;
    uint64_t number;       // never used twice in a process; 0 is nobody's
    struct statement_registry *registry;
    struct analysis *analysis; // counts
    uint64_t scope;        // only compared
    bool of_users_types;    // some of those are
    enum bypass parameters; // why it is not cached with those of the types that are declared
    _Atomic bool proven;   // a server of its scope has accepted it
    _Atomic uint32_t edition; // one more whenever it was found not to fit its tables any more
    uint32_t text_bytes;   // with its NUL
    uint32_t types_bytes;
    char name[STATEMENT_NAME_BYTES]; // on servers
    uint8_t tail[];        // the text with its NUL, then count and oids of the types as sent
};

// Made by an SQL PREPARE, which is its text; its analysis is that of what was prepared. On a server
// it has the name that its client gave it (given.h).
static inline bool statement_is_sql(const struct statement *s)
{
    return s->types_bytes == 0;
}

static inline struct slice statement_text(const struct statement *s)
{
    return slice_of(s->tail, s->text_bytes - 1);
}

// Text, NUL and types: what follows the name in a Parse message, and what identifies it.
static inline struct slice statement_tail(const struct statement *s)
{
    return slice_of(s->tail, (size_t)s->text_bytes + s->types_bytes);
}

// The declared types of its parameters: count and oids; empty when SQL's.
static inline struct slice statement_types(const struct statement *s)
{
    return slice_of(s->tail + s->text_bytes, s->types_bytes);
}

struct statement_registry *statement_registry_new(void);
void statement_registry_free(struct statement_registry *registry); // none may be left

// The number of the newest; those to come have higher ones than `number`
// (before any is made).
uint64_t statement_registry_last(const struct statement_registry *registry);
void statement_registry_skip(struct statement_registry *registry, uint64_t number);

// Any thread; front is the caller's own. scope: statements of different scopes are different
// ones. tail: a Parse message behind its name, or an SQL PREPARE and its NUL; text_bytes: how much
// of it is the text and its NUL. The caller gets a count.
struct statement *statement_get(struct statement_registry *registry, struct texts_front *front,
                                uint64_t scope, struct slice tail, size_t text_bytes);
// Would that give this one?
bool statement_is(const struct statement *s, uint64_t scope, struct slice tail, size_t text_bytes);
// Of the users' types among those declared: does the catalog (NULL: none yet) know each as safe?
bool statement_types_known(const struct statement *s, const struct catalog *catalog);
struct statement *statement_ref(struct statement *s);
void statement_let_go(struct statement **s);
static inline void statement_unref(struct statement **s) // NULL inside is fine; clears the pointer
{
    if (*s != NULL)
        statement_let_go(s);
}

// ---- one client's names; the unnamed statement is kept by the session itself ----

struct statement_names {
    struct hash_table table;
    uint32_t in_sql; // how many of them are SQL's
};

struct meaning {
    struct statement *statement; // counts
    struct layout told;          // what the client was told of it
};

// What the name means, borrowed until the names change; NULL: nothing.
struct meaning *statement_names_get(const struct statement_names *names, struct slice name);
static inline struct statement *statement_names_find(const struct statement_names *names,
                                                     struct slice name)
{
    const struct meaning *meaning = statement_names_get(names, name);
    return meaning != NULL ? meaning->statement : NULL;
}
// The same, by the name's hash (hash_bytes()) and only if it means the statement of that number.
struct meaning *statement_names_get_by(const struct statement_names *names, uint64_t name,
                                       uint64_t number);
// Gives the name a new meaning (which is counted; NULL: none), of which nothing was told.
void statement_names_set(struct statement_names *names, struct slice name, struct statement *s);
// visit may not change the names.
void statement_names_each(const struct statement_names *names,
                          void (*visit)(const char *name, struct statement *s, void *arg),
                          void *arg);
void statement_names_clear(struct statement_names *names); // also gives the memory back
