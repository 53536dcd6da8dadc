// SPDX-License-Identifier: Apache-2.0
// Users of a system, as many as thousands, played from a plan: who asks what, and when.
//
//     users PLAN ANSWERS PATIENCE_MS HOST:PORT HOST:PORT
//
// The plan has a line for each user and one for each request, with tabs between:
//
//     S  user  way  preamble       way: which of the two addresses; the preamble may be empty
//     R  at_us user kind sql [sql ...]
//
// A user has one connection, from the first request until the last. A request is due at its time
// whatever became of those before it; it waits while its user still waits for another one, and
// that time counts. Several statements of one request go one after the other. A request that is
// not answered within the patience has failed, and its connection is given up. The answers, a line
// each:
//
//     kind user at_us sent_us done_us state value
//
// `state` is ok, an SQLSTATE, `late` or `lost`; `value` the first row of the last statement, its
// columns with bars between. Times are of the beginning, which is told on stdout in us of
// CLOCK_MONOTONIC.
// Trust is the only way to log in, as user and database `app`. One thread.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STATEMENTS = 6, VALUE_BYTES = 160, STATE_BYTES = 8, EVENTS = 256 };

struct request {
    int64_t at_us, sent_us, done_us; // sent: the first statement, on a connection that was ready
    const char *kind;                // borrows from the plan
    const char *sql[STATEMENTS];
    int statements;
    int user;
    int next; // the user's next request, or -1
    char state[STATE_BYTES];
    char *value; // owns; NULL: no row
};

enum phase { OFF, CONNECTING, GREETING, PREPARING, READY, BUSY };

struct user {
    enum phase phase;
    int fd, way;
    const char *preamble;
    int first, last; // requests that are due and not done
    int left;        // requests of the plan that are not done
    int statement;   // of the first of them, which runs
    bool wrong;      // an error has come; `sqlstate` says which
    char sqlstate[STATE_BYTES];
    char value[VALUE_BYTES];
    bool has_value;
    uint8_t *in; // owns
    size_t have, room;
};

static struct request *requests;
static struct user *users;
static int request_count, user_count, loop_fd;
static struct sockaddr_in addresses[2];
static int64_t patience_us, begin_us;

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int64_t now_us(void)
{
    return monotonic_us() - begin_us;
}

static void give_up(const char *why)
{
    fprintf(stderr, "users: %s\n", why);
    exit(1);
}

static void *grown(void *old, size_t bytes)
{
    void *p = realloc(old, bytes);
    if (!p)
        give_up("no memory");
    return p;
}

// ---- the plan

static char *whole_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        give_up("the plan cannot be read");
    long size = ftell(f);
    rewind(f);
    char *text = grown(NULL, (size_t)size + 1);
    if (fread(text, 1, (size_t)size, f) != (size_t)size)
        give_up("the plan cannot be read");
    text[size] = 0;
    fclose(f);
    return text;
}

static void plan_user(char *line)
{
    strsep(&line, "\t");
    int number = atoi(strsep(&line, "\t"));
    if (number != user_count)
        give_up("users of the plan must be numbered in order");
    users = grown(users, sizeof(*users) * (size_t)(user_count + 1));
    const char *way = strsep(&line, "\t");
    users[user_count++] =
        (struct user){.fd = -1, .way = way[0] == '1', .preamble = line, .first = -1, .last = -1};
}

static void plan_request(char *line)
{
    strsep(&line, "\t");
    struct request r = {.next = -1, .at_us = atoll(strsep(&line, "\t"))};
    r.user = atoi(strsep(&line, "\t"));
    r.kind = strsep(&line, "\t");
    while (line && r.statements < STATEMENTS)
        r.sql[r.statements++] = strsep(&line, "\t");
    if (line || !r.statements || r.user >= user_count)
        give_up("a request of the plan is wrong");
    if (request_count && requests[request_count - 1].at_us > r.at_us)
        give_up("requests of the plan must be in order");
    if (!(request_count & (request_count - 1)))
        requests = grown(requests, sizeof(r) * (size_t)(request_count ? request_count * 2 : 1));
    users[r.user].left++;
    requests[request_count++] = r;
}

static void read_plan(const char *path)
{
    char *text = whole_file(path), *line;
    while ((line = strsep(&text, "\n"))) {
        if (line[0] == 'S')
            plan_user(line);
        else if (line[0] == 'R')
            plan_request(line);
    }
}

// ---- a user

static void hang_up(struct user *u)
{
    if (u->fd >= 0)
        close(u->fd); // which also takes it out of the epoll set
    u->fd = -1;
    u->phase = OFF;
    u->have = 0;
}

