// SPDX-License-Identifier: Apache-2.0
// What a pool has of the two quotas that it counts in: its database's (max_db_connections) and its
// user's (max_user_connections). Embedded in the pool, and under its lock; the quotas' locks are
// taken within.
#pragma once
#include "pool/quota.h"

struct pool_claim {
    struct pool_quota *database, *user; // borrows; never NULL
    struct quota_member of_database, of_user;
    struct quota_spare spare; // what the pool does not use; its quotas read it
};

void claim_join(struct pool_claim *claim, struct pool_quota *database, struct pool_quota *user);
void claim_leave(struct pool_claim *claim); // it holds nothing

// Counts one more connection in both. False: one of them has none for it now; the pool is in that
// one's line then, for a client that waits since since_us (clock_us; 0: for nobody, and in none).
bool claim_take(struct pool_claim *claim, int64_t since_us);
void claim_add(struct pool_claim *claim); // one that is there already, whatever the limits are
void claim_give(struct pool_claim *claim);
void claim_content(struct pool_claim *claim); // the pool needs nothing more

// As the functions of quota.h: may a connection be closed for it, must it close one for others?
bool claim_has_spare(struct pool_claim *claim, int64_t now_us);
bool claim_evicts(struct pool_claim *claim, int64_t now_us);
bool claim_yields(struct pool_claim *claim, int64_t opened_us, bool idle, int64_t now_us);

// Does somebody wait for a connection in one of the two?
static inline bool claim_contended(const struct pool_claim *claim)
{
    return claim->database->contended > 0 || claim->user->contended > 0;
}
