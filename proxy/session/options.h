// SPDX-License-Identifier: Apache-2.0
// The `options` startup parameter taken apart: command line switches for the server process, of
// which the two forms of a setting are known, "-c name=value" and "--name=value". Words end at
// white space; a backslash makes the next character an ordinary one. Pure: what is done with a
// setting, and whether it is one, is the caller's to decide.
// Rules: pg_split_opts(), process_postgres_switches() and ParseLongOption() of PostgreSQL.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum options_result {
    OPTIONS_OK,
    OPTIONS_NO_VALUE, // a setting without "="
    OPTIONS_UNKNOWN,  // another switch, or a word that is none
    OPTIONS_STOPPED,  // take() said so
};

// In name "-" has become "_", as in PostgreSQL. False ends it.
typedef bool options_take(void *arg, const char *name, const char *value);

// why: PostgreSQL's sentence for NO_VALUE (SQLSTATE 42601), PgBouncer's for UNKNOWN (08P01).
enum options_result options_each(const char *options, options_take *take, void *arg, char *why,
                                 size_t why_bytes);
