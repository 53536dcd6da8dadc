// SPDX-License-Identifier: Apache-2.0
// What a pool shows of itself.
#include "pool/pool.h"

struct pool_figures pool_figures(struct pool *pool, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    const struct link *first = list_first(&pool->waiting);
    struct pool_figures figures = {
        .clients_active = pool->clients - (int)pool->waiting.count - pool->own_wanted,
        .clients_waiting = (int)pool->waiting.count + pool->own_wanted,
        .servers_active = pool->open - pool->claim.spare.idle,
        .servers_idle = pool->claim.spare.idle,
        .servers_login = pool->opening,
        .servers_tested = pool->checking,
        .longest_wait_us =
            first ? now_us - container_of(first, struct pool_waiter, link)->since_us : 0,
        .paused = pool->paused,
    };
    pthread_mutex_unlock(&pool->lock);
    return figures;
}

const char *pool_mode_name(enum pool_mode mode)
{
    switch (mode) {
    case POOL_SESSION:
        return "session";
    case POOL_TRANSACTION:
        return "transaction";
    case POOL_STATEMENT:
        return "statement";
    }
    return "?";
}

bool pool_is_paused(const struct pool *pool)
{
    return pool->paused;
}

int64_t pool_deserted_us(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int64_t since_us = pool->deserted_us;
    pthread_mutex_unlock(&pool->lock);
    return since_us;
}
