// SPDX-License-Identifier: Apache-2.0
// A route: one database as one user reaches it. Behind the pool (which only counts and queues) it
// knows where the server is, whom to log in as, what a fresh session looks like, and which domain
// the cache follows for it. Shared by all workers and counted by those who use it: the pooler as
// long as it may be found, clients, servers, mail. One that is not needed any more, or whose
// database was taken out of the configuration, leaves the pooler and goes with its last user.
#pragma once
#include <pthread.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/slice.h"
#include "pool/pool.h"
#include "proxy/login/scram.h"
#include "proxy/profile.h"
#include "proxy/session/remains.h"
#include "proxy/session/sequences.h"
#include "proxy/session/vars.h"
#include "proxy/tally.h"

struct config;
struct domain;
struct learnt;
struct pooler;

// What the client that was greeted last has heard, which most likely gave what the next one gives.
struct greeting {
    struct vars *given; // counts; by the client; NULL: nobody was greeted yet
    struct vars *has;   // counts; with the defaults
    struct buf said;
};

struct route {
    uint32_t tag;
    struct hash_node node;
    uint64_t number;       // never used twice
    _Atomic unsigned holders;
    struct pooler *pooler; // borrows
    char *database;        // owns; as clients ask for it
    char *user;            // owns; who its clients are on the server: the database's user, else
                           // their own
    const char *server_user; // the same
    _Atomic bool removed;  // its database is: its clients and servers must go
    _Atomic bool moved;    // its database has another user now: clients at rest take the new route
    _Atomic unsigned next_host; // of several in the database's line
    _Atomic unsigned unfit;     // how many in a row were not what target_session_attrs asks for
    struct pool *pool;     // owns
    struct pool_quota *database_quota, *user_quota; // borrow
    _Atomic int cancels;   // cancel requests on their way to its servers
    _Atomic int detained;  // servers that are not given back before those have ended
    struct tally *tallies;           // owns; one for each worker, which alone writes it
    struct tally_sum older, newer;   // at the two latest ends of a stats_period; pooler->lock
    _Atomic(struct domain *) domain; // borrows; NULL: no cache here
    _Atomic(struct learnt *) learnt; // code hidden in its database; one of all_learnt
    struct buf all_learnt;           // struct learnt *, each joined: of every target that it had,
                                     // as workers may still look at them; pooler->lock
    _Atomic bool welcomed;           // by a server, of whatever target; pooler->lock
    _Atomic uint64_t generation;     // rises when the configuration names another target
    char *target;                    // owns; what the generation stands for; pooler->lock
    _Atomic uint64_t since;          // config_number() of the first configuration that names it

    pthread_mutex_t lock;  // for what follows
    bool has_welcome;
    struct buf welcome;    // ParameterStatus messages of a fresh session
    struct vars *defaults; // counts; the followed settings of a fresh session
    struct greeting greeting;
    struct gucs *accepted; // counts; settings given at a start that a server took last
    bool forced;           // its database has a user of its own
    bool has_keys;         // of a client's SCRAM login, for the server's (pass-through)
    struct scram_keys keys;
    char *password;        // owns; wiped; what its user last proved to know, where that was seen
    bool password_refused; // by the server
    _Atomic bool asks_sequences;     // somebody used currval() or lastval() here
    struct sequence_users sequence_users;
    struct profiles profiles;
    struct mentioned custom;
};

struct route *route_new(struct pooler *pooler, const struct config *config, const char *database,
                        const char *user);
char *route_copy_target(struct route *route); // the caller owns it; takes pooler->lock
struct route *route_ref(struct route *route);
void route_unref(struct route **route); // clears the caller's pointer; NULL inside is fine
// What was learnt of its servers is forgotten, and they are closed when they are free.
// With pooler->lock held.
void route_reconnect(struct route *route);
// Pool sizes and times of a new configuration.
void route_configure(struct route *route, const struct config *config);

// Will the cache follow its database, once a server has let us in?
bool route_is_to_follow(const struct route *route, const struct config *config);

// Notes what a fresh session said (any worker). Messages: complete ParameterStatus messages. The
// first of all has the cache follow the database: names that nobody has servers for are not.
void route_welcome(struct route *route, struct slice messages, const struct vars *values);
bool route_has_welcome(struct route *route);
// Appends the welcome with the client's own values and gives the client the defaults for what it
// did not set itself; false: none yet.
bool route_greet(struct route *route, struct vars **client, struct buf *out);

// profiles_note(), profiles_keep() and profiles_of(), with the lock.
struct profile *route_profile_note(struct route *route, struct gucs *settings, bool alone,
                                   struct slice row, uint64_t epoch);
void route_profile_keep(struct route *route, struct gucs *settings, struct profile *profile,
                        uint64_t epoch);
// As long as it is the same, route_profile() says the same.
uint64_t route_profiles_edition(const struct route *route);
struct profile *route_profile(struct route *route, const struct gucs *settings, uint64_t epoch);

// Names of settings that nobody but their users knows (app.tenant), of any client: to be asked for
// after code that cannot be seen. note: those in the set.
void route_note_custom(struct route *route, const struct gucs *settings);
void route_custom(struct route *route, struct mentioned *names); // appends them

// Did a server take these settings, when a client began with them?
bool route_accepts(struct route *route, const struct gucs *given);
void route_accepted(struct route *route, struct gucs *given);

// What a login of this user showed serves for the server, too: as that user, and never for a
// database with a user of its own, whoever that is. Of others nothing is kept.
void route_keep_keys(struct route *route, const char *user, const struct scram_keys *keys);
bool route_keys(struct route *route, struct scram_keys *keys);
// A password that a client gave in the clear, and that was right: also for the server, if that has
// the same. refused: it has not. copy: the caller's to wipe; NULL: there is none, or (with another
// one at hand) it was refused.
void route_keep_password(struct route *route, const char *user, const char *password);
void route_password_refused(struct route *route, const char *password);
char *route_copy_password(struct route *route, bool has_another);

// Counts in the tally of this worker.
#define route_count(route, worker, member, n)                                                      \
    counter_add(&(route)->tallies[(worker)->number].member, (n))
struct tally_sum route_tally(const struct route *route); // of all workers; any thread

