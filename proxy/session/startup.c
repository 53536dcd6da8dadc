// SPDX-License-Identifier: Apache-2.0
// What comes before the session: encryption requests, cancel requests, the startup message, and
// the way into a pool or the console. Sentences are PgBouncer's where it has one.
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/session/login.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

static bool say(struct client *client, const void *bytes, size_t n)
{
    conn_queue(&client->conn, slice_of(bytes, n));
    if (conn_flush(&client->conn) != CONN_ERROR)
        return true;
    client_close(client, "client unexpected eof");
    return false;
}

static void set_text(char **at, struct slice value)
{
    mem_free(*at);
    *at = mem_strndup((const char *)value.at, value.len);
}

static bool fails(struct client *client, const char *state, const char *why)
{
    client_fail(client, state, why);
    return false;
}

// "-c name=value" pairs of the options parameter.
static bool take_options(struct client *client, const char *options)
{
    char word[512];
    const struct config *config = client->worker->config;
    while (*options != '\0') {
        while (*options == ' ')
            options++;
        if (*options == '\0')
            break;
        if (strncmp(options, "-c", 2) == 0)
            options += 2;
        else if (strncmp(options, "--", 2) == 0)
            options += 2;
        else if (config_ignores_parameter(config, "options"))
            return true;
        else
            return fails(client, "08P01",
                         "unsupported options startup parameter: only '-c config=val' and "
                         "'--config=val' are allowed");
        while (*options == ' ')
            options++;
        size_t n = 0;
        for (; *options != '\0' && *options != ' '; options++) {
            if (*options == '\\' && options[1] != '\0')
                options++;
            if (n < sizeof(word) - 1)
                word[n++] = *options;
        }
        word[n] = '\0';
        char *value = strchr(word, '=');
        if (value == NULL)
            return fails(client, "08P01", "unsupported options startup parameter: no '=' in it");
        *value++ = '\0';
        for (char *p = word; *p != '\0'; p++)
            if (*p == '-')
                *p = '_';
        int var = var_find(word);
        if (var >= 0) {
            vars_set(&client->vars, var, value);
        } else if (!config_ignores_parameter(config, word) &&
                   !config_ignores_parameter(config, "options")) {
            char why[600];
            snprintf(why, sizeof(why), "unsupported startup parameter in options: %s", word);
            return fails(client, "08P01", why);
        }
    }
    return true;
}

static bool take_parameter(struct client *client, struct slice name, struct slice value)
{
    const char *n = (const char *)name.at;
    const char *v = (const char *)value.at;
    if (slice_is(name, "user")) {
        set_text(&client->user, value);
    } else if (slice_is(name, "database")) {
        set_text(&client->database, value);
    } else if (slice_is(name, "options")) {
        return take_options(client, v);
    } else if (var_find(n) >= 0) {
        vars_set(&client->vars, var_find(n), v);
    } else if (slice_is(name, "replication")) {
        if (strcasecmp(v, "false") != 0 && strcasecmp(v, "off") != 0 && strcasecmp(v, "no") != 0 &&
            strcmp(v, "0") != 0)
            return fails(client, "0A000", "replication connections are not supported yet");
    } else if (strncmp(n, "_pq_.", 5) != 0 &&
               !config_ignores_parameter(client->worker->config, n)) {
        char why[200];
        snprintf(why, sizeof(why), "unsupported startup parameter: %s", n);
        return fails(client, "08P01", why);
    }
    return true;
}

// A newer minor version or a protocol option that we do not have: say what we do have.
static bool negotiate(struct client *client, struct slice pairs, uint32_t version)
{
    struct buf out = {0};
    uint32_t unknown = 0;
    struct reader r = reader_of(pairs);
    size_t mark = buf_message_begin(&out, 'v');
    buf_u32(&out, 0); // newest minor version here
    size_t count_at = out.len;
    buf_u32(&out, 0);
    for (;;) {
        struct slice name = reader_cstr(&r);
        if (!reader_ok(&r) || name.len == 0)
            break;
        reader_cstr(&r);
        if (strncmp((const char *)name.at, "_pq_.", 5) == 0) {
            buf_cstr(&out, (const char *)name.at);
            unknown++;
        }
    }
    store_u32(out.at + count_at, unknown);
    buf_message_end(&out, mark);
    bool ok = true;
    if (unknown > 0 || version > PROTOCOL_3_0)
        ok = say(client, out.at, out.len);
    buf_fini(&out);
    return ok;
}

static const char bad_layout[] =
    "invalid startup packet layout: expected terminator as last byte";

