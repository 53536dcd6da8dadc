// SPDX-License-Identifier: Apache-2.0
// Single flight as a story of random interleavings: clients on several workers ask, lead, follow,
// leave, fail and are told, while writes make older answers worthless. Checked at every step: what
// is served began late enough for who asked; and in the end nobody waits.
#include "cache/flight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cache/fill.h"
#include "cache/store.h"

enum { CLIENTS = 24, WORKERS = 3, KEYS = 3, MAILS = 4096 };

struct person {
    enum { RESTS, ASKS, LEADS, RUNS, FOLLOWS } state;
    unsigned key;
    bool alone;
    uint64_t asked;    // the position when the question came: what is served must be as new
    uint64_t from;     // of its run
    bool sees;         // ... and what the server will give; else it fails
    struct flight *flight;
    uint64_t followed;
};

struct letter {
    unsigned worker;
    uint64_t number;
    enum flight_end end;
};

struct world {
    struct store *store;
    struct person people[CLIENTS];
    struct letter mail[MAILS];
    size_t mails;
    uint64_t position[KEYS]; // of the newest write, acknowledged
    uint64_t now;
    unsigned runs, served, led_again;
};

static struct buf key_buf;

static struct slice key_of(unsigned key, struct key_hash *hash)
{
    key_begin(&key_buf);
    key_u32(&key_buf, key);
    *hash = key_end(&key_buf);
    return buf_slice(&key_buf);
}

static void post(struct world *w, uint64_t workers, uint64_t number, enum flight_end end)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (workers >> i & 1) {
            assert_true(w->mails < MAILS);
            w->mail[w->mails++] = (struct letter){i, number, end};
        }
}

static void end(struct world *w, struct person *p, enum flight_end how)
{
    if (p->flight == NULL)
        return;
    uint64_t number = p->flight->number;
    uint64_t workers = store_flight_end(w->store, &p->flight, how);
    assert_null(p->flight);
    post(w, workers, number, how);
}

static void rest(struct person *p)
{
    p->state = RESTS;
    p->alone = false;
}

static void ask(struct world *w, struct person *p)
{
    struct key_hash hash;
    struct slice key = key_of(p->key, &hash);
    struct entry *e = store_get(w->store, key, hash);
    if (e != NULL && e->stamp.from >= w->position[p->key]) {
        assert_true(e->stamp.from >= p->asked);
        w->served++;
        rest(p);
        entry_unref(&e);
        return;
    }
    if (e != NULL)
        store_drop(w->store, e);
    entry_unref(&e);
    struct flight_ask a = {.worker = (unsigned)(p - w->people) % WORKERS, .may_follow = !p->alone,
                           .known.need.from = w->position[p->key]};
    switch (store_join(w->store, key, hash, &a, &p->flight, &p->followed)) {
    case STORE_LEAD:
    case STORE_ALONE:
        p->state = LEADS;
        return;
    case STORE_FOLLOW:
        p->state = FOLLOWS;
        return;
    case STORE_LANDED:
        fail();
    }
}

static void start(struct world *w, struct person *p)
{
    p->from = w->now;
    if (p->flight != NULL)
        store_flight_start(w->store, p->flight, (struct stamp){.from = p->from});
    p->state = RUNS;
    w->runs++;
}

static void finish(struct world *w, struct person *p)
{
    struct key_hash hash;
    struct slice key = key_of(p->key, &hash);
    uint32_t slot = p->key;
    struct fill *f = fill_begin(&(struct fill_plan){
        .key = key, .hash = hash, .stamp = {.from = p->from}, .slots = &slot, .n_slots = 1,
        .max_bytes = 100});
    struct entry *e = fill_commit(&f, 0);
    assert_true(store_put(w->store, e));
    entry_unref(&e);
    end(w, p, FLIGHT_STORED);
    rest(p);
}

static void leave(struct world *w, struct person *p, enum flight_end how)
{
    end(w, p, how);
    rest(p);
}

