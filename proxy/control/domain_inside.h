// SPDX-License-Identifier: Apache-2.0
// The control thread's side of domain.h: taking what workers have posted, and publishing what they
// may use. Only proxy/control/ includes it. Everything here is called by the control thread.
#pragma once
#include "base/mailbox.h"
#include "proxy/control/domain.h"

// Kinds of mail to a domain.
enum domain_mail {
    DOMAIN_MAIL_TICKET, // a struct ticket (cache/follower.h), through its mail member
    DOMAIN_MAIL_DDL,    // a bare struct mail, from mem_alloc: a barrier was raised for it
    DOMAIN_MAIL_DDL_OF_RELATIONS, // likewise; entries die only if the catalog shows it
};

// wake: safe from any thread; called when a domain is new or has something for the control thread.
struct domains *domains_new(void (*wake)(void *arg), void *arg);
void domains_free(struct domains *domains); // no worker may use it any more; mailboxes are emptied

size_t domains_count(struct domains *domains);
struct domain *domains_at(struct domains *domains, size_t i); // in order of creation

const struct domain_target *domain_target(const struct domain *domain);
struct ledger *domain_own_ledger(struct domain *domain);

// True when a worker has called since the last time: mail, names or hurry may be there.
bool domain_take_call(struct domain *domain);
struct mail *domain_take_mail(struct domain *domain);
bool domain_hurried(struct domain *domain); // stays so until domain_unhurry()
void domain_unhurry(struct domain *domain); // right before the reading is sent

// The names that workers asked for. The version counts them; the bytes live as long as the domain.
size_t domain_names_version(struct domain *domain);
size_t domain_names(struct domain *domain, struct slice *out, size_t max);

// Which database the control connection has reached; {0}: none. Do some sessions lead elsewhere?
void domain_set_identity(struct domain *domain, struct database_identity identity);
bool domain_strays(struct domain *domain);

// NULL: it is not known which database this is; itself; or the domain that stands for it.
void domain_set_canonical(struct domain *domain, struct domain *canonical);
// Takes the reference over; it was loaded for the first so many names. Whoever must, flushes the
// ledger AFTER this.
void domain_publish(struct domain *domain, struct catalog *catalog, size_t names);
// target, id, canonical_id, stable and fresh_age_us are filled in by domain.c when asked.
void domain_set_status(struct domain *domain, const struct domain_status *status);
