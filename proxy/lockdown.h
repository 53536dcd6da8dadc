// SPDX-License-Identifier: Apache-2.0
// What the process gives up once it is up, so that who finds a hole in it has not found a machine:
// no other program, no other process, no other identity (a seccomp filter of system calls, setting
// `seccomp`), and no memory image with passwords in it. Main thread; for all threads, and for good.
//
// Nothing that works may stop working for it: where the kernel has no filters, or another one is in
// the way, that is logged and the process goes on without. A call that is not on the list fails
// (EPERM; ENOSYS where libraries know another way) and does not end the process.
//
// PAM's modules may do anything, and start set-uid programs: where a login may be asked of them
// there is no filter. Whatever else makes pgweir start programs has to leave it off as well.
#pragma once
#include <stdbool.h>

struct config;

// After everything has been opened. Says in the log what came of it.
void lockdown_begin(const struct config *config);
// A new configuration: says so when it asks for what was given up.
void lockdown_configured(const struct config *config);

// No memory image, unless somebody has asked for them.
void lockdown_core(void);
// The filter alone. False, with errno: it is not in force. ENOTSUP: this build has a sanitizer.
bool lockdown_filter(void);
