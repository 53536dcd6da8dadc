// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

enum { ADDRESSES_MAX = 16 };

struct resolver_name {
    struct resolver_name *next;
    _Atomic unsigned changes;
    int count; // this and the rest: under the resolver's lock
    unsigned turn;
    int64_t asked_us; // 0: never
    struct address addresses[ADDRESSES_MAX]; // port 0
    bool failed;      // the last lookup did; the addresses are those of the one before
    char problem[128];
    char text[];
};

struct resolver {
    pthread_t thread;
    resolver_lookup *lookup;
    struct resolver_name *names; // owns; only this thread adds to it, under the lock
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

static int look_up(const char *host, struct address *addresses, int most, char *problem,
                   size_t problem_bytes)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int count = 0;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0)
        snprintf(problem, problem_bytes, "%s", gai_strerror(rc));
    for (struct addrinfo *a = found; a != NULL && count < most; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(addresses->to))
            continue;
        addresses[count] = (struct address){.length = a->ai_addrlen};
        memcpy(&addresses[count++].to, a->ai_addr, a->ai_addrlen);
    }
    if (found != NULL)
        freeaddrinfo(found);
    return count;
}

static void set_port(struct address *address, int port)
{
    if (address->to.any.sa_family == AF_INET)
        address->to.v4.sin_port = htons((uint16_t)port);
    else if (address->to.any.sa_family == AF_INET6)
        address->to.v6.sin6_port = htons((uint16_t)port);
}

static bool same_host(const struct address *a, const struct address *b)
{
    if (a->to.any.sa_family != b->to.any.sa_family)
        return false;
    if (a->to.any.sa_family == AF_INET)
        return a->to.v4.sin_addr.s_addr == b->to.v4.sin_addr.s_addr;
    return a->to.any.sa_family == AF_INET6 &&
           memcmp(&a->to.v6.sin6_addr, &b->to.v6.sin6_addr, sizeof(a->to.v6.sin6_addr)) == 0;
}

static bool among(const struct address *all, int count, const struct address *one)
{
    for (int i = 0; i < count; i++)
        if (same_host(&all[i], one))
            return true;
    return false;
}

static struct resolver_name *name_of(struct resolver *resolver, const char *text)
{
    struct resolver_name *name = resolver->names;
    while (name != NULL && strcmp(name->text, text) != 0)
        name = name->next;
    if (name != NULL)
        return name;
    name = mem_zalloc(sizeof(*name) + strlen(text) + 1);
    strcpy(name->text, text);
    name->next = resolver->names;
    pthread_mutex_lock(&resolver->lock);
    resolver->names = name;
    pthread_mutex_unlock(&resolver->lock);
    return name;
}

static bool is_known(const struct resolver_name *name, const struct resolution_mail *q,
                     int64_t now_us)
{
    int64_t keep_us = name->failed ? q->keep_failure_us : q->keep_us;
    return name->asked_us != 0 && now_us - name->asked_us < keep_us;
}

// A failure says nothing about the connections there are: only other addresses are a change.
static void note(struct resolver *resolver, struct resolver_name *name,
                 const struct address *addresses, int count, int64_t now_us)
{
    bool gone = false;
    pthread_mutex_lock(&resolver->lock);
    name->asked_us = now_us;
    name->failed = count == 0;
    for (int i = 0; i < name->count && count > 0; i++)
        gone |= !among(addresses, count, &name->addresses[i]);
    if (count > 0) {
        memcpy(name->addresses, addresses, (size_t)count * sizeof(*addresses));
        name->count = count;
    }
    if (gone)
        name->changes++;
    pthread_mutex_unlock(&resolver->lock);
}

static void answer(struct resolver *resolver, struct resolution_mail *q)
{
    struct resolver_name *name = name_of(resolver, q->host);
    int64_t now_us = clock_us();
    if (!is_known(name, q, now_us)) {
        struct address addresses[ADDRESSES_MAX];
        int count = resolver->lookup(q->host, addresses, ADDRESSES_MAX, name->problem,
                                     sizeof(name->problem));
        note(resolver, name, addresses, count, now_us);
    }
    q->name = name;
    q->changes = name->changes;
    if (name->failed) {
        snprintf(q->problem, sizeof(q->problem), "%s", name->problem);
    } else {
        unsigned which = q->first_only ? 0 : name->turn++ % (unsigned)name->count;
        q->address = name->addresses[which];
        set_port(&q->address, q->port);
    }
    mailbox_post(q->answer, &q->mail);
}

unsigned resolver_changes(const struct resolver_name *name)
{
    return name->changes;
}

bool resolver_has(struct resolver *resolver, struct resolver_name *name,
                  const struct address *address)
{
    pthread_mutex_lock(&resolver->lock);
    bool has = among(name->addresses, name->count, address);
    pthread_mutex_unlock(&resolver->lock);
    return has;
}

void resolver_each(struct resolver *resolver, resolver_visit visit, void *arg)
{
    pthread_mutex_lock(&resolver->lock);
    for (const struct resolver_name *n = resolver->names; n != NULL; n = n->next)
        if (n->asked_us != 0)
            visit(n->text, n->asked_us, n->failed, n->addresses, n->count, arg);
    pthread_mutex_unlock(&resolver->lock);
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
            answer(resolver, container_of(m, struct resolution_mail, mail));
        }
        pthread_mutex_lock(&resolver->lock);
    }
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}

struct resolver *resolver_new(resolver_lookup *lookup)
{
    struct resolver *resolver = mem_new(struct resolver);
    resolver->lookup = lookup != NULL ? lookup : look_up;
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
    for (struct resolver_name *name = resolver->names, *next; name != NULL; name = next) {
        next = name->next;
        mem_free(name);
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
