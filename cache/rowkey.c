// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/reader.h"
#include "cache/rowkey_time.h"

enum { // pg_type.dat
    BOOLOID = 16,
    BYTEAOID = 17,
    CHAROID = 18,
    NAMEOID = 19,
    INT8OID = 20,
    INT2OID = 21,
    INT4OID = 23,
    TEXTOID = 25,
    OIDOID = 26,
    MACADDROID = 829,
    BPCHAROID = 1042,
    VARCHAROID = 1043,
    DATEOID = 1082,
    TIMEOID = 1083,
    TIMESTAMPOID = 1114,
    TIMESTAMPTZOID = 1184,
    NUMERICOID = 1700,
    UUIDOID = 2950,
    ANYENUMOID = 3500,
};

enum { NAME_BYTES = 63 }; // of names and of labels; what is longer is cut, or there is none

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
    case OIDOID:
        return ROWKEY_OID;
    case CHAROID:
        return ROWKEY_CHAR;
    case NAMEOID:
        return ROWKEY_NAME;
    case ANYENUMOID:
        return ROWKEY_ENUM;
    case BYTEAOID:
        return ROWKEY_BYTES;
    case MACADDROID:
        return ROWKEY_MACADDR;
    case TIMEOID:
        return ROWKEY_TIME;
    case TIMESTAMPOID:
        return ROWKEY_TIMESTAMP;
    case TIMESTAMPTZOID:
        return ROWKEY_TIMESTAMPTZ;
    }
    return ROWKEY_NONE;
}

// A padded column meets text by losing its blanks, so the value's own may be dropped as well: more
// values have one form than are equal. A padded value and a column of text are refused: which of
// the two equalities is taken depends on more than the types. A name and text are compared as text.
bool rowkey_accepts(enum rowkey_type column, uint32_t type_oid)
{
    enum rowkey_type value = rowkey_type_of(type_oid);
    if (column == ROWKEY_NONE || value == ROWKEY_NONE)
        return false;
    return value == column ||
           ((column == ROWKEY_PADDED || column == ROWKEY_NAME) && value == ROWKEY_TEXT) ||
           ((column == ROWKEY_NUMERIC || column == ROWKEY_OID) && value == ROWKEY_INTEGER);
}

bool rowkey_has_letters(enum rowkey_type type)
{
    return rowkey_has_collation(type) || type == ROWKEY_ENUM;
}

bool rowkey_has_collation(enum rowkey_type type)
{
    return type == ROWKEY_TEXT || type == ROWKEY_PADDED || type == ROWKEY_NAME;
}

bool rowkey_is_rounded(enum rowkey_type type)
{
    return type == ROWKEY_NUMERIC || type == ROWKEY_TIME || type == ROWKEY_TIMESTAMP ||
           type == ROWKEY_TIMESTAMPTZ;
}

bool rowkey_comes_last(enum rowkey_type type)
{
    return type >= ROWKEY_BYTES;
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

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

// As parse_bool(): a word or its beginning, in any case.
static bool boolean_text(struct slice s, uint64_t *out)
{
    static const struct {
        const char *word;
        size_t least;
    } words[] = {{"false", 1}, {"true", 1}, {"no", 1}, {"yes", 1},
                 {"off", 2},   {"on", 2},   {"0", 1},  {"1", 1}};
    s = trim(s);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t n = 0;
        while (n < s.len && words[i].word[n] != '\0' && lower(s.at[n]) == words[i].word[n])
            n++;
        if (n == s.len && n >= words[i].least) {
            *out = of_integer(i % 2);
            return true;
        }
    }
    return false;
}

// Decimal digits. With a zero in front the releases differ: since 16 it is octal.
static bool oid_text(struct slice s, uint64_t *out)
{
    s = trim(s);
    bool plain = s.len == 1 || (s.len > 1 && s.len <= 10 && s.at[0] != '0');
    uint64_t value = 0;
    for (size_t i = 0; plain && i < s.len; i++) {
        plain = is_digit(s.at[i]);
        value = value * 10 + (s.at[i] - '0');
    }
    *out = of_integer((int64_t)value);
    return plain && value <= UINT32_MAX;
}

// An integer that is negative wraps round in some of the ways to compare it.
static bool oid_binary(uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    int64_t value;
    if (!integer_binary(bytes, &value))
        return false;
    bool integer = rowkey_type_of(type_oid) == ROWKEY_INTEGER;
    if (!integer)
        value = (uint32_t)value;
    *out = of_integer(value);
    return integer ? value >= 0 && value <= UINT32_MAX : bytes.len == 4;
}

// One byte of ASCII, or none, which is zero; of more the first one counts, or they are octal.
static bool char_text(struct slice s, uint64_t *out)
{
    *out = of_integer(s.len == 0 ? 0 : s.at[0]);
    return s.len <= 1 && (s.len == 0 || s.at[0] < 0x80);
}

