// SPDX-License-Identifier: Apache-2.0
#include "cache/follower.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/protection.h"
#include "cache/decode.h"
#include "cache/pending.h"
#include "cache/pgoutput.h"
#include "cache/snapshot.h"
#include "cache/touched.h"

// What the server does, and what follows from it (walsender.c, logical.c, snapbuild.c, xact.c of
// PostgreSQL 15):
//
// - The header of an XLogData message has dataStart = walEnd = the output context's write_location:
//   at COMMIT the end of the commit record (end_lsn). So it is the commit's position. Commits are
//   decoded in the order of their records, so at a COMMIT line all earlier ones have come.
// - A keepalive's walEnd is sentPtr: the end of the last record wholly decoded. Whatever committed
//   up to there was sent before it on the same connection.
// - At commit, the record is written and flushed, then the transaction is marked in the commit log
//   and, after any wait for standbys, leaves the set of running ones. Only the last step makes it
//   visible to new snapshots; pg_current_snapshot() reads the same set. Once out, it stays out.
// - The slot's consistent point: what commits later is sent complete. What committed up to there is
//   never sent, and may still not be visible: see horizon_xid.

enum {
    TICKETS_MAX = 65536,
    MARKS_MAX = 64,
    KEEPALIVE_AGAIN_US = 20000,
    FLUSH_AFTER_US = 20000,
    FLUSH_AGAIN_US = 100000,
};

// The stream must pass flush_lsn for the cache to be fresh as of sent_us.
struct mark {
    uint64_t flush_lsn;
    int64_t sent_us;
};

struct follower {
    uint32_t tag;
    struct ledger *ledger; // borrows
    int64_t max_staleness_us;
    struct follower_start start;
    bool following;
    bool settled; // nothing below the horizon runs any more
    bool schema_suspect;
    uint64_t suspect; // position of the newest commit that may have changed it, until a reading
                      // whose snapshot shows that commit has found it the same. 0: none
    uint64_t transactions;
    uint64_t wide;

    // The stream.
    uint64_t passed;
    bool in_transaction;
    bool in_message; // the transaction has sent a message, and perhaps nothing else
    uint32_t xid;
    struct catalog *catalog; // counts; NULL: none is known
    struct pgoutput *pgoutput; // owns
    struct touched touched;  // by the transaction
    struct pending pending;
    bool keepalive_asked;
    int64_t keepalive_us; // last asked for; INT64_MIN never
    unsigned keepalive_fruitless; // keepalives in a row that brought nothing new

    // The readings.
    struct snapshot snapshot;
    struct pace pace;
    bool hurry;
    uint64_t flush_lsn; // newest one that the stream is wanted to pass
    struct mark marks[MARKS_MAX];
    size_t first_mark;
    size_t n_marks;
    int64_t fresh_us; // newest instant whose mark was passed; INT64_MIN none

    // Own writes. A ticket goes from waiting (no reading sent since it came) to riding (on the
    // one in flight), and then away; or, with a barrier or slots that are held, to passing until
    // its position is passed.
    struct list waiting;
    struct list riding;
    struct list passing;
    uint64_t watched; // a position of an own write; watched until passed, then the newest one
    uint64_t newest_write;
    int64_t watched_us; // since
    int64_t flush_us;   // last flush asked for; INT64_MIN never
};

enum { FOLLOWER_TAG = 0xf0110e40 };

// ---- Tickets ----------------------------------------------------------------------------------

static struct ticket *ticket_of(struct link *link)
{
    return container_of(link, struct ticket, link);
}

// Its written slots were settled before.
static void ticket_end(struct follower *f, struct ticket *t)
{
    ledger_open(f->ledger, t->slots + t->n_written, ticket_held(t));
    if (t->barrier)
        ledger_lower_barrier(f->ledger);
    ticket_free(t);
}

// With the ledger off no stamp is valid, and one that is taken later belongs to a query sent after
// this write was answered, so its snapshot contains it: the write need not be placed anywhere.
static void ticket_end_unplaced(struct follower *f, struct ticket *t)
{
    CHECK(!ledger_is_on(f->ledger));
    ledger_settle(f->ledger, t->slots, t->n_written, 0);
    ticket_end(f, t);
}

