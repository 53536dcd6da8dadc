// SPDX-License-Identifier: Apache-2.0
// The control thread's work for one domain: it holds the two connections, feeds the follower (or,
// where no WAL is read, own_writes), keeps the catalog up to date, and begins again after a loss.
//
//   WAITING -> LOGIN -> LOADING -> SLOT -> HORIZON -> FOLLOWING       invalidation = auto, wal
//                           \----------------------> FOLLOWING       invalidation = proxy, notify
//               \-> ALIAS (another domain is the same database; the connection is held, so that we
//                          learn when this is no longer so)
// Any loss leads back to WAITING, with the ledger off, at once.
//
// Owner: the control thread; its lifetime is the control's. The rules of validity are the
// follower's; nothing here compares positions.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/control/sessions.h"

struct config;
struct domain;
struct following;

// What a following must know of the others.
struct following_peers {
    // Another domain that stands for itself and is that very database; NULL: none.
    struct domain *(*same)(void *arg, const struct following *self,
                           struct database_identity database);
    // This one is no longer known to be what it was: aliases of it must find out again.
    void (*lost)(void *arg, struct domain *domain);
    void *arg;
};

// Starts at the next turn of the loop. Takes its own reference to config.
struct following *following_new(struct ev_loop *loop, struct domain *domain, struct config *config,
                                const struct following_peers *peers);
void following_free(struct following *f); // the ledger is off afterwards

// Workers have called: takes mail, names and hurry, and sends what is due.
void following_called(struct following *f);
void following_reload(struct following *f, struct config *config);

// Is it that database, in its own right?
bool following_is(const struct following *f, struct database_identity database);
// The domain that this one is an alias of is lost.
void following_forsake(struct following *f, const struct domain *canonical);
struct domain *following_domain(const struct following *f);
