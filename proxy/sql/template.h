// SPDX-License-Identifier: Apache-2.0
// The template of a statement: its text with each constant replaced by one byte, so that the
// thousands of texts that an application builds from one line of its code are analysed once.
// The rule: texts of the same template have the same parse tree but for the values of constants.
// One pass, no allocation, no state; any thread. Whatever could make a quick reading differ from
// PostgreSQL's own (backslashes, dollar quotes, string prefixes, bytes beyond ASCII outside of
// strings and comments) makes it give up: such a text is its own template. Comments are dropped,
// but for those that are meant for us (cache/hints.h).
// Not here: what a statement means (analysis.h), and remembering it (texts.h).
#pragma once
#include "base/slice.h"

enum {
    TEMPLATE_MAX_BYTES = 16384, // a longer text is its own template
    TEMPLATE_INTEGER = 0x01,    // stands for a number that fits PostgreSQL's int4
    TEMPLATE_DECIMAL = 0x02,    // for any other number: it parses as another kind of constant
    TEMPLATE_STRING = 0x03,     // for a plain string constant, quotes included
};

struct template {
    struct slice bytes; // borrows: from out, or from the text itself when verbatim
    bool verbatim;      // a verbatim text and a template of equal bytes are different things
};

// out: room for TEMPLATE_MAX_BYTES; it must outlive the result. String constants that contain
// now, today, tomorrow or yesterday stay as they are: read as a date they are volatile.
struct template template_of(struct slice sql, uint8_t *out);

// What was taken out of a text, in order: the raw constants, and which of the three each is.
enum { TEMPLATE_CONSTANTS_MAX = 256 };
struct template_constant {
    struct slice raw; // borrows from the text
    uint8_t kind;
};
// The first ones, at most TEMPLATE_CONSTANTS_MAX; none of a text that is its own template. Texts of
// one template have as many, and the n-th of one stands where the n-th of another does.
size_t template_constants(struct slice sql, struct template_constant *out);
// How long the constant is that begins at `at`, which is within the text: 0 when there is none, or
// it is of another kind, or begins with a dot.
size_t template_constant_at(struct slice sql, size_t at, uint8_t kind);

// True when bytes contain one of those four words, in any case, with no letter directly around it;
// escapes and quotes of an array or a range may stand within.
// To be asked for parameter values too, whatever their declared type.
bool template_has_datetime_word(struct slice bytes);
// ... whatever is before them.
bool template_begins_with_datetime_word(struct slice bytes);
