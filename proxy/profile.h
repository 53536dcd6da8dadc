// SPDX-License-Identifier: Apache-2.0
// A profile: what decides the meaning of a statement in a session beside the settings that the
// server reports, as one session told it: the effective search path, who it is, and the settings
// that change a result. Two sessions of the same profile may share replies.
// A route keeps the profiles that its sessions had, and which one belongs to which settings of the
// client; not thread-safe, the route's lock guards it. A profile never changes and lives as long as
// the route.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "proxy/session/gucs.h"

struct profile {
    struct profile *next;
    uint32_t number;          // within the process; goes into cache keys
    bool cacheable;           // READ COMMITTED by default
    uint32_t schema_count;
    struct slice *schemas;    // owns; effective search path, in order
    struct buf bytes;         // owns; the reply it was read from, which identifies it
};

enum { PROFILES_MAX = 512, PROFILE_PLACES = 32 };

// Which profile a session has once these settings are made in it.
struct profile_place {
    struct gucs *settings; // counts
    struct profile *profile;
    uint64_t epoch;        // of the ledger, when it was asked for
};

struct profiles {
    struct profile *all; // owns
    uint32_t count;
    uint32_t next_place;
    struct profile_place places[PROFILE_PLACES]; // the first one is for no settings at all
};

// The question whose answer is a profile.
extern const char *const profile_question;

void profiles_fini(struct profiles *p);
// Which belongs to which is not known any more.
void profiles_forget(struct profiles *p);
// The profile of this reply (a DataRow body), from now on that of these settings; NULL when there
// are too many different ones.
struct profile *profiles_note(struct profiles *p, struct gucs *settings, struct slice row,
                              uint64_t epoch);
// That of these settings, if it was asked for in this epoch, else NULL.
struct profile *profiles_of(const struct profiles *p, const struct gucs *settings, uint64_t epoch);
