// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/reader.h"

enum { // pg_type.dat
    BOOLOID = 16,
    INT8OID = 20,
    INT2OID = 21,
    INT4OID = 23,
    TEXTOID = 25,
    BPCHAROID = 1042,
    VARCHAROID = 1043,
    DATEOID = 1082,
    NUMERICOID = 1700,
    UUIDOID = 2950,
};

enum rowkey_type rowkey_type_of(uint32_t type_oid)
{
    switch (type_oid) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
        return ROWKEY_INTEGER;
    case TEXTOID:
    case VARCHAROID:
        return ROWKEY_TEXT;
    case BPCHAROID:
        return ROWKEY_PADDED;
    case UUIDOID:
        return ROWKEY_UUID;
    case BOOLOID:
        return ROWKEY_BOOLEAN;
    case DATEOID:
        return ROWKEY_DATE;
    case NUMERICOID:
        return ROWKEY_NUMERIC;
    }
    return ROWKEY_NONE;
}

// A padded column meets text by losing its blanks, so the value's own may be dropped as well: more
// values have one form than are equal. A padded value and a column of text are refused: which of
// the two equalities is taken depends on more than the types.
bool rowkey_accepts(enum rowkey_type column, uint32_t type_oid)
{
    enum rowkey_type value = rowkey_type_of(type_oid);
    if (column == ROWKEY_NONE || value == ROWKEY_NONE)
        return false;
    return value == column || (column == ROWKEY_PADDED && value == ROWKEY_TEXT) ||
           (column == ROWKEY_NUMERIC && value == ROWKEY_INTEGER);
}

// ---- Forms --------------------------------------------------------------------------------------

static uint64_t of_bytes(struct slice bytes)
{
    return hash_bytes(bytes.at, bytes.len);
}

static uint64_t of_integer(int64_t value)
{
    return hash_bytes(&value, sizeof(value));
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(uint8_t c) // isspace() of the C locale, as the server's readers use it
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_space(s.at[0]))
        s = slice_skip(s, 1);
    while (s.len > 0 && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static struct slice without_padding(struct slice s)
{
    while (s.len > 0 && s.at[s.len - 1] == ' ')
        s.len--;
    return s;
}

// A sign and decimal digits; other ways to write an integer (of later releases) are refused.
static bool integer_text(struct slice s, uint64_t *out)
{
    s = trim(s);
    bool negative = s.len > 0 && s.at[0] == '-';
    if (s.len > 0 && (s.at[0] == '-' || s.at[0] == '+'))
        s = slice_skip(s, 1);
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.at[i];
        if (!is_digit(c) || value > (limit - (c - '0')) / 10)
            return false;
        value = value * 10 + (c - '0');
    }
    *out = of_integer((int64_t)(negative ? 0 - value : value));
    return s.len > 0;
}

static bool integer_binary(struct slice bytes, int64_t *value)
{
    struct reader r = reader_of(bytes);
    if (bytes.len == 2)
        *value = (int16_t)reader_u16(&r);
    else if (bytes.len == 4)
        *value = (int32_t)reader_u32(&r);
    else if (bytes.len == 8)
        *value = (int64_t)reader_u64(&r);
    else
        return false;
    return true;
}

static int nibble(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// 32 digits; hyphens and braces mean nothing.
static bool uuid_text(struct slice s, uint64_t *out)
{
    uint8_t bytes[16];
    size_t n = 0;
    if (s.len >= 2 && s.at[0] == '{' && s.at[s.len - 1] == '}')
        s = slice_of(s.at + 1, s.len - 2);
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '-')
            continue;
        int digit = nibble(s.at[i]);
        if (digit < 0 || n == 32)
            return false;
        bytes[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : bytes[n / 2] | digit);
        n++;
    }
    *out = hash_bytes(bytes, sizeof(bytes));
    return n == 32;
}

static bool boolean_text(struct slice s, uint64_t *out)
{
    static const char *const words[] = {"f", "t", "false", "true", "0", "1",
                                        "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_is(s, words[i])) {
            *out = of_integer(i % 2);
            return true;
        }
    return false;
}

// Year, month, day: four digits first are the year whatever DateStyle says.
static bool date_text(struct slice s, uint64_t *out)
{
    if (s.len != 10)
        return false;
    for (size_t i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? s.at[i] != '-' : !is_digit(s.at[i]))
            return false;
    *out = of_bytes(s);
    return true;
}

