// SPDX-License-Identifier: Apache-2.0
// The comments of a text that are meant for pgweir, by PostgreSQL's own scanner: a comment within a
// string, or within another comment, is none. Once for each template; any thread.
#pragma once
#include "cache/hints.h"

void comments_hints(struct slice sql, struct hints *hints); // adds to them
