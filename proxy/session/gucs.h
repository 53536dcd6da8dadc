// SPDX-License-Identifier: Apache-2.0
// The settings that a session has made its own, beside those whose value the server reports
// (vars.h): names and values, the role and the session's user among them ("role",
// "session_authorization"). A client has those that it wants, a server those that it has; the same
// set is often both's, so a set never changes, is counted, and may be looked at by any thread. No
// settings: NULL.
// Not here: how they become known (remains.h), and when they are made true (link.c).
#pragma once
#include "base/buf.h"

struct guc {
    const char *name;  // lower case
    const char *value; // as current_setting() shows it
    const char *encoding; // of those, where they are not ASCII; else ""
};

struct gucs {
    _Atomic uint32_t refs;
    uint32_t count;
    uint64_t hash;          // of all
    uint64_t planning_hash; // of those that a prepared statement's meaning may depend on
    struct guc at[];  // by name; no two have the same
};

// One being put together; of several values for one name the last one counts.
struct gucs_draft {
    struct buf bytes; // name, value, encoding, each with a NUL
    uint32_t count;
    const char *encoding; // borrows; of what is added; NULL: the session's, whatever it is
};
void gucs_draft_fini(struct gucs_draft *draft);
void gucs_draft_add(struct gucs_draft *draft, struct slice name, struct slice value);

// The caller's count; NULL for nothing. The draft is empty afterwards.
struct gucs *gucs_new(struct gucs_draft *draft);
// Those of base, but where `over` has a name its value. The caller's count.
struct gucs *gucs_join(const struct gucs *base, const struct gucs *over);
// Those of p that base does not have with the same value. The caller's count.
struct gucs *gucs_without(const struct gucs *p, const struct gucs *base);
struct gucs *gucs_without_name(const struct gucs *p, const char *name); // the caller's count
// Those of p without the invented ones that are empty and that base has: what RESET leaves of them,
// where PostgreSQL would go back to what it was given at the session's start. Those stay that
// `before` has as empty (NULL: none). The caller's count.
struct gucs *gucs_without_emptied(const struct gucs *p, const struct gucs *base,
                                  const struct gucs *before);
struct gucs *gucs_ref(struct gucs *p); // NULL is fine
void gucs_unref(struct gucs **p);            // likewise; clears the pointer

// Sets that were met lately: of equal ones, one is kept by all. A worker's.
enum { GUCS_COMMON = 64 };
struct gucs_common {
    struct gucs *at[GUCS_COMMON]; // count
};
void gucs_share(struct gucs_common *common, struct gucs **p); // NULL inside is fine
void gucs_common_fini(struct gucs_common *common);

const char *gucs_find(const struct gucs *p, const char *name); // NULL: not in it
const struct guc *gucs_get(const struct gucs *p, const char *name); // likewise
bool gucs_equal(const struct gucs *a, const struct gucs *b);

// Appends the statements (and a NUL) that change a session that has `have` into one that has
// `want`. True when they cannot fail there, whatever has become of roles and privileges since: then
// what follows may be sent without waiting for their answer.
bool gucs_change(const struct gucs *have, const struct gucs *want,
                       struct buf *sql);
