// SPDX-License-Identifier: Apache-2.0
// Files in a directory of the test's own, gone when it ends.
#pragma once
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scratch {
    char directory[64];
};

static inline int scratch_open(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    strcpy(s->directory, "/tmp/pgweir-config-XXXXXX");
    *state = s;
    return mkdtemp(s->directory) == NULL;
}

static inline int scratch_close(void **state)
{
    struct scratch *s = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", s->directory);
    int failed = system(command);
    free(s);
    return failed;
}

// Writes a file and returns its path, in one of a few static places.
static inline const char *scratch_file(void **state, const char *name, const char *text, size_t n)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    struct scratch *s = *state;
    snprintf(path, sizeof paths[0], "%s/%s", s->directory, name);
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(text, 1, n, file) != n || fclose(file) != 0)
        abort();
    return path;
}

static inline const char *scratch_text(void **state, const char *name, const char *text)
{
    return scratch_file(state, name, text, strlen(text));
}
