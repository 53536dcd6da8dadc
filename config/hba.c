// SPDX-License-Identifier: Apache-2.0
#include "config/hba.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/file.h"
#include "config/ident.h"
#include "config/ldap_options.h"
#include "config/problem.h"
#include "config/words.h"

enum { HBA_FILE_BYTES_MAX = 16 << 20, HBA_DEPTH_MAX = 10 };

enum connection { LOCAL, HOST, HOSTSSL, HOSTNOSSL };

struct names {
    bool all, same_user, replication;
    char **at; // own
    size_t count;
};

struct line {
    struct hba_rule rule;
    enum connection connection;
    struct names databases, users;
    bool any_address;
    enum network_family family;
    uint8_t address[16], mask[16];
    bool beyond_mask; // the address has bits that the mask has not
};

struct hba {
    _Atomic unsigned holders;
    struct ident ident;
    uint64_t digest; // of all that was read, but the ident file
    struct line **lines; // own; in their order
    size_t count;
};

// Where a line is being read.
struct reading {
    struct hba *hba;
    struct problems *problems;
    const char *path;
    int line;
    int depth;
    struct words words;
    const char *why; // what is wrong with the line; NULL: nothing yet
    int problem;     // errno, where a file could not be read
    char detail[160];
};

// ---- which line ----

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i], name) == 0)
            return true;
    return false;
}

static bool fits_connection(const struct line *line, const struct hba_asker *asker)
{
    switch (line->connection) {
    case LOCAL:
        return asker->is_local;
    case HOST:
        return !asker->is_local;
    case HOSTSSL:
        return !asker->is_local && asker->encrypted;
    case HOSTNOSSL:
        return !asker->is_local && !asker->encrypted;
    }
    return false;
}

static bool fits_address(const struct line *line, const struct hba_asker *asker)
{
    if (line->connection == LOCAL || line->any_address)
        return true;
    if (!asker->has_address || asker->family != line->family)
        return false;
    size_t n = line->family == NETWORK_IPV4 ? 4 : 16;
    if (line->beyond_mask && line->rule.method != CONFIG_AUTH_REJECT)
        return false; // see check_mask()
    for (size_t i = 0; i < n; i++)
        if (((asker->address[i] ^ line->address[i]) & line->mask[i]) != 0)
            return false;
    return true;
}

// Physical replication is of no database, so `all` is not meant either.
static bool fits_database(const struct names *databases, const struct hba_asker *asker)
{
    if (asker->physical)
        return databases->replication;
    return databases->all ||
           (databases->same_user && strcmp(asker->database, asker->user) == 0) ||
           has_name(databases, asker->database) ||
           (asker->alias != NULL && has_name(databases, asker->alias));
}

const struct hba_rule *hba_find(const struct hba *hba, const struct hba_asker *asker)
{
    for (size_t i = 0; hba != NULL && i < hba->count; i++) {
        const struct line *line = hba->lines[i];
        if (fits_connection(line, asker) && fits_address(line, asker) &&
            fits_database(&line->databases, asker) &&
            (line->users.all || has_name(&line->users, asker->user)))
            return &line->rule;
    }
    return NULL;
}

bool hba_has(const struct hba *hba, enum config_auth_type method)
{
    for (size_t i = 0; hba != NULL && i < hba->count; i++)
        if (hba->lines[i]->rule.method == method)
            return true;
    return false;
}

// ---- names ----

static void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->at[i]);
    mem_free(names->at);
}

static void add_name(struct names *names, const char *name)
{
    names->at = mem_realloc(names->at, (names->count + 1) * sizeof *names->at);
    names->at[names->count++] = mem_strdup(name);
}

static bool fail(struct reading *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return false;
}

static bool fail_with(struct reading *r, const char *sentence, const char *word)
{
    snprintf(r->detail, sizeof r->detail, "%s%.100s", sentence, word);
    return fail(r, r->detail);
}

// A path in a file is told from where that file is; the caller frees it.
static char *path_beside(const char *file, const char *path)
{
    if (path[0] == '/')
        return mem_strdup(path);
    char *copy = mem_strdup(file);
    struct buf out = {0};
    buf_printf(&out, "%s/%s", dirname(copy), path);
    buf_u8(&out, 0);
    mem_free(copy);
    return (char *)out.at;
}

