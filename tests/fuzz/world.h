// SPDX-License-Identifier: Apache-2.0
// A whole proxy in one thread, for targets that are conversations: one worker without a thread of
// its own, whose loop is turned from here; a client in a socket pair, and a server at a unix
// socket, both played by the target. Each execution has a route of its own, so what one leaves in
// its pool is not met by the next.
#pragma once
#include <ev.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/pooler.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"
#include "tests/fuzz/file_of.h"

enum { WORLD_TURNS = 200, WORLD_PORT = 6000 };

struct world {
    struct pooler *pooler;
    struct config *config;
    struct worker *worker;
    char directory[64], socket[100];
    int listener;
    unsigned long executions;
    int64_t now_us;
    // of one execution
    int client, server;      // -1: none
    struct buf to_client;    // what the proxy said
    struct buf to_server;
    unsigned connections;    // to the server, so far
};

static struct world world;

static inline void world_remove(void)
{
    unlink(world.socket);
    rmdir(world.directory);
}

static inline void world_listen(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strcpy(world.directory, "/tmp/fuzz-XXXXXX");
    CHECK(mkdtemp(world.directory) != NULL);
    snprintf(world.socket, sizeof(world.socket), "%s/.s.PGSQL.%d", world.directory, WORLD_PORT);
    strcpy(name.sun_path, world.socket);
    world.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(world.listener, (struct sockaddr *)&name, sizeof(name)) == 0);
    CHECK(listen(world.listener, 16) == 0);
    atexit(world_remove);
}

// settings: further lines of the section [pgbouncer].
static inline void world_make(const char *settings)
{
    if (world.worker != NULL)
        return;
    world_listen();
    struct buf ini = {0};
    buf_printf(&ini, "[databases]\n* = host=%s port=%d user=u password=secret\n[pgbouncer]\n"
                     "auth_type = any\npool_mode = transaction\ndefault_pool_size = 1\n"
                     "worker_threads = 1\nlog_connections = 0\nlog_disconnections = 0\n"
                     "log_pooler_errors = 0\nmax_packet_size = 1000000\n%s\n",
               world.directory, WORLD_PORT, settings);
    struct problems problems = {0};
    world.config = config_load(file_of(buf_slice(&ini)), &problems);
    problems_log(&problems);
    CHECK(world.config != NULL);
    problems_fini(&problems);
    buf_fini(&ini);
    log_open("/dev/null", true);
    world.pooler = pooler_new(world.config, 1);
    CHECK(pooler_load_tls(world.pooler, world.config));
    world.worker = world.pooler->workers[0] = worker_new(world.pooler, 0);
    world.now_us = clock_us();
}

static inline void world_accept(void)
{
    int fd = accept4(world.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (world.server >= 0)
        close(world.server); // the proxy gave that one up
    world.server = fd;
    world.connections++;
    buf_clear(&world.to_server);
}

static inline bool world_drain(int *fd, struct buf *into)
{
    static uint8_t bytes[65536];
    if (*fd < 0)
        return false;
    ssize_t n = recv(*fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0) {
        buf_bytes(into, bytes, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        close(*fd);
        *fd = -1;
    }
    return n > 0;
}

// Until nobody has anything to say.
static inline void world_turn(void)
{
    for (int quiet = 0, turns = 0; quiet < 2 && turns < WORLD_TURNS; turns++) {
        unsigned before = world.connections;
        ev_run(world.worker->loop, EVRUN_NOWAIT);
        world_accept();
        bool some = world_drain(&world.client, &world.to_client);
        some |= world_drain(&world.server, &world.to_server);
        quiet = some || before != world.connections ? 0 : quiet + 1;
    }
}

static inline void world_say(int fd, struct slice bytes)
{
    if (fd >= 0 && bytes.len > 0)
        (void)!send(fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// A new client of a new database, that has sent its startup message.
static inline void world_begin(void)
{
    int pair[2];
    struct buf out = {0};
    char name[32];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    world.client = pair[0];
    world.server = -1;
    world.connections = 0;
    client_new(world.worker,
               &(struct newcomer){.fd = pair[1], .local = true, .ours = true});
    snprintf(name, sizeof(name), "d%lu", world.executions++);
    buf_u32(&out, 0);
    buf_u32(&out, PROTOCOL_3_0);
    buf_cstr(&out, "user");
    buf_cstr(&out, "u");
    buf_cstr(&out, "database");
    buf_cstr(&out, name);
    buf_u8(&out, 0);
    store_u32(out.at, (uint32_t)out.len);
    world_say(world.client, buf_slice(&out));
    buf_fini(&out);
    world_turn();
}

// Everybody leaves; nothing of them may be left.
static inline void world_end(void)
{
    struct worker *worker = world.worker;
    if (world.client >= 0)
        close(world.client);
    world.client = -1;
    for (int i = 0; i < WORLD_TURNS && (i < 2 || !list_empty(&worker->clients) ||
                                        !list_empty(&worker->servers)); i++) {
        ev_run(worker->loop, EVRUN_NOWAIT);
        world_accept();
        if (world.server >= 0)
            close(world.server);
        world.server = -1;
    }
    ev_run(worker->loop, EVRUN_NOWAIT); // the graves are emptied when a turn begins
    CHECK(list_empty(&worker->clients) && list_empty(&worker->servers));
    CHECK(list_empty(&worker->cancelling) && worker->linked == 0 && world.pooler->clients == 0);
    // Hours later, each time: what nobody uses is forgotten then.
    world.now_us += 2 * 3600 * (int64_t)1000000;
    pooler_tidy(world.pooler, world.config, world.now_us);
    CHECK(world.pooler->routes.count == 0 && world.pooler->quotas.count == 0);
    buf_clear(&world.to_client);
    buf_clear(&world.to_server);
}

// Are they whole messages, but for the last one, of these types? How many of `counted`.
static inline size_t world_check_messages(struct slice bytes, const char *types, char counted)
{
    struct frame frame;
    size_t count = 0;
    while (frame_read(bytes, &frame) != FRAME_SHORT) {
        CHECK(frame_read(bytes, &frame) == FRAME_OK && strchr(types, frame.type) != NULL);
        count += frame.type == counted;
        if (frame.length > bytes.len)
            break;
        slice_cut(&bytes, frame.length);
    }
    return count;
}

// Types of messages.
static const char from_servers[] = "RKSZEN123ITtnDCGHWVAdcsv";
static const char from_clients[] = "QPBDECSHFdcfXp";
