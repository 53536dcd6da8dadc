// SPDX-License-Identifier: Apache-2.0
// How many cancel requests are on their way to each peer, and how many wait for a place: shared by
// all workers, one entry for each number that was ever asked for and is in [peers]; they live as
// long as the process. Where a peer is, the configuration knows; sending is server/cancel.c's.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

struct peers_use;

struct peer_use {
    int id;
    _Atomic int active;  // connections to it
    _Atomic int waiting; // requests that wait for one
    struct peer_use *next;
};

struct peers_use *peers_use_new(void);
void peers_use_free(struct peers_use *peers);

// Any thread. Finds or makes.
struct peer_use *peers_use_of(struct peers_use *peers, int id);
// Takes a place among limit; false: there is none.
bool peer_use_take(struct peer_use *peer, int limit);
void peer_use_give(struct peer_use *peer);
