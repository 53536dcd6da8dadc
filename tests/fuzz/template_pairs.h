// SPDX-License-Identifier: Apache-2.0
// A text, and another one that differs from it in the values of its constants alone.
#pragma once
#include "proxy/sql/template.h"
#include "tests/fuzz/target.h"

// Appends the text with each constant replaced by another of its kind.
static inline void other_constants(struct slice sql, const struct template_constant *constants,
                                   size_t n, struct buf *out)
{
    static const char *const others[] = {[TEMPLATE_INTEGER] = "7", [TEMPLATE_DECIMAL] = "2.5",
                                         [TEMPLATE_STRING] = "'q''r'"};
    const uint8_t *at = sql.at;
    for (size_t i = 0; i < n; i++) {
        CHECK(target_inside(constants[i].raw, sql) && constants[i].raw.at >= at);
        CHECK(constants[i].raw.len > 0);
        CHECK(constants[i].kind >= TEMPLATE_INTEGER && constants[i].kind <= TEMPLATE_STRING);
        buf_bytes(out, at, (size_t)(constants[i].raw.at - at));
        const char *other = others[constants[i].kind];
        if (constants[i].raw.at[0] == '.')
            other = ".25"; // a word may stand right in front: A1.5 is A1 and .5
        buf_bytes(out, other, strlen(other));
        at = constants[i].raw.at + constants[i].raw.len;
    }
    buf_bytes(out, at, (size_t)(sql.at + sql.len - at));
}
