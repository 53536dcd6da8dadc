// SPDX-License-Identifier: Apache-2.0
// Numbers; those with a fraction as hashes of one form. In binary each may be of another type of
// number that is compared with it: type_oid says which (rowkey_accepts()).
//
// Internal to rowkey.c. Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

// A sign and decimal digits; other ways to write an integer (of later releases) are refused.
bool rowkey_integer_text(struct slice text, int64_t *value);
bool rowkey_integer_binary(struct slice bytes, int64_t *value); // of two, four or eight bytes

// Decimal digits with a sign and a dot; no exponent, no NaN, no infinity.
bool rowkey_numeric_text(struct slice text, uint64_t *out);
bool rowkey_numeric_binary(uint32_t type_oid, struct slice bytes, uint64_t *out);

// float8. Its form is of its first fifteen digits, which are the same whether the server prints
// fifteen of them or as many as tell it apart from all others (extra_float_digits). Zero has no
// sign. Refused: what is not finite, or too small; more than seventeen digits, which a server's
// strtod() may round as it likes; hexadecimal digits.
bool rowkey_double_text(struct slice text, uint64_t *out);
bool rowkey_double_binary(uint32_t type_oid, struct slice bytes, uint64_t *out); // not a numeric's

// float4, likewise by its first six digits. What is given as a float8, an integer or a numeric has
// the form of the float4 next to it: as which it is stored, and without being which it equals none.
// Refused as well: what is rounded otherwise by way of a float8.
bool rowkey_float_text(struct slice text, uint64_t *out);
bool rowkey_float_binary(uint32_t type_oid, struct slice bytes, uint64_t *out); // not a numeric's
