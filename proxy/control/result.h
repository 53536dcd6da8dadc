// SPDX-License-Identifier: Apache-2.0
// Fields of a result of libpq, in text. What is not a number reads as 0, and NULL as empty.
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

static inline struct slice result_value(const PGresult *result, int row, int column)
{
    return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

// By its first byte.
static inline bool result_is(const PGresult *result, int row, int column, char c)
{
    return PQgetvalue(result, row, column)[0] == c;
}

static inline bool result_flag(const PGresult *result, int row, int column)
{
    return result_is(result, row, column, 't');
}

static inline uint64_t result_number(const PGresult *result, int row, int column)
{
    return strtoull(PQgetvalue(result, row, column), NULL, 10);
}

static inline uint32_t result_oid(const PGresult *result, int row, int column)
{
    return (uint32_t)result_number(result, row, column);
}

// pg_lsn; 0: it is none.
static inline uint64_t result_lsn(const PGresult *result, int row, int column)
{
    unsigned high, low;
    if (sscanf(PQgetvalue(result, row, column), "%X/%X", &high, &low) != 2)
        return 0;
    return (uint64_t)high << 32 | low;
}
