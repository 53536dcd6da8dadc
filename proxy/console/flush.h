// SPDX-License-Identifier: Apache-2.0
// CACHE FLUSH: what is in memory leaves it, and what is being read just now does not come in. Not
// because it were wrong: who asks for it knows of something that no event tells of. Any thread.
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct pooler;

void flush_all(struct pooler *pooler);
// Of a view, what it reads, and of a table, those below it, too; in each followed database that has
// one of that name. False: none has.
bool flush_table(struct pooler *pooler, struct slice schema, struct slice table);
