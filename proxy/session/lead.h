// SPDX-License-Identifier: Apache-2.0
// One run for concurrent misses on one key: who leads a flight (cache/flight.h) and ends it, who
// follows one and is told of its end. The store decides; here clients wait and go on.
//
// A follower waits like one in the pool's queue (CLIENT_WAITING), but it is in no queue: it holds
// no server and no place that a leader may need. When it is told, it asks again from the beginning.
// The leader's flight ends when its answer is there, and on each way by which there will be none.
#pragma once
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "cache/flight.h"
#include "proxy/session/client.h"

struct entry;
struct server;
struct worker;

// What a client has that waits, or has waited, with the unit at hand for another one's answer.
struct follower {
    struct link link;      // in worker->following, while it waits
    struct client *client; // borrows; it has this
    uint64_t flight;       // number; 0: it has ended
    int64_t since_us;      // the first time
    uint8_t times;
    bool alone;            // it does not any more
    struct entry *handed;  // the answer, of a passing flight; counted
};

// The client waits for the end of this flight.
void lead_follow(struct client *client, uint64_t number);
bool lead_follows(const struct client *client);
// It does not any more; nothing if it did not.
void lead_unfollow(struct client *client);
// It has a server for the unit at hand.
void lead_granted(struct client *client);
// The unit at hand is answered or given up: the next one begins anew.
void lead_end_following(struct client *client); // it follows, or has followed
static inline void lead_done(struct client *client)
{
    if (client->follower != NULL)
        lead_end_following(client);
}
// Ends the flight that it leads and tells who follows; nothing without one. NULL is fine.
void lead_end_flight(struct client *client, enum flight_end end); // there is one
static inline void lead_end(struct client *client, enum flight_end end)
{
    if (client != NULL && client->flight != NULL)
        lead_end_flight(client, end);
}
// A message of the server, or a part of one, for the fill; what does not belong there ends it.
void lead_record(struct client *client, struct server *server, char type, struct slice bytes);
// Its reply is recorded: stores the entry (takes the reference; NULL: it is too large) and ends it.
void lead_land(struct client *client, struct entry *entry);
// Ends it by an ErrorResponse: a cancelled or ended query is no answer, others' may go well.
void lead_refused(struct client *client, struct slice message);
// The unit is given up (cancelled, or the client ends): it leads and follows nothing any more.
void lead_leave(struct client *client);
// cache_follow_timeout; the janitor asks.
void lead_look(struct client *client, int64_t now_us);
// Mail: a flight that clients of this worker follow has ended. entry: the answer, if it is handed.
void lead_told(struct worker *worker, uint64_t flight, enum flight_end end, struct entry *entry);