static void deliver(struct world *w, size_t which)
{
    struct letter letter = w->mail[which];
    w->mail[which] = w->mail[--w->mails];
    for (unsigned i = letter.worker; i < CLIENTS; i += WORKERS) {
        struct person *p = &w->people[i];
        if (p->state != FOLLOWS || p->followed != letter.number)
            continue;
        p->alone |= letter.end == FLIGHT_FAILED;
        p->state = ASKS;
        w->led_again += letter.end == FLIGHT_LEFT;
    }
}

static void step(struct world *w, bool calm)
{
    struct person *p = &w->people[rand() % CLIENTS];
    int dice = rand() % 20;
    if (dice < 4 && w->mails > 0) {
        deliver(w, (size_t)rand() % w->mails);
        return;
    }
    if (dice == 4 && !calm) { // a write, acknowledged at once
        w->position[rand() % KEYS] = ++w->now;
        return;
    }
    switch (p->state) {
    case RESTS:
        p->key = (unsigned)rand() % KEYS;
        p->asked = w->position[p->key];
        p->state = ASKS;
        return;
    case ASKS:
        ask(w, p);
        return;
    case LEADS:
        if (dice < 18 || calm)
            start(w, p);
        else
            leave(w, p, FLIGHT_LEFT);
        return;
    case RUNS:
        if (dice < 15 || calm)
            finish(w, p);
        else
            leave(w, p, dice < 18 ? FLIGHT_LEFT : FLIGHT_FAILED);
        return;
    case FOLLOWS:
        if (dice == 19 && !calm)
            rest(p); // it has left; whatever is told of it later finds nobody
        return;
    }
}

static void drain(struct world *w)
{
    for (int i = 0; i < 100000; i++) {
        struct person *p = &w->people[rand() % CLIENTS];
        if (p->state != RESTS)
            step(w, true);
    }
    for (unsigned turn = 0; turn < CLIENTS * 4; turn++) {
        while (w->mails > 0)
            deliver(w, 0);
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct person *p = &w->people[i];
            if (p->state == ASKS)
                ask(w, p);
            if (p->state == LEADS)
                start(w, p);
            if (p->state == RUNS)
                finish(w, p);
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(w->people[i].state, RESTS);
    assert_int_equal(w->mails, 0);
}

static void nobody_waits_for_ever(void **state)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        srand(seed);
        struct world *w = calloc(1, sizeof(*w));
        w->store = store_new(1 << 20, seed % 3 + 1);
        for (int i = 0; i < 20000; i++)
            step(w, false);
        drain(w);
        assert_true(w->served > 1000 && w->runs > 100 && w->led_again > 10);
        store_free(w->store);
        free(w);
    }
}

// Without writes and failures each key is run once, however the steps fall.
static void each_key_runs_once(void **state)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        srand(seed);
        struct world *w = calloc(1, sizeof(*w));
        w->store = store_new(1 << 20, 2);
        for (int i = 0; i < 20000; i++)
            step(w, true);
        drain(w);
        assert_int_equal(w->runs, KEYS);
        store_free(w->store);
        free(w);
    }
}

struct one { // a table of flights, by hand
    struct flights flights;
    struct flight flights_of[4];
    uint64_t number;
};

static enum flight_answer join_touched(struct one *o, unsigned who, unsigned worker, uint64_t need,
                                       uint64_t touched)
{
    struct flight_ask a = {.worker = worker, .may_follow = true,
                           .known = {.need.from = need, .touched = touched}};
    return flights_join(&o->flights, (struct key_hash){1, 2}, &a, &o->flights_of[who], &o->number);
}

static enum flight_answer join(struct one *o, unsigned who, unsigned worker, uint64_t need)
{
    return join_touched(o, who, worker, need, 0);
}

