// SPDX-License-Identifier: Apache-2.0
// The process: its command line, its start, its signals, its end. The main thread becomes the
// control thread.
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/protection.h"
#include "config/config.h"
#include "proxy/arguments.h"
#include "proxy/console/figures.h"
#include "proxy/console/http.h"
#include "proxy/console/period.h"
#include "proxy/console/question.h"
#include "proxy/control/control.h"
#include "proxy/control/triggers.h"
#include "proxy/daemon.h"
#include "proxy/halt.h"
#include "proxy/listener.h"
#include "proxy/lockdown.h"
#include "proxy/pooler.h"
#include "proxy/prewarm.h"
#include "proxy/takeover/adoption.h"
#include "proxy/takeover/handover.h"
#include "proxy/takeover/takeover.h"
#include "proxy/version.h"
#include "proxy/worker.h"

struct process {
    bool quiet;  // nothing to stderr
    int verbose; // of the command line
    struct config *config; // counts
    struct ev_loop *loop;
    struct control *control; // NULL: the cache is off
    struct pooler *pooler;
    struct listener *listener;
    struct http *http; // NULL: no http_listen
    struct prewarm *prewarm; // NULL: nothing to run
    struct takeover *takeover; // owns; NULL: nobody is taken over, or all is done
    ev_signal hup, interrupt, terminate, quit, pause, resume;
    ev_timer watchdog, deadline;
    ev_timer period; // stats_period
    ev_async errand;
    ev_async workers_done;
    ev_async halted;
    enum shutdown_mode shutdown;
};

// ---- signals ----

static void configure_log(struct process *p, const struct settings *settings)
{
    log_verbosity(p->verbose > 0 ? p->verbose : settings->verbose);
    if (!log_open(settings->logfile, p->quiet))
        log_error("could not open logfile %s: %s", settings->logfile, strerror(errno));
    log_syslog(settings->syslog, settings->syslog_ident, settings->syslog_facility);
}

// Puts it in force; takes the caller's count.
static void configure(struct process *p, struct config *fresh)
{
    config_unref(&p->config);
    p->config = fresh;
    configure_log(p, config_settings(fresh));
    p->pooler->unconfigured += p->pooler->worker_count;
    pooler_configure(p->pooler, fresh);
    listener_configure(p->listener, fresh);
    for (int i = 0; i < p->pooler->worker_count; i++)
        worker_mail_configure(p->pooler->workers[i]);
    if (p->control != NULL)
        control_reload(p->control, fresh);
    lockdown_configured(fresh);
}

// Says what is wrong, and puts it in force unless there is none.
static bool take(struct process *p, struct config *fresh, struct problems *problems)
{
    problems_log(problems);
    problems_fini(problems);
    if (fresh != NULL)
        configure(p, fresh);
    return fresh != NULL;
}

static bool reload(struct process *p)
{
    p->pooler->unconfigured++; // ready when this is over, too
    sd_notify(0, "RELOADING=1");
    log_reopen();
    struct problems problems = {0};
    bool ok = take(p, config_reload(p->config, &problems), &problems);
    if (!ok)
        log_error("config reload failed, keeping the old one");
    pooler_one_configured(p->pooler);
    return ok;
}

static void on_hup(struct ev_loop *loop, ev_signal *signal, int events)
{
    log_info("got SIGHUP, re-reading config");
    reload(signal->data);
}

static void shut_down(struct process *p, enum shutdown_mode mode);

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct process *p = timer->data;
    log_warning("shutdown_timeout, closing what is left");
    shut_down(p, SHUTDOWN_NOW);
}

static void shut_down(struct process *p, enum shutdown_mode mode)
{
    prewarm_free(p->prewarm); // its clients are not waited for
    p->prewarm = NULL;
    halt_for_good(p->pooler, 0);
    if (mode != SHUTDOWN_NOW && halt_mode(p->pooler) == HALT_SUSPENDED) {
        log_write(LOG_LEVEL_FATAL, "suspend was in progress, going down immediately");
        mode = SHUTDOWN_NOW; // nothing could end by itself
    }
    int64_t timeout_us = config_settings(p->config)->shutdown_timeout_us;
    if (timeout_us > 0 && mode != SHUTDOWN_NOW) {
        if (mode == SHUTDOWN_WAIT_FOR_CLIENTS)
            mode = SHUTDOWN_DRAIN;
        ev_timer_init(&p->deadline, on_deadline, (double)timeout_us / 1e6, 0);
        p->deadline.data = p;
        ev_timer_start(p->loop, &p->deadline);
    }
    p->shutdown = mode;
    sd_notify(0, "STOPPING=1");
    p->pooler->draining = mode != SHUTDOWN_WAIT_FOR_CLIENTS;
    listener_stop(p->listener);
    for (int i = 0; i < p->pooler->worker_count; i++)
        worker_mail_shutdown(p->pooler->workers[i], mode);
}

