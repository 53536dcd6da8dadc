// SPDX-License-Identifier: Apache-2.0
// What comes before the session, packet by packet: encryption requests, cancel requests, the
// startup message, the messages of the login. Sentences are PgBouncer's where it has one.
#include "proxy/session/startup.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/census.h"
#include "proxy/console/console.h"
#include "proxy/halt.h"
#include "proxy/login/misses.h"
#include "proxy/server/cancel.h"
#include "proxy/session/client.h"
#include "proxy/session/login.h"
#include "proxy/wire/message.h"
#include "proxy/tls_context.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

enum { ASKED_SSL = 1, ASKED_GSS = 2 }; // client->asked_encryption

bool startup_say(struct client *client, struct slice bytes)
{
    if (conn_say(&client->conn, bytes) != CONN_ERROR)
        return true;
    client_close(client, "client unexpected eof");
    return false;
}

bool startup_fails(struct client *client, const char *sqlstate, const char *why)
{
    client_fail(client, sqlstate, why);
    return false;
}

// May it come in at all?
static bool admit(struct client *client)
{
    struct pooler *pooler = client->worker->pooler;
    const struct config *config = client->worker->config;
    if (console_is(client->database) || client->is_lookup)
        return true;
    if (halt_is_disabled(pooler, client->database)) {
        char why[200];
        snprintf(why, sizeof(why), "database does not allow connections: %s", client->database);
        return startup_fails(client, "08P01", why);
    }
    if (pooler->refusing)
        return startup_fails(client, "57P03", "the database system is shutting down");
    if (pooler->logged_in >= config_settings(config)->max_client_conn)
        return startup_fails(client, "53300", "no more connections allowed (max_client_conn)");
    return true;
}

static bool is_console_admin(const struct client *client)
{
    return console_is(client->database) &&
           config_is_admin(client->worker->config, client->user);
}

static bool count_user(struct client *client, const char *name)
{
    const struct config *config = client->worker->config;
    int count = 0;
    census_leave(client->worker->pooler->census, &client->in_user);
    client->in_user = census_enter(client->worker->pooler->census, CENSUS_USER, name, &count);
    int most = config_max_user_client_connections(config, config_user(config, name));
    if (most <= 0 || count <= most || is_console_admin(client))
        return true;
    return startup_fails(client, "08P01",
                         "client connections exceeded (max_user_client_connections)");
}

bool startup_count_user(struct client *client)
{
    return count_user(client, client->user);
}

// With auth_type = any all are the database's own user.
static const char *counted_name(const struct client *client, const struct config_database *db)
{
    bool any = config_auth_type(client->worker->config, db) == CONFIG_AUTH_ANY;
    return any && db != NULL && db->user != NULL ? db->user : client->user;
}

void startup_count_taken(struct client *client)
{
    struct census *census = client->worker->pooler->census;
    const struct config_database *db = config_database(client->worker->config, client->database);
    int count;
    client->in_database = census_enter(census, CENSUS_DATABASE, client->database, &count);
    client->in_user = census_enter(census, CENSUS_USER, counted_name(client, db), &count);
}

// Counts the client for its database and its user, where these exist; false: one too many. As in
// PgBouncer those on their way in count, too, and an admin on the console always gets in. A user
// whom only auth_query knows is counted when it has told so.
static bool count_in(struct client *client)
{
    if (client->is_lookup)
        return true;
    const struct config *config = client->worker->config;
    bool console = console_is(client->database);
    const struct config_database *db =
        console ? NULL : config_database(config, client->database);
    const char *name = counted_name(client, db);
    int in_database = 0;
    if (db != NULL || console)
        client->in_database = census_enter(client->worker->pooler->census, CENSUS_DATABASE,
                                           client->database, &in_database);
    int most = config_max_db_client_connections(config, db);
    if (most > 0 && in_database > most && !is_console_admin(client))
        return startup_fails(client, "08P01",
                             "client connections exceeded (max_db_client_connections)");
    return config_user(config, name) == NULL || count_user(client, name);
}

static bool bad_version(struct client *client, uint32_t version)
{
    char why[120];
    if (version >> 16 == 2)
        return startup_fails(client, "0A000", "old V2 protocol not supported");
    snprintf(why, sizeof(why), "unsupported frontend protocol %u.%u: server supports 3.0 to 3.%u",
             version >> 16, version & 0xffff, PROTOCOL_NEWEST & 0xffff);
    return startup_fails(client, "0A000", why);
}

// Does this client speak by TLS, or may it? The two ends of a unix socket are on one machine.
static enum config_sslmode tls_mode(const struct client *client)
{
    return client->local ? CONFIG_SSL_DISABLE : client->worker->tls->client_mode;
}

static void startup_message(struct client *client, uint32_t version, struct slice pairs)
{
    if (version >> 16 != 3) {
        bad_version(client, version);
        return;
    }
    if (tls_mode(client) >= CONFIG_SSL_REQUIRE && client->conn.tls == NULL) {
        client_fail(client, "08P01", "SSL required");
        return;
    }
    if (!startup_parameters(client, pairs, version) || !admit(client) || !count_in(client))
        return;
    client->state = CLIENT_LOGIN;
    client_login_begin(client);
}

// Too many keys from there were wrong of late: nothing is looked up for a while. With peers keys
// come by way of others, whose guessers are not ours to tell apart.
static bool is_guessing(const struct client *client)
{
    const struct worker *worker = client->worker;
    return config_peer_count(worker->config) == 0 &&
           misses_count(worker->pooler->wrong_keys, origin_place(&client->origin), clock_us()) >=
               CANCEL_MISSES_MOST;
}

