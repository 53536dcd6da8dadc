// SPDX-License-Identifier: Apache-2.0
// A server: one connection to PostgreSQL, its login, and what is known of its session. It belongs
// to one worker at a time; an idle one may move to another worker (server_detach, MAIL_GRANT).
//
// Life: SERVER_CONNECTING -> SERVER_LOGIN -> SERVER_SETUP (connect_query, profile) -> SERVER_IDLE
// <-> SERVER_LINKED -> (SERVER_RESETTING ->) SERVER_IDLE ... -> SERVER_CLOSED.
// A server goes back to the pool only when it owes nothing, is outside a transaction, and nothing
// of the last client is left in its session; in doubt it is reset, or closed.
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "pool/pool.h"
#include "proxy/control/sessions.h"
#include "proxy/login/scram.h"
#include "proxy/server/fitness.h"
#include "proxy/server/ops.h"
#include "proxy/server/resolver.h"
#include "proxy/session/origin.h"
#include "proxy/session/statement.h"
#include "proxy/session/vars.h"
#include "proxy/wire/conn.h"

struct audit;
struct client;
struct coded_draft;
struct fill;
struct hub;
struct learnt;
struct profile;
struct route;
struct statement;
struct gucs;
struct remains;
struct secure;
struct worker;

#define SERVER_TAG 0x5e14e4u

enum server_state {
    SERVER_CONNECTING,
    SERVER_LOGIN,
    SERVER_SETUP,
    SERVER_IDLE,
    SERVER_LINKED,
    SERVER_RESETTING,
    SERVER_CLOSED,
};

const char *server_state_name(enum server_state state);

// The statements that this server has, by number; the least recently used one leaves first.
struct prepared {
    struct hash_table table;
    struct list used; // most recent first
    bool odd;         // some, or the unnamed one, were read by settings of a moment
};

struct server {
    uint32_t tag;
    struct link link;        // in worker->servers or its graves
    struct mail mail;        // MAIL_GRANT
    struct pool_server slot; // the pool's
    struct worker *worker;   // borrows
    struct route *route;     // counts
    enum pool_mode mode;     // of the client that has it, or had it last
    struct conn conn;
    enum server_state state;
    bool counted;            // the pool knows it as open (else as opening)
    bool own;                // opened for its client, and closed with it (replication)
    struct hub *hub;         // borrows; it listens for that, and is in no pool
    struct client *client;   // borrows; while linked, or granted and on its way
    char *host;              // owns; as the configuration names it
    struct secure *secure;   // owns; until it is decided whether there is TLS
    struct address address;  // where it is connected, for cancel requests
    struct resolver_name *name; // borrows; whose address that is; NULL: it was given in figures
    unsigned name_changes;   // of the name, when the address was seen to be one of its
    int64_t since_us;        // of the current state
    struct scram_client *scram; // owns; during login
    char *password;          // owns; likewise; NULL: the configuration's is used

    uint32_t process;        // BackendKeyData ...
    struct buf secret;       // owns; ... and its secret part, 4 to 256 bytes
    char status;             // of the last ReadyForQuery: I, T, E
    struct vars *vars;       // counts; as reported
    struct gucs *applied; // counts; the other settings that it has, beyond base
    struct gucs *base;    // counts; those that connect_query made
    struct remains *remains;    // owns; the answer of what was left in it, as it comes
    struct learnt *asked_by;    // borrows; who wants to know what code is hidden in its database
    struct coded_draft *answer; // owns; as it comes
    uint8_t asking;             // enum learnt_wants: which of its questions is due or under way
    uint64_t sequences_of;   // number of the client whose currval() it knows; see sequences.h
    bool foreign;            // it had other settings before the last ones were applied
    struct buf welcome;      // owns; ParameterStatus messages, during login
    bool let_in;             // during login: AuthenticationOk came
    bool connect_query_sent; // ... and behind all it said
    int64_t opened_us;
    struct ops ops;
    uint32_t stream_left;    // of a message that is passed on as it comes
    bool ended_before;       // it was ready, but half a message had come behind that
    bool copying_in;         // CopyInResponse was passed on, the end was not
    bool copies;             // a simple query has got its CopyInResponse, not yet what is behind
    bool skipping;           // an error came and no Sync is on its way: it ignores the rest
    uint32_t early_syncs;    // sent into a COPY: PostgreSQL ignored them, if it went well

    struct prepared prepared;
    uint64_t unnamed;        // number of the unnamed statement, 0: unknown or none
    struct layout unnamed_layout; // what it would say of that
    struct buf kept;         // owns; the batch at hand, see rerun.h
    struct statement_names named; // by clients, in SQL: see given.h
    struct profile *profile; // borrows from the route; NULL: unknown
    uint64_t profile_epoch;  // of the ledger, when it was asked for
    bool profile_asked;      // and not answered yet
    struct domain *counted_in; // borrows; where it counts as a session, NULL: nowhere
    struct database_identity leads_to; // ... and to where it leads
    struct fill *fill;       // owns; the reply being recorded
    struct profile *fill_profile; // borrows from the route; of the session that its key is for
    uint64_t fill_vars[2];   // and what that key has of its vars
    const void *fill_form;   // never looked at; what its like have in common (cache/admission.h)
    struct audit *audit;     // owns; that it is asked for; audit.h

