// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/fitness.h"

#include <string.h>

bool fitness_note(struct fitness *f, const char *name, const char *value)
{
    int8_t on = strcmp(value, "on") == 0;
    if (strcmp(name, "in_hot_standby") == 0)
        f->in_hot_standby = on;
    else if (strcmp(name, "default_transaction_read_only") == 0)
        f->read_only = on;
    else
        return false;
    return true;
}

bool fitness_changed(struct fitness *f, const char *name, const char *value)
{
    return strcmp(name, "in_hot_standby") == 0 && fitness_note(f, name, value);
}

const char *fitness_lacks(const struct fitness *f, enum config_target_session target)
{
    if (target == CONFIG_TARGET_ANY)
        return NULL;
    if (f->in_hot_standby < 0 || f->read_only < 0)
        return "server does not say whether it is a standby";
    bool read_only = f->in_hot_standby || f->read_only;
    switch (target) {
    case CONFIG_TARGET_ANY:
        break;
    case CONFIG_TARGET_READ_WRITE:
        return read_only ? "session is read-only" : NULL;
    case CONFIG_TARGET_READ_ONLY:
        return read_only ? NULL : "session is not read-only";
    case CONFIG_TARGET_PRIMARY:
        return f->in_hot_standby ? "server is in hot standby mode" : NULL;
    case CONFIG_TARGET_STANDBY:
        return f->in_hot_standby ? NULL : "server is not in hot standby mode";
    }
    return NULL;
}
