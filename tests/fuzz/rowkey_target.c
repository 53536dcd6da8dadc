// SPDX-License-Identifier: Apache-2.0
// Values of keys: text that is understood has one form, and the binary form of the same value, made
// here anew, has the same one.
#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/reader.h"
#include "cache/rowkey.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 300000;

enum {
    BOOL = 16, BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, OID = 26, TIME = 1083,
    TIMESTAMP = 1114, TIMESTAMPTZ = 1184, UUID = 2950, FLOAT8 = 701, INET = 869, INTERVAL = 1186,
    VARBIT = 1562, LSN = 3220, FLOAT4 = 700, INT4S = 1007, TEXTS = 1009, INT4RANGE = 3904,
};

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

// Any bytes, as both ways to print them.
static void check_bytes(struct slice bytes)
{
    char hex[2 * 100 + 3] = "\\x", escaped[4 * 60 + 1] = "";
    uint64_t key;
    size_t n = bytes.len < 60 ? bytes.len : 60;
    for (size_t i = 0; i < n; i++) {
        snprintf(hex + 2 + 2 * i, 3, "%02x", bytes.at[i]);
        snprintf(escaped + 4 * i, 5, "\\%03o", bytes.at[i]);
    }
    CHECK(rowkey_text(ROWKEY_BYTES, slice_str(hex), &key));
    check_agree(ROWKEY_BYTES, BYTEA, slice_of(bytes.at, n), key);
    CHECK(rowkey_text(ROWKEY_BYTES, slice_str(escaped), &key));
    check_agree(ROWKEY_BYTES, BYTEA, slice_of(bytes.at, n), key);
}

// A point in time, as libc has it, and at an offset.
static void check_time(struct slice bytes)
{
    const int64_t day_us = 86400000000, to_2000 = 946684800;
    const int64_t first = -730119 * day_us, last = 2921940 * day_us; // of the years 1 to 9999
    uint64_t v = 0, key;
    uint8_t at[8];
    char text[96];
    for (size_t i = 0; i < 8 && i < bytes.len; i++)
        v = v << 8 | bytes.at[i];
    int minutes = bytes.len > 8 ? bytes.at[8] * 7 % 1800 - 900 : 0;
    int64_t us = first + day_us + (int64_t)(v % (uint64_t)(last - first - 2 * day_us));
    int64_t local = us + (int64_t)minutes * 60000000;
    int64_t of_second = (local % 1000000 + 1000000) % 1000000;
    time_t seconds = (local - of_second) / 1000000 + to_2000;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int n = snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d.%06d", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)of_second);
    store_u32(at, (uint32_t)((uint64_t)local >> 32));
    store_u32(at + 4, (uint32_t)local);
    CHECK(rowkey_text(ROWKEY_TIMESTAMP, slice_of(text, (size_t)n), &key));
    check_agree(ROWKEY_TIMESTAMP, TIMESTAMP, slice_of(at, 8), key);
    snprintf(text + n, sizeof(text) - (size_t)n, "%c%02d:%02d", minutes < 0 ? '-' : '+',
             abs(minutes) / 60, abs(minutes) % 60);
    store_u32(at, (uint32_t)((uint64_t)us >> 32));
    store_u32(at + 4, (uint32_t)us);
    CHECK(rowkey_text(ROWKEY_TIMESTAMPTZ, slice_str(text), &key));
    check_agree(ROWKEY_TIMESTAMPTZ, TIMESTAMPTZ, slice_of(at, 8), key);
    int64_t of_day = (local % day_us + day_us) % day_us;
    store_u32(at, (uint32_t)((uint64_t)of_day >> 32));
    store_u32(at + 4, (uint32_t)of_day);
    CHECK(rowkey_text(ROWKEY_TIME, slice_of(text + 11, (size_t)n - 11), &key));
    check_agree(ROWKEY_TIME, TIME, slice_of(at, 8), key);
}

