// SPDX-License-Identifier: Apache-2.0
#include "config/option.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    NAME_BYTES_MAX = 63, // longer than any name: no suggestion is sought
};

const struct option *option_find(const char *name)
{
    for (const struct option *o = option_table; o < option_table + option_count; o++) {
        if (strcmp(o->name, name) == 0 || (o->alias != NULL && strcmp(o->alias, name) == 0))
            return o;
    }
    return NULL;
}

size_t option_index(const struct option *option)
{
    CHECK(option >= option_table && option < option_table + option_count);
    return (size_t)(option - option_table);
}

// ---- near names

static int least(int a, int b)
{
    return a < b ? a : b;
}

// How many letters to add, drop, change or swap with the next to make one name the other
// (optimal string alignment), by three rows of the usual table.
static int distance(const char *a, const char *b)
{
    int rows[3][NAME_BYTES_MAX + 2];
    int la = (int)strlen(a), lb = (int)strlen(b);
    for (int j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = rows[i % 3], *last = rows[(i - 1) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int change = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(change, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], older[j - 2] + 1);
        }
    }
    return rows[la % 3][lb];
}

const char *option_suggest(const char *name)
{
    size_t n = strlen(name);
    if (n > NAME_BYTES_MAX)
        return NULL;
    const char *best = NULL;
    int best_distance = (int)(n / 4) + 2; // a third of a short name may be wrong, no more
    for (const struct option *o = option_table; o < option_table + option_count; o++) {
        int d = distance(name, o->name);
        if (d < best_distance) {
            best = o->name;
            best_distance = d;
        }
    }
    return best;
}

const char *option_nearest(const char *name, const char *const *words)
{
    size_t n = strlen(name);
    if (n > NAME_BYTES_MAX)
        return NULL;
    const char *best = NULL;
    int best_distance = (int)(n / 4) + 2;
    for (; *words != NULL; words++) {
        int d = distance(name, *words);
        if (d < best_distance) {
            best = *words;
            best_distance = d;
        }
    }
    return best;
}

// ---- values by themselves

bool option_read_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"on", "true", "yes"};
    static const char *const no[] = {"off", "false", "no"};
    for (size_t i = 0; i < 3; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *value = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    int64_t number; // PgBouncer reads its switches as integers
    if (!option_read_count(text, &number))
        return false;
    *value = number != 0;
    return true;
}

bool option_read_count(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 0);
    if (end == text || *end != '\0' || errno != 0)
        return false;
    *value = number;
    return true;
}

struct unit {
    const char *name;
    double factor;
};

// The number before a unit; the unit's factor, or -1 when it is not in the list.
static double unit_factor(const struct unit *units, const char *name)
{
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, name) == 0)
            return units->factor;
    }
    return -1;
}

bool option_read_time_us(const char *text, int64_t *value_us)
{
    static const struct unit units[] = {{"", 1e6},     {"us", 1},     {"ms", 1e3},
                                        {"s", 1e6},    {"min", 60e6}, {"h", 3600e6},
                                        {"d", 86400e6}, {0}};
    if ((*text < '0' || *text > '9') && *text != '.')
        return false; // strtod knows signs, nan, inf and leading space
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    while (*end == ' ')
        end++;
    double factor = unit_factor(units, end);
    if (end == text || errno != 0 || factor < 0 || number * factor > 9e18)
        return false;
    *value_us = (int64_t)llround(number * factor);
    return true;
}

bool option_read_bytes(const char *text, int64_t *value_bytes)
{
    static const struct unit units[] = {
        {"", 1},        {"B", 1},          {"k", 1024},        {"kB", 1024},       {"K", 1024},
        {"M", 1048576}, {"MB", 1048576},   {"G", 1073741824},  {"GB", 1073741824},
        {"T", 1099511627776.0}, {"TB", 1099511627776.0}, {0}};
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 0);
    while (*end == ' ')
        end++;
    double factor = unit_factor(units, end);
    if (end == text || errno != 0 || factor < 0)
        return false;
    return !__builtin_mul_overflow(number, (long long)factor, (long long *)value_bytes);
}

static bool read_rate(const char *text, int64_t *millionths)
{
    if ((*text < '0' || *text > '9') && *text != '.')
        return false;
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || number > 1)
        return false;
    *millionths = (int64_t)llround(number * 1e6);
    return true;
}

// ---- values of an option

static const struct option_word *find_word(const struct option *option, const char *text)
{
    for (const struct option_word *w = option->words; w->word != NULL; w++) {
        if (strcasecmp(w->word, text) == 0)
            return w;
    }
    return NULL;
}

static void explain_words(const struct option *option, char *why, size_t why_bytes)
{
    size_t used = (size_t)snprintf(why, why_bytes, "must be one of");
    for (const struct option_word *w = option->words; w->word != NULL && used < why_bytes; w++) {
        if (w->refusal == NULL)
            used += (size_t)snprintf(why + used, why_bytes - used, " %s", w->word);
    }
}

static bool read_word(const struct option *option, const char *text, int64_t *number, char *why,
                      size_t why_bytes)
{
    const struct option_word *word = find_word(option, text);
    if (word == NULL) {
        explain_words(option, why, why_bytes);
        return false;
    }
    if (word->refusal != NULL) {
        snprintf(why, why_bytes, "%s", word->refusal);
        return false;
    }
    *number = word->value;
    return true;
}

