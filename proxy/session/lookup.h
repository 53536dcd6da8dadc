// SPDX-License-Identifier: Apache-2.0
// auth_query run for one login: a client of our own, on the same worker, logs in as auth_user at
// the other end of a socket pair, and asks. So it is served as any client is, by its pool's limits,
// and has a session of its own: nothing of the client that logs in is in it but its name, which is
// a parameter of the query. It is not counted where clients are, and never answered from memory.
// Owned by the login that waits for it, on its worker.
#pragma once
#include <stdbool.h>

struct client;
struct lookup;
struct worker;

enum lookup_end {
    LOOKUP_FOUND,  // name and secret
    LOOKUP_NONE,   // no such user
    LOOKUP_FAILED, // sqlstate and why, for the client
};

struct lookup_answer {
    enum lookup_end end;
    char *name;   // owns; as the query spells it
    char *secret; // owns; NULL: the query said NULL, so no password fits
    char sqlstate[6];
    char why[256];
};

struct lookup_question {
    const char *database, *auth_user; // where, and as whom
    const char *query;
    const char *user;                 // whom it is about
    // Called once, unless lookup_free() comes first; what it is given is wiped and freed behind it.
    // It may free the lookup.
    void (*answered)(struct client *client, const struct lookup_answer *answer);
    struct client *client;            // for that
};

// NULL: the system gave no sockets.
struct lookup *lookup_new(struct worker *worker, const struct lookup_question *question);
void lookup_free(struct lookup *lookup); // NULL is fine; the query is given up
