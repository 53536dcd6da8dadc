// SPDX-License-Identifier: Apache-2.0
#include "proxy/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/version.h"

static const char usage[] =
    "Usage: pgweir [OPTION]... CONFIG_FILE\n"
    "       pgweir install-triggers [--print] [--remove] DSN [TABLE ...]\n"
    "  -d, --daemon           run in background (as a daemon)\n"
    "  -R, --reboot           take over from the running process, its connections included\n"
    "  -q, --quiet            run quietly: nothing to stderr\n"
    "  -u, --user=USERNAME    assume identity of USERNAME\n"
    "  -v, --verbose          increase verbosity\n"
    "  -V, --version          show version, then exit\n"
    "  -h, --help             show this help, then exit\n";

bool arguments_read(struct arguments *a, int argc, char **argv, int *status)
{
    static const struct option options[] = {
        {"daemon", no_argument, NULL, 'd'},       {"quiet", no_argument, NULL, 'q'},
        {"reboot", no_argument, NULL, 'R'},
        {"user", required_argument, NULL, 'u'},   {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},      {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "dqRu:vVh", options, NULL)) != -1) {
        switch (c) {
        case 'd':
            a->daemon = true;
            break;
        case 'R':
            a->reboot = true;
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'u':
            a->user = optarg;
            break;
        case 'v':
            a->verbose++;
            break;
        case 'V':
            printf("pgweir %s\n", PGWEIR_VERSION);
            return false;
        case 'h':
            fputs(usage, stdout);
            return false;
        default:
            fputs("Try \"pgweir --help\" for more information.\n", stderr);
            *status = 1;
            return false;
        }
    }
    if (optind != argc - 1) {
        fputs(optind >= argc ? "Need config file. See pgweir -h for usage.\n"
                             : "Too many arguments. See pgweir -h for usage.\n",
              stderr);
        *status = 1;
        return false;
    }
    a->path = argv[optind];
    return true;
}
