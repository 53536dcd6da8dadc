// SPDX-License-Identifier: Apache-2.0
// Which method applies to a client: a decision over the configuration and what is known of the
// client before it has proved anything. Pure; any thread. How a method is carried out does not
// belong here: proxy/session/login.h.
#pragma once
#include <stdbool.h>

#include "config/settings.h"

struct config;
struct hba_rule;
struct origin;

// Who asks, as far as can be told; all borrowed.
struct login_asker {
    const char *database, *user; // as it says
    const struct origin *origin;
    bool local;                  // over a unix socket of ours, and not announced by a load balancer
    bool is_console;             // the database is that, by any of its names
    bool encrypted;              // by TLS
    bool physical;               // for physical replication
};

struct login_method {
    enum config_auth_type type; // never CONFIG_AUTH_HBA
    const struct hba_rule *rule; // borrows from the configuration; NULL: an auth_type says so
};

// False: no line of the HBA file is for this one.
bool login_method_find(const struct config *config, const struct login_asker *asker,
                       struct login_method *method);

// The method for a user with this secret (NULL: none): md5 is SCRAM for who has only a SCRAM
// secret, as in PostgreSQL.
enum config_auth_type login_method_with(enum config_auth_type type, const char *secret);