// A NUL would end a line before its end, and so make another one of it.
static char *read_whole(const char *path, size_t *bytes, int *problem)
{
    char *text = file_read(path, HBA_FILE_BYTES_MAX, bytes);
    *problem = errno;
    if (text == NULL || memchr(text, '\0', *bytes) == NULL)
        return text;
    file_free(text, *bytes);
    *problem = EILSEQ;
    return NULL;
}

static void digest(struct hba *hba, const char *text, size_t bytes)
{
    hba->digest = hba->digest * 31 + hash_bytes(text, bytes);
}

// The text of a file of names or lines; the caller frees it with file_free().
static char *read_beside(struct reading *r, const char *name, char **path, size_t *bytes)
{
    *path = path_beside(r->path, name);
    char *text = read_whole(*path, bytes, &r->problem);
    if (text == NULL) {
        snprintf(r->detail, sizeof r->detail, "could not open %.80s: %s", *path,
                 strerror(r->problem));
        fail(r, r->detail);
        mem_free(*path);
        *path = NULL;
        return NULL;
    }
    digest(r->hba, text, *bytes);
    return text;
}

// Cuts the first line off, in place; NULL: there is none.
static char *next_line(char **at, const char *end)
{
    char *line = *at;
    if (line >= end)
        return NULL;
    char *stop = memchr(line, '\n', (size_t)(end - line));
    if (stop == NULL)
        stop = (char *)end; // file_read() leaves a NUL there
    *stop = '\0';
    *at = stop + 1;
    return line;
}

static bool read_name(struct reading *r, struct words *words, struct names *names,
                      bool of_databases, int depth);

// @file: names with commas, blanks or line ends between.
static bool read_name_file(struct reading *r, const char *name, struct names *names,
                           bool of_databases, int depth)
{
    size_t bytes;
    char *path;
    if (depth > HBA_DEPTH_MAX)
        return fail(r, "files of names are nested too deeply");
    char *text = read_beside(r, name, &path, &bytes);
    if (text == NULL)
        return false;
    const char *outer = r->path;
    r->path = path;
    struct words words = {0};
    char *at = text, *line;
    bool ok = true;
    while (ok && (line = next_line(&at, text + bytes)) != NULL) {
        for (words_begin(&words, line); ok && words.kind != WORD_END;) {
            if (words.kind == WORD_COMMA)
                words_next(&words);
            else
                ok = read_name(r, &words, names, of_databases, depth);
        }
    }
    words_fini(&words);
    r->path = outer;
    file_free(text, bytes);
    mem_free(path);
    return ok;
}

static bool read_keyword(struct words *words, struct names *names, bool of_databases)
{
    if (words_take(words, "all"))
        return names->all = true;
    if (of_databases && words_take(words, "sameuser"))
        return names->same_user = true;
    if (of_databases && words_take(words, "replication"))
        return names->replication = true;
    return false;
}

static bool read_name(struct reading *r, struct words *words, struct names *names,
                      bool of_databases, int depth)
{
    if (read_keyword(words, names, of_databases))
        return true;
    if (!words_has_text(words))
        return fail(r, of_databases ? "did not find a database" : "did not find a user");
    if (words->kind == WORD_PLAIN) {
        if (of_databases &&
            (strcmp(words->word, "samerole") == 0 || strcmp(words->word, "samegroup") == 0))
            return fail_with(r, words->word, " is not supported");
        if (words->word[0] == '+')
            return fail_with(r, "names of groups are not supported: ", words->word);
        if (words->word[0] == '@') {
            bool ok = read_name_file(r, words->word + 1, names, of_databases, depth + 1);
            words_next(words);
            return ok;
        }
    }
    add_name(names, words->word);
    words_next(words);
    return true;
}

static bool read_names(struct reading *r, struct names *names, bool of_databases)
{
    do {
        if (!read_name(r, &r->words, names, of_databases, 0))
            return false;
        if (r->words.kind != WORD_COMMA)
            return true;
        words_next(&r->words);
    } while (true);
}

// ---- addresses ----

static bool set_bits(struct line *line, const char *text)
{
    char *end;
    errno = 0;
    unsigned long bits = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
        bits > (line->family == NETWORK_IPV4 ? 32 : 128))
        return false;
    for (size_t i = 0; i < bits; i++)
        line->mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return true;
}

// As in PgBouncer such a line fits nobody, and is told of. But one that rejects fits whom it
// would in PostgreSQL, where the bits beyond the mask do not count: nobody gets in by a slip.
static void check_mask(struct reading *r, struct line *line)
{
    for (size_t i = 0; i < sizeof line->address; i++)
        line->beyond_mask |= (line->address[i] & ~line->mask[i]) != 0;
    if (line->beyond_mask)
        problems_add(r->problems, PROBLEM_WARNING, r->path, r->line,
                     "address does not match mask in %s line #%d", r->path, r->line);
}

