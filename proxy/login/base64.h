// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648) as SCRAM uses it: with padding, no white space, no line ends. Pure functions.
#pragma once
#include "base/buf.h"

// Reads all of text into bytes (of capacity); false: not base64, or too long.
bool base64_read(struct slice text, uint8_t *bytes, size_t capacity, size_t *n);

void base64_write(struct buf *out, const void *bytes, size_t n); // appends
