// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/syntax.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum word { WORD_NONE, WORD_READ, WORD_LONG, WORD_BAD };

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\n\r");
}

static bool is_plain(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

// In quotes a doubled one stands for itself.
static enum word quoted(const char **at, char quote, char *out, size_t bytes)
{
    const char *p = *at + 1;
    size_t n = 0;
    bool fits = true;
    for (;; p++) {
        if (*p == '\0')
            return WORD_BAD;
        if (*p == quote && *++p != quote)
            break;
        if (n + 1 < bytes)
            out[n++] = *p;
        else
            fits = false;
    }
    out[n] = '\0';
    *at = p;
    return fits ? WORD_READ : WORD_LONG;
}

static enum word word(const char **at, char *out, size_t bytes)
{
    out[0] = '\0';
    if (**at == '"')
        return quoted(at, '"', out, bytes);
    size_t n = 0;
    while (is_plain((*at)[n]))
        n++;
    if (n == 0)
        return WORD_NONE;
    bool fits = n < bytes;
    if (fits) {
        memcpy(out, *at, n);
        out[n] = '\0';
    }
    *at += n;
    return fits ? WORD_READ : WORD_LONG;
}

static bool ends(const char *at)
{
    at = skip_blanks(at);
    if (*at == ';')
        at = skip_blanks(at + 1);
    return *at == '\0';
}

static enum syntax setting(const char *at, struct sentence *s)
{
    at = skip_blanks(at);
    enum word name = word(&at, s->argument, sizeof(s->argument));
    at = skip_blanks(at);
    if (*at == '=')
        at++;
    else if (strncasecmp(at, "to", 2) == 0 && !is_plain(at[2]))
        at += 2;
    else
        return SYNTAX_BAD;
    at = skip_blanks(at);
    enum word value = *at == '\'' ? quoted(&at, '\'', s->value, sizeof(s->value))
                                  : word(&at, s->value, sizeof(s->value));
    if (name == WORD_BAD || name == WORD_NONE || value == WORD_BAD || value == WORD_NONE ||
        !ends(at))
        return SYNTAX_BAD;
    return name == WORD_LONG || value == WORD_LONG || s->argument[0] == '\0' ? SYNTAX_LONG
                                                                             : SYNTAX_SET;
}

// CACHE FLUSH: [schema .] table, unquoted as PostgreSQL folds them.
static enum word table_name(const char **at, struct sentence *s)
{
    bool folds = **at != '"';
    enum word read = word(at, s->value, sizeof(s->value));
    for (char *c = s->value; folds && *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (read != WORD_READ || *skip_blanks(*at) != '.' || s->schema[0] != '\0')
        return read;
    *at = skip_blanks(skip_blanks(*at) + 1);
    if (strlen(s->value) >= sizeof(s->schema))
        return WORD_LONG;
    strcpy(s->schema, s->value);
    read = table_name(at, s);
    return read == WORD_NONE ? WORD_BAD : read;
}

// SHOW CACHE QUERIES is SHOW CACHE_QUERIES.
static enum word second_word(const char **at, struct sentence *s)
{
    char more[SYNTAX_ARGUMENT_BYTES];
    enum word read = word(at, more, sizeof(more));
    if (read != WORD_READ)
        return read;
    size_t n = strlen(s->argument);
    if (n + 1 + strlen(more) >= sizeof(s->argument))
        return WORD_LONG;
    s->argument[n] = '_';
    strcpy(s->argument + n + 1, more);
    return WORD_READ;
}

enum syntax syntax_read(const char *text, struct sentence *s)
{
    *s = (struct sentence){.command = ""};
    if (ends(text))
        return SYNTAX_EMPTY;
    const char *at = skip_blanks(text);
    enum word command = word(&at, s->command, sizeof(s->command));
    if (command == WORD_NONE || command == WORD_BAD)
        return SYNTAX_BAD;
    bool apart = skip_blanks(at) != at;
    if (apart && strcasecmp(s->command, "set") == 0)
        return setting(at, s);
    at = skip_blanks(at);
    enum word argument = WORD_NONE;
    if (apart)
        argument = word(&at, s->argument, sizeof(s->argument));
    enum word more = WORD_NONE;
    if (argument == WORD_READ && skip_blanks(at) != at) {
        at = skip_blanks(at);
        if (strcasecmp(s->command, "cache") == 0)
            more = table_name(&at, s);
        else if (strcasecmp(s->command, "show") == 0)
            more = second_word(&at, s);
    }
    if (argument == WORD_BAD || more == WORD_BAD || !ends(at))
        return SYNTAX_BAD;
    bool is_long = command == WORD_LONG || argument == WORD_LONG || more == WORD_LONG;
    return is_long ? SYNTAX_LONG : SYNTAX_COMMAND;
}
