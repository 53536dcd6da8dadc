// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/learnt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    LEARNT_TAG = 0x6c726e74,
    TIMES_DEARER = 200,         // it is believed for that many times what the check took
    BELIEVED_MAX_US = 60000000, // ... up to this, unless the interval says more
    TIMES_BETWEEN = 10,         // in doubt it is asked again after that many times
};

struct learnt {
    uint32_t tag;
    struct hash_node node;
    char *target; // owns
    _Atomic unsigned users;

    // The number of what is in force; 0: in doubt. EMPTY: no code anywhere.
    _Atomic uint64_t number;
    _Atomic uint64_t changes;
    _Atomic uint64_t surprises;
    _Atomic int64_t believed_until_us;
    _Atomic int64_t ask_from_us;

    pthread_mutex_t lock; // for what follows, and for writing the above
    struct coded *coded;  // counts; what was said last, in force or not
    uint32_t changing;    // transactions that change the schema
    bool asking;
    bool own_change;      // ... has been made since something was in force
    bool told_failure;    // it was logged
    uint64_t asked_changes;
    int64_t asked_us;
    int64_t not_before_us; // however often it comes into doubt
};

static const uint64_t EMPTY = UINT64_MAX >> 1;

struct learnt *learnt_new(const char *target)
{
    struct learnt *learnt = mem_new(struct learnt);
    TAG_SET(learnt, LEARNT_TAG);
    learnt->target = mem_strdup(target);
    learnt->changes = 1;
    CHECK(pthread_mutex_init(&learnt->lock, NULL) == 0);
    return learnt;
}

void learnt_free(struct learnt *learnt)
{
    TAG_CHECK(learnt, LEARNT_TAG);
    coded_unref(&learnt->coded);
    pthread_mutex_destroy(&learnt->lock);
    mem_free(learnt->target);
    TAG_CLEAR(learnt);
    mem_free(learnt);
}

struct hash_node *learnt_node(struct learnt *learnt)
{
    return &learnt->node;
}

struct learnt *learnt_of_node(struct hash_node *node)
{
    return container_of(node, struct learnt, node);
}

const char *learnt_target(const struct learnt *learnt)
{
    return learnt->target;
}

void learnt_join(struct learnt *learnt)
{
    learnt->users++;
}

void learnt_leave(struct learnt *learnt)
{
    unsigned before = learnt->users--;
    CHECK(before > 0);
}

bool learnt_is_deserted(const struct learnt *learnt)
{
    return learnt->users == 0;
}

// ---- verdicts ----

// What is in force now, and no later than that: the memo must not get a newer one's number.
static enum learnt_verdict look_up(struct learnt *learnt, struct analysis *analysis)
{
    pthread_mutex_lock(&learnt->lock);
    bool known = learnt->number != 0;
    struct coded *coded = known ? coded_ref(learnt->coded) : NULL;
    pthread_mutex_unlock(&learnt->lock);
    if (!known)
        return LEARNT_IN_DOUBT;
    bool concerns = coded_concerns(coded, analysis);
    atomic_store_explicit(&analysis->coded_memo, coded_number(coded) << 1 | concerns,
                          memory_order_relaxed);
    coded_unref(&coded);
    return concerns ? LEARNT_CODED : LEARNT_HARMLESS;
}

enum learnt_verdict learnt_verdict(struct learnt *learnt, struct analysis *analysis,
                                   int64_t now_us)
{
    uint64_t number = atomic_load_explicit(&learnt->number, memory_order_acquire);
    int64_t until = atomic_load_explicit(&learnt->believed_until_us, memory_order_relaxed);
    if (number == 0 || now_us > until)
        return analysis_may_run_more(analysis) ? LEARNT_IN_DOUBT : LEARNT_HARMLESS;
    if (number == EMPTY)
        return LEARNT_HARMLESS;
    uint64_t memo = atomic_load_explicit(&analysis->coded_memo, memory_order_relaxed);
    if (memo >> 1 == number)
        return memo & 1 ? LEARNT_CODED : LEARNT_HARMLESS;
    return look_up(learnt, analysis);
}

// ---- changes ----

uint64_t learnt_changes(const struct learnt *learnt)
{
    return atomic_load_explicit(&learnt->changes, memory_order_acquire);
}

uint64_t learnt_surprises(const struct learnt *learnt)
{
    return atomic_load_explicit(&learnt->surprises, memory_order_relaxed);
}

bool learnt_is_surprised(struct learnt *learnt)
{
    pthread_mutex_lock(&learnt->lock);
    bool is = learnt->number == 0 && learnt->coded != NULL && !learnt->own_change;
    pthread_mutex_unlock(&learnt->lock);
    return is;
}

static void doubt(struct learnt *learnt)
{
    learnt->number = 0;
    learnt->changes++;
    learnt->ask_from_us = 0;
}

void learnt_change_begins(struct learnt *learnt)
{
    pthread_mutex_lock(&learnt->lock);
    learnt->changing++;
    learnt->own_change = true;
    doubt(learnt);
    pthread_mutex_unlock(&learnt->lock);
}

