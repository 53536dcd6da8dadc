// SPDX-License-Identifier: Apache-2.0
// A client: one connection from an application, its login, and its session as it believes to have
// it. Belongs to one worker for all its life.
//
// Life: CLIENT_STARTUP -> CLIENT_LOGIN -> CLIENT_GREETING (waits for a first server, to know what
// to tell it) -> CLIENT_IDLE -> CLIENT_WAITING -> CLIENT_LINKED -> CLIENT_IDLE -> CLIENT_CLOSED.
// While linked every message goes to its server at once; at rest (nothing owed, no transaction) a
// whole unit is gathered first, because the cache may answer it.
#pragma once
#include "base/list.h"
#include "pool/pool.h"
#include "proxy/pooler.h"
#include "proxy/session/effects.h"
#include "proxy/session/origin.h"
#include "proxy/session/remains.h"
#include "proxy/session/sequences.h"
#include "proxy/session/statement.h"
#include "proxy/session/transaction.h"
#include "proxy/session/vars.h"
#include "proxy/wire/conn.h"

struct census_entry;
struct explained;
struct follower;
struct holding;
struct console;
struct learnt;
struct listening;
struct login;
struct replication;
struct route;
struct server;
struct stranger;
struct tracked;
struct worker;

#define CLIENT_TAG 0xc11e47u

enum { CLIENT_WAITS_TO_LISTEN = 0x80 }; // a bit of `aligning`; see align.c for the others

enum client_state {
    CLIENT_STARTUP,
    CLIENT_LOGIN,
    CLIENT_GREETING,
    CLIENT_IDLE,
    CLIENT_WAITING,
    CLIENT_LINKED,
    CLIENT_REPLICATING, // bytes pass between it and a server of its own
    CLIENT_CONSOLE,
    CLIENT_CANCELLING, // asked for a cancel; closed when the server has got it
    CLIENT_CLOSED,
};

const char *client_state_name(enum client_state state);

// Why a client keeps its server. What is left behind is asked when the transaction is over
// (align.h): PIN_SET (settings) and PIN_FUNCTION (code that we cannot see) end with the answer, the
// others when it says that their cause has ended. LOAD stays, SEQUENCE until DISCARD.
enum pin { PIN_NONE, PIN_SET, PIN_TEMP, PIN_CURSOR, PIN_PREPARE, PIN_LISTEN, PIN_ADVISORY,
           PIN_LOAD, PIN_FUNCTION, PIN_SEQUENCE, PIN_COUNT };
const char *pin_name(enum pin pin);

// In the order in which it is used: first what one query touches, then what it does not. What most
// clients do not have is behind a pointer, and what is claimed is a bit: ten thousand clients are
// idle at a time.
struct client {
    uint32_t tag;
    enum client_state state : 8;
    enum pool_mode mode : 8;   // the pool's, as it was when the client logged in
    uint8_t minor;             // its protocol is 3.minor
    uint8_t aligning;          // not 0: input waits until settings are made true (align.c)
    uint32_t pins;             // bits 1 << enum pin
    uint32_t stream_left;      // of a message that is passed on as it comes
    uint32_t unit_left;        // bytes of the unit that missed, still to be sent

