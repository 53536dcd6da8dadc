// SPDX-License-Identifier: Apache-2.0
// Is a server what target_session_attrs of its database asks for? Told by two parameters that
// PostgreSQL reports from version 14 on, at the login and whenever they change. Plain data.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct fitness {
    int8_t in_hot_standby; // 1, 0; -1: it did not say
    int8_t read_only;      // default_transaction_read_only, likewise
};

static inline void fitness_init(struct fitness *f)
{
    *f = (struct fitness){-1, -1};
}

// A reported parameter; false: none of the two.
bool fitness_note(struct fitness *f, const char *name, const char *value);
// The same after the login: only of a standby that is promoted. Whether transactions are read-only
// by default is from then on what the session's client has set, and says nothing of the server.
bool fitness_changed(struct fitness *f, const char *name, const char *value);
// Why it does not do, in libpq's words; NULL: it does.
const char *fitness_lacks(const struct fitness *f, enum config_target_session target);
