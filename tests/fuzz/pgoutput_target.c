// SPDX-License-Identifier: Apache-2.0
// Messages of pgoutput, each behind its length, as one stream: whatever it was told before, a row
// touches a table or all there is, and memory stays bounded.
#include "cache/pgoutput.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 100000;

static struct catalog *catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str("t")};
    r.key.count = 2;
    r.key.told = 3;
    r.key.full = true;
    r.key.columns[0].name = slice_str("id");
    r.key.columns[0].type = ROWKEY_INTEGER;
    r.key.columns[1].name = slice_str("code");
    r.key.columns[1].type = ROWKEY_NUMERIC;
    r.key.columns[2].name = slice_str("big");
    r.key.columns[2].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
    return catalog_builder_finish(b);
}

static void check_message(struct pgoutput *p, struct slice bytes)
{
    static struct touched touched;
    touched_clear(&touched);
    switch (pgoutput_read(p, bytes, &touched).kind) {
    case DECODE_TABLE:
    case DECODE_TRUNCATE:
        CHECK(touched.n > 0 || touched.all);
        break;
    case DECODE_BEGIN:
    case DECODE_COMMIT:
    case DECODE_MESSAGE:
    case DECODE_NOTHING:
        CHECK(touched.n == 0 && !touched.all);
        break;
    case DECODE_BAD:
        break;
    }
    CHECK(pgoutput_bytes(p) <= PGOUTPUT_BYTES_MAX);
}

void target_run(struct slice bytes)
{
    static struct pgoutput *p; // as long as the process
    static struct catalog *c;
    if (p == NULL) {
        p = pgoutput_new();
        c = catalog();
        pgoutput_set_catalog(p, c);
    }
    pgoutput_forget(p);
    while (bytes.len > 0) {
        struct slice message = target_piece(&bytes);
        uint8_t *alone = target_alone(message);
        check_message(p, slice_of(alone, message.len));
        mem_free(alone);
    }
}
