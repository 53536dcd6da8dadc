// SPDX-License-Identifier: Apache-2.0
#include "pool/quota.h"

#include "base/check.h"

void quota_init(struct pool_quota *quota)
{
    pthread_mutex_init(&quota->lock, NULL);
    list_init(&quota->members);
    list_init(&quota->starving);
}

void quota_fini(struct pool_quota *quota)
{
    CHECK(list_empty(&quota->members));
    pthread_mutex_destroy(&quota->lock);
}

bool quota_is_deserted(struct pool_quota *quota)
{
    pthread_mutex_lock(&quota->lock);
    bool is = list_empty(&quota->members);
    pthread_mutex_unlock(&quota->lock);
    return is;
}

void quota_join(struct pool_quota *quota, struct quota_member *member,
                const struct quota_spare *spare)
{
    *member = (struct quota_member){.spare = spare};
    link_init(&member->link);
    link_init(&member->turn);
    pthread_mutex_lock(&quota->lock);
    list_push_back(&quota->members, &member->link);
    pthread_mutex_unlock(&quota->lock);
}

// ---- under the lock ----

static struct quota_member *member_of(struct link *link)
{
    return container_of(link, struct quota_member, link);
}

static struct quota_member *turn_of(struct link *link)
{
    return container_of(link, struct quota_member, turn);
}

static void satisfy(struct pool_quota *quota, struct quota_member *member)
{
    if (!link_in_list(&member->turn))
        return;
    list_remove(&quota->starving, &member->turn);
    member->starving_us = 0;
    quota->contended--;
}

// Into the queue, in order of how long they wait.
static void starve(struct pool_quota *quota, struct quota_member *member, int64_t since_us)
{
    satisfy(quota, member);
    member->starving_us = since_us;
    struct link *before = NULL; // the last that waits longer
    list_each(&quota->starving, l)
    {
        if (turn_of(l)->starving_us > since_us)
            break;
        before = l;
    }
    if (before == NULL)
        list_push_front(&quota->starving, &member->turn);
    else
        list_insert_after(&quota->starving, before, &member->turn);
    quota->contended++;
}

static int share_of(struct pool_quota *quota)
{
    int with_demand = 0;
    list_each(&quota->members, l)
    {
        struct quota_member *m = member_of(l);
        if (m->held > m->spare->idle || link_in_list(&m->turn))
            with_demand++;
    }
    return with_demand > 0 ? quota->limit / with_demand : quota->limit;
}

static bool is_entitled(const struct quota_member *member, int share)
{
    return member->held == 0 || member->held < share;
}

// The first in the queue that is entitled, else the first of all; NULL: nobody starves.
static struct quota_member *first_in_turn(struct pool_quota *quota, int share)
{
    list_each(&quota->starving, l)
    {
        if (is_entitled(turn_of(l), share))
            return turn_of(l);
    }
    struct link *first = list_first(&quota->starving);
    return first != NULL ? turn_of(first) : NULL;
}

static bool has_free(const struct pool_quota *quota)
{
    return quota->limit == 0 || quota->used < quota->limit;
}

// Is one free, and one for everybody else in the queue?
static bool has_plenty(const struct pool_quota *quota, const struct quota_member *member)
{
    int others = quota->contended - link_in_list(&member->turn);
    return quota->limit == 0 || quota->limit - quota->used > others;
}

static bool take(struct pool_quota *quota, struct quota_member *member, int64_t since_us)
{
    if (!has_plenty(quota, member)) {
        if (since_us == 0)
            return false;
        if (member->starving_us != since_us)
            starve(quota, member, since_us);
        if (!has_free(quota) || first_in_turn(quota, share_of(quota)) != member)
            return false;
    }
    satisfy(quota, member);
    quota->used++;
    member->held++;
    return true;
}

// The one whose idle connection is to be closed next; NULL: nobody's.
static struct quota_member *victim(struct pool_quota *quota, int64_t now_us)
{
    int share = share_of(quota);
    struct quota_member *found = NULL, *first = first_in_turn(quota, share);
    if (first == NULL || has_free(quota) || quota->leaving >= quota->contended)
        return NULL;
    list_each(&quota->members, l)
    {
        struct quota_member *m = member_of(l);
        if (m->spare->idle == 0 || link_in_list(&m->turn))
            continue;
        bool rested = now_us - m->spare->since_us >= QUOTA_TURN_US;
        if (!rested && !is_entitled(first, share))
            continue;
        if (found == NULL || m->spare->since_us < found->spare->since_us)
            found = m;
    }
    return found;
}

