// SPDX-License-Identifier: Apache-2.0
// What the control thread has read of one database's schema: an immutable, counted snapshot. The
// control thread builds one from a single MVCC snapshot and publishes it; workers look names up.
// Any thread may hold, read and release a catalog; a builder belongs to one thread.
//
// Only names that somebody asked for are loaded, each with every relation of that name in every
// schema. A name that was not loaded is CATALOG_PENDING, never "not there".
//
// Names are in the server connection's encoding: exact bytes, unquoted.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/rowkey.h"
#include "cache/statistics.h"

struct catalog;
struct catalog_builder;
struct lineage;

enum { CATALOG_COLUMNS_MAX = 12 }; // that events tell; of more the first ones are looked at

// The columns of a table whose values, old and new, every event of a row tells: those of its
// replica identity. A query that fixes such a key depends on its rows alone; without one, on the
// table. The first ones together are a key. With REPLICA IDENTITY FULL any column is told, and each
// of them alone is a key as well.
struct catalog_key {
    uint64_t table; // whose rows: ledger_table() of its own; of a view, of what it shows. The
                    // builder sets it
    uint8_t count;  // of the key; 0: these are none
    uint8_t told;   // of all columns here; at least count
    bool full;      // each of them is a key of its own
    struct catalog_column {
        struct slice name;
        uint64_t alone; // ledger_column(), as a key of its own; the builder sets it
        enum rowkey_type type;
        uint32_t oid;  // its type in pg_type, which may be a domain or an enum; 0: not known
        bool modified; // has a length or precision: what is stored may not be what was given
    } columns[CATALOG_COLUMNS_MAX];
};

// Whoever builds one says what is true of the relation by itself; what follows from those above and
// below it, the builder adds (lineage.h).
struct catalog_relation {
    struct slice schema;
    struct slice name;
    uint32_t oid;
    uint64_t table;     // ledger_table(schema, name); the builder sets it
    uint32_t slot;      // its table slot; likewise
    struct catalog_key key;
    enum bypass bypass; // BYPASS_NONE: its rows may be cached; else why not
    bool writes_known;  // a write to it touches nothing but `writes`: no triggers that do more than
                        // compute, rules, cascades. Of a view: nothing but what it reads
    bool by_oid;        // known for another's sake: others of its name may not be
    enum bypass unreported; // BYPASS_NONE: its own rows' changes come in the stream (or it has none
                            // of its own); else why not
    bool is_view;
    bool is_partitioned;    // then its key is that of the rows below it
    bool is_materialized;   // a view with rows of its own: new ones come without an event
    bool stands_for_others; // a view, or it has, or may have, tables below it
    bool runs_code;     // reading it may run code that is not PostgreSQL's own
    bool reads_settings; // what it shows depends on some of the catalog's settings
    bool has_times;     // a column of type time or timetz, or of what is made of them
    bool odd_columns;   // some are of kind 's' or 'u'
    struct slice columns; // by kind, bytes of the name, name; with a space between the last two.
                          // 'd': of a type of date and time, 't': time; 'o': of another that is
                          // known to be safe, 'T': that is made of time; 's': of one of a reviewed
                          // extension, which may be shown; 'u': of any other. Empty if it is by_oid
    // Set by the builder, owned by the catalog.
    uint64_t reasons;         // all that there are against caching: bits 1 << enum bypass
    bool writes_itself_known; // writes_known, but for those below
    bool rewrites; // triggers may give a written row another key than the statement says
    bool shares_slot; // something else that reading it depends on has its table slot: then keys do
                      // not stand for that
    const struct catalog_relation *base; // a view's: the table that a write through it is one to
    uint16_t read_count, write_count;
    uint32_t ancestor_count;
    const uint32_t *reads;  // slots that a result which reads it depends on
    const uint32_t *writes; // slots that a write through it closes
    const struct catalog_relation **ancestors; // tables that hold its rows too, nearest first
    const struct catalog_key *more_keys; // a view's whose rows are of several relations: those of
                                         // the others; each is told apart by itself
    const uint8_t *shown;    // a view's: the bytes of its keys' names
    uint8_t more_key_count;
};

