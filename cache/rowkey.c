// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey.h"

#include "base/hash.h"
#include "base/reader.h"
#include "cache/rowkey_address.h"
#include "cache/rowkey_array.h"
#include "cache/rowkey_number.h"
#include "cache/rowkey_parts.h"
#include "cache/rowkey_range.h"
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
    CIDROID = 650,
    FLOAT4OID = 700,
    FLOAT8OID = 701,
    MACADDR8OID = 774,
    MACADDROID = 829,
    INETOID = 869,
    BPCHAROID = 1042,
    VARCHAROID = 1043,
    DATEOID = 1082,
    TIMEOID = 1083,
    TIMESTAMPOID = 1114,
    TIMESTAMPTZOID = 1184,
    INTERVALOID = 1186,
    BITOID = 1560,
    VARBITOID = 1562,
    NUMERICOID = 1700,
    UUIDOID = 2950,
    PG_LSNOID = 3220,
    ANYENUMOID = 3500,
};

enum { NAME_BYTES = 63 }; // of names and of labels; what is longer is cut, or there is none

enum { MADE_OF_OTHERS = ROWKEY_ARRAY | ROWKEY_RANGE };

// Whether it is an array or a range, or neither: 0.
static unsigned maker_of(enum rowkey_type type)
{
    return (unsigned)type & MADE_OF_OTHERS;
}

static enum rowkey_type element_of(enum rowkey_type type)
{
    return (enum rowkey_type)((unsigned)type & ~(unsigned)MADE_OF_OTHERS);
}

enum rowkey_type rowkey_of_elements(enum rowkey_type type)
{
    return maker_of(type) == ROWKEY_ARRAY ? element_of(type) : ROWKEY_NONE;
}

static enum rowkey_type scalar_of(uint32_t type_oid)
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
    case MACADDR8OID:
        return ROWKEY_MACADDR8;
    case INETOID:
        return ROWKEY_INET;
    case CIDROID:
        return ROWKEY_CIDR;
    case PG_LSNOID:
        return ROWKEY_LSN;
    case INTERVALOID:
        return ROWKEY_INTERVAL;
    case FLOAT4OID:
        return ROWKEY_FLOAT;
    case FLOAT8OID:
        return ROWKEY_DOUBLE;
    case BITOID:
    case VARBITOID:
        return ROWKEY_BITS;
    }
    return ROWKEY_NONE;
}

enum rowkey_type rowkey_type_of(uint32_t type_oid)
{
    enum rowkey_type type = scalar_of(type_oid); // most are
    if (type != ROWKEY_NONE)
        return type;
    type = scalar_of(rowkey_element_of(type_oid));
    if (type != ROWKEY_NONE)
        return (enum rowkey_type)((unsigned)type | ROWKEY_ARRAY);
    type = scalar_of(rowkey_bound_of(type_oid));
    return type == ROWKEY_NONE ? type : (enum rowkey_type)((unsigned)type | ROWKEY_RANGE);
}

// A padded column meets text by losing its blanks, so the value's own may be dropped as well: more
// values have one form than are equal. A padded value and a column of text are refused: which of
// the two equalities is taken depends on more than the types. A name and text are compared as text,
// a float8 and other numbers as float8 (not so a float4, which is compared as what it was rounded
// to), a float4 and other numbers as float8 or as float4, an inet and a cidr as inet. Arrays and
// ranges are compared with none but their like; as others arrays are stored element by element.
bool rowkey_accepts(enum rowkey_type column, uint32_t type_oid)
{
    enum rowkey_type value = rowkey_type_of(type_oid);
    if (column == ROWKEY_NONE || value == ROWKEY_NONE || maker_of(column) != maker_of(value))
        return false;
    if (maker_of(column) == ROWKEY_RANGE)
        return value == column;
    column = element_of(column);
    value = element_of(value);
    return value == column ||
           ((column == ROWKEY_PADDED || column == ROWKEY_NAME) && value == ROWKEY_TEXT) ||
           ((column == ROWKEY_NUMERIC || column == ROWKEY_OID) && value == ROWKEY_INTEGER) ||
           ((column == ROWKEY_DOUBLE || column == ROWKEY_FLOAT) &&
            (value == ROWKEY_INTEGER || value == ROWKEY_NUMERIC)) ||
           (column == ROWKEY_FLOAT && value == ROWKEY_DOUBLE) ||
           (column == ROWKEY_INET && value == ROWKEY_CIDR) ||
           (column == ROWKEY_CIDR && value == ROWKEY_INET);
}

