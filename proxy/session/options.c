// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

// Takes the next word off *at, unescaped, into word (which has room for all); false: no more.
static bool next_word(const char **at, char *word)
{
    const char *p = *at;
    while (isspace((unsigned char)*p))
        p++;
    if (*p == '\0')
        return false;
    while (*p != '\0' && !isspace((unsigned char)*p)) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        else if (*p == '\\')
            break; // a lone backslash at the end stands for nothing
        *word++ = *p++;
    }
    *word = '\0';
    *at = *p == '\\' ? p + 1 : p;
    return true;
}

static enum options_result setting(char *text, const char *dashes, options_take *take, void *arg,
                                   char *why, size_t why_bytes)
{
    char *value = strchr(text, '=');
    if (value == NULL) {
        snprintf(why, why_bytes, "%s%s requires a value", dashes, text);
        return OPTIONS_NO_VALUE;
    }
    *value++ = '\0';
    for (char *p = text; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    return take(arg, text, value) ? OPTIONS_OK : OPTIONS_STOPPED;
}

enum options_result options_each(const char *options, options_take *take, void *arg, char *why,
                                 size_t why_bytes)
{
    enum options_result result = OPTIONS_OK;
    char *word = mem_alloc(strlen(options) + 1);
    while (result == OPTIONS_OK && next_word(&options, word)) {
        if (strncmp(word, "--", 2) == 0 && word[2] != '\0') {
            result = setting(word + 2, "--", take, arg, why, why_bytes);
        } else if (strncmp(word, "-c", 2) == 0 &&
                   (word[2] != '\0' || next_word(&options, word + 2))) {
            result = setting(word + 2, "-c ", take, arg, why, why_bytes);
        } else {
            snprintf(why, why_bytes,
                     "unsupported options startup parameter: only '-c config=val' and "
                     "'--config=val' are allowed");
            result = OPTIONS_UNKNOWN;
        }
    }
    mem_free(word);
    return result;
}
