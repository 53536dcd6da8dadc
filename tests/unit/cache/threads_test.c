// SPDX-License-Identifier: Apache-2.0
// Ledger and store under several threads at once, with the real atomics; meant for TSan too.
// The database is one number for each of a few tables. A "server" mutex makes a write visible in
// one step; everything around it (close, event, settle, stable) races as it does in the proxy.
// Checked: a hit is never older than the last write acknowledged before it was judged (P4).
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cache/fill.h"
#include "cache/ledger.h"
#include "cache/store.h"

enum { TABLES = 4, READERS = 2, WRITERS = 2, ROUNDS = 100000, BOUND_US = 1000000 };
enum { HELD = 1 << 8, WIDE = 1024 };

struct shared {
    struct ledger *ledger;
    struct store *store;
    pthread_barrier_t start;
    pthread_mutex_t server;
    uint64_t position;              // under server: the WAL
    uint64_t value[TABLES];         // under server
    _Atomic uint64_t acked[TABLES]; // newest acknowledged value
    pthread_mutex_t mail_lock;      // tables of own writes, for the control thread
    uint32_t mail[1 << 17];         // a table, and perhaps HELD
    size_t n_mail;
    _Atomic int running; // readers and writers
    _Atomic uint64_t hits;
    _Atomic uint64_t wrong;
};

struct part {
    struct shared *shared;
    unsigned random;
    pthread_t thread;
};

static const char *const names[TABLES] = {"a", "b", "c", "d"};

// An entry depends on a key of a table. A write closes the key's slot, or holds the table's rows
// slot until an event has raised the key's.
static uint32_t slot_of(uint32_t table)
{
    const uint64_t key = 5;
    return ledger_key_slot(ledger_table(slice_str("public"), slice_str(names[table])), &key, 1);
}

static uint32_t rows_of(uint32_t table)
{
    return ledger_rows_slot(ledger_table(slice_str("public"), slice_str(names[table])));
}

static struct slice key_of(struct buf *key, uint32_t table, struct key_hash *hash)
{
    key_begin(key);
    key_u32(key, table);
    *hash = key_end(key);
    return buf_slice(key);
}

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
    uint64_t old = atomic_load(at);
    while (old < value && !atomic_compare_exchange_weak(at, &old, value))
        continue;
}

