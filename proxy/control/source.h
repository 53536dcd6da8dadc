// SPDX-License-Identifier: Apache-2.0
// Where the events of a database come from: what `invalidation` asks for, and what the server
// allows. Pure; control thread.
#pragma once
#include "cache/ledger.h"
#include "config/settings.h"
#include "proxy/control/reading.h"

enum source {
    SOURCE_WAL,    // the stream of the WAL
    SOURCE_NOTIFY, // notifications, which triggers send
    SOURCE_OWN,    // nothing but what passes through here
};

// NULL: *source it is. Else why this server cannot be followed, as a sentence and a reason.
const char *source_choose(enum config_invalidation asked, const struct reading_identity *identity,
                          enum source *source, enum ledger_off_reason *why);
