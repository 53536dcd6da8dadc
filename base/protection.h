// SPDX-License-Identifier: Apache-2.0
// What keeps the cache right, by name, so that tests can show what each part is for: in a build
// with WITH_PROTECTIONS_OFF each can be switched off, and then the promise must be seen to break
// (tests/scenario/39_protections.py). In every other build nothing of this is left: the question
// is the constant false, and no name, no variable and no way to ask is in the program.
//
// Switched once, before the first thread; read by any thread. Only .c files may include this: the
// two programs share the objects of files that do not.
#pragma once
#include <stdbool.h>

// name; as the environment has it; what it is (DESIGN section 5).
#define PROTECTIONS(X)                                                                             \
    X(FROM, "from_before_query", "a fill takes its position before its query is sent")             \
    X(EVENTS, "events", "a commit in the stream raises the slots of what it touched")              \
    X(OLD_KEY, "old_key", "a row that gets another key touches its old one as well")               \
    X(ROWS, "all_rows", "TRUNCATE, and a row of unknown key, touch every key of the table")        \
    X(GATE, "visibility_gate", "stable passes a commit when a snapshot shows it finished")         \
    X(HORIZON, "horizon", "what had committed before the stream began is waited for as well")      \
    X(MARKS, "own_marks", "what a write touches is marked before its client is answered")          \
    X(HOLD, "hold", "what is marked stays closed until the commit's position is known")            \
    X(INSERT, "insert_position", "a write's position is the insert position, not the flushed one") \
    X(HELD, "held_rows", "a write that names no key holds all rows until the stream tells them")   \
    X(BARRIER, "barrier", "effects that cannot be known stop hits until the stream is through")    \
    X(DDL, "ddl_flush", "DDL through the proxy ends every entry before it is answered")            \
    X(SCHEMA, "schema_watch", "a schema that changed gives no freshness and ends every entry")     \
    X(FRESHNESS, "freshness", "a hit needs a freshness within max_staleness")                      \
    X(INSTANT, "instant_of_sending", "a reading makes fresh as of when it was sent")               \
    X(EPOCH, "epoch", "what was filled before the stream was lost is dead")                        \
    X(AROUND, "after_around", "who read around the cache hits what is fresh as of later")          \
    X(ORDER, "transaction_order", "in a transaction misses count as reads around the cache")       \
    X(READ_ONLY, "only_reads", "a transaction that may have written does not hit")                 \
    X(COMMITTED, "read_committed", "a transaction that is not READ COMMITTED does not hit")        \
    X(PROFILE, "profile_in_key", "role, search path and other settings are part of the key")       \
    X(SETTINGS, "settings_in_key", "the session's followed settings are part of the key")          \
    X(DATETIME, "datetime_words", "a parameter that may be read as the time is not cached")        \
    X(UNREPORTED, "unreported", "a relation whose changes are not reported is not cached")         \
    X(SERVER, "same_server", "sessions that lead elsewhere than the stream stop all hits")

enum protection {
#define X(name, word, sentence) PROTECTION_##name,
    PROTECTIONS(X)
#undef X
    PROTECTION_COUNT
};

#ifdef WITH_PROTECTIONS_OFF
// Reads PGWEIR_PROTECTIONS_OFF: words with commas between, or "none". False when it is not set or
// has an unknown word: it said so on stderr. Such a program does not run by accident.
bool protection_begin(void);
bool protection_is_off(enum protection protection);
#else
static inline bool protection_begin(void) { return true; }
static inline bool protection_is_off(enum protection protection) { return false; }
#endif