    bool needs_reset;        // something of the client may be left in the session
    bool needs_settings_reset; // ... but nothing beyond settings
    bool fresh;              // the session was made new: connect_query and profile are due
    bool bare;               // what connect_query made is gone from it, in part at least
    uint64_t number;         // of this connection, never used twice
    uint64_t generation;     // of the route's target, when it was opened
    uint64_t opened_by;      // config_number() of the configuration that said where to: a worker
                             // has a new one a little later than its routes
    unsigned tls_era;        // of the TLS settings, when it was connected; tls_context.h
    struct tls_context *tls; // counts; those settings, also for its cancel requests; NULL: in the
                             // clear
    uint64_t surprises;      // learnt_surprises() then
    bool given_up;           // its opening is not wanted any more
    bool unfit;              // it is not what target_session_attrs asks for
    struct fitness fitness;
    bool refused;            // the server refused the login, with this SQLSTATE
    char refused_state[6];
    const char *doomed;      // why it is closed instead of given back; NULL: it is not
    int cancels;             // cancel requests under way for it: not given on before they ended
    bool release_waits;      // for those
};

// opening.c. Starts connecting for a pool that counted it as opening. Never fails at once: failure
// comes through pool_open_failed.
void server_open(struct worker *worker, struct route *route);
// Does what the pool asks for: open, check, ask another worker, evict.
void server_do_task(struct worker *worker, struct route *route, const struct pool_task *task);
void server_open_more(struct worker *worker, struct route *route); // if the pool wants another one
// One that will be this client's alone, linked from the beginning; nothing happens when its pool
// has no room.
void server_open_own(struct worker *worker, struct client *client, int64_t now_us);
// For the hub, outside of the pool. It may fail at once: hub_lost().
void server_open_hub(struct hub *hub);
// One that another process opened: in this worker's loop, in use, and with nothing known of its
// session yet. hub: it listens, and is in no pool. For takeover/adoption.c, which sees to the rest.
struct server *server_take_over(struct worker *worker, struct route *route, int fd, bool hub);
void server_resolved(struct worker *worker, struct resolution_mail *mail);

// Closes it and tells pool and client. why: as in PgBouncer's log.
void server_close(struct server *server, const char *why);
void server_free(struct server *server); // from the graves

// Leaves this worker's loop, to be sent to another one; arrives there.
void server_detach(struct server *server);
void server_attach(struct server *server, struct worker *worker);

// Nobody uses it any more and it owes nothing: reset it, or give it to who waits, or let it idle.
void server_release(struct server *server);
// To the pool at once, or to the waiter that is served next.
void server_give_back(struct server *server);
bool server_freshen(struct server *server); // true: connect_query runs
// Is what connect_query made of its session to be told from what its client did? In session mode
// nobody else gets it; but what is answered from memory depends on that.
bool server_has_base(const struct server *server);
// Does the configuration, or the name of its host, mean another server by now, or the same one
// spoken to in another way?
bool server_is_obsolete(struct server *server);
const char *server_lacks(const struct server *server); // for its database; NULL: it does
unsigned server_hosts(const struct config_database *db); // of its list; none given: 1, the socket
bool server_is_of_before(const struct server *server); // ... the name apart, which takes a lock
// Hands a granted server to its client, on this worker or another one.
void server_hand_over(struct server *server, struct pool_waiter *waiter);

// Who is at the other end, for the log; also of one that it could not connect to.
void server_peer(const struct server *server, char text[ORIGIN_TEXT_BYTES]);

// What came in; see relay.c. False: the server was closed.
bool server_relay(struct server *server);
void server_readable(struct ev_loop *loop, ev_io *io, int events);
void server_writable(struct ev_loop *loop, ev_io *io, int events);

// login.c: handles login messages until the server is ready. False: it was closed.
bool server_login_message(struct server *server, char type, struct slice body);
void server_login_begin(struct server *server);
void server_forget_password(struct server *server); // wipes; login.c

// Queues a simple query of ours on the worker's to_server bracket, which must be open for it.
void server_inject(struct server *server, enum op_purpose purpose, const char *sql);
// The same, of the question for its profile; the route has a domain.
void server_ask_profile(struct server *server);
void server_leaves_domain(struct server *server); // it does not count there any more
// Has it this profile, or will it be known, before what is sent now is answered?
static inline bool server_may_have(const struct server *server, const struct profile *profile,
                                   uint64_t epoch)
{
    return server->profile_epoch == epoch && (server->profile == profile || server->profile_asked);
}
static inline void server_forget_profile(struct server *server)
{
    server->profile = NULL;
    server->profile_epoch = 0;
}
// Has its session nothing but what is known to be made in it? Else a policy may find settings there
// that no key tells.
static inline bool server_is_known(const struct server *server)
{
    return !server->needs_reset && !server->needs_settings_reset && server->doomed == NULL;
}

// prepared.c
// And marks it as used.
bool prepared_has(struct prepared *prepared, const struct statement *statement);
// Its plan does not fit the tables any more: it must be prepared anew before it is used again, here
// and, as the tables are the same, on every other server.
void prepared_spoil(struct prepared *prepared, uint64_t number);
// Here only: it is to be read anew.
void prepared_outdate(struct prepared *prepared, uint64_t number);
bool prepared_is_spoilt(const struct prepared *prepared, const struct statement *statement);
// odd: its client may have settings just now that are not those of its scope.
void prepared_add(struct prepared *prepared, struct statement *statement, bool odd);
void prepared_settle(struct prepared *prepared); // what is odd is to be read anew, here
bool prepared_is_odd(const struct prepared *prepared, const struct statement *statement);
void prepared_remove(struct prepared *prepared, const struct statement *statement);
struct statement *prepared_oldest(struct prepared *prepared); // borrows
// What the server would say of the one used last, of that with the number (NULL: it has none).
struct layout *prepared_newest(struct prepared *prepared);
struct layout *prepared_layout(struct prepared *prepared, uint64_t number);
void prepared_clear(struct prepared *prepared);

// cancel.c: sends a cancel request for the query at work, and lets the asker go when it has
// arrived; false: there is nothing to cancel.
struct cancel_asker;
bool server_cancel(struct server *server, struct cancel_asker asker);
