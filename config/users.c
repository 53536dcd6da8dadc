// SPDX-License-Identifier: Apache-2.0
#include "config/users.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "config/file.h"

enum {
    USERS_FILE_BYTES_MAX = 256 << 20, // a million users with SCRAM secrets are 200 MB
};

static void add(struct users *users, char *name, char *secret, int line)
{
    if (users->count == users->capacity) {
        users->capacity = users->capacity == 0 ? 16 : users->capacity * 2;
        users->at = mem_realloc(users->at, users->capacity * sizeof *users->at);
    }
    users->at[users->count++] = (struct users_entry){
        .name = mem_strdup(name), .secret = mem_strdup(secret), .line = line};
}

// Cuts the quoted text that begins at or after s in place; what follows it, or NULL.
static char *take_quoted(char *s, char **text)
{
    s = strchr(s, '"');
    if (s == NULL)
        return NULL;
    char *to = ++s;
    *text = s;
    for (;; s++) {
        if (*s == '\0')
            return NULL;
        if (*s == '"' && *++s != '"')
            break;
        *to++ = *s;
    }
    *to = '\0';
    return s;
}

static bool read_line(struct users *users, const char *path, int line, char *s,
                      struct problems *problems)
{
    while (isspace((unsigned char)*s))
        s++;
    if (*s == '\0' || *s == ';' || *s == '#')
        return true;
    char *name, *secret;
    char *rest = *s == '"' ? take_quoted(s, &name) : NULL;
    if (rest != NULL)
        rest = take_quoted(rest, &secret);
    if (rest == NULL) {
        problems_add(problems, PROBLEM_ERROR, path, line,
                     "broken auth file: expected \"user\" \"password\"");
        return false;
    }
    add(users, name, secret, line);
    return true;
}

bool users_load(struct users *users, const char *path, struct problems *problems)
{
    size_t bytes;
    char *text = file_read(path, USERS_FILE_BYTES_MAX, &bytes);
    if (text == NULL) {
        problems_add(problems, PROBLEM_ERROR, path, 0, "could not open auth_file %s: %s", path,
                     strerror(errno));
        return false;
    }
    bool ok = true;
    int line = 1;
    for (char *s = text; s < text + bytes; line++) {
        char *end = memchr(s, '\n', (size_t)(text + bytes - s));
        if (end == NULL)
            end = text + bytes;
        *end = '\0';
        if (strlen(s) != (size_t)(end - s)) {
            problems_add(problems, PROBLEM_ERROR, path, line, "broken auth file: a NUL byte");
            ok = false;
        } else if (!read_line(users, path, line, s, problems)) {
            ok = false;
        }
        s = end + 1;
    }
    file_free(text, bytes);
    return ok;
}

void users_fini(struct users *users)
{
    for (size_t i = 0; i < users->count; i++) {
        explicit_bzero(users->at[i].secret, strlen(users->at[i].secret));
        mem_free(users->at[i].secret);
        mem_free(users->at[i].name);
    }
    mem_free(users->at);
    *users = (struct users){0};
}
