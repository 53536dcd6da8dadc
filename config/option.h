// SPDX-License-Identifier: Apache-2.0
// The one table of options: name, type, range, default, whether a reload changes it, a sentence.
// The parser, the defaults, SHOW CONFIG and docs/configuration.md all come from it. Constant data;
// any thread. What a file looks like is ini.h's business, what values mean together config.h's.
#pragma once
#include "base/buf.h"
#include "config/settings.h"

enum option_type {
    OPTION_BOOL,  // bool: 0, 1, and on, off, true, false, yes, no
    OPTION_COUNT, // int: decimal, 0x or 0 prefixed, as PgBouncer reads it
    OPTION_MODE,  // int: permission bits, "0777"
    OPTION_TIME,  // int64_t in microseconds: seconds ("1", "0.25") or with us, ms, s, min, h, d
    OPTION_BYTES, // int64_t: bytes, or with k, M, G, T (powers of 1024; kB, MB ... too)
    OPTION_RATE,  // int64_t: a part of 1, "0.25", in millionths
    OPTION_TEXT,  // char *
    OPTION_WORD,  // an enum (int): one of words[]
};

enum {
    OPTION_NO_FIELD = -1, // the value is checked, and kept only as text
};

struct option_word {
    const char *word;
    int value;
    const char *refusal; // not NULL: known, but this version cannot: the sentence to refuse with
};

struct option {
    const char *name;
    const char *alias; // another name for the same, or NULL
    enum option_type type;
    bool reloadable;   // false: needs a restart
    bool ours;         // not a PgBouncer option
    bool moot;         // known, so that PgBouncer's files load: it is about PgBouncer's inside
    int offset;        // in struct settings, or OPTION_NO_FIELD
    const char *fallback; // the default, as it would stand in the file
    int64_t min;       // COUNT; TIME in microseconds; BYTES
    int64_t max;
    const struct option_word *words; // WORD only; ends with word == NULL
    const char *sentence; // what it does; Markdown, whole sentences
};

// All options in alphabetical order (the order of SHOW CONFIG).
extern const struct option option_table[];
extern const size_t option_count;

const struct option *option_find(const char *name); // by name or alias; NULL if there is none
size_t option_index(const struct option *option);   // its place in option_table

// The known name nearest to a misspelt one, or NULL when nothing is near.
const char *option_suggest(const char *name);

// The same for any list of words that ends with NULL.
const char *option_nearest(const char *name, const char *const *words);

// Reads a value into *settings (which owns the copy of a text and frees the one before). An option
// without a field is only checked. False: *settings is unchanged and `why` (of why_bytes) has a
// sentence, e.g. `must be between 1 and 65535`.
bool option_set(const struct option *option, struct settings *settings, const char *value,
                char *why, size_t why_bytes);

// Appends the value in the form SHOW CONFIG prints (times in seconds, words, plain numbers);
// nothing for an option without a field.
void option_print(const struct option *option, const struct settings *settings, struct buf *out);

// Do two valid values mean the same (`on` and `1`, `1h` and `3600`)?
bool option_same(const struct option *option, const char *a, const char *b);

void option_defaults(struct settings *settings); // *settings: zeroed, or set by these functions
void option_free(struct settings *settings);     // gives the texts back; all zero afterwards

// Values by themselves, as the table's types read them; false when text is not one.
bool option_read_bool(const char *text, bool *value);
bool option_read_count(const char *text, int64_t *value);
bool option_read_time_us(const char *text, int64_t *value_us);
bool option_read_bytes(const char *text, int64_t *value_bytes);

extern const struct option_word option_pool_modes[], option_auth_types[];
