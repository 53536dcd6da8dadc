// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/domain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/protection.h"
#include "cache/catalog.h"
#include "cache/ticket.h"
#include "cache/ledger.h"
#include "proxy/control/domain_inside.h"

enum {
    DOMAIN_TAG = 0xd0a1a100,
    DOMAINS_MAX = 1024,
    NAMES_MAX = 4096,
    NAME_BYTES_MAX = 63, // NAMEDATALEN - 1
};

struct name {
    struct hash_node node;
    size_t len;
    uint8_t bytes[];
};

struct domain {
    uint32_t tag;
    uint32_t id;
    struct domains *all; // borrows
    struct domain_target target; // owns its texts
    struct ledger *ledger;       // owns
    struct mailbox mailbox;
    _Atomic(struct domain *) canonical; // NULL: not identified
    _Atomic bool called;
    _Atomic bool hurried;
    _Atomic bool prepared_ddl; // ever
    _Atomic uint64_t catalog_version;
    _Atomic size_t names_version;
    _Atomic size_t names_loaded; // so many of them are in the catalog

    pthread_mutex_t lock; // guards what follows; held for a few instructions only
    struct catalog *catalog; // counts
    struct hash_table names;
    struct name *name_list[NAMES_MAX]; // owns; names_version of them, never removed
    struct domain_status status;
    struct sessions sessions;
    struct database_identity identity;
};

// The lock guards the list's growth. A domain once in the list stays at its place.
struct domains {
    pthread_mutex_t lock;
    void (*wake)(void *arg);
    void *arg;
    _Atomic size_t count;
    struct domain *at[DOMAINS_MAX]; // owns
};

// ---- All of them -------------------------------------------------------------------------------

struct domains *domains_new(void (*wake)(void *arg), void *arg)
{
    struct domains *all = mem_new(struct domains);
    CHECK(pthread_mutex_init(&all->lock, NULL) == 0);
    all->wake = wake;
    all->arg = arg;
    return all;
}

static void call(struct domain *d)
{
    if (!atomic_exchange(&d->called, true))
        d->all->wake(d->all->arg);
}

static void on_mail(void *arg)
{
    call(arg);
}

static char *copy(const char *text)
{
    return text == NULL ? NULL : mem_strdup(text);
}

static struct domain *domain_new(struct domains *all, const struct domain_target *target)
{
    struct domain *d = mem_new(struct domain);
    TAG_SET(d, DOMAIN_TAG);
    d->all = all;
    d->id = (uint32_t)all->count + 1;
    d->target = (struct domain_target){
        .host = mem_strdup(target->host == NULL ? "" : target->host),
        .port = target->port,
        .dbname = mem_strdup(target->dbname),
        .user = copy(target->user),
        .password = copy(target->password),
    };
    d->ledger = ledger_new();
    mailbox_init(&d->mailbox, on_mail, d);
    CHECK(pthread_mutex_init(&d->lock, NULL) == 0);
    return d;
}

// In no mail is anything that anybody still waits for: the workers are gone.
static void domain_free(struct domain *d)
{
    struct mail *next, *mail = mailbox_take_all(&d->mailbox);
    for (; mail != NULL; mail = next) {
        next = mail->next;
        if (mail->kind == DOMAIN_MAIL_TICKET)
            ticket_free(container_of(mail, struct ticket, mail));
        else
            mem_free(mail);
    }
    mailbox_fini(&d->mailbox);
    for (size_t i = 0; i < d->names_version; i++)
        mem_free(d->name_list[i]);
    hash_fini(&d->names);
    catalog_unref(&d->catalog);
    ledger_free(d->ledger);
    mem_free((char *)d->target.host);
    mem_free((char *)d->target.dbname);
    mem_free((char *)d->target.user);
    mem_free((char *)d->target.password);
    pthread_mutex_destroy(&d->lock);
    TAG_CLEAR(d);
    mem_free(d);
}

void domains_free(struct domains *all)
{
    for (size_t i = 0; i < all->count; i++)
        domain_free(all->at[i]);
    pthread_mutex_destroy(&all->lock);
    mem_free(all);
}

static struct domain *find(struct domains *all, const struct domain_target *t)
{
    const char *host = t->host == NULL ? "" : t->host;
    for (size_t i = 0; i < all->count; i++) {
        const struct domain_target *have = &all->at[i]->target;
        if (have->port == t->port && strcmp(have->host, host) == 0 &&
            strcmp(have->dbname, t->dbname) == 0)
            return all->at[i];
    }
    return NULL;
}

