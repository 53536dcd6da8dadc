// SPDX-License-Identifier: Apache-2.0
// Which replies does the store keep? Traces of questions, answered by the real store (libcache, one
// shard) and by models of other policies, all with the same bytes to spend. Printed: of what the
// server would have taken for all of them, the part in percent that hits saved; where all replies
// cost and weigh the same, that is the hit ratio. No server, no network: `make bench-eviction`.
//
// Models: LRU; S3-FIFO (small queue of a tenth, 2 bits, ghosts); GDSF (greedy dual size frequency);
// W-TinyLFU (window of a hundredth, segmented LRU, 4 bit sketch). `best` knows the future: with
// equal replies it is Belady's optimum with the right to pass; else a greedy one, by cost for each
// byte and step until the next question, with 64 samples: a mark to look up to, not a bound.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cache/fill.h"
#include "cache/store.h"
#include "bench/eviction_traces.h"

// ---- lists of keys, by index -------------------------------------------------------------------

struct order {
    uint32_t *before, *after; // KEYS is the head
    double bytes;
    uint32_t count;
};

static struct order order_new(void)
{
    struct order o = {.before = calloc(KEYS + 1, 4), .after = calloc(KEYS + 1, 4)};
    o.before[KEYS] = o.after[KEYS] = KEYS;
    return o;
}

static void order_free(struct order *o)
{
    free(o->before), free(o->after);
}

static void push(const struct world *w, struct order *o, uint32_t key)
{
    uint32_t last = o->before[KEYS];
    o->after[last] = o->before[KEYS] = key;
    o->before[key] = last;
    o->after[key] = KEYS;
    o->bytes += w->weight[key];
    o->count++;
}

static void drop(const struct world *w, struct order *o, uint32_t key)
{
    o->after[o->before[key]] = o->after[key];
    o->before[o->after[key]] = o->before[key];
    o->bytes -= w->weight[key];
    o->count--;
}

static uint32_t oldest(const struct order *o) { return o->after[KEYS]; }

static bool too_large(const struct world *w, uint32_t key, double budget)
{
    return w->weight[key] > budget / LARGEST_SHARE;
}

// ---- LRU, S3-FIFO ------------------------------------------------------------------------------

static double lru(const struct world *w, double budget)
{
    struct order all = order_new();
    bool *in = calloc(KEYS, sizeof(*in));
    double saved = 0;
    for (size_t i = 0; i < w->length; i++) {
        uint32_t key = w->trace[i];
        if (in[key]) {
            saved += w->cost[key];
            drop(w, &all, key);
        } else if (too_large(w, key, budget)) {
            continue;
        }
        in[key] = true;
        while (all.bytes + w->weight[key] > budget) {
            in[oldest(&all)] = false;
            drop(w, &all, oldest(&all));
        }
        push(w, &all, key);
    }
    order_free(&all);
    free(in);
    return saved;
}

enum { GHOSTS = 2048, OUT = 0, SMALL, MAIN, PROTECTED };

struct s3 {
    struct order small, main;
    uint8_t *in, *frequency;
    uint32_t ghosts[GHOSTS];
};

static uint32_t *ghost_of(struct s3 *s, uint32_t key)
{
    return &s->ghosts[(key * 2654435761u >> 8) % GHOSTS];
}

static void s3_evict(const struct world *w, struct s3 *s, double budget)
{
    bool small = s->small.count > 0 && (s->small.bytes > budget / 10 || s->main.count == 0);
    struct order *from = small ? &s->small : &s->main;
    uint32_t key = oldest(from);
    drop(w, from, key);
    if (s->frequency[key] > 0) {
        s->frequency[key] = small ? 0 : (uint8_t)(s->frequency[key] - 1);
        s->in[key] = MAIN;
        push(w, &s->main, key);
        return;
    }
    s->in[key] = OUT;
    if (small)
        *ghost_of(s, key) = key + 1;
}

static double s3_fifo(const struct world *w, double budget)
{
    struct s3 s = {order_new(), order_new(), calloc(KEYS, 1), calloc(KEYS, 1), {0}};
    double saved = 0;
    for (size_t i = 0; i < w->length; i++) {
        uint32_t key = w->trace[i];
        if (s.in[key] != OUT) {
            saved += w->cost[key];
            s.frequency[key] += s.frequency[key] < 3;
            continue;
        }
        if (too_large(w, key, budget))
            continue;
        s.in[key] = *ghost_of(&s, key) == key + 1 ? MAIN : SMALL;
        s.frequency[key] = 0;
        while (s.small.bytes + s.main.bytes + w->weight[key] > budget)
            s3_evict(w, &s, budget);
        push(w, s.in[key] == MAIN ? &s.main : &s.small, key);
    }
    order_free(&s.small), order_free(&s.main);
    free(s.in), free(s.frequency);
    return saved;
}

