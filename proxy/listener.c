// SPDX-License-Identifier: Apache-2.0
#include "proxy/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/pooler.h"
#include "proxy/server/resolver.h"
#include "proxy/session/client.h"
#include "proxy/session/origin.h"
#include "proxy/takeover/handover.h"
#include "proxy/wire/socket.h"
#include "proxy/worker.h"

enum { SOCKETS_MAX = 32, PAUSE_S = 1, AT_ONCE_MAX = 64, PATIENCE = 4 };

struct door {
    struct listener *listener;
    int fd;
    bool local;
    char path[108]; // of a unix socket in the file system
    // Of the thread that accepts:
    ev_io io;
    int at_once;       // so many are tried
    int in_a_row;      // of turns that had so many
    unsigned int turn; // the last one in which somebody knocked
};

struct listener {
    struct ev_loop *loop;  // of the thread that accepts
    struct worker *worker; // borrows; there is but one, and it accepts; NULL: the main thread does
    struct pooler *pooler;
    int count;             // constant, as is what the doors are
    // Written by the main thread. Who accepts holds the lock from the look at the first two until
    // somebody is accepted: when they have changed, nobody comes in any more.
    pthread_mutex_t lock;
    bool stopped, suspended;
    struct config *config; // counts
    bool given;            // the main thread's: another process listens on these sockets, too
    // Of the thread that accepts:
    int next_worker;
    ev_timer pause; // after running out of descriptors
    struct door doors[SOCKETS_MAX];
};

static void rest_awhile(struct listener *listener)
{
    for (int i = 0; i < listener->count; i++)
        ev_io_stop(listener->loop, &listener->doors[i].io);
    ev_timer_set(&listener->pause, PAUSE_S, 0);
    ev_timer_start(listener->loop, &listener->pause);
}

static void close_doors(struct listener *listener)
{
    for (int i = 0; i < listener->count; i++) {
        if (listener->doors[i].fd >= 0)
            close(listener->doors[i].fd);
        listener->doors[i].fd = -1;
    }
}

void listener_attend(struct listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    bool stopped = listener->stopped, open = !stopped && !listener->suspended;
    pthread_mutex_unlock(&listener->lock);
    ev_timer_stop(listener->loop, &listener->pause);
    for (int i = 0; i < listener->count; i++) {
        if (open)
            ev_io_start(listener->loop, &listener->doors[i].io);
        else
            ev_io_stop(listener->loop, &listener->doors[i].io);
    }
    if (stopped)
        close_doors(listener); // behind their watchers: libev insists
}

static void on_rested(struct ev_loop *loop, ev_timer *timer, int events)
{
    listener_attend(timer->data);
}

// Something has changed for who accepts.
static void tell(struct listener *listener)
{
    if (listener->worker != NULL)
        worker_mail_attend(listener->worker, listener);
    else
        listener_attend(listener);
}

void listener_suspend(struct listener *listener, bool suspended)
{
    if (listener->stopped)
        return;
    listener->given &= suspended && listener->suspended; // as long as it stays so
    pthread_mutex_lock(&listener->lock);
    listener->suspended = suspended;
    pthread_mutex_unlock(&listener->lock);
    tell(listener);
}

void listener_hand_over(struct listener *listener, struct question *q)
{
    for (int i = 0; i < listener->count && !listener->stopped; i++)
        listener->given |= handover_listener(q, listener->doors[i].fd);
}

// False, with errno: nobody.
static bool let_in(struct listener *listener, const struct door *door, struct newcomer *who)
{
    *who = (struct newcomer){.fd = -1, .local = door->local};
    errno = EAGAIN;
    pthread_mutex_lock(&listener->lock);
    const struct settings *settings = config_settings(listener->config);
    if (!listener->stopped && !listener->suspended)
        who->fd = origin_accept(&who->origin, door->fd, settings->listen_port);
    if (who->fd >= 0)
        socket_tune_accepted(who->fd, settings);
    who->has_spoken = !door->local && settings->tcp_defer_accept;
    pthread_mutex_unlock(&listener->lock);
    return who->fd >= 0;
}

static void lead_in(struct listener *listener, const struct newcomer *who)
{
    struct pooler *pooler = listener->pooler;
    if (listener->worker != NULL) {
        client_new(listener->worker, who);
        return;
    }
    worker_mail_accepted(pooler->workers[listener->next_worker], who);
    listener->next_worker = (listener->next_worker + 1) % pooler->worker_count;
}

// To find that nobody is left costs as much as somebody does. Who is not taken now knocks again in
// the next turn; where that goes on, more are taken at once.
static void note_all_came(struct door *door, bool again)
{
    door->in_a_row = again ? door->in_a_row + 1 : 0;
    if (door->in_a_row < PATIENCE || door->at_once == AT_ONCE_MAX)
        return;
    door->in_a_row = 0;
    door->at_once *= 2;
}

