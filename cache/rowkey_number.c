// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/reader.h"
#include "cache/rowkey.h"
#include "cache/rowkey_parts.h"

bool rowkey_integer_text(struct slice s, int64_t *value)
{
    s = rowkey_trim(s);
    bool negative = s.len > 0 && s.at[0] == '-';
    if (s.len > 0 && (s.at[0] == '-' || s.at[0] == '+'))
        s = slice_skip(s, 1);
    uint64_t size = 0, limit = (uint64_t)INT64_MAX + negative;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.at[i];
        if (!rowkey_is_digit(c) || size > (limit - (c - '0')) / 10)
            return false;
        size = size * 10 + (c - '0');
    }
    *value = (int64_t)(negative ? 0 - size : size);
    return s.len > 0;
}

bool rowkey_integer_binary(struct slice bytes, int64_t *value)
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

// ---- numeric ------------------------------------------------------------------------------------

// Decimal digits with a sign and a dot, without what does not count: 5, 05.00 and +5. are one.
bool rowkey_numeric_text(struct slice s, uint64_t *out)
{
    s = rowkey_trim(s);
    bool negative = s.len > 0 && s.at[0] == '-';
    if (s.len > 0 && (s.at[0] == '-' || s.at[0] == '+'))
        s = slice_skip(s, 1);
    size_t dot = s.len, digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '.' && dot == s.len)
            dot = i;
        else if (rowkey_is_digit(s.at[i]))
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
    return reader_done(&r) && rowkey_numeric_text(slice_of(text, (size_t)n), out);
}

bool rowkey_numeric_binary(uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    int64_t integer;
    char text[24];
    if (rowkey_type_of(type_oid) != ROWKEY_INTEGER)
        return numeric_binary(bytes, out);
    if (!rowkey_integer_binary(bytes, &integer))
        return false;
    snprintf(text, sizeof(text), "%lld", (long long)integer);
    return rowkey_numeric_text(slice_str(text), out);
}

// ---- float8, float4 -----------------------------------------------------------------------------

// How many digits from the first to the last that is not zero; -1: no decimal number.
static int digits_that_count(struct slice s)
{
    int count = 0, zeros = 0, seen = 0;
    bool dot = false;
    size_t i = s.len > 0 && (s.at[0] == '-' || s.at[0] == '+');
    for (; i < s.len && (rowkey_is_digit(s.at[i]) || (s.at[i] == '.' && !dot)); i++) {
        if (s.at[i] == '.') {
            dot = true;
            continue;
        }
        seen++;
        zeros = s.at[i] == '0' ? zeros + (count > 0) : 0;
        count += s.at[i] != '0' || count > 0;
    }
    if (i < s.len && (s.at[i] | 0x20) == 'e') {
        i++;
        i += i < s.len && (s.at[i] == '-' || s.at[i] == '+');
        size_t exponent = s.len - i;
        while (i < s.len && rowkey_is_digit(s.at[i]))
            i++;
        if (exponent == 0)
            return -1;
    }
    return i == s.len && seen > 0 ? count - zeros : -1;
}

static bool form_of_double(double value, uint64_t *out)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%.14e", value == 0 ? 0.0 : value);
    *out = hash_bytes(text, (size_t)n);
    return isfinite(value);
}

struct decimal {
    bool zero;
    char text[ROWKEY_VALUE_BYTES + 1]; // for the readers of the C locale: no other is ever set
};

// A number that all readers take for the same.
static bool take_decimal(struct slice s, struct decimal *out)
{
    enum { DIGITS_MAX = 17 };
    s = rowkey_trim(s);
    int digits = s.len < sizeof(out->text) ? digits_that_count(s) : -1;
    if (digits < 0 || digits > DIGITS_MAX)
        return false;
    memcpy(out->text, s.at, s.len);
    out->text[s.len] = '\0';
    out->zero = digits == 0;
    return true;
}

bool rowkey_double_text(struct slice s, uint64_t *out)
{
    struct decimal decimal;
    if (!take_decimal(s, &decimal))
        return false;
    double value = strtod(decimal.text, NULL);
    return (decimal.zero || isnormal(value)) && form_of_double(value, out);
}

// Of float8 and of integers, which are cast to it. A numeric is read as text alone.
bool rowkey_double_binary(uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    enum rowkey_type type = rowkey_type_of(type_oid);
    int64_t integer;
    double value;
    if (type == ROWKEY_NUMERIC || !rowkey_integer_binary(bytes, &integer))
        return false;
    if (type == ROWKEY_INTEGER)
        return form_of_double((double)integer, out);
    memcpy(&value, &integer, sizeof(value));
    return bytes.len == sizeof(value) && form_of_double(value, out);
}

static bool form_of_float(float value, uint64_t *out)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%.5e", value == 0 ? 0.0 : (double)value);
    *out = hash_bytes(text, (size_t)n);
    return isfinite(value);
}

bool rowkey_float_text(struct slice s, uint64_t *out)
{
    struct decimal decimal;
    if (!take_decimal(s, &decimal))
        return false;
    float value = strtof(decimal.text, NULL);
    return (decimal.zero || isnormal(value)) && value == (float)strtod(decimal.text, NULL) &&
           form_of_float(value, out);
}

bool rowkey_float_binary(uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    enum rowkey_type type = rowkey_type_of(type_oid);
    int64_t integer;
    double wide;
    float value;
    if (type == ROWKEY_NUMERIC || !rowkey_integer_binary(bytes, &integer))
        return false;
    if (type == ROWKEY_INTEGER)
        return (float)integer == (float)(double)integer && form_of_float((float)integer, out);
    if (type == ROWKEY_DOUBLE) {
        memcpy(&wide, &integer, sizeof(wide));
        return bytes.len == sizeof(wide) && form_of_float((float)wide, out);
    }
    int32_t low = (int32_t)integer;
    memcpy(&value, &low, sizeof(value));
    return bytes.len == sizeof(value) && form_of_float(value, out);
}
