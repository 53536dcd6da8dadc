// SPDX-License-Identifier: Apache-2.0
// Values of keys: text that is understood has one form, and the binary form of the same value, made
// here anew, has the same one.
#include <ctype.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cache/rowkey.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 300000;

enum { INT2 = 21, INT4 = 23, INT8 = 20, TEXT = 25, BOOL = 16, UUID = 2950 };

static void check_agree(enum rowkey_type type, uint32_t oid, struct slice bytes, uint64_t expected)
{
    uint64_t binary;
    uint8_t *alone = target_alone(bytes);
    CHECK(rowkey_binary(type, oid, slice_of(alone, bytes.len), &binary) && binary == expected);
    mem_free(alone);
}

// An integer, printed from its binary form: three widths and the text agree.
static void check_integer(struct slice bytes)
{
    uint64_t v = 0, key;
    char text[32];
    uint8_t at[8];
    for (size_t i = 0; i < 8 && i < bytes.len; i++)
        v = v << 8 | bytes.at[i];
    int64_t value = (int64_t)v;
    snprintf(text, sizeof(text), "%lld", (long long)value);
    CHECK(rowkey_text(ROWKEY_INTEGER, slice_str(text), &key));
    store_u32(at, (uint32_t)(v >> 32));
    store_u32(at + 4, (uint32_t)v);
    check_agree(ROWKEY_INTEGER, INT8, slice_of(at, 8), key);
    if (value == (int32_t)value)
        check_agree(ROWKEY_INTEGER, INT4, slice_of(at + 4, 4), key);
    if (value == (int16_t)value)
        check_agree(ROWKEY_INTEGER, INT2, slice_of(at + 6, 2), key);
    // Zeros and blanks do not count.
    snprintf(text, sizeof(text), " %s0%lld ", value < 0 ? "-" : "",
             value < 0 ? -(long long)(value + 1) : (long long)value);
    uint64_t other;
    if (value >= 0)
        CHECK(rowkey_text(ROWKEY_INTEGER, slice_str(text), &other) && other == key);
}

static int digit(uint8_t c)
{
    return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static void check_text(enum rowkey_type type, struct slice text)
{
    uint64_t key, again;
    if (!rowkey_text(type, text, &key))
        return;
    CHECK(text.len <= ROWKEY_VALUE_BYTES);
    CHECK(rowkey_text(type, text, &again) && again == key);
    if (type == ROWKEY_TEXT)
        check_agree(type, TEXT, text, key);
    if (type == ROWKEY_BOOLEAN) {
        uint64_t yes, no;
        CHECK(rowkey_binary(type, BOOL, slice_of("\1", 1), &yes));
        CHECK(rowkey_binary(type, BOOL, slice_of("\0", 1), &no));
        CHECK(yes != no && (key == yes || key == no));
    }
    if (type == ROWKEY_UUID) {
        uint8_t at[16] = {0};
        size_t n = 0;
        for (size_t i = 0; i < text.len; i++)
            if (isxdigit(text.at[i])) {
                CHECK(n < 32);
                at[n / 2] = (uint8_t)(at[n / 2] << 4 | digit(text.at[i]));
                n++;
            }
        CHECK(n == 32);
        check_agree(type, UUID, slice_of(at, 16), key);
    }
}

void target_run(struct slice bytes)
{
    static const uint32_t oids[] = {16, 20, 21, 23, 25, 1042, 1043, 1082, 1700, 2950, 17, 0};
    uint8_t oid = target_byte(&bytes);
    uint64_t key;
    check_integer(bytes);
    for (enum rowkey_type type = ROWKEY_INTEGER; type <= ROWKEY_NUMERIC; type++) {
        check_text(type, bytes);
        uint32_t of = oids[oid % (sizeof(oids) / sizeof(*oids))];
        if (rowkey_accepts(type, of))
            rowkey_binary(type, of, bytes, &key);
    }
}
