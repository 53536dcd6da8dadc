// SPDX-License-Identifier: Apache-2.0
// Rules: what the DBA says of caching, by database, user, table and text. The first rule that fits
// a statement counts; with none, what can be cached is. A list of rules is immutable and belongs
// to who made it. Pure.
//
// What a rule may do:
//   exclude  nothing that it fits is cached
//   hint     only what asks for it: /* pgweir: cache */
//   cache    as without a rule (to make an exception of a later one, or to give a ttl)
//   force    also what is refused only for the user's own code or for volatility (RULES_FORCEABLE):
//            its author says that the reply depends on nothing but the tables that the text names
// and with the latter three, ttl: the user accepts replies that are this old, whatever has changed.
// Never forced: statements that write, lock, read what no event tells of, or leave something in the
// session; replies that are errors, or come in portions; sessions with state that is not followed.
//
// `exclude` and `hint` fit when one of the tables does; the others, which allow more, when all do.
//
// Not here: how rules are written (config/), which tables a text reads (proxy/).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/hints.h"
#include "cache/statistics.h"

enum rule_action { RULE_CACHE, RULE_EXCLUDE, RULE_HINT, RULE_FORCE };

struct rule { // texts NULL: any
    char *name;     // owns, as all of these
    char *database; // patterns, see rules_match()
    char *user;
    char *table;    // "schema.table", or "table": in any schema
    char *text;     // of the normalised text
    enum rule_action action;
    int64_t ttl_us;        // 0: none
    bool ttl_without_events; // also while the database is not followed, and across schema changes
};

struct rules;

struct rules *rules_new(void);
void rules_add(struct rules *rules, const struct rule *rule); // copies
void rules_free(struct rules *rules); // NULL is fine
size_t rules_count(const struct rules *rules);
bool rules_any_without_events(const struct rules *rules);

// Reasons (bits 1 << enum bypass) that a rule may put aside.
#define RULES_FORCEABLE                                                                            \
    (1ull << BYPASS_VOLATILE_FUNCTION | 1ull << BYPASS_UNKNOWN_FUNCTION | 1ull << BYPASS_OPERATOR |\
     1ull << BYPASS_CAST | 1ull << BYPASS_DATETIME_WORD)

struct rule_table {
    struct slice schema;
    struct slice name;
};

// What a statement is, for a rule.
struct rule_subject {
    const char *database; // as its client asked for it
    const char *user;     // whom its client is on the server
    struct slice text;    // normalised: constants are ?, blanks single, no comments
    const struct rule_table *tables; // what it reads
    size_t table_count;
};

// What counts for a statement, rule and hints together.
struct ruling {
    const char *rule;   // borrows its name from the rules; NULL: none fits
    bool excluded;      // not cached ...
    bool on_request;    // ... for it did not ask
    bool forced;
    bool ttl_without_events;
    int64_t ttl_us;     // 0: none
};

// max_hint_us: the most that a hint's ttl may be where no rule gives one; 0: none. Where one does,
// the shorter counts. A hint never makes cacheable what is not.
struct ruling rules_judge(const struct rules *rules, const struct rule_subject *subject,
                          const struct hints *hints, int64_t max_hint_us);

// * is any number of characters, ? one; letters fit in any case, and a run of blanks is one blank.
bool rules_match(const char *pattern, struct slice text);