static void step(struct user *u);

// The request at hand is over. The connection is ended behind the last one.
static void finish(struct user *u, const char *state)
{
    struct request *r = &requests[u->first];
    r->done_us = now_us();
    snprintf(r->state, sizeof(r->state), "%s", state);
    if (u->has_value && !strcmp(state, "ok"))
        r->value = strdup(u->value);
    u->first = r->next;
    if (u->first < 0)
        u->last = -1;
    u->statement = 0;
    u->wrong = false;
    if (--u->left == 0)
        hang_up(u);
}

static void fail(struct user *u, const char *state)
{
    hang_up(u);
    if (u->first >= 0)
        finish(u, state);
}

static void send_message(struct user *u, char type, const void *body, size_t bytes)
{
    uint8_t message[8192];
    if (bytes + 5 > sizeof(message))
        give_up("a statement is too long");
    uint32_t length = htonl((uint32_t)bytes + 4);
    size_t head = type ? 1 : 0;
    message[0] = (uint8_t)type;
    memcpy(message + head, &length, 4);
    memcpy(message + head + 4, body, bytes);
    ssize_t sent = send(u->fd, message, head + 4 + bytes, MSG_NOSIGNAL);
    if (sent != (ssize_t)(head + 4 + bytes))
        u->wrong = true; // the socket is broken, which the next event tells
}

static void query(struct user *u, const char *sql)
{
    u->has_value = false;
    send_message(u, 'Q', sql, strlen(sql) + 1);
}

static void call(struct user *u)
{
    u->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0)
        give_up("no socket");
    int one = 1;
    setsockopt(u->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)(u - users)};
    epoll_ctl(loop_fd, EPOLL_CTL_ADD, u->fd, &e);
    u->phase = CONNECTING;
    struct sockaddr *to = (struct sockaddr *)&addresses[u->way];
    if (connect(u->fd, to, sizeof(addresses[0])) && errno != EINPROGRESS)
        fail(u, "lost");
}

static void greet(struct user *u)
{
    // The literal's own end is the list's. Who goes around what is measured says so.
    static const char words[] = "\0\3\0\0user\0app\0database\0app\0";
    static const char around[] =
        "\0\3\0\0user\0app\0database\0app\0application_name\0around\0";
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(u - users)};
    epoll_ctl(loop_fd, EPOLL_CTL_MOD, u->fd, &e);
    u->phase = GREETING;
    if (u->way == 0)
        send_message(u, 0, words, sizeof(words));
    else
        send_message(u, 0, around, sizeof(around));
}

// Whatever the user can do next without waiting.
static void step(struct user *u)
{
    if (u->first < 0)
        return;
    if (u->phase == OFF) {
        call(u);
    } else if (u->phase == READY) {
        struct request *r = &requests[u->first];
        if (!u->statement)
            r->sent_us = now_us();
        u->phase = BUSY;
        query(u, r->sql[u->statement]);
    }
}

static void ready(struct user *u)
{
    struct request *r = u->first >= 0 ? &requests[u->first] : NULL;
    if (u->wrong) {
        fail(u, u->sqlstate); // a new connection for the next one: no transaction is left open
    } else if (u->phase == GREETING && u->preamble[0]) {
        u->phase = PREPARING;
        query(u, u->preamble);
        return;
    } else if (u->phase == BUSY && r && ++u->statement == r->statements) {
        u->phase = READY;
        finish(u, "ok");
    } else {
        u->phase = READY;
    }
    step(u);
}

// ---- what the server says

static void note_error(struct user *u, const uint8_t *body, size_t bytes)
{
    u->wrong = true;
    snprintf(u->sqlstate, sizeof(u->sqlstate), "XX000");
    for (size_t at = 0; at < bytes && body[at];) {
        const char *text = (const char *)body + at + 1;
        if (body[at] == 'C')
            snprintf(u->sqlstate, sizeof(u->sqlstate), "%s", text);
        at += strnlen(text, bytes - at - 1) + 2;
    }
}

static void note_row(struct user *u, const uint8_t *body, size_t bytes)
{
    size_t at = 2, out = 0;
    int columns = body[0] << 8 | body[1];
    for (int i = 0; i < columns && at + 4 <= bytes; i++) {
        uint32_t length;
        memcpy(&length, body + at, 4);
        length = ntohl(length);
        at += 4;
        if (i && out < VALUE_BYTES - 1)
            u->value[out++] = '|';
        if (length == UINT32_MAX)
            continue;
        for (uint32_t k = 0; k < length && at + k < bytes && out < VALUE_BYTES - 1; k++)
            u->value[out++] = body[at + k] < ' ' ? ' ' : (char)body[at + k];
        at += length;
    }
    u->value[out] = 0;
    u->has_value = true;
}

