// SPDX-License-Identifier: Apache-2.0
// The settings that pgweir follows: those whose value PostgreSQL reports (ParameterStatus) and that
// a client may have set to its taste. A client carries its values; a server carries what it
// reported; before a client's statement runs on a server, the differences are set there.
// Plain data; one thread at a time.
#pragma once
#include "base/buf.h"

enum followed_var {
    VAR_CLIENT_ENCODING,
    VAR_DATE_STYLE,
    VAR_TIME_ZONE,
    VAR_STANDARD_CONFORMING_STRINGS,
    VAR_APPLICATION_NAME,
    VAR_INTERVAL_STYLE,
    VAR_COUNT,
};

struct vars {
    char *value[VAR_COUNT]; // owns; NULL: not set (a client's: whatever the server has)
    uint64_t hash;          // 0: to be computed
    uint64_t content;       // same number, same values; 0: none is set
};

const char *var_name(enum followed_var var); // as PostgreSQL writes it
int var_find(const char *name);              // any case; -1: not followed

void vars_fini(struct vars *v);
void vars_set(struct vars *v, enum followed_var var, const char *value);
// Takes the values that `from` has and v lacks.
void vars_default(struct vars *v, const struct vars *from);
// May this text be read as the parser reads it: standard strings, and an encoding in which no byte
// of another character looks like ASCII? (Else a quote or a backslash may not be one.)
bool vars_text_is_plain(const struct vars *v, struct slice text);
// Of all but application_name, which changes no result.
uint64_t vars_hash(struct vars *v);
// Two that are found to be the same throughout get the same number, so that the next look is quick.
bool vars_equal(struct vars *wanted, struct vars *actual);
// Appends "SET name='value'; ..." for what differs; nothing when all is as wanted.
void vars_difference(const struct vars *wanted, const struct vars *actual, struct buf *sql);
