// SPDX-License-Identifier: Apache-2.0
#include "base/protection.h"

#ifdef WITH_PROTECTIONS_OFF

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char variable[] = "PGWEIR_PROTECTIONS_OFF";

static const struct {
    const char *word, *sentence;
} names[] = {
#define X(name, word, sentence) {word, sentence},
    PROTECTIONS(X)
#undef X
};

static bool off[PROTECTION_COUNT]; // before there are threads, then only read

static bool switch_off(const char *word, size_t len)
{
    for (int i = 0; i < PROTECTION_COUNT; i++) {
        if (strlen(names[i].word) != len || memcmp(names[i].word, word, len) != 0)
            continue;
        off[i] = true;
        fprintf(stderr, "UNPROTECTED: switched off: %s\n", names[i].sentence);
        return true;
    }
    fprintf(stderr, "%s: there is no protection \"%.*s\"\n", variable, (int)len, word);
    return false;
}

bool protection_begin(void)
{
    const char *words = getenv(variable);
    if (words == NULL) {
        fprintf(stderr, "this program can serve wrong rows, and is for tests only (%s)\n",
                variable);
        return false;
    }
    if (strcmp(words, "none") == 0)
        return true;
    for (;;) {
        size_t len = strcspn(words, ",");
        if (!switch_off(words, len))
            return false;
        if (words[len] == '\0')
            return true;
        words += len + 1;
    }
}

bool protection_is_off(enum protection protection)
{
    return off[protection];
}

#else

typedef int protection_c_is_empty; // C wants a declaration

#endif
