// SPDX-License-Identifier: Apache-2.0
// The promises P4 and P5 against a made-up database, at random.
//
// One loop turn does a few random things to a model of the server (transactions begin, commit in
// the WAL, become visible, are flushed, in the orders that PostgreSQL allows), of the stream, of
// the control connection and of workers, each with delays of their own. A fill notes the turn in
// which its query looked at the database. Whenever the ledger says LEDGER_OK the entry is checked:
//
//   P4  it was read after every write to its tables that a client of the proxy was answered
//   P5  it was read after every write to its tables that was visible (and flushed) longer ago than
//       max_staleness; and so after every change of the schema
//   and a session never goes back behind what it read around the cache.
//
// Some tables have a key: transactions then write rows, by key or moving from one key to another,
// or any rows; what the stream tells of them is made as test_decoding makes it or, after another
// beginning, pgoutput. Fills read a table as a whole, or the rows of a key.
//
// To show that the rules are needed, each is broken in turn (enum broken), from outside: what the
// follower is told, or when a worker does its part. Then the checks must fail.
#include "cache/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/cache/pgoutput_messages.h"

enum { TABLES = 6, KEYED = 4, KEYS = 3, BOUND_US = 60000, TURNS = 40000, SEEDS = 12 };
enum { TXNS = 4096, LINES = 16384, FILLS = 64, TICKETS = 64, READS = 16, EARLY = 256 };

enum broken {
    SOUND,
    NO_GATE,        // commits count as visible when they come by the stream
    NO_CLOSE,       // own writes are left to the stream
    NO_BARRIER,     // so are those with unknown effects
    EARLY_TICKET,   // an own write is marked, but before its commit
    NO_HORIZON,     // what committed before the stream began counts as visible
    LATE_STAMP,     // the stamp is taken after the query has run
    ANSWER_INSTANT, // freshness as of the reading's answer
    GATE_FRESHENS,  // a gate reading counts as one that found the schema unchanged
    NO_ROWS,        // entries of a key do not depend on all rows of the table
    NO_HOLD,        // own writes to unknown keys close the table only
    EARLY_OPEN,     // and open what they hold as soon as they are placed
    NO_KEY_CLOSE,   // own writes to known keys close the table only
    NO_OLD_KEY,     // the stream does not tell the key that a row had
    NO_KEY_EVENT,   // nor what the rows' keys are: the table is touched, nothing else
    BROKEN_END,
};

enum state { RUNNING, IN_WAL, VISIBLE, ANSWERED };

struct txn {
    enum state state;
    uint32_t xid;
    uint32_t tables; // bits
    uint8_t from[TABLES], to[TABLES]; // keys of the row, before and after; KEYS: any rows
    bool named[TABLES];               // the statement says which key
    bool own;        // through the proxy
    bool hidden;     // its tables are not known to the worker: a barrier
    bool async;      // synchronous_commit = off
    bool schema;     // changes the schema; perhaps rows, too
    bool marked;     // the worker has closed and posted already
    uint64_t position;
    int64_t visible_turn;
    int64_t visible_us;
    int64_t flushed_us; // -1: not yet
};

struct fill {
    bool busy;
    bool filled;
    uint32_t tables;
    uint8_t key[TABLES]; // KEYS: the table as a whole
    uint32_t slots[2 * TABLES];
    uint32_t n;
    struct stamp stamp;
    bool stamped;
    int64_t read_turn;
};

struct line { // of the stream, on its way to the follower
    bool keepalive;
    uint64_t position;
    uint32_t xid;
    uint32_t tables;
    uint8_t from[TABLES], to[TABLES];
};