    bool local : 1;            // came over a unix socket
    bool ours : 1;             // the process itself has the other end
    bool is_lookup : 1;        // ... and asks for a login (lookup.h)
    bool introduced : 1;       // no PROXY protocol header may come (any more)
    bool by_peer : 1;          // console login by the uid of the socket's other end
    bool counts : 1;           // in pooler->logged_in
    bool told_waiting : 1;     // query_wait_notify, for this wait
    bool reading_paused : 1;   // too much is queued here or at the server
    bool closing : 1;          // to be closed once its output is out
    bool stream_discard : 1;   // what is left of a message is dropped
    bool stream_ended : 1, finish_later : 1; // see client_session()
    bool open_batch : 1;       // extended messages were sent and no Sync yet
    bool only_local : 1;       // ... which holds nothing yet but what we answered ourselves
    bool batch_runs : 1;       // ... of which some run a statement, answered already or not
    bool dropping : 1;         // the unit at hand was cancelled: dropped up to its end
    bool settling : 1;         // input waits until it is known what a name means
    bool clears : 1, clearing : 1; // DISCARD ALL or its like was sent / input waits for its end
    bool discarded : 1;        // DISCARD ALL was answered: its reports come before it is ready
    bool wanted_proven : 1;    // a server has accepted all of wanted
    bool vars_proven : 1;      // ... of vars
    bool realigned : 1;        // it got another server because the first could not be aligned
    bool unseen : 1;           // settings of the open transaction beside `mentioned`
    bool must_verify : 1;      // the session is to be looked at when the transaction is over
    bool reads_oddly : 1;      // settings by which texts are read may not be those of vars, wanted
    bool looking : 1;          // that was asked, and not answered yet
    bool in_transaction : 1;   // xact_us counts
    bool ended_here : 1;       // one ended in this turn that no server knew of
    bool told_types : 1;       // it asked for a statement's parameters / for columns, once
    bool told_rows : 1;
    bool told_vaguely : 1;     // ... of a portal of which it is not known whose it is
    bool reuses_unnamed : 1;   // it bound the unnamed statement in another batch than its Parse
    bool asks_anew : 1;        // ... one of which it was told the columns, and asked for them again
    bool binds_blindly : 1;    // ... and did not
    bool unit_decided : 1;     // the unit at hand was held against the cache already
    bool gave_up_hold : 1;     // was held in vain: this one goes around the cache
    bool went_around : 1;      // something was read in the transaction that was not a mere miss
    enum { RERUN_NONE, RERUN_DUE, RERUN_DUE_WITH_SYNC, RERUN_DONE } rerun : 8; // of the batch
    uint8_t behind;            // reads in a row that the cache was not fresh enough for
    uint8_t resets;            // of the reported settings, those that were reset (analysis.h)
    uint8_t cancelled_looks;   // at what it left in the session, in a row
    uint8_t asked_encryption;  // which it asked for already: startup.c
    struct origin origin;      // where it comes from

    struct worker *worker;     // borrows
    struct route *route;       // counts; NULL before login
    struct server *server;     // borrows; while linked
    struct vars *vars;         // counts; what the client wants
    struct gucs *wanted;       // counts; the other settings that it wants
    struct conn conn;
    struct statement_names names;
    struct statement *unnamed; // counts
    struct layout unnamed_told; // what the client was told of it; told.h
    struct { uint64_t portal, name, number; } bound; // last; hashes of names, the statement's
                               // number (0: its Describe would tell nothing new)
    uint64_t asked;            // number of the statement whose layout the Bind at hand waits for
    uint64_t asked_types;      // ... and what was told of its types when that Bind was sent
    struct transaction transaction; // the open one, for the cache
    int64_t around_us;         // when the session last read around the cache; INT64_MIN never
    int64_t wrote_us;          // when a write of its own was last answered; likewise
    int64_t since_us;          // of the current state, or of the last statement's start
    struct flight *flight;     // owns; others wait for the answer to the unit at hand: lead.h
    struct follower *follower; // owns; NULL: the unit at hand waits for nobody's answer
    struct holding *held;      // owns; NULL: it does not wait for a fresher cache (held.c)

    struct waiting *waiting;   // owns; NULL: it waits for no server
    const uint8_t *kept_from;  // borrows from the run of input being handled; see rerun.h
    int64_t query_us;          // when the server was last given something to do
    int64_t answered_us;       // when it last said that it is ready
    int64_t xact_us;           // when the open transaction began
    struct effects *effects;   // owns; of the open transaction; NULL: none
    struct learnt *changing;   // borrows; the schema is being changed by the open transaction
    uint64_t judged;           // learnt_changes() when its first statement was; 0: none was
    struct mentioned *mentioned; // owns; names that settings of it may have; NULL: none
    struct sequences *sequences; // owns; what it did with them; NULL: nothing
    int64_t pinned_us;         // since when there are any pins
    struct statement *saying;  // counts; what the unnamed portal will say of a name: given.h
    struct listening *listening; // owns; NULL: it never listened
    struct explained *explained; // owns; what waits to be said of the cache; NULL: nothing
    struct tracked *tracked;   // owns; NULL: its queries were not tracked yet

