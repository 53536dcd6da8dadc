// SPDX-License-Identifier: Apache-2.0
#include "config/cache_rules.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "config/option.h"

void cache_rules_fini(struct cache_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        struct config_cache_rule *rule = &rules->at[i];
        mem_free((char *)rule->name);
        mem_free((char *)rule->database);
        mem_free((char *)rule->user);
        mem_free((char *)rule->table);
        mem_free((char *)rule->text);
    }
    mem_free(rules->at);
    *rules = (struct cache_rules){0};
}

// One rule being read.
struct reading {
    struct config_cache_rule *rule;
    const struct ini_line *line;
    struct problems *problems;
};

static void fail(const struct reading *r, const char *what, const char *word, const char *near)
{
    if (near != NULL)
        problems_add(r->problems, PROBLEM_ERROR, r->line->file, r->line->line,
                     "cache rule %s: %s %s (did you mean %s?)", r->line->key, what, word, near);
    else
        problems_add(r->problems, PROBLEM_ERROR, r->line->file, r->line->line,
                     "cache rule %s: %s %s", r->line->key, what, word);
}

static bool set_text(const char **field, const char *value)
{
    mem_free((char *)*field);
    *field = mem_strdup(value);
    return true;
}

static const char *const action_names[] = {
    [CONFIG_CACHE_CACHE] = "cache", [CONFIG_CACHE_EXCLUDE] = "exclude",
    [CONFIG_CACHE_HINT] = "hint", [CONFIG_CACHE_FORCE] = "force", NULL};

static bool set_action(struct reading *r, const char *value)
{
    for (int i = 0; action_names[i] != NULL; i++) {
        if (strcasecmp(value, action_names[i]) == 0) {
            r->rule->action = i;
            return true;
        }
    }
    fail(r, "action must be cache, exclude, hint or force, not", value,
         option_nearest(value, action_names));
    return false;
}

static const char *const keys[] = {"database", "user", "table", "text", "action", "ttl",
                                   "ttl_without_events", NULL};

static bool set_key(struct reading *r, const char *key, const char *value)
{
    struct config_cache_rule *rule = r->rule;
    if (strcmp(key, "database") == 0)
        return set_text(&rule->database, value);
    if (strcmp(key, "user") == 0)
        return set_text(&rule->user, value);
    if (strcmp(key, "table") == 0)
        return set_text(&rule->table, value);
    if (strcmp(key, "text") == 0)
        return set_text(&rule->text, value);
    if (strcmp(key, "action") == 0)
        return set_action(r, value);
    if (strcmp(key, "ttl") == 0) {
        if (option_read_time_us(value, &rule->ttl_us) && rule->ttl_us > 0)
            return true;
        fail(r, "ttl must be a time above 0, in seconds or with us, ms, s, min, h, d, not", value,
             NULL);
        return false;
    }
    if (strcmp(key, "ttl_without_events") == 0) {
        if (option_read_bool(value, &rule->ttl_without_events))
            return true;
        fail(r, "ttl_without_events must be on or off (1 or 0), not", value, NULL);
        return false;
    }
    fail(r, "unrecognized parameter:", key, option_nearest(key, keys));
    return false;
}

static bool read_pairs(struct reading *r)
{
    char *text = mem_strdup(r->line->value);
    char *key, *value, *at = text;
    bool ok = true;
    for (;;) {
        at = ini_pair(at, &key, &value);
        if (at == NULL || *key == '\0')
            break;
        ok &= set_key(r, key, value);
    }
    if (at == NULL)
        fail(r, "syntax error: expected parameter=value, with quotes ' around a value with blanks,",
             "and none empty", NULL);
    mem_free(text);
    return ok && at != NULL;
}

// What its parts mean together.
static bool check(struct reading *r)
{
    const struct config_cache_rule *rule = r->rule;
    if (rule->action == CONFIG_CACHE_EXCLUDE && rule->ttl_us > 0) {
        fail(r, "ttl has no meaning with", "action=exclude", NULL);
        return false;
    }
    if (rule->ttl_without_events && rule->ttl_us == 0) {
        fail(r, "ttl_without_events needs", "ttl", NULL);
        return false;
    }
    return true;
}

void cache_rules_read(struct cache_rules *rules, const struct ini_line *line,
                      struct problems *problems)
{
    struct config_cache_rule rule = {.action = CONFIG_CACHE_CACHE};
    struct reading reading = {&rule, line, problems};
    bool ok = read_pairs(&reading) && check(&reading);
    for (size_t i = 0; ok && i < rules->count; i++)
        if (strcmp(rules->at[i].name, line->key) == 0)
            problems_add(problems, PROBLEM_WARNING, line->file, line->line,
                         "there is a cache rule %s already: the first that fits counts", line->key);
    set_text(&rule.name, line->key);
    rules->at = mem_realloc(rules->at, (rules->count + 1) * sizeof(*rules->at));
    rules->at[rules->count++] = rule; // also a broken one: the configuration is refused anyway
}
