// SPDX-License-Identifier: Apache-2.0
// One lock for all; it is held for a look through a queue, never while a service is asked. A
// question is given back with it held: so none comes to who has said that he does not wait.
#include "proxy/login/checker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/ldap_options.h"
#include "proxy/login/ldap_login.h"
#include "proxy/login/pam_login.h"
#include "proxy/login/secret.h"
#include "proxy/login/system_user.h"

enum { IDLE_S = 30 }; // a thread without work ends then

// A service.
struct lane {
    struct link link;     // in checker->lanes while it has threads or questions
    struct checker *checker; // borrows: its threads hold it
    char *name;           // owns
    struct list waiting;  // struct check, the oldest first
    struct list running;
    int threads, idle;
    int threads_most;     // as who asked last had it
    pthread_cond_t asked;
};

struct checker {
    checker_run *run;
    pthread_mutex_t lock; // for all that follows
    pthread_cond_t ended; // a thread did, or its question was answered
    struct list lanes;
    int threads, busy;
    unsigned holders;     // the owner, and each thread
    bool stopped;
};

static void run_check(struct check *check)
{
    // Whoever has no more time hears of that, and not of a directory that was cut short.
    enum { GRACE_US = 1000000 };
    int64_t until_us = clock_us() + check->patience_us;
    if (until_us - GRACE_US > check->until_us)
        until_us = check->until_us + GRACE_US;
    switch (check->method) {
    case CHECK_PAM:
        check->verdict = pam_login_check(check->service, check->directory, check->user,
                                         check->password, check->from, &check->delay_us);
        return;
    case CHECK_LDAP:
        check->verdict = ldap_login_check(check->ldap, check->user, check->password, until_us);
        return;
    case CHECK_SYSTEM_USER:
        check->name = system_user_name(check->uid);
        check->verdict = check->name != NULL ? CHECK_PASSED : CHECK_REFUSED;
        return;
    }
}

struct checker *checker_new(checker_run *run)
{
    struct checker *checker = mem_new(struct checker);
    checker->run = run != NULL ? run : run_check;
    pthread_mutex_init(&checker->lock, NULL);
    pthread_cond_init(&checker->ended, NULL);
    list_init(&checker->lanes);
    checker->holders = 1;
    return checker;
}

void check_fini(struct check *check)
{
    if (check->password != NULL)
        secret_wipe(check->password, strlen(check->password));
    mem_free(check->password);
    mem_free(check->user);
    mem_free(check->name);
    check->password = check->user = check->name = NULL;
    config_unref(&check->config);
}

// ---- services

// What one thread asks for another: questions to the same server may hold each other up.
static void name_service(const struct check *check, struct buf *name)
{
    if (check->method == CHECK_PAM) {
        buf_printf(name, "pam");
    } else if (check->method == CHECK_SYSTEM_USER) {
        buf_printf(name, "system users");
    } else {
        const struct ldap_options *o = check->ldap;
        buf_printf(name, "ldap %d %d %s", o->port, o->ldaps,
                   o->servers != NULL ? o->servers : o->base_dn);
    }
    buf_u8(name, '\0');
}

static struct lane *lane_of(struct checker *checker, const struct check *check)
{
    struct buf name = {0};
    name_service(check, &name);
    list_each(&checker->lanes, l)
    {
        struct lane *lane = container_of(l, struct lane, link);
        if (strcmp(lane->name, (const char *)name.at) != 0)
            continue;
        buf_fini(&name);
        return lane;
    }
    struct lane *lane = mem_new(struct lane);
    lane->checker = checker;
    lane->name = mem_strdup((const char *)name.at);
    buf_fini(&name);
    list_init(&lane->waiting);
    list_init(&lane->running);
    link_init(&lane->link);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lane->asked, &attributes);
    pthread_condattr_destroy(&attributes);
    list_push_back(&checker->lanes, &lane->link);
    return lane;
}

static void lane_free_if_unused(struct lane *lane)
{
    if (lane->threads > 0 || !list_empty(&lane->waiting))
        return;
    list_remove(&lane->checker->lanes, &lane->link);
    pthread_cond_destroy(&lane->asked);
    mem_free(lane->name);
    mem_free(lane);
}

// ---- whose turn it is

static void count_alike(const struct list *list, const struct check *check, int *from_place,
                        int *for_user)
{
    *from_place = *for_user = 0;
    list_each(list, l)
    {
        const struct check *other = container_of(l, struct check, link);
        *from_place += other->place == check->place;
        *for_user += other->who == check->who;
    }
}

// The oldest of those who have least under way; NULL: none, or none that may have the last thread.
static struct check *next_check(struct lane *lane)
{
    struct check *best = NULL;
    int least = 0, shared = lane->threads_most - 1;
    list_each(&lane->waiting, l)
    {
        struct check *check = container_of(l, struct check, link);
        int from_place, for_user;
        count_alike(&lane->running, check, &from_place, &for_user);
        if (shared > 0 && (from_place >= shared || for_user >= shared))
            continue;
        int has = from_place + for_user;
        if (best != NULL && has >= least)
            continue;
        best = check;
        least = has;
        if (has == 0)
            break;
    }
    if (best != NULL)
        list_remove(&lane->waiting, &best->link);
    return best;
}

// ---- threads