// ---- the interface ----

bool quota_take(struct pool_quota *quota, struct quota_member *member, int64_t since_us)
{
    pthread_mutex_lock(&quota->lock);
    bool taken = take(quota, member, since_us);
    pthread_mutex_unlock(&quota->lock);
    return taken;
}

void quota_add(struct pool_quota *quota, struct quota_member *member)
{
    pthread_mutex_lock(&quota->lock);
    member->held++;
    quota->used++;
    pthread_mutex_unlock(&quota->lock);
}

void quota_untake(struct pool_quota *quota, struct quota_member *member)
{
    pthread_mutex_lock(&quota->lock);
    CHECK(member->held > 0);
    member->held--;
    quota->used--;
    pthread_mutex_unlock(&quota->lock);
}

enum quota_standing quota_standing(struct pool_quota *quota, const struct quota_member *member)
{
    if (quota->limit == 0)
        return QUOTA_FREE;
    pthread_mutex_lock(&quota->lock);
    enum quota_standing standing = has_free(quota) ? QUOTA_FREE
                                   : is_entitled(member, share_of(quota)) ? QUOTA_OWED
                                                                          : QUOTA_NOTHING;
    pthread_mutex_unlock(&quota->lock);
    return standing;
}

void quota_wait(struct pool_quota *quota, struct quota_member *member, int64_t since_us)
{
    pthread_mutex_lock(&quota->lock);
    if (quota->limit > 0 && since_us > 0 && member->starving_us != since_us)
        starve(quota, member, since_us);
    pthread_mutex_unlock(&quota->lock);
}

void quota_give(struct pool_quota *quota, struct quota_member *member)
{
    pthread_mutex_lock(&quota->lock);
    CHECK(member->held > 0);
    member->held--;
    quota->used--;
    if (quota->leaving > 0)
        quota->leaving--;
    pthread_mutex_unlock(&quota->lock);
}

void quota_content(struct pool_quota *quota, struct quota_member *member)
{
    if (quota->contended == 0)
        return;
    pthread_mutex_lock(&quota->lock);
    satisfy(quota, member);
    pthread_mutex_unlock(&quota->lock);
}

void quota_leave(struct pool_quota *quota, struct quota_member *member)
{
    pthread_mutex_lock(&quota->lock);
    CHECK(member->held == 0);
    satisfy(quota, member);
    list_remove(&quota->members, &member->link);
    pthread_mutex_unlock(&quota->lock);
}

bool quota_has_spare(struct pool_quota *quota, int64_t now_us)
{
    if (quota->contended == 0)
        return false;
    pthread_mutex_lock(&quota->lock);
    bool has = victim(quota, now_us) != NULL;
    pthread_mutex_unlock(&quota->lock);
    return has;
}

bool quota_evicts(struct pool_quota *quota, struct quota_member *member, int64_t now_us)
{
    if (quota->contended == 0)
        return false;
    pthread_mutex_lock(&quota->lock);
    bool evicts = victim(quota, now_us) == member;
    if (evicts)
        quota->leaving++;
    pthread_mutex_unlock(&quota->lock);
    return evicts;
}

bool quota_yields(struct pool_quota *quota, struct quota_member *member, int64_t opened_us,
                  bool idle, int64_t now_us)
{
    if (quota->contended == 0)
        return false;
    pthread_mutex_lock(&quota->lock);
    int share = share_of(quota);
    struct quota_member *first = first_in_turn(quota, share);
    bool yields = first != NULL && first != member && is_entitled(first, share) &&
                  !has_free(quota) && quota->leaving < quota->contended;
    if (yields && !idle) {
        bool had_turn = share > 0 || now_us - opened_us >= QUOTA_TURN_US;
        yields = member->held > share && had_turn;
    }
    if (yields)
        quota->leaving++;
    pthread_mutex_unlock(&quota->lock);
    return yields;
}
