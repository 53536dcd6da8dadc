// SPDX-License-Identifier: Apache-2.0
// libpg_query with a seat belt: a text in, its parse tree out, whatever the text. The library
// recurses over the tree without asking how much stack is left, and so does protobuf-c; a text of
// 80 kB can nest deeply enough to end the process. So the depth is bounded from the tokens before
// anything is parsed, and a text that may nest deeply gets a thread with a stack to match.
// Any thread. Not here: what the tree means (walk.h, classify.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>

#include "base/slice.h"

struct parsed {
    const PgQuery__ParseResult *tree; // NULL: could not be read. Borrowed until visit returns
    bool foreign; // bytes were not UTF-8: each such byte is U+0080 in the tree
};

// Parses and calls visit once, from this or another thread, before it returns.
void parse(struct slice sql, void (*visit)(const struct parsed *parsed, void *arg), void *arg);
