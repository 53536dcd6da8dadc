// SPDX-License-Identifier: Apache-2.0
#include "config/protocols.h"

#include <string.h>
#include <strings.h>

static unsigned find(const char *word, size_t length)
{
    static const struct {
        const char *word;
        unsigned versions;
    } words[] = {
        {"all", PROTOCOLS_ALL},           {"default", PROTOCOLS_SECURE},
        {"secure", PROTOCOLS_SECURE},     {"tlsv1", PROTOCOLS_ALL},
        {"tlsv1.0", PROTOCOLS_TLS_1_0},   {"tlsv1.1", PROTOCOLS_TLS_1_1},
        {"tlsv1.2", PROTOCOLS_TLS_1_2},   {"tlsv1.3", PROTOCOLS_TLS_1_3},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].word) == length && strncasecmp(words[i].word, word, length) == 0)
            return words[i].versions;
    }
    return 0;
}

bool protocols_read(const char *text, unsigned *versions)
{
    unsigned all = 0;
    if (*text == '\0') {
        *versions = PROTOCOLS_SECURE;
        return true;
    }
    for (;;) {
        text += strspn(text, " \t");
        bool negated = *text == '!';
        text += negated;
        size_t end = strcspn(text, ",:"), length = end;
        while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
            length--;
        unsigned found = find(text, length);
        if (found == 0)
            return false;
        if (negated)
            all = (all == 0 ? PROTOCOLS_ALL : all) & ~found;
        else
            all |= found;
        if (text[end] == '\0')
            break;
        text += end + 1;
    }
    *versions = all;
    return all != 0;
}
