// SPDX-License-Identifier: Apache-2.0
// The log, in PgBouncer's form: "2026-01-31 12:00:00.000 UTC [pid] LEVEL sentence". Any thread; one
// write(2) for each line. Where it goes (stderr, a file, syslog) is set at the start, and by the
// control thread after a reload.
#pragma once
#include <stdbool.h>

enum log_level { LOG_LEVEL_FATAL, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
                 LOG_LEVEL_DEBUG, LOG_LEVEL_NOISE };

// file: path; NULL or empty: none; quiet: nothing to stderr. Returns false with errno when the file
// cannot be opened: then all stays as it was. One thread, this and the next two.
bool log_open(const char *file, bool quiet);
// facility: as in syslog_facility; an unknown one is taken for daemon.
void log_syslog(bool on, const char *ident, const char *facility);
bool log_is_facility(const char *name);
bool log_reopen(void); // after rotation (SIGHUP); false with errno
void log_verbosity(int verbose); // as -v: 0 INFO, 1 DEBUG, 2 NOISE

void log_write(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool log_wants(enum log_level level);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    (log_wants(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)
