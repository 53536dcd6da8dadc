// SPDX-License-Identifier: Apache-2.0
#include "proxy/route.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/login/secret.h"
#include "proxy/pooler.h"
#include "proxy/sql/learnt.h"
#include "proxy/wire/message.h"

#define ROUTE_TAG 0x4007eu

static struct pool_limits limits_of(const struct config *config, const struct config_database *db,
                                    const char *server_user)
{
    const struct config_user *user = config_user(config, server_user);
    const struct settings *settings = config_settings(config);
    return (struct pool_limits){
        .size = config_pool_size(config, db, user),
        .minimum = config_min_pool_size(config, db),
        .reserve = settings->reserve_pool_timeout_us > 0
                       ? config_reserve_pool_size(config, db, user)
                       : 0,
        .reserve_after_us = settings->reserve_pool_timeout_us,
        .retry_after_us = settings->server_login_retry_us,
        .keeps_minimum = db->user != NULL && strcmp(db->user, server_user) == 0,
        .checks = settings->server_check_query[0] != '\0',
        .check_after_us = settings->server_check_delay_us,
        .lifetime_us = config_server_lifetime_us(config, db),
        .used_once = config_server_lifetime_us(config, db) == 0,
        .round_robin = settings->server_round_robin,
    };
}

static enum pool_mode mode_of(enum config_pool_mode mode)
{
    switch (mode) {
    case CONFIG_POOL_SESSION:
        return POOL_SESSION;
    case CONFIG_POOL_TRANSACTION:
        return POOL_TRANSACTION;
    case CONFIG_POOL_STATEMENT:
        return POOL_STATEMENT;
    }
    return POOL_SESSION;
}

struct route *route_new(struct pooler *pooler, const struct config *config, const char *database,
                        const char *user)
{
    const struct config_database *db = config_database(config, database);
    CHECK(db != NULL);
    struct route *route = mem_new(struct route);
    TAG_SET(route, ROUTE_TAG);
    static _Atomic uint64_t last_number;
    route->number = atomic_fetch_add(&last_number, 1) + 1;
    route->holders = 1;
    route->pooler = pooler;
    route->defaults = vars_none(pooler->vars);
    route->database = mem_strdup(database);
    route->user = mem_strdup(user);
    route->server_user = route->user;
    const struct config_user *pool_user = config_user(config, route->server_user);
    pthread_mutex_init(&route->lock, NULL);
    route->tallies = mem_aligned(TALLY_LINE_BYTES, (size_t)pooler->worker_count *
                                                       sizeof(struct tally));
    route->database_quota = pooler_quota(pooler, 'd', database);
    route->user_quota = pooler_quota(pooler, 'u', route->server_user);
    route->pool = pool_new(database, user, mode_of(config_pool_mode(config, db, pool_user)),
                           pooler->worker_count, limits_of(config, db, route->server_user),
                           route->database_quota, route->user_quota);
    route->pool->deserted_us = clock_us(); // for whom it is made may never come in
    route_configure(route, config);
    return route;
}

// Whether there is a cache at all was decided at the start.
static bool is_followed(const struct route *route, const struct config *config,
                        const struct config_database *db)
{
    return route->pooler->domains != NULL && config_control_user(config, db) != NULL;
}

bool route_is_to_follow(const struct route *route, const struct config *config)
{
    const struct config_database *db = config_database(config, route->database);
    return db != NULL && is_followed(route, config, db);
}

static struct domain *domain_of(struct route *route, const struct config *config,
                                const struct config_database *db)
{
    if (!is_followed(route, config, db))
        return NULL;
    struct domain_target target = {
        .host = db->host ? db->host : "",
        .port = db->port,
        .dbname = config_database_dbname(db, route->database),
        .user = db->user,
        .password = db->password,
    };
    return domains_get(route->pooler->domains, &target);
}

static struct learnt **all_learnt(const struct route *route, size_t *count)
{
    *count = route->all_learnt.len / sizeof(struct learnt *);
    return (struct learnt **)(void *)route->all_learnt.at;
}

static void join_learnt(struct route *route, struct learnt *learnt)
{
    size_t count;
    struct learnt **all = all_learnt(route, &count);
    for (size_t i = 0; i < count; i++)
        if (all[i] == learnt)
            return;
    learnt_join(learnt);
    buf_bytes(&route->all_learnt, &learnt, sizeof(learnt));
}

