// SPDX-License-Identifier: Apache-2.0
// A whole small file as text: configuration and users files. They hold passwords, so what was read
// is wiped before it is freed. Control thread, or before threads start: it blocks.
#pragma once
#include <stddef.h>

// The text and a NUL behind it; NULL with errno (EFBIG: more than max_bytes). file_free() frees.
char *file_read(const char *path, size_t max_bytes, size_t *bytes);
void file_free(char *text, size_t bytes); // NULL is fine
