// SPDX-License-Identifier: Apache-2.0
// The beginning of a fill: what a reply will depend on, and whether it may be recorded.
#include "cache/fill.h"
#include "cache/store.h"
#include "proxy/session/asked.h"
#include "proxy/sql/keys.h"

// ---- what the reply depends on ----

enum { DEPENDENCY_KEYS_MAX = 64 };
_Static_assert(DEPENDENCIES_MAX >= RESOLVE_SLOTS_MAX + DEPENDENCY_KEYS_MAX * 2 + 128,
               "tables, keys, and the rows slots of their tables");

const struct dependencies *filling_dependencies(struct question *q)
{
    if (q->dependencies != NULL)
        return q->dependencies;
    struct dependencies *found = &q->client->worker->asked->dependencies;
    uint32_t *out = found->slots;
    const struct resolution *r = q->resolution;
    bool simple = q->unit.simple;
    struct key_values values = {
        .analysis = q->analysis,
        .text = simple ? q->unit.text : statement_text(q->statement),
        .types = simple ? slice_of("", 0) : statement_types(q->statement),
        .bind = q->unit.bind,
        .utf8 = r->utf8 && session_speaks_utf8(q->client),
    };
    size_t n = r->read_count, keys = 0;
    memcpy(out, r->reads, n * sizeof(*out));
    for (uint16_t i = 0; i < r->read_scan_count; i++) {
        uint32_t slots[KEYS_MAX];
        int named = keys_slots(&values, &r->read_scans[i], slots);
        if (named < 0 || keys + (size_t)named > DEPENDENCY_KEYS_MAX) {
            out[n++] = ledger_table_slot(r->read_scans[i].table);
            continue;
        }
        keys += (size_t)named;
        memcpy(out + n, slots, (size_t)named * sizeof(*out));
        n += (size_t)named;
        out[n++] = ledger_rows_slot(r->read_scans[i].space);
        if (r->read_scans[i].space != r->read_scans[i].table)
            out[n++] = ledger_columns_slot(r->read_scans[i].table);
    }
    found->n = n;
    return q->dependencies = found;
}

// ---- recording ----

bool filling_is_led(const struct question *q)
{
    const struct flight *flight = q->client->flight;
    return flight != NULL && key_hash_eq(flight->hash, q->hash);
}

void filling_begin(struct question *q)
{
    struct client *client = q->client;
    struct worker *worker = client->worker;
    struct server *server = client->server;
    if (!server_may_have(server, q->profile, q->stamp.epoch) ||
        !gucs_equal(server->applied, client->wanted) || server->needs_reset || server->fill != NULL)
        return;
    note_unit(q, misses_count(worker), true);
    const struct dependencies *d = filling_dependencies(q);
    enum ledger_verdict verdict =
        ledger_judge(q->ledger, q->stamp, d->slots, d->n, 0, INT64_MAX, INT64_MIN);
    // A write to what it reads is not yet placed, or not yet known to be visible: the reply would
    // be dead on arrival.
    bool dead = (verdict == LEDGER_DEAD || verdict == LEDGER_CLOSED) && q->ruling.ttl_us == 0;
    bool led = filling_is_led(q);
    struct ledger_known known = {0};
    if (dead && led)
        known = ledger_look(q->ledger, d->slots, d->n);
    if (dead && !known.settled)
        return;
    size_t max = (size_t)config_settings(worker->config)->cache_max_entry_size_bytes;
    size_t limit = store_entry_limit_bytes(worker->pooler->store);
    server->fill = fill_begin(&(struct fill_plan){
        .arena = store_arena(worker->pooler->store), .key = q->key,
        .hash = q->hash, .stamp = q->stamp, .slots = d->slots, .n_slots = (uint32_t)d->n,
        .max_bytes = max < limit ? max : limit});
    fill_asked(server->fill, worker->now_us);
    server->fill_profile = q->profile;
    server->fill_form = q->analysis;
    memcpy(server->fill_vars, client->vars->result_key, sizeof(server->fill_vars));
    if (led && dead)
        store_flight_pass(worker->pooler->store, client->flight, &known);
    else if (led)
        store_flight_start(worker->pooler->store, client->flight, q->stamp);
}