static void leave_learnt(struct route *route)
{
    size_t count;
    struct learnt **all = all_learnt(route, &count);
    for (size_t i = 0; i < count; i++)
        learnt_leave(all[i]);
    buf_fini(&route->all_learnt);
}

// Shared by all routes to that database, whoever logs in.
static struct learnt *learnt_of(struct route *route, const struct config_database *db)
{
    struct buf text = {0};
    buf_printf(&text, "%s on %s port %d", config_database_dbname(db, route->database),
               db->host != NULL ? db->host : "a local socket", db->port);
    buf_u8(&text, 0);
    struct learnt *learnt = pooler_learnt(route->pooler, (const char *)text.at);
    buf_fini(&text);
    join_learnt(route, learnt);
    return learnt;
}

static void text(struct buf *out, const char *value)
{
    buf_cstr(out, value ? value : "");
}

// Where its servers are and how their sessions begin: NUL-separated, as one text.
static char *target_of(struct route *route, const struct config_database *db)
{
    struct buf all = {0};
    buf_printf(&all, "%d ", db->port);
    text(&all, db->host);
    text(&all, config_database_dbname(db, route->database));
    text(&all, db->user);
    text(&all, db->connect_query);
    buf_printf(&all, "%d", db->load_balance_hosts);
    for (size_t i = 0; i < all.len; i++)
        if (all.at[i] == '\0')
            all.at[i] = '\n';
    char *target = mem_strndup((const char *)all.at, all.len);
    buf_fini(&all);
    return target;
}

static void forget_greeting(struct greeting *greeting)
{
    vars_unref(&greeting->given);
    vars_unref(&greeting->has);
    buf_fini(&greeting->said);
}

// What its servers have told of themselves.
static void forget_servers(struct route *route)
{
    pthread_mutex_lock(&route->lock);
    route->has_welcome = false;
    forget_greeting(&route->greeting);
    route->password_refused = false;
    gucs_unref(&route->accepted);
    vars_unref(&route->defaults);
    route->defaults = vars_none(route->pooler->vars);
    profiles_forget(&route->profiles);
    pthread_mutex_unlock(&route->lock);
    route->generation++;
}

void route_reconnect(struct route *route)
{
    forget_servers(route);
    learnt_forget(route->learnt);
}

// Another target: nothing that was learnt of the old one holds, and its servers are not used again.
// A new route takes nothing away from others to the same database: what those know is as true.
static void retarget(struct route *route, const struct config *config,
                     const struct config_database *db, char *target)
{
    bool is_new = route->target == NULL;
    mem_free(route->target);
    route->target = target;
    route->since = config_number(config);
    if (route->welcomed)
        route->domain = domain_of(route, config, db);
    route->learnt = learnt_of(route, db);
    forget_servers(route);
    if (!is_new)
        learnt_forget(route->learnt);
}

static void drop_password(struct route *route)
{
    if (route->password != NULL)
        secret_wipe(route->password, strlen(route->password));
    mem_free(route->password);
    route->password = NULL;
}

// What is known of a client's login is of no use for a database's own user.
static void note_forced(struct route *route, bool forced)
{
    pthread_mutex_lock(&route->lock);
    route->forced = forced;
    if (forced) {
        drop_password(route);
        secret_wipe(&route->keys, sizeof(route->keys));
        route->has_keys = false;
    }
    pthread_mutex_unlock(&route->lock);
}

static bool may_keep(const struct route *route, const char *user)
{
    return !route->forced && strcmp(route->user, user) == 0;
}

void route_configure(struct route *route, const struct config *config)
{
    const struct config_database *db = config_database(config, route->database);
    if (db == NULL)
        return;
    const struct config_user *user = config_user(config, route->server_user);
    pool_relimit(route->pool, limits_of(config, db, route->server_user));
    route->pool->mode = mode_of(config_pool_mode(config, db, user));
    route->database_quota->limit = config_max_db_connections(config, db);
    route->user_quota->limit = config_max_user_connections(config, user);
    note_forced(route, db->user != NULL);
    char *target = target_of(route, db);
    if (route->target == NULL || strcmp(route->target, target) != 0)
        retarget(route, config, db, target);
    else
        mem_free(target);
}

