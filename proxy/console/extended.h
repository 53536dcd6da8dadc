// SPDX-License-Identifier: Apache-2.0
// The extended messages of one console client: its prepared commands and its portals, which have
// no parameters. A driver must be able to read SHOW POOLS. Owned by the client's worker.
#pragma once
#include "base/list.h"
#include "base/slice.h"

struct buf;
struct client;

struct extended { // zeroed to begin
    bool skipping; // after an error, until Sync
    bool begun;
    struct list names; // of statements and portals
    int count;
};

void extended_fini(struct extended *extended);
// Answers into out. True: the command *text is to be run and answered next, without
// RowDescription, with the columns of *binary in binary. The text is borrowed until the next call.
bool extended_message(struct extended *extended, struct client *client, char type,
                      struct slice body, struct buf *out, const char **text, uint64_t *binary);
