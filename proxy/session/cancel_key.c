// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/cancel_key.h"

#include <string.h>
#include <sys/random.h>

#include "base/check.h"

enum { HOPS_MASK = CANCEL_HOPS };
enum { RANDOM_BYTES = 256 }; // the kernel always gives as many at once

// Those of many keys with one system call. None is given twice, or kept once it was given.
static void take_random(uint8_t *to, size_t n)
{
    static _Thread_local uint8_t bytes[RANDOM_BYTES];
    static _Thread_local size_t left;
    if (left < n) {
        CHECK(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
        left = sizeof(bytes);
    }
    left -= n;
    memcpy(to, bytes + left, n);
    explicit_bzero(bytes + left, n);
}

void key_make(struct key_bytes *key, bool long_one, int peer_id)
{
    CHECK(peer_id >= 0 && peer_id <= CANCEL_PEER_MAX);
    key->length = CANCEL_PROCESS_BYTES + (long_one ? CANCEL_SECRET_LONG : CANCEL_SECRET_SHORT);
    take_random(key->at, key->length);
    key->peered = peer_id > 0;
    if (key->peered) {
        key->at[1] = (uint8_t)(peer_id & 0xff);
        key->at[2] = (uint8_t)(peer_id >> 8);
        key->at[key->length - 1] |= HOPS_MASK;
    }
    key->at[0] &= 0x7f;
}

bool key_matches(const struct key_bytes *key, struct slice asked)
{
    if (key->length == 0 || asked.len != key->length)
        return false;
    volatile uint8_t different = 0;
    for (size_t i = 0; i + 1 < asked.len; i++)
        different = (uint8_t)(different | (key->at[i] ^ asked.at[i]));
    uint8_t last = key->at[asked.len - 1] ^ asked.at[asked.len - 1];
    different = (uint8_t)(different | (key->peered ? last & ~HOPS_MASK : last));
    return different == 0;
}

bool key_is_possible(struct slice asked)
{
    return asked.len > CANCEL_PROCESS_BYTES &&
           asked.len <= CANCEL_PROCESS_BYTES + CANCEL_SECRET_MAX;
}

uint32_t key_process(struct slice asked)
{
    CHECK(asked.len >= CANCEL_PROCESS_BYTES);
    return ((uint32_t)asked.at[0] << 24) | ((uint32_t)asked.at[1] << 16) |
           ((uint32_t)asked.at[2] << 8) | asked.at[3];
}

int key_peer(struct slice asked)
{
    CHECK(asked.len >= CANCEL_PROCESS_BYTES);
    return asked.at[1] | (asked.at[2] << 8);
}

bool key_spend_hop(uint8_t *asked, size_t length)
{
    CHECK(length > CANCEL_PROCESS_BYTES);
    if ((asked[length - 1] & HOPS_MASK) == 0)
        return false;
    asked[length - 1]--; // they are the lowest bits
    return true;
}
