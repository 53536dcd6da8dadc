// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/system_user.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>

#include "base/mem.h"

enum { FIRST_BYTES = 4 * 1024, MOST_BYTES = 1 << 20 }; // for an entry

char *system_user_name(uid_t uid)
{
    for (size_t bytes = FIRST_BYTES; bytes <= MOST_BYTES; bytes *= 4) {
        struct passwd entry, *found = NULL;
        char *text = mem_alloc(bytes);
        int problem = getpwuid_r(uid, &entry, text, bytes, &found);
        char *name = problem == 0 && found != NULL ? mem_strdup(found->pw_name) : NULL;
        mem_free(text);
        if (problem != ERANGE)
            return name;
    }
    return NULL;
}