// The places of two writes may be the same: what was touched since it began tells them apart.
static void a_passing_run_is_for_who_knows_of_no_other_write(void **state)
{
    struct one o = {.number = 0};
    assert_int_equal(join_touched(&o, 0, 0, 5, 1), FLIGHT_LEAD);
    flights_pass(&o.flights, &o.flights_of[0],
                 &(struct ledger_known){.settled = true, .need.from = 5, .touched = 1});
    assert_int_equal(join_touched(&o, 1, 1, 5, 1), FLIGHT_FOLLOW);
    assert_int_equal(join_touched(&o, 1, 1, 5, 2), FLIGHT_LEAD);
    flights_start(&o.flights, &o.flights_of[1], (struct stamp){.from = 5});
    assert_int_equal(join_touched(&o, 2, 2, 5, 3), FLIGHT_FOLLOW); // that one is kept, and judged
    assert_int_equal(flights_end(&o.flights, &o.flights_of[0], FLIGHT_HANDED), 1 << 1);
    assert_int_equal(flights_end(&o.flights, &o.flights_of[1], FLIGHT_STORED), 1 << 2);
    flights_fini(&o.flights);
}

static void a_run_that_is_too_old_is_not_followed(void **state)
{
    struct one o = {.number = 0};
    assert_int_equal(join(&o, 0, 0, 5), FLIGHT_LEAD);
    uint64_t first = o.flights_of[0].number;
    assert_int_equal(join(&o, 1, 1, 9), FLIGHT_FOLLOW); // its stamp is still to come
    assert_int_equal(o.number, first);
    flights_start(&o.flights, &o.flights_of[0], (struct stamp){.from = 9});
    assert_int_equal(join(&o, 1, 1, 9), FLIGHT_FOLLOW);
    assert_int_equal(join(&o, 1, 2, 10), FLIGHT_LEAD); // a write came: a new run
    assert_int_equal(join(&o, 2, 63, 10), FLIGHT_FOLLOW);
    assert_int_equal(o.number, o.flights_of[1].number);
    // The old one still tells its own.
    assert_int_equal(flights_end(&o.flights, &o.flights_of[0], FLIGHT_STORED), 1 << 1);
    assert_int_equal(join(&o, 2, 3, 10), FLIGHT_FOLLOW);
    assert_true(flights_end(&o.flights, &o.flights_of[1], FLIGHT_LEFT) ==
                (UINT64_C(1) << 63 | 1 << 3));
    assert_int_equal(join(&o, 2, 0, 10), FLIGHT_LEAD);
    flights_start(&o.flights, &o.flights_of[2], (struct stamp){.epoch = 2, .from = 99});
    assert_int_equal(join(&o, 3, 0, 10), FLIGHT_LEAD); // of another epoch
    flights_end(&o.flights, &o.flights_of[2], FLIGHT_STORED);
    flights_end(&o.flights, &o.flights_of[3], FLIGHT_STORED);
    flights_fini(&o.flights);
}

static void what_failed_is_not_waited_for(void **state)
{
    struct one o = {.number = 0};
    assert_int_equal(join(&o, 0, 0, 0), FLIGHT_LEAD);
    flights_end(&o.flights, &o.flights_of[0], FLIGHT_FAILED);
    assert_int_equal(join(&o, 0, 0, 0), FLIGHT_ALONE);
    assert_int_equal(join(&o, 0, 0, 0), FLIGHT_ALONE);
    flights_stored(&o.flights, 1); // one of them went well
    assert_int_equal(join(&o, 0, 0, 0), FLIGHT_LEAD);
    flights_end(&o.flights, &o.flights_of[0], FLIGHT_STORED);
    flights_fini(&o.flights);
}

static int tear_down(void **state)
{
    buf_fini(&key_buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_is_too_old_is_not_followed),
        cmocka_unit_test(a_passing_run_is_for_who_knows_of_no_other_write),
        cmocka_unit_test(what_failed_is_not_waited_for),
        cmocka_unit_test(each_key_runs_once),
        cmocka_unit_test(nobody_waits_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
