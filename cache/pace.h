// SPDX-License-Identifier: Apache-2.0
// When the control connection is to take which reading: often enough that own writes are placed
// and hits go on, seldom enough that the server does not notice. Pure; time is passed in, always
// clock_us(), microseconds. A part of whoever takes the readings; one owner.
//
// Does not belong here: what a reading means (follower.h).
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum reading_kind {
    READING_NONE,
    READING_GATE, // positions and snapshot: about 0.1 ms of the server's time
    READING_FULL, // and the schema's fingerprint: 0.2 ms and more, with many names or roles
};

struct pace {
    enum reading_kind in_flight; // one at a time
    int64_t sent_us;             // the newest one, of any kind; INT64_MIN: none yet
    int64_t full_sent_us;        // the newest full one; INT64_MIN: none yet
    int64_t full_us, gate_us;    // how long the last one of each kind took; 0: none yet
    unsigned fruitless;          // readings in a row that did not move the first pending commit
    unsigned waited;             // full readings since the reset that did not turn the ledger on
};

// What there is to read for.
struct pace_needs {
    int64_t refresh_us; // a full reading at least so often
    bool on;            // else: full readings until it is
    bool hurry;         // somebody would like a full one soon
    bool tickets;       // own writes wait for any reading
    bool pending;       // so do commits that came by the stream
};

// Instants; INT64_MIN: at once; INT64_MAX: not until something happens. A full reading does all
// that a gate does: when both are due, it alone is sent.
struct pace_due {
    int64_t full_us;
    int64_t gate_us;
};

void pace_reset(struct pace *p);
void pace_sent(struct pace *p, enum reading_kind kind, int64_t now_us); // none may be in flight
void pace_answered(struct pace *p, int64_t now_us);
struct pace_due pace_due(const struct pace *p, const struct pace_needs *needs);

// The delay after so many vain attempts: doubled by each, from 1 ms on.
int64_t pace_slower_us(unsigned fruitless, int64_t at_most_us);
