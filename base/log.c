// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

// The one log of the process. The descriptor stays the same number once there is one: what is
// behind it is swapped by dup3.
static struct {
    char *file;
    _Atomic int fd; // -1: none
    _Atomic bool quiet;
    _Atomic bool syslog;
    char *ident; // what openlog() was given last; it keeps the pointer
    _Atomic int verbose;
} the_log = {.fd = -1};

static const struct {
    const char *name;
    int number;
} facilities[] = {
    {"daemon", LOG_DAEMON}, {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV},
    {"user", LOG_USER},     {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
    {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},
    {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
};

static int facility_of(const char *name)
{
    for (size_t i = 0; i < sizeof(facilities) / sizeof(*facilities); i++)
        if (strcmp(facilities[i].name, name) == 0)
            return facilities[i].number;
    return -1;
}

bool log_is_facility(const char *name)
{
    return facility_of(name) >= 0;
}

void log_syslog(bool on, const char *ident, const char *facility)
{
    the_log.syslog = false;
    closelog();
    if (!on)
        return;
    int number = facility_of(facility);
    char *old = the_log.ident;
    the_log.ident = mem_strdup(ident);
    openlog(the_log.ident, LOG_PID, number >= 0 ? number : LOG_DAEMON);
    mem_free(old);
    the_log.syslog = true;
}

static const int priorities[] = {LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};
static const char *const level_names[] = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG", "NOISE"};

// Opens the file and puts it behind the descriptor; empty: nothing is behind it.
static bool put_behind(const char *file)
{
    bool none = file == NULL || *file == '\0';
    if (none && the_log.fd < 0)
        return true;
    int fd = open(none ? "/dev/null" : file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
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

bool log_open(const char *file, bool quiet)
{
    if (!put_behind(file))
        return false;
    char *copy = file != NULL ? mem_strdup(file) : NULL;
    mem_free(the_log.file);
    the_log.file = copy;
    the_log.quiet = quiet;
    return true;
}

bool log_reopen(void)
{
    return put_behind(the_log.file);
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
    size_t head = n;
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
    line[n] = '\0';
    if (the_log.syslog)
        syslog(priorities[level], "%s", line + head);
    line[n++] = '\n';
    if (the_log.fd >= 0)
        (void)!write(the_log.fd, line, n);
    if (!the_log.quiet)
        (void)!write(STDERR_FILENO, line, n);
    errno = saved;
}