static bool take_parameters(struct client *client, struct slice pairs)
{
    struct reader r = reader_of(pairs);
    for (;;) {
        struct slice name = reader_cstr(&r);
        if (!reader_ok(&r))
            return fails(client, "08P01", bad_layout);
        if (name.len == 0)
            break;
        struct slice value = reader_cstr(&r);
        if (!reader_ok(&r))
            return fails(client, "08P01", bad_layout);
        if (!take_parameter(client, name, value))
            return false;
    }
    if (!reader_done(&r))
        return fails(client, "08P01", bad_layout);
    if (client->user == NULL || client->user[0] == '\0')
        return fails(client, "28000", "no PostgreSQL user name specified in startup packet");
    if (client->database == NULL || client->database[0] == '\0')
        set_text(&client->database, slice_str(client->user));
    return true;
}

// May it come in at all?
static bool admit(struct client *client)
{
    struct pooler *pooler = client->worker->pooler;
    const struct config *config = client->worker->config;
    if (console_is(client->database))
        return true;
    if (pooler->refusing)
        return fails(client, "57P03", "database system is shutting down");
    if (pooler->clients > config_settings(config)->max_client_conn)
        return fails(client, "53300", "no more connections allowed (max_client_conn)");
    return true;
}

static void startup_message(struct client *client, uint32_t version, struct slice pairs)
{
    if (version >> 16 != 3) {
        char why[120];
        snprintf(why, sizeof(why),
                 "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0",
                 version >> 16, version & 0xffff);
        client_fail(client, "0A000", why);
        return;
    }
    if (!take_parameters(client, pairs) || !negotiate(client, pairs, version) || !admit(client))
        return;
    client->state = CLIENT_LOGIN;
    client_login_begin(client);
}

static void cancel_request(struct client *client, struct slice body)
{
    struct reader r = reader_of(body);
    uint32_t process = reader_u32(&r);
    uint32_t secret = reader_u32(&r);
    struct cancel_asker asker = {client->worker, client->number};
    client->state = CLIENT_CANCELLING;
    if (!reader_done(&r) || !pooler_cancel(client->worker->pooler, process, secret, asker))
        client_close(client, "failed cancel request");
}

static struct slice startup_packet(struct client *client, struct slice data)
{
    struct reader r = reader_of(data);
    uint32_t length = reader_u32(&r);
    uint32_t code = reader_u32(&r);
    if (data.len >= 4 && (length < STARTUP_HEADER_BYTES || length > STARTUP_MAX_BYTES)) {
        client_fail(client, "08P01", "invalid length of startup packet");
        return slice_skip(data, data.len);
    }
    if (!reader_ok(&r) || data.len < length)
        return data;
    struct slice body = slice_of(r.at, length - STARTUP_HEADER_BYTES);
    struct slice rest = slice_skip(data, length);
    if (code == SSL_REQUEST_CODE || code == GSSENC_REQUEST_CODE) {
        // Bytes behind the request would have been sent before our answer: somebody meddles.
        if (rest.len > 0)
            client_fail(client, "08P01", "received unencrypted data after an encryption request");
        else
            say(client, "N", 1);
        return rest;
    }
    if (code == CANCEL_REQUEST_CODE)
        cancel_request(client, body);
    else
        startup_message(client, code, body);
    return rest;
}

struct slice client_startup(struct client *client, struct slice data)
{
    while (client->state == CLIENT_STARTUP && data.len > 0) {
        struct slice rest = startup_packet(client, data);
        if (rest.len == data.len)
            return data;
        data = rest;
    }
    while (client->state == CLIENT_LOGIN && data.len > 0) {
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

// ---- after the password ----

void client_logged_in(struct client *client)
{
    struct worker *worker = client->worker;
    login_free(client);
    if (config_settings(worker->config)->log_connections)
        log_info("C-%p: %s/%s login attempt: db=%s user=%s tls=no", (void *)client,
                 client->database, client->user, client->database, client->user);
    if (console_is(client->database)) {
        console_begin(client);
        return;
    }
    pool_client_joined(client->route->pool);
    client->state = CLIENT_GREETING;
    client_greet(client);
}

void client_greet(struct client *client)
{
    struct worker *worker = client->worker;
    struct buf out = {0};
    message_auth(&out, AUTH_OK, slice_of(NULL, 0));
    if (!route_greet(client->route, &client->vars, &out)) {
        buf_fini(&out);
        client_request_server(client); // the first one tells us what to say
        return;
    }
    client->key.worker = worker;
    client->key.client = client;
    pooler_key_add(worker->pooler, &client->key);
    size_t mark = buf_message_begin(&out, 'K');
    buf_u32(&out, client->key.process);
    buf_u32(&out, client->key.secret);
    buf_message_end(&out, mark);
    message_ready(&out, 'I');
    worker_count(worker, logins, 1);
    client->state = CLIENT_IDLE;
    client->since_us = clock_us();
    say(client, out.at, out.len);
    buf_fini(&out);
}
