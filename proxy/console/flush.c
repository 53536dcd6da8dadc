// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/flush.h"

#include <string.h>

#include "base/mem.h"
#include "cache/store.h"
#include "proxy/control/domain.h"
#include "proxy/pooler.h"

struct flush {
    struct slice schema, table;
    struct store *store;
    bool found;
    uint32_t domain;          // its number, first in each key
    bool slots[LEDGER_SLOTS]; // those of it that are flushed
};

static void flush_all_of(struct domain *domain, void *arg)
{
    domain_flush_all(domain);
}

void flush_all(struct pooler *pooler)
{
    domains_each(pooler->domains, flush_all_of, NULL);
    store_clear(pooler->store);
}

static bool is_flushed(const struct entry *e, void *arg)
{
    const struct flush *f = arg;
    bool is = false;
    for (uint32_t i = 0; i < e->n_slots && !is; i++)
        is = f->slots[e->slots[i]];
    return is && key_first_u32(entry_key(e)) == f->domain;
}

static void flush_in(struct domain *domain, void *arg)
{
    struct flush *f = arg;
    memset(f->slots, 0, sizeof(f->slots));
    f->domain = domain_id(domain);
    if (!domain_flush(domain, f->schema, f->table, f->slots))
        return;
    store_sweep(f->store, is_flushed, f);
    f->found = true;
}

bool flush_table(struct pooler *pooler, struct slice schema, struct slice table)
{
    struct flush *f = mem_new(struct flush);
    f->schema = schema;
    f->table = table;
    f->store = pooler->store;
    domains_each(pooler->domains, flush_in, f);
    bool found = f->found;
    mem_free(f);
    return found;
}
