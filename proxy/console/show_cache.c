// SPDX-License-Identifier: Apache-2.0
// SHOW CACHE TABLES: what the cache holds of each table, counted when it is asked for. An entry
// counts for each table that it depends on.
#include "proxy/console/show.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cache/catalog.h"
#include "cache/ledger.h"
#include "cache/store.h"
#include "proxy/control/domain.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

struct slot_figures {
    uint64_t entries, bytes, hits;
};

// One domain being counted.
struct count {
    struct store *store;
    struct domain *domain;
    const struct table *table;
    uint32_t id;
    struct slot_figures *slots; // owns; LEDGER_SLOTS
    char target[DOMAIN_TARGET_BYTES];
};

static void count_entry(const struct entry *e, void *arg)
{
    struct count *c = arg;
    if (key_first_u32(entry_key(e)) != c->id)
        return;
    for (uint32_t i = 0; i < e->n_slots; i++) {
        struct slot_figures *f = &c->slots[e->slots[i]];
        f->entries++;
        f->bytes += entry_size(e);
        f->hits += e->hits;
    }
}

static void relation_row(const struct catalog_relation *r, void *arg)
{
    const struct count *c = arg;
    // Of those that read it as a whole, and of those that read rows of certain keys.
    const struct slot_figures *whole = &c->slots[r->slot];
    const struct slot_figures *rows = &c->slots[ledger_rows_slot(r->table)];
    const struct slot_figures *columns = &c->slots[ledger_columns_slot(r->table)];
    uint32_t events = ledger_events(domain_ledger(c->domain), r->slot);
    if (whole->entries + rows->entries + columns->entries == 0 && events == 0)
        return;
    char *schema = mem_strndup((const char *)r->schema.at, r->schema.len);
    char *name = mem_strndup((const char *)r->name.at, r->name.len);
    table_row(c->table, (struct cell[]){TEXT(c->target), TEXT(schema), TEXT(name),
                                        NUMBER(whole->entries + rows->entries + columns->entries),
                                        NUMBER(whole->bytes + rows->bytes + columns->bytes),
                                        NUMBER(whole->hits + rows->hits + columns->hits),
                                        NUMBER(events)});
    mem_free(schema);
    mem_free(name);
}

static void domain_rows(struct domain *domain, void *arg)
{
    struct count *c = arg;
    struct catalog *catalog = domain_catalog_ref(domain);
    if (catalog == NULL)
        return;
    c->domain = domain;
    c->id = domain_id(domain);
    c->slots = mem_zalloc(LEDGER_SLOTS * sizeof(*c->slots));
    domain_describe(domain, c->target);
    store_each(c->store, count_entry, c);
    catalog_each(catalog, relation_row, c);
    mem_free(c->slots);
    catalog_unref(&catalog);
}

static enum command_result cache_tables(struct client *client, struct table *table)
{
    struct pooler *pooler = client->worker->pooler;
    struct count count = {.store = pooler->store, .table = table};
    if (pooler->domains != NULL)
        domains_each(pooler->domains, domain_rows, &count);
    return COMMAND_DONE;
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

const struct show show_cache[] = {
    {"cache_tables",
     {"sssnnnn", COLUMNS("database", "schema", "table", "entries", "bytes", "hits",
                         "invalidations")},
     cache_tables, false},
    {NULL, {NULL, NULL}, NULL, false},
};
