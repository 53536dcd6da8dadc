// SPDX-License-Identifier: Apache-2.0
// The HBA file (auth_hba_file): which method a client logs in by, told by where it comes from,
// which database it wants and who it says it is. The first line that fits counts. PostgreSQL's
// syntax as far as PgBouncer takes it, and PostgreSQL's include lines. Read on the control thread,
// then immutable and counted by the configuration: any thread may ask.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/network.h"
#include "config/settings.h"

struct ident;
struct ident_map;
struct ldap_options;
struct problems;

struct hba; // opaque

struct hba_rule {
    enum config_auth_type method; // TRUST, REJECT, MD5, PLAIN, SCRAM, PEER, CERT, PAM, LDAP
    const struct ident_map *map;  // map=; borrows from the same struct hba; NULL: none
    struct ldap_options *ldap;    // owns; of LDAP; NULL: auth_ldap_options
    char *pam_service;            // owns; of PAM; NULL: auth_pam_service
    char *file;    // owns; where it stands
    int line;
};

struct hba_asker {
    const char *database, *user; // as the client says
    const char *alias;           // another name of the database, which lines may have; or NULL
    bool is_local;               // over a unix socket
    bool has_address;            // not local, and it is known where from: these two
    enum network_family family;  // NETWORK_IPV4 or NETWORK_IPV6
    const uint8_t *address;      // network order
    bool encrypted;              // by TLS
    bool physical;               // for physical replication: only `replication` fits
};

// ident_path: "" for none. A line that cannot be used is a warning and left out, as in PgBouncer; a
// file that cannot be read, or an include that cannot be followed, is an error, and NULL.
struct hba *hba_load(const char *path, const char *ident_path, struct problems *problems);
struct hba *hba_ref(struct hba *hba); // NULL is fine
void hba_unref(struct hba *hba);      // NULL is fine

// Were they read from the same text, that of the ident file included? NULL: none.
bool hba_same(const struct hba *a, const struct hba *b);
bool hba_has(const struct hba *hba, enum config_auth_type method); // in any line; NULL: none

const struct hba_rule *hba_find(const struct hba *hba, const struct hba_asker *asker); // or NULL
