// SPDX-License-Identifier: Apache-2.0
#include "proxy/worker.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/admission.h"
#include "cache/entry.h"
#include "cache/flight.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/console/question.h"
#include "proxy/halt.h"
#include "proxy/session/resolutions.h"
#include "proxy/session/repeats.h"
#include "proxy/session/rulings.h"
#include "proxy/held.h"
#include "proxy/janitor.h"
#include "proxy/listener.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/audit.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/effects.h"
#include "proxy/session/lead.h"
#include "proxy/session/login.h"
#include "proxy/sql/queries.h"
#include "proxy/sql/texts.h"
#include "proxy/takeover/adoption.h"
#include "proxy/tls_context.h"

#define WORKER_TAG 0x3041e4u

struct accepted_mail {
    struct mail mail;
    struct newcomer who;
};

struct attend_mail {
    struct mail mail;
    struct listener *listener; // borrows; it outlives the worker
};

struct serve_mail {
    struct mail mail;
    struct route *route; // counts
};

struct cancel_mail {
    struct mail mail;
    uint64_t client; // number: whose query is meant
    struct cancel_asker asker;
};

struct flight_mail {
    struct mail mail;
    uint64_t flight;
    int end;
    struct entry *entry; // counts; or NULL
};

struct shutdown_mail {
    struct mail mail;
    enum shutdown_mode mode;
};

// ---- mail, from any thread ----

static void wake_worker(void *arg)
{
    struct worker *worker = arg;
    ev_async_send(worker->loop, &worker->wake);
}

void worker_mail_accepted(struct worker *worker, const struct newcomer *who)
{
    struct accepted_mail *m = mem_new(struct accepted_mail);
    m->mail.kind = MAIL_ACCEPTED;
    m->who = *who;
    mailbox_post(&worker->mailbox, &m->mail);
}

void worker_mail_own_client(struct worker *worker, int fd)
{
    worker_mail_accepted(worker, &(struct newcomer){.fd = fd, .local = true, .ours = true});
}

void worker_mail_attend(struct worker *worker, struct listener *listener)
{
    struct attend_mail *m = mem_new(struct attend_mail);
    m->mail.kind = MAIL_ATTEND;
    m->listener = listener;
    mailbox_post(&worker->mailbox, &m->mail);
}

void worker_mail_serve(struct worker *worker, struct route *route)
{
    struct serve_mail *m = mem_new(struct serve_mail);
    m->mail.kind = MAIL_SERVE;
    m->route = route_ref(route);
    mailbox_post(&worker->mailbox, &m->mail);
}

void worker_mail_cancel(struct worker *worker, uint64_t client, struct cancel_asker asker)
{
    struct cancel_mail *m = mem_new(struct cancel_mail);
    m->mail.kind = MAIL_CANCEL;
    m->client = client;
    m->asker = asker;
    mailbox_post(&worker->mailbox, &m->mail);
}

void worker_mail_cancelled(struct cancel_asker asker)
{
    struct cancel_mail *m = mem_new(struct cancel_mail);
    m->mail.kind = MAIL_CANCELLED;
    m->asker = asker;
    mailbox_post(&asker.worker->mailbox, &m->mail);
}

void worker_mail_configure(struct worker *worker)
{
    struct mail *m = mem_new(struct mail);
    m->kind = MAIL_CONFIGURE;
    mailbox_post(&worker->mailbox, m);
}

void worker_mail_share(struct pooler *pooler)
{
    for (int i = 0; i < pooler->worker_count; i++) {
        struct mail *m = mem_new(struct mail);
        m->kind = MAIL_SHARE;
        mailbox_post(&pooler->workers[i]->mailbox, m);
    }
}

void worker_mail_shutdown(struct worker *worker, enum shutdown_mode mode)
{
    struct shutdown_mail *m = mem_new(struct shutdown_mail);
    m->mail.kind = MAIL_SHUTDOWN;
    m->mode = mode;
    mailbox_post(&worker->mailbox, &m->mail);
}

void worker_mail_grant(struct worker *worker, struct server *server)
{
    server->mail.kind = MAIL_GRANT;
    mailbox_post(&worker->mailbox, &server->mail);
}

void worker_mail_halt(struct worker *worker)
{
    struct mail *m = mem_new(struct mail);
    m->kind = MAIL_HALT;
    mailbox_post(&worker->mailbox, m);
}

void worker_mail_flight(struct pooler *pooler, uint64_t workers, uint64_t flight, int end,
                        struct entry *entry)
{
    for (int i = 0; i < pooler->worker_count; i++) {
        if ((workers >> i % FLIGHT_WORKERS & 1) == 0)
            continue;
        struct flight_mail *m = mem_new(struct flight_mail);
        m->mail.kind = MAIL_FLIGHT;
        m->flight = flight;
        m->end = end;
        m->entry = entry != NULL ? entry_ref(entry) : NULL;
        mailbox_post(&pooler->workers[i]->mailbox, &m->mail);
    }
}

