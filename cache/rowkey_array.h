// SPDX-License-Identifier: Apache-2.0
// Arrays of one dimension: their elements, one by one, and their forms as values of a column. Two
// elements without a value are alike.
//
// Internal to rowkey.c, but for going through elements and for which type is of which. Pure; any
// thread.
#pragma once
#include "cache/rowkey.h"

uint32_t rowkey_element_of(uint32_t array); // pg_type.typelem; 0: no array of a type with a form
uint32_t rowkey_array_of(uint32_t element); // pg_type.typarray; likewise

struct rowkey_element {
    bool null;   // as text: NULL without quotes, which is a word with array_nulls = off
    bool binary;
    uint32_t type;      // in binary; else 0
    struct slice bytes; // of a null in text its word
};
typedef bool rowkey_visit(void *arg, const struct rowkey_element *element);

// Calls for each element. False: it is not understood, or one call was answered so. As text {1,"2"}
// is taken, without bounds in front, braces within, and blanks that do not count; in binary
// array_send(), wherever it begins.
bool rowkey_elements_of_text(struct slice text, rowkey_visit *visit, void *arg);
bool rowkey_elements_of_binary(struct slice bytes, rowkey_visit *visit, void *arg);

// Of a column whose elements have that form.
bool rowkey_array_text(enum rowkey_type element, struct slice text, uint64_t *out);
bool rowkey_array_binary(enum rowkey_type element, struct slice bytes, uint64_t *out);
