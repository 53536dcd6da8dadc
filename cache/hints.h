// SPDX-License-Identifier: Apache-2.0
// What a text asks of the cache in a comment: /* pgweir: nocache */ and its like. Pure: the body of
// one comment in, what it says out. Any thread.
// Not here: finding comments in a text (proxy/sql/comments.h), what is allowed (rules.h).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define HINTS_PREFIX "pgweir:"

struct hints { // zeroed: nothing was said
    bool any;       // a comment was for us
    bool nocache;   // not from the cache, nor into it
    bool cache;     // asks for what a rule grants on request
    bool explain;   // a NOTICE shall say what the cache did
    bool unknown;   // a word that means nothing here
    int64_t ttl_us; // accepts replies that are this old; 0: was not said
};

// Is this the body of a comment (between slash and star) that is meant for us?
bool hints_are(struct slice comment);
// Adds what it says, if it is. Words are in any case, with blanks or commas between. ttl=NUMBER may
// have a unit: us, ms, s (the default), min, h, d. Of several ttl the shortest counts.
void hints_read(struct slice comment, struct hints *hints);
