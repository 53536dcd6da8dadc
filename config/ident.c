// SPDX-License-Identifier: Apache-2.0
#include "config/ident.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/file.h"
#include "config/problem.h"
#include "config/words.h"

enum { IDENT_FILE_BYTES_MAX = 16 << 20 };

// A name, or a regular expression.
struct pattern {
    char *name; // owns; NULL: everybody
    bool is_regex;
    regex_t regex;
};

struct mapping {
    struct pattern system_user, user;
};

struct ident_map {
    char *name; // owns
    struct mapping **mappings; // own
    size_t count;
};

const char *ident_map_name(const struct ident_map *map)
{
    return map->name;
}

// ---- who may ----

// The first group of a match goes where \1 is; the caller frees it.
static char *filled_in(const char *user, const char *system_user, const regmatch_t *group)
{
    const char *hole = strstr(user, "\\1");
    struct buf out = {0};
    if (hole == NULL || group->rm_so < 0)
        return mem_strdup(user);
    buf_bytes(&out, user, (size_t)(hole - user));
    buf_bytes(&out, system_user + group->rm_so, (size_t)(group->rm_eo - group->rm_so));
    buf_cstr(&out, hole + 2);
    return (char *)out.at;
}

static bool mapping_allows(const struct mapping *mapping, const char *system_user,
                           const char *user)
{
    const struct pattern *system = &mapping->system_user;
    regmatch_t groups[2] = {{.rm_so = -1}, {.rm_so = -1}};
    bool fits = system->is_regex ? regexec(&system->regex, system_user, 2, groups, 0) == 0
                                 : strcmp(system->name, system_user) == 0;
    if (!fits || mapping->user.name == NULL)
        return fits;
    if (mapping->user.is_regex)
        return regexec(&mapping->user.regex, user, 0, NULL, 0) == 0;
    char *name = filled_in(mapping->user.name, system_user, &groups[1]);
    fits = strcmp(name, user) == 0;
    mem_free(name);
    return fits;
}

bool ident_allows(const struct ident_map *map, const char *system_user, const char *user)
{
    if (map == NULL)
        return strcmp(system_user, user) == 0;
    for (size_t i = 0; i < map->count; i++)
        if (mapping_allows(map->mappings[i], system_user, user))
            return true;
    return false;
}

// ---- reading ----

static struct ident_map *map_of(struct ident *ident, const char *name)
{
    for (size_t i = 0; i < ident->count; i++)
        if (strcmp(ident->maps[i]->name, name) == 0)
            return ident->maps[i];
    return NULL;
}

const struct ident_map *ident_find(const struct ident *ident, const char *name)
{
    return map_of((struct ident *)ident, name);
}

static struct ident_map *map_named(struct ident *ident, const char *name)
{
    struct ident_map *map = map_of(ident, name);
    if (map != NULL)
        return map;
    map = mem_new(struct ident_map);
    map->name = mem_strdup(name);
    ident->maps = mem_realloc(ident->maps, (ident->count + 1) * sizeof *ident->maps);
    return ident->maps[ident->count++] = map;
}

static void pattern_fini(struct pattern *pattern)
{
    if (pattern->is_regex)
        regfree(&pattern->regex);
    mem_free(pattern->name);
}

static void mapping_free(struct mapping *mapping)
{
    pattern_fini(&mapping->system_user);
    pattern_fini(&mapping->user);
    mem_free(mapping);
}

// Takes the word at hand. What is wrong, or NULL.
static const char *read_pattern(struct pattern *pattern, struct words *words)
{
    if (!words_has_text(words))
        return "a name is missing";
    pattern->name = mem_strdup(words->word);
    if (pattern->name[0] == '/') {
        if (regcomp(&pattern->regex, pattern->name + 1, REG_EXTENDED) != 0)
            return "invalid regular expression";
        pattern->is_regex = true;
    }
    words_next(words);
    return NULL;
}

static const char *read_mapping(struct mapping *mapping, struct words *words)
{
    const char *why = read_pattern(&mapping->system_user, words);
    if (why == NULL && !words_take(words, "all")) // which leaves user.name NULL
        why = read_pattern(&mapping->user, words);
    if (why == NULL && words->kind != WORD_END)
        why = "unsupported parameters";
    return why;
}

static void read_line(struct ident *ident, struct words *words, const char *path, int line,
                      struct problems *problems)
{
    if (words->kind == WORD_END)
        return;
    const char *why = words->kind == WORD_PLAIN ? NULL : "the name of a map is missing";
    char *name = mem_strdup(words->word);
    struct mapping *mapping = mem_new(struct mapping);
    words_next(words);
    if (why == NULL)
        why = read_mapping(mapping, words);
    if (why != NULL) {
        problems_add(problems, PROBLEM_WARNING, path, line,
                     "ident line %d: %s: could not parse ident config line %d", line, why, line);
        mapping_free(mapping);
    } else {
        struct ident_map *map = map_named(ident, name);
        map->mappings = mem_realloc(map->mappings, (map->count + 1) * sizeof *map->mappings);
        map->mappings[map->count++] = mapping;
    }
    mem_free(name);
}

bool ident_load(struct ident *ident, const char *path, struct problems *problems)
{
    size_t bytes;
    char *text = file_read(path, IDENT_FILE_BYTES_MAX, &bytes);
    if (text == NULL) {
        problems_add(problems, PROBLEM_ERROR, path, 0,
                     "could not open ident config file %s: %s", path, strerror(errno));
        return false;
    }
    if (memchr(text, '\0', bytes) != NULL) {
        problems_add(problems, PROBLEM_ERROR, path, 0, "there is a NUL byte in %s", path);
        file_free(text, bytes);
        return false;
    }
    ident->digest = hash_bytes(text, bytes);
    struct words words = {0};
    int line = 1;
    for (char *s = text; s < text + bytes; line++) {
        char *end = memchr(s, '\n', (size_t)(text + bytes - s));
        if (end == NULL)
            end = text + bytes; // file_read() leaves a NUL there
        *end = '\0';
        words_begin(&words, s);
        read_line(ident, &words, path, line, problems);
        s = end + 1;
    }
    words_fini(&words);
    file_free(text, bytes);
    return true;
}

void ident_fini(struct ident *ident)
{
    for (size_t i = 0; i < ident->count; i++) {
        struct ident_map *map = ident->maps[i];
        for (size_t j = 0; j < map->count; j++)
            mapping_free(map->mappings[j]);
        mem_free(map->mappings);
        mem_free(map->name);
        mem_free(map);
    }
    mem_free(ident->maps);
    *ident = (struct ident){0};
}
