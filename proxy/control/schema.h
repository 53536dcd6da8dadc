// SPDX-License-Identifier: Apache-2.0
// What is asked of a server's system catalogs, and how the answers become a catalog. The SQL of
// the control connection is here and in closure.h. Pure but for the types of libpq; control thread.
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"
#include "cache/catalog.h"

// Run in this order after the login. SETTINGS makes the session ours whatever the role's defaults
// are; IDENTITY has one row of the columns below; the three after it are prepared.
extern const char schema_settings_sql[];
extern const char schema_identity_sql[];

enum schema_identity_column {
    SCHEMA_IDENTITY_DATABASE_OID,
    SCHEMA_IDENTITY_STARTED_US, // when the postmaster started, microseconds since 1970
    SCHEMA_IDENTITY_VERSION,
    SCHEMA_IDENTITY_RECOVERY,
    SCHEMA_IDENTITY_WAL_LEVEL,
    SCHEMA_IDENTITY_MAY_REPLICATE,
    SCHEMA_IDENTITY_WAL_BLOCK,   // bytes
    SCHEMA_IDENTITY_WAL_SEGMENT, // bytes
    SCHEMA_IDENTITY_UTF8,
    SCHEMA_IDENTITY_TRIGGERS, // is the trigger function there?
    SCHEMA_IDENTITY_COLUMNS,
};

// The two readings. $1 name[], $2 oid[], $3 oid[]: flush position, insert position, snapshot, and
// the fingerprint of the schema as far as the relations of these names, those others that they lead
// to, and what is only below a table of these, depend on it (closure.h).
extern const char schema_reading_sql[];
// No parameter: the same without the fingerprint.
extern const char schema_gate_sql[];
// The same parameters: the fingerprint alone.
extern const char schema_fingerprint_sql[];
// $1 name[]: (kind, name, schema): 'f' and 'o': a user's function or operator that may be taken for
// PostgreSQL's own; 'c': a cast or type that makes every cast doubtful; 't': text search likewise;
// 'e', 'q' and 'y': a type of one of the names, an enum that may be cast to, one that runs nothing
// then, or another; with its schema.
extern const char schema_captures_sql[];
// $1 slot name: pg_current_xact_id(), and whether the slot is on this server and in use. Must be a
// transaction of its own.
extern const char schema_horizon_sql[];
// $1 int[]: those that are processes of the server.
extern const char schema_backends_sql[];
// Makes the server write and flush a WAL record.
extern const char schema_flush_sql[];

// False when the result does not have the shape that was asked for.
bool schema_add_captures(struct catalog_builder *builder, const PGresult *result);

// Appends the literal of an array of names, and a NUL.
void schema_array_literal(struct buf *out, const struct slice *names, size_t n);