static void explain_range(const struct option *option, char *why, size_t why_bytes)
{
    bool is_time = option->type == OPTION_TIME;
    double unit = is_time ? 1e6 : 1;
    snprintf(why, why_bytes, "must be between %.15g and %.15g%s", (double)option->min / unit,
             (double)option->max / unit, is_time ? " seconds" : "");
}

// The value as a number; of a text nothing is read.
static bool read_value(const struct option *option, const char *text, int64_t *number, char *why,
                       size_t why_bytes)
{
    bool is_ok = false;
    const char *form = "";
    bool flag;
    *number = 0;
    switch (option->type) {
    case OPTION_TEXT:
        return true;
    case OPTION_WORD:
        return read_word(option, text, number, why, why_bytes);
    case OPTION_BOOL:
        form = "must be on or off (1 or 0)";
        is_ok = option_read_bool(text, &flag);
        if (!is_ok)
            break;
        *number = flag;
        return true;
    case OPTION_COUNT:
        form = "must be a whole number";
        is_ok = option_read_count(text, number);
        break;
    case OPTION_MODE:
        form = "must be permission bits such as 0777";
        is_ok = option_read_count(text, number);
        break;
    case OPTION_TIME:
        form = "must be a time in seconds, or with us, ms, s, min, h, d";
        is_ok = option_read_time_us(text, number);
        break;
    case OPTION_RATE:
        form = "must be a number from 0 to 1";
        is_ok = read_rate(text, number);
        break;
    case OPTION_BYTES:
        form = "must be a size in bytes, or with k, M, G, T";
        is_ok = option_read_bytes(text, number);
        break;
    }
    if (!is_ok) {
        snprintf(why, why_bytes, "%s", form);
        return false;
    }
    if (*number < option->min || *number > option->max) {
        explain_range(option, why, why_bytes);
        return false;
    }
    return true;
}

static void store(const struct option *option, struct settings *settings, const char *text,
                  int64_t number)
{
    void *field = (char *)settings + option->offset;
    int as_int = (int)number;
    switch (option->type) {
    case OPTION_BOOL:
        *(bool *)field = number != 0;
        break;
    case OPTION_COUNT:
    case OPTION_MODE:
    case OPTION_WORD: // enums are as wide as int
        memcpy(field, &as_int, sizeof as_int);
        break;
    case OPTION_TIME:
    case OPTION_BYTES:
    case OPTION_RATE:
        *(int64_t *)field = number;
        break;
    case OPTION_TEXT: {
        char *copy = mem_strdup(text); // text may be the old value
        mem_free(*(char **)field);
        *(char **)field = copy;
        break;
    }
    }
}

bool option_set(const struct option *option, struct settings *settings, const char *value,
                char *why, size_t why_bytes)
{
    int64_t number;
    if (!read_value(option, value, &number, why, why_bytes))
        return false;
    if (option->offset != OPTION_NO_FIELD)
        store(option, settings, value, number);
    return true;
}

bool option_same(const struct option *option, const char *a, const char *b)
{
    char why[8];
    int64_t number_a, number_b;
    if (option->type == OPTION_TEXT)
        return strcmp(a, b) == 0;
    return read_value(option, a, &number_a, why, sizeof why) &&
           read_value(option, b, &number_b, why, sizeof why) && number_a == number_b;
}

static void print_number(const struct option *option, int64_t number, struct buf *out)
{
    switch (option->type) {
    case OPTION_BOOL:
    case OPTION_COUNT:
    case OPTION_BYTES:
        buf_printf(out, "%" PRId64, number);
        break;
    case OPTION_MODE:
        buf_printf(out, "0%03" PRIo64, number);
        break;
    case OPTION_TIME:
    case OPTION_RATE:
        buf_printf(out, "%.15g", (double)number / 1e6);
        break;
    case OPTION_WORD:
        for (const struct option_word *w = option->words; w->word != NULL; w++) {
            if (w->refusal == NULL && w->value == number) {
                buf_put(out, slice_str(w->word));
                return;
            }
        }
        CHECK(!"a word of the table");
        break;
    case OPTION_TEXT:
        CHECK(!"a number");
        break;
    }
}

void option_print(const struct option *option, const struct settings *settings, struct buf *out)
{
    if (option->offset == OPTION_NO_FIELD)
        return;
    const void *field = (const char *)settings + option->offset;
    int as_int;
    switch (option->type) {
    case OPTION_TEXT:
        buf_put(out, slice_str(*(char *const *)field));
        break;
    case OPTION_BOOL:
        print_number(option, *(const bool *)field, out);
        break;
    case OPTION_COUNT:
    case OPTION_MODE:
    case OPTION_WORD:
        memcpy(&as_int, field, sizeof as_int);
        print_number(option, as_int, out);
        break;
    case OPTION_TIME:
    case OPTION_BYTES:
    case OPTION_RATE:
        print_number(option, *(const int64_t *)field, out);
        break;
    }
}

void option_defaults(struct settings *settings)
{
    char why[128];
    for (const struct option *o = option_table; o < option_table + option_count; o++)
        CHECK(option_set(o, settings, o->fallback, why, sizeof why));
}

void option_free(struct settings *settings)
{
    for (const struct option *o = option_table; o < option_table + option_count; o++) {
        if (o->type == OPTION_TEXT && o->offset != OPTION_NO_FIELD)
            mem_free(*(char **)((char *)settings + o->offset));
    }
    memset(settings, 0, sizeof *settings);
}
