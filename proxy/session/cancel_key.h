// SPDX-License-Identifier: Apache-2.0
// The bytes by which a cancel request names its client: a process number, and a secret of 4 bytes
// for protocol 3.0 or 32 bytes for 3.2. Pure functions over plain data; who has which key is the
// pooler's to know.
//
// Where several processes stand behind one port, a key says which of them gave it out, in the
// places where PgBouncer has it, so that the two may be peers: the second and third byte are the
// peer's number (low byte first), the last two bits are how often the request may still be passed
// on. Without peers all of it is random, but for the sign of the process number, which some
// clients print.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    CANCEL_PROCESS_BYTES = 4,
    CANCEL_SECRET_SHORT = 4,  // protocol 3.0: exactly this
    CANCEL_SECRET_LONG = 32,  // what we give out to 3.2
    CANCEL_SECRET_MAX = 256,  // what 3.2 allows
    CANCEL_HOPS = 3,          // how often a request is passed on
    CANCEL_PEER_MAX = 0xffff, // the largest number there is room for
};

struct key_bytes {
    uint8_t at[CANCEL_PROCESS_BYTES + CANCEL_SECRET_LONG];
    uint8_t length; // 0: none
    bool peered;    // made for a process that has peers
};

// A new random key; long_one: for 3.2. peer_id 0: no peers.
void key_make(struct key_bytes *key, bool long_one, int peer_id);

// Takes as long for every asked-for key of the same length, so that nobody finds a key out byte by
// byte. What of a peered key counts hops is not compared.
bool key_matches(const struct key_bytes *key, struct slice asked);

// What cannot be a key at all.
bool key_is_possible(struct slice asked);
// The process number: clients with the same one are told apart by the secret.
uint32_t key_process(struct slice asked);
int key_peer(struct slice asked);
// Takes one of the hops that are left; false: there is none, and nothing is changed.
bool key_spend_hop(uint8_t *asked, size_t length);
