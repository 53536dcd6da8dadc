// SPDX-License-Identifier: Apache-2.0
// A user's name put into what an LDAP server reads, so that it stays a name: in a search filter
// (RFC 4515), in a distinguished name (RFC 4514). Pure functions over bytes; any thread.
#pragma once
#include <stdbool.h>

#include "base/buf.h"

struct ldap_options;

// Appends the filter that finds this user, with a NUL behind it.
void ldap_text_filter(const struct ldap_options *options, const char *user, struct buf *out);

// Appends prefix, user, suffix, and a NUL. Where these make no distinguished name (an Active
// Directory takes user@domain and DOMAIN\user, too) there is no way to escape, and a name that
// could be more than a name is refused: false.
bool ldap_text_name(const struct ldap_options *options, const char *user, struct buf *out);
