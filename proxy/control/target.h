// SPDX-License-Identifier: Apache-2.0
// Who logs in where for a domain's control connections: libpq's keywords and values from the
// target and the configuration. Control thread.
#pragma once
#include "config/config.h"
#include "proxy/control/domain.h"

enum { TARGET_KEYWORDS = 24 };

struct target_login { // texts are borrowed from the target and the configuration
    const char *keywords[TARGET_KEYWORDS + 1];
    const char *values[TARGET_KEYWORDS + 1];
    char port[12];
};

// NULL, or one sentence that says why there can be no control connection.
const char *target_login(struct target_login *out, const struct domain_target *target,
                         const struct config *config, const char *application_name);

// Do the control connections of this target depend on what differs between the two?
bool target_login_changed(const struct domain_target *target, const struct config *old,
                          const struct config *new);