// ---- a heap of keys, for GDSF and the clairvoyant ----------------------------------------------

struct heap {
    double *merit;
    uint32_t *keys, *place;
    uint32_t count;
};

static struct heap heap_new(void)
{
    return (struct heap){calloc(KEYS, sizeof(double)), calloc(KEYS, 4), calloc(KEYS, 4), 0};
}

static void heap_free(struct heap *h)
{
    free(h->merit), free(h->keys), free(h->place);
}

static void heap_put(struct heap *h, uint32_t i, uint32_t key)
{
    h->keys[i] = key;
    h->place[key] = i;
}

static void heap_settle(struct heap *h, uint32_t key)
{
    uint32_t i = h->place[key], child;
    for (; i > 0 && h->merit[h->keys[(i - 1) / 2]] > h->merit[key]; i = (i - 1) / 2)
        heap_put(h, i, h->keys[(i - 1) / 2]);
    for (; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && h->merit[h->keys[child + 1]] < h->merit[h->keys[child]])
            child++;
        if (h->merit[h->keys[child]] >= h->merit[key])
            break;
        heap_put(h, i, h->keys[child]);
    }
    heap_put(h, i, key);
}

static void heap_add(struct heap *h, uint32_t key, double merit)
{
    h->merit[key] = merit;
    heap_put(h, h->count++, key);
    heap_settle(h, key);
}

static void heap_drop(struct heap *h, uint32_t key)
{
    uint32_t last = h->keys[--h->count];
    if (last == key)
        return;
    heap_put(h, h->place[key], last);
    heap_settle(h, last);
}

static double gdsf(const struct world *w, double budget)
{
    struct heap heap = heap_new();
    bool *in = calloc(KEYS, sizeof(*in));
    uint32_t *times = calloc(KEYS, 4);
    double age = 0, bytes = 0, saved = 0;
    for (size_t i = 0; i < w->length; i++) {
        uint32_t key = w->trace[i];
        double worth = w->cost[key] / w->weight[key];
        if (in[key]) {
            saved += w->cost[key];
            heap.merit[key] = age + ++times[key] * worth;
            heap_settle(&heap, key);
            continue;
        }
        if (too_large(w, key, budget))
            continue;
        while (bytes + w->weight[key] > budget) {
            uint32_t least = heap.keys[0];
            age = heap.merit[least];
            heap_drop(&heap, least);
            in[least] = false;
            bytes -= w->weight[least];
        }
        in[key] = true;
        times[key] = 1;
        bytes += w->weight[key];
        heap_add(&heap, key, age + worth);
    }
    heap_free(&heap);
    free(in), free(times);
    return saved;
}

// ---- W-TinyLFU ---------------------------------------------------------------------------------

struct sketch {
    uint8_t *cells;
    uint32_t mask;
    size_t events, period;
};

static uint8_t *sketch_cell(const struct sketch *s, uint32_t key, uint64_t row)
{
    uint64_t z = key * 0x9e3779b97f4a7c15u + row * 0xc2b2ae3d27d4eb4fu;
    z = (z ^ z >> 32) * 0xd6e8feb86659fd93u;
    return &s->cells[(z ^ z >> 32) & s->mask];
}

static int sketch_of(const struct sketch *s, uint32_t key)
{
    int least = 15;
    for (uint64_t row = 0; row < 4; row++)
        least = *sketch_cell(s, key, row) < least ? *sketch_cell(s, key, row) : least;
    return least;
}

static void sketch_count(struct sketch *s, uint32_t key)
{
    int to = sketch_of(s, key) + 1;
    for (uint64_t row = 0; row < 4; row++) {
        uint8_t *cell = sketch_cell(s, key, row);
        if (*cell < to && to <= 15)
            *cell = (uint8_t)to;
    }
    if (++s->events < s->period)
        return;
    s->events = 0;
    for (size_t i = 0; i <= s->mask; i++)
        s->cells[i] /= 2;
}

struct tiny {
    struct order window, probation, protected;
    struct sketch sketch;
    uint8_t *in;
    double budget;
};

