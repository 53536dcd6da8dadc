// SPDX-License-Identifier: Apache-2.0
#include "pool/claim.h"

void claim_join(struct pool_claim *claim, struct pool_quota *database, struct pool_quota *user)
{
    claim->database = database;
    claim->user = user;
    quota_join(database, &claim->of_database, &claim->spare);
    quota_join(user, &claim->of_user, &claim->spare);
}

void claim_leave(struct pool_claim *claim)
{
    quota_leave(claim->database, &claim->of_database);
    quota_leave(claim->user, &claim->of_user);
}

// In the line of one at a time. In the user's where that has nothing for us: who waited in the
// database's would be given what others close for it, and could not have it. In both where others
// owe us one in each: what comes first is kept for us until the other is there, or those who closed
// it would have it again, in turns and for ever. (Who waits longest is first in both, so no two
// wait for each other.)
bool claim_take(struct pool_claim *claim, int64_t since_us)
{
    struct pool_quota *first = claim->database, *then = claim->user;
    struct quota_member *of_first = &claim->of_database, *of_then = &claim->of_user;
    if (quota_standing(then, of_then) == QUOTA_NOTHING) {
        first = claim->user, of_first = &claim->of_user;
        then = claim->database, of_then = &claim->of_database;
    }
    if (!quota_take(first, of_first, since_us)) {
        if (quota_standing(first, of_first) == QUOTA_OWED &&
            quota_standing(then, of_then) == QUOTA_OWED)
            quota_wait(then, of_then, since_us);
        else
            quota_content(then, of_then);
        return false;
    }
    if (!quota_take(then, of_then, since_us)) {
        quota_untake(first, of_first);
        if (quota_standing(then, of_then) == QUOTA_OWED)
            quota_wait(first, of_first, since_us);
        return false;
    }
    return true;
}

void claim_add(struct pool_claim *claim)
{
    quota_add(claim->database, &claim->of_database);
    quota_add(claim->user, &claim->of_user);
}

void claim_give(struct pool_claim *claim)
{
    quota_give(claim->database, &claim->of_database);
    quota_give(claim->user, &claim->of_user);
}

void claim_content(struct pool_claim *claim)
{
    quota_content(claim->database, &claim->of_database);
    quota_content(claim->user, &claim->of_user);
}

bool claim_has_spare(struct pool_claim *claim, int64_t now_us)
{
    return quota_has_spare(claim->database, now_us) || quota_has_spare(claim->user, now_us);
}

bool claim_evicts(struct pool_claim *claim, int64_t now_us)
{
    return quota_evicts(claim->database, &claim->of_database, now_us) ||
           quota_evicts(claim->user, &claim->of_user, now_us);
}

bool claim_yields(struct pool_claim *claim, int64_t opened_us, bool idle, int64_t now_us)
{
    return claim_contended(claim) &&
           (quota_yields(claim->database, &claim->of_database, opened_us, idle, now_us) ||
            quota_yields(claim->user, &claim->of_user, opened_us, idle, now_us));
}
