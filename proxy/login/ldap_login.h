// SPDX-License-Identifier: Apache-2.0
// Asks an LDAP server whether a password is a user's. Blocks: only for a thread that may
// (checker.h). Any thread; each call has a connection of its own.
#pragma once
#include <stdint.h>

#include "proxy/login/checker.h"

struct ldap_options;

// No step of it waits past until_us (clock_us()), but host names are looked up at the resolver's
// leisure. What went wrong is said in the log, in PostgreSQL's words.
enum check_verdict ldap_login_check(const struct ldap_options *options, const char *user,
                                    const char *password, int64_t until_us);
