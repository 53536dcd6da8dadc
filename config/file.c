// SPDX-License-Identifier: Apache-2.0
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    FIRST_BYTES = 16 * 1024,
};

// mem_realloc() may leave a copy of a secret behind where the text was.
static char *grow(char *text, size_t used, size_t *capacity)
{
    char *larger = mem_alloc(*capacity * 2 + 1);
    memcpy(larger, text, used);
    file_free(text, used);
    *capacity *= 2;
    return larger;
}

char *file_read(const char *path, size_t max_bytes, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t capacity = FIRST_BYTES, used = 0;
    char *text = mem_alloc(capacity + 1);
    int error = 0;
    for (;;) {
        if (used == capacity)
            text = grow(text, used, &capacity);
        ssize_t got = read(fd, text + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            error = errno;
        if (got <= 0)
            break;
        used += (size_t)got;
        if (used > max_bytes) {
            error = EFBIG;
            break;
        }
    }
    close(fd);
    if (error != 0) {
        file_free(text, used);
        errno = error;
        return NULL;
    }
    text[used] = '\0';
    *bytes = used;
    return text;
}

void file_free(char *text, size_t bytes)
{
    if (text != NULL)
        explicit_bzero(text, bytes);
    mem_free(text);
}