    struct link link;          // in worker->clients or its graves
    uint64_t number;           // never used twice
    int64_t connected_us;
    char *user, *database;     // own; as the client said
    struct gucs *given;        // counts; the settings of `wanted` that it gave at its start
    struct gucs *given_vars;   // counts; of the reported settings, those that it gave
    struct census_entry *in_database, *in_user; // count; NULL: not counted
    struct stranger *stranger; // owns; NULL: it has logged in, or is ours
    struct login *login;       // owns; until logged in
    struct console *console;   // owns; for the admin databases
    struct replication *replication; // owns; NULL: an ordinary client
    const char *dismissed;     // why it is closed once its output is out; NULL: it asked for it
    struct cancel_key key;
};

// A client's place in its pool's queue. Another worker may have it in its hands while a server is
// on its way here. link.c
struct waiting {
    struct waiting *next;      // of those that nobody has: worker->spare_waiting
    struct client *client;     // borrows; it has this, and does not change meanwhile
    struct pool_waiter waiter;
};

static inline struct client *client_of_waiter(struct pool_waiter *waiter)
{
    return container_of(waiter, struct waiting, waiter)->client;
}

struct newcomer {
    int fd;
    bool local;      // by a unix socket
    bool ours;       // the process itself has the other end, so nobody is asked for a password
    bool has_spoken; // as far as can be told: it is read at once
    struct origin origin; // ORIGIN_UNKNOWN: to be asked for
};

// A new connection; it is in the worker's loop afterwards. NULL: there were too many, and it was
// ended.
struct client *client_new(struct worker *worker, const struct newcomer *who);
// One of ours that runs auth_query: it is not counted among the clients, and its route is that of
// the very user that it names.
void client_new_lookup(struct worker *worker, int fd);
// One that had logged in to another process: in the worker's loop, and with nothing known of it
// yet. For takeover/adoption.c, which sees to the rest.
struct client *client_take_over(struct worker *worker, int fd);
void client_free(struct client *client); // from the graves

enum { CLIENT_NAME_BYTES = 400 };
// How log lines begin: "C-0x...: DATABASE/USER@ADDRESS:PORT".
void client_describe(const struct client *client, char *text, size_t bytes);

// Ends the connection; a server in use is released or closed. why: for the log. With sqlstate the
// client is told first (as a FATAL error).
void client_close(struct client *client, const char *why);
void client_fail(struct client *client, const char *sqlstate, const char *why);
// The same without a word in the log: of those who come by the thousand.
void client_fail_quietly(struct client *client, const char *sqlstate, const char *why);
// PostgreSQL's sentence, for 57P01.
#define client_terminated "terminating connection due to administrator command"
// As client_fail, of a client at rest: what is on its way to it arrives first. why: static.
void client_dismiss(struct client *client, const char *sqlstate, const char *why);

// stranger.c: a client that has not proved who it is. enters: it is there, and may have made
// another one go. placed: where it comes from is known, or known better. comes_in: it has proved
// it. False: there are too many, and it was ended.
bool client_is_placed(const struct client *client);
bool client_enters(struct client *client);
bool client_placed(struct client *client);
bool client_comes_in(struct client *client);
void client_leaves_entrance(struct client *client); // by whatever way; twice is once

// Its bytes since the last time, into the tally.
void client_tally_bytes(struct client *client);

