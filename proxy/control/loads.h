// SPDX-License-Identifier: Apache-2.0
// When a domain's catalog is to be loaded anew, and what must happen once it is there: new names
// were asked for, the schema has changed, or own DDL waits behind its barrier. Pure but for the
// ledger; control thread; part of a following.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/ledger.h"

struct domain;

enum { LOADS_NAMES_MAX = 4096 };

struct loads {
    struct domain *domain; // borrows
    struct ledger *ledger; // borrows
    uint64_t version;      // of the last load; another one for each
    size_t names_loaded;   // domain_names_version() of the last load
    bool schema_changed;
    bool flush;         // the load under way is for more than new names: entries must die
    bool more_changed;  // by own DDL, whether a load finds it or not
    size_t ddl_waiting; // barriers of own DDL that came since the last load was sent
    size_t ddl_riding;  // those that the load under way will lower
    int64_t sent_us;
    int64_t took_us; // the last one; 0: it was the connection's first
    bool first;      // the next one is: its queries are planned, which the others need not wait for
};

void loads_init(struct loads *l, struct domain *domain, struct ledger *ledger);
// Own DDL was committed, and a barrier raised for it; more: see domain_ddl().
void loads_own_ddl(struct loads *l, bool more);
// When the next load is due, INT64_MAX when none is wanted. A load takes longer than a reading, and
// readings keep the cache on: loads get at most a third of the time.
int64_t loads_due_us(const struct loads *l);
// A load is about to be sent: everything known until now rides on it. The names to load for; at
// most LOADS_NAMES_MAX.
size_t loads_begin(struct loads *l, bool utf8, int64_t now_us, struct slice *names);
// The new catalog has been published. changed: another fingerprint than the last one's. True when
// every entry had to die.
bool loads_end(struct loads *l, bool changed, int64_t now_us);
// The connection is gone and the ledger off.
void loads_lost(struct loads *l);