struct world {
    enum broken broken;
    uint64_t random;
    int64_t turn, now;
    struct ledger *ledger;
    struct follower *follower;
    // the server
    struct txn txns[TXNS]; // a ring of the latest
    uint32_t n_txns;
    uint32_t oldest; // all before are answered
    uint32_t next_xid;
    uint64_t insert, flush;
    int64_t acked_turn[TABLES][KEYS + 1]; // newest visibility among answered own writes, by key;
                                          // KEYS: of any row
    uint32_t schema;            // how often it was changed
    // the stream
    bool up;
    bool pgoutput;
    uint32_t explained; // bits: tables that it has told of
    uint64_t sent;
    struct line lines[LINES];
    size_t first_line, n_lines;
    // the control connection
    enum reading_kind asked;
    bool evaluated;
    uint32_t catalog; // the schema that it was loaded from
    struct reading reading;
    char snapshot[TXNS * 12];
    // workers
    struct fill fills[FILLS];
    struct ticket *mail[TICKETS];
    size_t n_mail;
    uint32_t early[EARLY]; // held slots that are opened by the next reading
    uint32_t n_early;
    struct { int64_t us, turn; } reads[READS];
    // the outcome
    uint64_t hits, violations;
    uint64_t verdicts[LEDGER_DEAD + 1];
    uint64_t readings[READING_FULL + 1];
};

static uint32_t rnd(struct world *w, uint32_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 33) % below;
}

static bool chance(struct world *w, uint32_t percent)
{
    return rnd(w, 100) < percent;
}

static uint64_t table_of(int table)
{
    char name[8];
    snprintf(name, sizeof(name), "t%d", table);
    return ledger_table(slice_str("public"), slice_str(name));
}

static uint32_t slot_of(int table)
{
    return ledger_table_slot(table_of(table));
}

static uint32_t key_slot_of(int table, int key)
{
    char text[8];
    uint64_t value;
    snprintf(text, sizeof(text), "%d", key);
    assert_true(rowkey_text(ROWKEY_INTEGER, slice_str(text), &value));
    return ledger_key_slot(table_of(table), &value, 1);
}

static struct catalog *keyed_catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    for (int i = 0; i < KEYED; i++) {
        char name[8];
        snprintf(name, sizeof(name), "t%d", i);
        struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(name)};
        r.key.count = 1;
        r.key.columns[0].name = slice_str("id");
        r.key.columns[0].type = ROWKEY_INTEGER;
        catalog_builder_relation(b, &r);
    }
    return catalog_builder_finish(b);
}

static struct txn *txn_at(struct world *w, uint32_t i)
{
    return &w->txns[i % TXNS];
}

// ---- The server -------------------------------------------------------------------------------

static void txn_begin(struct world *w)
{
    if (w->n_txns - w->oldest > TXNS / 2 || w->n_txns - w->oldest > 12)
        return;
    struct txn *t = txn_at(w, w->n_txns++);
    *t = (struct txn){.state = RUNNING, .xid = w->next_xid++, .own = chance(w, 50),
                      .async = chance(w, 20), .flushed_us = -1};
    t->hidden = t->own && chance(w, 10);
    t->tables = 1u << rnd(w, TABLES);
    if (chance(w, 20))
        t->tables |= 1u << rnd(w, TABLES);
    for (int i = 0; i < TABLES; i++) {
        t->from[i] = t->to[i] = (uint8_t)rnd(w, KEYS);
        t->named[i] = chance(w, 60);
        if (i >= KEYED || chance(w, 10)) { // TRUNCATE; or a table without a key
            t->from[i] = t->to[i] = KEYS;
            t->named[i] = false;
        } else if (chance(w, 25)) { // a row gets another key
            t->to[i] = (uint8_t)rnd(w, KEYS);
            t->named[i] = false;
        }
    }
    t->schema = !t->own && chance(w, 8);
    if (t->schema && chance(w, 50))
        t->tables = 0; // an empty transaction, for the stream
}

static void flush_wal(struct world *w)
{
    w->flush = w->insert;
    for (uint32_t i = w->n_txns > TXNS ? w->n_txns - TXNS : 0; i < w->n_txns; i++) {
        struct txn *t = txn_at(w, i);
        if (t->state != RUNNING && t->flushed_us < 0)
            t->flushed_us = w->now;
    }
}