bool rowkey_has_letters(enum rowkey_type type)
{
    return rowkey_has_collation(type) || element_of(type) == ROWKEY_ENUM;
}

bool rowkey_has_collation(enum rowkey_type type)
{
    type = element_of(type);
    return type == ROWKEY_TEXT || type == ROWKEY_PADDED || type == ROWKEY_NAME;
}

bool rowkey_is_rounded(enum rowkey_type type)
{
    return maker_of(type) != 0 || type == ROWKEY_NUMERIC || type == ROWKEY_TIME ||
           type == ROWKEY_TIMESTAMP || type == ROWKEY_TIMESTAMPTZ || type == ROWKEY_INTERVAL;
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

static bool of_integer_text(struct slice s, uint64_t *out)
{
    int64_t value = 0;
    bool taken = rowkey_integer_text(s, &value);
    *out = of_integer(value);
    return taken;
}

static struct slice without_padding(struct slice s)
{
    while (s.len > 0 && s.at[s.len - 1] == ' ')
        s.len--;
    return s;
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
        int digit = rowkey_nibble(s.at[i]);
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
    s = rowkey_trim(s);
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
    s = rowkey_trim(s);
    bool plain = s.len == 1 || (s.len > 1 && s.len <= 10 && s.at[0] != '0');
    uint64_t value = 0;
    for (size_t i = 0; plain && i < s.len; i++) {
        plain = rowkey_is_digit(s.at[i]);
        value = value * 10 + (s.at[i] - '0');
    }
    *out = of_integer((int64_t)value);
    return plain && value <= UINT32_MAX;
}

// An integer that is negative wraps round in some of the ways to compare it.
static bool oid_binary(uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    int64_t value;
    if (!rowkey_integer_binary(bytes, &value))
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
            if (left < 2 || rowkey_nibble(at[0]) < 0 || rowkey_nibble(at[1]) < 0)
                return false;
            bytes[n] = (uint8_t)(rowkey_nibble(at[0]) << 4 | rowkey_nibble(at[1]));
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

// Two numbers of up to eight hexadecimal digits, with a slash between.
static bool lsn_text(struct slice s, uint64_t *out)
{
    uint32_t half[2] = {0, 0};
    int at = 0, digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = rowkey_nibble(s.at[i]);
        if (s.at[i] == '/' && at == 0 && digits > 0) {
            at = 1;
            digits = 0;
        } else if (digit < 0 || ++digits > 8) {
            return false;
        } else {
            half[at] = half[at] << 4 | (uint32_t)digit;
        }
    }
    *out = of_integer((int64_t)((uint64_t)half[0] << 32 | half[1]));
    return at == 1 && digits > 0;
}

// Of zeros and ones.
static bool bits_text(struct slice s, uint64_t *out)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != '0' && s.at[i] != '1')
            return false;
    *out = of_bytes(s);
    return true;
}

// varbit_send(): how many, and the bits, the first one highest.
static bool bits_binary(struct slice bytes, uint64_t *out)
{
    char text[ROWKEY_VALUE_BYTES];
    struct reader r = reader_of(bytes);
    uint32_t count = reader_u32(&r);
    if (!reader_ok(&r) || count > sizeof(text) || bytes.len != 4 + (count + 7) / 8)
        return false;
    for (uint32_t i = 0; i < count; i++)
        text[i] = bytes.at[4 + i / 8] >> (7 - i % 8) & 1 ? '1' : '0';
    return bits_text(slice_of(text, count), out);
}

static uint64_t of_interval(struct rowkey_interval interval)
{
    return hash_bytes(&interval, sizeof(interval));
}

