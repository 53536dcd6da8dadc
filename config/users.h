// SPDX-License-Identifier: Apache-2.0
// The users file (auth_file, userlist.txt): lines of "name" "secret", in the form that PgBouncer
// reads: a doubled quote inside stands for one, the rest of a line is ignored, lines that start
// with ; are comments (# too, here). The list owns its texts; one owner, read-only after loading.
// What kind of secret it is, proxy/login/secret.h tells.
#pragma once
#include "config/problem.h"

struct users_entry {
    char *name;   // owns
    char *secret; // owns; may be empty
    int line;
};

struct users {
    struct users_entry *at; // owns; in the order of the file; of two with one name the last counts
    size_t count;
    size_t capacity;
};

// A zeroed struct users is empty. False: an error is among the problems; what could be read is in.
bool users_load(struct users *users, const char *path, struct problems *problems);
void users_fini(struct users *users); // wipes the secrets