static struct order *segment(struct tiny *t, uint32_t key)
{
    return t->in[key] == SMALL ? &t->window : t->in[key] == MAIN ? &t->probation : &t->protected;
}

static void tiny_hit(const struct world *w, struct tiny *t, uint32_t key)
{
    drop(w, segment(t, key), key);
    if (t->in[key] == MAIN)
        t->in[key] = PROTECTED;
    push(w, segment(t, key), key);
    while (t->protected.bytes > t->budget * 0.99 * 0.8) {
        uint32_t back = oldest(&t->protected);
        drop(w, &t->protected, back);
        t->in[back] = MAIN;
        push(w, &t->probation, back);
    }
}

// A candidate out of the window against the oldest ones of main.
static void tiny_admit(const struct world *w, struct tiny *t, uint32_t key)
{
    t->in[key] = OUT;
    while (t->window.bytes + t->probation.bytes + t->protected.bytes + w->weight[key] > t->budget) {
        struct order *from = t->probation.count > 0 ? &t->probation : &t->protected;
        uint32_t victim = oldest(from);
        if (victim == KEYS || sketch_of(&t->sketch, key) <= sketch_of(&t->sketch, victim))
            return;
        drop(w, from, victim);
        t->in[victim] = OUT;
    }
    t->in[key] = MAIN;
    push(w, &t->probation, key);
}

static double w_tinylfu(const struct world *w, double budget)
{
    size_t entries = (size_t)(budget / w->average_bytes) + 1, cells = 64;
    while (cells < entries * 8)
        cells *= 2;
    struct tiny t = {.window = order_new(), .probation = order_new(), .protected = order_new(),
                     .sketch = {calloc(cells, 1), (uint32_t)cells - 1, 0, entries * 10},
                     .in = calloc(KEYS, 1), .budget = budget};
    double saved = 0;
    for (size_t i = 0; i < w->length; i++) {
        uint32_t key = w->trace[i];
        sketch_count(&t.sketch, key);
        if (t.in[key] != OUT) {
            saved += w->cost[key];
            tiny_hit(w, &t, key);
            continue;
        }
        if (too_large(w, key, budget))
            continue;
        t.in[key] = SMALL;
        push(w, &t.window, key);
        while (t.window.count > 1 && t.window.bytes > budget / 100) {
            uint32_t candidate = oldest(&t.window);
            drop(w, &t.window, candidate);
            tiny_admit(w, &t, candidate);
        }
        while (t.window.bytes + t.probation.bytes + t.protected.bytes > budget) {
            struct order *from = t.probation.count > 0   ? &t.probation
                                 : t.protected.count > 0 ? &t.protected
                                                         : &t.window;
            t.in[oldest(from)] = OUT;
            drop(w, from, oldest(from));
        }
    }
    order_free(&t.window), order_free(&t.probation), order_free(&t.protected);
    free(t.sketch.cells);
    free(t.in);
    return saved;
}

// ---- who knows the future ----------------------------------------------------------------------

static uint32_t *next_times(const struct world *w)
{
    uint32_t *next = calloc(w->length, 4), *last = malloc(KEYS * 4);
    memset(last, 0xff, KEYS * 4);
    for (size_t i = w->length; i-- > 0; last[w->trace[i]] = (uint32_t)i)
        next[i] = last[w->trace[i]];
    free(last);
    return next;
}

static uint32_t best_victim(const struct world *w, struct heap *h, const uint32_t *at, size_t now,
                            double *merit)
{
    if (!w->varied) {
        *merit = h->merit[h->keys[0]];
        return h->keys[0];
    }
    uint32_t least = h->keys[0];
    *merit = INFINITY;
    for (int i = 0; i < 64; i++) {
        uint32_t key = h->keys[dice_below(&dice, h->count)];
        double m = w->cost[key] / (w->weight[key] * (double)(at[key] - now));
        if (m < *merit)
            least = key, *merit = m;
    }
    return least;
}

