// SPDX-License-Identifier: Apache-2.0
// The users file: every entry is a name and a secret, in the order of the lines.
#include "config/users.h"
#include "proxy/login/secret.h"
#include "tests/fuzz/file_of.h"

const size_t target_rounds = 50000;

void target_run(struct slice bytes)
{
    struct users users = {0};
    struct problems problems = {0};
    bool ok = users_load(&users, file_of(bytes), &problems);
    CHECK(ok == (problems.errors == 0));
    size_t total = 0;
    for (size_t i = 0; i < users.count; i++) {
        CHECK(users.at[i].line >= 1 && (i == 0 || users.at[i].line > users.at[i - 1].line));
        total += strlen(users.at[i].name) + strlen(users.at[i].secret);
        secret_kind(users.at[i].secret);
    }
    CHECK(total <= bytes.len);
    problems_fini(&problems);
    users_fini(&users);
}
