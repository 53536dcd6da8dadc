// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/login.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/hba.h"
#include "proxy/console/console.h"
#include "proxy/login/misses.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/session/replication.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

void login_free(struct client *client)
{
    struct login *login = client->login;
    if (login == NULL)
        return;
    if (login->state != NULL)
        login->way->end(login);
    login_forget_user(login);
    config_unref(&login->config);
    mem_free(login->late_why);
    mem_free(login);
    client->login = NULL;
}

// ---- the ends ----

static bool find_route(struct client *client)
{
    if (console_is(client->database))
        return true;
    client->route = client_find_route(client);
    if (client->route != NULL) // a lookup leaves nothing behind that is its own
        client->mode = client->is_lookup ? POOL_TRANSACTION : client->route->pool->mode;
    return client->route != NULL;
}

// What auth_query found is also for the server.
static void keep_found(struct client *client)
{
    const struct login *login = client->login;
    if (login != NULL && login->found != NULL && client->route != NULL)
        route_keep_password(client->route, client->user, login->found);
}

// Only who has proved who it is hears whether a database exists.
void login_accept(struct client *client)
{
    if (client->login != NULL && !login_holds(client)) {
        login_refuse_with(client, "57P03", "the configuration was changed during the login");
        return;
    }
    if (find_route(client)) {
        keep_found(client);
        client_logged_in(client);
        return;
    }
    char why[200];
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    if (config_settings(client->worker->config)->log_connections)
        log_info("%s login failed: db=%s user=%s", who, client->database, client->user);
    snprintf(why, sizeof(why), "no such database: %s", client->database);
    client_fail(client, "3D000", why);
}

void login_refuse(struct client *client)
{
    char why[200];
    snprintf(why, sizeof(why), "password authentication failed for user \"%s\"", client->user);
    login_refuse_wrong(client, "28P01", why, 0);
}

// The first one costs nothing, then 0.1 s, 0.2 s, 0.4 s ... up to the bound.
void login_refuse_wrong(struct client *client, const char *sqlstate, const char *why,
                        int64_t delay_us)
{
    enum { FIRST_US = 100000 };
    struct pooler *pooler = client->worker->pooler;
    int64_t bound_us = config_settings(client->worker->config)->auth_failure_delay_us;
    int count = misses_note(pooler->wrong_passwords, origin_place(&client->origin), clock_us());
    int64_t more_us = count < 2 ? 0 : (int64_t)FIRST_US << (count - 2);
    if (more_us > bound_us)
        more_us = bound_us;
    login_refuse_later(client, sqlstate, why, more_us > delay_us ? more_us : delay_us);
}

void login_refuse_with(struct client *client, const char *sqlstate, const char *why)
{
    client_fail(client, sqlstate, why);
}

void login_refuse_later(struct client *client, const char *sqlstate, const char *why,
                        int64_t delay_us)
{
    struct login *login = client->login;
    if (delay_us <= 0) {
        login_refuse_with(client, sqlstate, why);
        return;
    }
    login->late_sqlstate = sqlstate;
    login->late_why = mem_strdup(why);
    login->late_us = clock_us() + delay_us;
    login_wait(client);
}

void login_look(struct client *client, int64_t now_us)
{
    const struct login *login = client->login;
    if (login != NULL && login->late_why != NULL && now_us >= login->late_us)
        login_refuse_with(client, login->late_sqlstate, login->late_why);
}

void login_ask(struct client *client, uint32_t code, struct slice data)
{
    struct buf out = {0};
    message_auth(&out, code, data);
    enum conn_result result = conn_say(&client->conn, buf_slice(&out));
    buf_fini(&out);
    if (result == CONN_ERROR)
        client_close(client, "client unexpected eof");
}

// ---- what takes long ----

void login_wait(struct client *client)
{
    CHECK(client->state == CLIENT_LOGIN && !client->login->waiting);
    client->login->waiting = true;
}

void login_go_on(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->login != NULL) // else it has ended well
        client->login->waiting = false;
    client_resume(client);
}

bool login_waits(const struct client *client)
{
    return client->login != NULL && client->login->waiting;
}

void login_send(struct client *client, struct login_errand *errand)
{
    errand->mail.kind = MAIL_LOGIN;
    errand->worker = client->worker;
    errand->client = client->number;
    client->worker->errands++;
    client->login->errand = errand;
    login_wait(client);
}

void login_unsend(struct client *client)
{
    client->worker->errands--;
    client->login->errand = NULL;
    client->login->waiting = false;
}

void login_return(struct login_errand *errand)
{
    mailbox_post(&errand->worker->mailbox, &errand->mail);
}

void login_returned(struct worker *worker, struct login_errand *errand)
{
    struct client *waits = NULL;
    worker->errands--;
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (client->number == errand->client && client->login != NULL &&
            client->login->errand == errand)
            waits = client;
    }
    if (waits != NULL)
        waits->login->errand = NULL;
    errand->back(errand, waits);
}

