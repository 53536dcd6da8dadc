// SPDX-License-Identifier: Apache-2.0
// What others must be asked (is a password right: a directory, PAM; who is a user of this machine:
// NSS), on threads of its own: such a call blocks, and a worker must not. The answer comes as mail.
// Any thread may ask.
//
// Each service (PAM's, an LDAP server) has threads and a queue of its own, made when they are
// needed and given up when they are not: one that is slow or dead holds up nobody who needs
// another. The queue is bounded, and so is the part of it that one place or one user can take; the
// last free thread is for somebody else than those who have the others.
//
// A question belongs to the checker from checker_ask() until it is given back. Who it was for is a
// number that is never used twice; an answer that nobody waits for any more goes nowhere.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

struct checker;
struct config;
struct ldap_options;

enum check_method { CHECK_PAM, CHECK_LDAP, CHECK_SYSTEM_USER };

enum check_verdict {
    CHECK_PASSED,
    CHECK_REFUSED, // wrong password, no such user, account closed
    CHECK_FAILED,  // it could not be asked; the log says why
};

enum { CHECK_FROM_BYTES = 64 };

struct check {
    // Gives it back, from one of the checker's threads. wanted: with a verdict; it may do no more
    // than post it. Else whoever asked has said that he does not wait: it is to be freed.
    void (*back)(struct check *check, bool wanted);
    uint64_t client;           // its number
    uint64_t place;            // where it comes from, for fairness: origin_place()
    enum check_method method;
    char *user;                // owns
    char *password;            // owns; wiped
    uid_t uid;                 // CHECK_SYSTEM_USER: whose name is wanted
    char *name;                // owns; ... and which it is; NULL: nobody's
    char from[CHECK_FROM_BYTES]; // PAM's PAM_RHOST; empty: none
    const char *service, *directory; // PAM's; borrows from config
    const struct ldap_options *ldap; // borrows from config
    struct config *config;     // counts
    int64_t until_us;          // nobody waits for longer
    int64_t patience_us;       // how long an LDAP server is waited for
    enum check_verdict verdict;
    int64_t delay_us;          // how long the service wants a refusal held back

    // The checker's own.
    struct link link;
    uint64_t who;              // hash of the user
    bool forgotten;
};

// How a question is asked: sets the verdict, and may block. For tests; NULL: PAM and LDAP.
typedef void checker_run(struct check *check);
struct checker *checker_new(checker_run *run);

enum checker_answer {
    CHECKER_ASKED,
    CHECKER_FULL,        // this and the following: the question is still the caller's
    CHECKER_PLACE_FULL,  // too many from there already
    CHECKER_USER_FULL,   // too many for that user already
    CHECKER_NO_THREAD,
};

// threads, queue: of its service, as the configuration in force has them; 1 at least.
enum checker_answer checker_ask(struct checker *checker, struct check *check, int threads,
                                int queue);
// Nobody waits for that client's question any more. True: it is not given back as wanted; false: it
// was given back already.
bool checker_forget(struct checker *checker, uint64_t client);

void check_fini(struct check *check); // what it owns; wipes

// No answer comes from here on. Does not wait for a call that blocks: returns how many do; their
// threads go on, with memory of their own, for as long as the process.
int checker_stop(struct checker **checker);

// For SHOW and tests: questions that wait or are being asked.
int checker_pending(struct checker *checker);
