// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/load_inside.h"

#define READ_TEXT "SELECT abalance FROM pgbench_accounts WHERE aid = "
#define WRITE_TEXT "UPDATE pgbench_accounts SET abalance = %s WHERE aid = %s"
enum { PROTOCOL_3 = 196608 };

// ---- messages of PostgreSQL

struct writer {
    char *bytes;
    size_t used;
};

static void put(struct writer *w, const void *bytes, size_t size)
{
    memcpy(w->bytes + w->used, bytes, size);
    w->used += size;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text) + 1);
}

static void put_number(struct writer *w, uint32_t value, int size)
{
    for (int i = size - 1; i >= 0; i--)
        w->bytes[w->used++] = (char)(value >> (8 * i));
}

static size_t begin(struct writer *w, char type)
{
    if (type)
        w->bytes[w->used++] = type;
    w->used += 4;
    return w->used - 4;
}

static void end(struct writer *w, size_t at)
{
    struct writer length = {w->bytes + at, 0};
    put_number(&length, (uint32_t)(w->used - at), 4);
}

static void put_parse(struct writer *w, const char *name, const char *text)
{
    size_t at = begin(w, 'P');
    put_text(w, name);
    put_text(w, text);
    put_number(w, 0, 2);
    end(w, at);
}

static void put_sync(struct writer *w)
{
    end(w, begin(w, 'S'));
}

static const char *parameter_text(bool write)
{
    static char text[sizeof(WRITE_TEXT) + 8];
    if (!write)
        return READ_TEXT "$1";
    snprintf(text, sizeof(text), WRITE_TEXT, "$1", "$1");
    return text;
}

static const char *statement_name(bool write)
{
    return write ? "write" : "read";
}

// Bind, Describe, Execute, Sync with one parameter as text: what libpq sends.
static void put_bound(struct writer *w, const char *name, const char *key)
{
    size_t at = begin(w, 'B');
    put_text(w, "");
    put_text(w, name);
    put_number(w, 0, 2);
    put_number(w, 1, 2);
    put_number(w, (uint32_t)strlen(key), 4);
    put(w, key, strlen(key));
    put_number(w, 1, 2);
    put_number(w, 0, 2);
    end(w, at);
    at = begin(w, 'D');
    put_text(w, "P");
    end(w, at);
    at = begin(w, 'E');
    put_text(w, "");
    put_number(w, 0, 4);
    end(w, at);
    put_sync(w);
}

static void put_simple(struct writer *w, const char *key, bool write)
{
    char text[160];
    snprintf(text, sizeof(text), write ? WRITE_TEXT : READ_TEXT "%s", key, key);
    size_t at = begin(w, 'Q');
    put_text(w, text);
    end(w, at);
}

size_t load_question(const struct load_options *o, char *bytes, uint32_t key, bool write)
{
    char text[16];
    struct writer w = {bytes, 0};
    int size = snprintf(text, sizeof(text), "%u", key);
    switch (o->protocol) {
    case LOAD_REDIS:
        return (size_t)snprintf(bytes, LOAD_QUESTION_BYTES,
                                "*2\r\n$3\r\nGET\r\n$%d\r\naccount:%s\r\n", size + 8, text);
    case LOAD_SIMPLE:
        put_simple(&w, text, write);
        break;
    case LOAD_EXTENDED:
        put_parse(&w, "", parameter_text(write));
        put_bound(&w, "", text);
        break;
    default:
        put_bound(&w, statement_name(write), text);
    }
    return w.used;
}

// ---- answers

static void check_value(const struct load_options *o, struct load_conn *c, const uint8_t *value,
                        size_t size)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", c->keys[c->answered]);
    const char *wanted = o->expect ? o->expect : key;
    if (size != strlen(wanted) || memcmp(value, wanted, size) != 0)
        load_fail("key %s: '%.*s', not '%s'", key, (int)size, (const char *)value, wanted);
    c->rows++;
}

static void check_end(struct load_conn *c)
{
    if (c->rows != (c->write[c->answered] ? 0 : 1))
        load_fail("key %u: %d rows", c->keys[c->answered], c->rows);
    c->rows = 0;
}

static uint32_t number(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, 4);
    return ntohl(value);
}

static size_t message_size(const struct load_conn *c, size_t at)
{
    if (c->used - at < 5)
        return 0;
    size_t size = 1 + (size_t)number(c->in + at + 1);
    if (size < 5 || size > sizeof(c->in))
        load_fail("a message of %zu bytes", size);
    return size <= c->used - at ? size : 0;
}

