// SPDX-License-Identifier: Apache-2.0
// Numbers with a fraction, as hashes of one form.
//
// Internal to rowkey.c. Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

// Decimal digits with a sign and a dot; no exponent, no NaN, no infinity.
bool rowkey_numeric_text(struct slice text, uint64_t *out);
bool rowkey_numeric_binary(struct slice bytes, uint64_t *out); // numeric_send()

// float8. Its form is of its first fifteen digits, which are the same whether the server prints
// fifteen of them or as many as tell it apart from all others (extra_float_digits). Zero has no
// sign. Refused: what is not finite, or too small; more than seventeen digits, which a server's
// strtod() may round as it likes; hexadecimal digits.
bool rowkey_double_text(struct slice text, uint64_t *out);
bool rowkey_double(double value, uint64_t *out);
