// SPDX-License-Identifier: Apache-2.0
// How pgweir logs in to a server: startup message, authentication, the session's first words, and
// then the questions of its own (connect_query, profile).
#include "proxy/server/server.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "cache/ledger.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/login/md5.h"
#include "proxy/login/secret.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/session/cancel_key.h"
#include "proxy/session/align.h"
#include "proxy/session/client.h"
#include "proxy/server/hub.h"
#include "proxy/session/replication.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

static const struct config_database *database_of(const struct server *server)
{
    return config_database(server->worker->config, server->route->database);
}

static void pair(struct buf *out, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buf_cstr(out, name);
    buf_cstr(out, value);
}

static bool send_now(struct server *server, const struct buf *message)
{
    if (conn_say(&server->conn, buf_slice(message)) != CONN_ERROR)
        return true;
    server_close(server, "server conn crashed?");
    return false;
}

void server_login_begin(struct server *server)
{
    const struct config_database *db = database_of(server);
    if (db == NULL) {
        server_close(server, "no such database");
        return;
    }
    server->state = SERVER_LOGIN;
    struct buf out = {0};
    buf_u32(&out, 0);
    buf_u32(&out, PROTOCOL_3_0);
    pair(&out, "user", server->route->server_user);
    pair(&out, "database", config_database_dbname(db, server->route->database));
    pair(&out, "client_encoding", db->client_encoding);
    pair(&out, "datestyle", db->datestyle);
    pair(&out, "timezone", db->timezone);
    pair(&out, "application_name", db->application_name);
    if (server->own) { // what comes last counts
        pair(&out, "replication", replication_parameter(server->client->replication));
        buf_put(&out, buf_slice(&server->client->replication->parameters));
    }
    buf_u8(&out, 0);
    store_u32(out.at, (uint32_t)out.len);
    if (send_now(server, &out))
        conn_want_read(&server->conn, true);
    buf_fini(&out);
}

void server_forget_password(struct server *server)
{
    if (server->password != NULL)
        secret_wipe(server->password, strlen(server->password));
    mem_free(server->password);
    server->password = NULL;
}

// What a client has proved to know in the clear goes before what stands in the users file.
static const char *secret_of(struct server *server)
{
    const struct config_database *db = database_of(server);
    if (db == NULL)
        return NULL;
    const char *secret =
        config_server_secret(server->worker->config, db, server->route->server_user);
    if (server->password == NULL && db->user == NULL)
        server->password = route_copy_password(server->route, secret != NULL);
    return server->password != NULL ? server->password : secret;
}

static bool answer(struct server *server, struct slice data)
{
    struct buf out = {0};
    size_t mark = buf_message_begin(&out, 'p');
    buf_put(&out, data);
    buf_message_end(&out, mark);
    bool ok = send_now(server, &out);
    secret_wipe(out.at, out.len);
    buf_fini(&out);
    return ok;
}

static bool give_up(struct server *server, const char *why)
{
    server_close(server, why);
    return false;
}

static bool answer_plain(struct server *server)
{
    const char *secret = secret_of(server);
    if (secret_kind(secret) != SECRET_PLAIN)
        return give_up(server, "server asks for a plain password, and none is known");
    return answer(server, slice_of(secret, strlen(secret) + 1));
}

static bool answer_md5(struct server *server, struct reader *r)
{
    struct slice salt = reader_bytes(r, MD5_SALT_BYTES);
    char text[MD5_TEXT_BYTES];
    if (!reader_ok(r) || !md5_answer(text, secret_of(server), server->route->server_user, salt.at))
        return give_up(server, "server asks for an md5 password, and none is known");
    return answer(server, slice_of(text, MD5_TEXT_BYTES));
}

// Binds the exchange to the TLS connection where both sides can. True: with a mechanism of its own.
static bool scram_bind(struct server *server, bool offered)
{
    uint8_t endpoint[TLS_HASH_BYTES];
    size_t n = 0;
    if (server->conn.tls != NULL)
        n = tls_endpoint_hash(server->conn.tls, endpoint);
    scram_client_bind(server->scram, slice_of(endpoint, n), offered);
    return offered && n > 0;
}

