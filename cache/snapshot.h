// SPDX-License-Identifier: Apache-2.0
// The text of a pg_snapshot ("xmin:xmax:xip,xip"), and which transactions it knows as finished.
// Its list holds the top-level transactions that ran, prepared ones included, in ascending order.
// Pure; one owner.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

// PostgreSQL allows 2^18 backends and as many prepared transactions.
enum { SNAPSHOT_RUNNING_MAX = 1 << 19 };

struct snapshot { // zeroed to begin; reused from reading to reading
    uint64_t xmin; // every lower xid has finished
    uint64_t xmax; // this one and every higher one has not, whatever the list says
    uint64_t *running; // owns; ascending
    size_t n_running;
    size_t capacity;
};

bool snapshot_parse(struct snapshot *s, struct slice text); // false: not a snapshot
void snapshot_forget(struct snapshot *s); // as none: nothing has finished
void snapshot_fini(struct snapshot *s);

// Has the transaction finished (committed or aborted), so that every snapshot taken from now on
// agrees? The xid is the 32 bits that the stream gives: the full one is that within 2^31 of xmax,
// which is where the server keeps all xids that it still has a use for.
bool snapshot_finished(const struct snapshot *s, uint32_t xid);
