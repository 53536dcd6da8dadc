// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/takeover.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/login/secret.h"
#include "proxy/server/resolver.h"
#include "proxy/takeover/carried.h"
#include "proxy/takeover/handover.h"
#include "proxy/takeover/parts.h"
#include "proxy/wire/message.h"

enum {
    READ_BYTES = 64 * 1024,
    MESSAGE_MAX = 64 << 20, // of a row with its state
    PATIENCE_US = 30000000, // beyond suspend_timeout
    END_PATIENCE_MS = 60000,
    LOOK_MS = 20, // between two looks for a file
};

// ---- rows ----

static void wipe(struct buf *buf)
{
    if (buf->at != NULL)
        secret_wipe(buf->at, buf->len);
    buf_fini(buf);
}

void takeover_row_free(struct takeover_row *row)
{
    if (row == NULL)
        return;
    if (row->fd >= 0)
        close(row->fd);
    char *texts[] = {row->task, row->user, row->database, row->address, row->encoding,
                     row->standard_strings, row->date_style, row->time_zone};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        mem_free(texts[i]);
    if (row->password != NULL)
        secret_wipe(row->password, strlen(row->password));
    mem_free(row->password);
    wipe(&row->client_key);
    wipe(&row->server_key);
    buf_fini(&row->state);
    mem_free(row);
}

static uint64_t column_number(struct reader *r)
{
    char *text = take_text(r);
    uint64_t number = text != NULL ? strtoull(text, NULL, 10) : 0;
    mem_free(text);
    return number;
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// bytea as text: \x and hexadecimal digits.
static void column_bytes(struct reader *r, struct buf *out)
{
    uint32_t len = reader_u32(r);
    if (len == UINT32_MAX)
        return;
    struct slice text = reader_bytes(r, len);
    r->failed |= text.len < 2 || text.len % 2 != 0 || memcmp(text.at, "\\x", 2) != 0;
    for (size_t i = 2; i < text.len && !r->failed; i += 2) {
        int high = digit(text.at[i]), low = digit(text.at[i + 1]);
        r->failed |= high < 0 || low < 0;
        if (!r->failed)
            buf_u8(out, (uint8_t)(high << 4 | low));
    }
}

// Columns are as parts.h has texts: the length, and -1 for NULL.
struct takeover_row *takeover_row_read(struct slice body)
{
    struct reader r = reader_of(body);
    uint16_t columns = reader_u16(&r);
    struct takeover_row *row = mem_new(struct takeover_row);
    row->fd = -1;
    row->old_fd = (int)column_number(&r);
    row->task = take_text(&r);
    row->user = take_text(&r);
    row->database = take_text(&r);
    row->address = take_text(&r);
    row->port = (int)column_number(&r);
    row->cancel = column_number(&r);
    row->link = (int)column_number(&r);
    row->encoding = take_text(&r);
    row->standard_strings = take_text(&r);
    row->date_style = take_text(&r);
    row->time_zone = take_text(&r);
    if (columns > 12) // older ones have fewer
        row->password = take_text(&r);
    if (columns > 14) {
        column_bytes(&r, &row->client_key);
        column_bytes(&r, &row->server_key);
    }
    if (columns > 15)
        column_bytes(&r, &row->state);
    if (reader_ok(&r) && row->task != NULL)
        return row;
    takeover_row_free(row);
    return NULL;
}

// ---- the conversation ----

// What the other process says, message by message, and the descriptors that came with it.
struct talk {
    struct takeover *t;
    struct buf in;
    struct buf fds; // int; in the order of their rows
    int64_t until_us;
    bool ending; // it was told to, and its silence or its end is no fault
};

static bool complain(const char *why)
{
    log_write(LOG_LEVEL_FATAL, "takeover: %s", why);
    return false;
}

static bool fault(const struct talk *talk, const char *why)
{
    return !talk->ending && complain(why);
}

static bool take_descriptors(struct talk *talk, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            buf_bytes(&talk->fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return (message->msg_flags & MSG_CTRUNC) == 0 || complain("a descriptor was lost");
}

static bool wait_readable(const struct talk *talk)
{
    struct pollfd p = {.fd = talk->t->socket, .events = POLLIN};
    int64_t left_us = talk->until_us - clock_us();
    int got;
    do {
        got = poll(&p, 1, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
    } while (got < 0 && errno == EINTR);
    return got > 0 || fault(talk, "the old process does not answer");
}

// False: it ended, or broke.
static bool receive(struct talk *talk)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * 64)];
    } control;
    struct iovec run = {buf_room(&talk->in, READ_BYTES), READ_BYTES};
    struct msghdr message = {.msg_iov = &run, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control.room)};
    if (!wait_readable(talk))
        return false;
    ssize_t got = recvmsg(talk->t->socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EINTR || fault(talk, strerror(errno));
    if (!take_descriptors(talk, &message))
        return false;
    talk->in.len += (size_t)got;
    return got > 0 || fault(talk, "unexpected EOF");
}

