// SPDX-License-Identifier: Apache-2.0
// What the open transaction of a session may have changed: the slots to close, or the barrier to
// raise, before its commit is answered. Plain data of one client.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct analysis;
struct client;
struct key_values;
struct worker;

enum { EFFECTS_SLOTS_MAX = 60, EFFECTS_KEYS_MAX = 40, EFFECTS_HELD_MAX = 16 };

// A client has it only while its transaction has noted anything: an idle one is small.
struct effects {
    struct effects *next;            // of those that nobody has: worker->spare_effects
    uint64_t epoch;                  // of the ledger, when the first of the slots was noted
    uint64_t catalog;                // version of the one by which they were found last
    uint8_t count, keys, held_count; // keys: how many of the slots are such
    bool barrier;
    bool new_name; // reads one that is not known yet: it may be a view that writes
    uint8_t ddl;   // enum ddl
    bool roles;    // ... of what all databases share
    bool unread;   // one text, which was not understood, and nothing else
    bool judged;   // by that catalog: what was noted, and what it calls that writes nothing
    bool path_unknown; // the search path may have been changed in it
    bool may_end; // a statement in it may end the transaction before the last ReadyForQuery
    uint32_t slots[EFFECTS_SLOTS_MAX]; // of tables, and of keys that are written
    uint32_t held[EFFECTS_HELD_MAX];   // rows slots, where the keys are not known
};

// e: NULL: nothing was noted.
static inline bool effects_any(const struct effects *e)
{
    return e != NULL && (e->judged || e->barrier || e->ddl || e->new_name);
}

struct effects *effects_of(struct client *client); // to note some more
void effects_clear(struct client *client); // the transaction is over
void effects_free_spare(struct worker *worker);

// Notes what running this statement may do to tables and to the session (pins, resets). NULL: a
// statement that was not read, which may do anything. values: those it runs with, and its text
// (also if it was not read); NULL: not known.
void effects_note(struct client *client, const struct analysis *analysis,
                  const struct key_values *values);
// What its names mean on the client's server now; NULL: that is not known. Borrowed, as of
// resolution_front_get().
const struct resolution *effects_meaning(struct client *client, const struct analysis *analysis);
// What was sent with such a statement may name settings: its text, its values.
void effects_mention(struct client *client, const struct analysis *analysis, struct slice bytes);
// What a text with EXECUTE may do beside what it executes, which is noted by itself: the evaluation
// of its arguments, CREATE TABLE AS around it.
void effects_note_arguments(struct client *client, const struct analysis *analysis);
// Tells the cache, before the answer that acknowledges the commit goes out.
void effects_publish(struct client *client);
// An error was answered to the client. A text that the server could not read either did nothing.
void effects_refused(struct client *client, struct slice error_body);
// The connection to the server (its process there) is about to be lost before the answer.
void effects_in_doubt(struct client *client, uint32_t process);
