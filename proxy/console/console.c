// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/console.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/console/show.h"
#include "proxy/session/client.h"
#include "proxy/version.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

struct console {
    bool admin; // else only SHOW
    bool skipping; // after an error in extended messages, until Sync
};

void console_free(struct console *console)
{
    mem_free(console);
}

bool console_is(const char *database)
{
    return strcmp(database, "pgbouncer") == 0 || strcmp(database, "pgweir") == 0;
}

static bool send_out(struct client *client, struct buf *out)
{
    conn_queue(&client->conn, buf_slice(out));
    buf_fini(out);
    if (conn_flush(&client->conn) != CONN_ERROR)
        return true;
    client_close(client, "client unexpected eof");
    return false;
}

void console_begin(struct client *client)
{
    struct worker *worker = client->worker;
    client->console = mem_new(struct console);
    client->console->admin = config_is_admin(worker->config, client->user) || client->by_peer ||
                             config_settings(worker->config)->auth_type == CONFIG_AUTH_ANY;
    client->state = CLIENT_CONSOLE;
    struct buf out = {0};
    message_auth(&out, AUTH_OK, slice_of(NULL, 0));
    message_parameter(&out, "server_version", PGWEIR_VERSION "/bouncer");
    message_parameter(&out, "client_encoding", "UTF8");
    message_parameter(&out, "server_encoding", "UTF8");
    message_parameter(&out, "DateStyle", "ISO");
    message_parameter(&out, "TimeZone", "GMT");
    message_parameter(&out, "standard_conforming_strings", "on");
    message_parameter(&out, "is_superuser", "on");
    size_t mark = buf_message_begin(&out, 'K');
    buf_u32(&out, 0);
    buf_u32(&out, 0);
    buf_message_end(&out, mark);
    message_ready(&out, 'I');
    send_out(client, &out);
}

// ---- commands ----

static void do_error(struct buf *out, const char *state, const char *text)
{
    message_error(out, "ERROR", state, text);
}

static bool need_admin(struct client *client, struct buf *out)
{
    if (client->console->admin)
        return true;
    do_error(out, "42501", "admin access needed");
    return false;
}

// Signals reach the control thread, where reloading and stopping are done.
static void do_signal(struct client *client, struct buf *out, int signal, const char *tag)
{
    if (!need_admin(client, out))
        return;
    message_complete(out, tag);
    kill(getpid(), signal);
}

static void do_shutdown(struct client *client, struct buf *out, const char *argument)
{
    if (argument[0] == '\0')
        do_signal(client, out, SIGQUIT, "SHUTDOWN");
    else if (strcasecmp(argument, "WAIT_FOR_SERVERS") == 0)
        do_signal(client, out, SIGINT, "SHUTDOWN");
    else if (strcasecmp(argument, "WAIT_FOR_CLIENTS") == 0)
        do_signal(client, out, SIGTERM, "SHUTDOWN");
    else
        do_error(out, "42601", "invalid parameter for SHUTDOWN");
}

static void run(struct client *client, const char *word, const char *argument, struct buf *out)
{
    if (word[0] == '\0') {
        size_t mark = buf_message_begin(out, 'I');
        buf_message_end(out, mark);
    } else if (strcasecmp(word, "SHOW") == 0) {
        if (!show_run(client, argument, out))
            do_error(out, "42601", "invalid command for SHOW, use SHOW HELP;");
    } else if (strcasecmp(word, "RELOAD") == 0) {
        do_signal(client, out, SIGHUP, "RELOAD");
    } else if (strcasecmp(word, "SHUTDOWN") == 0) {
        do_shutdown(client, out, argument);
    } else {
        char why[200];
        snprintf(why, sizeof(why), "invalid command '%s%s%s', use SHOW HELP;", word,
                 argument[0] ? " " : "", argument);
        do_error(out, "42601", why);
    }
}

// One word, then the rest without the semicolon.
static void split(char *text, char **word, char **argument)
{
    size_t n = strlen(text);
    while (n > 0 && (isspace((unsigned char)text[n - 1]) || text[n - 1] == ';'))
        text[--n] = '\0';
    while (isspace((unsigned char)*text))
        text++;
    *word = text;
    while (*text != '\0' && !isspace((unsigned char)*text))
        text++;
    if (*text != '\0')
        *text++ = '\0';
    while (isspace((unsigned char)*text))
        text++;
    *argument = text;
}

static void query(struct client *client, struct slice body)
{
    struct buf out = {0};
    char text[512];
    char *word, *argument;
    snprintf(text, sizeof(text), "%.*s", (int)(body.len < 500 ? body.len : 500),
             (const char *)body.at);
    split(text, &word, &argument);
    log_debug("C-%p: console: %s %s", (void *)client, word, argument);
    run(client, word, argument, &out);
    message_ready(&out, 'I');
    send_out(client, &out);
}

static void extended(struct client *client, char type)
{
    struct console *console = client->console;
    struct buf out = {0};
    if (type == 'S') {
        console->skipping = false;
        message_ready(&out, 'I');
    } else if (!console->skipping) {
        console->skipping = true;
        do_error(&out, "0A000", "extended query protocol not supported by admin console");
    }
    if (out.len > 0)
        send_out(client, &out);
}

struct slice console_input(struct client *client, struct slice data)
{
    while (client->state == CLIENT_CONSOLE && !conn_has_output(&client->conn)) {
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
        switch (frame.type) {
        case 'Q':
            query(client, body);
            break;
        case 'X':
            client_close(client, "client close request");
            break;
        case 'P':
        case 'B':
        case 'D':
        case 'E':
        case 'C':
        case 'S':
            extended(client, frame.type);
            break;
        case 'H':
            break;
        default:
            client_fail(client, "08P01", "unknown packet from an admin");
        }
    }
    return client->state == CLIENT_CLOSED ? slice_of(NULL, 0) : data;
}