// Days since 2000-01-01, as years of the Gregorian calendar that begin in March.
static bool date_binary(struct slice bytes, uint64_t *out)
{
    enum { MARCH_0_TO_2000 = 730425, YEARS_400 = 146097 };
    int64_t days;
    if (bytes.len != 4 || !integer_binary(bytes, &days))
        return false;
    days += MARCH_0_TO_2000;
    if (days < 306 || days > 3652364) // the years 1 to 9999
        return false;
    int64_t era = days / YEARS_400, day = days % YEARS_400;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t in_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;
    int64_t in_month = in_year - (153 * month + 2) / 5 + 1;
    char text[32];
    year += era * 400 + (month >= 10);
    month = month < 10 ? month + 3 : month - 9;
    snprintf(text, sizeof(text), "%04d-%02d-%02d", (int)year, (int)month, (int)in_month);
    return date_text(slice_str(text), out);
}

// Decimal digits with a sign and a dot, without what does not count: 5, 05.00 and +5. are one.
static bool numeric_text(struct slice s, uint64_t *out)
{
    s = trim(s);
    bool negative = s.len > 0 && s.at[0] == '-';
    if (s.len > 0 && (s.at[0] == '-' || s.at[0] == '+'))
        s = slice_skip(s, 1);
    size_t dot = s.len, digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '.' && dot == s.len)
            dot = i;
        else if (is_digit(s.at[i]))
            digits++;
        else
            return false; // also exponents, NaN and infinities
    }
    if (digits == 0 || s.len > ROWKEY_VALUE_BYTES)
        return false;
    size_t from = 0, to = s.len;
    while (from < dot && s.at[from] == '0')
        from++;
    while (dot < s.len && (s.at[to - 1] == '0' || to - 1 == dot)) {
        bool was_dot = --to == dot;
        if (was_dot)
            break;
    }
    uint64_t form = hash_bytes(s.at + from, to - from);
    *out = negative && to > from ? ~form : form;
    return true;
}

// numeric_send(): count of digits, weight of the first, sign, scale; digits to the base 10000.
static bool numeric_binary(struct slice bytes, uint64_t *out)
{
    enum { NEGATIVE = 0x4000, DIGITS_MAX = 32 };
    struct reader r = reader_of(bytes);
    int count = (int16_t)reader_u16(&r), weight = (int16_t)reader_u16(&r);
    uint16_t sign = reader_u16(&r);
    reader_u16(&r);
    if (!reader_ok(&r) || count < 0 || count > DIGITS_MAX || weight >= DIGITS_MAX ||
        weight < -DIGITS_MAX || (sign != 0 && sign != NEGATIVE))
        return false;
    char text[3 * DIGITS_MAX * 4 + 8];
    int n = snprintf(text, sizeof(text), "%s0", sign == NEGATIVE ? "-" : "");
    for (int at = weight < 0 ? -1 : weight, taken = 0; at >= 0 || taken < count; at--) {
        uint16_t digit = at <= weight && taken < count ? reader_u16(&r) : 0;
        taken += at <= weight && taken < count;
        if (digit > 9999)
            return false;
        n += snprintf(text + n, sizeof(text) - (size_t)n, at == -1 ? ".%04u" : "%04u", digit);
    }
    return reader_done(&r) && numeric_text(slice_of(text, (size_t)n), out);
}

// ---- All of them --------------------------------------------------------------------------------

bool rowkey_text(enum rowkey_type column, struct slice text, uint64_t *out)
{
    if (text.len > ROWKEY_VALUE_BYTES)
        return false;
    switch (column) {
    case ROWKEY_NONE:
        return false;
    case ROWKEY_INTEGER:
        return integer_text(text, out);
    case ROWKEY_TEXT:
        *out = of_bytes(text);
        return true;
    case ROWKEY_PADDED:
        *out = of_bytes(without_padding(text));
        return true;
    case ROWKEY_UUID:
        return uuid_text(text, out);
    case ROWKEY_BOOLEAN:
        return boolean_text(text, out);
    case ROWKEY_DATE:
        return date_text(text, out);
    case ROWKEY_NUMERIC:
        return numeric_text(text, out);
    }
    return false;
}

bool rowkey_binary(enum rowkey_type column, uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    int64_t integer;
    char text[24];
    switch (column) {
    case ROWKEY_NONE:
        return false;
    case ROWKEY_INTEGER:
        if (!integer_binary(bytes, &integer))
            return false;
        *out = of_integer(integer);
        return true;
    case ROWKEY_TEXT:
    case ROWKEY_PADDED:
        return rowkey_text(column, bytes, out);
    case ROWKEY_UUID:
        *out = of_bytes(bytes);
        return bytes.len == 16;
    case ROWKEY_BOOLEAN:
        *out = of_integer(bytes.len == 1 && bytes.at[0] != 0);
        return bytes.len == 1;
    case ROWKEY_DATE:
        return date_binary(bytes, out);
    case ROWKEY_NUMERIC:
        if (rowkey_type_of(type_oid) != ROWKEY_INTEGER)
            return numeric_binary(bytes, out);
        if (!integer_binary(bytes, &integer))
            return false;
        snprintf(text, sizeof(text), "%lld", (long long)integer);
        return numeric_text(slice_str(text), out);
    }
    return false;
}