static inline uint8_t catalog_key_count(const struct catalog_relation *r)
{
    return (uint8_t)(1 + r->more_key_count);
}

static inline const struct catalog_key *catalog_key_at(const struct catalog_relation *r, uint8_t i)
{
    return i == 0 ? &r->key : &r->more_keys[i - 1];
}

enum catalog_volatility { // worst over all overloads of a name in pg_catalog; ordered
    CATALOG_UNKNOWN,      // no such name there, or not loaded
    CATALOG_IMMUTABLE,
    CATALOG_STABLE,
    CATALOG_VOLATILE,
};

enum catalog_column_kind {
    CATALOG_NO_COLUMN,
    CATALOG_DATETIME_COLUMN, // date, timestamp, timestamptz, time, interval
    CATALOG_OTHER_COLUMN,
};

enum catalog_type {
    CATALOG_NO_TYPE,
    CATALOG_ENUM,       // of a user's, which nobody made a cast or a way to compare for
    CATALOG_QUIET_TYPE, // at least one is another that no user's check runs for
    CATALOG_OTHER_TYPE, // at least one is anything else
};

enum catalog_answer {
    CATALOG_FOUND,
    CATALOG_ABSENT,  // loaded, and no such relation along the path
    CATALOG_PENDING, // the name was never loaded: ask for it
};

// ---- Building ----------------------------------------------------------------------------------

// version: its owner's number for it, another one for each catalog of a database. Whoever publishes
// a catalog flushes the ledger AFTER that, and whoever fills takes the stamp BEFORE the catalog: so
// a fill that used the old catalog carries an old epoch.
struct catalog_builder *catalog_builder_new(uint64_t version);
void catalog_builder_free(struct catalog_builder *b); // without finishing; NULL is fine
void catalog_builder_name(struct catalog_builder *b, struct slice name); // loaded, found or not
// Copies; what the builder sets is ignored. Its name counts as loaded, unless by_oid.
void catalog_builder_relation(struct catalog_builder *b, const struct catalog_relation *relation);
// What relations have to do with each other, by oid: see lineage.h.
struct lineage *catalog_builder_lineage(struct catalog_builder *b);
// What was told so far, but for what follows of relations. Borrowed.
const struct catalog *catalog_builder_told(const struct catalog_builder *b);
// The volatility of pg_catalog's own; called again for one name, the worst stays.
void catalog_builder_function(struct catalog_builder *b, struct slice name,
                              enum catalog_volatility volatility);
void catalog_builder_operator(struct catalog_builder *b, struct slice name,
                              enum catalog_volatility volatility);
// A user's function or operator of this name takes builtin types and could be chosen instead of
// PostgreSQL's own.
void catalog_builder_capture_function(struct catalog_builder *b, struct slice name);
// All of users' functions, or operators, of this name write nothing, whatever they are given.
void catalog_builder_harmless_function(struct catalog_builder *b, struct slice name);
void catalog_builder_harmless_operator(struct catalog_builder *b, struct slice name);
// A user's enum, or an array of one, for which nobody made a cast or a way to compare.
void catalog_builder_enum(struct catalog_builder *b, uint32_t oid);
void catalog_builder_capture_getter(struct catalog_builder *b, struct slice name); // (x).name
void catalog_builder_capture_operator(struct catalog_builder *b, struct slice name);
// A type of one of the names that were asked for.
void catalog_builder_type(struct catalog_builder *b, struct slice schema, struct slice name,
                          enum catalog_type type);
// A setting (app.tenant) that a policy or a view asks for: its value is to be in the cache key. At
// most CATALOG_SETTINGS_MAX, else false. Lower case, ASCII.
bool catalog_builder_setting(struct catalog_builder *b, struct slice name);
// The server's encoding is UTF8.
void catalog_builder_utf8(struct catalog_builder *b);
// Nothing of this database may be cached (e.g. a user's cast between builtin types).
void catalog_builder_deny(struct catalog_builder *b, enum bypass reason);
// A text search parser or template is a user's: what it does is not known.
void catalog_builder_deny_text_search(struct catalog_builder *b);
// Frees the builder; one reference.
struct catalog *catalog_builder_finish(struct catalog_builder *b);