static bool scram_begin(struct server *server, struct reader *r)
{
    bool offered = false, plus = false;
    for (struct slice name = reader_cstr(r); reader_ok(r) && name.len > 0; name = reader_cstr(r)) {
        offered |= slice_is(name, SCRAM_MECHANISM);
        plus |= slice_is(name, SCRAM_MECHANISM_PLUS);
    }
    if (plus && server->conn.tls == NULL)
        return give_up(server, "server offered SCRAM-SHA-256-PLUS authentication over a non-SSL "
                               "connection");
    if ((!offered && !plus) || server->scram != NULL)
        return give_up(server, "server offers no SASL mechanism that is known here");
    const char *secret = secret_of(server);
    struct scram_keys keys;
    bool has_keys = route_keys(server->route, &keys);
    bool has_password = secret_kind(secret) == SECRET_PLAIN;
    if (!has_keys && !has_password)
        return give_up(server, "server asks for a SCRAM password, and none is known");
    server->scram = mem_new(struct scram_client);
    scram_client_init(server->scram, has_password ? slice_str(secret) : slice_of(NULL, 0),
                      has_keys ? &keys : NULL);
    secret_wipe(&keys, sizeof(keys));
    struct buf first = {0}, body = {0};
    plus = scram_bind(server, plus);
    bool ok = (offered || plus) && scram_client_first(server->scram, &first) == SCRAM_OK;
    buf_cstr(&body, plus ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM);
    buf_u32(&body, (uint32_t)first.len);
    buf_put(&body, buf_slice(&first));
    ok = ok ? answer(server, buf_slice(&body)) : give_up(server, "SCRAM failed");
    buf_fini(&first);
    buf_fini(&body);
    return ok;
}

static bool scram_continue(struct server *server, struct slice data)
{
    struct buf reply = {0};
    bool ok = server->scram != NULL &&
              scram_client_final(server->scram, data, &reply) == SCRAM_OK;
    ok = ok ? answer(server, buf_slice(&reply)) : give_up(server, "SCRAM exchange failed");
    buf_fini(&reply);
    return ok;
}

static bool authenticate(struct server *server, struct slice body)
{
    struct reader r = reader_of(body);
    uint32_t code = reader_u32(&r);
    if (!reader_ok(&r))
        return give_up(server, "bad authentication message");
    switch (code) {
    case AUTH_OK:
        if (!reader_done(&r))
            return give_up(server, "bad authentication message");
        if (server->scram != NULL && server->scram->next != SCRAM_CLIENT_DONE)
            return give_up(server, "server did not prove that it knows the password");
        server->let_in = true;
        return true;
    case AUTH_PLAIN:
        return answer_plain(server);
    case AUTH_MD5:
        return answer_md5(server, &r);
    case AUTH_SASL:
        return scram_begin(server, &r);
    case AUTH_SASL_CONTINUE:
        return scram_continue(server, slice_of(r.at, reader_left(&r)));
    case AUTH_SASL_FINAL:
        if (server->scram == NULL ||
            scram_client_verify(server->scram, slice_of(r.at, reader_left(&r))) != SCRAM_OK)
            return give_up(server, "server did not prove that it knows the password");
        return true;
    }
    return give_up(server, "server asks for an authentication method that is not known here");
}

static bool note_parameter(struct server *server, struct slice body)
{
    struct reader r = reader_of(body);
    const char *name = (const char *)reader_cstr(&r).at;
    const char *value = (const char *)reader_cstr(&r).at;
    if (!reader_ok(&r))
        return give_up(server, "bad ParameterStatus");
    int var = var_find(name);
    if (var >= 0)
        vars_set(&server->vars, var, value);
    fitness_note(&server->fitness, name, value);
    message_parameter(&server->welcome, name, value);
    return true;
}

// What it changes is part of what a fresh session is. Its errors are logged and ignored.
static bool ask_connect_query(struct server *server)
{
    const struct config_database *db = database_of(server);
    if (server->connect_query_sent || db == NULL || db->connect_query == NULL ||
        db->connect_query[0] == '\0')
        return false;
    server->connect_query_sent = true;
    struct buf out = {0};
    message_query(&out, db->connect_query);
    send_now(server, &out);
    buf_fini(&out);
    return true;
}

