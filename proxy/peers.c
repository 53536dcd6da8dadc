// SPDX-License-Identifier: Apache-2.0
#include "proxy/peers.h"

#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"

struct peers_use {
    pthread_mutex_t lock; // for the list; entries never leave it
    struct peer_use *first;
};

struct peers_use *peers_use_new(void)
{
    struct peers_use *peers = mem_new(struct peers_use);
    pthread_mutex_init(&peers->lock, NULL);
    return peers;
}

void peers_use_free(struct peers_use *peers)
{
    for (struct peer_use *p = peers->first, *next; p != NULL; p = next) {
        next = p->next;
        mem_free(p);
    }
    pthread_mutex_destroy(&peers->lock);
    mem_free(peers);
}

struct peer_use *peers_use_of(struct peers_use *peers, int id)
{
    pthread_mutex_lock(&peers->lock);
    struct peer_use *p = peers->first;
    while (p != NULL && p->id != id)
        p = p->next;
    if (p == NULL) {
        p = mem_new(struct peer_use);
        p->id = id;
        p->next = peers->first;
        peers->first = p;
    }
    pthread_mutex_unlock(&peers->lock);
    return p;
}

bool peer_use_take(struct peer_use *peer, int limit)
{
    int active = peer->active;
    do {
        if (active >= limit)
            return false;
    } while (!atomic_compare_exchange_weak(&peer->active, &active, active + 1));
    return true;
}

void peer_use_give(struct peer_use *peer)
{
    CHECK(atomic_fetch_sub(&peer->active, 1) > 0);
}
