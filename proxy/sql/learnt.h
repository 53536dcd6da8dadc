// SPDX-License-Identifier: Apache-2.0
// What is known of the code behind the relations of one database (proxy/sql/coded.h), and as of
// when. All routes to that database share it; the pooler forgets it when none is left. Thread-safe.
//
// Known is what a server said, until `believed_until_us`: half that time later whoever has a server
// at hand asks whether it is still true, so that in use it never lapses. It is in doubt before the
// first answer, when that time is over, and while and after the schema is changed through the
// proxy, until a question that was sent later is answered. In doubt everything may run code.
// Not here: the questions' way to a server (session/hidden.h).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "proxy/sql/coded.h"

struct learnt;

struct learnt *learnt_new(const char *target); // which database of which server, as a text
void learnt_free(struct learnt *learnt);
struct hash_node *learnt_node(struct learnt *learnt); // for its pooler's table
struct learnt *learnt_of_node(struct hash_node *node);
const char *learnt_target(const struct learnt *learnt);
// Counts those that may use it: whoever joins has the pooler's lock, leaving needs none.
void learnt_join(struct learnt *learnt);
void learnt_leave(struct learnt *learnt);
bool learnt_is_deserted(const struct learnt *learnt);

enum learnt_verdict {
    LEARNT_HARMLESS,
    LEARNT_CODED,    // it may run code that is known to be there
    LEARNT_IN_DOUBT,
};
// The hot path: an atomic or two. The verdict is remembered in the analysis.
enum learnt_verdict learnt_verdict(struct learnt *learnt, struct analysis *analysis,
                                   int64_t now_us);

// Rises whenever an earlier verdict may have been wrong for what runs now: never 0.
uint64_t learnt_changes(const struct learnt *learnt);
// Rises when code was found that was put there around the proxy: whatever ran in a server's session
// before may have been judged too well.
uint64_t learnt_surprises(const struct learnt *learnt);
// Is there more of that, as a check has told just now, and not known yet which?
bool learnt_is_surprised(struct learnt *learnt);
// The schema is being changed by a transaction through the proxy, from before that is sent until
// it has ended.
void learnt_change_begins(struct learnt *learnt);
void learnt_change_ends(struct learnt *learnt);
void learnt_ask_soon(struct learnt *learnt); // code was taken away: known is too much
void learnt_forget(struct learnt *learnt); // another server stands behind the name, perhaps

enum learnt_wants {
    LEARNT_NOTHING,
    LEARNT_CHECK, // is it still so? (coded_check)
    LEARNT_ALL,   // coded_question
};
// Is somebody to ask? Then the caller has to, and tells what came of it: one at a time.
bool learnt_may_want(struct learnt *learnt, int64_t now_us); // false: it wants nothing now
enum learnt_wants learnt_wants(struct learnt *learnt, int64_t now_us);
// answer: NULL when there was none; taken. interval_us: how long to believe it, unless the question
// costs much. CHECK and ALL: the same caller is to ask on.
enum learnt_wants learnt_told(struct learnt *learnt, enum learnt_wants asked,
                              struct coded *answer, int64_t interval_us, int64_t now_us);
// Its server is lost: somebody else is to ask.
void learnt_give_up(struct learnt *learnt, int64_t now_us);
