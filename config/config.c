// SPDX-License-Identifier: Apache-2.0
// How a snapshot comes to be: read the file, fill the settings and the roster, check the whole.
#include "config/config.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "config/ldap_options.h"
#include "config/snapshot.h"

struct load {
    struct config *config;
    const struct config *old; // NULL at the start of the process
    struct problems *problems;
};

static struct config *new_config(const char *path)
{
    struct config *config = mem_new(struct config);
    TAG_SET(config, CONFIG_TAG);
    static _Atomic uint64_t last_number;
    config->number = atomic_fetch_add(&last_number, 1) + 1;
    config->holders = 1;
    config->path = mem_strdup(path);
    config->conffile = mem_strdup(path);
    config->given = mem_zalloc(option_count * sizeof *config->given);
    option_defaults(&config->settings);
    return config;
}

struct config *config_ref(struct config *config)
{
    TAG_CHECK(config, CONFIG_TAG);
    atomic_fetch_add_explicit(&config->holders, 1, memory_order_relaxed);
    return config;
}

void config_unref(struct config **pointer)
{
    struct config *config = *pointer;
    *pointer = NULL;
    if (config == NULL)
        return;
    TAG_CHECK(config, CONFIG_TAG);
    if (atomic_fetch_sub_explicit(&config->holders, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < option_count; i++) {
        mem_free(config->given[i].text);
        mem_free(config->given[i].file);
    }
    mem_free(config->given);
    option_free(&config->settings);
    roster_unref(config->roster);
    if (config->ldap != NULL)
        ldap_options_fini(config->ldap);
    mem_free(config->ldap);
    hba_unref(config->hba);
    mem_free(config->path);
    mem_free(config->conffile);
    TAG_CLEAR(config);
    mem_free(config);
}

uint64_t config_number(const struct config *config)
{
    return config->number;
}

const struct settings *config_settings(const struct config *config)
{
    return &config->settings;
}

const char *config_path(const struct config *config)
{
    return config->path;
}

const struct hba *config_hba(const struct config *config)
{
    return config->hba;
}

static const char *text_of(const struct config *config, size_t i)
{
    return config->given[i].text != NULL ? config->given[i].text : option_table[i].fallback;
}

static bool is_conffile(const struct option *option)
{
    return strcmp(option->name, "conffile") == 0;
}

void config_print_option(const struct config *config, size_t i, struct buf *out)
{
    CHECK(i < option_count);
    if (strcmp(option_table[i].name, "auth_ldap_options") == 0) {
        ldap_options_print(config->settings.auth_ldap_options, out); // without the password
        return;
    }
    if (is_conffile(&option_table[i]))
        buf_put(out, slice_str(config->conffile));
    else if (option_table[i].offset == OPTION_NO_FIELD)
        buf_put(out, slice_str(text_of(config, i)));
    else
        option_print(&option_table[i], &config->settings, out);
}

static void note(struct given *given, const char *text, const char *file, int line)
{
    char *text_copy = mem_strdup(text), *file_copy = mem_strdup(file); // may be the old ones
    mem_free(given->text);
    mem_free(given->file);
    *given = (struct given){.text = text_copy, .file = file_copy, .line = line};
}

static void complain_unknown(struct problems *problems, const char *file, int line,
                             const char *name)
{
    const char *near = option_suggest(name);
    if (near != NULL)
        problems_add(problems, PROBLEM_ERROR, file, line,
                     "unknown parameter: %s (did you mean %s?)", name, near);
    else
        problems_add(problems, PROBLEM_ERROR, file, line, "unknown parameter: %s", name);
}

static void set_conffile(struct config *config, const char *path)
{
    char *copy = mem_strdup(path);
    mem_free(config->conffile);
    config->conffile = copy;
}

static void set_option(struct config *config, struct problems *problems, const char *file,
                       int line, const char *name, const char *value)
{
    char why[256];
    const struct option *option = option_find(name);
    if (option == NULL) {
        complain_unknown(problems, file, line, name);
        return;
    }
    if (!option_set(option, &config->settings, value, why, sizeof why)) {
        problems_add(problems, PROBLEM_ERROR, file, line,
                     "invalid value \"%s\" for parameter %s: %s", value, name, why);
        return;
    }
    note(&config->given[option_index(option)], value, file, line);
    if (is_conffile(option) && *value != '\0')
        set_conffile(config, value);
}

// What was asked for and will not happen; of a reload only what is new.
static void warn_of_no_effect(const struct load *load)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const struct given *given = &load->config->given[i];
        if (!option->moot || given->text == NULL ||
            option_same(option, given->text, option->fallback))
            continue;
        if (load->old != NULL && option_same(option, given->text, text_of(load->old, i)))
            continue;
        problems_add(load->problems, PROBLEM_WARNING, given->file, given->line,
                     "%s has no meaning here and is ignored", option->name);
    }
}

enum section {
    SECTION_SETTINGS,
    SECTION_DATABASES,
    SECTION_USERS,
    SECTION_PEERS,
    SECTION_CACHE_RULES,
    SECTION_UNKNOWN,
};

static enum section find_section(const char *name)
{
    static const struct {
        const char *name;
        enum section section;
    } sections[] = {
        {"pgbouncer", SECTION_SETTINGS}, {"pgweir", SECTION_SETTINGS},
        {"databases", SECTION_DATABASES}, {"users", SECTION_USERS},
        {"peers", SECTION_PEERS}, {"cache_rules", SECTION_CACHE_RULES},
    };
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (strcmp(sections[i].name, name) == 0)
            return sections[i].section;
    }
    return SECTION_UNKNOWN;
}

