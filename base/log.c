// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

// The one log of the process: set before threads start; the descriptor is swapped by dup2.
static struct {
    char *file;
    int fd; // -1: none
    bool quiet;
    _Atomic int verbose;
} the_log = {.fd = -1};

static const char *const level_names[] = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG", "NOISE"};

bool log_open(const char *file, bool quiet)
{
    the_log.quiet = quiet;
    if (file == NULL || *file == '\0')
        return true;
    mem_free(the_log.file);
    the_log.file = mem_strdup(file);
    return log_reopen();
}

bool log_reopen(void)
{
    if (the_log.file == NULL)
        return true;
    int fd = open(the_log.file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    if (the_log.fd < 0) {
        the_log.fd = fd;
        return true;
    }
    bool swapped = dup3(fd, the_log.fd, O_CLOEXEC) >= 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return swapped;
}

void log_verbosity(int verbose)
{
    the_log.verbose = verbose;
}

bool log_wants(enum log_level level)
{
    return (int)level <= (int)LOG_LEVEL_INFO + the_log.verbose;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_wants(level))
        return;
    int saved = errno;
    char line[2048];
    struct timeval now;
    struct tm parts;
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &parts);
    size_t n = strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S", &parts);
    char zone[16] = "";
    strftime(zone, sizeof(zone), "%Z", &parts);
    n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03d %s [%d] %s ",
                          (int)(now.tv_usec / 1000), zone, (int)getpid(), level_names[level]);
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
    va_end(args);
    if (body > 0)
        n += (size_t)body;
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    // One entry, one line: what a peer sent cannot forge another.
    for (size_t i = 0; i < n; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    line[n++] = '\n';
    if (the_log.fd >= 0)
        (void)!write(the_log.fd, line, n);
    if (!the_log.quiet)
        (void)!write(STDERR_FILENO, line, n);
    errno = saved;
}