// startup.c: what comes before the session; gives back what could not be used yet.
struct slice client_startup(struct client *client, struct slice data);
void client_greet(struct client *client);
// Makes its cancel key known, and appends the message that tells it.
void client_give_key(struct client *client, struct buf *out);
// The login messages; login.c
void client_login_message(struct client *client, struct slice body);
void client_login_begin(struct client *client);
void login_free(struct client *client);

// session.c: the session's input; gives back what could not be used yet.
struct slice client_session(struct client *client, struct slice data);
// Goes on with what was kept: after a link, a release, or when output drained.
void client_resume(struct client *client);

// The pool gave it a server / it is given back. link.c
void client_granted(struct client *client, struct server *server);
void client_request_server(struct client *client);
// What it logs in to; NULL: there is no such database. The caller gets a count. A lookup goes by
// the name that it gives, whatever user the database's line has.
struct route *client_find_route(const struct client *client);
// Its route has moved: takes the new one, if it may now. False: it was ended.
bool client_follow_route(struct client *client);
// It waits no more; true also if it did not. False: a server is on its way to it.
bool client_stop_waiting(struct client *client);
void client_took(struct client *client, struct pool *pool); // that server, which is there
void client_free_spare_waiting(struct worker *worker);
void client_cancel_waiting(struct client *client); // its statement, not its connection
void client_unlink(struct client *client); // the server is nobody's afterwards
void client_answered(struct client *client, struct server *server); // up to a ReadyForQuery
void client_finished(struct client *client); // its server is ready, idle and owes nothing
bool client_at_rest(const struct client *client); // owed nothing, owes nothing, no transaction
// The same, or in a transaction that may be answered from memory.
bool client_is_quiet(const struct client *client);
// Is there a pin whose cause may be anything in the session, names and privileges included?
static inline bool client_pins_session(const struct client *client)
{
    return (client->pins & ~(1u << PIN_SEQUENCE)) != 0;
}
// Nothing is under way on its server but what makes the session its own: what is sent now will be
// answered by that.
bool client_is_aligning(const struct client *client);
void client_pin(struct client *client, enum pin pin);
// DISCARD ALL was answered. more: other things were sent behind it that are not answered yet.
void client_discarded(struct client *client, bool more);
// To a client that would wait in vain, its pool's last failure: the server's own sentence if it
// has waited for that, else PgBouncer's for a pool that has been failing.
void client_refuse(struct client *client, bool waited);

// held.c: a session that has just read around the cache may hit only what is known to be as new.
// One that keeps reading would stay behind for ever, as each read around the cache moves the mark;
// so after a few of those it is held for the moment that a freshness reading takes.
bool client_may_hold(const struct client *client);
void client_hold(struct client *client);
void client_unhold(struct client *client); // leaves the list, if it is in it

enum { CLIENT_ENTRY_BYTES = 4096 }; // what it may say at a time, and ahead, before its login
enum { CLIENT_AHEAD_BYTES = 64 * 1024 }; // what a client may send while it has to wait
bool client_wants_input(const struct client *client); // is it not waiting for somebody?

// cached.c: tries to answer the unit at the head of data from memory.
enum cached {
    CACHED_HIT,
    CACHED_MISS,
    CACHED_MORE, // input is needed to tell
    CACHED_HELD, // the client waits for a fresher cache: see held.c
};
// The same of a run of bytes that is, as a whole, a unit that was answered so before (repeats.h).
// False: nothing is known of it, nor changed.
bool client_try_repeat(struct client *client, struct slice data);
enum cached client_try_cache(struct client *client, struct slice data, bool may_hit,
                             size_t *used);
// It was a miss just now, without a server, and the client got one at once: its answer is recorded
// as if the cache had been tried again. False: that is to be done.
bool client_fill_missed(struct client *client);
// What units need room for on their way (asked.h): a worker's, made anew with each configuration.
struct asked *asked_new(void);
void asked_free(struct asked *asked); // NULL is fine
void asked_forget(struct asked *asked); // the question of the last miss; likewise
