// SPDX-License-Identifier: Apache-2.0
// What a struct config is made of. For the files of config/ only: everybody else asks by the
// functions of config.h.
#pragma once
#include "base/check.h"
#include "config/config.h"
#include "config/hba.h"
#include "config/option.h"
#include "config/roster.h"

enum {
    CONFIG_TAG = 0x70676366,
};

// Where an option was given; text NULL: nowhere, so its default counts.
struct given {
    char *text; // owns
    char *file; // owns
    int line;
};

struct config {
    uint32_t tag;
    _Atomic unsigned holders;
    uint64_t number;
    char *path;     // owns; that it was read from
    char *conffile; // owns; that the next reload reads
    struct settings settings;
    struct given *given;   // owns; one for each row of option_table
    struct roster *roster; // counts
    struct ldap_options *ldap; // owns; auth_ldap_options, when it is not empty
    struct hba *hba;       // counts; NULL: no auth_type asks for it
};

// The cross-checks: what options mean together (cross_check.c). Adds to *problems.
void config_check(const struct config *config, struct problems *problems);
