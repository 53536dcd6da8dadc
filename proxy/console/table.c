// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/table.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

struct type {
    uint32_t oid; // as in PostgreSQL's pg_type
    uint16_t bytes;
};

static struct type type_of(char letter)
{
    switch (letter) {
    case 'i':
        return (struct type){23, 4};
    case 'l':
        return (struct type){20, 8};
    case 'n':
        return (struct type){1700, UINT16_MAX};
    case 'b':
        return (struct type){17, UINT16_MAX};
    default:
        return (struct type){25, UINT16_MAX};
    }
}

static bool is_binary(const struct table *table, size_t column)
{
    return table->binary >> column & 1;
}

void table_describe(const struct table *table)
{
    struct buf *out = table->out;
    size_t n = strlen(table->shape->types);
    CHECK(n <= TABLE_COLUMNS_MAX);
    size_t mark = buf_message_begin(out, 'T');
    buf_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        struct type type = type_of(table->shape->types[i]);
        buf_cstr(out, table->shape->columns[i]);
        buf_u32(out, 0); // no table
        buf_u16(out, 0); // no column
        buf_u32(out, type.oid);
        buf_u16(out, type.bytes);
        buf_u32(out, UINT32_MAX); // no type modifier
        buf_u16(out, is_binary(table, i));
    }
    buf_message_end(out, mark);
}

// PostgreSQL's numeric_send: base 10000 digits, most significant first.
static void numeric(struct buf *out, uint64_t value)
{
    uint16_t digits[5];
    int n = 0;
    for (; value > 0; value /= 10000)
        digits[n++] = (uint16_t)(value % 10000);
    int zeros = 0; // at the end, which are not sent
    while (zeros < n && digits[zeros] == 0)
        zeros++;
    buf_u32(out, (uint32_t)(8 + 2 * (n - zeros)));
    buf_u16(out, (uint16_t)(n - zeros));
    buf_u16(out, (uint16_t)(n > 0 ? n - 1 : 0)); // weight
    buf_u16(out, 0);                             // positive
    buf_u16(out, 0);                             // no decimals
    for (int i = n - 1; i >= zeros; i--)
        buf_u16(out, digits[i]);
}

static void binary(struct buf *out, char letter, struct cell cell)
{
    uint64_t value = (uint64_t)cell.number;
    if (letter == 'n') {
        numeric(out, value);
        return;
    }
    buf_u32(out, letter == 'i' ? 4 : 8);
    if (letter == 'l')
        buf_u32(out, (uint32_t)(value >> 32));
    buf_u32(out, (uint32_t)value);
}

static void text(struct buf *out, const char *value)
{
    size_t len = strlen(value);
    buf_u32(out, (uint32_t)len);
    buf_bytes(out, value, len);
}

void table_row(const struct table *table, const struct cell *cells)
{
    struct buf *out = table->out;
    size_t n = strlen(table->shape->types);
    size_t mark = buf_message_begin(out, 'D');
    buf_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        char letter = table->shape->types[i];
        char digits[24];
        bool is_number = letter != 's' && letter != 'b';
        snprintf(digits, sizeof(digits), "%lld", (long long)cells[i].number);
        if (!is_number && cells[i].text == NULL)
            buf_u32(out, UINT32_MAX);
        else if (!is_number)
            text(out, cells[i].text);
        else if (is_binary(table, i))
            binary(out, letter, cells[i]);
        else
            text(out, digits);
    }
    buf_message_end(out, mark);
}

void table_time(int64_t at_us, char out[TABLE_TIME_BYTES])
{
    time_t when = time(NULL) - (time_t)((clock_us() - at_us) / 1000000);
    struct tm tm;
    localtime_r(&when, &tm);
    strftime(out, TABLE_TIME_BYTES, "%Y-%m-%d %H:%M:%S %Z", &tm);
}
