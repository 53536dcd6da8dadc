// SPDX-License-Identifier: Apache-2.0
#include "config/roster.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "config/line.h"

struct roster *roster_new(void)
{
    struct roster *roster = mem_new(struct roster);
    roster->holders = 1;
    return roster;
}

struct roster *roster_ref(struct roster *roster)
{
    atomic_fetch_add_explicit(&roster->holders, 1, memory_order_relaxed);
    return roster;
}

void roster_unref(struct roster *roster)
{
    if (roster == NULL ||
        atomic_fetch_sub_explicit(&roster->holders, 1, memory_order_acq_rel) > 1)
        return;
    hash_fini(&roster->database_index);
    hash_fini(&roster->user_index);
    for (size_t i = 0; i < roster->database_count; i++) {
        line_free_database(&roster->databases[i]->is);
        mem_free(roster->databases[i]);
    }
    for (size_t i = 0; i < roster->user_count; i++) {
        line_free_user(&roster->users[i]->is);
        mem_free(roster->users[i]);
    }
    peers_fini(&roster->peers);
    cache_rules_fini(&roster->cache_rules);
    mem_free(roster->databases);
    mem_free(roster->users);
    mem_free(roster);
}

static uint64_t name_hash(const char *name)
{
    return hash_bytes(name, strlen(name));
}

static struct roster_database *find_database(const struct roster *roster, const char *name)
{
    struct hash_node *node = hash_first(&roster->database_index, name_hash(name));
    for (; node != NULL; node = hash_next(node)) {
        struct roster_database *db = container_of(node, struct roster_database, node);
        if (strcmp(db->is.name, name) == 0)
            return db;
    }
    return NULL;
}

static struct roster_user *find_user(const struct roster *roster, const char *name)
{
    struct hash_node *node = hash_first(&roster->user_index, name_hash(name));
    for (; node != NULL; node = hash_next(node)) {
        struct roster_user *user = container_of(node, struct roster_user, node);
        if (strcmp(user->is.name, name) == 0)
            return user;
    }
    return NULL;
}

static struct roster_database *add_database(struct roster *roster, const char *name)
{
    if (roster->database_count == roster->database_capacity) {
        roster->database_capacity = roster->database_capacity * 2 + 8;
        roster->databases = mem_realloc(roster->databases, roster->database_capacity *
                                                               sizeof *roster->databases);
    }
    struct roster_database *db = mem_new(struct roster_database);
    line_empty_database(&db->is);
    db->is.name = mem_strdup(name);
    hash_insert(&roster->database_index, &db->node, name_hash(name));
    return roster->databases[roster->database_count++] = db;
}

static struct roster_user *user_named(struct roster *roster, const char *name)
{
    struct roster_user *user = find_user(roster, name);
    if (user != NULL)
        return user;
    if (roster->user_count == roster->user_capacity) {
        roster->user_capacity = roster->user_capacity * 2 + 8;
        roster->users = mem_realloc(roster->users, roster->user_capacity * sizeof *roster->users);
    }
    user = mem_new(struct roster_user);
    line_empty_user(&user->is);
    user->is.name = mem_strdup(name);
    hash_insert(&roster->user_index, &user->node, name_hash(name));
    return roster->users[roster->user_count++] = user;
}

void roster_read_database(struct roster *roster, const struct ini_line *line,
                          struct problems *problems)
{
    if (strcmp(line->key, "pgbouncer") == 0 || strcmp(line->key, "pgweir") == 0) {
        problems_add(problems, PROBLEM_ERROR, line->file, line->line,
                     "database name \"%s\" is reserved", line->key);
        return;
    }
    struct roster_database *db = find_database(roster, line->key);
    if (db != NULL) {
        problems_add(problems, PROBLEM_WARNING, line->file, line->line,
                     "database \"%s\" has a line already: this one counts", line->key);
        line_free_database(&db->is);
        line_empty_database(&db->is);
        db->is.name = mem_strdup(line->key);
    } else {
        db = add_database(roster, line->key);
    }
    line_read_database(&db->is, line, problems);
    db->is.is_fallback = strcmp(line->key, "*") == 0;
    if (db->is.dbname == NULL && !db->is.is_fallback)
        db->is.dbname = mem_strdup(db->is.name);
}

void roster_read_user(struct roster *roster, const struct ini_line *line,
                      struct problems *problems)
{
    struct roster_user *user = user_named(roster, line->key);
    struct config_user kept = user->is;
    line_empty_user(&user->is);
    user->is.name = kept.name;
    user->is.secret = kept.secret;
    line_read_user(&user->is, line, problems);
    const struct config_user *is = &user->is;
    const int64_t timeouts[] = {is->query_timeout_us, is->query_wait_timeout_us,
                                is->idle_transaction_timeout_us, is->transaction_timeout_us,
                                is->client_idle_timeout_us};
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(*timeouts); i++)
        roster->has_user_timeouts |= timeouts[i] != CONFIG_INHERIT;
}

void roster_add_secrets(struct roster *roster, const struct users *users)
{
    for (size_t i = 0; i < users->count; i++) {
        struct roster_user *user = user_named(roster, users->at[i].name);
        line_free_text(user->is.secret);
        user->is.secret = mem_strdup(users->at[i].secret);
    }
}

static int by_database(const void *a, const void *b)
{
    const struct config_database *x = &(*(struct roster_database *const *)a)->is;
    const struct config_database *y = &(*(struct roster_database *const *)b)->is;
    if (x->is_fallback != y->is_fallback)
        return x->is_fallback ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int by_user(const void *a, const void *b)
{
    return strcmp((*(struct roster_user *const *)a)->is.name,
                  (*(struct roster_user *const *)b)->is.name);
}

void roster_sort(struct roster *roster)
{
    if (roster->database_count > 1)
        qsort(roster->databases, roster->database_count, sizeof *roster->databases, by_database);
    if (roster->user_count > 1)
        qsort(roster->users, roster->user_count, sizeof *roster->users, by_user);
}

const struct config_database *roster_database(const struct roster *roster, const char *name)
{
    struct roster_database *db = find_database(roster, name);
    return db == NULL ? NULL : &db->is;
}

const struct config_user *roster_user(const struct roster *roster, const char *name)
{
    struct roster_user *user = find_user(roster, name);
    return user == NULL ? NULL : &user->is;
}
