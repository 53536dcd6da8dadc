// SPDX-License-Identifier: Apache-2.0
#include "config/ini.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "config/file.h"

// One run over a file and all that it includes: the section goes on into and out of an include.
struct run {
    void (*handle)(void *arg, const struct ini_line *line);
    void *arg;
    struct problems *problems;
    char *section; // owns; NULL before the first
    int depth;
    bool ok;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char *skip_blanks(char *s)
{
    while (is_blank(*s))
        s++;
    return s;
}

static void trim_end(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    s[n] = '\0';
}

static void fail(struct run *run, const char *file, int line, const char *why)
{
    problems_add(run->problems, PROBLEM_ERROR, file, line, "syntax error in configuration: %s",
                 why);
    run->ok = false;
}

static void read_file(struct run *run, const char *path, const char *from, int from_line);

static void read_section(struct run *run, const char *file, int line, char *s)
{
    char *end = strchr(s, ']');
    if (end == NULL) {
        fail(run, file, line, "a section needs a closing ]");
        return;
    }
    if (*skip_blanks(end + 1) != '\0') {
        fail(run, file, line, "nothing may follow [section] on its line");
        return;
    }
    *end = '\0';
    mem_free(run->section);
    run->section = mem_strdup(s + 1);
    run->handle(run->arg, &(struct ini_line){.file = file, .line = line, .section = run->section});
}

static void read_directive(struct run *run, const char *file, int line, char *s)
{
    static const char word[] = "%include";
    size_t n = sizeof word - 1;
    if (strncmp(s, word, n) != 0 || !is_blank(s[n])) {
        fail(run, file, line, "the only directive is %include FILE");
        return;
    }
    char *path = skip_blanks(s + n);
    if (run->depth == INI_DEPTH_MAX) {
        fail(run, file, line, "%include nested too deeply, maybe a loop");
        return;
    }
    read_file(run, path, file, line);
}

// Cuts "name" at s in place; what follows the closing quote, or NULL.
static char *unquote_key(char *s, char **key)
{
    char *to = ++s;
    *key = s;
    for (;; s++) {
        if (*s == '\0')
            return NULL;
        if (*s == '"' && *++s != '"')
            break;
        *to++ = *s;
    }
    // `to` is at the closing quote or before, so the cut spares what follows.
    *to = '\0';
    return s;
}

static char *plain_key(char *s, char **key)
{
    *key = s;
    while (isalnum((unsigned char)*s) || (*s != '\0' && strchr("_.-*", *s) != NULL))
        s++;
    return s;
}

static void read_pair(struct run *run, const char *file, int line, char *s)
{
    char *key;
    char *end = *s == '"' ? unquote_key(s, &key) : plain_key(s, &key);
    if (end == NULL) {
        fail(run, file, line, "a name in double quotes has no end");
        return;
    }
    char *equals = skip_blanks(end);
    bool is_empty = end == key || *key == '\0';
    if (*equals != '=' || is_empty) {
        fail(run, file, line, "expected name = value");
        return;
    }
    char *value = skip_blanks(equals + 1);
    *end = '\0'; // a quoted key is cut already
    if (run->section == NULL) {
        fail(run, file, line, "a value before the first [section]");
        return;
    }
    run->handle(run->arg, &(struct ini_line){.file = file, .line = line, .section = run->section,
                                             .key = key, .value = value});
}

static void read_line(struct run *run, const char *file, int line, char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    trim_end(s);
    switch (*s) {
    case '\0':
    case '#':
    case ';':
        break;
    case '[':
        read_section(run, file, line, s);
        break;
    case '%':
        read_directive(run, file, line, s);
        break;
    default:
        read_pair(run, file, line, s);
        break;
    }
}

static void read_file(struct run *run, const char *path, const char *from, int from_line)
{
    size_t bytes;
    char *text = file_read(path, INI_FILE_BYTES_MAX, &bytes);
    if (text == NULL) {
        problems_add(run->problems, PROBLEM_ERROR, from, from_line,
                     "could not load file \"%s\": %s", path, strerror(errno));
        run->ok = false;
        return;
    }
    run->depth++;
    // The path may lie in the text of the file that includes this one: still there, still whole.
    int line = 1;
    for (char *s = text; s < text + bytes; line++) {
        char *end = memchr(s, '\n', (size_t)(text + bytes - s));
        if (end == NULL)
            end = text + bytes;
        *end = '\0';
        if (strlen(s) != (size_t)(end - s))
            fail(run, path, line, "a NUL byte");
        else
            read_line(run, path, line, s);
        s = end + 1;
    }
    run->depth--;
    file_free(text, bytes);
}

bool ini_read(const char *path, void (*handle)(void *arg, const struct ini_line *line), void *arg,
              struct problems *problems)
{
    struct run run = {.handle = handle, .arg = arg, .problems = problems, .ok = true};
    read_file(&run, path, path, 0);
    mem_free(run.section);
    return run.ok;
}

// What follows the closing quote, or NULL; s is behind the opening one.
static char *unquote_value(char *s)
{
    char *to = s;
    for (;; s++) {
        if (*s == '\0')
            return NULL;
        if (*s == '\'' && *++s != '\'')
            break;
        *to++ = *s;
    }
    *to = '\0';
    return s;
}

char *ini_pair(char *s, char **key, char **value)
{
    s = skip_blanks(s);
    *key = *value = s;
    if (*s == '\0')
        return s;
    char *end = s + strcspn(s, "= \t");
    char *equals = skip_blanks(end);
    if (*equals != '=' || end == s)
        return NULL;
    *end = '\0';
    s = skip_blanks(equals + 1);
    if (*s == '\'') {
        *value = ++s;
        s = unquote_value(s);
        if (s == NULL)
            return NULL;
    } else {
        *value = s;
        s += strcspn(s, " \t");
        if (*s != '\0')
            *s++ = '\0';
    }
    return **value == '\0' ? NULL : skip_blanks(s);
}