char *route_copy_target(struct route *route)
{
    pthread_mutex_lock(&route->pooler->lock);
    char *copy = mem_strdup(route->target);
    pthread_mutex_unlock(&route->pooler->lock);
    return copy;
}

struct route *route_ref(struct route *route)
{
    TAG_CHECK(route, ROUTE_TAG);
    atomic_fetch_add_explicit(&route->holders, 1, memory_order_relaxed);
    return route;
}

static void route_free(struct route *route)
{
    pool_free(route->pool);
    profiles_fini(&route->profiles);
    mentioned_fini(&route->custom);
    leave_learnt(route);
    buf_fini(&route->welcome);
    forget_greeting(&route->greeting);
    gucs_unref(&route->accepted);
    vars_unref(&route->defaults);
    drop_password(route);
    secret_wipe(&route->keys, sizeof(route->keys));
    mem_free(route->target);
    pthread_mutex_destroy(&route->lock);
    mem_free(route->tallies);
    mem_free(route->database);
    mem_free(route->user);
    TAG_CLEAR(route);
    mem_free(route);
}

void route_unref(struct route **pointer)
{
    struct route *route = *pointer;
    *pointer = NULL;
    if (route == NULL)
        return;
    TAG_CHECK(route, ROUTE_TAG);
    if (atomic_fetch_sub_explicit(&route->holders, 1, memory_order_acq_rel) == 1)
        route_free(route);
}

struct tally_sum route_tally(const struct route *route)
{
    struct tally_sum sum = {0};
    for (int i = 0; i < route->pooler->worker_count; i++)
        tally_add(&sum, &route->tallies[i]);
    return sum;
}

static void follow(struct route *route)
{
    struct pooler *pooler = route->pooler;
    pthread_mutex_lock(&pooler->lock);
    const struct config_database *db = config_database(pooler->config, route->database);
    if (db != NULL && !route->welcomed) {
        route->domain = domain_of(route, pooler->config, db);
        route->welcomed = true;
    }
    pthread_mutex_unlock(&pooler->lock);
}

void route_welcome(struct route *route, struct slice messages, const struct vars *values)
{
    if (!route->welcomed)
        follow(route);
    pthread_mutex_lock(&route->lock);
    forget_greeting(&route->greeting);
    buf_clear(&route->welcome);
    buf_put(&route->welcome, messages);
    for (int i = 0; i < VAR_COUNT; i++)
        if (values->value[i] != NULL)
            vars_set(&route->defaults, i, values->value[i]);
    route->has_welcome = true;
    pthread_mutex_unlock(&route->lock);
}

bool route_has_welcome(struct route *route)
{
    pthread_mutex_lock(&route->lock);
    bool has = route->has_welcome;
    pthread_mutex_unlock(&route->lock);
    return has;
}

// The client's own value where it has one, else the server's message as it was.
static void greet_parameter(struct slice message, const struct vars *client, struct buf *out)
{
    struct reader r = reader_of(slice_of(message.at + MESSAGE_HEADER_BYTES,
                                         message.len - MESSAGE_HEADER_BYTES));
    const char *name = (const char *)reader_cstr(&r).at;
    int var = reader_ok(&r) ? var_find(name) : -1;
    if (var >= 0 && client->value[var] != NULL)
        message_parameter(out, var_name(var), client->value[var]);
    else
        buf_put(out, message);
}

static void make_greeting(struct route *route, struct vars *client)
{
    struct greeting *greeting = &route->greeting;
    struct slice rest = buf_slice(&route->welcome);
    struct frame frame;
    forget_greeting(greeting);
    while (frame_read(rest, &frame) == FRAME_OK && frame.length <= rest.len) {
        greet_parameter(slice_of(rest.at, frame.length), client, &greeting->said);
        rest = slice_of(rest.at + frame.length, rest.len - frame.length);
    }
    greeting->given = vars_ref(client);
    greeting->has = vars_ref(client);
    vars_default(&greeting->has, route->defaults);
}

