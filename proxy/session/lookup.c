// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/lookup.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/login/secret.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum {
    MESSAGE_KEPT_BYTES = 64 * 1024, // a longer one of an answer is an error
    ALL_ROWS = INT32_MAX, // ... but said: what has a number of rows is not answered from memory
};

struct lookup {
    struct worker *worker; // borrows
    struct conn conn;
    char *query, *user;    // own
    void (*answered)(struct client *client, const struct lookup_answer *answer);
    struct client *client; // borrows; its login owns this
    bool asked;            // the session is ready, and the query was sent
    struct lookup_answer answer;
};

static void forget_row(struct lookup_answer *answer)
{
    if (answer->secret != NULL)
        secret_wipe(answer->secret, strlen(answer->secret));
    mem_free(answer->secret);
    mem_free(answer->name);
    answer->secret = answer->name = NULL;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup == NULL)
        return;
    conn_close(&lookup->conn);
    forget_row(&lookup->answer);
    mem_free(lookup->query);
    mem_free(lookup->user);
    mem_free(lookup);
}

// ---- the answer ----

// Each of these is false when the lookup has failed, and says why.
static bool fail(struct lookup *lookup, const char *sqlstate, const char *why)
{
    struct lookup_answer *answer = &lookup->answer;
    answer->end = LOOKUP_FAILED;
    snprintf(answer->sqlstate, sizeof(answer->sqlstate), "%s", sqlstate);
    snprintf(answer->why, sizeof(answer->why), "%s", why);
    return false;
}

static bool check_columns(struct lookup *lookup, unsigned columns)
{
    char why[80];
    if (columns == 2)
        return true;
    snprintf(why, sizeof(why), "expected 2 columns from auth_query, not %u", columns);
    return fail(lookup, "08P01", why);
}

static char *copy_text(struct slice text)
{
    return mem_strndup((const char *)text.at, text.len);
}

// Of several rows the last one counts, as in PgBouncer.
static bool take_row(struct lookup *lookup, struct slice body)
{
    struct reader r = reader_of(body);
    unsigned columns = reader_u16(&r);
    if (reader_ok(&r) && !check_columns(lookup, columns))
        return false;
    uint32_t length = reader_u32(&r);
    if (reader_ok(&r) && length == UINT32_MAX) { // what a function says that finds nobody
        log_debug("auth_query response contained null user name");
        return true;
    }
    struct slice name = reader_bytes(&r, length);
    length = reader_u32(&r);
    bool has_secret = length != UINT32_MAX;
    struct slice secret = has_secret ? reader_bytes(&r, length) : slice_of(NULL, 0);
    if (!reader_done(&r) || (name.len > 0 && memchr(name.at, '\0', name.len) != NULL) ||
        (secret.len > 0 && memchr(secret.at, '\0', secret.len) != NULL))
        return fail(lookup, "08P01", "bad packet");
    struct lookup_answer *answer = &lookup->answer;
    forget_row(answer);
    answer->end = LOOKUP_FOUND;
    answer->name = copy_text(name);
    answer->secret = has_secret ? copy_text(secret) : NULL;
    return true;
}

// Before the query it is the login of auth_user that failed, or its database: as clients hear it.
static bool take_error(struct lookup *lookup, struct slice body)
{
    struct error_fields fields;
    error_fields_read(body, &fields);
    if (!lookup->asked)
        return fail(lookup, fields.sqlstate, fields.message);
    log_warning("S: error in auth_query: %s: %s", fields.severity, fields.message);
    bool fatal = strcmp(fields.severity, "FATAL") == 0; // the session's end, not the query's
    return fail(lookup, fatal ? fields.sqlstate : "08P01",
                fatal ? fields.message : "error response from auth_query");
}

static bool ask(struct lookup *lookup)
{
    struct buf out = {0};
    size_t mark = buf_message_begin(&out, 'P');
    buf_cstr(&out, "");
    buf_cstr(&out, lookup->query);
    buf_u16(&out, 0);
    buf_message_end(&out, mark);
    mark = buf_message_begin(&out, 'B');
    buf_cstr(&out, "");
    buf_cstr(&out, "");
    buf_u16(&out, 0);
    buf_u16(&out, 1);
    buf_u32(&out, (uint32_t)strlen(lookup->user));
    buf_bytes(&out, lookup->user, strlen(lookup->user));
    buf_u16(&out, 0);
    buf_message_end(&out, mark);
    mark = buf_message_begin(&out, 'D');
    buf_u8(&out, 'P');
    buf_cstr(&out, "");
    buf_message_end(&out, mark);
    mark = buf_message_begin(&out, 'E');
    buf_cstr(&out, "");
    buf_u32(&out, ALL_ROWS);
    buf_message_end(&out, mark);
    mark = buf_message_begin(&out, 'S');
    buf_message_end(&out, mark);
    conn_queue(&lookup->conn, buf_slice(&out));
    buf_fini(&out);
    lookup->asked = true;
    return conn_flush(&lookup->conn) != CONN_ERROR || fail(lookup, "08006", "auth_query failed");
}

