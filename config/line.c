// SPDX-License-Identifier: Apache-2.0
#include "config/line.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "config/option.h"

enum key_kind {
    KEY_TEXT,    // const char *, owned
    KEY_COUNT,   // int, -1 = inherit
    KEY_LIMIT,   // int, 0 or less = inherit
    KEY_PORT,    // int
    KEY_TIME,    // int64_t, microseconds, -1 = inherit
    KEY_TIMEOUT, // int64_t, 0 = inherit too
    KEY_MODE,    // a pool mode
    KEY_AUTH,    // an auth_type
    KEY_BALANCE, // how a host of several is chosen
    KEY_TARGET,  // what a server must be
};

struct key {
    const char *name;
    enum key_kind kind;
    size_t offset;
};

#define AT(member) offsetof(struct config_database, member)
static const struct key database_keys[] = {
    {"host", KEY_TEXT, AT(host)},
    {"port", KEY_PORT, AT(port)},
    {"dbname", KEY_TEXT, AT(dbname)},
    {"user", KEY_TEXT, AT(user)},
    {"password", KEY_TEXT, AT(password)},
    {"auth_type", KEY_AUTH, AT(auth_type)},
    {"auth_user", KEY_TEXT, AT(auth_user)},
    {"auth_dbname", KEY_TEXT, AT(auth_dbname)},
    {"auth_query", KEY_TEXT, AT(auth_query)},
    {"client_encoding", KEY_TEXT, AT(client_encoding)},
    {"datestyle", KEY_TEXT, AT(datestyle)},
    {"timezone", KEY_TEXT, AT(timezone)},
    {"application_name", KEY_TEXT, AT(application_name)},
    {"connect_query", KEY_TEXT, AT(connect_query)},
    {"pool_size", KEY_COUNT, AT(pool_size)},
    {"min_pool_size", KEY_COUNT, AT(min_pool_size)},
    {"reserve_pool_size", KEY_COUNT, AT(reserve_pool_size)},
    {"reserve_pool", KEY_COUNT, AT(reserve_pool_size)},
    {"max_db_connections", KEY_LIMIT, AT(max_db_connections)},
    {"max_db_client_connections", KEY_LIMIT, AT(max_db_client_connections)},
    {"pool_mode", KEY_MODE, AT(pool_mode)},
    {"server_lifetime", KEY_TIMEOUT, AT(server_lifetime_us)},
    {"query_wait_timeout", KEY_TIME, AT(query_wait_timeout_us)},
    {"load_balance_hosts", KEY_BALANCE, AT(load_balance_hosts)},
    {"target_session_attrs", KEY_TARGET, AT(target_session_attrs)},
    {0},
};
#undef AT

#define AT(member) offsetof(struct config_user, member)
static const struct key user_keys[] = {
    {"pool_mode", KEY_MODE, AT(pool_mode)},
    {"pool_size", KEY_COUNT, AT(pool_size)},
    {"reserve_pool_size", KEY_COUNT, AT(reserve_pool_size)},
    {"max_user_connections", KEY_LIMIT, AT(max_user_connections)},
    {"max_user_client_connections", KEY_LIMIT, AT(max_user_client_connections)},
    {"query_timeout", KEY_TIMEOUT, AT(query_timeout_us)},
    {"query_wait_timeout", KEY_TIME, AT(query_wait_timeout_us)},
    {"idle_transaction_timeout", KEY_TIMEOUT, AT(idle_transaction_timeout_us)},
    {"transaction_timeout", KEY_TIMEOUT, AT(transaction_timeout_us)},
    {"client_idle_timeout", KEY_TIMEOUT, AT(client_idle_timeout_us)},
    {0},
};
#undef AT

#define AT(member) offsetof(struct config_peer, member)
static const struct key peer_keys[] = {
    {"host", KEY_TEXT, AT(host)},
    {"port", KEY_PORT, AT(port)},
    {"pool_size", KEY_LIMIT, AT(pool_size)},
    {0},
};
#undef AT

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (; keys->name != NULL; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    return NULL;
}

static bool set_count(const struct key *key, void *field, const char *value)
{
    int64_t number;
    int64_t least = key->kind == KEY_PORT ? 1 : INT_MIN;
    int64_t most = key->kind == KEY_PORT ? 65535 : INT_MAX;
    if (!option_read_count(value, &number) || number < least || number > most)
        return false;
    if (number < 0 || (number == 0 && key->kind == KEY_LIMIT))
        number = CONFIG_INHERIT;
    *(int *)field = (int)number;
    return true;
}

static bool set_time(const struct key *key, void *field, const char *value)
{
    int64_t time_us = CONFIG_INHERIT;
    if (strcmp(value, "-1") != 0 && !option_read_time_us(value, &time_us))
        return false;
    if (time_us == 0 && key->kind == KEY_TIMEOUT)
        time_us = CONFIG_INHERIT;
    *(int64_t *)field = time_us;
    return true;
}

