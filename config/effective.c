// SPDX-License-Identifier: Apache-2.0
// Which value counts: the part of config.h about databases, users and their overrides.
#include "config/snapshot.h"

#include "config/hba.h"

#include <string.h>
#include <strings.h>

enum { FALLBACK_NAME_MAX = 63 }; // PostgreSQL's names, and PgBouncer's of this kind

// Of what strangers ask for by the fallback something is remembered, so it is no longer than a name
// can be.
const struct config_database *config_database(const struct config *config, const char *name)
{
    const struct config_database *db = roster_database(config->roster, name);
    if (db != NULL) // "*" is nobody's name to ask for, but the fallback fits it
        return db;
    return strlen(name) <= FALLBACK_NAME_MAX ? roster_database(config->roster, "*") : NULL;
}

const char *config_database_dbname(const struct config_database *db, const char *asked)
{
    return db->dbname != NULL ? db->dbname : asked;
}

size_t config_database_count(const struct config *config)
{
    return config->roster->database_count;
}

const struct config_database *config_database_at(const struct config *config, size_t i)
{
    CHECK(i < config->roster->database_count);
    return &config->roster->databases[i]->is;
}

const struct config_user *config_user(const struct config *config, const char *name)
{
    return roster_user(config->roster, name);
}

size_t config_user_count(const struct config *config)
{
    return config->roster->user_count;
}

const struct config_user *config_user_at(const struct config *config, size_t i)
{
    CHECK(i < config->roster->user_count);
    return &config->roster->users[i]->is;
}

size_t config_cache_rule_count(const struct config *config)
{
    return config->roster->cache_rules.count;
}

const struct config_cache_rule *config_cache_rule_at(const struct config *config, size_t i)
{
    CHECK(i < config->roster->cache_rules.count);
    return &config->roster->cache_rules.at[i];
}

const struct config_peer *config_peer(const struct config *config, int id)
{
    return peers_find(&config->roster->peers, id);
}

size_t config_peer_count(const struct config *config)
{
    return config->roster->peers.count;
}

const struct config_peer *config_peer_at(const struct config *config, size_t i)
{
    CHECK(i < config->roster->peers.count);
    return &config->roster->peers.at[i];
}

int config_peer_pool_size(const struct config *config, const struct config_peer *peer)
{
    return peer->pool_size != CONFIG_INHERIT ? peer->pool_size
                                             : config->settings.default_pool_size;
}

// The first that is given, in the order user, database, settings.
#define FIRST(user_value, db_value, setting)                                                       \
    ((user_value) != CONFIG_INHERIT ? (user_value)                                                 \
                                    : (db_value) != CONFIG_INHERIT ? (db_value) : (setting))
#define OF(object, member) ((object) == NULL ? CONFIG_INHERIT : (object)->member)

enum config_pool_mode config_pool_mode(const struct config *config,
                                       const struct config_database *db,
                                       const struct config_user *user)
{
    return (enum config_pool_mode)FIRST(OF(user, pool_mode), OF(db, pool_mode),
                                        (int)config->settings.pool_mode);
}

int config_pool_size(const struct config *config, const struct config_database *db,
                     const struct config_user *user)
{
    return FIRST(OF(user, pool_size), OF(db, pool_size), config->settings.default_pool_size);
}

int config_min_pool_size(const struct config *config, const struct config_database *db)
{
    return FIRST(CONFIG_INHERIT, OF(db, min_pool_size), config->settings.min_pool_size);
}

int config_reserve_pool_size(const struct config *config, const struct config_database *db,
                             const struct config_user *user)
{
    return FIRST(OF(user, reserve_pool_size), OF(db, reserve_pool_size),
                 config->settings.reserve_pool_size);
}

int config_max_db_connections(const struct config *config, const struct config_database *db)
{
    return FIRST(CONFIG_INHERIT, OF(db, max_db_connections), config->settings.max_db_connections);
}

int config_max_db_client_connections(const struct config *config,
                                     const struct config_database *db)
{
    return FIRST(CONFIG_INHERIT, OF(db, max_db_client_connections),
                 config->settings.max_db_client_connections);
}

int config_max_user_connections(const struct config *config, const struct config_user *user)
{
    return FIRST(OF(user, max_user_connections), CONFIG_INHERIT,
                 config->settings.max_user_connections);
}

int config_max_user_client_connections(const struct config *config,
                                       const struct config_user *user)
{
    return FIRST(OF(user, max_user_client_connections), CONFIG_INHERIT,
                 config->settings.max_user_client_connections);
}

