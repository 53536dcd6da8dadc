// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/login.h"

#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/login/md5.h"
#include "proxy/login/scram.h"
#include "proxy/login/secret.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/session/replication.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

struct login {
    enum { LOGIN_PLAIN, LOGIN_MD5, LOGIN_SCRAM_FIRST, LOGIN_SCRAM_FINAL } next;
    uint8_t salt[MD5_SALT_BYTES];
    bool has_scram;
    struct scram_server scram;
};

void login_free(struct client *client)
{
    struct login *login = client->login;
    if (login == NULL)
        return;
    if (login->has_scram)
        scram_server_fini(&login->scram);
    mem_free(login);
    client->login = NULL;
}

static const char *secret_of(const struct client *client)
{
    const struct config_user *user = config_user(client->worker->config, client->user);
    return user ? user->secret : NULL;
}

static void ask(struct client *client, uint32_t code, struct slice data)
{
    struct buf out = {0};
    message_auth(&out, code, data);
    conn_queue(&client->conn, buf_slice(&out));
    buf_fini(&out);
    if (conn_flush(&client->conn) == CONN_ERROR)
        client_close(client, "client unexpected eof");
}

static void refuse(struct client *client)
{
    char why[200];
    snprintf(why, sizeof(why), "password authentication failed for user \"%s\"", client->user);
    client_fail(client, "28P01", why);
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

static bool find_route(struct client *client)
{
    if (console_is(client->database))
        return true;
    client->route = pooler_route(client->worker->pooler, client->database, client->user);
    if (client->route != NULL)
        client->mode = client->route->pool->mode;
    return client->route != NULL;
}

// Only who has proved who it is hears whether a database exists.
static void accepted(struct client *client)
{
    if (find_route(client)) {
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

// auth_type = any: whoever it says it is, it is the user of the database's line.
static void accept_anybody(struct client *client)
{
    const struct config_database *db =
        config_database(client->worker->config, client->database);
    if (!console_is(client->database) && db != NULL && db->user == NULL) {
        log_error("auth_type=any requires forced user: database \"%s\"", client->database);
        client_fail(client, "08P01", "bouncer config error");
        return;
    }
    accepted(client);
}

static void trust(struct client *client)
{
    if (config_user(client->worker->config, client->user) != NULL)
        accepted(client);
    else
        client_fail(client, "28000", "\"trust\" authentication failed");
}

// Before the password, as in PgBouncer: also of those who then fail.
static void log_attempt(struct client *client, bool is_known)
{
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    if (!is_known)
        log_info("%s no such user: %s", who, client->user);
    if (config_settings(client->worker->config)->log_connections)
        log_info("%s login attempt: db=%s user=%s tls=no replication=%s", who, client->database,
                 client->user, replication_parameter(client->replication));
}

void client_login_begin(struct client *client)
{
    const struct config *config = client->worker->config;
    enum config_auth_type type = config_settings(config)->auth_type;
    bool console = console_is(client->database);
    if (client->ours && !console) {
        accepted(client);
        return;
    }
    bool by_peer = console && console_is(client->user) && is_own_uid(client);
    if (console && !by_peer && !config_is_stats_user(config, client->user) &&
        type != CONFIG_AUTH_ANY) {
        client_fail(client, "08P01", "not allowed");
        return;
    }
    log_attempt(client, by_peer || type == CONFIG_AUTH_ANY ||
                            config_user(config, client->user) != NULL);
    if (by_peer) {
        client->by_peer = true;
        client_logged_in(client);
        return;
    }
    if (type == CONFIG_AUTH_ANY) {
        accept_anybody(client);
        return;
    }
    if (type == CONFIG_AUTH_TRUST) {
        trust(client);
        return;
    }
    struct login *login = client->login = mem_new(struct login);
    const char *secret = secret_of(client);
    if (type == CONFIG_AUTH_PLAIN) {
        login->next = LOGIN_PLAIN;
        ask(client, AUTH_PLAIN, slice_of(NULL, 0));
    } else if (type == CONFIG_AUTH_MD5 && secret_kind(secret) != SECRET_SCRAM) {
        login->next = LOGIN_MD5;
        CHECK(getrandom(login->salt, sizeof(login->salt), 0) == sizeof(login->salt));
        ask(client, AUTH_MD5, slice_of(login->salt, sizeof(login->salt)));
    } else {
        login->next = LOGIN_SCRAM_FIRST;
        ask(client, AUTH_SASL, slice_of("SCRAM-SHA-256\0", 15));
    }
}

// The password of a clear text or md5 answer, which ends with a NUL. False: the client was refused.
static bool password(struct client *client, struct slice body, struct slice *text)
{
    struct reader r = reader_of(body);
    *text = reader_cstr(&r);
    if (!reader_done(&r))
        client_fail(client, "08P01", "invalid password packet size");
    else if (text->len == 0)
        client_fail(client, "28P01", "empty password returned by client");
    else
        return true;
    return false;
}

static void scram_prepare(struct client *client)
{
    struct login *login = client->login;
    const char *secret = secret_of(client);
    struct scram_verifier verifier;
    const uint8_t *mock_secret = client->worker->pooler->mock_secret;
    uint32_t iterations = (uint32_t)config_settings(client->worker->config)->scram_iterations;
    bool known = true;
    switch (secret_kind(secret)) {
    case SECRET_SCRAM:
        known = secret_read_scram(secret, &verifier);
        break;
    case SECRET_PLAIN:
        known = scram_verifier_for(&verifier, slice_str(secret), client->user,
                                   mock_secret, iterations);
        break;
    case SECRET_NONE:
    case SECRET_MD5:
        known = false;
        break;
    }
    if (!known)
        scram_verifier_mock(&verifier, client->user, mock_secret, iterations);
    scram_server_init(&login->scram, &verifier, known);
    login->has_scram = true;
    secret_wipe(&verifier, sizeof(verifier));
}

static void scram_first(struct client *client, struct slice body)
{
    struct reader r = reader_of(body);
    struct slice mechanism = reader_cstr(&r);
    struct slice first = reader_bytes(&r, reader_u32(&r));
    if (!reader_done(&r) || !slice_is(mechanism, "SCRAM-SHA-256")) {
        client_fail(client, "08P01", "client selected an invalid SASL authentication mechanism");
        return;
    }
    scram_prepare(client);
    struct buf reply = {0};
    if (scram_server_first(&client->login->scram, first, &reply) == SCRAM_OK) {
        client->login->next = LOGIN_SCRAM_FINAL;
        ask(client, AUTH_SASL_CONTINUE, buf_slice(&reply));
    } else {
        client_fail(client, "08P01", "malformed SCRAM message");
    }
    buf_fini(&reply);
}

static void scram_final(struct client *client, struct slice body)
{
    struct login *login = client->login;
    struct buf reply = {0};
    enum scram_result result = scram_server_final(&login->scram, body, &reply);
    if (result == SCRAM_OK) {
        ask(client, AUTH_SASL_FINAL, buf_slice(&reply));
        struct scram_keys keys;
        scram_server_keys(&login->scram, &keys);
        if (client->state != CLIENT_CLOSED)
            accepted(client);
        // Those of a client are no good for a database that has a user of its own.
        if (client->state != CLIENT_CLOSED && client->route != NULL &&
            strcmp(client->route->server_user, client->user) == 0)
            route_keep_keys(client->route, &keys);
        secret_wipe(&keys, sizeof(keys));
    } else if (result == SCRAM_REFUSED) {
        refuse(client);
    } else {
        client_fail(client, "08P01", "malformed SCRAM message");
    }
    buf_fini(&reply);
}

void client_login_message(struct client *client, struct slice body)
{
    struct login *login = client->login;
    struct slice text;
    if (login == NULL) {
        client_fail(client, "08P01", "unexpected password message");
        return;
    }
    switch (login->next) {
    case LOGIN_PLAIN:
        if (!password(client, body, &text))
            return;
        if (secret_fits(secret_of(client), client->user, text))
            accepted(client);
        else
            refuse(client);
        return;
    case LOGIN_MD5:
        if (!password(client, body, &text))
            return;
        if (md5_check(text, secret_of(client), client->user, login->salt))
            accepted(client);
        else
            refuse(client);
        return;
    case LOGIN_SCRAM_FIRST:
        scram_first(client, body);
        return;
    case LOGIN_SCRAM_FINAL:
        scram_final(client, body);
        return;
    }
}
