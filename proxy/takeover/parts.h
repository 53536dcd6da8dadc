// SPDX-License-Identifier: Apache-2.0
// The pieces of which the state of a connection is made when it is given to another process, as
// bytes: written by put, read back by take. What is read comes from another process, perhaps of
// another version: the reader's failure is sticky, and must be asked for (base/reader.h).
#pragma once
#include "base/buf.h"
#include "base/reader.h"

struct client;
struct gucs;
struct layout;
struct mentioned;
struct statement;
struct statement_names;
struct vars;

static inline bool take_bool(struct reader *r)
{
    return reader_u8(r) != 0;
}

void put_bytes(struct buf *out, struct slice bytes);
struct slice take_bytes(struct reader *r); // borrows

// As in a DataRow.
void put_text(struct buf *out, const char *text); // NULL is fine
char *take_text(struct reader *r);                // the caller owns it; NULL: it was

void put_vars(struct buf *out, const struct vars *vars);
void take_vars(struct reader *r, struct vars **vars); // into one that has none

void put_gucs(struct buf *out, const struct gucs *gucs);
struct gucs *take_gucs(struct reader *r); // the caller's count; NULL: none

void put_mentioned(struct buf *out, const struct mentioned *mentioned); // NULL is fine
void take_mentioned(struct reader *r, struct mentioned *mentioned);

// Statements come to be in the client's scope if that is theirs, else in one of their own: what was
// read by other settings than those of now stays so. scope: of their client (session_scope()).
void put_statement(struct buf *out, const struct statement *statement, // NULL is fine
                   uint64_t scope);
struct statement *take_statement(struct reader *r, struct client *client); // the caller's count
void put_layout(struct buf *out, const struct layout *layout);
struct layout take_layout(struct reader *r);
// With what was told of each.
void put_names(struct buf *out, const struct statement_names *names, uint64_t scope);
void take_names(struct reader *r, struct client *client, struct statement_names *names);