static void on_knock(struct ev_loop *loop, ev_io *io, int events)
{
    struct door *door = io->data;
    struct listener *listener = door->listener;
    struct newcomer who;
    bool again = ev_iteration(loop) == door->turn + 1;
    door->turn = ev_iteration(loop);
    for (int i = 0; i < door->at_once; i++) {
        if (let_in(listener, door, &who)) {
            lead_in(listener, &who);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            log_error("accept() failed: %s", strerror(errno));
            rest_awhile(listener);
            return;
        } else if (errno != ECONNABORTED) { // that one was gone already
            door->at_once = door->at_once > 1 ? door->at_once / 2 : 1;
            door->in_a_row = 0;
            return;
        }
    }
    note_all_came(door, again);
}

static bool add(struct listener *listener, int fd, bool local, const char *path)
{
    if (listener->count == SOCKETS_MAX)
        return false;
    struct door *door = &listener->doors[listener->count++];
    door->listener = listener;
    door->fd = fd;
    door->local = local;
    door->at_once = 1;
    snprintf(door->path, sizeof(door->path), "%s", path);
    if (!local)
        socket_tune_listening(fd, config_settings(listener->config));
    ev_io_init(&door->io, on_knock, fd, EV_READ);
    door->io.data = door;
    ev_io_start(listener->loop, &door->io);
    return true;
}

// Group and mode of the socket's file.
static bool set_rights(const char *path, const struct settings *settings, char *error,
                       size_t bytes)
{
    const char *name = settings->unix_socket_group;
    if (name[0] != '\0') {
        char *end;
        gid_t number = (gid_t)strtoul(name, &end, 10);
        const struct group *group = *end != '\0' ? getgrnam(name) : NULL;
        if (*end != '\0' && group == NULL) {
            snprintf(error, bytes, "unknown group \"%s\" (unix_socket_group)", name);
            return false;
        }
        if (chown(path, (uid_t)-1, group != NULL ? group->gr_gid : number) < 0) {
            snprintf(error, bytes, "cannot give %s to group \"%s\": %s", path, name,
                     strerror(errno));
            return false;
        }
    }
    chmod(path, (mode_t)settings->unix_socket_mode);
    return true;
}

static bool open_one(struct listener *listener, const struct sockaddr *to, socklen_t len,
                     const char *path, const char *what, char *error, size_t bytes)
{
    const struct settings *settings = config_settings(listener->config);
    int on = 1;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && to->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && to->sa_family != AF_UNIX && settings->so_reuseport)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (fd >= 0 && to->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (fd < 0 || bind(fd, to, len) < 0) {
        snprintf(error, bytes, "cannot listen on %s: %s", what, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    // The rights come before anybody can connect.
    bool ok = path[0] == '\0' || set_rights(path, settings, error, bytes);
    if (ok && listen(fd, settings->listen_backlog) < 0) {
        snprintf(error, bytes, "cannot listen on %s: %s", what, strerror(errno));
        ok = false;
    }
    if (!ok) {
        if (path[0] != '\0')
            unlink(path);
        close(fd);
        return false;
    }
    if (to->sa_family != AF_UNIX)
        socket_defer_accept(fd, settings->tcp_defer_accept);
    log_info("listening on %s", what);
    return add(listener, fd, to->sa_family == AF_UNIX, path);
}

static bool open_tcp(struct listener *listener, const char *host, char *error, size_t bytes)
{
    char port[16], what[300];
    int number = config_settings(listener->config)->listen_port;
    snprintf(port, sizeof(port), "%d", number);
    snprintf(what, sizeof(what), "%s:%d", host, number);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found);
    if (rc != 0) {
        snprintf(error, bytes, "cannot listen on %s: %s", what, gai_strerror(rc));
        return false;
    }
    bool any = false;
    for (struct addrinfo *a = found; a != NULL; a = a->ai_next)
        any |= open_one(listener, a->ai_addr, a->ai_addrlen, "", what, error, bytes);
    freeaddrinfo(found);
    return any;
}

// Is somebody listening there already? A socket that nobody listens on is left over, and removed;
// whatever else stands there, bind() will say.
static bool is_served(const struct address *address, const char *path)
{
    struct stat file;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, &address->to.any, address->length) == 0;
    int problem = errno;
    if (fd >= 0)
        close(fd);
    if (!served && problem == EAGAIN)
        return true; // by somebody who has much to do
    if (!served && problem == ECONNREFUSED && path[0] != '\0' && lstat(path, &file) == 0 &&
        S_ISSOCK(file.st_mode))
        unlink(path);
    return served;
}