static void *writer(void *arg)
{
    struct part *p = arg;
    struct shared *s = p->shared;
    pthread_barrier_wait(&s->start);
    for (int i = 0; i < ROUNDS / 20; i++) {
        for (int pause = rand_r(&p->random) % 4; pause > 0; pause--)
            sched_yield();
        uint32_t table = (uint32_t)rand_r(&p->random) % TABLES;
        uint32_t held = rand_r(&p->random) % 2 ? HELD : 0;
        uint32_t slot = held ? rows_of(table) : slot_of(table);
        pthread_mutex_lock(&s->server);
        s->position++;
        uint64_t value = ++s->value[table];
        pthread_mutex_unlock(&s->server);
        ledger_close(s->ledger, &slot, 1);
        pthread_mutex_lock(&s->mail_lock);
        s->mail[s->n_mail++] = table | held;
        pthread_mutex_unlock(&s->mail_lock);
        raise_to(&s->acked[table], value);
        if (i % 500 == 0)
            ledger_flush(s->ledger);
    }
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

static void fill(struct shared *s, struct slice key, struct key_hash hash, uint32_t table)
{
    struct stamp stamp;
    uint32_t slots[WIDE]; // the key first, the rows last: what is in between gives a race its time
    for (uint32_t i = 0; i < WIDE; i++)
        slots[i] = i == 0 ? slot_of(table) : i == WIDE - 1 ? rows_of(table) : 7 * i;
    if (!ledger_stamp(s->ledger, &stamp))
        return;
    pthread_mutex_lock(&s->server);
    uint64_t value = s->value[table];
    pthread_mutex_unlock(&s->server);
    struct fill *f = fill_begin(&(struct fill_plan){
        .key = key, .hash = hash, .stamp = stamp, .slots = slots, .n_slots = WIDE,
        .max_bytes = 100});
    fill_append(f, slice_of(&value, sizeof(value)));
    struct entry *e = fill_commit(&f, 0);
    store_put(s->store, e);
    entry_unref(&e);
}

static void *reader(void *arg)
{
    struct part *p = arg;
    struct shared *s = p->shared;
    pthread_barrier_wait(&s->start);
    struct buf key_buf = {0};
    // On a busy machine the control thread may come late: without it nothing is fresh.
    for (int i = 0; i < ROUNDS || (i < 100 * ROUNDS && atomic_load(&s->hits) < ROUNDS / 100); i++) {
        uint32_t table = (uint32_t)rand_r(&p->random) % TABLES;
        struct key_hash hash;
        struct slice key = key_of(&key_buf, table, &hash);
        struct entry *e = store_get(s->store, key, hash);
        if (e == NULL) {
            fill(s, key, hash, table);
            continue;
        }
        uint64_t acked = atomic_load(&s->acked[table]), value;
        memcpy(&value, entry_body(e).at, sizeof(value));
        enum ledger_verdict verdict = entry_judge(e, s->ledger, 0, BOUND_US, INT64_MIN);
        if (verdict == LEDGER_OK) {
            atomic_fetch_add(&s->hits, 1);
            atomic_fetch_add(&s->wrong, value < acked);
        } else if (verdict == LEDGER_DEAD) {
            store_drop(s->store, e);
            fill(s, key, hash, table);
        }
        entry_unref(&e);
    }
    buf_fini(&key_buf);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

// Places own writes, moves stable, and now and then loses everything.
static void *control(void *arg)
{
    struct part *p = arg;
    struct shared *s = p->shared;
    pthread_barrier_wait(&s->start);
    for (size_t done = 0, turn = 1;; turn++) {
        bool last = atomic_load(&s->running) == 0;
        pthread_mutex_lock(&s->mail_lock);
        size_t n = s->n_mail;
        pthread_mutex_unlock(&s->mail_lock);
        pthread_mutex_lock(&s->server);
        uint64_t position = s->position; // all of the mail was written before
        pthread_mutex_unlock(&s->server);
        bool off = turn % 1000 == 0;
        if (off)
            ledger_turn_off(s->ledger, LEDGER_OFF_STREAM_LOST);
        for (; done < n; done++) {
            uint32_t table = s->mail[done] & ~(uint32_t)HELD;
            uint32_t slot = slot_of(table), rows = rows_of(table);
            if (!(s->mail[done] & HELD)) {
                ledger_settle(s->ledger, &slot, 1, off ? 0 : position);
                continue;
            }
            if (!off)
                ledger_event(s->ledger, slot, position);
            ledger_open(s->ledger, &rows, 1);
        }
        if (off) {
            ledger_reset(s->ledger);
            ledger_turn_on(s->ledger, position);
        }
        ledger_advance(s->ledger, position);
        ledger_freshen(s->ledger, 0);
        if (last)
            return NULL;
    }
}

static void acknowledged_writes_are_seen(void **state)
{
    struct shared *s = calloc(1, sizeof(*s));
    s->ledger = ledger_new();
    s->store = store_new(1 << 20, 4);
    pthread_barrier_init(&s->start, NULL, READERS + WRITERS + 1);
    pthread_mutex_init(&s->server, NULL);
    pthread_mutex_init(&s->mail_lock, NULL);
    ledger_turn_on(s->ledger, 0);
    atomic_store(&s->running, READERS + WRITERS);
    struct part parts[READERS + WRITERS + 1];
    for (unsigned i = 0; i < READERS + WRITERS + 1; i++) {
        parts[i] = (struct part){.shared = s, .random = i + 1};
        void *(*run)(void *) = i < READERS ? reader : i < READERS + WRITERS ? writer : control;
        assert_int_equal(pthread_create(&parts[i].thread, NULL, run, &parts[i]), 0);
    }
    for (unsigned i = 0; i < READERS + WRITERS + 1; i++)
        pthread_join(parts[i].thread, NULL);
    print_message("%lu hits\n", atomic_load(&s->hits));
    assert_int_equal(atomic_load(&s->wrong), 0);
    assert_true(atomic_load(&s->hits) > 0);
    store_free(s->store);
    ledger_free(s->ledger);
    free(s);
}

// ---- single flight ------------------------------------------------------------------------------

enum { PEOPLE = 4, QUESTIONS = 20000, LETTERS = PEOPLE * QUESTIONS * 2 };

struct office { // one for each thread: ends of flights that it is told of
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint64_t *told;
    size_t n_told;
};

struct town {
    struct store *store;
    struct office offices[PEOPLE];
    _Atomic uint64_t runs, follows, hits;
};

struct citizen {
    struct town *town;
    unsigned number;
    unsigned random;
    size_t read; // letters
    pthread_t thread;
};

static void tell(struct town *town, uint64_t workers, uint64_t flight)
{
    for (unsigned i = 0; i < PEOPLE; i++) {
        if ((workers >> i & 1) == 0)
            continue;
        struct office *office = &town->offices[i];
        pthread_mutex_lock(&office->lock);
        office->told[office->n_told++] = flight;
        pthread_cond_signal(&office->news);
        pthread_mutex_unlock(&office->lock);
    }
}

// Letters of flights that it follows no more are skipped; the one that it waits for must come.
static void wait_for(struct citizen *c, uint64_t flight)
{
    struct office *office = &c->town->offices[c->number];
    pthread_mutex_lock(&office->lock);
    for (;;) {
        while (c->read == office->n_told)
            pthread_cond_wait(&office->news, &office->lock);
        if (office->told[c->read++] == flight)
            break;
    }
    pthread_mutex_unlock(&office->lock);
}

static void run_it(struct citizen *c, struct slice key, struct key_hash hash, struct flight *flight)
{
    struct town *town = c->town;
    uint64_t number = flight ? flight->number : 0;
    static const enum flight_end ends[] = {FLIGHT_FAILED, FLIGHT_LEFT, FLIGHT_STORED};
    int how = rand_r(&c->random) % 8;
    if (flight != NULL)
        store_flight_start(town->store, flight, (struct stamp){0});
    if (how > 2)
        sched_yield();
    if (how > 1) {
        struct fill *f = fill_begin(&(struct fill_plan){.key = key, .hash = hash, .max_bytes = 10});
        struct entry *e = fill_commit(&f, 0);
        store_put(town->store, e);
        entry_unref(&e);
    }
    if (flight != NULL)
        tell(town, store_flight_end(town->store, &flight, ends[how > 2 ? 2 : how]), number);
    atomic_fetch_add(&town->runs, 1);
}

static void *live(void *arg)
{
    struct citizen *c = arg;
    struct buf key_buf = {0};
    for (int i = 0; i < QUESTIONS; i++) {
        struct key_hash hash;
        struct slice key = key_of(&key_buf, (uint32_t)rand_r(&c->random) % 3, &hash);
        struct entry *e = store_get(c->town->store, key, hash);
        if (e != NULL) {
            atomic_fetch_add(&c->town->hits, 1);
            if (rand_r(&c->random) % 4 == 0)
                store_drop(c->town->store, e);
            entry_unref(&e);
            continue;
        }
        struct flight_ask ask = {.worker = c->number, .may_follow = true};
        struct flight *flight = NULL;
        uint64_t number = 0;
        switch (store_join(c->town->store, key, hash, &ask, &flight, &number)) {
        case STORE_LEAD:
        case STORE_ALONE:
            run_it(c, key, hash, flight);
            break;
        case STORE_FOLLOW:
            atomic_fetch_add(&c->town->follows, 1);
            wait_for(c, number);
            break;
        case STORE_LANDED:
            break;
        }
    }
    buf_fini(&key_buf);
    return NULL;
}

static void who_follows_is_always_told(void **state)
{
    struct town *town = calloc(1, sizeof(*town));
    town->store = store_new(1 << 20, 2);
    struct citizen people[PEOPLE];
    for (unsigned i = 0; i < PEOPLE; i++) {
        pthread_mutex_init(&town->offices[i].lock, NULL);
        pthread_cond_init(&town->offices[i].news, NULL);
        town->offices[i].told = calloc(LETTERS, sizeof(uint64_t));
    }
    for (unsigned i = 0; i < PEOPLE; i++) {
        people[i] = (struct citizen){.town = town, .number = i, .random = i + 1};
        assert_int_equal(pthread_create(&people[i].thread, NULL, live, &people[i]), 0);
    }
    for (unsigned i = 0; i < PEOPLE; i++)
        pthread_join(people[i].thread, NULL); // hangs if somebody is forgotten
    print_message("%lu runs, %lu follow, %lu hits\n", atomic_load(&town->runs),
                  atomic_load(&town->follows), atomic_load(&town->hits));
    assert_true(atomic_load(&town->runs) > 0 && atomic_load(&town->hits) > 0);
    for (unsigned i = 0; i < PEOPLE; i++)
        free(town->offices[i].told);
    store_free(town->store);
    free(town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_writes_are_seen),
        cmocka_unit_test(who_follows_is_always_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