static bool interval_text(struct slice s, uint64_t *out)
{
    struct rowkey_interval interval;
    if (!rowkey_span(s, &interval))
        return false;
    *out = of_interval(interval);
    return true;
}

// interval_send(). Infinite ones, of release 17, have no text: they meet no event's.
static bool interval_binary(struct slice bytes, uint64_t *out)
{
    struct reader r = reader_of(bytes);
    int64_t us = (int64_t)reader_u64(&r), days = (int32_t)reader_u32(&r);
    int64_t months = (int32_t)reader_u32(&r);
    *out = of_interval(rowkey_interval_of(months, days, us));
    return reader_done(&r);
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
    if (bytes.len != 4 || !rowkey_integer_binary(bytes, &days))
        return false;
    *out = of_integer(days);
    return days >= YEAR_1 && days <= YEAR_9999_END;
}

// ---- All of them --------------------------------------------------------------------------------

bool rowkey_text(enum rowkey_type column, struct slice text, uint64_t *out)
{
    if (text.len > ROWKEY_VALUE_BYTES)
        return false;
    if (maker_of(column) != 0)
        return maker_of(column) == ROWKEY_ARRAY
                   ? rowkey_array_text(element_of(column), text, out)
                   : rowkey_range_text(element_of(column), text, out);
    switch (column) {
    case ROWKEY_NONE:
        return false;
    case ROWKEY_INTEGER:
        return of_integer_text(text, out);
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
        return rowkey_numeric_text(text, out);
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
        return rowkey_macaddr_text(text, out);
    case ROWKEY_TIME:
    case ROWKEY_TIMESTAMP:
    case ROWKEY_TIMESTAMPTZ:
        return time_text(column, text, out);
    case ROWKEY_MACADDR8:
        return rowkey_macaddr8_text(text, out);
    case ROWKEY_INET:
    case ROWKEY_CIDR:
        return rowkey_inet_text(text, column == ROWKEY_CIDR, out);
    case ROWKEY_LSN:
        return lsn_text(text, out);
    case ROWKEY_INTERVAL:
        return interval_text(text, out);
    case ROWKEY_DOUBLE:
        return rowkey_double_text(text, out);
    case ROWKEY_FLOAT:
        return rowkey_float_text(text, out);
    case ROWKEY_BITS:
        return bits_text(text, out);
    }
    return false;
}

bool rowkey_binary(enum rowkey_type column, uint32_t type_oid, struct slice bytes, uint64_t *out)
{
    int64_t integer;
    if (maker_of(column) != 0)
        return maker_of(column) == ROWKEY_ARRAY
                   ? rowkey_array_binary(element_of(column), bytes, out)
                   : rowkey_range_binary(element_of(column), bytes, out);
    switch (column) {
    case ROWKEY_NONE:
        return false;
    case ROWKEY_INTEGER:
        if (!rowkey_integer_binary(bytes, &integer))
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
    case ROWKEY_LSN:
        if (bytes.len != 8 || !rowkey_integer_binary(bytes, &integer))
            return false;
        *out = of_integer(integer);
        return true;
    case ROWKEY_BOOLEAN:
        *out = of_integer(bytes.len == 1 && bytes.at[0] != 0);
        return bytes.len == 1;
    case ROWKEY_DATE:
        return date_binary(bytes, out);
    case ROWKEY_NUMERIC:
        return rowkey_numeric_binary(type_oid, bytes, out);
    case ROWKEY_MACADDR8:
        *out = of_bytes(bytes);
        return bytes.len == 8;
    case ROWKEY_INET:
    case ROWKEY_CIDR:
        return rowkey_inet_binary(bytes, column == ROWKEY_CIDR, out);
    case ROWKEY_INTERVAL:
        return interval_binary(bytes, out);
    case ROWKEY_DOUBLE:
        return rowkey_double_binary(type_oid, bytes, out);
    case ROWKEY_FLOAT:
        return rowkey_float_binary(type_oid, bytes, out);
    case ROWKEY_BITS:
        return bits_binary(bytes, out);
    }
    return false;
}
