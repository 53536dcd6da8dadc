// SPDX-License-Identifier: Apache-2.0
// What an event costs the control thread: lines of test_decoding, and the same rows as messages of
// pgoutput, through follower_data(), from the bytes to the raised slots. Prints ns for each row
// event; `make bench-events` also counts instructions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cache/follower.h"
#include "tests/unit/cache/pgoutput_messages.h"

enum { ROWS = 100 }; // of a transaction

static const struct load {
    const char *name;
    const char *line; // of test_decoding; %d: the key
    const char *table, *columns;
    char kind; // of the message of pgoutput
    const char *old, *new;
} loads[] = {
    {"update, key first",
     "table public.accounts: UPDATE: aid[integer]:%d bid[integer]:1 abalance[integer]:4711 "
     "filler[character]:'                                        '",
     "accounts", "*aid bid abalance filler", 'U', NULL,
     "%d 1 4711 ________________________________________"},
    {"update, key of a uuid behind 8 columns",
     "table public.things: UPDATE: a[text]:'some text of a row' b[integer]:1 c[integer]:2 "
     "d[timestamp with time zone]:'2026-11-28 22:00:00.123456+00' e[boolean]:true "
     "f[numeric]:12.50 g[jsonb]:'{\"a\": [1, 2, 3], \"b\": \"it''s\"}' h[text]:null "
     "id[uuid]:'a0eebc99-9c0b-4ef8-bb6d-6bb9%08d'",
     "things", "a:25 b c d:1184 e:16 f:1700 g:3802 h:25 *id:2950", 'U', NULL,
     "some_text_of_a_row 1 2 2026-11-28_22:00:00.123456+00 t 12.50 "
     "{\"a\":_[1,_2,_3],_\"b\":_\"it's\"} - a0eebc99-9c0b-4ef8-bb6d-6bb9%08d"},
    {"update with REPLICA IDENTITY FULL",
     "table public.whole: UPDATE: old-key: aid[integer]:%d bid[integer]:1 "
     "abalance[integer]:4711 filler[character]:'x' new-tuple: aid[integer]:%d bid[integer]:1 "
     "abalance[integer]:4712 filler[character]:'x'",
     "whole", "*aid *bid *abalance *filler:1042", 'U', "O%d 1 4711 x", "%d 1 4712 x"},
    {"delete", "table public.accounts: DELETE: aid[integer]:%d", "accounts",
     "*aid bid abalance filler", 'D', "K%d - - -", NULL},
    {"insert into a table that nobody reads",
     "table public.history: INSERT: tid[integer]:%d bid[integer]:1 aid[integer]:%d "
     "delta[integer]:5",
     "history", "tid bid aid delta", 'I', NULL, "%d 1 7919 5"},
};
enum { LOADS = sizeof(loads) / sizeof(*loads) };

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

static struct follower *follow(struct ledger *ledger, bool pgoutput)
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
    follower_begin(f, &(struct follower_start){
                          .consistent_lsn = 1, .horizon_xid = 3, .pgoutput = pgoutput});
    return f;
}

static struct buf copy(struct slice bytes)
{
    struct buf b = {0};
    buf_put(&b, bytes);
    return b;
}

static struct buf row_event(const struct load *load, bool pgoutput, int key)
{
    char text[1024], old[1024];
    if (!pgoutput) {
        snprintf(text, sizeof(text), load->line, key, key);
        return copy(slice_str(text));
    }
    snprintf(text, sizeof(text), load->new == NULL ? "" : load->new, key);
    snprintf(old, sizeof(old), load->old == NULL ? "" : load->old, key);
    return copy(message_change(load->kind, 7, load->old == NULL ? NULL : old,
                               load->new == NULL ? NULL : text));
}

static void end_event(struct follower *f, bool pgoutput, bool begin, uint32_t xid, uint64_t lsn)
{
    char text[64];
    snprintf(text, sizeof(text), "%s %u", begin ? "BEGIN" : "COMMIT", xid);
    CHECK(follower_data(f, lsn, !pgoutput ? slice_str(text)
                                : begin   ? message_begin(xid, lsn + ROWS)
                                          : message_commit(lsn - 1, lsn)));
}

static double run(const struct load *load, bool pgoutput, long events)
{
    struct buf rows[ROWS];
    struct ledger *ledger = ledger_new();
    struct follower *f = follow(ledger, pgoutput);
    struct timespec from, to;
    int64_t now = 1;
    uint64_t lsn = 100;
    uint32_t xid = 10;
    for (int i = 0; i < ROWS; i++)
        rows[i] = row_event(load, pgoutput, i * 7919 + 1);
    if (pgoutput)
        CHECK(follower_data(f, lsn, message_relation(7, load->table, load->columns)));
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long done = 0; done < events; done += ROWS) {
        char text[64];
        end_event(f, pgoutput, true, xid, ++lsn);
        for (int i = 0; i < ROWS; i++)
            CHECK(follower_data(f, ++lsn, buf_slice(&rows[i])));
        end_event(f, pgoutput, false, xid++, ++lsn);
        follower_reading_sent(f, READING_GATE, now);
        snprintf(text, sizeof(text), "%u:%u:", xid, xid);
        struct reading r = {lsn, lsn, slice_str(text), READING_SCHEMA_UNREAD};
        CHECK(follower_reading(f, ++now, &r));
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    for (int i = 0; i < ROWS; i++)
        buf_fini(&rows[i]);
    follower_free(f);
    ledger_free(ledger);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
           (double)events;
}

// events [load]: how many row events, and of which load alone (from 0; those of pgoutput behind).
int main(int argc, char **argv)
{
    long events = argc > 1 ? atol(argv[1]) : 2000000;
    for (size_t i = 0; i < 2 * LOADS; i++) {
        const struct load *load = &loads[i % LOADS];
        if (argc > 2 && atol(argv[2]) != (long)i)
            continue;
        double ns = run(load, i >= LOADS, events);
        printf("%-13s  %-42s %7.0f ns for each row event\n",
               i < LOADS ? "test_decoding" : "pgoutput", load->name, ns);
    }
    buf_fini(&message_buf);
    return 0;
}
