// SPDX-License-Identifier: Apache-2.0
// Taking over from the process that runs on our unix socket (-R): the conversation with its
// console. SUSPEND freezes it, SHOW FDS_STATE (SHOW FDS of a PgBouncer) gives its connections,
// SHUTDOWN ends it. Until SHUTDOWN is sent nothing is changed by us: if we go before, it resumes.
// Blocks; before the first thread. What becomes of the connections: adoption.h.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct config;

// One connection, socket or route of the other process: a row of its answer. Texts are NULL where
// they were.
struct takeover_row {
    int fd;       // owns; -1: none
    int old_fd;   // its number there
    int link;     // that of its server or client; 0: none
    char *task, *user, *database, *address;
    int port;
    uint64_t cancel;
    char *encoding, *standard_strings, *date_style, *time_zone;
    char *password;                    // wiped
    struct buf client_key, server_key; // likewise
    struct buf state;                  // carried.h; empty: of a PgBouncer
};
// body: of a DataRow; its descriptor comes beside it. NULL: it is none.
struct takeover_row *takeover_row_read(struct slice body);
void takeover_row_free(struct takeover_row *row); // NULL is fine

struct takeover {
    int socket;    // owns; the console
    int process;   // owns; pidfd of the other one; -1: a PgBouncer, which says no number
    struct takeover_row **rows; // owns those that nobody has taken (NULL)
    size_t count;
    int *listening; // owns; the sockets in it become the listener's
    int listening_count;
};

// Does somebody serve our unix socket?
bool takeover_is_needed(const struct config *config);
// As far as SHOW FDS_STATE. NULL: the log says why not, and the other one goes on.
struct takeover *takeover_begin(const struct config *config);
// Ends the other process and waits until it is gone, or long enough. pidfile: ours, and perhaps the
// other's. Who ended it meanwhile, in our stead, left us its connections, too. False: it could not
// be told, goes on, or went on before its end, and the log says so.
bool takeover_finish(struct takeover *takeover, const char *pidfile);
void takeover_free(struct takeover *takeover); // NULL is fine
