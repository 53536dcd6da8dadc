// SPDX-License-Identifier: Apache-2.0
#include "cache/hints.h"

#include <strings.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == ',';
}

static struct slice skip_blanks(struct slice s)
{
    while (s.len > 0 && is_blank(*s.at))
        s = slice_skip(s, 1);
    return s;
}

static bool word_is(struct slice word, const char *lower)
{
    return word.len == strlen(lower) && strncasecmp((const char *)word.at, lower, word.len) == 0;
}

static bool begins(struct slice s, const char *lower)
{
    return s.len >= strlen(lower) && strncasecmp((const char *)s.at, lower, strlen(lower)) == 0;
}

bool hints_are(struct slice comment)
{
    return begins(skip_blanks(comment), HINTS_PREFIX);
}

// "5", "1.5s", "200ms" in microseconds; -1: it is none, or too much.
static int64_t read_time_us(struct slice s)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"", 1e6},   {"us", 1},     {"ms", 1e3},   {"s", 1e6},
                 {"min", 60e6}, {"h", 3600e6}, {"d", 86400e6}};
    double number = 0, place = 0;
    size_t digits = 0;
    for (; s.len > 0 && ((*s.at >= '0' && *s.at <= '9') || (*s.at == '.' && place == 0));
         s = slice_skip(s, 1)) {
        if (*s.at == '.') {
            place = 1;
            continue;
        }
        digits++;
        number = number * 10 + (*s.at - '0');
        place *= 10;
    }
    for (size_t i = 0; digits > 0 && i < sizeof(units) / sizeof(*units); i++) {
        double us = number / (place > 0 ? place : 1) * units[i].us;
        if (word_is(s, units[i].unit))
            return us < 1e18 ? (int64_t)us : -1;
    }
    return -1;
}

static void read_ttl(struct slice value, struct hints *hints)
{
    int64_t ttl_us = read_time_us(value);
    if (ttl_us <= 0)
        hints->unknown = true;
    else if (hints->ttl_us == 0 || ttl_us < hints->ttl_us)
        hints->ttl_us = ttl_us;
}

static void read_word(struct slice word, struct hints *hints)
{
    if (word_is(word, "nocache"))
        hints->nocache = true;
    else if (word_is(word, "cache"))
        hints->cache = true;
    else if (word_is(word, "explain"))
        hints->explain = true;
    else if (begins(word, "ttl="))
        read_ttl(slice_skip(word, 4), hints);
    else
        hints->unknown = true;
}

void hints_read(struct slice comment, struct hints *hints)
{
    if (!hints_are(comment))
        return;
    hints->any = true;
    struct slice rest = slice_skip(skip_blanks(comment), strlen(HINTS_PREFIX));
    while ((rest = skip_blanks(rest)).len > 0) {
        size_t n = 0;
        while (n < rest.len && !is_blank(rest.at[n]))
            n++;
        read_word(slice_cut(&rest, n), hints);
    }
}
