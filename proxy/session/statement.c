// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/statement.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/sql/prepared_text.h"
#include "proxy/sql/texts.h"
#include "proxy/sql/typed.h"

enum { REGISTRY_SHARDS = 16 };

struct registry_shard {
    pthread_mutex_t lock;
    struct hash_table table;
};

struct statement_registry {
    struct registry_shard shards[REGISTRY_SHARDS];
    _Atomic uint64_t last_number;
};

struct statement_registry *statement_registry_new(void)
{
    struct statement_registry *registry = mem_new(struct statement_registry);
    for (int i = 0; i < REGISTRY_SHARDS; i++)
        pthread_mutex_init(&registry->shards[i].lock, NULL);
    return registry;
}

void statement_registry_free(struct statement_registry *registry)
{
    for (int i = 0; i < REGISTRY_SHARDS; i++) {
        CHECK(registry->shards[i].table.count == 0);
        hash_fini(&registry->shards[i].table);
        pthread_mutex_destroy(&registry->shards[i].lock);
    }
    mem_free(registry);
}

uint64_t statement_registry_last(const struct statement_registry *registry)
{
    return registry->last_number;
}

void statement_registry_skip(struct statement_registry *registry, uint64_t number)
{
    if (registry->last_number < number)
        registry->last_number = number;
}

static struct registry_shard *shard_of(struct statement_registry *registry, uint64_t hash)
{
    return &registry->shards[hash >> 60];
}

bool statement_types_known(const struct statement *s, const struct catalog *catalog)
{
    struct reader r = reader_of(statement_types(s));
    for (uint16_t n = reader_u16(&r); n > 0 && reader_ok(&r); n--) {
        uint32_t type = reader_u32(&r);
        if (typed_is_users(type) && (catalog == NULL || !catalog_is_enum(catalog, type)))
            return false;
    }
    return true;
}

bool statement_is(const struct statement *s, uint64_t scope, struct slice tail, size_t text_bytes)
{
    return s->scope == scope && s->text_bytes == text_bytes && slice_eq(statement_tail(s), tail);
}

// Under the shard's lock.
static struct statement *find(struct registry_shard *shard, uint64_t hash, uint64_t scope,
                              struct slice tail, size_t text_bytes)
{
    for (struct hash_node *n = hash_first(&shard->table, hash); n != NULL; n = hash_next(n)) {
        struct statement *s = container_of(n, struct statement, node);
        if (statement_is(s, scope, tail, text_bytes))
            return statement_ref(s);
    }
    return NULL;
}

// Why it is not cached with parameters of the types that are declared.
static enum bypass parameters_bypass(struct statement *s)
{
    struct reader r = reader_of(statement_types(s));
    enum bypass bypass = BYPASS_NONE;
    for (uint16_t n = statement_is_sql(s) ? 0 : reader_u16(&r); n > 0 && reader_ok(&r); n--) {
        uint32_t type = reader_u32(&r);
        enum bypass one = typed_parameter(s->analysis, type);
        s->of_users_types |= typed_is_users(type);
        bypass = bypass == BYPASS_NONE ? one : bypass;
    }
    return bypass;
}

static struct statement *make(struct statement_registry *registry, struct texts_front *front,
                              uint64_t scope, struct slice tail, size_t text_bytes)
{
    struct statement *s = mem_zalloc(sizeof(*s) + tail.len);
    s->refs = 1;
    s->registry = registry;
    s->scope = scope;
    s->text_bytes = (uint32_t)text_bytes;
    s->types_bytes = (uint32_t)(tail.len - text_bytes);
    memcpy(s->tail, tail.at, tail.len);
    struct slice text = statement_text(s);
    if (statement_is_sql(s))
        text = prepared_text_query(text);
    s->analysis = analysis_ref(texts_front_analysis(front, text));
    s->parameters = parameters_bypass(s);
    s->number = atomic_fetch_add(&registry->last_number, 1) + 1;
    snprintf(s->name, sizeof(s->name), STATEMENT_PREFIX "%llu", (unsigned long long)s->number);
    return s;
}

static void statement_free(struct statement *s)
{
    analysis_unref(&s->analysis);
    mem_free(s);
}

