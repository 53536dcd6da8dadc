// SPDX-License-Identifier: Apache-2.0
// SHOW FDS and SHOW FDS_STATE to a process that is to go on with our connections (-R): the rows are
// sent at once, each with its descriptor. Only to who came by our own unix socket with our own uid,
// and only while the process is suspended. SHOW FDS is for PgBouncer: it has PgBouncer's columns,
// and only connections of which nothing more is known than these say. SHOW FDS_STATE is for
// pgweir.
//
// What was given away is not written to any more (conn.given). If the other process goes instead of
// sending SHUTDOWN, this one resumes, and all is as before.
//
// It cannot once this one goes on: what it has is not how things are any more. Its SHUTDOWN is
// refused then, also when the process has been suspended again, and whoever ends this process
// instead has it told so (handover_undone). Ended by others while the connections are given away,
// this process leaves them to it (handover_left).
//
// A question (console/question.h) goes to the main thread, which has the listening sockets, and
// then to the workers. It is owned by the question.
#pragma once
#include <stdbool.h>

struct client;
struct handover;
struct question;
struct table_shape;
struct worker;

#define handover_undone "pooler was resumed"
#define handover_left "pgweir shutting down"

// May this console client have descriptors, if the process is suspended by it?
bool handover_may(const struct client *client);
// For a client that may; NULL: the system gave no descriptor. shape: borrows; with_state: of
// SHOW FDS_STATE, whose last column is the state.
struct handover *handover_new(const struct client *client, const struct table_shape *shape,
                              bool with_state);
void handover_free(struct handover *handover); // NULL is fine

// A listening socket, by the main thread. False: no more is sent, as below.
bool handover_listener(struct question *q, int fd);
bool handover_routes(struct question *q); // likewise
void handover_visit(struct worker *worker, struct question *q);
// All were asked: tells the client, or ends it.
void handover_done(struct client *client, struct question *q);
