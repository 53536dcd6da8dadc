// SPDX-License-Identifier: Apache-2.0
// Templates: no longer than the text, the same each time, and the same for a text with other
// constants, of which there are as many.
#include "tests/fuzz/template_pairs.h"

const size_t target_rounds = 100000;

void target_run(struct slice sql)
{
    static uint8_t room[TEMPLATE_MAX_BYTES], again_room[TEMPLATE_MAX_BYTES];
    struct template_constant constants[TEMPLATE_CONSTANTS_MAX], others[TEMPLATE_CONSTANTS_MAX];
    struct template t = template_of(sql, room);
    size_t n = template_constants(sql, constants);
    template_has_datetime_word(sql);
    CHECK(t.bytes.len <= sql.len);
    if (t.verbatim) {
        CHECK(n == 0 && slice_eq(t.bytes, sql));
        return;
    }
    if (n == TEMPLATE_CONSTANTS_MAX)
        return; // there may be more
    struct buf other = {0};
    other_constants(sql, constants, n, &other);
    uint8_t *alone = target_alone(buf_slice(&other));
    struct slice text = slice_of(alone, other.len);
    struct template u = template_of(text, again_room);
    if (other.len <= TEMPLATE_MAX_BYTES) {
        CHECK(!u.verbatim && slice_eq(t.bytes, u.bytes));
        CHECK(template_constants(text, others) == n);
        for (size_t i = 0; i < n; i++)
            CHECK(others[i].kind == constants[i].kind);
    }
    mem_free(alone);
    buf_fini(&other);
}