static void check_oid(struct slice bytes)
{
    uint8_t at[4] = {0};
    struct reader r = reader_of(slice_of(at, 4));
    uint64_t key;
    char text[16];
    memcpy(at, bytes.at, bytes.len < 4 ? bytes.len : 4);
    snprintf(text, sizeof(text), "%u", reader_u32(&r));
    CHECK(rowkey_text(ROWKEY_OID, slice_str(text), &key));
    check_agree(ROWKEY_OID, OID, slice_of(at, 4), key);
}

// A float8, with as many digits as tell it apart from others, and with the fifteen that count.
static void check_double(struct slice bytes)
{
    uint8_t at[8] = {0};
    struct reader r = reader_of(slice_of(at, 8));
    char text[64];
    double value;
    uint64_t key;
    memcpy(at, bytes.at, bytes.len < 8 ? bytes.len : 8);
    uint64_t pattern = reader_u64(&r);
    memcpy(&value, &pattern, sizeof(value));
    if (!isnormal(value) && value != 0)
        return;
    for (int digits = 16; digits >= 14; digits--) {
        snprintf(text, sizeof(text), "%.*e", digits, value);
        double read = strtod(text, NULL);
        if ((!isnormal(read) && read != 0) || (digits == 15 && read != value))
            continue;
        CHECK(rowkey_text(ROWKEY_DOUBLE, slice_str(text), &key));
        check_agree(ROWKEY_DOUBLE, FLOAT8, slice_of(at, 8), key);
    }
}

// A float4, likewise, and as the float8 that it is.
static void check_float(struct slice bytes)
{
    uint8_t at[4] = {0}, wide[8];
    struct reader r = reader_of(slice_of(at, 4));
    char text[64];
    float value;
    uint64_t key, pattern;
    memcpy(at, bytes.at, bytes.len < 4 ? bytes.len : 4);
    uint32_t low = reader_u32(&r);
    memcpy(&value, &low, sizeof(value));
    if (!isnormal(value) && value != 0)
        return;
    double same = (double)value;
    memcpy(&pattern, &same, sizeof(pattern));
    store_u32(wide, (uint32_t)(pattern >> 32));
    store_u32(wide + 4, (uint32_t)pattern);
    for (int digits = 8; digits >= 5; digits--) {
        snprintf(text, sizeof(text), "%.*e", digits, same);
        float read = strtof(text, NULL);
        bool twice = read != (float)strtod(text, NULL);
        if (twice || (!isnormal(read) && read != 0) || (digits != 5 && read != value))
            continue;
        CHECK(rowkey_text(ROWKEY_FLOAT, slice_str(text), &key));
        check_agree(ROWKEY_FLOAT, FLOAT4, slice_of(at, 4), key);
        check_agree(ROWKEY_FLOAT, FLOAT8, slice_of(wide, 8), key);
    }
}

