// SPDX-License-Identifier: Apache-2.0
// The values of a row's key in one form, whatever way they were written: '05' and 5, text and
// binary, as a client sends them and as the event stream prints them. Two values that PostgreSQL's
// own equality of the column's type takes for the same have the same number here; the number is a
// hash, so others may have it too, which costs a hit and never correctness.
//
// What has no safe form is refused, and its caller falls back to the table, or to all its rows.
// Pure; any thread; no memory.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    ROWKEY_COLUMNS_MAX = 4,   // a key of more columns is none
    ROWKEY_VALUE_BYTES = 256, // a longer value has no form
};

enum rowkey_type {
    ROWKEY_NONE,
    ROWKEY_INTEGER, // int2, int4, int8: they compare across
    ROWKEY_TEXT,    // text, varchar, with a deterministic collation: equal bytes
    ROWKEY_PADDED,  // bpchar, likewise: blanks at the end do not count
    ROWKEY_UUID,
    ROWKEY_BOOLEAN,
    ROWKEY_DATE,    // of the years 1 to 9999
    ROWKEY_NUMERIC, // finite ones
    ROWKEY_OID,     // also integers that are none too big
    ROWKEY_CHAR,    // "char", of ASCII
    ROWKEY_NAME,    // equal bytes, at most 63
    ROWKEY_ENUM,    // by the label
    ROWKEY_MACADDR,
    ROWKEY_MACADDR8,
    ROWKEY_INET,
    ROWKEY_CIDR, // the same forms, but for what a cidr cannot have
    ROWKEY_LSN,
    ROWKEY_BYTES,
    ROWKEY_TIME,
    ROWKEY_TIMESTAMP,   // of the years 1 to 9999; as text in ISO's form
    ROWKEY_TIMESTAMPTZ, // likewise, with a numeric offset
    ROWKEY_INTERVAL,
    ROWKEY_DOUBLE,      // float8, finite
    ROWKEY_BITS,        // bit, varbit
    ROWKEY_FLOAT,       // float4, finite
};
enum { ROWKEY_TYPES = ROWKEY_FLOAT + 1 };
enum { // with one of the types
    ROWKEY_ARRAY = 0x40, // an array of such
    ROWKEY_RANGE = 0x80, // a range of such
};

// The form of a column of this type (pg_type.oid); ROWKEY_NONE: it has none. Of an enum the type to
// ask for is anyenum, of a domain what it is based on.
enum rowkey_type rowkey_type_of(uint32_t type_oid);

// May a value of this type be compared with a column of that form, with equality as above?
bool rowkey_accepts(enum rowkey_type column, uint32_t type_oid);

enum rowkey_type rowkey_of_elements(enum rowkey_type type); // of an array; ROWKEY_NONE: it is none

bool rowkey_has_letters(enum rowkey_type type);   // its bytes depend on the encoding
bool rowkey_has_collation(enum rowkey_type type); // its equality may be that of a collation
bool rowkey_is_rounded(enum rowkey_type type);    // when it is stored with a precision
bool rowkey_comes_last(enum rowkey_type type);    // there are mostly better keys beside it

// The value as text, as PostgreSQL reads and prints it. False: refused.
bool rowkey_text(enum rowkey_type column, struct slice text, uint64_t *out);
// The value in the binary form of type_oid, which the column's form accepts. False: refused.
bool rowkey_binary(enum rowkey_type column, uint32_t type_oid, struct slice bytes, uint64_t *out);
