// SPDX-License-Identifier: Apache-2.0
// A domain is one database of one cluster as the cache knows it: its ledger (what may be served),
// its catalog (what the schema looks like), and the road by which workers tell the control thread
// what they wrote and what they wish for.
//
// This is the workers' side: every function here may be called from any thread, takes no lock that
// is held across I/O, and never waits for the control thread. What the control thread does with a
// domain (connections, stream, readings) is in following.h; nothing of libpq belongs here.
//
// Lifetime: domains are made by domains_get() and live until domains_free(), which the control
// thread calls after every worker has stopped. A pointer to a domain is never dangling.
//
// Two targets may turn out to be one database (two host names, a socket and TCP). The second one is
// then an alias: domain_canonical() gives the one whose ledger counts, for both. Always go through
// domain_ledger()/domain_catalog_ref(), which do. Put domain_id(d) into the cache key.
//
// The order a worker keeps for a fill (MUST):
//   1. ledger_stamp(domain_ledger(d), &stamp)
//   2. domain_catalog_version() / domain_catalog_ref(), analysis, slots
//   3. the query is sent; 4. the reply is stored if ledger_judge() still agrees.
// A new catalog is published before the epoch rises, so a fill that used the old catalog carries
// an old epoch and is dead.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "proxy/control/sessions.h"
#include "proxy/control/stream.h"

struct catalog;
struct ledger;
struct ticket_slots;
struct domain;
struct domains;

// Where a database is and who looks after it. user and password serve only when control_user is
// not configured; both may be NULL (password: then the users file is asked). Copied.
struct domain_target {
    const char *host; // a name, an address, or the directory of a unix socket; NULL or "": default
    int port;
    const char *dbname;
    const char *user;
    const char *password;
};

// The domain of that target; the first call for it asks the control thread to start following it.
// Two targets are the same when host, port and dbname are. NULL when there are too many domains
// (1024): that database is then simply not cached.
struct domain *domains_get(struct domains *domains, const struct domain_target *target);

// Stable for the life of the process, and the same for a domain and its aliases: goes in the key.
// Read it in the same breath as domain_ledger() (through one domain_canonical()).
struct domain *domain_canonical(struct domain *domain);
uint32_t domain_id(const struct domain *canonical);

// The ledger that counts for this domain; borrowed, lives as long as the domains.
struct ledger *domain_ledger(struct domain *domain);

// Changes whenever another catalog is in force: a worker keeps its counted catalog and takes a new
// one only when the version differs from the one it noted. 0: none yet.
uint64_t domain_catalog_version(struct domain *domain);

// A counted reference (catalog_unref() when done), or NULL before the first one was loaded.
struct catalog *domain_catalog_ref(struct domain *domain);

// The caller met table (and view, ...) or function names that the catalog has not loaded
// (CATALOG_PENDING): they are loaded soon, and the catalog version changes. Asking again for a name
// already asked for costs one lookup. Unqualified names, any schema. At most 4096 names for each
// domain; beyond that they are ignored and the statements on them stay uncached.
void domain_want_names(struct domain *domain, const struct slice *names, size_t n);
// Are all that were asked for in the catalog?
bool domain_knows_names(struct domain *domain);
// Is a name that was never asked for going to be known after domain_want_names()?
bool domain_learns_names(struct domain *domain);

// A hit failed because the ledger was not fresh enough: take a freshness reading soon. An atomic
// flag, and at most one wake of the control thread for each millisecond.
void domain_hurry(struct domain *domain);

// A write's commit was answered by the server, and the client has NOT been answered yet. Closes the
// slots of what it wrote (ticket.h says which are which), and with barrier (effects not known)
// stops all hits;
// both before this returns. They open again when the control thread has learnt the position that
// covers the commit. Also right for a statement that failed: closing too much only
// costs hits.
void domain_wrote(struct domain *domain, const struct ticket_slots *slots, bool barrier);

// A client or a connection to the server is lost between a write and the answer to its commit: the
// server may commit it, now or later, as long as its process lives. backend_pid is that of its
// BackendKeyData. Call it BEFORE the socket to the server is closed, with what domain_wrote() would
// have got. With WAL this is domain_wrote(): the stream tells what became of it. Else (invalidation
// = proxy) slots and barrier are held until the process is gone, however long it works on.
void domain_in_doubt(struct domain *domain, const struct ticket_slots *slots, bool barrier,
                     uint32_t backend_pid);