static void tickets_end_unplaced(struct follower *f)
{
    struct link *link;
    while ((link = list_pop_front(&f->waiting)) != NULL)
        ticket_end_unplaced(f, ticket_of(link));
    while ((link = list_pop_front(&f->riding)) != NULL)
        ticket_end_unplaced(f, ticket_of(link));
    while ((link = list_pop_front(&f->passing)) != NULL)
        ticket_end(f, ticket_of(link));
}

// pg_current_wal_insert_lsn() at the end of a full page points behind the next page's header,
// where no record can end; the stream and the flush position then stand before the header, and
// would not pass the former until something else is written.
static uint64_t insert_position(const struct follower *f, uint64_t insert_lsn)
{
    enum { SHORT_HEADER = 24, LONG_HEADER = 40 }; // SizeOfXLogShortPHD, SizeOfXLogLongPHD
    uint32_t segment = f->start.wal_segment_bytes, block = f->start.wal_block_bytes;
    if (segment != 0 && insert_lsn % segment == LONG_HEADER)
        return insert_lsn - LONG_HEADER;
    if (segment != 0 && block != 0 && insert_lsn % block == SHORT_HEADER &&
        insert_lsn % segment != SHORT_HEADER)
        return insert_lsn - SHORT_HEADER;
    return insert_lsn;
}

// Code that nobody sees may have refreshed any of them. No event tells of it, and the reading that
// finds it in the schema may come long after the barrier has fallen.
static void touch_materialized(struct follower *f, uint64_t position)
{
    size_t n = 0;
    const uint32_t *slots = f->catalog == NULL ? NULL : catalog_materialized(f->catalog, &n);
    for (size_t i = 0; i < n; i++)
        ledger_event(f->ledger, slots[i], position);
}

// Each commit among these was answered before the reading was sent, so its record ends at or
// before the insert position that the reading found.
static void tickets_place(struct follower *f, uint64_t position, int64_t now_us)
{
    struct link *link;
    if (list_empty(&f->riding))
        return;
    f->newest_write = position;
    if (f->watched <= f->passed) {
        f->watched = position;
        f->watched_us = now_us;
    }
    while ((link = list_pop_front(&f->riding)) != NULL) {
        struct ticket *t = ticket_of(link);
        ledger_settle(f->ledger, t->slots, t->n_written, position);
        if (t->barrier)
            touch_materialized(f, position);
        if (t->barrier || ticket_held(t) > 0) {
            t->position = position;
            list_push_back(&f->passing, &t->link);
        } else {
            ticket_free(t);
        }
    }
}

bool follower_ticket(struct follower *f, struct ticket *t)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    if (!ledger_is_on(f->ledger)) {
        ticket_end_unplaced(f, t);
        return true;
    }
    list_push_back(&f->waiting, &t->link);
    if (f->waiting.count + f->riding.count + f->passing.count <= TICKETS_MAX)
        return true;
    follower_lost(f, LEDGER_OFF_OVERFLOW);
    return false;
}

// ---- Moving the ledger ------------------------------------------------------------------------

// All commits up to here are.
static uint64_t visible(const struct follower *f)
{
    const struct pending_commit *first = pending_first(&f->pending);
    bool all = first == NULL || protection_is_off(PROTECTION_GATE);
    return all ? f->passed : first->position - 1;
}

// After anything that was learnt. Events have been entered already: freshness, barriers and held
// slots, which vouch for them, come after.
static void advance(struct follower *f)
{
    uint64_t stable = visible(f);
    while (f->n_marks > 0 && f->marks[f->first_mark].flush_lsn <= f->passed) {
        f->fresh_us = f->marks[f->first_mark].sent_us;
        f->first_mark = (f->first_mark + 1) % MARKS_MAX;
        f->n_marks--;
    }
    if (ledger_is_on(f->ledger))
        ledger_advance(f->ledger, stable);
    else if (f->settled && f->fresh_us != INT64_MIN)
        ledger_turn_on(f->ledger, stable);
    if (ledger_is_on(f->ledger) && f->fresh_us != INT64_MIN)
        ledger_freshen(f->ledger, f->fresh_us);
    struct link *link;
    while ((link = list_first(&f->passing)) != NULL && ticket_of(link)->position <= f->passed) {
        list_remove(&f->passing, link);
        ticket_end(f, ticket_of(link));
    }
}

