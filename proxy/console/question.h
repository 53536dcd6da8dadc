// SPDX-License-Identifier: Apache-2.0
// A question of one console client to all workers, in turn, or to the main thread: what other
// threads own is only looked at by them. While it is under way the client's input waits; if the
// client goes meanwhile, the answer is thrown away.
//
// Owner: whoever has the mail. It ends on the asking client's worker.
#pragma once
#include "base/mailbox.h"
#include "proxy/console/syntax.h"
#include "proxy/console/table.h"

struct client;
struct handover;
struct pooler;
struct server;
struct worker;

enum errand { // for the main thread
    ERRAND_NONE,
    ERRAND_RELOAD,
    ERRAND_SET,      // name = value
    ERRAND_SHUTDOWN, // number: enum shutdown_mode
    ERRAND_HAND_OVER, // the listening sockets; then the workers are asked
};

struct question {
    struct mail mail;
    int next_worker;
    struct worker *home; // borrows
    uint64_t client;     // number
    void (*visit)(struct worker *worker, struct question *q); // on each worker
    void (*done)(struct client *client, struct question *q);  // on home; not if the client is gone
    enum errand errand;
    char name[SYNTAX_ARGUMENT_BYTES]; // what it is about, "" for all
    char value[SYNTAX_VALUE_BYTES];
    uint64_t number;
    int count;   // found
    bool failed; // the errand
    struct buf found; // owns; what the workers said, if it is not for out yet
    struct buf out;   // owns; the answer being written
    struct handover *handover; // owns; of SHOW FDS with descriptors
    struct table table; // prints into out
};

struct question *question_new(struct client *client, const char *name);
void question_ask_workers(struct question *q); // gives it away
// One whose answer is the table begun in `table`: visit prints rows on each worker, question_shown
// is its done.
struct question *question_of_table(struct client *client, const struct table *table);
void question_shown(struct client *client, struct question *q);
void question_ask_main(struct question *q, enum errand errand);

// The main thread has done what q asked for.
void question_answered(struct question *q);
void question_step(struct worker *worker, struct question *q); // MAIL_CONSOLE has come