static const struct option_word balances[] = {
    {"round-robin", CONFIG_BALANCE_ROUND_ROBIN, NULL},
    {"disable", CONFIG_BALANCE_DISABLE, NULL},
    {0},
};

static const struct option_word targets[] = {
    {"any", CONFIG_TARGET_ANY, NULL},
    {"read-write", CONFIG_TARGET_READ_WRITE, NULL},
    {"read-only", CONFIG_TARGET_READ_ONLY, NULL},
    {"primary", CONFIG_TARGET_PRIMARY, NULL},
    {"standby", CONFIG_TARGET_STANDBY, NULL},
    {0},
};

static bool set_word(const struct option_word *words, void *field, const char *value)
{
    for (const struct option_word *w = words; w->word != NULL; w++) {
        if (strcasecmp(w->word, value) == 0) {
            *(int *)field = w->value;
            return w->refusal == NULL;
        }
    }
    return false;
}

void line_free_text(const char *text)
{
    if (text != NULL)
        explicit_bzero((char *)text, strlen(text));
    mem_free((char *)text);
}

static bool set_key(const struct key *key, void *object, const char *value)
{
    void *field = (char *)object + key->offset;
    switch (key->kind) {
    case KEY_TEXT:
        line_free_text(*(char **)field);
        *(char **)field = mem_strdup(value);
        return true;
    case KEY_COUNT:
    case KEY_LIMIT:
    case KEY_PORT:
        return set_count(key, field, value);
    case KEY_TIME:
    case KEY_TIMEOUT:
        return set_time(key, field, value);
    case KEY_MODE:
        return set_word(option_pool_modes, field, value);
    case KEY_AUTH:
        return set_word(option_auth_types, field, value);
    case KEY_BALANCE:
        return set_word(balances, field, value);
    case KEY_TARGET:
        return set_word(targets, field, value);
    }
    CHECK(!"a key kind");
}

static void read_keys(const struct key *keys, void *object, const struct ini_line *line,
                      const char *noun, struct problems *problems)
{
    const char *file = line->file;
    size_t bytes = strlen(line->value);
    char *text = mem_strdup(line->value);
    char *name, *value, *at = text;
    for (;;) {
        at = ini_pair(at, &name, &value);
        if (at == NULL) {
            problems_add(problems, PROBLEM_ERROR, file, line->line, "syntax error in %s", noun);
            break;
        }
        if (*name == '\0')
            break;
        const struct key *key = find_key(keys, name);
        if (key == NULL)
            problems_add(problems, PROBLEM_ERROR, file, line->line,
                         "unrecognized %s parameter: %s",
                         keys == user_keys ? "user" : "connection", name);
        else if (!set_key(key, object, value))
            problems_add(problems, PROBLEM_ERROR, file, line->line, "invalid %s: %s", name, value);
    }
    explicit_bzero(text, bytes);
    mem_free(text);
}

void line_read_database(struct config_database *db, const struct ini_line *line,
                        struct problems *problems)
{
    read_keys(database_keys, db, line, "connection string", problems);
}

void line_read_user(struct config_user *user, const struct ini_line *line,
                    struct problems *problems)
{
    read_keys(user_keys, user, line, "user settings", problems);
}

void line_read_peer(struct config_peer *peer, const struct ini_line *line,
                    struct problems *problems)
{
    read_keys(peer_keys, peer, line, "connection string", problems);
}

static void inherit_all(const struct key *keys, void *object)
{
    for (const struct key *key = keys; key->name != NULL; key++) {
        void *field = (char *)object + key->offset;
        switch (key->kind) {
        case KEY_COUNT:
        case KEY_LIMIT:
        case KEY_MODE:
        case KEY_AUTH:
            *(int *)field = CONFIG_INHERIT;
            break;
        case KEY_TIME:
        case KEY_TIMEOUT:
            *(int64_t *)field = CONFIG_INHERIT;
            break;
        case KEY_PORT:
            *(int *)field = 5432;
            break;
        case KEY_BALANCE:
            *(int *)field = CONFIG_BALANCE_ROUND_ROBIN;
            break;
        case KEY_TARGET: // any
        case KEY_TEXT:
            break;
        }
    }
}

void line_empty_database(struct config_database *db)
{
    *db = (struct config_database){0};
    inherit_all(database_keys, db);
}

void line_empty_user(struct config_user *user)
{
    *user = (struct config_user){0};
    inherit_all(user_keys, user);
}

void line_empty_peer(struct config_peer *peer)
{
    *peer = (struct config_peer){0};
    inherit_all(peer_keys, peer);
    peer->port = 6432;
}

void line_free_database(struct config_database *db)
{
    for (const struct key *key = database_keys; key->name != NULL; key++) {
        if (key->kind == KEY_TEXT)
            line_free_text(*(char **)((char *)db + key->offset));
    }
    line_free_text(db->name);
}

void line_free_user(struct config_user *user)
{
    line_free_text(user->secret);
    line_free_text(user->name);
}
