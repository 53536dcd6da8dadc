// SPDX-License-Identifier: Apache-2.0
// Asks the system's PAM whether a password is a user's, and whether the account may be used now.
// Blocks: only for a thread that may (checker.h). Any thread; each call has a handle of its own,
// but a module may not bear company (auth_threads = 1).
#pragma once
#include <stdint.h>

#include "proxy/login/checker.h"

// service: the file in /etc/pam.d, or in `directory` if that is not empty. from: for PAM_RHOST.
// *delay_us: how long a module wants the refusal held back; nobody sleeps here for it.
enum check_verdict pam_login_check(const char *service, const char *directory, const char *user,
                                   const char *password, const char *from, int64_t *delay_us);
