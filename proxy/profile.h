// SPDX-License-Identifier: Apache-2.0
// A profile: what decides the meaning of a statement in a session beside the settings that the
// server reports, as one session told it: the effective search path, who it is, and the settings
// that change a result, or that policies and views ask for. Two sessions of the same profile, whose
// clients set the same themselves, may share replies.
// A route keeps the profiles that its sessions had, and which one belongs to which settings of the
// client; not thread-safe, the route's lock guards it. A profile never changes and lives as long as
// the route.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "cache/catalog.h"
#include "proxy/control/sessions.h"
#include "proxy/session/gucs.h"

struct profile {
    struct profile *next;
    uint32_t number;          // within the process; goes into cache keys
    bool cacheable;           // by the isolation that transactions have by default
    bool one_snapshot;        // REPEATABLE READ: only what is a transaction by itself is cacheable
    uint64_t settings;        // catalog_settings_hash() of those it knows
    uint32_t schema_count;
    struct slice *schemas;    // owns; effective search path, in order
    struct buf bytes;         // owns; the reply it was read from, which identifies it
};

enum { PROFILES_MAX = 512, PROFILE_PLACES_MAX = 4096 };

// Which profile a session has once these settings are made in it.
struct profile_place {
    struct hash_node node;
    struct gucs *settings; // counts; NULL: none
    struct profile *profile;
    uint64_t epoch;        // of the ledger, when it was asked for
};

struct profiles {
    struct profile *all; // owns
    uint32_t count;
    struct hash_table places; // by settings; owns them
    _Atomic uint64_t edition; // as long as it is the same, profiles_of() says the same; read by
                              // anybody
};

// Appends the question whose answer is an identity and a profile, and a NUL, for a session in which
// these settings of a client were made. catalog: that of its database, to be taken after the epoch
// that goes with the answer was read; NULL: none yet.
void profile_question(struct buf *sql, const struct catalog *catalog, const struct gucs *applied);

// Takes the answer (a DataRow body) apart: which database the session is in, and the profile's row,
// which is appended. False: it is not understood.
bool profile_identity(struct slice row, struct database_identity *where, struct buf *profile);

void profiles_fini(struct profiles *p);
// Which belongs to which is not known any more.
void profiles_forget(struct profiles *p);
// The profile of this row, NULL when there are too many different ones. From now
// on that of these settings, unless it tells of settings that the session may have beside them (not
// alone).
struct profile *profiles_note(struct profiles *p, struct gucs *settings, bool alone,
                              struct slice row, uint64_t epoch);
// One that is known already is that of these settings.
void profiles_keep(struct profiles *p, struct gucs *settings, struct profile *profile,
                   uint64_t epoch);
// That of these settings, if it was asked for in this epoch, else NULL.
struct profile *profiles_of(const struct profiles *p, const struct gucs *settings, uint64_t epoch);
