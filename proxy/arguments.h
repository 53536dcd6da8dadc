// SPDX-License-Identifier: Apache-2.0
// The command line of the server (not of its other commands). Read once, before anything else.
#pragma once
#include <stdbool.h>

struct arguments {
    const char *path; // borrows from argv, this and the next
    const char *user; // NULL: not given
    bool daemon, quiet;
    bool reboot; // takes over from the process that runs
    int verbose;
};

// False: there is nothing to run; what was asked for, or is wrong, has been printed, and *status is
// to be returned.
bool arguments_read(struct arguments *arguments, int argc, char **argv, int *status);