static bool name_text(struct slice s, uint64_t *out)
{
    *out = of_bytes(s);
    return s.len <= NAME_BYTES;
}

// \x and digits without blanks between; or bytes of ASCII, with \\ and \ooo for others.
static bool bytes_text(struct slice s, uint64_t *out)
{
    uint8_t bytes[ROWKEY_VALUE_BYTES];
    size_t n = 0;
    bool hex = s.len >= 2 && s.at[0] == '\\' && s.at[1] == 'x';
    for (size_t i = hex ? 2 : 0; i < s.len; n++) {
        const uint8_t *at = s.at + i;
        size_t left = s.len - i;
        if (hex) {
            if (left < 2 || nibble(at[0]) < 0 || nibble(at[1]) < 0)
                return false;
            bytes[n] = (uint8_t)(nibble(at[0]) << 4 | nibble(at[1]));
            i += 2;
        } else if (at[0] != '\\') {
            if (at[0] >= 0x80)
                return false;
            bytes[n] = at[0];
            i++;
        } else if (left >= 2 && at[1] == '\\') {
            bytes[n] = '\\';
            i += 2;
        } else {
            if (left < 4 || at[1] < '0' || at[1] > '3' || at[2] < '0' || at[2] > '7' ||
                at[3] < '0' || at[3] > '7')
                return false;
            bytes[n] = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 4;
        }
    }
    *out = hash_bytes(bytes, n);
    return true;
}

// Six times two digits, with colons or hyphens between.
static bool macaddr_text(struct slice s, uint64_t *out)
{
    uint8_t bytes[6];
    for (size_t i = 0; s.len == 17 && i < 6; i++) {
        const uint8_t *at = s.at + 3 * i;
        if (nibble(at[0]) < 0 || nibble(at[1]) < 0 ||
            (i < 5 && (at[2] != s.at[2] || (at[2] != ':' && at[2] != '-'))))
            return false;
        bytes[i] = (uint8_t)(nibble(at[0]) << 4 | nibble(at[1]));
    }
    if (s.len != 17)
        return false;
    *out = hash_bytes(bytes, sizeof(bytes));
    return true;
}

static bool time_text(enum rowkey_type type, struct slice s, uint64_t *out)
{
    int64_t us;
    if (type == ROWKEY_TIME ? !rowkey_time_of_day(s, &us)
                            : !rowkey_point_in_time(s, type == ROWKEY_TIMESTAMPTZ, &us))
        return false;
    *out = of_integer(us);
    return true;
}

static bool date_text(struct slice s, uint64_t *out)
{
    int64_t days;
    if (!rowkey_date(s, &days))
        return false;
    *out = of_integer(days);
    return true;
}

static bool date_binary(struct slice bytes, uint64_t *out)
{
    enum { YEAR_1 = -730119, YEAR_9999_END = 2921939 }; // days since 2000-01-01
    int64_t days;
    if (bytes.len != 4 || !integer_binary(bytes, &days))
        return false;
    *out = of_integer(days);
    return days >= YEAR_1 && days <= YEAR_9999_END;
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
    case ROWKEY_OID:
        return oid_text(text, out);
    case ROWKEY_CHAR:
        return char_text(text, out);
    case ROWKEY_NAME:
    case ROWKEY_ENUM:
        return name_text(text, out);
    case ROWKEY_BYTES:
        return bytes_text(text, out);
    case ROWKEY_MACADDR:
        return macaddr_text(text, out);
    case ROWKEY_TIME:
    case ROWKEY_TIMESTAMP:
    case ROWKEY_TIMESTAMPTZ:
        return time_text(column, text, out);
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
    case ROWKEY_NAME:
    case ROWKEY_ENUM:
        return rowkey_text(column, bytes, out);
    case ROWKEY_UUID:
        *out = of_bytes(bytes);
        return bytes.len == 16;
    case ROWKEY_MACADDR:
        *out = of_bytes(bytes);
        return bytes.len == 6;
    case ROWKEY_BYTES:
        *out = of_bytes(bytes);
        return bytes.len <= ROWKEY_VALUE_BYTES;
    case ROWKEY_CHAR:
        return bytes.len == 1 && char_text(bytes.at[0] == 0 ? slice_of(bytes.at, 0) : bytes, out);
    case ROWKEY_OID:
        return oid_binary(type_oid, bytes, out);
    case ROWKEY_TIME:
    case ROWKEY_TIMESTAMP:
    case ROWKEY_TIMESTAMPTZ: // microseconds; infinities have no text, so they meet no event's
        if (bytes.len != 8 || !integer_binary(bytes, &integer))
            return false;
        *out = of_integer(integer);
        return true;
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
