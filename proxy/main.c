// SPDX-License-Identifier: Apache-2.0
// The process: its command line, its start, its signals, its end. The main thread becomes the
// control thread.
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
#include "proxy/halt.h"
#include "proxy/listener.h"
#include "proxy/lockdown.h"
#include "proxy/pooler.h"
#include "proxy/prewarm.h"
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
    ev_signal hup, interrupt, terminate, quit, pause, resume;
    ev_timer watchdog, deadline;
    ev_timer period; // stats_period
    ev_async errand;
    ev_async workers_done;
    enum shutdown_mode shutdown;
};

static bool fatal(const char *what, const char *why)
{
    log_write(LOG_LEVEL_FATAL, "%s: %s", what, why);
    return false;
}

// ---- becoming a server ----

static bool become_user(const char *name)
{
    if (name[0] == '\0' || geteuid() != 0)
        return true;
    const struct passwd *pw = getpwnam(name);
    if (pw == NULL)
        return fatal("no such user", name);
    if (initgroups(name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        return fatal("cannot become user", strerror(errno));
    return true;
}

static bool go_background(const struct settings *settings)
{
    if (settings->logfile[0] == '\0' && !settings->syslog)
        return fatal("daemon needs logfile configured", "set logfile");
    if (daemon(1, 0) < 0)
        return fatal("daemon", strerror(errno));
    return true;
}

static bool write_pidfile(const char *path)
{
    if (path[0] == '\0')
        return true;
    FILE *old = fopen(path, "r");
    int pid = 0;
    if (old != NULL) {
        if (fscanf(old, "%d", &pid) == 1 && pid > 0 && pid != getpid() &&
            (kill(pid, 0) == 0 || errno == EPERM)) {
            fclose(old);
            log_write(LOG_LEVEL_FATAL, "pidfile '%s' exists, another instance running?", path);
            return false;
        }
        fclose(old);
    }
    FILE *f = fopen(path, "w");
    if (f == NULL)
        return fatal(path, strerror(errno));
    fprintf(f, "%d\n", (int)getpid());
    return fclose(f) == 0 || fatal(path, strerror(errno));
}

// As many as the system gives; and how many it may take, in PgBouncer's words.
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int most = config_settings(config)->max_client_conn;
    int strangers = config_settings(config)->max_login_conn;
    long expected = most + (strangers > 0 ? strangers : most) + 10;
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        long users = db->user != NULL ? 1 : (long)config_user_count(config);
        expected += users * config_pool_size(config, db, NULL);
    }
    log_info("kernel file descriptor limit: %lld (hard: %lld); max_client_conn: %d, "
             "max expected fd use: %ld",
             (long long)limit.rlim_cur, (long long)limit.rlim_max, most, expected);
}

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
    sd_notify(0, "RELOADING=1");
    log_reopen();
    struct problems problems = {0};
    bool ok = take(p, config_reload(p->config, &problems), &problems);
    if (!ok)
        log_error("config reload failed, keeping the old one");
    sd_notify(0, "READY=1");
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
    p->pooler->refusing = true;
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
    if (halt_process(p->pooler, HALT_PAUSED))
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
    p->pooler->refusing = true;
    // Who waits for the end hears of the beginning; an immediate end is not acknowledged.
    if (mode != SHUTDOWN_NOW)
        question_answered(q);
    shut_down(p, mode);
    if (mode == SHUTDOWN_NOW)
        question_answered(q);
}

static void do_errand(struct process *p, struct question *q)
{
    struct problems problems = {0};
    switch (q->errand) {
    case ERRAND_NONE:
        break;
    case ERRAND_RELOAD:
        q->failed = !reload(p);
        break;
    case ERRAND_SET:
        q->failed = !take(p, config_with(p->config, q->name, q->value, &problems), &problems);
        break;
    case ERRAND_SHUTDOWN:
        shut_down_by_command(p, q);
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
        return fatal("libev", "cannot make a loop");
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
    p->listener = listener_new(p->loop, p->pooler, p->config, error, sizeof(error));
    if (p->listener == NULL)
        return fatal("startup", error);
    if (settings->http_listen[0] != '\0') {
        struct http_pages pages = {page_metrics, page_ready, p};
        p->http = http_new(p->loop, settings->http_listen, &pages, error, sizeof(error));
        if (p->http == NULL)
            return fatal("http_listen", error);
    }
    return become_user(settings->user) && write_pidfile(settings->pidfile);
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

// Everything before the first thread. False: it said why.
static bool prepare(const struct process *p, const struct arguments *a)
{
    const struct settings *settings = config_settings(p->config);
    log_verbosity(a->verbose ? a->verbose : settings->verbose);
    if (!log_open(settings->logfile, p->quiet))
        return fatal(settings->logfile, strerror(errno));
    log_syslog(settings->syslog, settings->syslog_ident, settings->syslog_facility);
    raise_descriptor_limit(p->config);
    if (a->user != NULL && !become_user(a->user))
        return false;
    if (geteuid() == 0 && settings->user[0] == '\0')
        return fatal("pgweir should not run as root", "set user, or use -u");
    return !a->daemon || go_background(settings);
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
