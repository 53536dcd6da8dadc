// SPDX-License-Identifier: Apache-2.0
// Runs under way: the keys that somebody is asking the server for just now, so that who misses the
// same key meanwhile may wait for that answer instead of asking as well. Who asks is the leader of
// a flight, who waits follows it. Pure bookkeeping, for one shard of the store and under its lock.
//
// A flight promises nothing but its end. It always ends, because its leader ends it on every way
// out; a follower holds nothing that a leader needs, so nobody waits in a circle. Who followed asks
// again afterwards and judges what it finds like anybody else: so a flight cannot serve what is not
// valid, and two keys of one hash cost a wait, never a wrong answer.
//
// While a write is placed and not yet known to be visible, no answer can be kept. One that was
// asked for since that write is handed to those who follow, and to nobody later: its flight is
// *passing*, and its stamp is what was known when it began, not what the answer is known to show.
//
// Does not belong here: entries (store.h); how a follower waits and is told (proxy/session/lead.c).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "cache/key.h"
#include "cache/ledger.h"

enum { FLIGHT_WORKERS = 64, FLIGHTS_ALONE = 64 };

struct flight { // belongs to its leader
    struct hash_node node; // in the table, while it is found
    struct key_hash hash;
    uint64_t number;    // never used twice in a store
    uint64_t followers; // a bit for each worker that has some, by its number % FLIGHT_WORKERS
    struct stamp stamp; // of its fill, when that has begun; passing: what was needed then
    uint64_t touched;   // passing: as it was then (struct ledger_known)
    bool started;
    bool passing;       // its answer is handed to who follows, and not kept: it is dead on arrival
    bool found;         // else a newer one has taken its place
};

struct flights { // zeroed to begin; `last` may begin higher
    struct hash_table table;
    uint64_t last;                 // number of the newest
    uint64_t alone[FLIGHTS_ALONE]; // by hash.low; 0: none. Keys that it is not worth waiting for
};

enum flight_end {
    FLIGHT_STORED, // there is an entry now
    FLIGHT_HANDED, // there is one for those who follow
    FLIGHT_LEFT,   // the leader has left without an answer: somebody else may lead
    FLIGHT_FAILED, // the answer is none that is kept (an error, too large): each for himself
};

enum flight_answer {
    FLIGHT_LEAD,   // ask the server: others may follow
    FLIGHT_FOLLOW, // somebody asks: wait for the end of that
    FLIGHT_ALONE,  // ask the server, and nobody will wait for it
};

struct flight_ask {
    unsigned worker;
    bool may_follow;
    struct ledger_known known; // a fill that began before this is dead for who asks
};

// On LEAD `fresh` is the flight and belongs to the leader, until flights_end(); else it is unused.
// On FOLLOW *number says which flight's end to wait for; it is told to the worker that asked.
enum flight_answer flights_join(struct flights *flights, struct key_hash hash,
                                const struct flight_ask *ask, struct flight *fresh,
                                uint64_t *number);
// Its fill begins, with this stamp. To be called before the query is sent.
void flights_start(struct flights *flights, struct flight *flight, struct stamp stamp);
// ... and its answer will be handed to who follows, and not kept: what was known before.
void flights_pass(struct flights *flights, struct flight *flight, const struct ledger_known *known);
// Gives the workers whose followers are to be told, a bit each. The flight is out of the table.
uint64_t flights_end(struct flights *flights, struct flight *flight, enum flight_end end);
// An entry of the key with this hash.low was stored: it is worth waiting for again.
void flights_stored(struct flights *flights, uint64_t low);
void flights_fini(struct flights *flights); // none may be left
