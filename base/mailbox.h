// SPDX-License-Identifier: Apache-2.0
// Messages from any thread to one owner. A message is a struct with a mail link as a member; it
// belongs to the sender until posted, to the owner from then on. The wake function is called by
// the poster, outside the lock, when the box was empty: it must be safe from any thread
// (ev_async_send is).
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct mail {
    struct mail *next;
    int kind; // the receiver's own enum
};

struct mailbox {
    pthread_mutex_t lock;
    struct mail *first;
    struct mail **last;
    void (*wake)(void *arg);
    void *arg;
};

void mailbox_init(struct mailbox *box, void (*wake)(void *arg), void *arg);
void mailbox_fini(struct mailbox *box); // must be empty
void mailbox_post(struct mailbox *box, struct mail *mail);
struct mail *mailbox_take_all(struct mailbox *box); // owner only; in order of posting; NULL if none
