// SPDX-License-Identifier: Apache-2.0
// Addresses of networks and of interfaces, as hashes of one form.
//
// Internal to rowkey.c. Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

// inet and cidr: which of the two it is does not count, the netmask does; ::ffff:1.2.3.4 is not
// 1.2.3.4. All octets and groups are there (:: for zeros), without zeros in front. masked: a cidr
// has no bits behind its netmask, and an inet that is stored in one loses them.
bool rowkey_inet_text(struct slice text, bool masked, uint64_t *out);
bool rowkey_inet_binary(struct slice bytes, bool masked, uint64_t *out); // inet_send()

// So many times two digits, with colons or hyphens between.
bool rowkey_macaddr_text(struct slice text, uint64_t *out); // six
bool rowkey_macaddr8_text(struct slice text, uint64_t *out); // eight; of six, ff and fe between