static bool ready(struct server *server)
{
    struct worker *worker = server->worker;
    struct route *route = server->route;
    // What it says of itself is not what clients are to hear. Others end as they do later on.
    if (server->hub == NULL && !server->own && server_is_of_before(server))
        return give_up(server, "connect string changed");
    const char *lacks = server_lacks(server);
    if (lacks != NULL) {
        server->unfit = true;
        return give_up(server, lacks);
    }
    route->unfit = 0;
    if (ask_connect_query(server))
        return server->state != SERVER_CLOSED;
    if (server->scram != NULL) {
        scram_client_fini(server->scram);
        mem_free(server->scram);
        server->scram = NULL;
    }
    server_forget_password(server);
    if (server->hub != NULL) {
        server->state = SERVER_LINKED;
        hub_ready(server->hub);
        return server->state == SERVER_LINKED;
    }
    if (server->own) {
        server->state = SERVER_LINKED;
        replication_greet(server->client, server);
        return server->state == SERVER_LINKED;
    }
    route_welcome(route, buf_slice(&server->welcome), server->vars);
    buf_fini(&server->welcome);
    pool_opened(route->pool, &server->slot, worker->number, clock_us());
    server->counted = true;
    server->state = SERVER_SETUP;
    log_debug("S-%p: %s/%s logged in to server", (void *)server, route->database, route->user);
    sender_begin(&worker->to_server, &server->conn);
    const struct config_database *db = database_of(server);
    if (server->connect_query_sent && db != NULL && server_has_base(server))
        align_ask_base(server, db->connect_query ? db->connect_query : "");
    if (route->domain != NULL)
        server_ask_profile(server);
    if (!sender_end(&worker->to_server))
        return give_up(server, "server conn crashed?");
    return true; // when those are answered, the relay gives it to the pool
}

static bool refused(struct server *server, struct slice body)
{
    struct error_fields fields;
    error_fields_read(body, &fields);
    char why[256]; // what clients are told, word for word
    snprintf(why, sizeof(why), "%s", fields.message);
    // A server that is starting up, shutting down or full is as one that cannot be reached.
    server->refused = strncmp(fields.sqlstate, "57P", 3) != 0 &&
                      strncmp(fields.sqlstate, "53", 2) != 0;
    snprintf(server->refused_state, sizeof(server->refused_state), "%s", fields.sqlstate);
    if (server->password != NULL && strcmp(fields.sqlstate, "28P01") == 0)
        route_password_refused(server->route, server->password);
    log_warning("S-%p: %s/%s server login failed: %s %s", (void *)server, server->route->database,
                server->route->user, fields.severity, why);
    if (server->own) {
        server->refused = true;
        replication_refused(server->client, body);
    }
    return give_up(server, why);
}

// The answer to connect_query. Its rows are of no interest.
static bool connect_query_message(struct server *server, char type, struct slice body)
{
    struct error_fields fields;
    switch (type) {
    case 'E':
        error_fields_read(body, &fields);
        log_error("S: error while executing exec_on_query: %s: %s", fields.severity,
                  fields.message);
        return true;
    case 'S':
        return note_parameter(server, body);
    case 'Z':
        return body.len == 1 && *(const char *)body.at == 'I'
                   ? ready(server)
                   : give_up(server, "connect_query left a transaction open");
    case 'T':
    case 'D':
    case 'C':
    case 'I':
    case 'N':
    case 'A':
        return true;
    }
    return give_up(server, "exec_on_connect query failed");
}

bool server_login_message(struct server *server, char type, struct slice body)
{
    if (server->connect_query_sent)
        return connect_query_message(server, type, body);
    // What belongs to a session is believed of a server that has let us in, and proved itself.
    bool is_early = !server->let_in && strchr("SKZ", type) != NULL;
    if (is_early || (server->let_in && type == 'R'))
        return give_up(server, "unexpected message from the server during login");
    switch (type) {
    case 'R':
        return authenticate(server, body);
    case 'S':
        return note_parameter(server, body);
    case 'K': {
        struct reader r = reader_of(body);
        server->process = reader_u32(&r);
        buf_clear(&server->secret);
        buf_put(&server->secret, reader_bytes(&r, reader_left(&r)));
        bool fits = server->secret.len > 0 && server->secret.len <= CANCEL_SECRET_MAX;
        return (reader_ok(&r) && fits) || give_up(server, "bad BackendKeyData");
    }
    case 'Z':
        return body.len == 1 && body.at[0] == 'I' ? ready(server)
                                                  : give_up(server, "bad ReadyForQuery");
    case 'E':
        return refused(server, body);
    case 'N':
        return true;
    }
    return give_up(server, "unexpected message from the server during login");
}
