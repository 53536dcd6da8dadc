// SPDX-License-Identifier: Apache-2.0
// What a comment asks of the cache, and the word list of times.
#include "cache/hints.h"
#include "proxy/sql/comments.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 20000;

void target_run(struct slice bytes)
{
    struct hints hints = {0}, found = {0};
    hints_read(bytes, &hints);
    CHECK(hints.ttl_us >= 0);
    CHECK(hints.any == hints_are(bytes));
    comments_hints(bytes, &found);
    CHECK(found.ttl_us >= 0);
}