static void on_interrupt(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct process *p = signal->data;
    if (p->shutdown != SHUTDOWN_NONE) {
        log_info("got SIGINT while shutting down, fast exit");
        shut_down(p, SHUTDOWN_NOW);
        return;
    }
    log_info("got SIGINT, shutting down, waiting for all servers connections to be released");
    shut_down(p, SHUTDOWN_WAIT_FOR_SERVERS);
}

static void on_terminate(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct process *p = signal->data;
    if (p->shutdown != SHUTDOWN_NONE) {
        log_info("got SIGTERM while shutting down, fast exit");
        shut_down(p, SHUTDOWN_NOW);
        return;
    }
    log_info("got SIGTERM, shutting down, waiting for all clients disconnect");
    shut_down(p, SHUTDOWN_WAIT_FOR_CLIENTS);
}

static void on_quit(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct process *p = signal->data;
    log_info("got SIGQUIT, fast exit");
    shut_down(p, SHUTDOWN_NOW);
}

static void on_pause(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct process *p = signal->data;
    if (halt_process(p->pooler, HALT_PAUSED, 0))
        log_info("got SIGUSR1, pausing all activity");
    else
        log_info("got SIGUSR1, but already paused/suspended");
}

static void on_resume(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct process *p = signal->data;
    if (p->shutdown != SHUTDOWN_NONE) {
        log_info("got SIGUSR2 while shutting down, ignoring");
        return;
    }
    bool suspended = halt_mode(p->pooler) == HALT_SUSPENDED;
    if (halt_release(p->pooler))
        log_info("got SIGUSR2, continuing from %s", suspended ? "SUSPEND" : "PAUSE");
    else
        log_info("got SIGUSR2, but not paused/suspended");
}

static void catch_signal(struct process *p, ev_signal *watcher,
                         void (*call)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(watcher, call, number);
    watcher->data = p;
    ev_signal_start(p->loop, watcher);
}

// Workers must leave signals to this thread.
static void block_signals(bool block)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    sd_notify(0, "WATCHDOG=1");
}

static void on_workers_done(struct ev_loop *loop, ev_async *async, int events)
{
    struct process *p = async->data;
    if (p->pooler->workers_running > 0)
        return;
    if (p->shutdown == SHUTDOWN_WAIT_FOR_SERVERS)
        log_info("server connections dropped, exiting");
    else if (p->shutdown != SHUTDOWN_NOW)
        log_info("client connections dropped, exiting");
    ev_break(loop, EVBREAK_ALL);
}

// ---- for the console ----

static void shut_down_by_command(struct process *p, struct question *q)
{
    enum shutdown_mode mode = (enum shutdown_mode)q->number;
    log_info("SHUTDOWN%s%s command issued", q->name[0] ? " " : "", q->name);
    halt_for_good(p->pooler, 0);
    // Who waits for the end hears of the beginning; an immediate end is not acknowledged.
    if (mode != SHUTDOWN_NOW)
        question_answered(q);
    shut_down(p, mode);
    if (mode == SHUTDOWN_NOW)
        question_answered(q);
}

static void visit_nothing(struct worker *worker, struct question *q)
{
}

// Each worker has the new configuration when this comes by: the mail with it went before.
static void answer_when_in_force(struct question *q, bool ok)
{
    q->failed = !ok;
    q->visit = visit_nothing;
    if (ok)
        question_ask_workers(q);
    else
        question_answered(q);
}

static void do_errand(struct process *p, struct question *q)
{
    struct problems problems = {0};
    switch (q->errand) {
    case ERRAND_NONE:
        break;
    case ERRAND_RELOAD:
        answer_when_in_force(q, reload(p));
        return;
    case ERRAND_SET:
        answer_when_in_force(q, take(p, config_with(p->config, q->name, q->value, &problems),
                                     &problems));
        return;
    case ERRAND_SHUTDOWN:
        shut_down_by_command(p, q);
        return;
    case ERRAND_HAND_OVER:
        listener_hand_over(p->listener, q);
        handover_routes(q);
        question_ask_workers(q);
        return;
    }
    question_answered(q);
}

static void on_errand(struct ev_loop *loop, ev_async *async, int events)
{
    struct process *p = async->data;
    for (struct mail *m = mailbox_take_all(&p->pooler->errands), *next; m != NULL; m = next) {
        next = m->next;
        do_errand(p, container_of(m, struct question, mail));
    }
}

static void wake_for_errand(void *arg)
{
    struct process *p = arg;
    ev_async_send(p->loop, &p->errand);
}