struct statement *statement_get(struct statement_registry *registry, struct texts_front *front,
                                uint64_t scope, struct slice tail, size_t text_bytes)
{
    CHECK(text_bytes > 0 && text_bytes <= tail.len);
    uint64_t hash = hash_bytes(tail.at, tail.len) ^ (scope * 0x9e3779b97f4a7c15u);
    struct registry_shard *shard = shard_of(registry, hash);
    pthread_mutex_lock(&shard->lock);
    struct statement *s = find(shard, hash, scope, tail, text_bytes);
    pthread_mutex_unlock(&shard->lock);
    if (s != NULL)
        return s;
    // Analysis may take a while: not under the lock. Somebody else may be first meanwhile.
    struct statement *fresh = make(registry, front, scope, tail, text_bytes);
    pthread_mutex_lock(&shard->lock);
    s = find(shard, hash, scope, tail, text_bytes);
    if (s == NULL) {
        hash_insert(&shard->table, &fresh->node, hash);
        s = fresh;
        fresh = NULL;
    }
    pthread_mutex_unlock(&shard->lock);
    if (fresh != NULL)
        statement_free(fresh);
    return s;
}

struct statement *statement_ref(struct statement *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void statement_let_go(struct statement **at)
{
    struct statement *s = *at;
    *at = NULL;
    uint32_t refs = atomic_load_explicit(&s->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&s->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    // Perhaps the last one: a lookup may count it up again until it has left the table.
    struct registry_shard *shard = shard_of(s->registry, s->node.hash);
    pthread_mutex_lock(&shard->lock);
    bool last = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1;
    if (last)
        hash_remove(&shard->table, &s->node);
    pthread_mutex_unlock(&shard->lock);
    if (last)
        statement_free(s);
}

// ---- names ----

struct named {
    struct hash_node node;
    struct meaning meaning;
    uint32_t name_bytes;
    char name[];
};

static struct named *named_find(const struct statement_names *names, struct slice name,
                                uint64_t hash)
{
    for (struct hash_node *n = hash_first(&names->table, hash); n != NULL; n = hash_next(n)) {
        struct named *named = container_of(n, struct named, node);
        if (slice_eq(slice_of(named->name, named->name_bytes), name))
            return named;
    }
    return NULL;
}

struct meaning *statement_names_get(const struct statement_names *names, struct slice name)
{
    if (names->table.count == 0)
        return NULL;
    struct named *named = named_find(names, name, hash_bytes(name.at, name.len));
    return named ? &named->meaning : NULL;
}

struct meaning *statement_names_get_by(const struct statement_names *names, uint64_t name,
                                       uint64_t number)
{
    struct hash_node *n = hash_first(&names->table, name);
    struct meaning *meaning = n ? &container_of(n, struct named, node)->meaning : NULL;
    return meaning != NULL && meaning->statement->number == number ? meaning : NULL;
}

void statement_names_set(struct statement_names *names, struct slice name, struct statement *s)
{
    uint64_t hash = hash_bytes(name.at, name.len);
    struct named *named = named_find(names, name, hash);
    if (s != NULL)
        statement_ref(s);
    if (named == NULL && s != NULL) {
        named = mem_zalloc(sizeof(*named) + name.len + 1);
        named->name_bytes = (uint32_t)name.len;
        memcpy(named->name, name.at, name.len);
        hash_insert(&names->table, &named->node, hash);
    }
    if (named == NULL)
        return;
    if (named->meaning.statement != NULL)
        names->in_sql -= statement_is_sql(named->meaning.statement);
    if (s != NULL)
        names->in_sql += statement_is_sql(s);
    statement_unref(&named->meaning.statement);
    named->meaning = (struct meaning){.statement = s};
    if (s == NULL) {
        hash_remove(&names->table, &named->node);
        mem_free(named);
    }
}

static void named_free(struct hash_node *node, void *arg)
{
    struct named *named = container_of(node, struct named, node);
    statement_unref(&named->meaning.statement);
    mem_free(named);
}

void statement_names_clear(struct statement_names *names)
{
    hash_each(&names->table, named_free, NULL);
    hash_fini(&names->table);
    names->in_sql = 0;
}

struct visitor {
    void (*visit)(const char *name, struct statement *s, void *arg);
    void *arg;
};

static void named_visit(struct hash_node *node, void *arg)
{
    const struct named *named = container_of(node, struct named, node);
    const struct visitor *visitor = arg;
    visitor->visit(named->name, named->meaning.statement, visitor->arg);
}

void statement_names_each(const struct statement_names *names,
                          void (*visit)(const char *name, struct statement *s, void *arg),
                          void *arg)
{
    hash_each(&names->table, named_visit, &(struct visitor){visit, arg});
}
