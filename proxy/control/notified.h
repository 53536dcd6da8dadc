// SPDX-License-Identifier: Apache-2.0
// What a notification on the channel `pgweir` says: `schema.table`, quoted as SQL quotes names; or
// nothing, or something that cannot be read, which stands for every table. Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { NOTIFIED_SLOTS = 3 };

#define NOTIFIED_CHANNEL "pgweir"

// The slots of the table (all of it, its rows), or 0: of anything.
size_t notified_slots(struct slice payload, uint32_t slots[NOTIFIED_SLOTS]);
