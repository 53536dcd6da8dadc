// SPDX-License-Identifier: Apache-2.0
// The settings that pgweir follows: those whose value PostgreSQL reports (ParameterStatus) and that
// a client may have set to its taste. A client carries its values; a server carries what it
// reported; before a client's statement runs on a server, the differences are set there.
//
// A struct vars never changes, and of equal ones there is one only: thousands of clients that want
// the same share it, and "the same" is one comparison. Counted; any thread. The registry, which is
// the pooler's, has a lock that is a leaf.
#pragma once
#include "base/buf.h"
#include "base/hash.h"

struct vars_registry;

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
    struct hash_node node; // in the registry, under its lock
    _Atomic uint32_t refs;
    bool standard_strings; // standard_conforming_strings is known to be on
    bool utf8;
    bool ambiguous;        // a byte of another character may look like ASCII, for all we know
    uint64_t hash;         // of all but application_name, which changes no result
    struct vars_registry *registry;
    const char *value[VAR_COUNT]; // NULL: not set (a client's: whatever the server has)
    uint64_t result_key[2]; // of those that a result may depend on: a digest, for cache keys
    char text[];             // what these point into
};

const char *var_name(enum followed_var var); // as PostgreSQL writes it
int var_find(const char *name);              // any case; -1: not followed

struct vars_registry *vars_registry_new(void);
void vars_registry_free(struct vars_registry *registry); // nobody may have one any more

struct vars *vars_none(struct vars_registry *registry); // nothing is set; the caller gets a count
struct vars *vars_ref(struct vars *v);
void vars_unref(struct vars **v); // NULL inside is fine; clears the pointer

// *v becomes the one that differs in this value (NULL: not set) ...
void vars_set(struct vars **v, enum followed_var var, const char *value);
// ... or that has more: the values that `from` has and *v lacks.
void vars_default(struct vars **v, const struct vars *from);
// May this text be read as the parser reads it: standard strings, and an encoding in which no byte
// of another character looks like ASCII? (Else a quote or a backslash may not be one.)
bool vars_text_looks_plain(const struct vars *v, struct slice text);
static inline bool vars_text_is_plain(const struct vars *v, struct slice text)
{
    return (v->utf8 && v->standard_strings) || vars_text_looks_plain(v, text);
}
// Is all that is wanted so?
bool vars_compare(const struct vars *wanted, const struct vars *actual);
static inline bool vars_equal(const struct vars *wanted, const struct vars *actual)
{
    return wanted == actual || vars_compare(wanted, actual);
}
// Appends "SET name='value'; ..." for what differs; nothing when all is as wanted.
void vars_difference(const struct vars *wanted, const struct vars *actual, struct buf *sql);