static void worker_marks(struct world *w, struct txn *t)
{
    uint32_t slots[2 * TABLES], n = 0, held[TABLES], n_held = 0;
    for (int i = 0; i < TABLES && !t->hidden; i++) {
        if (!(t->tables & (1u << i)))
            continue;
        slots[n++] = slot_of(i);
        if (t->named[i] && w->broken != NO_KEY_CLOSE)
            slots[n++] = key_slot_of(i, t->from[i]);
        if (!t->named[i] && w->broken != NO_HOLD)
            held[n_held++] = ledger_rows_slot(table_of(i));
    }
    t->marked = true;
    if (w->n_mail == TICKETS || (w->broken == NO_CLOSE && !t->hidden) ||
        (w->broken == NO_BARRIER && t->hidden))
        return;
    ledger_close(w->ledger, slots, n);
    ledger_close(w->ledger, held, n_held);
    for (; w->broken == EARLY_OPEN && n_held > 0; n_held--) {
        if (w->n_early == EARLY)
            ledger_open(w->ledger, &held[n_held - 1], 1);
        else
            w->early[w->n_early++] = held[n_held - 1];
    }
    if (t->hidden)
        ledger_raise_barrier(w->ledger);
    struct ticket_slots all = {slots, n, held, n_held};
    w->mail[w->n_mail++] = ticket_new(&all, t->hidden);
}

// Is a row of this key (KEYS: any row) among those that it changed in the table?
static bool touches(const struct txn *t, int table, int key)
{
    return key == KEYS || t->from[table] == KEYS || t->from[table] == key || t->to[table] == key;
}

static void txn_step(struct world *w, struct txn *t)
{
    switch (t->state) {
    case RUNNING:
        if (w->broken == EARLY_TICKET && t->own && !t->marked) {
            worker_marks(w, t);
            return;
        }
        w->insert += 8 + 8 * rnd(w, 20);
        t->position = w->insert;
        t->state = IN_WAL;
        if (!t->async)
            flush_wal(w);
        return;
    case IN_WAL:
        t->state = VISIBLE;
        t->visible_turn = w->turn;
        t->visible_us = w->now;
        w->schema += t->schema;
        return;
    case VISIBLE:
        if (t->own && !t->marked) {
            if (w->n_mail == TICKETS)
                return;
            worker_marks(w, t);
        }
        t->state = ANSWERED;
        for (int i = 0; t->own && i < TABLES; i++) {
            for (int k = 0; k <= KEYS; k++) {
                if ((t->tables & (1u << i)) && touches(t, i, k) &&
                    t->visible_turn > w->acked_turn[i][k])
                    w->acked_turn[i][k] = t->visible_turn;
            }
        }
        return;
    case ANSWERED:
        return;
    }
}

static void server_turn(struct world *w)
{
    if (chance(w, 4))
        txn_begin(w);
    for (uint32_t i = w->oldest; i < w->n_txns; i++) {
        struct txn *t = txn_at(w, i);
        // Now and then one hangs between the WAL and visibility, as when a standby is waited for.
        if (chance(w, t->state == IN_WAL && i % 7 == 0 ? 1 : 25))
            txn_step(w, t);
    }
    while (w->oldest < w->n_txns && txn_at(w, w->oldest)->state == ANSWERED)
        w->oldest++;
    if (chance(w, 10))
        w->insert += 8 * rnd(w, 10); // rows of running transactions
    if (chance(w, 5))
        flush_wal(w);
}