bool route_greet(struct route *route, struct vars **client, struct buf *out)
{
    pthread_mutex_lock(&route->lock);
    bool ready = route->has_welcome;
    if (ready) {
        if (route->greeting.given != *client)
            make_greeting(route, *client);
        buf_put(out, buf_slice(&route->greeting.said));
        vars_unref(client);
        *client = vars_ref(route->greeting.has);
    }
    pthread_mutex_unlock(&route->lock);
    return ready;
}

struct profile *route_profile_note(struct route *route, struct gucs *settings, bool alone,
                                   struct slice row, uint64_t epoch)
{
    pthread_mutex_lock(&route->lock);
    struct profile *profile = profiles_note(&route->profiles, settings, alone, row, epoch);
    pthread_mutex_unlock(&route->lock);
    return profile;
}

void route_profile_keep(struct route *route, struct gucs *settings, struct profile *profile,
                        uint64_t epoch)
{
    pthread_mutex_lock(&route->lock);
    profiles_keep(&route->profiles, settings, profile, epoch);
    pthread_mutex_unlock(&route->lock);
}

uint64_t route_profiles_edition(const struct route *route)
{
    return atomic_load(&route->profiles.edition);
}

struct profile *route_profile(struct route *route, const struct gucs *settings, uint64_t epoch)
{
    pthread_mutex_lock(&route->lock);
    struct profile *profile = profiles_of(&route->profiles, settings, epoch);
    pthread_mutex_unlock(&route->lock);
    return profile;
}

void route_note_custom(struct route *route, const struct gucs *settings)
{
    for (uint32_t i = 0; settings != NULL && i < settings->count; i++) {
        if (strchr(settings->at[i].name, '.') == NULL)
            continue;
        pthread_mutex_lock(&route->lock);
        mentioned_note(&route->custom, slice_str(settings->at[i].name));
        pthread_mutex_unlock(&route->lock);
    }
}

void route_custom(struct route *route, struct mentioned *names)
{
    pthread_mutex_lock(&route->lock);
    struct slice rest = buf_slice(&route->custom.names);
    while (rest.len > 0) {
        size_t n = strlen((const char *)rest.at);
        mentioned_note(names, slice_of(rest.at, n));
        rest = slice_skip(rest, n + 1);
    }
    pthread_mutex_unlock(&route->lock);
}

bool route_accepts(struct route *route, const struct gucs *given)
{
    pthread_mutex_lock(&route->lock);
    bool accepts = gucs_equal(route->accepted, given);
    pthread_mutex_unlock(&route->lock);
    return accepts;
}

void route_accepted(struct route *route, struct gucs *given)
{
    pthread_mutex_lock(&route->lock);
    gucs_unref(&route->accepted);
    route->accepted = gucs_ref(given);
    pthread_mutex_unlock(&route->lock);
}

void route_keep_keys(struct route *route, const char *user, const struct scram_keys *keys)
{
    pthread_mutex_lock(&route->lock);
    if (may_keep(route, user)) {
        route->keys = *keys;
        route->has_keys = true;
    }
    pthread_mutex_unlock(&route->lock);
}

bool route_keys(struct route *route, struct scram_keys *keys)
{
    pthread_mutex_lock(&route->lock);
    bool has = route->has_keys;
    if (has)
        *keys = route->keys;
    pthread_mutex_unlock(&route->lock);
    return has;
}

void route_keep_password(struct route *route, const char *user, const char *password)
{
    pthread_mutex_lock(&route->lock);
    bool is_new = route->password == NULL || strcmp(route->password, password) != 0;
    if (is_new && may_keep(route, user)) {
        drop_password(route);
        route->password = mem_strdup(password);
        route->password_refused = false;
    }
    pthread_mutex_unlock(&route->lock);
}

void route_password_refused(struct route *route, const char *password)
{
    pthread_mutex_lock(&route->lock);
    if (route->password != NULL && strcmp(route->password, password) == 0)
        route->password_refused = true;
    pthread_mutex_unlock(&route->lock);
}

char *route_copy_password(struct route *route, bool has_another)
{
    char *copy = NULL;
    pthread_mutex_lock(&route->lock);
    if (route->password != NULL && !(has_another && route->password_refused))
        copy = mem_strdup(route->password);
    pthread_mutex_unlock(&route->lock);
    return copy;
}