// The next message, which is to be dropped from talk->in behind its use.
static bool next(struct talk *talk, struct frame *frame)
{
    for (;;) {
        enum frame_result result = frame_read(buf_slice(&talk->in), frame);
        if (result == FRAME_BAD || (result == FRAME_OK && frame->length > MESSAGE_MAX))
            return fault(talk, "cannot parse packet");
        if (result == FRAME_OK && frame->length <= talk->in.len)
            return true;
        if (!receive(talk))
            return false;
    }
}

static bool send_all(struct talk *talk, struct buf *out)
{
    struct slice left = buf_slice(out);
    while (left.len > 0) {
        ssize_t put = send(talk->t->socket, left.at, left.len, MSG_NOSIGNAL);
        if (put < 0 && errno != EINTR)
            break;
        if (put > 0)
            slice_cut(&left, (size_t)put);
    }
    buf_fini(out);
    return left.len == 0;
}

static bool add_row(struct talk *talk, struct slice body)
{
    struct takeover *t = talk->t;
    struct takeover_row *row = takeover_row_read(body);
    if (row == NULL)
        return complain("invalid data from old process");
    if (t->count % 256 == 0)
        t->rows = mem_realloc(t->rows, (t->count + 256) * sizeof(struct takeover_row *));
    t->rows[t->count++] = row;
    if (strcmp(row->task, "route") == 0)
        return true; // is no connection
    if (talk->fds.len < sizeof(int))
        return complain("got row without fd info");
    memcpy(&row->fd, talk->fds.at, sizeof(int));
    buf_consume(&talk->fds, sizeof(int));
    return true;
}

static struct slice body_of(const struct talk *talk, const struct frame *frame)
{
    return slice_of(talk->in.at + MESSAGE_HEADER_BYTES, frame->length - MESSAGE_HEADER_BYTES);
}

static bool heard(struct talk *talk, const struct frame *frame, bool *refused)
{
    struct slice body = body_of(talk, frame);
    struct error_fields error;
    struct reader r;
    switch (frame->type) {
    case 'D':
        return add_row(talk, body);
    case 'R':
        r = reader_of(body);
        return reader_u32(&r) == AUTH_OK || complain("login failed");
    case 'E':
        error_fields_read(body, &error);
        *refused = true;
        log_info("old process sent: %s: %s", error.severity, error.message);
        return strcmp(error.severity, "FATAL") != 0 || complain("something failed");
    default:
        return true;
    }
}

// Up to the next ReadyForQuery. *refused: there was an error, but no end.
static bool until_ready(struct talk *talk, bool *refused)
{
    struct frame frame = {.type = '\0'};
    while (frame.type != 'Z') {
        if (!next(talk, &frame) || !heard(talk, &frame, refused))
            return false;
        buf_consume(&talk->in, frame.length);
    }
    return true;
}

static bool ask(struct talk *talk, const char *command, bool *refused)
{
    struct buf out = {0};
    *refused = false;
    message_query(&out, command);
    return (send_all(talk, &out) || complain("command send failed")) &&
           until_ready(talk, refused);
}

static bool log_in(struct talk *talk)
{
    struct buf out = {0};
    bool refused = false;
    buf_u32(&out, 0);
    buf_u32(&out, PROTOCOL_3_0);
    buf_bytes(&out, "user\0pgbouncer\0database\0pgbouncer\0", 35);
    store_u32(out.at, (uint32_t)out.len);
    return (send_all(talk, &out) || complain("command send failed")) &&
           until_ready(talk, &refused) && (!refused || complain("login failed"));
}

static bool converse(struct talk *talk)
{
    bool refused;
    if (!log_in(talk))
        return false;
    log_info("login OK, sending SUSPEND");
    if (!ask(talk, "SUSPEND;", &refused))
        return false;
    if (refused)
        return complain("the old process cannot be suspended");
    log_info("SUSPEND finished, sending SHOW FDS");
    if (!ask(talk, "SHOW FDS_STATE;", &refused) ||
        (refused && !ask(talk, "SHOW FDS;", &refused)))
        return false;
    if (refused)
        return complain("the old process does not give its sockets");
    log_info("SHOW FDS finished");
    return true;
}

static bool gather_listening(struct takeover *t)
{
    t->listening = mem_alloc((t->count + 1) * sizeof(int));
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->rows[i]->task, "pooler") != 0)
            continue;
        t->listening[t->listening_count++] = t->rows[i]->fd;
        t->rows[i]->fd = -1;
    }
    return t->listening_count > 0 || complain("the old process listens on nothing");
}

// ---- the interface ----