static bool read_address(struct reading *r, struct line *line)
{
    struct words *words = &r->words;
    if (words_take(words, "all"))
        return line->any_address = true;
    if (words->kind != WORD_PLAIN)
        return fail(r, "did not find address");
    char text[64];
    snprintf(text, sizeof text, "%s", words->word);
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash++ = '\0';
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    line->family = family == AF_INET6 ? NETWORK_IPV6 : NETWORK_IPV4;
    if (strlen(words->word) >= sizeof text || inet_pton(family, text, line->address) != 1)
        return fail_with(r, "failed to parse address - ", words->word);
    words_next(words);
    if (slash != NULL) {
        if (!set_bits(line, slash))
            return fail(r, "invalid mask");
    } else {
        if (words->kind != WORD_PLAIN)
            return fail(r, "did not find mask");
        if (inet_pton(family, words->word, line->mask) != 1)
            return fail_with(r, "failed to parse mask: ", words->word);
        words_next(words);
    }
    check_mask(r, line);
    return true;
}

// ---- methods ----

static bool read_method(struct reading *r, struct hba_rule *rule)
{
    static const struct {
        const char *word;
        enum config_auth_type method;
    } methods[] = {
        {"trust", CONFIG_AUTH_TRUST}, {"reject", CONFIG_AUTH_REJECT}, {"md5", CONFIG_AUTH_MD5},
        {"password", CONFIG_AUTH_PLAIN}, {"peer", CONFIG_AUTH_PEER}, {"cert", CONFIG_AUTH_CERT},
        {"scram-sha-256", CONFIG_AUTH_SCRAM}, {"pam", CONFIG_AUTH_PAM},
        {"ldap", CONFIG_AUTH_LDAP},
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (words_take(&r->words, methods[i].word)) {
            rule->method = methods[i].method;
            return true;
        }
    }
    return fail_with(r, "unsupported method: buf=", r->words.word);
}

// All that follows is LDAP's; a comment is not.
static bool read_ldap(struct reading *r, struct hba_rule *rule)
{
    struct words *words = &r->words;
    const char *begin = words->begin, *end = begin;
    while (words->kind != WORD_END && words->kind != WORD_BAD) {
        end = words->rest;
        words_next(words);
    }
    if (end == begin)
        return true;
    char *text = mem_strndup(begin, (size_t)(end - begin));
    rule->ldap = mem_new(struct ldap_options);
    bool ok = ldap_options_read(rule->ldap, text, r->detail, sizeof r->detail);
    file_free(text, strlen(text)); // there may be a password in it
    return ok || fail(r, r->detail);
}

static bool read_map(struct reading *r, struct hba_rule *rule)
{
    const char *word = r->words.word;
    if (strncmp(word, "map=", 4) != 0)
        return fail_with(r, "Ident map is malformed. It is not in map=value format: ", word);
    rule->map = ident_find(&r->hba->ident, word + 4);
    if (rule->map == NULL)
        return fail_with(r, "Ident map is not found in ident config file: ", word + 4);
    words_next(&r->words);
    return true;
}

static bool read_pam(struct reading *r, struct hba_rule *rule)
{
    const char *word = r->words.word;
    if (strncmp(word, "pamservice=", 11) != 0 || word[11] == '\0' || strchr(word, '/') != NULL)
        return fail_with(r, "unsupported parameter: ", word);
    rule->pam_service = mem_strdup(word + 11);
    words_next(&r->words);
    return true;
}

static bool read_options(struct reading *r, struct hba_rule *rule)
{
    bool ok = true;
    if (rule->method == CONFIG_AUTH_LDAP)
        ok = read_ldap(r, rule);
    else if (words_has_text(&r->words))
        ok = rule->method == CONFIG_AUTH_PAM ? read_pam(r, rule) : read_map(r, rule);
    return ok && (r->words.kind == WORD_END || fail(r, "unsupported parameters"));
}

// ---- lines ----

static void line_free(struct line *line)
{
    names_fini(&line->databases);
    names_fini(&line->users);
    if (line->rule.ldap != NULL)
        ldap_options_fini(line->rule.ldap);
    mem_free(line->rule.ldap);
    mem_free(line->rule.pam_service);
    mem_free(line->rule.file);
    mem_free(line);
}

