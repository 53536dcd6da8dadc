// SPDX-License-Identifier: Apache-2.0
#include "cache/rules.h"

#include <ctype.h>

#include "base/mem.h"

struct rules {
    struct rule *at; // owns, texts too
    size_t count;
    bool any_without_events;
};

// ---- The list -----------------------------------------------------------------------------------

struct rules *rules_new(void)
{
    return mem_new(struct rules);
}

static char *copy(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

void rules_add(struct rules *rules, const struct rule *rule)
{
    rules->at = mem_realloc(rules->at, (rules->count + 1) * sizeof(*rules->at));
    struct rule *added = &rules->at[rules->count++];
    *added = *rule;
    added->name = copy(rule->name);
    added->database = copy(rule->database);
    added->user = copy(rule->user);
    added->table = copy(rule->table);
    added->text = copy(rule->text);
    rules->any_without_events |= rule->ttl_without_events;
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        mem_free(rules->at[i].name);
        mem_free(rules->at[i].database);
        mem_free(rules->at[i].user);
        mem_free(rules->at[i].table);
        mem_free(rules->at[i].text);
    }
    mem_free(rules->at);
    mem_free(rules);
}

size_t rules_count(const struct rules *rules)
{
    return rules->count;
}

bool rules_any_without_events(const struct rules *rules)
{
    return rules->any_without_events;
}

// ---- Patterns -----------------------------------------------------------------------------------

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

// Behind what one step of the pattern takes from the text: *taken bytes; NULL: it does not fit.
static const char *take(const char *pattern, struct slice text, size_t *taken)
{
    if (text.len == 0 || *pattern == '\0')
        return NULL;
    *taken = 1;
    if (is_blank(*pattern)) {
        if (!is_blank(*text.at))
            return NULL;
        while (*taken < text.len && is_blank(text.at[*taken]))
            ++*taken;
        return skip_blanks(pattern);
    }
    bool fits = *pattern == '?' || tolower((unsigned char)*pattern) == tolower(*text.at);
    return fits ? pattern + 1 : NULL;
}

// On a mismatch the last * takes one character more; earlier ones need not be tried again.
bool rules_match(const char *pattern, struct slice text)
{
    const char *star = NULL;
    struct slice from = text;
    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
            continue;
        }
        if (text.len == 0 && *skip_blanks(pattern) == '\0')
            return true;
        size_t taken;
        const char *next = take(pattern, text, &taken);
        if (next != NULL) {
            pattern = next;
            text = slice_skip(text, taken);
        } else if (star != NULL && from.len > 0) {
            pattern = star;
            text = from = slice_skip(from, 1);
        } else {
            return false;
        }
    }
}

static bool fits(const char *pattern, const char *name)
{
    return pattern == NULL || rules_match(pattern, slice_str(name));
}

static bool fits_table(const char *pattern, const struct rule_table *table)
{
    const char *dot = strchr(pattern, '.');
    if (dot == NULL)
        return rules_match(pattern, table->name);
    char schema[256];
    size_t n = (size_t)(dot - pattern);
    if (n >= sizeof(schema))
        return false;
    memcpy(schema, pattern, n);
    schema[n] = '\0';
    return rules_match(schema, table->schema) && rules_match(dot + 1, table->name);
}

// ---- Judging ------------------------------------------------------------------------------------

static bool fits_tables(const struct rule *rule, const struct rule_subject *subject)
{
    if (rule->table == NULL)
        return true;
    bool one_is_enough = rule->action == RULE_EXCLUDE || rule->action == RULE_HINT;
    for (size_t i = 0; i < subject->table_count; i++)
        if (fits_table(rule->table, &subject->tables[i]) == one_is_enough)
            return one_is_enough;
    return !one_is_enough && subject->table_count > 0;
}

static const struct rule *find(const struct rules *rules, const struct rule_subject *subject)
{
    for (size_t i = 0; rules != NULL && i < rules->count; i++) {
        const struct rule *rule = &rules->at[i];
        if (fits(rule->database, subject->database) && fits(rule->user, subject->user) &&
            (rule->text == NULL || rules_match(rule->text, subject->text)) &&
            fits_tables(rule, subject))
            return rule;
    }
    return NULL;
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct ruling rules_judge(const struct rules *rules, const struct rule_subject *subject,
                          const struct hints *hints, int64_t max_hint_us)
{
    const struct rule *rule = find(rules, subject);
    struct ruling ruling = {0};
    if (rule != NULL) {
        ruling.rule = rule->name;
        ruling.on_request = rule->action == RULE_HINT && !hints->cache;
        ruling.excluded = rule->action == RULE_EXCLUDE || ruling.on_request;
        ruling.forced = rule->action == RULE_FORCE;
        ruling.ttl_us = rule->ttl_us;
        ruling.ttl_without_events = rule->ttl_without_events;
    }
    if (hints->ttl_us > 0)
        ruling.ttl_us = shorter(hints->ttl_us, ruling.ttl_us > 0 ? ruling.ttl_us : max_hint_us);
    return ruling;
}
