// SPDX-License-Identifier: Apache-2.0
// The ident file (auth_ident_file): which system user, or which name in a certificate, may log in
// as which user of the database, by named maps. Read on the control thread, then immutable: any
// thread may ask. PgBouncer's lines (MAP SYSTEM-USER DATABASE-USER, `all`), and PostgreSQL's
// regular expressions: /... as a system user, with \1 in the database user; /... as that.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ident_map;
struct problems;

struct ident {
    struct ident_map **maps; // owns
    size_t count;
    uint64_t digest; // of the text
};

// What is wrong with a line is a warning, and the line is left out; a file that cannot be read is
// an error, and false. `ident` was zeroed.
bool ident_load(struct ident *ident, const char *path, struct problems *problems);
void ident_fini(struct ident *ident);

const struct ident_map *ident_find(const struct ident *ident, const char *name); // or NULL
const char *ident_map_name(const struct ident_map *map);

// May system_user log in as user? Without a map (NULL): as the one of its own name.
bool ident_allows(const struct ident_map *map, const char *system_user, const char *user);
