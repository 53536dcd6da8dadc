// SPDX-License-Identifier: Apache-2.0
#include "proxy/prewarm.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cache/ledger.h"
#include "config/file.h"
#include "proxy/control/domain.h"
#include "proxy/console/console.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/wire/conn.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum {
    FILE_BYTES_MAX = 16 << 20,
    MESSAGE_KEPT_BYTES = 1 << 20, // a longer message of an answer is an error
    ROUNDS = 3,         // the first lets the names be known, the others fill
    POLLS_MAX = 300,    // for the cache to be on
};
#define POLL_S 0.1
#define QUERY_S 60.0    // the most that one query may take

struct query {
    char *text; // owns
    size_t target;
};

struct target { // a user of a database
    char *database, *user; // own
};

struct prewarm {
    struct ev_loop *loop;   // borrows
    struct pooler *pooler;  // borrows
    struct target *targets; // owns
    size_t target_count;
    struct query *queries;  // owns; in the order of the file, so by target
    size_t query_count;
    // the target at hand
    size_t target;
    size_t next;            // query
    int round, polls;
    unsigned ran, failed;
    bool in_query, connected;
    struct conn conn;
    ev_timer timer;
    struct buf out;
    uint8_t area[CONN_AREA_BYTES];
};

// ---- the file ----

static void add_target(struct prewarm *p, const char *path, int line, char *s)
{
    char *end = strchr(s, ']');
    char *database = s + 1 + strspn(s + 1, " \t");
    char *user = end != NULL ? database + strcspn(database, " \t]") : database;
    if (end == NULL || user == database || user >= end) {
        log_error("%s:%d: expected [DATABASE USER]", path, line);
        return;
    }
    *user++ = *end = '\0';
    user += strspn(user, " \t");
    user[strcspn(user, " \t")] = '\0';
    if (*user == '\0' || console_is(database)) {
        log_error("%s:%d: expected [DATABASE USER]", path, line);
        return;
    }
    p->targets = mem_realloc(p->targets, (p->target_count + 1) * sizeof(*p->targets));
    p->targets[p->target_count++] =
        (struct target){.database = mem_strdup(database), .user = mem_strdup(user)};
}

static void add_query(struct prewarm *p, struct buf *text)
{
    p->queries = mem_realloc(p->queries, (p->query_count + 1) * sizeof(*p->queries));
    p->queries[p->query_count++] = (struct query){
        .text = mem_strndup((const char *)text->at, text->len), .target = p->target_count - 1};
    buf_clear(text);
}

static void read_line(struct prewarm *p, const char *path, int line, char *s, struct buf *text)
{
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1]) != NULL)
        s[--n] = '\0';
    char *begin = s + strspn(s, " \t");
    if (*begin == '\0' || *begin == '#' || strncmp(begin, "--", 2) == 0)
        return;
    if (*begin == '[' && text->len == 0) {
        add_target(p, path, line, begin);
        return;
    }
    if (p->target_count == 0) {
        log_error("%s:%d: a query before the first [DATABASE USER]", path, line);
        return;
    }
    if (text->len > 0)
        buf_u8(text, '\n');
    bool ends = s[n - 1] == ';';
    buf_bytes(text, text->len == 0 ? begin : s, text->len == 0 ? strlen(begin) : n);
    if (ends) {
        text->len--; // the semicolon: the text shall be that of applications
        add_query(p, text);
    }
}

static bool read_queries(struct prewarm *p, const char *path)
{
    size_t bytes;
    char *content = file_read(path, FILE_BYTES_MAX, &bytes);
    if (content == NULL) {
        log_error("cache_prewarm: could not load file \"%s\": %s", path, strerror(errno));
        return false;
    }
    struct buf text = {0};
    int line = 1;
    for (char *s = content; s < content + bytes; line++) {
        char *end = memchr(s, '\n', (size_t)(content + bytes - s));
        if (end == NULL)
            end = content + bytes; // file_read leaves a NUL there
        *end = '\0';
        read_line(p, path, line, s, &text);
        s = end + 1;
    }
    if (text.len > 0)
        log_error("%s: the last query has no semicolon", path);
    buf_fini(&text);
    file_free(content, bytes);
    return true;
}

// ---- a target ----

static void next_target(struct prewarm *p);
static void go_on(struct prewarm *p);

static void end_target(struct prewarm *p, const char *why)
{
    const struct target *t = &p->targets[p->target];
    if (p->connected)
        conn_close(&p->conn);
    p->connected = false;
    ev_timer_stop(p->loop, &p->timer);
    if (why != NULL)
        log_warning("cache_prewarm: %s/%s: %s", t->database, t->user, why);
    else
        log_info("cache_prewarm: %s/%s: %u queries run, %u failed", t->database, t->user, p->ran,
                 p->failed);
    p->target++;
    next_target(p);
}

static void set_timer(struct prewarm *p, double seconds)
{
    ev_timer_stop(p->loop, &p->timer);
    ev_timer_set(&p->timer, seconds, 0);
    ev_timer_start(p->loop, &p->timer);
}

static void say(struct prewarm *p)
{
    conn_queue(&p->conn, buf_slice(&p->out));
    set_timer(p, QUERY_S);
    if (conn_flush(&p->conn) == CONN_ERROR)
        end_target(p, "the connection is lost");
}

