// SPDX-License-Identifier: Apache-2.0
#include "config/words.h"

#include <ctype.h>
#include <string.h>

static bool is_blank(char c)
{
    return isspace((unsigned char)c);
}

static bool ends_plain(char c)
{
    return c == '\0' || c == ',' || c == '#' || c == '"' || is_blank(c);
}

// Behind the closing quote; NULL: there is none.
static const char *take_quoted(struct words *words, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '"' && *++s != '"')
            return s;
        buf_u8(&words->text, (uint8_t)*s);
    }
    return NULL;
}

void words_next(struct words *words)
{
    const char *s = words->rest;
    buf_clear(&words->text);
    while (is_blank(*s))
        s++;
    words->begin = s;
    if (*s == '\0' || *s == '#') {
        words->kind = WORD_END;
    } else if (*s == ',') {
        words->kind = WORD_COMMA;
        s++;
    } else if (*s == '"') {
        const char *end = take_quoted(words, s + 1);
        words->kind = end != NULL ? WORD_QUOTED : WORD_BAD;
        s = end != NULL ? end : s + strlen(s);
    } else {
        words->kind = WORD_PLAIN;
        while (!ends_plain(*s))
            buf_u8(&words->text, (uint8_t)*s++);
    }
    words->rest = s;
    buf_u8(&words->text, 0);
    words->word = (const char *)words->text.at;
}

void words_begin(struct words *words, const char *line)
{
    words->rest = line;
    words_next(words);
}

void words_fini(struct words *words)
{
    buf_fini(&words->text);
}

bool words_take(struct words *words, const char *keyword)
{
    if (words->kind != WORD_PLAIN || strcmp(words->word, keyword) != 0)
        return false;
    words_next(words);
    return true;
}

bool words_has_text(const struct words *words)
{
    return words->kind == WORD_PLAIN || words->kind == WORD_QUOTED;
}
