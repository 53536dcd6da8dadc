// SPDX-License-Identifier: Apache-2.0
// What the process gives up once it is up, so that who finds a hole in it has not found a machine:
// no other program, no other process, no other identity (a seccomp filter of system calls, setting
// `seccomp`), and no memory image with passwords in it. Main thread; for all threads, and for good.
//
// Nothing that works may stop working for it: where the kernel has no filters, or another one is in
// the way, that is logged and the process goes on without. A call that is not on the list fails
// (EPERM; ENOSYS where libraries know another way) and does not end the process.
//
// Whoever makes pgweir start programs (PAM's helpers are such) has to leave the filter off there:
// lockdown_begin() is where that is decided.
#pragma once
#include <stdbool.h>

struct settings;

// After everything has been opened. Says in the log what came of it.
void lockdown_begin(const struct settings *settings);

// The filter alone. False, with errno: it is not in force. ENOTSUP: this build has a sanitizer.
bool lockdown_filter(void);
