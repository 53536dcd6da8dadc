// SPDX-License-Identifier: Apache-2.0
// How to ask an LDAP server whether a password is right: the options of PostgreSQL's HBA method
// "ldap", given in auth_ldap_options or behind a line of an HBA file. Names, rules and sentences
// are PostgreSQL's (20.10 LDAP Authentication). Plain data: whoever embeds it owns it; read-only
// once it is complete. Asking is proxy/login/ldap_login.h's business.
//
// Two ways: simple bind (prefix, suffix) puts the name together, search and bind (base_dn) looks
// it up.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum ldap_scope { LDAP_OPTIONS_SUB, LDAP_OPTIONS_ONE, LDAP_OPTIONS_BASE };

struct ldap_options { // texts: owns; NULL when not given
    char *servers;    // with blanks between; NULL: found by DNS from the domain in base_dn
    int port;         // 0: the scheme's
    bool ldaps;       // the scheme
    bool start_tls;
    char *prefix, *suffix;
    char *base_dn;
    char *bind_dn, *bind_password; // for the search
    char *search_attribute;        // neither this nor the next: "uid"
    char *search_filter;           // with $username in it
    enum ldap_scope scope;         // of a URL; PostgreSQL's own default is "sub"
};

// Zeroed is empty. One option by its name (ldapserver, ldapport, ...). False: `why` (of why_bytes)
// has the sentence.
bool ldap_options_set(struct ldap_options *options, const char *name, const char *value,
                      char *why, size_t why_bytes);
// When all were given: do they make sense together? False: why not.
bool ldap_options_complete(const struct ldap_options *options, char *why, size_t why_bytes);
// All of them in one text: name=value with blanks or commas between. What has either in it stands
// in double quotes, the value or the whole; a doubled quote stands for one. Complete afterwards.
bool ldap_options_read(struct ldap_options *options, const char *text, char *why,
                       size_t why_bytes);
void ldap_options_fini(struct ldap_options *options); // wipes the password; empty afterwards

// Appends such a text with stars for the password: for people to see.
void ldap_options_print(const char *text, struct buf *out);
