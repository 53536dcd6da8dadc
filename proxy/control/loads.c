// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/loads.h"

#include "proxy/control/domain_inside.h"

void loads_init(struct loads *l, struct domain *domain, struct ledger *ledger)
{
    *l = (struct loads){
        .domain = domain, .ledger = ledger, .sent_us = INT64_MIN / 2, .first = true};
}

static bool wanted(const struct loads *l)
{
    return l->schema_changed || l->ddl_waiting > 0 ||
           l->names_loaded != domain_names_version(l->domain);
}

void loads_own_ddl(struct loads *l, bool more)
{
    l->more_changed |= more;
    l->ddl_waiting++;
}

int64_t loads_due_us(const struct loads *l)
{
    return wanted(l) ? l->sent_us + 3 * l->took_us : INT64_MAX;
}

// Names are ASCII or UTF-8. On a server of another encoding the latter would mean something else,
// or be an error that spoils the whole load: they stay unknown, and their statements uncached.
size_t loads_begin(struct loads *l, bool utf8, int64_t now_us, struct slice *names)
{
    size_t n = domain_names(l->domain, names, LOADS_NAMES_MAX), kept = 0;
    l->names_loaded = n;
    for (size_t i = 0; i < n; i++)
        if (utf8 || slice_is_ascii(names[i]))
            names[kept++] = names[i];
    l->flush = l->schema_changed || l->more_changed;
    l->schema_changed = l->more_changed = false;
    l->ddl_riding += l->ddl_waiting;
    l->ddl_waiting = 0;
    l->sent_us = now_us;
    l->version++;
    return kept;
}

static void lower(struct loads *l, size_t *barriers)
{
    for (; *barriers > 0; --*barriers)
        ledger_lower_barrier(l->ledger);
}

// The new catalog is in force before the entries made by the old one die, and both before hits may
// happen again behind own DDL: see domain.h.
bool loads_end(struct loads *l, bool changed, int64_t now_us)
{
    l->took_us = l->first ? 0 : now_us - l->sent_us;
    l->first = false;
    bool flush = l->flush || changed;
    if (flush)
        ledger_flush(l->ledger);
    lower(l, &l->ddl_riding);
    return flush;
}

void loads_lost(struct loads *l)
{
    lower(l, &l->ddl_waiting);
    lower(l, &l->ddl_riding);
    l->schema_changed = true;
    l->first = true;
}