// Small arrays of numbers and of texts, as they are printed.
static void check_arrays(struct slice bytes)
{
    enum rowkey_type integers = (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_INTEGER);
    enum rowkey_type texts = (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_TEXT);
    uint32_t n = bytes.len < 16 ? (uint32_t)bytes.len : 16;
    struct buf text = {0}, binary = {0}, words = {0}, letters = {0};
    char number[16];
    uint64_t key;
    for (int i = 0; i < 2; i++) {
        struct buf *b = i == 0 ? &binary : &letters;
        buf_u32(b, n > 0);
        buf_u32(b, 1);
        buf_u32(b, i == 0 ? INT4 : TEXT);
        if (n > 0) {
            buf_u32(b, n);
            buf_u32(b, 1);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        int value = (int8_t)bytes.at[i];
        bool null = value % 8 == 3, quoted = value % 8 == 5;
        snprintf(number, sizeof(number), quoted ? "\"%d\"" : "%d", value);
        buf_put(&text, slice_str(i == 0 ? "{" : ","));
        buf_put(&text, slice_str(null ? "NULL" : number));
        buf_u32(&binary, null ? UINT32_MAX : 4);
        if (!null)
            buf_u32(&binary, (uint32_t)value);
        buf_put(&words, slice_str(i == 0 ? "{\"" : "\",\""));
        if (value == '"' || value == '\\')
            buf_u8(&words, '\\');
        buf_u8(&words, bytes.at[i]);
        buf_u32(&letters, 1);
        buf_u8(&letters, bytes.at[i]);
    }
    buf_put(&text, slice_str(n == 0 ? "{}" : "}"));
    buf_put(&words, slice_str(n == 0 ? "{}" : "\"}"));
    CHECK(rowkey_text(integers, buf_slice(&text), &key));
    check_agree(integers, INT4S, buf_slice(&binary), key);
    CHECK(rowkey_text(texts, buf_slice(&words), &key));
    check_agree(texts, TEXTS, buf_slice(&letters), key);
    buf_fini(&text);
    buf_fini(&binary);
    buf_fini(&words);
    buf_fini(&letters);
}

// A range of whole numbers, with and without its bounds in it.
static void check_range(struct slice bytes)
{
    enum rowkey_type type = (enum rowkey_type)(ROWKEY_RANGE | ROWKEY_INTEGER);
    uint8_t at[1 + 2 * 8];
    char text[64];
    uint64_t key, other;
    if (bytes.len < 3)
        return;
    int low = (int8_t)bytes.at[0], high = low + bytes.at[1] % 4, flags = bytes.at[2] & 6;
    snprintf(text, sizeof(text), "%c%d,%d%c", flags & 2 ? '[' : '(', low, high,
             flags & 4 ? ']' : ')');
    at[0] = (uint8_t)flags;
    store_u32(at + 1, 4);
    store_u32(at + 5, (uint32_t)low);
    store_u32(at + 9, 4);
    store_u32(at + 13, (uint32_t)high);
    CHECK(rowkey_text(type, slice_str(text), &key));
    check_agree(type, INT4RANGE, slice_of(at, sizeof(at)), key);
    int first = low + !(flags & 2), last = high + !!(flags & 4);
    if (first < last) // as the server prints it
        snprintf(text, sizeof(text), "[%d,%d)", first, last);
    else
        snprintf(text, sizeof(text), "empty");
    CHECK(rowkey_text(type, slice_str(text), &other) && other == key);
}

// Addresses as libc prints them.
static void check_address(struct slice bytes)
{
    uint8_t at[4 + 16] = {0};
    char text[INET6_ADDRSTRLEN + 8];
    uint64_t key;
    size_t n = bytes.len > 0 && bytes.at[0] % 2 == 0 ? 4 : 16;
    for (size_t i = 0; i < n && i + 1 < bytes.len; i++) // zeros are what is left out
        at[4 + i] = bytes.at[1 + i] % 3 == 0 ? 0 : bytes.at[1 + i];
    at[0] = n == 4 ? 2 : 3;
    at[1] = (uint8_t)(bytes.len > n + 1 ? bytes.at[n + 1] % (8 * n + 1) : 8 * n);
    at[3] = (uint8_t)n;
    CHECK(inet_ntop(n == 4 ? AF_INET : AF_INET6, at + 4, text, sizeof(text)) != NULL);
    if (at[1] < 8 * n)
        snprintf(text + strlen(text), 8, "/%u", at[1]);
    for (int i = 0; i < 2; i++) {
        enum rowkey_type type = i == 0 ? ROWKEY_INET : ROWKEY_CIDR;
        CHECK(rowkey_text(type, slice_str(text), &key));
        check_agree(type, INET, slice_of(at, 4 + n), key);
    }
}

// An interval, as it is printed, and as days and a time.
static void check_interval(struct slice bytes)
{
    const int64_t day_us = 86400000000;
    uint8_t at[16] = {0};
    char text[128];
    uint64_t key;
    struct reader r = reader_of(bytes);
    int days = (int16_t)reader_u16(&r), months = (int16_t)reader_u16(&r);
    int64_t us = (int32_t)reader_u32(&r) * 1000ll + (int16_t)reader_u16(&r);
    if (!reader_ok(&r))
        return;
    int64_t size = us < 0 ? -us : us;
    store_u32(at, (uint32_t)((uint64_t)us >> 32));
    store_u32(at + 4, (uint32_t)us);
    store_u32(at + 8, (uint32_t)days);
    store_u32(at + 12, (uint32_t)months);
    snprintf(text, sizeof(text), "%d mons %+d days %c%02d:%02d:%02d.%06d", months, days,
             us < 0 ? '-' : '+', (int)(size / 3600000000), (int)(size / 60000000 % 60),
             (int)(size / 1000000 % 60), (int)(size % 1000000));
    CHECK(rowkey_text(ROWKEY_INTERVAL, slice_str(text), &key));
    check_agree(ROWKEY_INTERVAL, INTERVAL, slice_of(at, 16), key);
    int64_t all = (months * 30ll + days) * day_us + us, whole = all / day_us, rest = all % day_us;
    size = rest < 0 ? -rest : rest;
    if (whole > 999999 || whole < -999999)
        return;
    snprintf(text, sizeof(text), "%d days %c%d.%06d seconds", (int)whole, rest < 0 ? '-' : '+',
             (int)(size / 1000000), (int)(size % 1000000));
    CHECK(rowkey_text(ROWKEY_INTERVAL, slice_str(text), &key));
    check_agree(ROWKEY_INTERVAL, INTERVAL, slice_of(at, 16), key);
}

static void check_bits(struct slice bytes)
{
    uint8_t at[4 + 32];
    char text[256];
    uint64_t key;
    size_t n = bytes.len > 32 ? 32 : bytes.len;
    for (size_t i = 0; i < 8 * n; i++)
        text[i] = (bytes.at[i / 8] >> (7 - i % 8) & 1) + '0';
    CHECK(rowkey_text(ROWKEY_BITS, slice_of(text, 8 * n), &key));
    store_u32(at, (uint32_t)(8 * n));
    memcpy(at + 4, bytes.at, n);
    check_agree(ROWKEY_BITS, VARBIT, slice_of(at, 4 + n), key);
}

static void check_lsn(struct slice bytes)
{
    uint8_t at[8] = {0};
    struct reader r = reader_of(slice_of(at, 8));
    char text[32];
    uint64_t key;
    memcpy(at, bytes.at, bytes.len < 8 ? bytes.len : 8);
    uint32_t high = reader_u32(&r), low = reader_u32(&r);
    snprintf(text, sizeof(text), "%X/%X", high, low);
    CHECK(rowkey_text(ROWKEY_LSN, slice_str(text), &key));
    check_agree(ROWKEY_LSN, LSN, slice_of(at, 8), key);
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
    static const uint32_t oids[] = {16, 20,   21,   23,   25,   1042, 1043, 1082, 1700, 2950,
                                    17, 0,    18,   19,   26,   829,  1083, 1114, 1184, 3500,
                                    701, 650, 869,  774,  1186, 1560, 1562, 3220,
                                    700, 1007, 1009, 1014, 1231, 1001, 1185, 3904, 3906, 3912};
    uint8_t oid = target_byte(&bytes);
    uint64_t key;
    check_integer(bytes);
    check_bytes(bytes);
    check_time(bytes);
    check_oid(bytes);
    check_double(bytes);
    check_float(bytes);
    check_arrays(bytes);
    check_range(bytes);
    check_address(bytes);
    check_interval(bytes);
    check_bits(bytes);
    check_lsn(bytes);
    for (int i = ROWKEY_INTEGER; i < ROWKEY_TYPES; i++) {
        static const int makers[] = {0, ROWKEY_ARRAY, ROWKEY_RANGE};
        uint32_t of = oids[oid % (sizeof(oids) / sizeof(*oids))];
        for (size_t k = 0; k < sizeof(makers) / sizeof(*makers); k++) {
            enum rowkey_type type = (enum rowkey_type)(i | makers[k]);
            check_text(type, bytes);
            if (rowkey_accepts(type, of))
                rowkey_binary(type, of, bytes, &key);
        }
    }
}
