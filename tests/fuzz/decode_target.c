// SPDX-License-Identifier: Apache-2.0
// Lines of test_decoding: a line is understood or it is not, and then no name is made up: what
// comes out is as long as it says and was in the line. The same of its row's key.
#include "cache/decode.h"
#include "cache/row.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 300000;

static void check_row(const struct decoded *d, bool full)
{
    struct catalog_key key = {.count = 2, .told = 2, .full = full};
    struct row_keys keys;
    key.columns[0].name = slice_str("id");
    key.columns[0].type = ROWKEY_INTEGER;
    key.columns[1].name = slice_str("name");
    key.columns[1].type = ROWKEY_TEXT;
    if (row_keys(d->row, &key, &keys))
        CHECK(keys.count >= 1 && keys.count <= 2);
}

void target_run(struct slice line)
{
    struct decoded d = decode_line(line);
    if (d.kind != DECODE_TABLE && d.kind != DECODE_TRUNCATE)
        return;
    CHECK(target_inside(d.tables, line) && target_inside(d.row, line));
    if (d.kind == DECODE_TABLE)
        check_row(&d, line.len % 2 == 0);
    struct decode_name name;
    size_t tables = 0, bytes = 0;
    while (decode_next_table(&d, &name)) {
        CHECK(name.schema_len >= 1 && name.schema_len <= DECODE_NAME_BYTES);
        CHECK(name.name_len >= 1 && name.name_len <= DECODE_NAME_BYTES);
        bytes += name.schema_len + name.name_len;
        tables++;
    }
    CHECK(tables >= 1 && bytes < line.len);
    CHECK(d.kind == DECODE_TRUNCATE || tables == 1);
    CHECK(!decode_next_table(&d, &name));
}
