// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/console.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/console/extended.h"
#include "proxy/console/syntax.h"
#include "proxy/halt.h"
#include "proxy/session/client.h"
#include "proxy/version.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

struct console {
    bool admin; // else only SHOW
    bool heir;  // our connections were given to it
    bool busy;  // an answer is due
    bool simple; // ... to a simple query
    enum command_wait wait;
    int64_t since_us;
    char database[SYNTAX_ARGUMENT_BYTES]; // of the command that waits
    const struct question *asked; // compared only: whose answer it awaits
    struct extended extended;
};

bool console_is(const char *database)
{
    return strcmp(database, "pgbouncer") == 0 || strcmp(database, "pgweir") == 0;
}

bool console_is_admin(const struct client *client)
{
    return client->console->admin;
}

void console_inherits(struct client *client)
{
    client->console->heir = true;
}

bool console_is_heir(const struct client *client)
{
    return client->console != NULL && client->console->heir;
}

bool console_is_busy(const struct console *console)
{
    return console != NULL && console->busy;
}

void console_free(struct console *console)
{
    if (console != NULL)
        extended_fini(&console->extended);
    mem_free(console);
}

static bool send_out(struct client *client, struct slice out)
{
    conn_queue(&client->conn, out);
    if (conn_flush(&client->conn) != CONN_ERROR)
        return true;
    client_close(client, "client unexpected eof");
    return false;
}

void console_begin(struct client *client)
{
    struct worker *worker = client->worker;
    client->console = mem_new(struct console);
    client->console->admin = config_is_admin(worker->config, client->user) || client->by_peer;
    client->state = CLIENT_CONSOLE;
    worker->pooler->consoles++;
    counter_add(&worker->console.logins, 1);
    struct buf out = {0};
    message_auth(&out, AUTH_OK, slice_of(NULL, 0));
    message_parameter(&out, "server_version", PGWEIR_VERSION "/bouncer");
    message_parameter(&out, "client_encoding", "UTF8");
    message_parameter(&out, "server_encoding", "UTF8");
    message_parameter(&out, "DateStyle", "ISO");
    message_parameter(&out, "TimeZone", "GMT");
    message_parameter(&out, "standard_conforming_strings", "on");
    message_parameter(&out, "is_superuser", "on");
    client_give_key(client, &out);
    message_ready(&out, 'I');
    send_out(client, buf_slice(&out));
    buf_fini(&out);
}

void console_end(struct client *client)
{
    struct pooler *pooler = client->worker->pooler;
    bool last = --pooler->consoles == 0;
    if ((last || pooler->suspender == client->number) && halt_mode(pooler) == HALT_SUSPENDED &&
        !pooler->refusing) {
        log_info("admin disappeared when suspended, doing RESUME");
        halt_release(pooler);
    }
}

// ---- answers ----

static void finish(struct client *client, struct buf *out)
{
    struct tally *tally = &client->worker->console;
    struct console *console = client->console;
    counter_add(&tally->queries, 1);
    counter_add(&tally->xacts, 1);
    console->busy = false;
    console->wait = WAIT_NOTHING;
    console->asked = NULL;
    if (console->simple)
        message_ready(out, 'I');
    else if (out->len > 0 && out->at[0] == 'E')
        console->extended.skipping = true;
    send_out(client, buf_slice(out));
}

void console_answer(struct client *client, struct slice answer)
{
    struct buf out = {0};
    buf_put(&out, answer);
    finish(client, &out);
    buf_fini(&out);
    client_resume(client);
}

void console_wait(struct client *client, enum command_wait wait, const char *database)
{
    struct console *console = client->console;
    console->wait = wait;
    console->since_us = clock_us();
    snprintf(console->database, sizeof(console->database), "%s", database);
}

void console_asks(struct client *client, const struct question *q)
{
    client->console->asked = q;
}

bool console_awaits(const struct client *client, const struct question *q)
{
    return client->console->asked == q;
}

void console_look_again(struct client *client)
{
    client->console->asked = NULL;
}

void console_look(struct client *client)
{
    struct console *console = client->console;
    struct buf out = {0};
    if (console->wait != WAIT_NOTHING && console->asked == NULL &&
        command_look(client, console->wait, console->database, console->since_us, &out))
        console_answer(client, buf_slice(&out));
    buf_fini(&out);
}

void console_cancel(struct client *client)
{
    struct console *console = client->console;
    if (console->wait == WAIT_NOTHING) {
        log_warning("C-%p: admin cancel request for non-waiting client?", (void *)client);
        return;
    }
    command_undo(client, console->wait, console->database);
    struct buf out = {0};
    message_error(&out, "ERROR", "57014", "canceling statement due to user request");
    console_answer(client, buf_slice(&out));
    buf_fini(&out);
}

// ---- input ----

static void run(struct client *client, const char *text, bool simple, uint64_t binary)
{
    struct console *console = client->console;
    struct buf out = {0};
    console->simple = simple;
    console->busy = true;
    log_debug("C-%p: got admin query: %s", (void *)client, text);
    if (command_run(client, text, !simple, binary, &out) == COMMAND_DONE)
        finish(client, &out);
    buf_fini(&out);
}

static void extended(struct client *client, char type, struct slice body)
{
    struct buf out = {0};
    const char *text = NULL;
    uint64_t binary = 0;
    bool runs = extended_message(&client->console->extended, client, type, body, &out, &text,
                                 &binary);
    if (out.len > 0)
        send_out(client, buf_slice(&out));
    buf_fini(&out);
    if (runs && client->state == CLIENT_CONSOLE)
        run(client, text, false, binary);
}

static void message(struct client *client, char type, struct slice body)
{
    switch (type) {
    case 'Q':
        if (body.len == 0 || body.at[body.len - 1] != '\0')
            client_fail(client, "08P01", "incomplete query");
        else
            run(client, (const char *)body.at, true, 0);
        return;
    case 'X':
        client_close(client, "client close request");
        return;
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
    case 'S':
    case 'H':
        extended(client, type, body);
        return;
    default:
        client_fail(client, "08P01", "bad packet");
    }
}

struct slice console_input(struct client *client, struct slice data)
{
    while (client->state == CLIENT_CONSOLE && !client->console->busy &&
           !conn_has_output(&client->conn)) {
        struct frame frame;
        enum frame_result result = frame_read(data, &frame);
        if (result == FRAME_SHORT)
            break;
        if (result == FRAME_BAD || frame.length > CONN_AREA_BYTES) {
            client_fail(client, "08P01", "invalid message length");
            break;
        }
        if (frame.length > data.len)
            break;
        struct slice body = slice_of(data.at + 5, frame.length - 5);
        data = slice_of(data.at + frame.length, data.len - frame.length);
        message(client, frame.type, body);
    }
    return client->state == CLIENT_CLOSED ? slice_of(NULL, 0) : data;
}
