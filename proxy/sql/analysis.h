// SPDX-License-Identifier: Apache-2.0
// What one statement text is and does, as far as the text alone can tell: its kind, what it reads
// and writes by name, what it may leave behind in the session, and why it cannot be cached.
// Immutable once made (but for one memo), counted, shared by all threads; nothing in it depends on
// the value of a constant, so it holds for every text of the same template.
// Everything is default deny: what is not known to be harmless is not cached and is taken to write
// anything, and what cannot be read at all is taken to do everything.
// Not here: which relation a name means (resolve.h needs a catalog and a search path for that).
#pragma once
#include "base/slice.h"
#include "cache/hints.h"
#include "cache/statistics.h"

enum statement_kind {
    STATEMENT_EMPTY,   // nothing but white space, comments, semicolons
    STATEMENT_SELECT,  // also VALUES, TABLE, WITH ... SELECT (even with a writing CTE, or INTO)
    STATEMENT_WRITE,   // INSERT, UPDATE, DELETE, MERGE
    STATEMENT_COPY,    // COPY in either direction
    STATEMENT_BEGIN,   // BEGIN, START TRANSACTION
    STATEMENT_COMMIT,  // COMMIT, END
    STATEMENT_ROLLBACK, // ROLLBACK, ABORT (not TO SAVEPOINT)
    STATEMENT_SAVEPOINT, // SAVEPOINT, RELEASE, ROLLBACK TO
    STATEMENT_TWO_PHASE, // PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
    STATEMENT_SET,     // SET in all forms
    STATEMENT_RESET,   // RESET name, RESET ALL
    STATEMENT_SHOW,
    STATEMENT_DISCARD,
    STATEMENT_PREPARE, // SQL level PREPARE
    STATEMENT_EXECUTE,
    STATEMENT_DEALLOCATE,
    STATEMENT_LISTEN,  // LISTEN, UNLISTEN
    STATEMENT_NOTIFY,
    STATEMENT_CURSOR,  // DECLARE, FETCH, MOVE, CLOSE
    STATEMENT_EXPLAIN,
    STATEMENT_CALL,
    STATEMENT_DO,
    STATEMENT_DDL,     // CREATE, ALTER, DROP, GRANT, TRUNCATE, CREATE TABLE AS ...
    STATEMENT_UTILITY, // VACUUM, ANALYZE, LOCK, CHECKPOINT, LOAD, SET CONSTRAINTS ...
    STATEMENT_MULTI,   // several statements in one text: the fields are their union
    STATEMENT_UNKNOWN, // the parser could not read it
};

// What may outlive the statement in the session, a set of bits. 0: nothing.
enum session_effect {
    EFFECT_FOLLOWED_SET = 1 << 0,   // SET or RESET of a setting whose value the server reports
                                    // (see analysis_setting_reported); nothing to pin for
    EFFECT_SET = 1 << 1,            // any other SET or RESET, SET ROLE, RESET ALL ...
    EFFECT_TEMP = 1 << 2,           // temporary table, view or sequence
    EFFECT_CURSOR_HOLD = 1 << 3,    // DECLARE ... WITH HOLD
    EFFECT_PREPARE = 1 << 4,        // SQL PREPARE, EXECUTE, DEALLOCATE name: see `prepared`
    EFFECT_LISTEN = 1 << 5,         // LISTEN, UNLISTEN
    EFFECT_ADVISORY = 1 << 6,       // session level advisory lock taken or given back
    EFFECT_SET_CONFIG = 1 << 7,     // set_config() that is not surely local to the transaction
    EFFECT_LOAD = 1 << 8,
    EFFECT_DISCARD_ALL = 1 << 9,    // clears all of the above (also DISCARD TEMP, PLANS ...:
                                    // those set EFFECT_DISCARD_SOME)
    EFFECT_DISCARD_SOME = 1 << 10,
    EFFECT_DEALLOCATE_ALL = 1 << 11, // clears EFFECT_PREPARE, and protocol level statements
    EFFECT_FUNCTION = 1 << 12,      // ran code that we cannot see: may have left anything
    EFFECT_UNKNOWN = 1 << 13,       // unparsable
    EFFECT_EXECUTE = 1 << 14,       // ran what was prepared in SQL: may have done anything
    EFFECT_RESET = 1 << 15,         // beside one of the first two: RESET, SET ... TO DEFAULT
    EFFECT_SEQUENCE = 1 << 16,      // reads what nextval() left: currval(), lastval()
    EFFECT_NAMES = 1 << 17,         // reads which statements are prepared; nothing to pin for
    EFFECT_SEQUENCE_USE = 1 << 18,  // nextval(), setval(), or rows whose defaults may call it
    EFFECT_DISCARD_SEQUENCES = 1 << 19, // beside EFFECT_DISCARD_SOME
};

