// SPDX-License-Identifier: Apache-2.0
// What an event costs the control thread: lines of test_decoding through follower_data(), from the
// bytes to the raised slots. Prints ns for each row event; `make bench-events` also counts
// instructions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cache/follower.h"

enum { ROWS = 100 }; // of a transaction

static const struct load {
    const char *name;
    const char *line; // %d: the key
} loads[] = {
    {"update, key first", "table public.accounts: UPDATE: aid[integer]:%d bid[integer]:1 "
                          "abalance[integer]:4711 filler[character]:'"
                          "                                        '"},
    {"update, key of a uuid behind 8 columns",
     "table public.things: UPDATE: a[text]:'some text of a row' b[integer]:1 c[integer]:2 "
     "d[timestamp with time zone]:'2026-11-28 22:00:00.123456+00' e[boolean]:true "
     "f[numeric]:12.50 g[jsonb]:'{\"a\": [1, 2, 3], \"b\": \"it''s\"}' h[text]:null "
     "id[uuid]:'a0eebc99-9c0b-4ef8-bb6d-6bb9%08d'"},
    {"update with REPLICA IDENTITY FULL",
     "table public.whole: UPDATE: old-key: aid[integer]:%d bid[integer]:1 "
     "abalance[integer]:4711 filler[character]:'x' new-tuple: aid[integer]:%d bid[integer]:1 "
     "abalance[integer]:4712 filler[character]:'x'"},
    {"delete", "table public.accounts: DELETE: aid[integer]:%d"},
    {"insert into a table that nobody reads", "table public.history: INSERT: tid[integer]:%d "
                                              "bid[integer]:1 aid[integer]:%d delta[integer]:5"},
};

static void add(struct catalog_builder *b, const char *name, const char *column,
                enum rowkey_type type)
{
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(name)};
    r.key.count = 1;
    r.key.columns[0].name = slice_str(column);
    r.key.columns[0].type = type;
    catalog_builder_relation(b, &r);
}

static void add_whole(struct catalog_builder *b)
{
    static const char *const columns[] = {"aid", "bid", "abalance", "filler"};
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str("whole"),
                                 .key = {.count = 1, .told = 4, .full = true}};
    for (int i = 0; i < 4; i++) {
        r.key.columns[i].name = slice_str(columns[i]);
        r.key.columns[i].type = i == 3 ? ROWKEY_PADDED : ROWKEY_INTEGER;
    }
    catalog_builder_relation(b, &r);
}

static struct follower *follow(struct ledger *ledger)
{
    struct catalog_builder *b = catalog_builder_new(1);
    add(b, "accounts", "aid", ROWKEY_INTEGER);
    add(b, "things", "id", ROWKEY_UUID);
    add_whole(b);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof(name), "other%d", i);
        add(b, name, "id", ROWKEY_INTEGER);
    }
    struct catalog *catalog = catalog_builder_finish(b);
    struct follower *f = follower_new(ledger, 250000);
    follower_set_catalog(f, catalog);
    catalog_unref(&catalog);
    follower_begin(f, &(struct follower_start){.consistent_lsn = 1, .horizon_xid = 3});
    return f;
}

static double run(const struct load *load, long events)
{
    static char lines[ROWS][1024];
    struct ledger *ledger = ledger_new();
    struct follower *f = follow(ledger);
    struct timespec from, to;
    int64_t now = 1;
    uint64_t lsn = 100;
    uint32_t xid = 10;
    for (int i = 0; i < ROWS; i++)
        snprintf(lines[i], sizeof(lines[i]), load->line, i * 7919 + 1, i * 7919 + 1);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long done = 0; done < events; done += ROWS) {
        char text[64];
        snprintf(text, sizeof(text), "BEGIN %u", xid);
        CHECK(follower_data(f, ++lsn, slice_str(text)));
        for (int i = 0; i < ROWS; i++)
            CHECK(follower_data(f, ++lsn, slice_str(lines[i])));
        snprintf(text, sizeof(text), "COMMIT %u", xid++);
        CHECK(follower_data(f, ++lsn, slice_str(text)));
        follower_reading_sent(f, READING_GATE, now);
        snprintf(text, sizeof(text), "%u:%u:", xid, xid);
        struct reading r = {lsn, lsn, slice_str(text), READING_SCHEMA_UNREAD};
        CHECK(follower_reading(f, ++now, &r));
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    follower_free(f);
    ledger_free(ledger);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
           (double)events;
}

// events [load]: how many row events, and of which load alone (from 0).
int main(int argc, char **argv)
{
    long events = argc > 1 ? atol(argv[1]) : 2000000;
    for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
        if (argc > 2 && atol(argv[2]) != (long)i)
            continue;
        double ns = run(&loads[i], events);
        printf("%-42s %7.0f ns for each row event\n", loads[i].name, ns);
    }
    return 0;
}
