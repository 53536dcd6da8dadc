// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/plpgsql.h"

#include <string.h>

static bool is_letter(uint8_t c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_operator(uint8_t c)
{
    return c != 0 && strchr("+-*/<>=~!@#%^&|`?", c) != NULL;
}

static bool begins(const struct plpgsql *t, const char *with)
{
    size_t len = strlen(with);
    return (size_t)(t->end - t->at) >= len && memcmp(t->at, with, len) == 0;
}

static bool skip_comment(struct plpgsql *t)
{
    int nested = 0;
    do {
        if (begins(t, "/*")) {
            nested++;
            t->at += 2;
        } else if (begins(t, "*/")) {
            nested--;
            t->at += 2;
        } else if (t->at == t->end) {
            return false;
        } else {
            t->at++;
        }
    } while (nested > 0);
    return true;
}

static bool skip_blanks(struct plpgsql *t)
{
    while (t->at < t->end) {
        if (begins(t, "--")) {
            while (t->at < t->end && *t->at != '\n' && *t->at != '\r')
                t->at++;
        } else if (begins(t, "/*")) {
            if (!skip_comment(t))
                return false;
        } else if (*t->at == ' ' || (*t->at >= '\t' && *t->at <= '\r')) {
            t->at++;
        } else {
            break;
        }
    }
    return true;
}

static enum plpgsql_token take_word(struct plpgsql *t)
{
    t->len = 0;
    while (t->at < t->end && (is_letter(*t->at) || is_digit(*t->at))) {
        if (t->len == PLPGSQL_WORD_MAX)
            return PLPGSQL_BAD;
        uint8_t c = *t->at++;
        t->text[t->len++] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    // $, a byte beyond ASCII; or what makes something else of the word: E'', "a"b.
    bool glued = t->at < t->end && (*t->at == '$' || *t->at >= 0x80 || *t->at == '\'' ||
                                    *t->at == '"');
    return glued || begins(t, "&'") || begins(t, "&\"") ? PLPGSQL_BAD : PLPGSQL_WORD;
}

static enum plpgsql_token take_quoted(struct plpgsql *t)
{
    t->len = 0;
    for (t->at++; t->at < t->end && *t->at != '"'; t->at++) {
        if (t->len == PLPGSQL_WORD_MAX || *t->at == 0)
            return PLPGSQL_BAD;
        t->text[t->len++] = (char)*t->at;
    }
    if (t->at == t->end || t->len == 0)
        return PLPGSQL_BAD;
    t->at++;
    return t->at < t->end && *t->at == '"' ? PLPGSQL_BAD : PLPGSQL_QUOTED;
}

static enum plpgsql_token take_string(struct plpgsql *t)
{
    t->at++;
    for (; t->at < t->end; t->at++)
        if (*t->at == '\'') {
            t->at++;
            if (t->at == t->end || *t->at != '\'')
                return PLPGSQL_STRING;
        }
    return PLPGSQL_BAD;
}

static enum plpgsql_token take_number(struct plpgsql *t)
{
    bool dot = false;
    for (; t->at < t->end && (is_digit(*t->at) || (*t->at == '.' && !dot)); t->at++)
        dot |= *t->at == '.';
    bool more = t->at < t->end && (is_letter(*t->at) || *t->at == '.' || *t->at == '$' ||
                                   *t->at == '\'' || *t->at >= 0x80);
    return more ? PLPGSQL_BAD : PLPGSQL_NUMBER;
}

// As scan.l cuts it: not into a comment; and + or - are not its last, unless it has others in it.
static enum plpgsql_token take_operator(struct plpgsql *t)
{
    bool others = false;
    t->len = 0;
    while (t->at < t->end && is_operator(*t->at) && !begins(t, "--") && !begins(t, "/*")) {
        if (t->len == PLPGSQL_WORD_MAX)
            return PLPGSQL_BAD;
        others |= strchr("~!@#%^&|`?", *t->at) != NULL;
        t->text[t->len++] = (char)*t->at++;
    }
    while (!others && t->len > 1 && (t->text[t->len - 1] == '+' || t->text[t->len - 1] == '-')) {
        t->len--;
        t->at--;
    }
    return PLPGSQL_OPERATOR;
}

static enum plpgsql_token take(struct plpgsql *t)
{
    if (!skip_blanks(t))
        return PLPGSQL_BAD;
    if (t->at == t->end)
        return PLPGSQL_END;
    uint8_t c = *t->at;
    if (is_letter(c))
        return take_word(t);
    if (is_digit(c))
        return take_number(t);
    if (is_operator(c))
        return take_operator(t);
    if (c == '\'')
        return take_string(t);
    if (c == '"')
        return take_quoted(t);
    if (begins(t, ":=") || begins(t, "::")) {
        t->at += 2;
        return t->at[-1] == '=' ? PLPGSQL_ASSIGN : PLPGSQL_CAST;
    }
    t->text[0] = (char)c;
    t->len = 1;
    t->at++;
    return c != 0 && strchr("()[],;.", c) != NULL ? PLPGSQL_SIGN : PLPGSQL_BAD;
}

void plpgsql_next(struct plpgsql *t)
{
    t->len = 0;
    t->token = take(t);
    t->text[t->len] = 0;
}

bool plpgsql_is_word(const struct plpgsql *t, const char *word)
{
    return t->token == PLPGSQL_WORD && strcmp(t->text, word) == 0;
}

bool plpgsql_is_sign(const struct plpgsql *t, char sign)
{
    return t->token == PLPGSQL_SIGN && t->text[0] == sign;
}

bool plpgsql_listed(const struct plpgsql *t, const char *list)
{
    if (t->token != PLPGSQL_WORD)
        return false;
    for (const char *at = list; (at = strstr(at, t->text)) != NULL; at++)
        if ((at == list || at[-1] == ',') && (at[t->len] == ',' || at[t->len] == 0))
            return true;
    return false;
}
