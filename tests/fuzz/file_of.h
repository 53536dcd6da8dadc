// SPDX-License-Identifier: Apache-2.0
// Bytes as a file that has no place: for code that reads files by name.
#pragma once
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/target.h"

// One for the process; every call gives it new contents. Its name.
static inline const char *file_of(struct slice bytes)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        CHECK(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(pwrite(fd, bytes.at, bytes.len, 0) == (ssize_t)bytes.len);
    return path;
}