static void note_error(struct prewarm *p, struct slice message)
{
    struct error_fields fields;
    error_fields_read(slice_of(message.at + 5, message.len - 5), &fields);
    const struct target *t = &p->targets[p->target];
    p->failed += p->round == ROUNDS - 1 || !p->in_query;
    if (p->round == 0)
        log_warning("cache_prewarm: %s/%s: %s", t->database, t->user, fields.message);
}

// False: the connection is gone.
static bool handle(struct prewarm *p, struct slice *data)
{
    struct frame frame;
    while (frame_read(*data, &frame) == FRAME_OK && frame.length <= data->len) {
        struct slice message = slice_cut(data, frame.length);
        if (frame.type == 'E') {
            note_error(p, message);
            if (!p->in_query)
                return false;
        } else if (frame.type == 'R' && message.len >= 9 && message.at[8] != AUTH_OK) {
            return false;
        } else if (frame.type == 'Z') {
            p->in_query = true;
            go_on(p);
            return p->connected;
        }
    }
    return data->len <= MESSAGE_KEPT_BYTES;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct prewarm *p = io->data;
    struct slice data;
    enum conn_result result = conn_read(&p->conn, p->area, &data);
    if (result == CONN_AGAIN)
        return;
    size_t target = p->target;
    if (result != CONN_OK || !handle(p, &data)) {
        if (p->connected && p->target == target)
            end_target(p, "no queries were run: the login failed, or the connection was lost");
        return;
    }
    if (p->target == target)
        conn_keep(&p->conn, data);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct prewarm *p = io->data;
    if (conn_flush(&p->conn) == CONN_ERROR)
        end_target(p, "the connection is lost");
}

static void begin_target(struct prewarm *p)
{
    const struct target *t = &p->targets[p->target];
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
        end_target(p, strerror(errno));
        return;
    }
    conn_init(&p->conn, fds[0], on_readable, on_writable, p);
    conn_attach(&p->conn, p->loop);
    p->connected = true;
    p->in_query = false;
    p->round = p->polls = 0;
    p->ran = p->failed = 0;
    for (p->next = 0; p->next < p->query_count && p->queries[p->next].target != p->target;)
        p->next++;
    worker_mail_own_client(p->pooler->workers[p->target % (size_t)p->pooler->worker_count], fds[1]);
    buf_clear(&p->out);
    buf_u32(&p->out, 0);
    buf_u32(&p->out, PROTOCOL_3_0);
    const char *const words[] = {"user", t->user, "database", t->database, "application_name",
                                 "pgweir prewarm"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        buf_cstr(&p->out, words[i]);
    buf_u8(&p->out, 0);
    store_u32(p->out.at, (uint32_t)p->out.len);
    say(p);
}

static void next_target(struct prewarm *p)
{
    if (p->target < p->target_count)
        begin_target(p);
}

// ---- its queries ----

// Are answers kept yet, those of what the queries before named as well?
static bool is_on(struct prewarm *p)
{
    const struct target *t = &p->targets[p->target];
    struct route *route = pooler_route(p->pooler, t->database, t->user);
    if (route == NULL)
        return false;
    struct domain *domain = route->domain;
    bool on = domain != NULL && ledger_is_on(domain_ledger(domain)) &&
              ledger_fresh_us(domain_ledger(domain)) != INT64_MIN && domain_knows_names(domain);
    route_unref(&route);
    return on;
}

// The session is ready: the next query, or the next round when the cache is on.
static void go_on(struct prewarm *p)
{
    if (p->next < p->query_count && p->queries[p->next].target == p->target) {
        p->ran += p->round == 0;
        buf_clear(&p->out);
        message_query(&p->out, p->queries[p->next++].text);
        say(p);
        return;
    }
    if (++p->round == ROUNDS) {
        end_target(p, NULL);
        return;
    }
    while (p->next > 0 && p->queries[p->next - 1].target == p->target)
        p->next--;
    p->polls = 0;
    p->in_query = false; // nothing is under way
    set_timer(p, POLL_S);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct prewarm *p = timer->data;
    bool between = p->connected && !p->in_query && p->round > 0;
    if (!between) {
        end_target(p, "a query, or the login, takes too long");
    } else if (is_on(p) && p->polls > 1) {
        p->in_query = true;
        go_on(p);
    } else if (p->polls++ > POLLS_MAX) {
        end_target(p, "the cache of this database is not on");
    } else {
        set_timer(p, POLL_S);
    }
}

// ---- all of it ----

struct prewarm *prewarm_begin(struct ev_loop *loop, struct pooler *pooler, const char *path)
{
    struct prewarm *p = mem_new(struct prewarm);
    p->loop = loop;
    p->pooler = pooler;
    ev_timer_init(&p->timer, on_timer, 0, 0);
    p->timer.data = p;
    if (!read_queries(p, path)) {
        prewarm_free(p);
        return NULL;
    }
    next_target(p);
    return p;
}

void prewarm_free(struct prewarm *p)
{
    if (p == NULL)
        return;
    if (p->connected)
        conn_close(&p->conn);
    ev_timer_stop(p->loop, &p->timer);
    for (size_t i = 0; i < p->target_count; i++) {
        mem_free(p->targets[i].database);
        mem_free(p->targets[i].user);
    }
    for (size_t i = 0; i < p->query_count; i++)
        mem_free(p->queries[i].text);
    mem_free(p->targets);
    mem_free(p->queries);
    buf_fini(&p->out);
    mem_free(p);
}