void learnt_change_ends(struct learnt *learnt)
{
    pthread_mutex_lock(&learnt->lock);
    CHECK(learnt->changing > 0);
    learnt->changing--;
    doubt(learnt);
    pthread_mutex_unlock(&learnt->lock);
}

void learnt_ask_soon(struct learnt *learnt)
{
    pthread_mutex_lock(&learnt->lock);
    learnt->ask_from_us = 0;
    pthread_mutex_unlock(&learnt->lock);
}

void learnt_forget(struct learnt *learnt)
{
    pthread_mutex_lock(&learnt->lock);
    coded_unref(&learnt->coded);
    doubt(learnt);
    pthread_mutex_unlock(&learnt->lock);
}

// ---- asking ----

bool learnt_may_want(struct learnt *learnt, int64_t now_us)
{
    return now_us >= atomic_load_explicit(&learnt->ask_from_us, memory_order_relaxed);
}

enum learnt_wants learnt_wants(struct learnt *learnt, int64_t now_us)
{
    if (!learnt_may_want(learnt, now_us))
        return LEARNT_NOTHING;
    enum learnt_wants wants = LEARNT_NOTHING;
    pthread_mutex_lock(&learnt->lock);
    if (!learnt->asking && learnt->changing == 0 && now_us >= learnt->ask_from_us &&
        now_us >= learnt->not_before_us) {
        learnt->asking = true;
        learnt->asked_changes = learnt->changes;
        learnt->asked_us = now_us;
        wants = learnt->coded != NULL ? LEARNT_CHECK : LEARNT_ALL;
    }
    pthread_mutex_unlock(&learnt->lock);
    return wants;
}

static void log_news(const struct learnt *learnt, int64_t took_us)
{
    log_info("%s: code behind %zu names of relations and the like (learnt in %lld ms)",
             learnt->target, coded_count(learnt->coded), (long long)(took_us / 1000));
}

static void put_in_force(struct learnt *learnt, enum learnt_wants asked, int64_t interval_us,
                         int64_t took_us)
{
    int64_t dear_us = asked == LEARNT_CHECK ? TIMES_DEARER * took_us : 0;
    if (dear_us > BELIEVED_MAX_US)
        dear_us = BELIEVED_MAX_US;
    int64_t believed_us = interval_us > dear_us ? interval_us : dear_us;
    learnt->believed_until_us = learnt->asked_us + believed_us;
    learnt->ask_from_us = learnt->asked_us + believed_us / 2;
    learnt->number = coded_is_empty(learnt->coded) ? EMPTY : coded_number(learnt->coded);
    learnt->told_failure = learnt->own_change = false;
}

// What runs now was judged by what is not so any more.
static void replace(struct learnt *learnt, struct coded **answer)
{
    doubt(learnt);
    learnt->asked_changes = learnt->changes;
    if (learnt->coded != NULL && !learnt->own_change && coded_adds(*answer, learnt->coded))
        learnt->surprises++;
    coded_unref(&learnt->coded);
    learnt->coded = *answer;
    *answer = NULL;
}

static void failed(struct learnt *learnt, int64_t interval_us, int64_t now_us)
{
    doubt(learnt);
    learnt->ask_from_us = now_us + interval_us / 2;
    if (!learnt->told_failure)
        log_warning("%s: what code is behind its relations cannot be learnt: sessions are looked "
                    "at after every transaction", learnt->target);
    learnt->told_failure = true;
}

enum learnt_wants learnt_told(struct learnt *learnt, enum learnt_wants asked,
                              struct coded *answer, int64_t interval_us, int64_t now_us)
{
    enum learnt_wants more = LEARNT_NOTHING;
    pthread_mutex_lock(&learnt->lock);
    int64_t took_us = now_us - learnt->asked_us;
    bool late = learnt->changes != learnt->asked_changes; // it may tell of what was before
    bool same = answer != NULL && learnt->coded != NULL && coded_same(answer, learnt->coded);
    if (answer == NULL) {
        failed(learnt, interval_us, now_us);
    } else if (late) {
        learnt->ask_from_us = 0;
    } else if (asked == LEARNT_CHECK && !same) {
        doubt(learnt);
        learnt->asked_changes = learnt->changes;
        learnt->asked_us = now_us;
        more = LEARNT_ALL;
    } else {
        if (!same) {
            replace(learnt, &answer);
            log_news(learnt, took_us);
        }
        put_in_force(learnt, asked, interval_us, took_us);
    }
    learnt->not_before_us = now_us + TIMES_BETWEEN * took_us;
    learnt->asking = more != LEARNT_NOTHING;
    pthread_mutex_unlock(&learnt->lock);
    coded_unref(&answer);
    return more;
}

void learnt_give_up(struct learnt *learnt, int64_t now_us)
{
    pthread_mutex_lock(&learnt->lock);
    learnt->not_before_us = now_us + TIMES_BETWEEN * (now_us - learnt->asked_us);
    learnt->asking = false;
    pthread_mutex_unlock(&learnt->lock);
}
