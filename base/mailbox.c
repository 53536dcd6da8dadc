// SPDX-License-Identifier: Apache-2.0
#include "base/mailbox.h"

#include <stddef.h>

#include "base/check.h"

void mailbox_init(struct mailbox *box, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_init(&box->lock, NULL);
    box->first = NULL;
    box->last = &box->first;
    box->wake = wake;
    box->arg = arg;
}

void mailbox_fini(struct mailbox *box)
{
    CHECK(box->first == NULL);
    pthread_mutex_destroy(&box->lock);
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    *box->last = mail;
    box->last = &mail->next;
    pthread_mutex_unlock(&box->lock);
    if (was_empty)
        box->wake(box->arg);
}

struct mail *mailbox_take_all(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    struct mail *all = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);
    return all;
}