static void take_snapshot(struct world *w)
{
    uint32_t latest = 0;
    for (uint32_t i = w->n_txns > TXNS ? w->n_txns - TXNS : 0; i < w->n_txns; i++) {
        if (txn_at(w, i)->state >= VISIBLE)
            latest = txn_at(w, i)->xid;
    }
    uint32_t xmax = (latest ? latest : 10) + 1, xmin = xmax;
    char list[TXNS * 11] = "";
    int n = 0;
    for (uint32_t i = w->oldest; i < w->n_txns; i++) {
        struct txn *t = txn_at(w, i);
        if (t->state >= VISIBLE || t->xid >= xmax)
            continue;
        xmin = t->xid < xmin ? t->xid : xmin;
        n += sprintf(list + n, "%s%u", n ? "," : "", t->xid);
    }
    // xids that were burnt without a transaction (the horizon's) count as finished
    if (w->oldest == w->n_txns)
        xmin = xmax = w->next_xid;
    if (w->broken == NO_GATE) {
        xmin = xmax = w->next_xid;
        list[0] = '\0';
    }
    snprintf(w->snapshot, sizeof(w->snapshot), "%u:%u:%s", xmin, xmax, list);
}

// ---- The stream -------------------------------------------------------------------------------

static void stream_put(struct world *w, struct line line)
{
    if (w->n_lines < LINES)
        w->lines[(w->first_line + w->n_lines++) % LINES] = line;
}

static void sender_turn(struct world *w)
{
    if (w->sent >= w->flush)
        return;
    for (;;) { // commits in the order of their records
        struct txn *next = NULL;
        for (uint32_t i = w->n_txns > TXNS ? w->n_txns - TXNS : 0; i < w->n_txns; i++) {
            struct txn *t = txn_at(w, i);
            if (t->state != RUNNING && t->position > w->sent && t->position <= w->flush &&
                (next == NULL || t->position < next->position))
                next = t;
        }
        if (next == NULL)
            break;
        struct line line = {false, next->position, next->xid, next->tables, {0}, {0}};
        memcpy(line.from, next->from, sizeof(line.from));
        memcpy(line.to, next->to, sizeof(line.to));
        stream_put(w, line);
        w->sent = next->position;
    }
    w->sent = w->flush;
}

static void lose(struct world *w, enum ledger_off_reason reason)
{
    follower_lost(w->follower, reason);
    w->up = w->evaluated = false;
    w->asked = READING_NONE;
    w->n_lines = 0;
}

// As test_decoding with the default replica identity: the old key when it was another one.
static void print_row(const struct world *w, const struct line *line, int table, char *out,
                      size_t bytes)
{
    int from = line->from[table], to = line->to[table];
    if (w->broken == NO_KEY_EVENT && table < KEYED) // a key that nobody reads
        snprintf(out, bytes, "table public.t%d: UPDATE: id[integer]:%d", table, KEYS + 1);
    else if (from == KEYS && table < KEYED)
        snprintf(out, bytes, "table public.t%d: TRUNCATE: (no-flags)", table);
    else if (from == to || w->broken == NO_OLD_KEY)
        snprintf(out, bytes, "table public.t%d: UPDATE: v[text]:'x' id[integer]:%d", table, to);
    else
        snprintf(out, bytes,
                 "table public.t%d: UPDATE: old-key: id[integer]:%d new-tuple: v[text]:'x' "
                 "id[integer]:%d", table, from, to);
}

// As pgoutput, which is silent of a transaction without rows.
static bool deliver_messages(struct world *w, const struct line *line)
{
    if (line->tables == 0)
        return true;
    bool kept = follower_data(w->follower, 0, message_begin(line->xid, line->position - 1));
    for (int i = 0; i < TABLES; i++) {
        char name[8], from[16], to[16];
        if (!(line->tables & (1u << i)))
            continue;
        snprintf(name, sizeof(name), "t%d", i);
        snprintf(from, sizeof(from), "K- %d", line->from[i]);
        snprintf(to, sizeof(to), "x %d", w->broken == NO_KEY_EVENT ? KEYS + 1 : line->to[i]);
        if (!(w->explained & (1u << i)))
            kept = kept && follower_data(w->follower, 0, message_relation(i + 1, name, "v *id"));
        w->explained |= 1u << i;
        bool any = line->from[i] == KEYS && i < KEYED && w->broken != NO_KEY_EVENT;
        bool moved = line->from[i] != line->to[i] && w->broken != NO_OLD_KEY &&
                     w->broken != NO_KEY_EVENT;
        struct slice row = any ? message_truncate(i + 1, 0)
                               : message_change('U', i + 1, moved ? from : NULL, to);
        kept = kept && follower_data(w->follower, 0, row);
    }
    return kept && follower_data(w->follower, line->position,
                                 message_commit(line->position - 1, line->position));
}