static void mark_add(struct follower *f, uint64_t flush_lsn, int64_t now_us)
{
    if (f->n_marks == MARKS_MAX)
        f->n_marks--; // far behind: the newest makes room for a newer one, the oldest comes first
    size_t at = (f->first_mark + f->n_marks++) % MARKS_MAX;
    int64_t fresh_us = protection_is_off(PROTECTION_INSTANT) ? now_us : f->pace.sent_us;
    f->marks[at] = (struct mark){.flush_lsn = flush_lsn, .sent_us = fresh_us};
}

// ---- Life -------------------------------------------------------------------------------------

static void forget(struct follower *f)
{
    f->following = f->settled = f->schema_suspect = false;
    f->passed = f->flush_lsn = f->watched = f->newest_write = f->suspect = 0;
    f->in_transaction = f->in_message = f->hurry = f->keepalive_asked = false;
    f->n_marks = 0;
    f->keepalive_fruitless = 0;
    f->fresh_us = f->keepalive_us = f->flush_us = INT64_MIN;
    snapshot_forget(&f->snapshot);
    pace_reset(&f->pace);
    touched_clear(&f->touched);
    pgoutput_forget(f->pgoutput);
    pending_clear(&f->pending);
}

struct follower *follower_new(struct ledger *ledger, int64_t max_staleness_us)
{
    struct follower *f = mem_new(struct follower);
    TAG_SET(f, FOLLOWER_TAG);
    f->ledger = ledger;
    f->max_staleness_us = max_staleness_us;
    list_init(&f->waiting);
    list_init(&f->riding);
    list_init(&f->passing);
    f->pgoutput = pgoutput_new();
    forget(f);
    return f;
}

void follower_free(struct follower *f)
{
    if (f == NULL)
        return;
    follower_lost(f, LEDGER_OFF_DISABLED);
    snapshot_fini(&f->snapshot);
    pgoutput_free(f->pgoutput);
    catalog_unref(&f->catalog);
    TAG_CLEAR(f);
    mem_free(f);
}

void follower_set_max_staleness(struct follower *f, int64_t max_staleness_us)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    f->max_staleness_us = max_staleness_us;
}

// What has come and cannot be seen yet was entered as the old one had it: when other tables hold
// its rows now, it ends everything.
void follower_set_catalog(struct follower *f, struct catalog *catalog)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    uint64_t before = f->catalog == NULL ? 0 : catalog_ancestry(f->catalog);
    bool same = catalog != NULL && catalog_ancestry(catalog) == before;
    catalog_unref(&f->catalog);
    f->catalog = catalog == NULL ? NULL : catalog_ref(catalog);
    pgoutput_set_catalog(f->pgoutput, f->catalog);
    f->touched.all |= !same && f->in_transaction;
    if (!same && f->pending.count > 0)
        ledger_event_all(f->ledger, f->passed);
}

void follower_begin(struct follower *f, const struct follower_start *start)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    CHECK(!f->following);
    follower_lost(f, LEDGER_OFF_STARTING);
    ledger_reset(f->ledger);
    f->start = *start;
    f->passed = start->consistent_lsn;
    f->following = true;
}

// The ledger first: what is settled or lowered unplaced must meet an epoch that has ended.
void follower_lost(struct follower *f, enum ledger_off_reason reason)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    ledger_turn_off(f->ledger, reason);
    tickets_end_unplaced(f);
    forget(f);
}

// ---- The stream -------------------------------------------------------------------------------

static bool transaction_begin(struct follower *f, uint32_t xid)
{
    if (f->in_transaction)
        return false;
    f->in_transaction = true;
    f->in_message = false;
    f->xid = xid;
    touched_clear(&f->touched);
    f->touched.outdated = f->suspect != 0 || f->start.pgoutput;
    return true;
}

static bool transaction_commit(struct follower *f, uint32_t xid, uint64_t position)
{
    if (!f->in_transaction || xid != f->xid || position <= f->passed)
        return false;
    f->in_transaction = false;
    f->transactions++;
    if (f->touched.all) {
        f->wide++;
        ledger_event_all(f->ledger, position);
    }
    bool told = !protection_is_off(PROTECTION_EVENTS);
    for (size_t i = 0; told && i < f->touched.n; i++)
        ledger_event(f->ledger, f->touched.slots[i], position);
    // Nothing to show for itself: DDL, GRANT, ANALYZE. (Rows of unlogged tables, too.)
    if (f->touched.n == 0 && !f->in_message && !f->start.pgoutput) {
        f->schema_suspect = true;
        f->suspect = position;
    }
    f->passed = position;
    return true;
}