struct sql_name {
    struct slice schema; // empty: not qualified
    struct slice name;   // as PostgreSQL folds and truncates it
};

struct sql_names {
    const struct sql_name *at; // borrows from the analysis
    uint32_t count;            // no two are equal
};

// Which rows a statement reads or writes, as far as it names them: for each place of a relation in
// it, what its columns must equal. Made by fixed.h, used by keys.h with the values of a text.
enum sql_value_kind {
    SQL_PARAMETER,
    SQL_INTEGER,
    SQL_DECIMAL,
    SQL_STRING,
    SQL_BOOLEAN,
    SQL_ELEMENTS, // an array of so many (number), which are the next values
};

struct sql_value {
    uint16_t number; // of the parameter, from 1; or which of the template's constants, from 0; or
                     // false or true, which are no constants of a template
    uint8_t kind;    // enum sql_value_kind
    bool negative;   // a constant behind a minus
    bool array;      // any of its elements is meant
    bool shared;     // a parameter whose type something else may decide on: it occurs elsewhere,
                     // too, not with the same cast, or stands in ARRAY[...] with others
    uint32_t cast;   // type that it is cast to (pg_type.oid; of the elements); 0: it is not
};

enum sql_fix_kind {
    FIX_EQUAL,    // the column equals one of the values
    FIX_LINKED,   // it equals a column of another place, whatever is fixed of that
    FIX_SET,      // it is assigned to: not the one that it was
    FIX_CONFLICT, // ON CONFLICT names it
};

struct sql_fix {
    struct slice column;     // LINKED: empty for each that the other place has, too
    uint16_t kind;           // enum sql_fix_kind
    uint16_t first, count;   // EQUAL: values
    uint16_t tuple;          // likewise; above 0: where it equals the n-th of them, it is in a row
                             // whose other columns of this number equal the n-th of theirs
    bool apart;              // LINKED: two such columns may be of two rows
    uint16_t other;          // LINKED: which place; UINT16_MAX: none
    uint16_t among, n_among; // scans: it holds if such columns of all of these are of one type
    struct slice other_column;
};

struct sql_scan {        // one place of a relation
    uint16_t name;       // in reads or writes
    bool written;        // in writes
    bool whole;          // it may be any row
    bool given;          // the values are those of new rows (INSERT)
    uint16_t first, count; // of fixes
};

// A name in reads or writes without any place: it may be any row.
struct sql_keys {
    const struct sql_scan *scans;   // borrow from the analysis
    const struct sql_fix *fixes;
    const struct sql_value *values;
    uint16_t n_scans, n_fixes, n_values;
};

// Names of columns, as hashes (columns.h): used in any way but to be shown as they are, and shown.
struct sql_columns {
    const uint32_t *computed, *shown; // borrow from the analysis
    uint16_t n_computed, n_shown;
    bool all_computed, all_shown;     // any column may be
};

struct analysis {
    uint32_t tag;
    _Atomic uint32_t refs;
    enum statement_kind kind;
    enum bypass bypass;    // BYPASS_NONE: cacheable as far as the text can tell
    uint64_t reasons;      // all that there are against it: bits 1 << enum bypass
    struct hints hints;    // what its comments ask of the cache
    uint32_t effects;      // bits of enum session_effect
    uint8_t resets;        // reported settings that go back to their defaults: bits, by number;
                           // and ANALYSIS_RESETS_INVENTED
    uint32_t statements;   // how many statements the text holds

    struct sql_names reads;     // relations read anywhere; names of CTEs left out by scope, and
                                // system catalogs (they are a reason in bypass)
    struct sql_names catalogs;  // relations read that seem to be system catalogs
    struct sql_names writes;    // relations written directly; empty when writes_unknown says it all
    struct sql_names functions; // called anywhere by name; those that syntax stands for
                                // (EXTRACT, LIKE ...) have the schema pg_catalog
    struct sql_names fields;    // what stands behind a dot (t.f): columns, unless there is none of
                                // that name and a user's function f takes a row of t
    struct sql_names operators; // used anywhere, also behind IN, BETWEEN, LIKE, NULLIF ...
    struct sql_names casts;     // names of the types that values are cast to
    struct sql_names dated;     // columns that are cast as if they were of types of date and time
    struct sql_names types;     // that constants are cast to, as if they were a user's enums
    struct sql_names perhaps;   // (x).f, where f may be a type that x is cast to
    struct sql_keys keys;
    struct pattern *pattern;    // owns; where keys are constants: finds them in texts like this one
    struct sql_columns columns; // of what is cacheable
    struct slice prepared;      // the name in one PREPARE, EXECUTE (also in EXPLAIN and in CREATE
                                // TABLE AS) or DEALLOCATE; empty: none, or not in ASCII
    struct slice channel;       // of one LISTEN or UNLISTEN, likewise; of UNLISTEN *: empty