static void deliver(struct world *w)
{
    if (w->n_lines == 0)
        return;
    struct line line = w->lines[w->first_line];
    w->first_line = (w->first_line + 1) % LINES;
    w->n_lines--;
    char text[128];
    bool kept = true;
    if (line.keepalive) {
        kept = follower_keepalive(w->follower, line.position);
    } else if (w->pgoutput) {
        kept = deliver_messages(w, &line);
    } else {
        snprintf(text, sizeof(text), "BEGIN %u", line.xid);
        kept = follower_data(w->follower, line.position - 4, slice_str(text));
        for (int i = 0; i < TABLES; i++) {
            print_row(w, &line, i, text, sizeof(text));
            if (line.tables & (1u << i))
                kept = kept && follower_data(w->follower, line.position - 2, slice_str(text));
        }
        snprintf(text, sizeof(text), "COMMIT %u", line.xid);
        kept = kept && follower_data(w->follower, line.position, slice_str(text));
    }
    assert_true(kept);
}

static void stream_turn(struct world *w)
{
    if (!w->up) {
        if (chance(w, 10)) {
            w->up = true;
            flush_wal(w);
            w->sent = w->flush;
            w->pgoutput = chance(w, 50);
            w->explained = 0;
            follower_begin(w->follower,
                           &(struct follower_start){
                               .consistent_lsn = w->sent,
                               .pgoutput = w->pgoutput,
                               .horizon_xid = w->broken == NO_HORIZON ? 0 : w->next_xid++});
        }
        return;
    }
    if (rnd(w, 3000) == 0) {
        lose(w, LEDGER_OFF_STREAM_LOST);
        return;
    }
    if (chance(w, 50))
        sender_turn(w);
    while (w->n_lines > 0 && chance(w, 50))
        deliver(w);
}

// ---- The control thread -----------------------------------------------------------------------

static enum reading_schema read_schema(const struct world *w)
{
    if (w->asked == READING_GATE)
        return w->broken == GATE_FRESHENS ? READING_SCHEMA_SAME : READING_SCHEMA_UNREAD;
    return w->schema == w->catalog ? READING_SCHEMA_SAME : READING_SCHEMA_CHANGED;
}

static void load_catalog(struct world *w)
{
    w->catalog = w->schema;
    ledger_flush(w->ledger);
}

static void control_turn(struct world *w)
{
    if (w->n_mail > 0 && chance(w, 50)) {
        for (size_t i = 0; i < w->n_mail; i++)
            follower_ticket(w->follower, w->mail[i]);
        w->n_mail = 0;
    }
    if (w->asked && !w->evaluated && chance(w, 50)) {
        take_snapshot(w);
        w->reading = (struct reading){w->flush, w->insert, slice_str(w->snapshot),
                                      read_schema(w)};
        w->evaluated = true;
    } else if (w->evaluated && chance(w, 50)) {
        w->asked = READING_NONE;
        w->evaluated = false;
        assert_true(follower_reading(w->follower, w->now, &w->reading));
        ledger_open(w->ledger, w->early, w->n_early);
        w->n_early = 0;
        if (w->reading.schema == READING_SCHEMA_CHANGED)
            load_catalog(w);
    }
    struct follower_wishes wishes = follower_wants(w->follower, w->now);
    if (wishes.reading != READING_NONE && chance(w, 80)) {
        follower_reading_sent(w->follower, wishes.reading,
                              w->now + (w->broken == ANSWER_INSTANT ? 40000 : 0));
        w->asked = wishes.reading;
        w->readings[wishes.reading]++;
    }
    if (wishes.keepalive && chance(w, 80)) {
        follower_keepalive_sent(w->follower, w->now);
        stream_put(w, (struct line){.keepalive = true, .position = w->sent});
    }
    if (wishes.flush && chance(w, 80)) {
        follower_flush_sent(w->follower, w->now);
        flush_wal(w);
    }
}

