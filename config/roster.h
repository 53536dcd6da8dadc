// SPDX-License-Identifier: Apache-2.0
// The databases, users and peers of a configuration: what the lines of [databases], [users] and
// [peers] and the users file say, found by name. Filled by one thread, then immutable and counted,
// so that snapshots that differ in a setting only share it. The structs are in config.h; which
// value counts where several are given is effective.c's business.
#pragma once
#include "base/hash.h"
#include "config/cache_rules.h"
#include "config/config.h"
#include "config/ini.h"
#include "config/peers.h"
#include "config/users.h"

struct roster_database {
    struct hash_node node;
    struct config_database is; // owns its texts
};

struct roster_user {
    struct hash_node node;
    struct config_user is; // owns its texts
};

struct roster {
    _Atomic unsigned holders;
    struct hash_table database_index; // by name
    struct hash_table user_index;
    struct roster_database **databases; // owns; in order of name, "*" last
    size_t database_count;
    size_t database_capacity;
    struct roster_user **users; // owns; in order of name
    size_t user_count;
    size_t user_capacity;
    struct peers peers; // owns
    struct cache_rules cache_rules; // owns
    bool has_user_timeouts; // some line of [users] has one
};

struct roster *roster_new(void); // one holder: the caller
struct roster *roster_ref(struct roster *roster);
void roster_unref(struct roster *roster); // wipes passwords with the last; NULL is fine

// A line of [databases] or [users]. What is wrong with it goes to *problems. A second line for a
// name replaces the first.
void roster_read_database(struct roster *roster, const struct ini_line *line,
                          struct problems *problems);
void roster_read_user(struct roster *roster, const struct ini_line *line,
                      struct problems *problems);
void roster_add_secrets(struct roster *roster, const struct users *users);
void roster_sort(struct roster *roster); // once all is read; lookups work before, too

// By exact name ("*" is one); NULL: none.
const struct config_database *roster_database(const struct roster *roster, const char *name);
const struct config_user *roster_user(const struct roster *roster, const char *name);
