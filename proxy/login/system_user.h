// SPDX-License-Identifier: Apache-2.0
// The name of a user of this machine. It may have to be asked of the network (NSS), so this blocks:
// for the checker's threads only.
#pragma once
#include <sys/types.h>

char *system_user_name(uid_t uid); // caller owns; NULL: there is no such user, or nobody knows