// What one message says; the slots of its tables are touched.
static struct decode_event event_read(struct follower *f, uint64_t lsn, struct slice bytes)
{
    if (f->start.pgoutput)
        return pgoutput_read(f->pgoutput, bytes, &f->touched);
    struct decoded line = decode_line(bytes);
    if (line.kind == DECODE_TABLE || line.kind == DECODE_TRUNCATE)
        touched_line(&f->touched, &line, f->catalog);
    return (struct decode_event){.kind = line.kind, .xid = line.xid, .position = lsn};
}

static bool event_apply(struct follower *f, const struct decode_event *e)
{
    switch (e->kind) {
    case DECODE_BAD:
        return false;
    case DECODE_BEGIN:
        return transaction_begin(f, e->xid);
    case DECODE_COMMIT:
        return transaction_commit(f, e->xid, e->position);
    case DECODE_TABLE:
    case DECODE_TRUNCATE:
        return f->in_transaction;
    case DECODE_MESSAGE:
        f->in_message = true;
        return true;
    case DECODE_NOTHING:
        return true;
    }
    return false;
}

bool follower_data(struct follower *f, uint64_t lsn, struct slice bytes)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    if (!f->following)
        return false;
    struct decode_event e = event_read(f, lsn, bytes);
    if (!event_apply(f, &e)) {
        follower_lost(f, LEDGER_OFF_UNREADABLE);
        return false;
    }
    if (e.kind != DECODE_COMMIT)
        return true;
    if (!pending_push(&f->pending, e.position, e.xid)) {
        follower_lost(f, LEDGER_OFF_OVERFLOW);
        return false;
    }
    // A reading that overtook it may have shown it already: what has finished once stays so.
    pending_pop_finished(&f->pending, &f->snapshot);
    advance(f);
    return true;
}

bool follower_keepalive(struct follower *f, uint64_t wal_end)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    if (!f->following)
        return false;
    f->keepalive_asked = false;
    f->keepalive_fruitless++;
    if (wal_end > f->passed) {
        f->keepalive_fruitless = 0;
        f->passed = wal_end;
        advance(f);
    }
    return true;
}

void follower_keepalive_sent(struct follower *f, int64_t now_us)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    f->keepalive_asked = true;
    f->keepalive_us = now_us;
}

uint64_t follower_passed(const struct follower *f)
{
    return f->passed;
}

// ---- The control connection -------------------------------------------------------------------

void follower_reading_sent(struct follower *f, enum reading_kind kind, int64_t now_us)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    CHECK(f->following);
    pace_sent(&f->pace, kind, now_us);
    if (kind == READING_FULL)
        f->hurry = f->schema_suspect = false;
    struct link *link;
    while ((link = list_pop_front(&f->waiting)) != NULL)
        list_push_back(&f->riding, link);
}

static void gate(struct follower *f)
{
    if (f->snapshot.xmin >= f->start.horizon_xid || protection_is_off(PROTECTION_HORIZON))
        f->settled = true;
    size_t popped = pending_pop_finished(&f->pending, &f->snapshot);
    if (popped > 0 || f->pending.count == 0)
        f->pace.fruitless = 0;
    else if (list_empty(&f->riding)) // else it was not sent for the pending ones
        f->pace.fruitless++;
}

// What the schema is decides what the reading is worth, not what kind was asked for.
static void freshen(struct follower *f, const struct reading *r, int64_t now_us)
{
    switch (r->schema) {
    case READING_SCHEMA_UNREAD:
        return;
    case READING_SCHEMA_SAME:
        if (f->suspect <= visible(f))
            f->suspect = 0;
        mark_add(f, r->flush_lsn, now_us);
        return;
    case READING_SCHEMA_CHANGED:
        ledger_flush(f->ledger);
        return;
    }
}

