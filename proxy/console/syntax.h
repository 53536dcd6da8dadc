// SPDX-License-Identifier: Apache-2.0
// The console's language: WORD [WORD] [;], SET WORD =|TO WORD|'text' [;], SHOW WORD WORD [;] (as
// one word, with an underscore between) or CACHE WORD [NAME[.NAME]] [;]. A word is letters, digits
// and underscores, or anything in double quotes. Pure functions.
#pragma once
#include <stddef.h>

enum { SYNTAX_COMMAND_BYTES = 16, SYNTAX_ARGUMENT_BYTES = 64, SYNTAX_VALUE_BYTES = 256 };

enum syntax {
    SYNTAX_EMPTY,   // nothing but blanks (and a semicolon)
    SYNTAX_COMMAND, // command, argument (maybe empty); of CACHE the name's parts in schema, value
    SYNTAX_SET,     // argument = value
    SYNTAX_LONG,    // a word is longer than any that means something
    SYNTAX_BAD,
};

struct sentence {
    char command[SYNTAX_COMMAND_BYTES];
    char argument[SYNTAX_ARGUMENT_BYTES];
    char value[SYNTAX_VALUE_BYTES];
    char schema[SYNTAX_ARGUMENT_BYTES];
};

enum syntax syntax_read(const char *text, struct sentence *sentence);
