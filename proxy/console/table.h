// SPDX-License-Identifier: Apache-2.0
// A table as the console answers with it: RowDescription and DataRow messages, in text or binary.
// Plain data; knows nothing of what is shown.
#pragma once
#include "base/buf.h"

enum { TABLE_COLUMNS_MAX = 40, TABLE_TIME_BYTES = 40 };

// A letter for each column, as PgBouncer types them: s text, i int4, l int8, n numeric, b bytea.
struct table_shape {
    const char *types;
    const char *const *columns;
};

// A table being printed.
struct table {
    struct buf *out; // borrows
    const struct table_shape *shape;
    uint64_t binary; // a bit for each column
};

// One value of a row.
struct cell {
    const char *text; // s, b; NULL: SQL NULL, or the number of a number's column
    int64_t number;
};
#define TEXT(t) ((struct cell){.text = (t)})
#define NUMBER(n) ((struct cell){.number = (int64_t)(n)})

void table_describe(const struct table *table); // the RowDescription
void table_row(const struct table *table, const struct cell *cells);

// The wall clock's "2026-01-31 12:00:00 UTC" of a moment of base/clock.h.
void table_time(int64_t at_us, char text[TABLE_TIME_BYTES]);