void worker_mail_console(struct worker *worker, struct mail *question)
{
    question->kind = MAIL_CONSOLE;
    mailbox_post(&worker->mailbox, question);
}

// ---- mail, on the worker ----

static void handle_serve(struct worker *worker, struct route *route)
{
    struct pool_server *slot;
    struct pool_waiter *waiter;
    struct pool_task task;
    for (;;) {
        if (pool_serve(route->pool, worker->number, clock_us(), &slot, &waiter, &task))
            server_hand_over(container_of(slot, struct server, slot), waiter);
        else if (task.check != NULL)
            server_do_task(worker, route, &task);
        else
            break;
    }
    server_do_task(worker, route, &task);
    if (task.ask_worker < 0)
        server_open_more(worker, route); // the pool was paused
}

static void handle_grant(struct worker *worker, struct server *server)
{
    struct client *client = server->client;
    server_attach(server, worker);
    worker->pooler->in_transit--;
    TAG_CHECK(client, CLIENT_TAG);
    if (client->state == CLIENT_CLOSED) {
        // It had to outlive its connection for this moment.
        client_took(client, server->route->pool);
        list_push_back(&worker->graves_clients, &client->link);
        server_give_back(server);
    } else {
        client_granted(client, server);
    }
}

static void handle_cancel(struct worker *worker, const struct cancel_mail *m)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (client->number != m->client)
            continue;
        if (client->server != NULL && server_cancel(client->server, m->asker))
            return; // the asker is let go when the server has got it
        if (client->state == CLIENT_WAITING)
            client_cancel_waiting(client);
        else if (client->state == CLIENT_CONSOLE)
            console_cancel(client);
        break;
    }
    worker_mail_cancelled(m->asker);
}

static void handle_cancelled(struct worker *worker, uint64_t number)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (client->number != number)
            continue;
        client_close(client, "client requested cancel");
        return;
    }
}

static void handle_halt(struct worker *worker)
{
    bool suspended = halt_mode(worker->pooler) == HALT_SUSPENDED;
    if (suspended != worker->suspended) {
        worker->suspended = suspended;
        list_each(&worker->clients, l)
        {
            struct client *client = container_of(l, struct client, link);
            client->conn.given = false;
            conn_hold(&client->conn, suspended && client->console == NULL);
        }
        list_each(&worker->servers, s)
        {
            struct server *server = container_of(s, struct server, link);
            server->conn.given = false;
            conn_hold(&server->conn, suspended);
        }
    }
    janitor_sweep(worker); // a paused pool's idle servers
}

// Another limit begins anew.
static void take_tracking(struct worker *worker)
{
    size_t limit = (size_t)config_settings(worker->config)->track_queries;
    if (limit == worker->queries_limit)
        return;
    queries_free(worker->queries);
    worker->queries = limit > 0 ? queries_new(limit, ++worker->queries_era) : NULL;
    worker->queries_limit = limit;
}

static void take_limits(struct worker *worker)
{
    take_tracking(worker);
    worker->no_simple_query = config_settings(worker->config)->disable_pqexec;
    int64_t bytes = config_settings(worker->config)->max_packet_size_bytes;
    worker->max_packet_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    bool leaves_run = worker->busy_poll_us == 0;
    worker->busy_poll_us = config_settings(worker->config)->busy_poll_us;
    if (leaves_run && worker->busy_poll_us > 0)
        ev_break(worker->loop, EVBREAK_ONE); // for serve() to go on otherwise
}

static void take_rules(struct worker *worker)
{
    repeats_free(worker->repeats);
    worker->repeats = worker->resolutions != NULL ? repeats_new() : NULL;
    asked_free(worker->asked);
    worker->asked = worker->resolutions != NULL ? asked_new() : NULL;
    rulings_free(worker->rulings);
    worker->rulings = worker->resolutions != NULL ? rulings_new(worker->config) : NULL;
}

