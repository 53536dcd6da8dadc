// SPDX-License-Identifier: Apache-2.0
// What the console's commands do. Texts, tags and SQLSTATEs are PgBouncer's.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct client;

enum command_result {
    COMMAND_DONE,   // the answer is in out
    COMMAND_LATER,  // console_answer() will be called
    COMMAND_REFUSED, // of a SHOW: it is not for this client
};

// What a waiting command waits for.
enum command_wait {
    WAIT_NOTHING,
    WAIT_PAUSE,    // until no server connection is left (of the database)
    WAIT_SUSPEND,  // until everything said has been sent
    WAIT_CLOSE,    // until all servers of before RECONNECT are closed
};

// Runs it. headless: without RowDescription, as extended messages have it; binary: a bit for each
// column that is wanted so.
enum command_result command_run(struct client *client, const char *text, bool headless,
                                uint64_t binary, struct buf *out);
// Appends the RowDescription that it would answer with; false: it answers with no rows.
bool command_describe(const char *text, uint64_t binary, struct buf *out);

// Is it over? Then the answer is in out. Called again and again.
bool command_look(struct client *client, enum command_wait wait, const char *database,
                  int64_t since_us, struct buf *out);
// ^C: what the command did is undone.
void command_undo(struct client *client, enum command_wait wait, const char *database);

void command_error(struct client *client, struct buf *out, const char *sqlstate,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