// While the process is suspended who comes waits in the queues of the sockets.
static void on_halted(struct ev_loop *loop, ev_async *async, int events)
{
    struct process *p = async->data;
    bool suspended = halt_mode(p->pooler) == HALT_SUSPENDED;
    // Nor as long as a cancel request might be for a client that is not here yet.
    listener_suspend(p->listener, suspended || p->pooler->adopting > 0);
    p->pooler->deaf = suspended;
}

static void wake_for_halt(void *arg)
{
    struct process *p = arg;
    ev_async_send(p->loop, &p->halted);
}

static void on_period(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct process *p = timer->data;
    const struct settings *settings = config_settings(p->config);
    period_end(p->pooler, settings->log_stats);
    timer->repeat = settings->stats_period_s;
    ev_timer_again(loop, timer);
}

// ---- HTTP pages ----

static void page_metrics(struct buf *out, void *arg)
{
    struct process *p = arg;
    figures_metrics(p->pooler, out);
}

static bool page_ready(struct buf *out, void *arg)
{
    struct process *p = arg;
    bool ready = p->shutdown == SHUTDOWN_NONE;
    buf_printf(out, "%s\n", ready ? "ready" : "shutting down");
    return ready;
}

// ---- life ----

static bool serve_http(struct process *p)
{
    const char *where = config_settings(p->config)->http_listen;
    struct http_pages pages = {page_metrics, page_ready, p};
    char error[512];
    if (where[0] == '\0')
        return true;
    p->http = http_new(p->loop, where, &pages, error, sizeof(error));
    return p->http != NULL || daemon_fatal("http_listen", error);
}

// Everything that may fail comes before: from here on the other process is gone, and its clients
// are worth more than a port or a file.
static bool take_over(struct process *p)
{
    if (!takeover_finish(p->takeover, config_settings(p->config)->pidfile))
        return false;
    serve_http(p);
    daemon_write_pidfile(config_settings(p->config)->pidfile);
    adoption_prepare(p->takeover, p->pooler);
    adoption_post(p->takeover, p->pooler);
    listener_suspend(p->listener, p->pooler->adopting > 0);
    takeover_free(p->takeover);
    p->takeover = NULL;
    return true;
}

static bool begin(struct process *p)
{
    const struct settings *settings = config_settings(p->config);
    char error[512];
    int threads = settings->worker_threads;
    if (threads <= 0)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    // Not libev's default loop, which waits for every child there is: also for those that PAM
    // modules start, and wait for.
    p->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (p->loop == NULL)
        return daemon_fatal("libev", "cannot make a loop");
    // From here on a signal waits for the loop to run.
    catch_signal(p, &p->hup, on_hup, SIGHUP);
    catch_signal(p, &p->interrupt, on_interrupt, SIGINT);
    catch_signal(p, &p->terminate, on_terminate, SIGTERM);
    catch_signal(p, &p->quit, on_quit, SIGQUIT);
    catch_signal(p, &p->pause, on_pause, SIGUSR1);
    catch_signal(p, &p->resume, on_resume, SIGUSR2);
    p->pooler = pooler_new(p->config, threads);
    if (!pooler_load_tls(p->pooler, p->config))
        return false;
    if (settings->cache) {
        p->control = control_new(p->loop, p->config);
        p->pooler->domains = control_domains(p->control);
    }
    for (int i = 0; i < threads; i++)
        p->pooler->workers[i] = worker_new(p->pooler, i);
    const struct takeover *t = p->takeover;
    p->listener = listener_new(p->loop, p->pooler, p->config, t != NULL ? t->listening : NULL,
                               t != NULL ? t->listening_count : 0, error, sizeof(error));
    if (p->listener == NULL)
        return daemon_fatal("startup", error);
    if (t != NULL)
        return take_over(p);
    return serve_http(p) && daemon_become_user(settings->user) &&
           daemon_write_pidfile(settings->pidfile);
}

static void wake_main(void *arg)
{
    struct process *p = arg;
    ev_async_send(p->loop, &p->workers_done);
}

