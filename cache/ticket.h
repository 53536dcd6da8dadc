// SPDX-License-Identifier: Apache-2.0
// An own write that was answered by the server, and whose slots the worker has closed (and the
// barrier raised, if so marked) on the ledger *before* it posted this. It is placed by the control
// thread (follower.h, or proxy/control/own_writes.h).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mailbox.h"

struct ticket {
    struct mail mail;  // for the poster's mailbox to the control thread; not used by the follower
    struct link link;  // the follower's
    uint64_t position; // the follower's
    bool barrier;      // a barrier was raised for it
    uint32_t backend;  // 0; or it was not answered, and this process of the server may yet commit
                       // it. Nothing to the follower: if it does, the stream will tell
    // All of these slots are closed. The first n_written were surely written: they rise to the
    // write's position. The others (rows slots) stand for keys that are not known: they stay closed
    // until the stream has passed that position, and told which keys they were.
    uint32_t n_written;
    uint32_t n;
    uint32_t slots[];
};

struct ticket_slots { // borrowed
    const uint32_t *written;
    uint32_t n_written;
    const uint32_t *held;
    uint32_t n_held;
};

struct ticket *ticket_new(const struct ticket_slots *slots, bool barrier); // any thread
void ticket_free(struct ticket *ticket);

static inline uint32_t ticket_held(const struct ticket *t)
{
    return t->n - t->n_written;
}
