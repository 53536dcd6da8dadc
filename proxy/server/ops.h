// SPDX-License-Identifier: Apache-2.0
// What a server still owes: one op for each message sent to it that will be answered, in order.
// With it pgweir knows which reply belongs to which request, swallows the replies to requests it
// slipped in itself, places the replies it makes itself at the right spot, and knows when the
// server owes nothing. After an error PostgreSQL skips everything up to the next Sync; the ops
// skipped are undone, newest first, so that names mean again what they meant before.
// Plain data; the owner of the server connection.
#pragma once
#include "base/check.h"
#include "base/slice.h"
#include "proxy/wire/layout.h"

struct statement;
struct statement_names;

enum op_kind {
    OP_QUERY,    // ends with ReadyForQuery
    OP_PARSE,    // ParseComplete
    OP_BIND,     // BindComplete
    OP_DESCRIBE, // RowDescription or NoData (behind ParameterDescription for a statement)
    OP_EXECUTE,  // CommandComplete, EmptyQueryResponse, PortalSuspended
    OP_CLOSE,    // CloseComplete
    OP_SYNC,     // ReadyForQuery
    OP_FUNCTION, // FunctionCallResponse, ReadyForQuery
    OP_COPY_END, // CopyDone or CopyFail: no answer of its own; marks which Syncs lie behind it
};

enum op_origin {
    OP_CLIENTS,  // the client asked, the server answers, the client hears it
    OP_LOCAL,    // the client asked, nothing was sent, the answer is ours
    OP_INJECTED, // we asked; the client must not hear the answer
};

enum op_purpose {
    PURPOSE_NONE,
    PURPOSE_ALIGN,   // reported settings made as the client has them
    PURPOSE_SETTINGS, // the other settings likewise
    PURPOSE_PROFILE, // what the session of this server looks like
    PURPOSE_CONNECT, // connect_query
    PURPOSE_RESET,   // before it is given to somebody else
    PURPOSE_CHECK,   // server_check_query: is it still there?
    PURPOSE_VERIFY,  // what did the client leave in the session?
    PURPOSE_BASE,    // what did connect_query?
    PURPOSE_LEARN,   // what code is hidden in its database? (session/hidden.h)
    PURPOSE_PREPARE, // a statement that this server did not have yet; its error is the client's
    PURPOSE_EVICT,   // a statement that this server must forget
    PURPOSE_AUDIT,   // a hit run again: audit.h
    PURPOSE_BEGIN,   // a BEGIN that the client was answered already; deferred.h
    PURPOSE_REFUSE,  // a client's, sent as nonsense: the error is ours (number: why; unsafe.h)
    PURPOSE_LAYOUT,  // what a statement gives and takes here (number; session/told.h)
};

struct op {
    uint8_t kind, origin, purpose;
    bool renames;             // a named statement changed its meaning: name and before are set
    bool unnames;             // the unnamed statement changed its meaning: before is set
    bool unnamed;             // it is about the server's unnamed statement
    bool kept;                // its batch was kept from here on, see rerun.h
    bool gives;               // injected: makes name mean something on the server, see given.h
    bool takes;               // injected: makes it mean nothing; it meant before
    bool quiet;               // its error is nobody's
    bool mute;                // its error is not passed on: another one was, in its stead
    uint8_t says;             // enum given_says, of name; PREPARE: what it means is in after
    uint32_t name_bytes;
    uint32_t tracked;         // QUERY, EXECUTE: its number in worker->queries; 0: none
    uint64_t number;          // BIND, DESCRIBE: of the statement, 0 unknown
    uint64_t tells;           // DESCRIBE: which of the client's names, see session/told.h; 0: none
    struct layout told;       // what was told of what name or unnamed statement meant before
    char *name;               // owns
    struct statement *before; // counts; what the name meant before (NULL: nothing)
    struct statement *after;  // counts; PARSE: what it means from now on
};

struct ops {
    struct op *at; // owns; a ring, NULL while nothing was ever owed
    uint32_t room, mask, head, count; // room: 0, or mask + 1
};

void ops_fini(struct ops *ops); // frees what is left, without undoing it
void ops_grow(struct ops *ops); // makes room for one more
void op_fini(struct op *op);
void ops_drop_newest(struct ops *ops); // after its undoing

void ops_remove(struct ops *ops, uint32_t i); // any one; the others keep their order

// The op changes what the name means: from before to something else. Copies name, takes before.
void ops_rename(struct op *op, struct slice name, struct statement *before);
// Is the meaning of the name, or the server's knowledge of the statement (its number; 0: none)
// open, because an op that changes it may yet fail or be skipped, and what is sent now is behind
// the next Sync, where it would not be skipped with it?
bool ops_unsettled(const struct ops *ops, struct slice name, uint64_t number);
// The same for the unnamed statement.
bool ops_unnamed_unsettled(const struct ops *ops);
bool ops_unnamed_changes(const struct ops *ops); // by one that is not answered yet

static inline bool ops_empty(const struct ops *ops)
{
    return ops->count == 0;
}

static inline struct op *ops_head(const struct ops *ops)
{
    return ops->count ? &ops->at[ops->head & ops->mask] : 0;
}

// Appends an op, zeroed but for kind, origin and purpose; the pointer holds until the next call.
static inline struct op *ops_push(struct ops *ops, enum op_kind kind, enum op_origin origin,
                                  enum op_purpose purpose)
{
    if (ops->count == ops->room)
        ops_grow(ops);
    struct op *op = &ops->at[(ops->head + ops->count++) & ops->mask];
    *op = (struct op){.kind = kind, .origin = origin, .purpose = purpose};
    return op;
}

// The oldest is done.
static inline void ops_pop(struct ops *ops)
{
    CHECK(ops->count > 0);
    struct op *op = ops_head(ops);
    if (op->name != NULL || op->before != NULL || op->after != NULL)
        op_fini(op);
    ops->head++;
    ops->count--;
}

// i = 0 is the oldest.
static inline struct op *ops_nth(const struct ops *ops, uint32_t i)
{
    return &ops->at[(ops->head + i) & ops->mask];
}