// ---- Reading -----------------------------------------------------------------------------------

struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog **c); // clears the pointer; *c may be NULL

uint64_t catalog_version(const struct catalog *c);
enum bypass catalog_denied(const struct catalog *c); // BYPASS_NONE: as each relation says
bool catalog_text_search_denied(const struct catalog *c);
size_t catalog_relations(const struct catalog *c);   // how many are known
bool catalog_utf8(const struct catalog *c);

// Differs whenever another table's event must raise other slots.
uint64_t catalog_ancestry(const struct catalog *c);
// A table whose event has come, whether or not its name was loaded; NULL: it is not known.
const struct catalog_relation *catalog_event(const struct catalog *c, struct slice schema,
                                             struct slice name);
// Those whose rows are known by the keys of the tables below them. Borrowed.
const struct catalog_relation *const *catalog_trees(const struct catalog *c, size_t *n);
// The table slots of materialized views. Borrowed.
const uint32_t *catalog_materialized(const struct catalog *c, size_t *n);
// May reading a relation of that name, in whatever schema, run code that is not PostgreSQL's own?
bool catalog_runs_code(const struct catalog *c, struct slice name);

// One relation, by schema and name. Borrowed while the catalog is held.
enum catalog_answer catalog_find(const struct catalog *c, struct slice schema, struct slice name,
                                 const struct catalog_relation **out);

// EVERY relation of that name in a schema of the search path, pg_catalog included although not
// named, in path order; *n of them, at most max (more: CATALOG_PENDING, i.e. do not cache). Which
// of them the server takes depends on the role's USAGE privileges (it skips schemas that it may
// not use), so all of them must be readable, and all of them are dependencies, or targets.
enum catalog_answer catalog_search(const struct catalog *c, const struct slice *path,
                                   size_t n_path, struct slice name,
                                   const struct catalog_relation **out, size_t max, size_t *n);

// The settings that what is read may depend on, in byte order; borrowed while the catalog is held.
enum { CATALOG_SETTINGS_MAX = 32 };
const struct slice *catalog_settings(const struct catalog *c, size_t *n);
uint64_t catalog_settings_hash(const struct catalog *c); // of these names; 0: there are none

// Each relation that is known, in no order.
void catalog_each(const struct catalog *c,
                  void (*visit)(const struct catalog_relation *relation, void *arg), void *arg);

// Was the name loaded (found or not)?
bool catalog_knows(const struct catalog *c, struct slice name);

enum catalog_volatility catalog_function(const struct catalog *c, struct slice name);
enum catalog_volatility catalog_operator(const struct catalog *c, struct slice name);
bool catalog_captures_function(const struct catalog *c, struct slice name);
bool catalog_captures_getter(const struct catalog *c, struct slice name);
bool catalog_is_enum(const struct catalog *c, uint32_t oid); // told by catalog_builder_enum()
bool catalog_captures_operator(const struct catalog *c, struct slice name);
// Does all that users made of this name surely write nothing? That it may be a type's name instead,
// of a cast, counts where the name is loaded.
bool catalog_function_is_harmless(const struct catalog *c, struct slice name);
bool catalog_operator_is_harmless(const struct catalog *c, struct slice name);

// Calls for each of its columns, until one is not answered with true; that is the answer. False as
// well when they are not known.
bool catalog_columns(const struct catalog_relation *relation,
                     bool (*visit)(char kind, struct slice name, void *arg), void *arg);
// What the relation has of that name; CATALOG_OTHER_COLUMN when that is not known.
enum catalog_column_kind catalog_column_kind(const struct catalog_relation *relation,
                                             struct slice name);
// What all types of that name are that it may mean, as for catalog_search(); or in these schemas
// alone (NULL: in all). Only of a name that was loaded.
enum catalog_type catalog_search_type(const struct catalog *c, const struct slice *path,
                                      size_t n_path, struct slice name);
enum catalog_type catalog_type(const struct catalog *c, const struct slice *schemas, size_t n,
                               struct slice name);