static bool read_connection(struct reading *r, enum connection *connection)
{
    static const char *const words[] = {
        [LOCAL] = "local", [HOST] = "host", [HOSTSSL] = "hostssl", [HOSTNOSSL] = "hostnossl"};
    for (int i = LOCAL; i <= HOSTNOSSL; i++) {
        if (words_take(&r->words, words[i])) {
            *connection = (enum connection)i;
            return true;
        }
    }
    return fail(r, "unknown type");
}

static bool read_rule(struct reading *r)
{
    struct line *line = mem_new(struct line);
    line->rule.file = mem_strdup(r->path);
    line->rule.line = r->line;
    bool ok = read_connection(r, &line->connection) && read_names(r, &line->databases, true) &&
              read_names(r, &line->users, false) &&
              (line->connection == LOCAL || read_address(r, line)) &&
              read_method(r, &line->rule) && read_options(r, &line->rule);
    if (!ok) {
        line_free(line);
        return false;
    }
    struct hba *hba = r->hba;
    hba->lines = mem_realloc(hba->lines, (hba->count + 1) * sizeof *hba->lines);
    hba->lines[hba->count++] = line;
    return true;
}

static void read_lines(struct reading *r, char *text, size_t bytes);

static bool include(struct reading *r, bool must_exist)
{
    size_t bytes;
    char *path;
    if (!words_has_text(&r->words))
        return fail(r, "include of what?");
    if (r->depth == HBA_DEPTH_MAX)
        return fail(r, "include is nested too deeply");
    char *text = read_beside(r, r->words.word, &path, &bytes);
    if (text == NULL) {
        if (!must_exist && r->problem == ENOENT)
            r->why = NULL;
        return r->why == NULL;
    }
    struct reading inner = {
        .hba = r->hba, .problems = r->problems, .path = path, .depth = r->depth + 1};
    read_lines(&inner, text, bytes);
    file_free(text, bytes);
    mem_free(path);
    return true;
}

static void read_line(struct reading *r, const char *text)
{
    r->why = NULL;
    words_begin(&r->words, text);
    bool ok = true;
    enum problem_grade grade = PROBLEM_ERROR; // who knows how many lines are missing, and which
    if (words_take(&r->words, "include")) {
        ok = include(r, true);
    } else if (words_take(&r->words, "include_if_exists")) {
        ok = include(r, false);
    } else if (r->words.kind != WORD_END) {
        ok = read_rule(r);
        grade = PROBLEM_WARNING;
    }
    if (!ok)
        problems_add(r->problems, grade, r->path, r->line,
                     "hba line %d: %s: could not parse hba config line %d", r->line, r->why,
                     r->line);
}

static void read_lines(struct reading *r, char *text, size_t bytes)
{
    char *at = text, *line;
    while ((line = next_line(&at, text + bytes)) != NULL) {
        r->line++;
        read_line(r, line);
    }
    words_fini(&r->words);
}

struct hba *hba_load(const char *path, const char *ident_path, struct problems *problems)
{
    size_t bytes, errors = problems->errors;
    struct hba *hba = mem_new(struct hba);
    hba->holders = 1;
    bool ok = *ident_path == '\0' || ident_load(&hba->ident, ident_path, problems);
    int problem;
    char *text = read_whole(path, &bytes, &problem);
    if (text == NULL) {
        problems_add(problems, PROBLEM_ERROR, path, 0, "could not open hba config file %s: %s",
                     path, strerror(problem));
        ok = false;
    }
    if (ok) {
        digest(hba, text, bytes);
        struct reading reading = {.hba = hba, .problems = problems, .path = path};
        read_lines(&reading, text, bytes);
    }
    if (problems->errors > errors) {
        hba_unref(hba);
        hba = NULL;
    }
    file_free(text, bytes);
    return hba;
}

bool hba_same(const struct hba *a, const struct hba *b)
{
    return a == b || (a != NULL && b != NULL && a->digest == b->digest &&
                      a->ident.digest == b->ident.digest);
}

struct hba *hba_ref(struct hba *hba)
{
    if (hba != NULL)
        hba->holders++;
    return hba;
}

void hba_unref(struct hba *hba)
{
    if (hba == NULL || --hba->holders > 0)
        return;
    for (size_t i = 0; i < hba->count; i++)
        line_free(hba->lines[i]);
    mem_free(hba->lines);
    ident_fini(&hba->ident);
    mem_free(hba);
}