static bool open_unix(struct listener *listener, const char *dir, char *error, size_t bytes)
{
    struct address address;
    int port = config_settings(listener->config)->listen_port;
    if ((dir[0] != '/' && dir[0] != '@') || !address_literal(&address, dir, port) ||
        address.length == 0) {
        snprintf(error, bytes, "unix_socket_dir is no usable path: %s", dir);
        return false;
    }
    const char *path = dir[0] == '@' ? "" : address.to.local.sun_path;
    if (is_served(&address, path)) {
        snprintf(error, bytes, "unix socket is in use: %s/.s.PGSQL.%d", dir, port);
        return false;
    }
    char what[300];
    snprintf(what, sizeof(what), "unix:%s/.s.PGSQL.%d", dir, port);
    return open_one(listener, &address.to.any, address.length, path, what, error, bytes);
}

static bool each(struct listener *listener, const char *names,
                 bool (*open)(struct listener *, const char *, char *, size_t), char *error,
                 size_t bytes)
{
    char *copy = mem_strdup(names);
    bool ok = true;
    char *save = NULL;
    for (char *name = strtok_r(copy, ", ", &save); name != NULL && ok;
         name = strtok_r(NULL, ", ", &save))
        ok = open(listener, name, error, bytes);
    mem_free(copy);
    return ok;
}

// Those of systemd's; false: there are none.
static bool take_passed(struct listener *listener)
{
    int passed = sd_listen_fds(1);
    for (int i = 0; i < passed; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        bool local = sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0;
        log_info("listening on a %s socket passed by systemd", local ? "unix" : "TCP");
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); // on_knock() takes all that come
        add(listener, fd, local, "");
    }
    return passed > 0;
}

// Those of another process, whose unix sockets are ours to remove from now on.
static bool take_over(struct listener *listener, const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        struct sockaddr_un own = {.sun_family = AF_UNSPEC};
        socklen_t length = sizeof(own);
        getsockname(fds[i], (struct sockaddr *)&own, &length);
        bool local = own.sun_family == AF_UNIX;
        bool in_files = local && length > sizeof(own.sun_family) && own.sun_path[0] != '\0';
        char path[sizeof(own.sun_path) + 1];
        snprintf(path, sizeof(path), "%.*s", (int)sizeof(own.sun_path), own.sun_path);
        fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
        if (!add(listener, fds[i], local, in_files ? path : ""))
            close(fds[i]);
    }
    listener->given = count > 0; // until that one has ended
    return count > 0;
}

struct listener *listener_new(struct ev_loop *loop, struct pooler *pooler,
                              const struct config *config, const int *taken, int taken_count,
                              char *error, size_t error_bytes)
{
    struct listener *listener = mem_new(struct listener);
    pthread_mutex_init(&listener->lock, NULL);
    listener->worker = pooler->worker_count == 1 ? pooler->workers[0] : NULL;
    listener->loop = listener->worker != NULL ? listener->worker->loop : loop;
    listener->pooler = pooler;
    listener->config = config_ref((struct config *)(uintptr_t)config);
    ev_timer_init(&listener->pause, on_rested, 0, 0);
    listener->pause.data = listener;
    const struct settings *settings = config_settings(config);
    bool ok = true;
    if (!take_over(listener, taken, taken_count) && !take_passed(listener))
        ok = each(listener, settings->listen_addr, open_tcp, error, error_bytes) &&
             each(listener, settings->unix_socket_dir, open_unix, error, error_bytes);
    if (ok && listener->count == 0) {
        snprintf(error, error_bytes, "nothing to listen on: set listen_addr or unix_socket_dir");
        ok = false;
    }
    if (ok)
        return listener;
    listener_free(listener);
    return NULL;
}

void listener_configure(struct listener *listener, struct config *config)
{
    const struct settings *now = config_settings(config);
    struct config *old = listener->config;
    bool defer = now->tcp_defer_accept;
    bool changed = config_settings(old)->tcp_defer_accept != defer;
    pthread_mutex_lock(&listener->lock);
    listener->config = config_ref(config);
    pthread_mutex_unlock(&listener->lock);
    config_unref(&old);
    for (int i = 0; i < listener->count && !listener->stopped; i++) {
        if (listener->doors[i].local)
            continue;
        socket_tune_listening(listener->doors[i].fd, now);
        if (changed)
            socket_defer_accept(listener->doors[i].fd, defer);
    }
}

static void stop(struct listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    listener->stopped = true;
    pthread_mutex_unlock(&listener->lock);
    for (int i = 0; i < listener->count; i++)
        if (listener->doors[i].path[0] != '\0' && !listener->given)
            unlink(listener->doors[i].path);
}

void listener_stop(struct listener *listener)
{
    if (listener->stopped)
        return;
    stop(listener);
    tell(listener);
}

void listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    if (!listener->stopped)
        stop(listener);
    if (listener->worker == NULL) // else it has ended, with its loop
        listener_attend(listener);
    close_doors(listener);
    config_unref(&listener->config);
    pthread_mutex_destroy(&listener->lock);
    mem_free(listener);
}
