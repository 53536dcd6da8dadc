// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct mailbox questions;
    bool work; // under lock
    bool stop; // under lock
};

static void wake(void *arg)
{
    struct resolver *resolver = arg;
    pthread_mutex_lock(&resolver->lock);
    resolver->work = true;
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
}

static void answer(struct resolution_mail *q)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", q->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(q->host, port, &hints, &found);
    if (rc != 0) {
        snprintf(q->problem, sizeof(q->problem), "%s", gai_strerror(rc));
    } else if (found->ai_addrlen <= sizeof(q->address.to)) {
        memcpy(&q->address.to, found->ai_addr, found->ai_addrlen);
        q->address.length = found->ai_addrlen;
    }
    if (found != NULL)
        freeaddrinfo(found);
    mailbox_post(q->answer, &q->mail);
}

static void *run(void *arg)
{
    struct resolver *resolver = arg;
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->stop) {
        if (!resolver->work) {
            pthread_cond_wait(&resolver->asked, &resolver->lock);
            continue;
        }
        resolver->work = false;
        pthread_mutex_unlock(&resolver->lock);
        for (struct mail *m = mailbox_take_all(&resolver->questions), *next; m != NULL; m = next) {
            next = m->next;
            answer(container_of(m, struct resolution_mail, mail));
        }
        pthread_mutex_lock(&resolver->lock);
    }
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}

struct resolver *resolver_new(void)
{
    struct resolver *resolver = mem_new(struct resolver);
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->asked, NULL);
    mailbox_init(&resolver->questions, wake, resolver);
    pthread_create(&resolver->thread, NULL, run, resolver);
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    resolver->stop = true;
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
    pthread_join(resolver->thread, NULL);
    for (struct mail *m = mailbox_take_all(&resolver->questions), *next; m != NULL; m = next) {
        next = m->next;
        resolution_mail_free(container_of(m, struct resolution_mail, mail));
    }
    mailbox_fini(&resolver->questions);
    pthread_cond_destroy(&resolver->asked);
    pthread_mutex_destroy(&resolver->lock);
    mem_free(resolver);
}

void resolver_ask(struct resolver *resolver, struct resolution_mail *question)
{
    mailbox_post(&resolver->questions, &question->mail);
}

void resolution_mail_free(struct resolution_mail *mail)
{
    mem_free(mail->host);
    mem_free(mail);
}

bool address_literal(struct address *address, const char *host, int port)
{
    *address = (struct address){0};
    if (host[0] == '/' || host[0] == '@') {
        struct sockaddr_un *local = &address->to.local;
        local->sun_family = AF_UNIX;
        int n = snprintf(local->sun_path, sizeof(local->sun_path), "%s/.s.PGSQL.%d", host, port);
        if (n < 0 || (size_t)n >= sizeof(local->sun_path))
            return true; // length 0: connecting fails with a sentence
        address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
        if (host[0] == '@') {
            local->sun_path[0] = '\0';
            address->length--;
        }
        return true;
    }
    if (inet_pton(AF_INET, host, &address->to.v4.sin_addr) == 1) {
        address->to.v4.sin_family = AF_INET;
        address->to.v4.sin_port = htons((uint16_t)port);
        address->length = sizeof(address->to.v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &address->to.v6.sin6_addr) == 1) {
        address->to.v6.sin6_family = AF_INET6;
        address->to.v6.sin6_port = htons((uint16_t)port);
        address->length = sizeof(address->to.v6);
        return true;
    }
    return false;
}