enum progress { GOES_ON, ENDED };

static enum progress progress_of(bool goes_on)
{
    return goes_on ? GOES_ON : ENDED;
}

static enum progress take_message(struct lookup *lookup, char type, struct slice body)
{
    struct reader r = reader_of(body);
    switch (type) {
    case 'E':
        return progress_of(take_error(lookup, body));
    case 'Z':
        return lookup->asked ? ENDED : progress_of(ask(lookup));
    case 'R':
    case 'S':
    case 'K':
    case 'N':
    case '1':
    case '2':
    case 'C':
        return GOES_ON;
    case 'T':
        return progress_of(check_columns(lookup, reader_u16(&r)));
    case 'D':
        return progress_of(take_row(lookup, body));
    }
    return progress_of(fail(lookup, "08P01", "unexpected response from auth_query"));
}

static enum progress take(struct lookup *lookup, struct slice *data)
{
    struct frame frame;
    enum frame_result result;
    while ((result = frame_read(*data, &frame)) == FRAME_OK && frame.length <= data->len) {
        struct slice message = slice_cut(data, frame.length);
        struct slice body = slice_skip(message, MESSAGE_HEADER_BYTES);
        if (take_message(lookup, frame.type, body) == ENDED)
            return ENDED;
    }
    if (result == FRAME_BAD || (result == FRAME_OK && frame.length > MESSAGE_KEPT_BYTES))
        return progress_of(fail(lookup, "08P01", "bad packet"));
    return GOES_ON;
}

// The login goes on, and may free this; if its client has left, that comes at the turn's end.
static void end(struct lookup *lookup)
{
    struct lookup_answer answer = lookup->answer;
    lookup->answer = (struct lookup_answer){0};
    lookup->answered(lookup->client, &answer);
    forget_row(&answer);
}

// ---- its connection ----

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct lookup *lookup = io->data;
    struct slice data;
    enum conn_result result = conn_read(&lookup->conn, lookup->worker->area, &data);
    if (result == CONN_AGAIN)
        return;
    enum progress progress = ENDED;
    if (result == CONN_OK) {
        struct slice all = data;
        progress = take(lookup, &data);
        if (progress == ENDED) {
            secret_wipe((void *)(uintptr_t)all.at, all.len);
            data = slice_of(NULL, 0);
            // Where the server's answer was, on its way to here.
            secret_wipe(lookup->worker->area, sizeof(lookup->worker->area));
        }
        conn_keep(&lookup->conn, data);
    } else {
        fail(lookup, "08006", "auth_query failed");
    }
    if (progress == ENDED)
        end(lookup);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct lookup *lookup = io->data;
    if (conn_flush(&lookup->conn) == CONN_ERROR) {
        fail(lookup, "08006", "auth_query failed");
        end(lookup);
    }
}

static bool say_hello(struct lookup *lookup, const struct lookup_question *question)
{
    struct buf out = {0};
    const char *const words[] = {"user", question->auth_user, "database", question->database};
    buf_u32(&out, 0);
    buf_u32(&out, PROTOCOL_3_0);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        buf_cstr(&out, words[i]);
    buf_u8(&out, 0);
    store_u32(out.at, (uint32_t)out.len);
    conn_queue(&lookup->conn, buf_slice(&out));
    buf_fini(&out);
    return conn_flush(&lookup->conn) != CONN_ERROR;
}

struct lookup *lookup_new(struct worker *worker, const struct lookup_question *question)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return NULL;
    struct lookup *lookup = mem_new(struct lookup);
    lookup->worker = worker;
    lookup->query = mem_strdup(question->query);
    lookup->user = mem_strdup(question->user);
    lookup->answered = question->answered;
    lookup->client = question->client;
    lookup->answer.end = LOOKUP_NONE;
    conn_init(&lookup->conn, fds[0], on_readable, on_writable, lookup);
    conn_attach(&lookup->conn, worker->loop);
    client_new_lookup(worker, fds[1]);
    if (!say_hello(lookup, question)) {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}
