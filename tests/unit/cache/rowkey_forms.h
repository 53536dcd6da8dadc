// SPDX-License-Identifier: Apache-2.0
// For tests of the forms of values: a value's form, which values share one, which are refused.
#pragma once
#include "cache/rowkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum {
    BOOL = 16, BYTEA = 17, CHAR = 18, NAME = 19, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25,
    OID = 26, JSON = 114, FLOAT8 = 701, MACADDR = 829, BPCHAR = 1042, VARCHAR = 1043, DATE = 1082,
    TIME = 1083, TIMESTAMP = 1114, TIMESTAMPTZ = 1184, INTERVAL = 1186, NUMERIC = 1700,
    UUID = 2950, ANYENUM = 3500, CIDR = 650, FLOAT4 = 700, MACADDR8 = 774, INET = 869,
    TIMETZ = 1266, BIT = 1560, VARBIT = 1562, LSN = 3220, XID8 = 5069,
};

static inline uint64_t text(enum rowkey_type type, const char *value)
{
    uint64_t form;
    if (!rowkey_text(type, slice_str(value), &form))
        fail_msg("refused: '%s'", value);
    return form;
}

static inline uint64_t binary(enum rowkey_type type, uint32_t oid, const char *bytes, size_t n)
{
    uint64_t form;
    if (!rowkey_binary(type, oid, slice_of(bytes, n), &form))
        fail_msg("refused: %zu bytes of %u", n, oid);
    return form;
}

#define BINARY(type, oid, bytes) binary(type, oid, bytes, sizeof(bytes) - 1)

static inline bool refused(enum rowkey_type type, const char *value)
{
    uint64_t form;
    return !rowkey_text(type, slice_str(value), &form);
}

static inline bool refused_binary(enum rowkey_type type, uint32_t oid, const char *bytes, size_t n)
{
    uint64_t form;
    return !rowkey_binary(type, oid, slice_of(bytes, n), &form);
}

// Each list is one class; classes differ from each other.
static inline void text_classes(enum rowkey_type type, const char *const classes[][6],
                                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t form = text(type, classes[i][0]);
        for (size_t k = 1; k < 6 && classes[i][k] != NULL; k++)
            assert_int_equal(text(type, classes[i][k]), form);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(text(type, classes[k][0]), form);
    }
}

#define CLASSES(type, classes) text_classes(type, classes, sizeof(classes) / sizeof(*classes))

static inline void all_refused(enum rowkey_type type, const char *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!refused(type, values[i]))
            fail_msg("not refused: '%s'", values[i]);
}

#define REFUSED(type, values) all_refused(type, values, sizeof(values) / sizeof(*values))