// DDL, GRANT, ALTER ROLE ... was committed through the proxy and the client has not been answered
// yet: no hit happens until a catalog that was read after this call is in force. Every entry dies:
// with more, at once; else, as relations have come or gone and nothing else, if that catalog's
// fingerprint is another one. roles: it changed what all databases of the server share, so that all
// of them count.
void domain_ddl(struct domain *domain, bool more, bool roles);
// Such a transaction is being prepared: whoever commits a prepared one may commit that.
void domain_prepares_ddl(struct domain *domain);
bool domain_has_prepared_ddl(struct domain *domain);

// A worker's session in this domain has told to which database it leads: it counts, until it has
// left.
void domain_session_came(struct domain *domain, struct database_identity where);
void domain_session_left(struct domain *domain, struct database_identity where);
// False: it leads elsewhere than the database that is followed: no hit happens any more before this
// returns, nor as long as there is such a session. True as well while none is followed yet.
bool domain_session_is_right(struct domain *domain, struct database_identity where);

// CACHE FLUSH: what was read of the table counts as written, so that what is being read now is not
// kept. Marks the slots of what depends on it in flushed[LEDGER_SLOTS], for the caller to drop.
// False: the catalog knows no such table.
bool domain_flush(struct domain *domain, struct slice schema, struct slice table, bool *flushed);
void domain_flush_all(struct domain *domain); // ... of any table

// Each domain that stands for itself; any thread.
void domains_each(struct domains *domains, void (*visit)(struct domain *domain, void *arg),
                  void *arg);
// As SHOW has it, "dbname@host:port".
enum { DOMAIN_TARGET_BYTES = 320 };
void domain_describe(struct domain *domain, char *text);

// ---- what SHOW and /metrics say --------------------------------------------------------------

// Name in SHOW and /metrics.
#define DOMAIN_STATES(X)                                                                           \
    X(NEW, "new")                 /* asked for, not yet tried */                                   \
    X(CONNECTING, "connecting")   /* logging in, loading the catalog, creating the slot */         \
    X(CATCHING_UP, "catching_up") /* the stream runs; not yet known fresh */                       \
    X(FOLLOWING, "following")     /* the cache is on */                                            \
    X(ALIAS, "alias")             /* another domain stands for it */                               \
    X(WAITING, "waiting")         /* it failed (reason says how) and is tried again soon */        \
    X(REFUSED, "refused")         /* the configuration forbids it (reason) */

enum domain_state {
#define X(name, label) DOMAIN_##name,
    DOMAIN_STATES(X)
#undef X
};

static inline const char *domain_state_name(enum domain_state state)
{
    switch (state) {
#define X(name, label)                                                                             \
    case DOMAIN_##name:                                                                            \
        return label;
        DOMAIN_STATES(X)
#undef X
    }
    return "unknown";
}

struct domain_status {
    char target[320];       // "dbname@host:port"
    uint32_t id;
    uint32_t canonical_id;  // differs from id for an alias
    enum domain_state state;
    char reason[256];       // why not FOLLOWING; "" when it is
    struct stream_names stream; // all "" if there is none
    uint64_t system;        // system identifier of the cluster; 0 unknown
    uint32_t database_oid;  // 0 unknown
    uint64_t stable;        // position, as in pg_lsn
    uint64_t passed;        // position up to which the stream has been read
    uint64_t flushed;       // the server's flush position at the last reading (stream's lag:
                            // flushed - passed, bytes)
    int64_t fresh_age_us;   // age of the freshness instant; -1: not known fresh
    int64_t reading_us;     // duration of the last full reading
    uint64_t readings;      // full ones, taken so far
    int64_t gate_us;        // duration of the last gate reading: without the schema, see follower.h
    uint64_t gates;         // taken so far
    uint64_t reconnects;    // times the stream was lost
    uint64_t transactions;  // commits seen in the stream
    uint64_t schema_changes; // times everything cached was given up for one
    uint64_t catalog_loads;
    size_t names;           // names whose schema is watched
};

// Calls visit for each domain with a copy of its status, in order of id. Any thread.
void domains_status(struct domains *domains, void (*visit)(const struct domain_status *, void *),
                    void *arg);