static void live(struct process *p)
{
    ev_async_init(&p->workers_done, on_workers_done);
    p->workers_done.data = p;
    ev_async_start(p->loop, &p->workers_done);
    ev_async_init(&p->halted, on_halted);
    p->halted.data = p;
    ev_async_start(p->loop, &p->halted);
    p->pooler->halted = wake_for_halt;
    p->pooler->halted_arg = p;
    ev_async_init(&p->errand, on_errand);
    p->errand.data = p;
    ev_async_start(p->loop, &p->errand);
    mailbox_init(&p->pooler->errands, wake_for_errand, p);
    ev_timer_init(&p->period, on_period, 0, config_settings(p->config)->stats_period_s);
    p->period.data = p;
    ev_timer_again(p->loop, &p->period);
    p->pooler->ended = wake_main;
    p->pooler->ended_arg = p;
    p->pooler->workers_running = p->pooler->worker_count;
    block_signals(true);
    for (int i = 0; i < p->pooler->worker_count; i++)
        worker_start(p->pooler->workers[i]);
    block_signals(false);
    uint64_t period_us = 0;
    if (sd_watchdog_enabled(0, &period_us) > 0) {
        ev_timer_init(&p->watchdog, on_watchdog, 0, (double)period_us / 2e6);
        ev_timer_start(p->loop, &p->watchdog);
    }
    lockdown_begin(p->config);
    log_info("process up: pgweir %s, %d worker threads, cache %s", PGWEIR_VERSION,
             p->pooler->worker_count, p->control ? "on" : "off");
    sd_notify(0, "READY=1");
    const char *prewarm = config_settings(p->config)->cache_prewarm;
    if (p->control != NULL && prewarm[0] != '\0')
        p->prewarm = prewarm_begin(p->loop, p->pooler, prewarm);
    ev_run(p->loop, 0);
    prewarm_free(p->prewarm);
}

// How many threads are still held up by somebody else.
static int finish(struct process *p, bool lived)
{
    int held_up = 0;
    if (p->pooler != NULL) {
        pooler_stop_resolver(p->pooler); // it may still be waking a worker
        held_up = pooler_stop_checker(p->pooler);
        for (int i = 0; i < p->pooler->worker_count; i++)
            if (p->pooler->workers[i] != NULL)
                worker_join_free(p->pooler->workers[i], lived);
    }
    if (lived)
        mailbox_fini(&p->pooler->errands);
    http_free(p->http);
    listener_free(p->listener);
    takeover_free(p->takeover);
    if (p->control != NULL)
        control_free(p->control);
    if (p->pooler != NULL)
        pooler_free(p->pooler);
    const char *pidfile = config_settings(p->config)->pidfile;
    if (lived && pidfile[0] != '\0')
        unlink(pidfile);
    config_unref(&p->config);
    if (p->loop != NULL)
        ev_loop_destroy(p->loop);
    return held_up;
}

static struct config *load(const char *path)
{
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);
    problems_log(&problems);
    problems_fini(&problems);
    return config;
}

// -R: what runs on our unix socket is frozen, and its connections are here. As whom it runs is who
// may have them.
static bool freeze_other(struct process *p)
{
    const struct settings *settings = config_settings(p->config);
    if (settings->unix_socket_dir[0] == '\0')
        return daemon_fatal("cannot reboot", "unix dir not configured");
    if (!takeover_is_needed(p->config)) {
        log_info("old process not found, try to continue normally");
        return true;
    }
    if (sd_listen_fds(0) > 0 || getenv("NOTIFY_SOCKET") != NULL)
        return daemon_fatal("cannot reboot", "under service manager");
    if (!daemon_become_user(settings->user))
        return false;
    p->takeover = takeover_begin(p->config);
    return p->takeover != NULL;
}

// Everything before the first thread. False: it said why.
static bool prepare(struct process *p, const struct arguments *a)
{
    const struct settings *settings = config_settings(p->config);
    log_verbosity(a->verbose ? a->verbose : settings->verbose);
    if (!log_open(settings->logfile, p->quiet))
        return daemon_fatal(settings->logfile, strerror(errno));
    log_syslog(settings->syslog, settings->syslog_ident, settings->syslog_facility);
    daemon_raise_descriptor_limit(p->config);
    if (a->user != NULL && !daemon_become_user(a->user))
        return false;
    if (geteuid() == 0 && settings->user[0] == '\0')
        return daemon_fatal("pgweir should not run as root", "set user, or use -u");
    if (a->reboot && !freeze_other(p))
        return false;
    return !a->daemon || daemon_go_background(settings);
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "install-triggers") == 0)
        return triggers_command(argc - 1, argv + 1);
    if (!arguments_read(&a, argc, argv, &status))
        return status;
    if (!protection_begin())
        return 1;
    signal(SIGPIPE, SIG_IGN);
    struct process p = {
        .config = load(a.path), .quiet = a.quiet || a.daemon, .verbose = a.verbose};
    if (p.config == NULL)
        return 1;
    if (!prepare(&p, &a)) {
        config_unref(&p.config);
        return 1;
    }
    bool lived = begin(&p);
    if (lived)
        live(&p);
    int held_up = finish(&p, lived);
    if (held_up > 0) {
        log_warning("%d passwords are still being checked: not waiting for that", held_up);
        _exit(lived ? 0 : 1); // libraries are in use, and must not be taken down
    }
    return lived ? 0 : 1;
}