struct domain *domains_get(struct domains *all, const struct domain_target *target)
{
    pthread_mutex_lock(&all->lock);
    struct domain *d = find(all, target);
    bool is_new = d == NULL && all->count < DOMAINS_MAX;
    if (is_new) {
        d = domain_new(all, target);
        all->at[all->count] = d;
        all->count++;
    }
    pthread_mutex_unlock(&all->lock);
    if (is_new)
        call(d);
    return d;
}

size_t domains_count(struct domains *all)
{
    return all->count;
}

struct domain *domains_at(struct domains *all, size_t i)
{
    CHECK(i < all->count);
    return all->at[i];
}

// ---- Workers -----------------------------------------------------------------------------------

struct domain *domain_canonical(struct domain *d)
{
    struct domain *canonical = atomic_load(&d->canonical);
    return canonical == NULL ? d : canonical;
}

uint32_t domain_id(const struct domain *canonical)
{
    return canonical->id;
}

struct ledger *domain_ledger(struct domain *d)
{
    return domain_canonical(d)->ledger;
}

uint64_t domain_catalog_version(struct domain *d)
{
    return atomic_load(&domain_canonical(d)->catalog_version);
}

struct catalog *domain_catalog_ref(struct domain *d)
{
    d = domain_canonical(d);
    pthread_mutex_lock(&d->lock);
    struct catalog *catalog = d->catalog == NULL ? NULL : catalog_ref(d->catalog);
    pthread_mutex_unlock(&d->lock);
    return catalog;
}

