// SPDX-License-Identifier: Apache-2.0
// Reads an ini file as PgBouncer does: [section], key = value, comments with ; or # at the start of
// a line only, %include FILE in place (relative to the working directory), a key in double quotes
// for names with other letters. It knows no option: what a line means is the caller's to say.
#pragma once
#include "config/problem.h"

struct ini_line {
    const char *file;    // borrows; for the problems
    int line;            // 1 is the first
    const char *section; // without the brackets
    const char *key;     // NULL: a section begins here
    const char *value;   // trimmed; NULL with key
};

enum {
    INI_DEPTH_MAX = 10,            // %include inside %include
    INI_FILE_BYTES_MAX = 10 << 20, // no configuration is larger; a device would be
};

// Calls handle for each section and each key in order. A syntax error is reported and the reading
// goes on with the next line. False when a file could not be read or had such an error.
bool ini_read(const char *path, void (*handle)(void *arg, const struct ini_line *line), void *arg,
              struct problems *problems);

// The next key=value of a connection string: s is cut in place, *key and *value point into it.
// Returns where to go on, NULL on a syntax error; *key is empty at the end. Values may stand in
// single quotes, a doubled quote inside stands for one; an empty value is an error.
char *ini_pair(char *s, char **key, char **value);