bool follower_reading(struct follower *f, int64_t now_us, const struct reading *r)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    if (!f->following)
        return false;
    bool full = f->pace.in_flight == READING_FULL;
    pace_answered(&f->pace, now_us);
    if (r->flush_lsn == 0 || r->insert_lsn == 0 || !snapshot_parse(&f->snapshot, r->snapshot)) {
        follower_lost(f, LEDGER_OFF_UNREADABLE);
        return false;
    }
    gate(f);
    // Commits of others need no more than the stream's own pace: no keepalive for their sake.
    bool wanted = full || !list_empty(&f->riding) || f->newest_write > f->passed;
    if (wanted && r->flush_lsn > f->flush_lsn)
        f->flush_lsn = r->flush_lsn;
    freshen(f, r, now_us);
    if (f->watched <= f->passed && f->newest_write > f->passed) {
        f->watched = f->newest_write;
        f->watched_us = now_us;
    }
    bool flushed = protection_is_off(PROTECTION_INSERT);
    tickets_place(f, flushed ? r->flush_lsn : insert_position(f, r->insert_lsn), now_us);
    advance(f);
    f->pace.waited += full && !ledger_is_on(f->ledger);
    return true;
}

void follower_flush_sent(struct follower *f, int64_t now_us)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    f->flush_us = now_us;
}

void follower_hurry(struct follower *f)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    f->hurry = true;
}

// ---- What next --------------------------------------------------------------------------------

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static struct pace_due readings_due(const struct follower *f)
{
    struct pace_needs needs = {
        .refresh_us = f->max_staleness_us / 4,
        .on = ledger_is_on(f->ledger),
        .hurry = f->hurry || f->schema_suspect,
        .tickets = !list_empty(&f->waiting),
        .pending = f->pending.count > 0,
    };
    return pace_due(&f->pace, &needs);
}

static int64_t keepalive_due_us(const struct follower *f)
{
    if (f->passed >= f->flush_lsn)
        return INT64_MAX;
    if (f->keepalive_us == INT64_MIN)
        return INT64_MIN;
    return f->keepalive_us + (f->keepalive_asked
                                  ? KEEPALIVE_AGAIN_US
                                  : pace_slower_us(f->keepalive_fruitless, KEEPALIVE_AGAIN_US));
}

// A position that the stream has not passed for a while, though it answers keepalives promptly, may
// be one that the server has no reason to flush.
static int64_t flush_due_us(const struct follower *f)
{
    int64_t due = INT64_MAX;
    if (f->n_marks > 0)
        due = f->marks[f->first_mark].sent_us + FLUSH_AFTER_US;
    if (f->watched > f->passed)
        due = earlier(due, f->watched_us + FLUSH_AFTER_US);
    if (due != INT64_MAX && f->flush_us != INT64_MIN && f->flush_us + FLUSH_AGAIN_US > due)
        due = f->flush_us + FLUSH_AGAIN_US;
    return due;
}

struct follower_wishes follower_wants(const struct follower *f, int64_t now_us)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    struct follower_wishes w = {.wake_us = INT64_MAX};
    if (!f->following)
        return w;
    struct pace_due readings = readings_due(f);
    int64_t keepalive = keepalive_due_us(f), flush = flush_due_us(f);
    w.reading = readings.full_us <= now_us   ? READING_FULL
                : readings.gate_us <= now_us ? READING_GATE
                                             : READING_NONE;
    w.keepalive = keepalive <= now_us;
    w.flush = flush <= now_us;
    if (w.reading == READING_NONE)
        w.wake_us = earlier(readings.full_us, readings.gate_us);
    if (!w.keepalive)
        w.wake_us = earlier(w.wake_us, keepalive);
    if (!w.flush)
        w.wake_us = earlier(w.wake_us, flush);
    return w;
}

struct follower_status follower_status(const struct follower *f)
{
    TAG_CHECK(f, FOLLOWER_TAG);
    return (struct follower_status){
        .passed = f->passed,
        .stable = f->following ? ledger_stable(f->ledger) : 0,
        .fresh_us = ledger_fresh_us(f->ledger),
        .reading_us = f->pace.full_us,
        .gate_us = f->pace.gate_us,
        .pending_commits = f->pending.count,
        .tickets = f->waiting.count + f->riding.count,
        .barriers = f->passing.count,
        .transactions = f->transactions,
        .wide = f->wide,
        .following = f->following,
        .schema_suspect = f->schema_suspect,
    };
}