static bool socket_address(const struct config *config, struct address *address)
{
    const struct settings *settings = config_settings(config);
    const char *dirs = settings->unix_socket_dir;
    char *first = mem_strndup(dirs, strcspn(dirs, ", ")); // of several
    bool ok = (first[0] == '/' || first[0] == '@') &&
              address_literal(address, first, settings->listen_port) && address->length > 0;
    mem_free(first);
    return ok;
}

static int reach(const struct config *config)
{
    struct address address;
    if (!socket_address(config, &address))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &address.to.any, address.length) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool takeover_is_needed(const struct config *config)
{
    int fd = reach(config);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// Does the socket at the other end listen for our own user? Or for root: before it became somebody
// else, or for a service manager. Nobody else is told anything, nor believed.
static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return complain(strerror(errno));
    if (peer.uid == geteuid() || peer.uid == 0)
        return true;
    log_write(LOG_LEVEL_FATAL, "takeover: the old process runs as another user (uid %u)",
              (unsigned)peer.uid);
    return false;
}

// Its end is waited for, not only its console's: as long as it lives it might resume. It says who
// it is; the socket knows only who called listen(), which another process may have done. A
// PgBouncer does not say it. False: it cannot be watched.
static bool watch_process(struct takeover *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct reader r = reader_of(buf_slice(&t->rows[i]->state));
        int pid;
        if (strcmp(t->rows[i]->task, "pooler") != 0 || !carried_take_process(&r, &pid))
            continue;
        t->process = (int)syscall(SYS_pidfd_open, pid, 0);
        return t->process >= 0 || complain("the end of the old process cannot be waited for");
    }
    return true;
}

struct takeover *takeover_begin(const struct config *config)
{
    log_info("takeover_init: launching connection");
    int fd = reach(config);
    if (fd < 0) {
        complain("the old process cannot be reached");
        return NULL;
    }
    struct takeover *t = mem_new(struct takeover);
    t->socket = fd;
    t->process = -1;
    struct talk talk = {.t = t};
    talk.until_us = clock_us() + config_settings(config)->suspend_timeout_us + PATIENCE_US;
    bool ok = is_ours(fd) && converse(&talk) && watch_process(t) && gather_listening(t);
    wipe(&talk.in);
    while (talk.fds.len >= sizeof(int)) { // of rows that did not come
        memcpy(&fd, talk.fds.at, sizeof(int));
        buf_consume(&talk.fds, sizeof(int));
        close(fd);
    }
    buf_fini(&talk.fds);
    if (ok)
        return t;
    takeover_free(t);
    return NULL;
}

// False: it lives on.
static bool wait_for_process(const struct takeover *t)
{
    struct pollfd p = {.fd = t->process, .events = POLLIN};
    int got;
    while ((got = poll(&p, 1, END_PATIENCE_MS)) < 0 && errno == EINTR)
        ;
    return got > 0;
}

// A PgBouncer takes its file with it. False: it is still there.
static bool wait_for_file(const char *pidfile)
{
    int64_t until_us = clock_us() + PATIENCE_US;
    bool there;
    while ((there = pidfile[0] != '\0' && access(pidfile, F_OK) == 0) && clock_us() < until_us)
        poll(NULL, 0, LOOK_MS);
    return !there;
}

// Up to its console's end, whatever that looks like: a FATAL is the farewell. *left: that said that
// we have its connections. False: it refused, or has them again.
static bool wait_for_eof(struct talk *talk, bool *left)
{
    struct frame frame;
    struct error_fields error;
    talk->ending = true;
    while (next(talk, &frame)) {
        if (frame.type == 'E') {
            error_fields_read(body_of(talk, &frame), &error);
            if (strcmp(error.severity, "FATAL") != 0)
                return complain("the old process goes on");
            if (strcmp(error.message, handover_undone) == 0)
                return complain("the old process was resumed, and has ended");
            *left = strcmp(error.message, handover_left) == 0;
        }
        buf_consume(&talk->in, frame.length);
    }
    return true;
}

bool takeover_finish(struct takeover *t, const char *pidfile)
{
    struct talk talk = {.t = t, .until_us = clock_us() + PATIENCE_US};
    struct buf out = {0};
    bool left = false;
    log_info("sending SHUTDOWN;");
    message_query(&out, "SHUTDOWN;");
    bool sent = send_all(&talk, &out), ok = wait_for_eof(&talk, &left);
    buf_fini(&talk.in);
    // Somebody else may have ended it before.
    if (!ok || (!sent && !left))
        return ok && complain("command send failed");
    // It was told, and nobody else has its clients: there is no way back.
    if (t->process >= 0 ? wait_for_process(t) : wait_for_file(pidfile))
        log_info("old process killed, resuming work");
    else
        log_warning("takeover: the old process is still there; going on without waiting for it");
    return true;
}

void takeover_free(struct takeover *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        takeover_row_free(t->rows[i]);
    mem_free(t->rows);
    mem_free(t->listening);
    if (t->process >= 0)
        close(t->process);
    close(t->socket);
    mem_free(t);
}