// A name goes to the server as a parameter, which must be valid in the server's encoding or the
// whole query fails: ASCII, or UTF-8 as PostgreSQL defines it (RFC 3629).
static bool name_is_sound(struct slice name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len;) {
        uint8_t c = name.at[i];
        size_t more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
        if (c == 0 || more > name.len - i - 1)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((name.at[i + k] & 0xc0) != 0x80)
                return false;
        uint8_t second = more > 0 ? name.at[i + 1] : 0;
        if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
            (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

// Under the lock. True when the name is new.
static bool name_add(struct domain *d, struct slice name)
{
    uint64_t hash = hash_bytes(name.at, name.len);
    for (struct hash_node *n = hash_first(&d->names, hash); n != NULL; n = hash_next(n)) {
        struct name *have = container_of(n, struct name, node);
        if (slice_eq(slice_of(have->bytes, have->len), name))
            return false;
    }
    size_t count = d->names_version;
    if (count == NAMES_MAX)
        return false;
    struct name *new = mem_alloc(sizeof(*new) + name.len);
    new->len = name.len;
    memcpy(new->bytes, name.at, name.len);
    hash_insert(&d->names, &new->node, hash);
    d->name_list[count] = new;
    d->names_version = count + 1;
    return true;
}

bool domain_learns_names(struct domain *d)
{
    return domain_canonical(d)->names_version < NAMES_MAX;
}

bool domain_knows_names(struct domain *d)
{
    d = domain_canonical(d);
    return d->names_loaded == d->names_version;
}

void domain_want_names(struct domain *d, const struct slice *names, size_t n)
{
    d = domain_canonical(d);
    bool more = false;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++)
        more |= name_is_sound(names[i]) && name_add(d, names[i]);
    pthread_mutex_unlock(&d->lock);
    if (more)
        call(d);
}

// The flag stays up until the reading is sent, so the control thread is woken once a reading.
void domain_hurry(struct domain *d)
{
    d = domain_canonical(d);
    if (!atomic_load_explicit(&d->hurried, memory_order_relaxed) &&
        !atomic_exchange(&d->hurried, true))
        call(d);
}

static void mark(struct domain *d, const struct ticket_slots *slots, bool barrier,
                 uint32_t backend)
{
    ledger_close(d->ledger, slots->written, slots->n_written);
    ledger_close(d->ledger, slots->held, slots->n_held);
    if (barrier)
        ledger_raise_barrier(d->ledger);
    struct ticket *ticket = ticket_new(slots, barrier);
    ticket->mail.kind = DOMAIN_MAIL_TICKET;
    ticket->backend = backend;
    mailbox_post(&d->mailbox, &ticket->mail);
}

static void mark_ddl(struct domain *d, bool more)
{
    ledger_raise_barrier(d->ledger);
    if (more)
        ledger_flush(d->ledger);
    struct mail *mail = mem_new(struct mail);
    mail->kind = more ? DOMAIN_MAIL_DDL : DOMAIN_MAIL_DDL_OF_RELATIONS;
    mailbox_post(&d->mailbox, mail);
}

// It is not known which database this is. It may be one that is followed by another target, so
// every one of that name is stopped until the write is certainly behind it. One that is not
// followed is off, and an answered write is behind it before it is on; one in doubt may not be.
static void mark_namesakes(struct domain *d, bool ddl, uint32_t backend)
{
    struct domains *all = d->all;
    for (size_t i = 0; i < all->count; i++) {
        struct domain *canonical = atomic_load(&all->at[i]->canonical);
        if (canonical == NULL && backend != 0)
            canonical = all->at[i];
        if (canonical == NULL || strcmp(all->at[i]->target.dbname, d->target.dbname) != 0)
            continue;
        if (ddl)
            mark_ddl(canonical, true);
        else
            mark(canonical, &(struct ticket_slots){.n_written = 0}, true, backend);
    }
}

void domain_wrote(struct domain *d, const struct ticket_slots *slots, bool barrier)
{
    domain_in_doubt(d, slots, barrier, 0);
}

void domain_in_doubt(struct domain *d, const struct ticket_slots *slots, bool barrier,
                     uint32_t backend_pid)
{
    struct domain *canonical = atomic_load(&d->canonical);
    if (canonical == NULL)
        mark_namesakes(d, false, backend_pid);
    else
        mark(canonical, slots, barrier, backend_pid);
}

// On whatever server: that costs those of others some hits, once.
static void mark_all(struct domain *d)
{
    struct domains *all = d->all;
    for (size_t i = 0; i < all->count; i++)
        if (atomic_load(&all->at[i]->canonical) == all->at[i])
            mark_ddl(all->at[i], true);
}

void domain_ddl(struct domain *d, bool more, bool roles)
{
    struct domain *canonical = atomic_load(&d->canonical);
    if (roles)
        mark_all(d);
    else if (canonical == NULL)
        mark_namesakes(d, true, 0);
    else
        mark_ddl(canonical, more);
}

void domain_prepares_ddl(struct domain *d)
{
    atomic_store(&domain_canonical(d)->prepared_ddl, true);
}

bool domain_has_prepared_ddl(struct domain *d)
{
    return atomic_load(&domain_canonical(d)->prepared_ddl);
}

void domain_session_came(struct domain *d, struct database_identity where)
{
    pthread_mutex_lock(&d->lock);
    sessions_add(&d->sessions, where);
    pthread_mutex_unlock(&d->lock);
}

void domain_session_left(struct domain *d, struct database_identity where)
{
    pthread_mutex_lock(&d->lock);
    sessions_remove(&d->sessions, where);
    pthread_mutex_unlock(&d->lock);
}

bool domain_session_is_right(struct domain *d, struct database_identity where)
{
    pthread_mutex_lock(&d->lock);
    bool right = d->identity.started_us == 0 || database_identity_equal(d->identity, where);
    pthread_mutex_unlock(&d->lock);
    if (right || protection_is_off(PROTECTION_SERVER))
        return true;
    call(d); // it turns the ledger off; until then there is the barrier
    domain_wrote(d, &(struct ticket_slots){.n_written = 0}, true);
    return false;
}

// ---- The control thread ------------------------------------------------------------------------

const struct domain_target *domain_target(const struct domain *d)
{
    TAG_CHECK(d, DOMAIN_TAG);
    return &d->target;
}

struct ledger *domain_own_ledger(struct domain *d)
{
    return d->ledger;
}

bool domain_take_call(struct domain *d)
{
    return atomic_exchange(&d->called, false);
}

struct mail *domain_take_mail(struct domain *d)
{
    return mailbox_take_all(&d->mailbox);
}

bool domain_hurried(struct domain *d)
{
    return atomic_load(&d->hurried);
}

void domain_unhurry(struct domain *d)
{
    atomic_store(&d->hurried, false);
}

size_t domain_names_version(struct domain *d)
{
    return d->names_version;
}

size_t domain_names(struct domain *d, struct slice *out, size_t max)
{
    pthread_mutex_lock(&d->lock);
    size_t n = d->names_version < max ? d->names_version : max;
    for (size_t i = 0; i < n; i++)
        out[i] = slice_of(d->name_list[i]->bytes, d->name_list[i]->len);
    pthread_mutex_unlock(&d->lock);
    return n;
}

void domain_set_identity(struct domain *d, struct database_identity identity)
{
    pthread_mutex_lock(&d->lock);
    d->identity = identity;
    pthread_mutex_unlock(&d->lock);
}

bool domain_strays(struct domain *d)
{
    pthread_mutex_lock(&d->lock);
    bool strays = d->identity.started_us != 0 && sessions_stray(&d->sessions, d->identity);
    pthread_mutex_unlock(&d->lock);
    return strays && !protection_is_off(PROTECTION_SERVER);
}

void domain_set_canonical(struct domain *d, struct domain *canonical)
{
    atomic_store(&d->canonical, canonical);
}

void domain_publish(struct domain *d, struct catalog *catalog, size_t names)
{
    pthread_mutex_lock(&d->lock);
    struct catalog *old = d->catalog;
    d->catalog = catalog;
    atomic_store(&d->catalog_version, catalog_version(catalog));
    atomic_store(&d->names_loaded, names);
    pthread_mutex_unlock(&d->lock);
    catalog_unref(&old);
}

void domain_set_status(struct domain *d, const struct domain_status *status)
{
    pthread_mutex_lock(&d->lock);
    d->status = *status;
    pthread_mutex_unlock(&d->lock);
}

// ---- Figures -----------------------------------------------------------------------------------

void domain_describe(struct domain *d, char *text)
{
    snprintf(text, DOMAIN_TARGET_BYTES, "%.63s@%.200s:%d", d->target.dbname, d->target.host,
             d->target.port);
}

void domains_each(struct domains *all, void (*visit)(struct domain *domain, void *arg), void *arg)
{
    for (size_t i = 0; i < all->count; i++)
        if (domain_canonical(all->at[i]) == all->at[i])
            visit(all->at[i], arg);
}

static void flush_slots(struct domain *d, const uint32_t *slots, uint32_t n, bool *flushed)
{
    for (uint32_t i = 0; i < n; i++)
        flushed[slots[i]] = true;
    ledger_forget(domain_ledger(d), slots, n, clock_us());
    domain_wrote(d, &(struct ticket_slots){.written = slots, .n_written = n}, false);
}

struct flush {
    struct domain *domain;
    bool *flushed;
};

// What reads rows of a relation by their keys depends on other slots than what reads it as a whole.
static void flush_rows(const struct catalog_relation *r, void *arg)
{
    const struct flush *f = arg;
    const uint32_t rows[] = {ledger_rows_slot(r->key.table), ledger_columns_slot(r->key.table)};
    if (f->flushed[r->slot])
        flush_slots(f->domain, rows, 2, f->flushed);
}

void domain_flush_all(struct domain *d)
{
    ledger_forget(domain_ledger(d), NULL, 0, clock_us());
}

bool domain_flush(struct domain *d, struct slice schema, struct slice table, bool *flushed)
{
    struct catalog *catalog = domain_catalog_ref(d);
    const struct catalog_relation *relation;
    bool known = catalog != NULL &&
                 catalog_find(catalog, schema, table, &relation) == CATALOG_FOUND;
    if (known) {
        // Of a view, what it reads; of a table, those below it, too.
        flush_slots(d, &relation->slot, 1, flushed);
        if (relation->read_count > 0)
            flush_slots(d, relation->reads, relation->read_count, flushed);
        catalog_each(catalog, flush_rows, &(struct flush){d, flushed});
    }
    catalog_unref(&catalog);
    return known;
}

static void status_of(struct domain *d, struct domain_status *out)
{
    pthread_mutex_lock(&d->lock);
    *out = d->status;
    pthread_mutex_unlock(&d->lock);
    domain_describe(d, out->target);
    out->id = d->id;
    out->canonical_id = domain_canonical(d)->id;
    bool on = ledger_is_on(d->ledger);
    int64_t fresh_us = ledger_fresh_us(d->ledger);
    out->stable = on ? ledger_stable(d->ledger) : 0;
    out->fresh_age_us = on && fresh_us != INT64_MIN ? clock_us() - fresh_us : -1;
    out->names = d->names_version;
}

void domains_status(struct domains *all, void (*visit)(const struct domain_status *, void *),
                    void *arg)
{
    for (size_t i = 0; i < all->count; i++) {
        struct domain_status status;
        status_of(all->at[i], &status);
        visit(&status, arg);
    }
}