    bool writes_unknown;    // may write relations that are not in writes: needs a barrier
    bool writes_by_calls;   // ... but only by named functions and operators that are not
                            // PostgreSQL's: the catalog may say that they write nothing
    bool reshapes;          // may put code behind relations: CREATE, ALTER, DO, what is not known
    bool touches_unnamed;   // may run what is behind relations that are in no list: VACUUM
    uint8_t ddl;            // enum ddl
    bool changes_roles;     // ... who is who and in which, for all databases of the server
    bool calls_unknown_function; // a function that PostgreSQL does not bring along
    bool may_end_transaction;    // COMMIT, ROLLBACK, CALL, DO ... anywhere in it
    bool begins_transaction;     // BEGIN anywhere in it
    bool plain_begin;       // one BEGIN or START TRANSACTION, at most with READ COMMITTED (or READ
                            // UNCOMMITTED, which is the same), READ ONLY, READ WRITE
    bool starts;            // ... the latter
    bool plain_end;         // one COMMIT or ROLLBACK without AND CHAIN
    bool has_parameters;    // $1 ... occur
    bool tells_time;        // uses the time at which its transaction began, as the text shows
    bool gets;              // what stands before a dot may be of any type, and f(x) be meant
    bool zones;             // calls timezone(): a time's zone would be that of the day
    bool on_conflict;       // INSERT ... ON CONFLICT: may tell of any row of its table
    bool searches_text;     // by text search configurations, which are to be watched
    bool rereads;           // SET or RESET of a setting by which texts and constants are read
    bool unlistens;         // one UNLISTEN, of channel or of all
    bool names_are_ascii;   // else the bytes of names are in the client's encoding
    size_t bytes;           // memory it holds, for the bound in texts.h
    uint64_t hash;          // of its template; 0: not from texts.h, as with the pattern
    _Atomic uint64_t coded_memo; // what learnt.h found last
};

// What may change of the schema, privileges or settings that others see; bits.
enum ddl {
    DDL_NONE,
    DDL_RELATIONS = 1, // relations are made or go, and nothing else: by their names it is seen
                       // whether anything in use has changed
    DDL_MORE = 3,
};

enum { ANALYSIS_TEXT_MAX_BYTES = 1 << 20 }; // a longer text is STATEMENT_UNKNOWN

// Reads a whole text (not NUL-terminated). Never fails: what cannot be read is STATEMENT_UNKNOWN.
// Any thread; costs some 10 us to some ms, and a thread of its own for deeply nested texts. The
// caller holds the one reference.
struct analysis *analysis_new(struct slice sql);

struct analysis *analysis_ref(struct analysis *a);
void analysis_unref(struct analysis **a); // clears the caller's pointer

const char *statement_kind_name(enum statement_kind kind); // for logs: "select"

enum { ANALYSIS_RESETS_INVENTED = 1 << 7 }; // names with a dot

// The number (below 8) of a setting that PostgreSQL 15 reports when it changes (GUC_REPORT) and
// that pgweir makes true again on another server; -1 for the others. name: any case.
int analysis_setting_reported(const char *name);

// May it run code that it does not name? (Views, triggers, defaults, captured names ...)
static inline bool analysis_may_run_more(const struct analysis *a)
{
    return a->reads.count + a->writes.count + a->catalogs.count + a->functions.count +
                   a->operators.count + a->casts.count + a->fields.count > 0 ||
           a->ddl || a->touches_unnamed || a->writes_unknown;
}

// May a text that the parser does not understand put code behind relations? By its words.
bool analysis_text_may_reshape(struct slice sql);

// True when the statement surely changes no relation and no schema.
static inline bool analysis_only_reads(const struct analysis *a)
{
    return a->writes.count == 0 && !a->writes_unknown && !a->ddl;
}