static void tell_guessing(const struct client *client)
{
    struct worker *worker = client->worker;
    int64_t now_us = clock_us();
    char from[ORIGIN_TEXT_BYTES];
    if (now_us - worker->told_guessing_us < 1000000)
        return;
    worker->told_guessing_us = now_us;
    origin_for_log(&client->origin, from, sizeof(from));
    log_warning("too many cancel requests with wrong keys from %s", from);
}

static void cancel_request(struct client *client, struct slice key)
{
    struct worker *worker = client->worker;
    struct cancel_asker asker = {worker, client->number};
    client->state = CLIENT_CANCELLING;
    const char *why_not = NULL;
    if (is_guessing(client))
        why_not = "too many cancel requests with wrong keys";
    else if (!key_is_possible(key))
        why_not = "bad cancel request";
    else if (pooler_cancel(worker->pooler, key, asker))
        client_leaves_entrance(client); // it has a key; of one for a peer nothing is known here
    else
        why_not = cancel_forward(worker, key, asker);
    if (why_not == NULL)
        return;
    if (misses_note(worker->pooler->wrong_keys, origin_place(&client->origin), clock_us()) ==
        CANCEL_MISSES_MOST)
        tell_guessing(client);
    client_close(client, why_not);
}

static void begin_tls(struct client *client, struct slice early, bool direct)
{
    if (!tls_accept(&client->conn, client->worker->tls->clients, early, direct))
        client_close(client, "failed to accept SSL");
}

// "S": TLS begins with the next byte. "N": no encryption. Bytes behind the request were sent before
// our answer: somebody meddles.
static void encryption_request(struct client *client, uint32_t code, struct slice rest)
{
    uint8_t bit = code == SSL_REQUEST_CODE ? ASKED_SSL : ASKED_GSS;
    bool again = (client->asked_encryption & bit) != 0;
    client->asked_encryption |= bit;
    if (again && client->conn.tls == NULL) {
        bad_version(client, code); // as PostgreSQL: it is a request no more
    } else if (rest.len > 0) {
        client_fail(client, "08P01",
                    code == SSL_REQUEST_CODE
                        ? "received unencrypted data after SSL request"
                        : "received unencrypted data after GSSAPI encryption request");
    } else if (code == SSL_REQUEST_CODE && client->conn.tls != NULL) {
        client_close(client, "SSL req inside SSL");
    } else if (code == SSL_REQUEST_CODE && tls_mode(client) != CONFIG_SSL_DISABLE) {
        if (startup_say(client, slice_str("S")))
            begin_tls(client, slice_of(NULL, 0), false);
    } else {
        startup_say(client, slice_str("N"));
    }
}

// TLS without a word before it: PostgreSQL 17's sslnegotiation=direct. A startup packet does not
// begin like this, for it would be far too long.
static bool is_direct_tls(const struct client *client, struct slice data)
{
    enum { TLS_HANDSHAKE_RECORD = 0x16 }; // RFC 8446 5.1
    return data.at[0] == TLS_HANDSHAKE_RECORD && client->conn.tls == NULL;
}

static void direct_tls(struct client *client, struct slice data)
{
    if (tls_mode(client) == CONFIG_SSL_DISABLE)
        client_close(client, "direct SSL connection request, but TLS is not enabled");
    else
        begin_tls(client, data, true);
}

static struct slice startup_packet(struct client *client, struct slice data)
{
    struct startup_packet packet;
    switch (startup_packet_read(data, &packet)) {
    case FRAME_SHORT:
        return data;
    case FRAME_BAD:
        client_fail(client, "08P01", "invalid length of startup packet");
        return slice_skip(data, data.len);
    case FRAME_OK:
        break;
    }
    struct slice rest = slice_skip(data, packet.length);
    if (packet.code == SSL_REQUEST_CODE || packet.code == GSSENC_REQUEST_CODE)
        encryption_request(client, packet.code, rest);
    else if (packet.code == CANCEL_REQUEST_CODE)
        cancel_request(client, packet.body);
    else
        startup_message(client, packet.code, packet.body);
    return rest;
}

struct slice client_startup(struct client *client, struct slice data)
{
    while (client->state == CLIENT_STARTUP && data.len > 0) {
        if (!client->introduced && !startup_introduction(client, &data))
            return data;
        if (data.len > 0 && is_direct_tls(client, data)) {
            direct_tls(client, data);
            return slice_skip(data, data.len);
        }
        struct slice rest = startup_packet(client, data);
        if (rest.len == data.len)
            return data;
        data = rest;
    }
    while (client->state == CLIENT_LOGIN && data.len > 0 && !login_waits(client)) {
        struct frame frame;
        enum frame_result result = frame_read(data, &frame);
        if (result == FRAME_SHORT)
            return data;
        if (result == FRAME_BAD || frame.length > STARTUP_MAX_BYTES) {
            client_fail(client, "08P01", "invalid message length");
            return slice_skip(data, data.len);
        }
        if (frame.length > data.len)
            return data;
        struct slice body = slice_of(data.at + 5, frame.length - 5);
        data = slice_skip(data, frame.length);
        if (frame.type == 'p') {
            client_login_message(client, body);
        } else if (frame.type == 'X') {
            client_close(client, "client close request");
        } else {
            char why[80];
            snprintf(why, sizeof(why), "expected password response, got message type %d",
                     frame.type);
            client_fail(client, "08P01", why);
        }
    }
    return data;
}
