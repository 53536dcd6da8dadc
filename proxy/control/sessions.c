// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/sessions.h"

#include "base/check.h"

static int place_of(const struct sessions *s, struct database_identity where)
{
    for (int i = 0; i < SESSIONS_PLACES_MAX; i++)
        if (s->at[i].count > 0 && database_identity_equal(s->at[i].identity, where))
            return i;
    return -1;
}

static int free_place(const struct sessions *s)
{
    for (int i = 0; i < SESSIONS_PLACES_MAX; i++)
        if (s->at[i].count == 0)
            return i;
    return -1;
}

void sessions_add(struct sessions *s, struct database_identity where)
{
    int i = place_of(s, where);
    if (i < 0)
        i = free_place(s);
    if (i < 0) {
        s->beyond++;
        return;
    }
    s->at[i].identity = where;
    s->at[i].count++;
}

// Of those beyond it is not known where they lead: some of one place may be counted here and some
// there, so that a place is counted until all of them have left.
void sessions_remove(struct sessions *s, struct database_identity where)
{
    int i = place_of(s, where);
    if (i >= 0) {
        s->at[i].count--;
        return;
    }
    CHECK(s->beyond > 0);
    s->beyond--;
}

bool sessions_stray(const struct sessions *s, struct database_identity from)
{
    for (int i = 0; i < SESSIONS_PLACES_MAX; i++)
        if (s->at[i].count > 0 && !database_identity_equal(s->at[i].identity, from))
            return true;
    return s->beyond > 0;
}