static void take(struct user *u, uint8_t type, const uint8_t *body, size_t bytes)
{
    if (type == 'E')
        note_error(u, body, bytes);
    else if (type == 'D' && bytes >= 2 && !u->has_value)
        note_row(u, body, bytes);
    else if (type == 'Z')
        ready(u);
}

static void messages(struct user *u)
{
    size_t at = 0;
    int fd = u->fd;
    while (u->have - at >= 5) {
        uint32_t length;
        memcpy(&length, u->in + at + 1, 4);
        length = ntohl(length);
        if (length < 4 || u->have - at < length + 1)
            break;
        take(u, u->in[at], u->in + at + 5, length - 4);
        if (u->fd != fd || u->phase == OFF)
            return; // hung up
        at += length + 1;
    }
    memmove(u->in, u->in + at, u->have - at);
    u->have -= at;
}

static void readable(struct user *u)
{
    if (u->room - u->have < 4096) {
        u->room = u->room ? u->room * 2 : 8192;
        u->in = grown(u->in, u->room);
    }
    ssize_t got = recv(u->fd, u->in + u->have, u->room - u->have, 0);
    if (got > 0) {
        u->have += (size_t)got;
        messages(u);
    } else if (got == 0 || errno != EAGAIN) {
        char state[STATE_BYTES];
        snprintf(state, sizeof(state), "%s", u->wrong ? u->sqlstate : "lost");
        fail(u, state);
        step(u);
    }
}

static void event(struct user *u, uint32_t events)
{
    if (u->phase != CONNECTING) {
        readable(u);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        fail(u, "lost");
        step(u);
    } else {
        greet(u);
    }
}

// ---- the course of time

static void due(int number)
{
    struct request *r = &requests[number];
    struct user *u = &users[r->user];
    if (u->last >= 0)
        requests[u->last].next = number;
    else
        u->first = number;
    u->last = number;
    step(u);
}

// Requests come in order, and so do the ends of their patience.
static void out_of_patience(int number)
{
    struct user *u = &users[requests[number].user];
    fail(u, "late");
    step(u);
}

static void play(void)
{
    int came = 0, over = 0;
    while (over < request_count) {
        int64_t now = now_us(), next = now + 100000;
        for (; came < request_count && requests[came].at_us <= now; came++)
            due(came);
        for (; over < came; over++) {
            if (requests[over].state[0])
                continue;
            if (requests[over].at_us + patience_us > now)
                break;
            out_of_patience(over);
        }
        if (came < request_count)
            next = requests[came].at_us;
        if (over < came && requests[over].at_us + patience_us < next)
            next = requests[over].at_us + patience_us;
        int64_t wait = next - now_us();
        wait = wait < 0 ? 0 : wait;
        struct timespec t = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
        struct epoll_event events[EVENTS];
        int n = epoll_pwait2(loop_fd, events, EVENTS, &t, NULL);
        for (int i = 0; i < n; i++) {
            struct user *u = &users[events[i].data.u32];
            if (u->fd >= 0)
                event(u, events[i].events);
        }
    }
}

static void write_answers(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        give_up("the answers cannot be written");
    for (int i = 0; i < request_count; i++) {
        struct request *r = &requests[i];
        fprintf(f, "%s\t%d\t%lld\t%lld\t%lld\t%s\t%s\n", r->kind, r->user, (long long)r->at_us,
                (long long)r->sent_us, (long long)r->done_us, r->state, r->value ? r->value : "");
    }
    if (fclose(f))
        give_up("the answers cannot be written");
}

static void read_address(struct sockaddr_in *address, char *text)
{
    char *host = strsep(&text, ":");
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)(text ? atoi(text) : 0));
    if (inet_pton(AF_INET, host, &address->sin_addr) != 1 || !address->sin_port)
        give_up("an address is wrong");
}

int main(int argc, char **argv)
{
    if (argc != 6)
        give_up("PLAN ANSWERS PATIENCE_MS HOST:PORT HOST:PORT");
    read_plan(argv[1]);
    patience_us = atoll(argv[3]) * 1000;
    read_address(&addresses[0], argv[4]);
    read_address(&addresses[1], argv[5]);
    loop_fd = epoll_create1(EPOLL_CLOEXEC);
    begin_us = monotonic_us();
    printf("%lld\n", (long long)begin_us);
    fflush(stdout);
    play();
    write_answers(argv[2]);
    return 0;
}