static void handle_mail(struct worker *worker, struct mail *mail)
{
    switch ((enum worker_mail_kind)mail->kind) {
    case MAIL_ACCEPTED: {
        struct accepted_mail *m = container_of(mail, struct accepted_mail, mail);
        client_new(worker, &m->who);
        mem_free(m);
        return;
    }
    case MAIL_ATTEND:
        listener_attend(container_of(mail, struct attend_mail, mail)->listener);
        mem_free(mail); // its first member
        return;
    case MAIL_GRANT: {
        struct server *server = container_of(mail, struct server, mail);
        TAG_CHECK(server, SERVER_TAG);
        handle_grant(worker, server);
        return;
    }
    case MAIL_SERVE: {
        struct serve_mail *m = container_of(mail, struct serve_mail, mail);
        handle_serve(worker, m->route);
        route_unref(&m->route);
        mem_free(m);
        return;
    }
    case MAIL_CANCEL: {
        struct cancel_mail *m = container_of(mail, struct cancel_mail, mail);
        handle_cancel(worker, m);
        mem_free(m);
        return;
    }
    case MAIL_CANCELLED: {
        struct cancel_mail *m = container_of(mail, struct cancel_mail, mail);
        handle_cancelled(worker, m->asker.client);
        mem_free(m);
        return;
    }
    case MAIL_RESOLVED:
        server_resolved(worker, container_of(mail, struct resolution_mail, mail));
        return;
    case MAIL_CONFIGURE: {
        struct config *old = worker->config;
        worker->config = pooler_config(worker->pooler);
        config_unref(&old);
        tls_context_unref(&worker->tls);
        worker->tls = pooler_tls(worker->pooler);
        take_limits(worker);
        take_rules(worker);
        janitor_configured(worker);
        pooler_one_configured(worker->pooler);
        mem_free(mail);
        return;
    }
    case MAIL_SHARE:
        worker->share_due = true;
        mem_free(mail);
        return;
    case MAIL_SHUTDOWN: {
        struct shutdown_mail *m = container_of(mail, struct shutdown_mail, mail);
        worker->shutdown = m->mode;
        janitor_shutdown(worker);
        mem_free(m);
        return;
    }
    case MAIL_HALT:
        handle_halt(worker);
        mem_free(mail);
        return;
    case MAIL_CONSOLE:
        question_step(worker, container_of(mail, struct question, mail));
        return;
    case MAIL_FLIGHT: {
        struct flight_mail *m = container_of(mail, struct flight_mail, mail);
        lead_told(worker, m->flight, m->end, m->entry);
        entry_unref(&m->entry);
        mem_free(m);
        return;
    }
    case MAIL_LOGIN:
        login_returned(worker, container_of(mail, struct login_errand, mail));
        return;
    case MAIL_ADOPT:
        adoption_arrived(worker, container_of(mail, struct adopted, mail));
        return;
    }
}

static void on_wake(struct ev_loop *loop, ev_async *async, int events)
{
    struct worker *worker = async->data;
    for (struct mail *m = mailbox_take_all(&worker->mailbox), *next; m != NULL; m = next) {
        next = m->next; // the handler may free or repost it
        handle_mail(worker, m);
    }
}

// ---- turns ----

static void empty_graves(struct worker *worker)
{
    struct link *l;
    while ((l = list_pop_front(&worker->graves_clients)) != NULL)
        client_free(container_of(l, struct client, link));
    while ((l = list_pop_front(&worker->graves_servers)) != NULL)
        server_free(container_of(l, struct server, link));
}

static void end_turn(struct worker *worker)
{
    if (worker->audits != NULL)
        audits_run(worker);
    empty_graves(worker);
    if (worker->share_due)
        janitor_share(worker);
    janitor_stop_if_done(worker);
}

static void say_posted(struct worker *worker)
{
    sender_send_posted(&worker->to_server);
    sender_send_posted(&worker->to_client);
}

// Handles the events at hand. One reading of the clock serves them all, and what they have to say
// is sent behind them: a send may find a connection broken, which is an event again.
static void take_turn(struct ev_loop *loop)
{
    struct worker *worker = ev_userdata(loop);
    worker->now_us = clock_us();
    if (ev_pending_count(loop) > 0)
        worker->busy_us = worker->now_us;
    do {
        ev_invoke_pending(loop);
        say_posted(worker);
        if (ev_pending_count(loop) > 0)
            continue;
        end_turn(worker);
        say_posted(worker);
    } while (ev_pending_count(loop) > 0);
}

static void on_held(struct ev_loop *loop, ev_timer *timer, int events)
{
    held_release(timer->data);
}

static void on_janitor(struct ev_loop *loop, ev_timer *timer, int events)
{
    janitor_sweep(timer->data);
}

