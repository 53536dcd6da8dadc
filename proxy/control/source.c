// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/source.h"

enum { VERSION_MIN = 130000 }; // pg_current_snapshot() and its like

static const char *wal_fault(const struct reading_identity *identity, enum ledger_off_reason *why)
{
    *why = LEDGER_OFF_WAL_LEVEL;
    if (!identity->logical)
        return "wal_level is not logical on the server";
    *why = LEDGER_OFF_PRIVILEGE;
    if (!identity->may_replicate)
        return "the control user lacks the REPLICATION attribute";
    return NULL;
}

const char *source_choose(enum config_invalidation asked, const struct reading_identity *identity,
                          enum source *source, enum ledger_off_reason *why)
{
    const char *fault;
    *why = LEDGER_OFF_UNSUPPORTED;
    if (identity->version < VERSION_MIN)
        return "PostgreSQL 13 or later is needed for the cache";
    *why = LEDGER_OFF_RECOVERY;
    if (identity->in_recovery)
        return "it is a standby, or is being restored";
    switch (asked) {
    case CONFIG_INVALIDATION_PROXY:
        *source = SOURCE_OWN;
        return NULL;
    case CONFIG_INVALIDATION_NOTIFY:
        *source = SOURCE_NOTIFY;
        *why = LEDGER_OFF_NO_TRIGGERS;
        return identity->triggers ? NULL : "run pgweir install-triggers on this database";
    case CONFIG_INVALIDATION_AUTO:
    case CONFIG_INVALIDATION_WAL:
        break;
    }
    *source = SOURCE_WAL;
    fault = wal_fault(identity, why);
    if (fault != NULL && asked == CONFIG_INVALIDATION_AUTO && identity->triggers) {
        *source = SOURCE_NOTIFY;
        return NULL;
    }
    return fault;
}
