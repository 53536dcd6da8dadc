// SPDX-License-Identifier: Apache-2.0
// A cap on server connections that several pools share (max_db_connections, max_user_connections),
// and whose turn it is when they compete for it. Any thread; each quota has its own lock, a leaf:
// it may be taken under a pool's lock, and nothing is taken under it.
//
// Fair share: of n pools with demand each is entitled to limit / n connections. A pool that waits
// and has less than that gets the next connection that is given up; pools that have more give one
// up when it comes back to them. When there are more pools than connections the share is 0: then
// every pool that has none is entitled to one, and one that has had its turn (QUOTA_TURN_US) gives
// it up. Among the entitled the one whose client has waited longest is first. A pool within its
// share keeps what it has, so nothing moves while everybody has its share.
// Who decides what pools do about it is pool.c.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { QUOTA_TURN_US = 100000 };

// What a pool does not use; it writes, its quotas read.
struct quota_spare {
    _Atomic int idle;         // connections that nobody uses
    _Atomic int64_t since_us; // when one was given back last
};

// What one pool has of one quota; embedded in the pool. Under the quota's lock.
struct quota_member {
    struct link link;   // in quota->members
    struct link turn;   // in quota->starving while starving
    const struct quota_spare *spare; // borrows
    int held;            // connections counted: open and being opened
    int64_t starving_us; // since when the client waits that it has no connection for; 0: none
};

struct pool_quota {
    pthread_mutex_t lock;
    _Atomic int used;     // all that members hold; the console reads it
    _Atomic int limit;    // 0: no limit
    _Atomic int contended; // how many are starving: one look tells that there is nothing to do
    struct list members;
    struct list starving; // by starving_us
    int leaving;          // connections that are being closed for those who starve
};

void quota_init(struct pool_quota *quota);
void quota_fini(struct pool_quota *quota); // no members
bool quota_is_deserted(struct pool_quota *quota); // it has no members
void quota_join(struct pool_quota *quota, struct quota_member *member,
                const struct quota_spare *spare);
void quota_leave(struct pool_quota *quota, struct quota_member *member); // holds nothing

// Counts one more connection for this member. False: none is free, or others come first; it is in
// the queue then, for a client that waits since since_us (0: for nobody, and it is not queued).
bool quota_take(struct pool_quota *quota, struct quota_member *member, int64_t since_us);
// Takes back what quota_take counted a moment ago: nothing was opened.
void quota_untake(struct pool_quota *quota, struct quota_member *member);
// What the quota has for this member now.
enum quota_standing {
    QUOTA_FREE,    // one is free, for it or for whoever comes before it
    QUOTA_OWED,    // none is, but it has less than its share of what others hold
    QUOTA_NOTHING, // waiting in the queue is of no use to it now
};
enum quota_standing quota_standing(struct pool_quota *quota, const struct quota_member *member);
// In the queue, as quota_take() puts it there: one that comes free, or is, waits for it.
void quota_wait(struct pool_quota *quota, struct quota_member *member, int64_t since_us);
// Counts one that is there already, whatever the limit is.
void quota_add(struct pool_quota *quota, struct quota_member *member);
void quota_give(struct pool_quota *quota, struct quota_member *member);
void quota_content(struct pool_quota *quota, struct quota_member *member); // needs nothing more

// Does somebody have an idle connection that should be closed for those who starve? now_us as
// clock_us, here and below.
bool quota_has_spare(struct pool_quota *quota, int64_t now_us);
// Is it this member's? Then it must close one: told once for each that is needed.
bool quota_evicts(struct pool_quota *quota, struct quota_member *member, int64_t now_us);
// Must the member close a connection that came back to it, for the sake of others? opened_us:
// since when it has that connection; idle: its own clients do not want it now.
bool quota_yields(struct pool_quota *quota, struct quota_member *member, int64_t opened_us,
                  bool idle, int64_t now_us);