int64_t config_server_lifetime_us(const struct config *config, const struct config_database *db)
{
    return FIRST(CONFIG_INHERIT, OF(db, server_lifetime_us), config->settings.server_lifetime_us);
}

bool config_has_user_timeouts(const struct config *config)
{
    return config->roster->has_user_timeouts;
}

int64_t config_query_timeout_us(const struct config *config, const struct config_user *user)
{
    return FIRST(OF(user, query_timeout_us), CONFIG_INHERIT, config->settings.query_timeout_us);
}

int64_t config_query_wait_timeout_us(const struct config *config,
                                     const struct config_database *db,
                                     const struct config_user *user)
{
    return FIRST(OF(user, query_wait_timeout_us), OF(db, query_wait_timeout_us),
                 config->settings.query_wait_timeout_us);
}

int64_t config_idle_transaction_timeout_us(const struct config *config,
                                           const struct config_user *user)
{
    return FIRST(OF(user, idle_transaction_timeout_us), CONFIG_INHERIT,
                 config->settings.idle_transaction_timeout_us);
}

int64_t config_transaction_timeout_us(const struct config *config,
                                      const struct config_user *user)
{
    return FIRST(OF(user, transaction_timeout_us), CONFIG_INHERIT,
                 config->settings.transaction_timeout_us);
}

int64_t config_client_idle_timeout_us(const struct config *config,
                                      const struct config_user *user)
{
    return FIRST(OF(user, client_idle_timeout_us), CONFIG_INHERIT,
                 config->settings.client_idle_timeout_us);
}

enum config_auth_type config_auth_type(const struct config *config,
                                       const struct config_database *db)
{
    return (enum config_auth_type)FIRST(CONFIG_INHERIT, OF(db, auth_type),
                                        (int)config->settings.auth_type);
}

bool config_may_ask_pam(const struct config *config)
{
    bool may = config->settings.auth_type == CONFIG_AUTH_PAM ||
               hba_has(config->hba, CONFIG_AUTH_PAM);
    for (size_t i = 0; i < config_database_count(config); i++)
        may |= config_auth_type(config, config_database_at(config, i)) == CONFIG_AUTH_PAM;
    return may;
}

const char *config_server_user(const struct config_database *db, const char *client_user)
{
    return db->user != NULL ? db->user : client_user;
}

const char *config_server_secret(const struct config *config, const struct config_database *db,
                                 const char *server_user)
{
    bool is_forced = db->user != NULL && strcmp(db->user, server_user) == 0;
    if (is_forced && db->password != NULL)
        return db->password;
    const struct config_user *user = config_user(config, server_user);
    return user == NULL || user->secret == NULL || *user->secret == '\0' ? NULL : user->secret;
}

static const char *given(const char *of_database, const char *of_all)
{
    if (of_database != NULL && *of_database != '\0')
        return of_database;
    return *of_all != '\0' ? of_all : NULL;
}

const char *config_auth_user(const struct config *config, const struct config_database *db)
{
    return given(db != NULL ? db->auth_user : NULL, config->settings.auth_user);
}

const char *config_auth_dbname(const struct config *config, const struct config_database *db,
                               const char *asked)
{
    const char *name = given(db != NULL ? db->auth_dbname : NULL, config->settings.auth_dbname);
    return name != NULL ? name : asked;
}

const char *config_auth_query(const struct config *config, const struct config_database *db)
{
    const char *query = given(db != NULL ? db->auth_query : NULL, config->settings.auth_query);
    return query != NULL ? query : "";
}

const char *config_control_user(const struct config *config, const struct config_database *db)
{
    const char *user = config->settings.control_user;
    return *user != '\0' ? user : db->user;
}

// Is the name in a list with commas (and blanks around the names)?
static bool list_has(const char *list, const char *name, bool any_case)
{
    static const char between[] = ", \t";
    size_t n = strlen(name);
    if (n == 0)
        return false;
    for (list += strspn(list, between); *list != '\0'; list += strspn(list, between)) {
        size_t length = strcspn(list, between);
        if (length == n && (any_case ? strncasecmp(list, name, n) : strncmp(list, name, n)) == 0)
            return true;
        list += length;
    }
    return false;
}

bool config_is_admin(const struct config *config, const char *user)
{
    return config->settings.auth_type == CONFIG_AUTH_ANY ||
           list_has(config->settings.admin_users, user, false);
}

bool config_is_stats_user(const struct config *config, const char *user)
{
    return config_is_admin(config, user) || list_has(config->settings.stats_users, user, false);
}

bool config_ignores_parameter(const struct config *config, const char *name)
{
    return list_has(config->settings.ignore_startup_parameters, name, true);
}