static void fail_with(const uint8_t *message, size_t size)
{
    char text[300] = "";
    for (size_t i = 5; i < size && strlen(text) < sizeof(text) - 2; i++)
        text[i - 5] = message[i] ? (char)message[i] : ' ';
    load_fail("an error for an answer: %s", text);
}

// "$3\r\n123\r\n"
static size_t redis_answer(const struct load_options *o, struct load_conn *c, size_t at,
                           void (*done)(struct load_conn *c, uint64_t now), uint64_t now)
{
    uint8_t *line = c->in + at, *nl = memchr(line, '\n', c->used - at);
    if (!nl)
        return 0;
    int size = line[0] == '$' ? atoi((char *)line + 1) : -1;
    if (size < 0)
        load_fail("an answer of Redis: %.*s", (int)(nl - line), (char *)line);
    size_t whole = (size_t)(nl + 1 - line) + (size_t)size + 2;
    if (whole > c->used - at)
        return 0;
    check_value(o, c, nl + 1, (size_t)size);
    check_end(c);
    done(c, now);
    return whole;
}

size_t load_answer(const struct load_options *o, struct load_conn *c, size_t at,
                   void (*done)(struct load_conn *c, uint64_t now), uint64_t now)
{
    if (o->protocol == LOAD_REDIS)
        return redis_answer(o, c, at, done, now);
    const uint8_t *message = c->in + at;
    size_t size = message_size(c, at);
    if (!size)
        return 0;
    switch (message[0]) {
    case 'E':
        fail_with(message, size);
        break;
    case 'D':
        if (size < 11 || number(message + 7) != size - 11)
            load_fail("a row of another form");
        check_value(o, c, message + 11, size - 11);
        break;
    case 'Z':
        check_end(c);
        done(c, now);
        break;
    default: // RowDescription, CommandComplete, ParseComplete ...
        break;
    }
    return size;
}

// ---- connections

void load_send(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            load_fail("send: %s", strerror(errno));
        if (n < 0) {
            struct pollfd wait = {fd, POLLOUT, 0};
            poll(&wait, 1, -1);
            continue;
        }
        bytes += n;
        size -= (size_t)n;
    }
}

// Blocks until ReadyForQuery.
static void until_ready(struct load_conn *c)
{
    c->used = 0;
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->used, sizeof(c->in) - c->used, 0);
        if (n <= 0)
            load_fail("login: %s", n ? strerror(errno) : "the connection was closed");
        c->used += (size_t)n;
        for (size_t at = 0, size; (size = message_size(c, at)); at += size) {
            if (c->in[at] == 'E')
                fail_with(c->in + at, size);
            if (c->in[at] == 'R' && number(c->in + at + 5) != 0)
                load_fail("login: trust is all it can");
            if (c->in[at] == 'Z') {
                c->used = 0;
                return;
            }
        }
    }
}

static int connected(const struct load_options *o)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    bool file = o->host[0] == '/';
    int fd = socket(file ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (file)
        snprintf(local.sun_path, sizeof(local.sun_path), "%s/.s.PGSQL.%d", o->host, o->port);
    else if (inet_pton(AF_INET, o->host, &tcp.sin_addr) != 1)
        load_fail("not an address: %s", o->host);
    if (fd < 0 || connect(fd, file ? (struct sockaddr *)&local : (struct sockaddr *)&tcp,
                          file ? sizeof(local) : sizeof(tcp)))
        load_fail("connect: %s", strerror(errno));
    if (!file)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

void load_connect(const struct load_options *o, struct load_conn *c)
{
    char bytes[1024];
    struct writer w = {bytes, 0};
    c->fd = connected(o);
    if (o->protocol != LOAD_REDIS) {
        size_t at = begin(&w, 0);
        put_number(&w, PROTOCOL_3, 4);
        put_text(&w, "user");
        put_text(&w, o->user);
        put_text(&w, "database");
        put_text(&w, o->database);
        put_text(&w, "");
        end(&w, at);
        load_send(c->fd, bytes, w.used);
        until_ready(c);
    }
    for (int write = 0; write <= (o->writes > 0) && o->protocol == LOAD_PREPARED; write++) {
        w.used = 0;
        put_parse(&w, statement_name(write), parameter_text(write));
        put_sync(&w);
        load_send(c->fd, bytes, w.used);
        until_ready(c);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

void load_leave(const struct load_options *o, struct load_conn *c)
{
    if (o->protocol != LOAD_REDIS)
        load_send(c->fd, "X\0\0\0\4", 5);
    close(c->fd);
}