static double best(const struct world *w, double budget)
{
    struct heap heap = heap_new(); // of equal ones: by the time of the next question
    uint32_t *next = next_times(w), *at = calloc(KEYS, 4);
    bool *in = calloc(KEYS, sizeof(*in));
    double bytes = 0, saved = 0;
    for (size_t i = 0; i < w->length; i++) {
        uint32_t key = w->trace[i];
        if (in[key]) {
            saved += w->cost[key];
            bytes -= w->weight[key];
            heap_drop(&heap, key);
            in[key] = false;
        }
        if (next[i] == UINT32_MAX || too_large(w, key, budget))
            continue;
        double merit = w->varied ? w->cost[key] / (w->weight[key] * (double)(next[i] - i))
                                 : -(double)next[i];
        bool fits = true;
        while (bytes + w->weight[key] > budget) {
            double its;
            uint32_t victim = best_victim(w, &heap, at, i, &its);
            if (!(fits = its < merit))
                break;
            heap_drop(&heap, victim);
            in[victim] = false;
            bytes -= w->weight[victim];
        }
        if (!fits)
            continue;
        in[key] = true;
        at[key] = next[i];
        bytes += w->weight[key];
        heap_add(&heap, key, w->varied ? 0 : merit);
    }
    heap_free(&heap);
    free(next), free(at), free(in);
    return saved;
}

// ---- the store itself --------------------------------------------------------------------------

static struct entry *make_entry(const struct world *w, struct arena *arena, uint32_t key,
                                struct slice bytes, struct key_hash hash)
{
    static const uint8_t zeros[1 << 16];
    struct fill *f = fill_begin(&(struct fill_plan){
        .arena = arena, .key = bytes, .hash = hash, .max_bytes = sizeof(zeros)});
    fill_asked(f, 0), fill_append(f, slice_of(zeros, (size_t)w->reply[key]));
    return fill_commit(&f, (int64_t)w->cost[key]);
}

static void weigh(struct world *w)
{
    struct arena *arena = arena_new();
    for (uint32_t key = 0; key < KEYS; key++) {
        struct slice bytes = slice_of(&key, sizeof(key));
        struct entry *e = make_entry(w, arena, key, bytes, (struct key_hash){0});
        w->weight[key] = (double)entry_size(e) + INDEX_BYTES;
        entry_unref(&e);
    }
    arena_free(arena);
}

static double store(const struct world *w, double budget)
{
    struct store *s = store_new((size_t)budget, 1);
    struct buf key_buf = {0};
    double saved = 0;
    for (size_t i = 0; i < w->length; i++) {
        uint32_t key = w->trace[i];
        key_begin(&key_buf);
        key_u32(&key_buf, key);
        struct key_hash hash = key_end(&key_buf);
        struct entry *e = store_get(s, buf_slice(&key_buf), hash);
        if (e != NULL) {
            saved += w->cost[key];
        } else {
            e = make_entry(w, store_arena(s), key, buf_slice(&key_buf), hash);
            store_put(s, e);
        }
        entry_unref(&e);
    }
    buf_fini(&key_buf), store_free(s);
    return saved;
}

static const struct {
    const char *name;
    double (*run)(const struct world *, double budget);
} policies[] = {{"best", best},         {"LRU", lru},   {"S3-FIFO", s3_fifo},
                {"W-TinyLFU", w_tinylfu}, {"GDSF", gdsf}, {"store", store}};

int main(int argc, char **argv)
{
    enum { POLICIES = sizeof(policies) / sizeof(*policies) };
    static struct world w;
    w.length = argc > 1 ? (size_t)atol(argv[1]) : 400000;
    w.trace = calloc(w.length, 4);
    for (int varied = 0; varied < 2; varied++) {
        dice = dice_of(7);
        w.varied = varied;
        for (int key = 0; key < KEYS; key++) {
            w.reply[key] = varied ? floor(64 * pow(64, chance())) : 1000;
            w.cost[key] = varied ? floor(100 * pow(1000, chance())) : 1000;
        }
        weigh(&w);
        printf("%s\n%-12s%5s", varied ? "\n64 to 4096 bytes, 0.1 to 100 ms" : "1000 bytes, 1 ms",
               "", "");
        for (int p = 0; p < POLICIES; p++)
            printf("%11s", policies[p].name);
        for (int row = 0; row < KINDS * 2; row++) {
            dice = dice_of((uint64_t)row / 2 + 100);
            double all = make_trace(&w, (enum kind)(row / 2));
            printf("\n%-12s%5s", kinds[row / 2], row % 2 ? "10%" : "1%");
            for (int p = 0; p < POLICIES; p++) {
                double part = policies[p].run(&w, w.set_bytes * (row % 2 ? 0.1 : 0.01)) / all;
                printf("%11.1f", 100 * part);
            }
            fflush(stdout);
        }
        printf("\n");
    }
    free(w.trace);
    return 0;
}
