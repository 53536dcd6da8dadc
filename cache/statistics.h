// SPDX-License-Identifier: Apache-2.0
// What the cache counts, and why a query goes around it. One struct for each worker, written by
// that worker alone; anyone may sum them at any time (relaxed atomics: figures, not decisions).
#pragma once
#include "base/counter.h"

// enum suffix, name (SHOW, metrics label), sentence for the DBA.
#define BYPASS_REASONS(X)                                                                          \
    X(NONE, "none", "may be cached")                                                               \
    X(OFF, "off", "nothing is known of the database's writes at the moment")                       \
    X(STALE, "stale", "freshness was not confirmed within max_staleness")                          \
    X(BEHIND, "behind", "the session has read newer rows than the cache is known to have")         \
    X(BARRIER, "barrier", "a write with unknown effects was not yet seen in the stream")           \
    X(CLOSED, "closed", "an own write to the table was not yet placed")                            \
    X(TRANSACTION, "transaction", "inside a transaction block")                                    \
    X(TRANSACTION_TIME, "transaction_time",                                                        \
      "begins transactions that ask for the time at which they began")                             \
    X(PIPELINED, "pipelined", "other statements of the session are still under way")               \
    X(SESSION_STATE, "session_state", "the session has state that is not followed")                \
    X(NOT_SELECT, "not_select", "not a SELECT")                                                    \
    X(MULTI_STATEMENT, "multi_statement", "several statements in one message")                     \
    X(UNPARSABLE, "unparsable", "the statement could not be parsed")                               \
    X(UNSUPPORTED, "unsupported",                                                                  \
      "a construct, of its own or in a view, that is not reviewed for caching")                    \
    X(VOLATILE_FUNCTION, "volatile_function",                                                      \
      "calls a function, itself or in a view, that depends on more than the data")                 \
    X(UNKNOWN_FUNCTION, "unknown_function",                                                        \
      "calls a function, itself or in a view, that is not PostgreSQL's own")                       \
    X(OPERATOR, "operator",                                                                        \
      "uses an operator, itself or in a view, that is not known to be immutable")                  \
    X(CAST, "cast",                                                                                \
      "casts, itself or in a view, or has a parameter, to a type that is not known to be safe")    \
    X(DATETIME_WORD, "datetime_word", "a literal such as 'now' or 'today' depends on the time")    \
    X(RELATION_KIND, "relation_kind",                                                              \
      "reads what the stream does not report: no logged table, view or partitions of such")        \
    X(NOT_NOTIFIED, "not_notified", "reads a table without the trigger that tells of its changes") \
    X(NOT_PUBLISHED, "not_published",                                                              \
      "reads a table that is not in the configured publication")                                   \
    X(PARTLY_PUBLISHED, "partly_published",                                                        \
      "reads a table of whose changes the publication does not tell all: a row filter, not all "   \
      "kinds of writes, no replica identity or not all its columns, partitions by their root")     \
    X(INHERITANCE, "inheritance",                                                                  \
      "reads a table with more partitions or levels than can be followed")                         \
    X(CATALOG_RELATION, "catalog_relation", "reads a system catalog, itself or by a view")         \
    X(CATALOG_PENDING, "catalog_pending", "its names are not resolved yet")                        \
    X(NO_RELATION, "no_relation", "reads no table")                                                \
    X(UNKNOWN_RELATION, "unknown_relation", "reads a relation that is not found")                  \
    X(LOCKING, "locking", "locks rows")                                                            \
    X(TOO_LARGE, "too_large", "the reply is larger than an entry may be")                          \
    X(MAX_ROWS, "max_rows", "the reply was asked for in portions")                                 \
    X(SHAPE, "shape", "the messages are not in a form that is cached")                             \
    X(NO_PROFILE, "no_profile", "the session's settings are not known yet")                        \
    X(ROW_SECURITY, "row_security",                                                                \
      "a policy of a table that it reads has something that is not reviewed for caching")          \
    X(POLICY_FUNCTION, "policy_function",                                                          \
      "a policy of a table that it reads calls what is not PostgreSQL's own, or is volatile")      \
    X(POLICY_SETTING, "policy_setting",                                                            \
      "a policy of a table that it reads asks for a setting by no constant name with a dot") \
    X(TEXT_SEARCH, "text_search",                                                                  \
      "searches text, where a parser or a dictionary template is not PostgreSQL's own")            \
    X(COLUMN_TYPE, "column_type", "uses a column of a type that is not known to be safe")          \
    X(ENCODING, "encoding", "names outside ASCII in another encoding than the server's")           \
    X(DISABLED, "disabled", "the cache is switched off here")                                      \
    X(RULE, "rule", "a rule of [cache_rules] excludes it")                                         \
    X(ON_REQUEST, "on_request", "a rule wants a hint in its text, and there is none")              \
    X(HINT, "hint", "a comment in its text says nocache")

enum bypass {
#define X(name, label, sentence) BYPASS_##name,
    BYPASS_REASONS(X)
#undef X
    BYPASS_COUNT
};

const char *bypass_name(enum bypass reason);     // static
const char *bypass_sentence(enum bypass reason); // static

// Counters other than bypasses: member, name, sentence.
#define STATISTICS_COUNTERS(X)                                                                     \
    X(hits, "hits", "replies answered from memory")                                                \
    X(hit_bytes, "hit_bytes", "bytes of those replies")                                            \
    X(misses, "misses", "cacheable queries that were not in memory")                               \
    X(not_kept, "not_kept", "of those, the ones whose like are hardly ever asked for again")       \
    X(stores, "stores", "replies put into memory")                                                 \
    X(abandoned, "abandoned", "fills that ended in an error or were not stored")                   \
    X(invalidated, "invalidated", "entries met that a write had ended")                            \
    X(followed, "followed", "queries that waited for another client's run of the same")            \
    X(followed_vainly, "followed_vainly", "those that were not answered by it")                    \
    X(ttl_hits, "ttl_hits", "replies that may have been stale, within a ttl that was accepted")    \
    X(hint_unknown, "hint_unknown", "queries with a word in their hint that means nothing")        \
    X(audits, "audits", "hits that were run again on a server and compared")                       \
    X(audit_mismatches, "audit_mismatches", "of those, differences that no write explains")        \
    X(audit_unclear, "audit_unclear", "of those, with a write in between, or an error")

enum { STATISTICS_COUNT = BYPASS_COUNT STATISTICS_COUNTERS(COUNTER_ONE) };

struct statistics { // zeroed to begin
    COUNTER_TABLE(counter, COUNTER_MEMBER, STATISTICS_COUNTERS, counter bypasses[BYPASS_COUNT];,
                  STATISTICS_COUNT);
};

struct statistics_sum { // zeroed to begin
    COUNTER_TABLE(uint64_t, COUNTER_SUM, STATISTICS_COUNTERS, uint64_t bypasses[BYPASS_COUNT];,
                  STATISTICS_COUNT);
};

static inline void statistics_bypass(struct statistics *s, enum bypass reason)
{
    counter_add(&s->bypasses[reason], 1);
}

void statistics_add(struct statistics_sum *sum, const struct statistics *from); // any thread
uint64_t statistics_bypassed(const struct statistics_sum *sum); // all reasons together