static void begin_section(struct load *load, const struct ini_line *line, enum section section)
{
    if (section == SECTION_UNKNOWN)
        problems_add(load->problems, PROBLEM_ERROR, line->file, line->line, "unknown section: %s",
                     line->section);
}

static void handle_line(void *arg, const struct ini_line *line)
{
    struct load *load = arg;
    enum section section = find_section(line->section);
    if (line->key == NULL) {
        begin_section(load, line, section);
        return;
    }
    switch (section) {
    case SECTION_SETTINGS:
        set_option(load->config, load->problems, line->file, line->line, line->key, line->value);
        break;
    case SECTION_DATABASES:
        roster_read_database(load->config->roster, line, load->problems);
        break;
    case SECTION_USERS:
        roster_read_user(load->config->roster, line, load->problems);
        break;
    case SECTION_PEERS:
        peers_read(&load->config->roster->peers, line, load->problems);
        break;
    case SECTION_CACHE_RULES:
        cache_rules_read(&load->config->roster->cache_rules, line, load->problems);
        break;
    case SECTION_UNKNOWN:
        break;
    }
}

const struct ldap_options *config_ldap_options(const struct config *config)
{
    return config->ldap;
}

static void read_ldap_options(struct config *config, struct problems *problems)
{
    const char *text = config->settings.auth_ldap_options;
    const struct given *given =
        &config->given[option_index(option_find("auth_ldap_options"))];
    char why[300];
    if (*text == '\0')
        return;
    config->ldap = mem_new(struct ldap_options);
    if (!ldap_options_read(config->ldap, text, why, sizeof why))
        problems_add(problems, PROBLEM_ERROR, given->file, given->line,
                     "invalid value for parameter auth_ldap_options: %s", why);
}

static void load_users(struct load *load)
{
    const char *path = load->config->settings.auth_file;
    if (*path == '\0')
        return;
    struct users users = {0};
    if (users_load(&users, path, load->problems))
        roster_add_secrets(load->config->roster, &users);
    users_fini(&users);
}

static bool asks_for_hba(const struct config *config)
{
    bool asks = config->settings.auth_type == CONFIG_AUTH_HBA;
    for (size_t i = 0; i < config_database_count(config); i++)
        asks |= config_auth_type(config, config_database_at(config, i)) == CONFIG_AUTH_HBA;
    return asks;
}

static void load_hba(struct load *load)
{
    struct config *config = load->config;
    if (asks_for_hba(config))
        config->hba = hba_load(config->settings.auth_hba_file, config->settings.auth_ident_file,
                               load->problems);
}

// What needs a restart stays as it was in old.
static void keep_fixed(struct load *load)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const char *before = text_of(load->old, i), *now = text_of(load->config, i);
        if (option->reloadable || option_same(option, before, now))
            continue;
        const struct given *given = &load->config->given[i];
        bool is_given = given->text != NULL;
        problems_add(load->problems, PROBLEM_WARNING, is_given ? given->file : load->config->path,
                     is_given ? given->line : 0,
                     "%s cannot be changed without a restart: keeping \"%s\"", option->name,
                     before);
        char why[256];
        CHECK(option_set(option, &load->config->settings, before, why, sizeof why));
        note(&load->config->given[i], before, is_given ? given->file : load->config->path,
             is_given ? given->line : 0);
    }
}

static struct config *load_config(const char *path, const struct config *old,
                                  struct problems *problems)
{
    size_t errors_before = problems->errors;
    struct load load = {.config = new_config(path), .old = old, .problems = problems};
    load.config->roster = roster_new();
    ini_read(path, handle_line, &load, problems);
    warn_of_no_effect(&load);
    // A setting that could not be read would only make the further checks complain wrongly.
    if (problems->errors == errors_before) {
        load_users(&load);
        load_hba(&load);
        if (old != NULL)
            keep_fixed(&load);
        read_ldap_options(load.config, problems);
        config_check(load.config, problems);
    }
    roster_sort(load.config->roster);
    if (problems->errors > errors_before)
        config_unref(&load.config);
    return load.config;
}

struct config *config_load(const char *path, struct problems *problems)
{
    return load_config(path, NULL, problems);
}

struct config *config_reload(const struct config *old, struct problems *problems)
{
    TAG_CHECK(old, CONFIG_TAG);
    return load_config(old->conffile, old, problems);
}

static struct config *copy_config(const struct config *old)
{
    struct config *copy = new_config(old->path);
    copy->roster = roster_ref(old->roster);
    set_conffile(copy, old->conffile);
    for (size_t i = 0; i < option_count; i++) {
        char why[256];
        const struct given *given = &old->given[i];
        if (given->text == NULL)
            continue;
        CHECK(option_set(&option_table[i], &copy->settings, given->text, why, sizeof why));
        note(&copy->given[i], given->text, given->file, given->line);
    }
    return copy;
}

struct config *config_with(const struct config *old, const char *name, const char *value,
                           struct problems *problems)
{
    TAG_CHECK(old, CONFIG_TAG);
    size_t errors_before = problems->errors;
    const struct option *option = option_find(name);
    if (option != NULL && !option->reloadable)
        problems_add(problems, PROBLEM_ERROR, "SET", 0,
                     "%s cannot be changed without a restart", name);
    struct config *config = copy_config(old);
    set_option(config, problems, "SET", 0, name, value);
    struct load load = {.config = config, .old = old, .problems = problems};
    warn_of_no_effect(&load);
    if (strncmp(name, "auth_", 5) == 0)
        load_hba(&load);
    else
        config->hba = hba_ref(old->hba);
    if (problems->errors == errors_before)
        read_ldap_options(config, problems);
    if (problems->errors == errors_before)
        config_check(config, problems);
    if (problems->errors > errors_before)
        config_unref(&config);
    return config;
}