// ---- Workers ----------------------------------------------------------------------------------

static void fill_step(struct world *w, struct fill *e)
{
    if (!e->busy) {
        *e = (struct fill){.busy = true, .tables = 1u << rnd(w, TABLES)};
        if (chance(w, 30))
            e->tables |= 1u << rnd(w, TABLES);
        for (int i = 0; i < TABLES; i++) {
            e->key[i] = i < KEYED && chance(w, 70) ? (uint8_t)rnd(w, KEYS) : KEYS;
            if (!(e->tables & (1u << i)))
                continue;
            if (e->key[i] < KEYS) // the order must not matter: the rows slot comes last
                e->slots[e->n++] = key_slot_of(i, e->key[i]);
            if (e->key[i] == KEYS)
                e->slots[e->n++] = slot_of(i);
            else if (w->broken != NO_ROWS)
                e->slots[e->n++] = ledger_rows_slot(table_of(i));
        }
        e->stamped = ledger_stamp(w->ledger, &e->stamp);
    } else if (!e->filled) {
        e->read_turn = w->turn;
        e->filled = true;
        if (w->broken == LATE_STAMP)
            e->stamped = false;
    } else if (w->broken == LATE_STAMP && !e->stamped) {
        e->stamped = ledger_stamp(w->ledger, &e->stamp);
    }
}

static bool sees(const struct fill *e, const struct txn *t)
{
    bool matters = t->schema;
    for (int i = 0; i < TABLES; i++)
        matters |= (t->tables & e->tables & (1u << i)) && touches(t, i, e->key[i]);
    return !matters || t->state < VISIBLE || t->visible_turn <= e->read_turn;
}

static void check(struct world *w, const struct fill *e, int64_t read_turn)
{
    bool right = true;
    for (int i = 0; i < TABLES; i++)
        right &= !(e->tables & (1u << i)) || w->acked_turn[i][e->key[i]] <= e->read_turn;
    for (uint32_t i = w->n_txns > 500 ? w->n_txns - 500 : 0; i < w->n_txns; i++) {
        const struct txn *t = txn_at(w, i);
        if (sees(e, t))
            continue;
        // The schema is looked at itself, so that its change need not be flushed to be seen.
        bool late = t->async && !t->schema;
        int64_t since = late && t->flushed_us > t->visible_us ? t->flushed_us : t->visible_us;
        if ((!late || t->flushed_us >= 0) && since < w->now - BOUND_US)
            right = false;
        if (!late && t->visible_turn <= read_turn)
            right = false;
    }
    w->violations += !right;
}

static void hit(struct world *w, struct fill *e)
{
    if (!e->filled || !e->stamped)
        return;
    bool around = chance(w, 50);
    int read = (int)rnd(w, READS);
    int64_t after = around ? w->reads[read].us : INT64_MIN;
    enum ledger_verdict verdict =
        ledger_judge(w->ledger, e->stamp, e->slots, e->n, w->now, BOUND_US, after);
    w->verdicts[verdict]++;
    switch (verdict) {
    case LEDGER_OK:
        w->hits++;
        check(w, e, around ? w->reads[read].turn : -1);
        return;
    case LEDGER_STALE:
    case LEDGER_BEHIND:
        follower_hurry(w->follower);
        return;
    case LEDGER_DEAD:
        e->busy = false;
        return;
    case LEDGER_OFF:
    case LEDGER_BARRIER:
    case LEDGER_CLOSED:
        return;
    }
}