// Waits for a question; false: none came for so long that the thread should end.
static bool rest(struct lane *lane)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    lane->idle++;
    int rc = pthread_cond_timedwait(&lane->asked, &lane->checker->lock, &until);
    lane->idle--;
    return rc != ETIMEDOUT;
}

static void ask_service(struct lane *lane, struct check *check)
{
    struct checker *checker = lane->checker;
    list_push_back(&lane->running, &check->link);
    checker->busy++;
    pthread_mutex_unlock(&checker->lock);
    checker->run(check);
    pthread_mutex_lock(&checker->lock);
    checker->busy--;
    list_remove(&lane->running, &check->link);
    check->back(check, !checker->stopped && !check->forgotten);
}

static void release(struct checker *checker)
{
    bool last = --checker->holders == 0;
    pthread_cond_broadcast(&checker->ended);
    pthread_mutex_unlock(&checker->lock);
    if (!last)
        return;
    pthread_cond_destroy(&checker->ended);
    pthread_mutex_destroy(&checker->lock);
    mem_free(checker);
}

static void *run_thread(void *arg)
{
    struct lane *lane = arg;
    struct checker *checker = lane->checker;
    pthread_mutex_lock(&checker->lock);
    bool rested = true;
    while (!checker->stopped && lane->threads <= lane->threads_most) {
        struct check *check = next_check(lane);
        if (check != NULL)
            ask_service(lane, check);
        else if (!rested)
            break;
        rested = check != NULL || rest(lane);
    }
    lane->threads--;
    checker->threads--;
    lane_free_if_unused(lane);
    release(checker);
    return NULL;
}

static bool start_thread(struct lane *lane)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attributes, run_thread, lane);
    pthread_attr_destroy(&attributes);
    if (rc != 0)
        return false;
    pthread_setname_np(thread, "login checker");
    lane->threads++;
    lane->checker->threads++;
    lane->checker->holders++;
    return true;
}

// ---- asking

static enum checker_answer may_wait(const struct lane *lane, const struct check *check, int queue)
{
    int from_place, for_user;
    int share = queue > 1 ? queue / 2 : 1;
    if ((int)lane->waiting.count >= queue)
        return CHECKER_FULL;
    count_alike(&lane->waiting, check, &from_place, &for_user);
    return from_place >= share ? CHECKER_PLACE_FULL
           : for_user >= share ? CHECKER_USER_FULL
                               : CHECKER_ASKED;
}

static enum checker_answer take(struct lane *lane, struct check *check, int threads, int queue)
{
    lane->threads_most = threads;
    enum checker_answer answer = may_wait(lane, check, queue);
    if (answer != CHECKER_ASKED)
        return answer;
    if (lane->idle <= (int)lane->waiting.count && lane->threads < threads && !start_thread(lane) &&
        lane->threads == 0)
        return CHECKER_NO_THREAD;
    list_push_back(&lane->waiting, &check->link);
    pthread_cond_signal(&lane->asked);
    return CHECKER_ASKED;
}

enum checker_answer checker_ask(struct checker *checker, struct check *check, int threads,
                                int queue)
{
    link_init(&check->link);
    check->who = hash_bytes(check->user, strlen(check->user));
    check->forgotten = false;
    pthread_mutex_lock(&checker->lock);
    struct lane *lane = lane_of(checker, check);
    enum checker_answer answer = take(lane, check, threads, queue);
    lane_free_if_unused(lane);
    pthread_mutex_unlock(&checker->lock);
    return answer;
}

// ---- forgetting

static struct check *find(struct list *list, uint64_t client)
{
    list_each(list, l)
    {
        struct check *check = container_of(l, struct check, link);
        if (check->client == client)
            return check;
    }
    return NULL;
}

static bool forget_in(struct lane *lane, uint64_t client)
{
    struct check *check = find(&lane->waiting, client);
    if (check != NULL) {
        list_remove(&lane->waiting, &check->link);
        check->back(check, false);
        return true;
    }
    check = find(&lane->running, client);
    if (check != NULL)
        check->forgotten = true;
    return check != NULL;
}

bool checker_forget(struct checker *checker, uint64_t client)
{
    bool found = false;
    pthread_mutex_lock(&checker->lock);
    list_each(&checker->lanes, l)
        found |= forget_in(container_of(l, struct lane, link), client);
    pthread_mutex_unlock(&checker->lock);
    return found;
}

int checker_pending(struct checker *checker)
{
    pthread_mutex_lock(&checker->lock);
    int pending = checker->busy;
    list_each(&checker->lanes, l)
        pending += (int)container_of(l, struct lane, link)->waiting.count;
    pthread_mutex_unlock(&checker->lock);
    return pending;
}

// ---- the end

static void drop_waiting(struct lane *lane)
{
    struct link *l;
    while ((l = list_pop_front(&lane->waiting)) != NULL) {
        struct check *check = container_of(l, struct check, link);
        check->back(check, false);
    }
}

int checker_stop(struct checker **pointer)
{
    struct checker *checker = *pointer;
    *pointer = NULL;
    if (checker == NULL)
        return 0;
    pthread_mutex_lock(&checker->lock);
    checker->stopped = true;
    list_each(&checker->lanes, l)
    {
        struct lane *lane = container_of(l, struct lane, link);
        drop_waiting(lane);
        pthread_cond_broadcast(&lane->asked);
    }
    while (checker->threads > checker->busy)
        pthread_cond_wait(&checker->ended, &checker->lock);
    int busy = checker->busy;
    release(checker);
    return busy;
}