struct worker *worker_new(struct pooler *pooler, int number)
{
    struct worker *worker = mem_new(struct worker);
    TAG_SET(worker, WORKER_TAG);
    worker->number = number;
    worker->pooler = pooler;
    worker->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    CHECK(worker->loop != NULL);
    worker->now_us = clock_us();
    ev_set_userdata(worker->loop, worker);
    ev_set_invoke_pending_cb(worker->loop, take_turn);
    mailbox_init(&worker->mailbox, wake_worker, worker);
    worker->config = pooler_config(pooler);
    worker->tls = pooler_tls(pooler);
    take_limits(worker);
    worker->texts = texts_front_new(pooler->texts);
    if (pooler->domains != NULL) {
        worker->resolutions = resolution_front_new();
        worker->audits = audits_new();
        worker->admission = admission_new();
    }
    take_rules(worker);
    list_init(&worker->clients);
    entrance_init(&worker->entrance);
    list_init(&worker->servers);
    list_init(&worker->held);
    list_init(&worker->following);
    list_init(&worker->hubs);
    list_init(&worker->cancelling);
    list_init(&worker->graves_clients);
    list_init(&worker->graves_servers);
    ev_async_init(&worker->wake, on_wake);
    ev_timer_init(&worker->janitor, on_janitor, JANITOR_PERIOD_S, JANITOR_PERIOD_S);
    ev_timer_init(&worker->held_timer, on_held, 0, HELD_PERIOD_S);
    worker->wake.data = worker;
    worker->janitor.data = worker->held_timer.data = worker;
    ev_async_start(worker->loop, &worker->wake);
    ev_timer_start(worker->loop, &worker->janitor);
    return worker;
}

// With busy_poll, who had something to do just now asks for more before he sleeps.
static void serve(struct worker *worker)
{
    if (worker->busy_poll_us == 0)
        ev_run(worker->loop, 0); // until it ends, or is configured otherwise
    else if (clock_us() - worker->busy_us < worker->busy_poll_us)
        ev_run(worker->loop, EVRUN_NOWAIT);
    else
        ev_run(worker->loop, EVRUN_ONCE);
}

static void *run(void *arg)
{
    struct worker *worker = arg;
    char name[16];
    snprintf(name, sizeof(name), "worker %d", worker->number);
    pthread_setname_np(pthread_self(), name);
    while (!worker->ended)
        serve(worker);
    worker->pooler->workers_running--;
    worker->pooler->ended(worker->pooler->ended_arg);
    return NULL;
}

void worker_start(struct worker *worker)
{
    CHECK(pthread_create(&worker->thread, NULL, run, worker) == 0);
}

// Mail that arrived when the worker had ended: what it carries must not be lost.
static void drop_mail(struct mail *mail)
{
    switch ((enum worker_mail_kind)mail->kind) {
    case MAIL_ACCEPTED: {
        struct accepted_mail *m = container_of(mail, struct accepted_mail, mail);
        struct conn conn;
        conn_init(&conn, m->who.fd, NULL, NULL, NULL);
        conn_close(&conn);
        mem_free(m);
        return;
    }
    case MAIL_RESOLVED:
        resolution_mail_free(container_of(mail, struct resolution_mail, mail));
        return;
    case MAIL_ADOPT:
        adoption_drop(container_of(mail, struct adopted, mail));
        return;
    case MAIL_GRANT:
    case MAIL_CONSOLE:
    case MAIL_LOGIN:
        return; // janitor_stop_if_done waits for these
    case MAIL_SERVE:
        route_unref(&container_of(mail, struct serve_mail, mail)->route);
        mem_free(mail); // the mail is its first member, as of those below
        return;
    case MAIL_ATTEND:
    case MAIL_CANCEL:
    case MAIL_CANCELLED:
    case MAIL_CONFIGURE:
    case MAIL_SHARE:
    case MAIL_SHUTDOWN:
    case MAIL_HALT:
        mem_free(mail);
        return;
    case MAIL_FLIGHT:
        entry_unref(&container_of(mail, struct flight_mail, mail)->entry);
        mem_free(mail);
        return;
    }
}

void worker_join_free(struct worker *worker, bool started)
{
    TAG_CHECK(worker, WORKER_TAG);
    if (started)
        pthread_join(worker->thread, NULL);
    empty_graves(worker);
    for (struct mail *m = mailbox_take_all(&worker->mailbox), *next; m != NULL; m = next) {
        next = m->next;
        drop_mail(m);
    }
    mailbox_fini(&worker->mailbox);
    entrance_fini(&worker->entrance);
    ev_loop_destroy(worker->loop);
    texts_front_free(worker->texts);
    queries_free(worker->queries);
    resolution_front_free(worker->resolutions);
    effects_free_spare(worker);
    gucs_common_fini(&worker->common_settings);
    client_free_spare_waiting(worker);
    repeats_free(worker->repeats);
    asked_free(worker->asked);
    admission_free(worker->admission);
    rulings_free(worker->rulings);
    audits_free(worker->audits);
    config_unref(&worker->config);
    tls_context_unref(&worker->tls);
    buf_fini(&worker->key);
    buf_fini(&worker->text);
    TAG_CLEAR(worker);
    mem_free(worker);
}
