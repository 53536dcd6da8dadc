// SPDX-License-Identifier: Apache-2.0
// To which databases the workers' sessions of one domain lead, as each told: by right to the one
// that is followed. A name with several addresses, a balancer or a failover may lead them
// elsewhere, and then no event tells of what is read and written there. Not thread-safe: the
// domain's lock guards it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// Which database of which cluster: no two have the same. started_us 0: not known.
struct database_identity {
    uint64_t started_us;   // when the postmaster started, since 1970
    uint32_t database_oid;
};

static inline bool database_identity_equal(struct database_identity a, struct database_identity b)
{
    return a.started_us == b.started_us && a.database_oid == b.database_oid;
}

enum { SESSIONS_PLACES_MAX = 8 };

struct sessions {
    struct {
        struct database_identity identity;
        uint32_t count; // 0: the place is free
    } at[SESSIONS_PLACES_MAX];
    uint32_t beyond; // that found no place
};

void sessions_add(struct sessions *s, struct database_identity where);
void sessions_remove(struct sessions *s, struct database_identity where); // of one that was added
bool sessions_stray(const struct sessions *s, struct database_identity from); // some lead elsewhere