static void workers_turn(struct world *w)
{
    for (int i = 0; i < 4; i++)
        fill_step(w, &w->fills[rnd(w, FILLS)]);
    for (int i = 0; i < 6; i++)
        hit(w, &w->fills[rnd(w, FILLS)]);
    if (chance(w, 10)) {
        int i = (int)rnd(w, READS);
        w->reads[i].us = w->now;
        w->reads[i].turn = w->turn;
    }
    if (rnd(w, 2000) == 0)
        ledger_flush(w->ledger);
}

// ---- Runs -------------------------------------------------------------------------------------

static struct world *run(enum broken broken, uint64_t seed)
{
    struct world *w = mem_new(struct world);
    w->broken = broken;
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    w->ledger = ledger_new();
    w->follower = follower_new(w->ledger, BOUND_US);
    struct catalog *catalog = keyed_catalog();
    follower_set_catalog(w->follower, catalog);
    catalog_unref(&catalog);
    w->next_xid = 100;
    w->insert = w->flush = 1000;
    w->now = 1000000;
    for (int i = 0; i < READS; i++)
        w->reads[i].us = w->reads[i].turn = -1;
    for (w->turn = 1; w->turn <= TURNS; w->turn++) {
        w->now += 1 + rnd(w, chance(w, 2) ? 30000 : 600);
        server_turn(w);
        stream_turn(w);
        control_turn(w);
        workers_turn(w);
    }
    for (size_t i = 0; i < w->n_mail; i++)
        follower_ticket(w->follower, w->mail[i]);
    follower_free(w->follower);
    assert_int_equal(ledger_barriers(w->ledger), 0);
    ledger_free(w->ledger);
    return w;
}

static void nothing_stale_is_served(void **state)
{
    uint64_t hits = 0, gates = 0, fulls = 0, verdicts[LEDGER_DEAD + 1] = {0};
    const char *more = getenv("VALIDITY_SEEDS"); // for a longer search
    uint64_t seeds = more != NULL ? strtoull(more, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct world *w = run(SOUND, seed);
        if (w->violations > 0)
            print_error("seed %lu: %lu violations\n", seed, w->violations);
        assert_int_equal(w->violations, 0);
        hits += w->hits;
        gates += w->readings[READING_GATE];
        fulls += w->readings[READING_FULL];
        for (int v = 0; v <= LEDGER_DEAD; v++)
            verdicts[v] += w->verdicts[v];
        mem_free(w);
    }
    for (int v = 0; v <= LEDGER_DEAD; v++) {
        print_message("verdict %d: %lu\n", v, verdicts[v]);
        assert_true(verdicts[v] > 0);
    }
    print_message("readings: %lu gate, %lu full\n", gates, fulls);
    assert_true(hits > seeds * 5000 && gates > seeds * 100); // else this proves little
}

static void each_rule_is_needed(void **state)
{
    static const char *const names[] = {
        [NO_GATE] = "no gate", [NO_CLOSE] = "no close", [NO_BARRIER] = "no barrier",
        [EARLY_TICKET] = "early ticket", [NO_HORIZON] = "no horizon",
        [LATE_STAMP] = "late stamp", [ANSWER_INSTANT] = "instant of the answer",
        [GATE_FRESHENS] = "a gate freshens", [NO_ROWS] = "no rows slot", [NO_HOLD] = "no hold",
        [EARLY_OPEN] = "early open", [NO_KEY_CLOSE] = "no key closed",
        [NO_OLD_KEY] = "no old key", [NO_KEY_EVENT] = "no key in events",
    };
    for (int broken = NO_GATE; broken < BROKEN_END; broken++) {
        uint64_t violations = 0, seed = 1;
        for (; seed <= 10 * SEEDS && violations == 0; seed++) {
            struct world *w = run((enum broken)broken, seed);
            violations = w->violations;
            mem_free(w);
        }
        print_message("%s: %lu violations after %lu runs\n", names[broken], violations, seed - 1);
        assert_true(violations > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stale_is_served),
        cmocka_unit_test(each_rule_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