// ---- ways that ask nothing ----

// Whoever it says it is, it is the user of the database's line.
static void any_begin(struct client *client)
{
    const struct config_database *db =
        config_database(client->worker->config, client->database);
    if (!console_is(client->database) && db != NULL && db->user == NULL) {
        log_error("auth_type=any requires forced user: database \"%s\"", client->database);
        login_refuse_with(client, "08P01", "bouncer config error");
        return;
    }
    login_accept(client);
}

static void trust_begin(struct client *client)
{
    if (client->login->known)
        login_accept(client);
    else
        login_refuse_with(client, "28000", "\"trust\" authentication failed");
}

static void reject_begin(struct client *client)
{
    login_refuse_with(client, "28000", "login rejected");
}

static const struct login_way any = {.begin = any_begin};
static const struct login_way trust = {.needs_user = true, .begin = trust_begin};
static const struct login_way reject = {.begin = reject_begin};

// ---- the course ----

static const struct login_way *way_of(enum config_auth_type method)
{
    switch (method) {
    case CONFIG_AUTH_ANY:
        return &any;
    case CONFIG_AUTH_TRUST:
        return &trust;
    case CONFIG_AUTH_PLAIN:
        return &login_plain;
    case CONFIG_AUTH_MD5:
        return &login_md5;
    case CONFIG_AUTH_SCRAM:
        return &login_scram;
    case CONFIG_AUTH_CERT:
        return &login_certificate;
    case CONFIG_AUTH_PAM:
        return &login_pam;
    case CONFIG_AUTH_LDAP:
        return &login_ldap;
    case CONFIG_AUTH_PEER:
        return &login_peer;
    case CONFIG_AUTH_REJECT:
    case CONFIG_AUTH_HBA:
        return &reject;
    }
    return &reject;
}

// The uid at the other end of a unix socket is ours: PgBouncer lets such a one into the console.
static bool is_own_uid(const struct client *client)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return client->local &&
           getsockopt(client->conn.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           peer.uid == geteuid();
}

// Before the password, as in PgBouncer: also of those who then fail.
static void log_attempt(struct client *client, bool is_known)
{
    bool told = config_settings(client->worker->config)->log_connections;
    if (is_known && !told)
        return;
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    if (!is_known)
        log_info("%s no such user: %s", who, client->user);
    if (!told)
        return;
    char tls[TLS_INFO_BYTES] = "no";
    if (client->conn.tls != NULL)
        tls_describe(client->conn.tls, tls);
    log_info("%s login attempt: db=%s user=%s tls=%s replication=%s", who, client->database,
             client->user, tls, replication_parameter(client->replication));
}

// What is known of the client's user is known.
void login_carry_out(struct client *client)
{
    struct login *login = client->login;
    log_attempt(client, login->known || !login->way->needs_user);
    login->way = way_of(login_method_with(login->method.type, login->secret));
    login->way->begin(client);
}

struct login_asker login_asker_of(const struct client *client)
{
    const struct replication *replication = client->replication;
    return (struct login_asker){
        .database = client->database,
        .user = client->user,
        .origin = &client->origin,
        .local = client->local,
        .encrypted = client->conn.tls != NULL,
        .is_console = console_is(client->database),
        .physical = replication != NULL && replication->kind == REPLICATION_PHYSICAL,
    };
}

bool login_find_method(struct client *client)
{
    struct login *login = client->login;
    struct login_asker asker = login_asker_of(client);
    if (login_method_find(login->config, &asker, &login->method)) {
        login->way = way_of(login->method.type);
        const struct hba_rule *rule = login->method.rule;
        if (rule != NULL)
            log_debug("C-%p: HBA Line %d is matched: %s", (void *)client, rule->line, rule->file);
        return true;
    }
    log_attempt(client, true);
    login_refuse_with(client, "28000", "no authentication method is found");
    return false;
}

void client_login_begin(struct client *client)
{
    const struct config *config = client->worker->config;
    bool console = console_is(client->database);
    if (client->ours && !console) {
        login_accept(client);
        return;
    }
    if (console && console_is(client->user) && is_own_uid(client)) {
        client->by_peer = true;
        log_attempt(client, true);
        client_logged_in(client);
        return;
    }
    if (console && !config_is_stats_user(config, client->user)) {
        client_fail(client, "08P01", "not allowed");
        return;
    }
    client->login = mem_new(struct login);
    // Not the worker's: news may be on its way there, of which whoever asked for it knows already.
    client->login->config = pooler_config(client->worker->pooler);
    if (!login_find_method(client))
        return;
    login_identify(client);
}

void client_login_message(struct client *client, struct slice body)
{
    struct login *login = client->login;
    if (login == NULL || login->way == NULL || login->way->message == NULL)
        login_refuse_with(client, "08P01", "unexpected password message");
    else
        login->way->message(client, body);
}
