// SPDX-License-Identifier: Apache-2.0
// A text in PL/pgSQL, or SQL within it, cut into tokens as PostgreSQL's scan.l would. What is not
// plain is PLPGSQL_BAD: strings and names in other forms than 'so' and "so", $, names beyond ASCII.
// The caller has seen to it that there is no backslash, which a setting may give a meaning in
// strings. Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLPGSQL_WORD_MAX = 63 }; // a longer name is cut off by PostgreSQL

enum plpgsql_token {
    PLPGSQL_END,
    PLPGSQL_WORD,   // folded
    PLPGSQL_QUOTED, // "a name"
    PLPGSQL_NUMBER,
    PLPGSQL_STRING,
    PLPGSQL_OPERATOR,
    PLPGSQL_ASSIGN, // :=
    PLPGSQL_CAST,   // ::
    PLPGSQL_SIGN,   // one of ( ) [ ] , ; .
    PLPGSQL_BAD,
};

struct plpgsql {
    const uint8_t *at, *end;  // what is behind the token
    enum plpgsql_token token; // the one to be looked at
    char text[PLPGSQL_WORD_MAX + 1]; // of a word, name, operator or sign
    size_t len;
};

void plpgsql_next(struct plpgsql *t);

bool plpgsql_is_word(const struct plpgsql *t, const char *word);
bool plpgsql_is_sign(const struct plpgsql *t, char sign);
// Is it a word of the list, in which they have commas between them?
bool plpgsql_listed(const struct plpgsql *t, const char *list);
