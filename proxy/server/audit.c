// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/audit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "config/config.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/gucs.h"
#include "proxy/sql/template.h"
#include "proxy/wire/message.h"
#include "proxy/wire/sender.h"
#include "proxy/worker.h"

enum {
    WAITING_MAX = 32,
    UNDER_WAY_MAX = 2,           // of a worker
    LOOKS_MAX = 2,               // for a server, in a turn
    PATIENCE_US = 5000000,       // for a server, and for the ledger's word
    TEXT_SHOWN_BYTES = 300,
    ANSWER_MAX_BYTES = 64 << 20, // of a server that says something else
};

struct audit {
    struct link link;      // in waiting or differing; in none while a server has it
    struct worker *worker; // borrows
    struct route *route;   // counts
    struct entry *entry;   // counts
    const struct ledger *ledger;
    const struct profile *profile;
    struct vars *vars;     // counts
    struct gucs *wanted;   // counts
    bool simple, described;
    bool failed;           // the server said an error
    int64_t since_us;      // when it was noted; when it was answered
    struct buf messages;   // owns
    struct buf answer;     // owns
    char text[TEXT_SHOWN_BYTES + 1]; // constants taken out
};

struct audits {
    struct list waiting;   // for a server
    struct list differing; // for the ledger's word
    int under_way;
    uint64_t dice;
};

struct audits *audits_new(void)
{
    struct audits *a = mem_new(struct audits);
    list_init(&a->waiting);
    list_init(&a->differing);
    a->dice = hash_seed() | 1;
    return a;
}

static void audit_free(struct audit *a)
{
    entry_unref(&a->entry);
    vars_unref(&a->vars);
    gucs_unref(&a->wanted);
    buf_fini(&a->messages);
    buf_fini(&a->answer);
    route_unref(&a->route);
    mem_free(a);
}

static void free_all(struct list *list)
{
    struct link *l;
    while ((l = list_pop_front(list)) != NULL)
        audit_free(container_of(l, struct audit, link));
}

void audits_free(struct audits *audits)
{
    if (audits == NULL)
        return;
    free_all(&audits->waiting);
    free_all(&audits->differing);
    mem_free(audits);
}

bool audit_wants(struct worker *worker)
{
    int64_t rate = config_settings(worker->config)->cache_audit_rate;
    if (rate == 0)
        return false;
    uint64_t *x = &worker->audits->dice; // xorshift
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (int64_t)((*x >> 11) % 1000000) < rate;
}

// ---- noting ----

static void show_text(struct audit *a, struct slice sql)
{
    uint8_t out[TEMPLATE_MAX_BYTES];
    struct template t = template_of(sql, out);
    size_t n = 0;
    for (size_t i = 0; !t.verbatim && i < t.bytes.len && n < TEXT_SHOWN_BYTES; i++) {
        uint8_t c = t.bytes.at[i];
        bool constant = c >= TEMPLATE_INTEGER && c <= TEMPLATE_STRING;
        a->text[n++] = constant ? '?' : c < ' ' ? ' ' : (char)c;
    }
    a->text[n] = '\0';
}

static void compose(struct audit *a, const struct audit_subject *s)
{
    struct buf *out = &a->messages;
    if (a->simple) {
        size_t mark = buf_message_begin(out, 'Q');
        buf_put(out, s->text);
        buf_u8(out, 0);
        buf_message_end(out, mark);
        return;
    }
    size_t mark = buf_message_begin(out, 'P');
    buf_u8(out, 0);
    buf_put(out, s->tail);
    buf_message_end(out, mark);
    mark = buf_message_begin(out, 'B');
    buf_u16(out, 0); // no name of portal nor statement
    buf_put(out, s->bind);
    buf_message_end(out, mark);
    if (a->described) {
        mark = buf_message_begin(out, 'D');
        buf_u8(out, 'P');
        buf_u8(out, 0);
        buf_message_end(out, mark);
    }
    mark = buf_message_begin(out, 'E');
    buf_u8(out, 0);
    buf_u32(out, 0);
    buf_message_end(out, mark);
    buf_message_end(out, buf_message_begin(out, 'S'));
}

void audit_later(struct client *client, const struct audit_subject *s)
{
    struct worker *worker = client->worker;
    struct audits *audits = worker->audits;
    if (audits->waiting.count >= WAITING_MAX)
        audit_free(container_of(list_pop_front(&audits->waiting), struct audit, link));
    struct audit *a = mem_new(struct audit);
    *a = (struct audit){.worker = worker, .route = route_ref(client->route),
                        .entry = entry_ref(s->entry), .ledger = s->ledger, .profile = s->profile,
                        .vars = vars_ref(client->vars),
                        .wanted = client->wanted ? gucs_ref(client->wanted) : NULL,
                        .simple = s->simple, .described = s->described, .since_us = clock_us()};
    link_init(&a->link);
    show_text(a, s->text);
    compose(a, s);
    list_push_back(&audits->waiting, &a->link);
}

// ---- asking ----

static bool suits(struct audit *a, struct server *server)
{
    return server->state == SERVER_IDLE && server->route == a->route &&
           server->profile == a->profile && server->profile_epoch == a->entry->stamp.epoch &&
           server->doomed == NULL && server->cancels == 0 && !server->needs_reset &&
           !server->needs_settings_reset && !server->fresh && server->hub == NULL &&
           !server_is_obsolete(server) && gucs_equal(a->wanted, server->applied) &&
           vars_equal(a->vars, server->vars);
}

static struct server *take_server(struct audit *a)
{
    struct pool *pool = a->route->pool;
    struct pool_figures figures = pool_figures(pool, a->worker->now_us);
    if (figures.clients_waiting > 0 || figures.paused || pool_contended(pool))
        return NULL;
    list_each(&a->worker->servers, l)
    {
        struct server *server = container_of(l, struct server, link);
        if (suits(a, server) && pool_take_idle(pool, &server->slot))
            return server;
    }
    return NULL;
}

static void push(struct server *server, enum op_kind kind)
{
    ops_push(&server->ops, kind, OP_INJECTED, PURPOSE_AUDIT);
}

static void begin(struct audit *a, struct server *server)
{
    struct worker *worker = a->worker;
    server->audit = a;
    worker->audits->under_way++;
    server->state = SERVER_RESETTING;
    server->since_us = clock_us();
    server->unnamed = 0;
    if (a->simple) {
        push(server, OP_QUERY);
    } else {
        push(server, OP_PARSE);
        push(server, OP_BIND);
        if (a->described)
            push(server, OP_DESCRIBE);
        push(server, OP_EXECUTE);
        push(server, OP_SYNC);
    }
    sender_begin(&worker->to_server, &server->conn);
    sender_copy(&worker->to_server, buf_slice(&a->messages));
    if (!sender_end(&worker->to_server))
        server_close(server, "server conn crashed?");
}

// ---- what it says ----

void audit_message(struct server *server, char type, struct slice message)
{
    struct audit *a = server->audit;
    if ((type == 'T' || type == 'D' || type == 'C') && a->answer.len < ANSWER_MAX_BYTES)
        buf_put(&a->answer, message);
}

void audit_failed(struct server *server)
{
    server->audit->failed = true;
}

void audit_abandon(struct server *server)
{
    if (server->audit == NULL)
        return;
    server->worker->audits->under_way--;
    audit_free(server->audit);
    server->audit = NULL;
}

static int by_bytes(const void *x, const void *y)
{
    const struct slice *a = x, *b = y;
    int order = memcmp(a->at, b->at, a->len < b->len ? a->len : b->len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

// The messages of an answer, in the order of their bytes.
static struct slice *sorted(struct slice body, size_t *count)
{
    struct buf all = {0};
    struct frame frame;
    while (body.len > 0 && frame_read(body, &frame) == FRAME_OK && frame.length <= body.len) {
        struct slice message = slice_cut(&body, frame.length);
        buf_bytes(&all, &message, sizeof(message));
    }
    *count = all.len / sizeof(struct slice);
    if (*count > 0)
        qsort(all.at, *count, sizeof(struct slice), by_bytes);
    return (struct slice *)(void *)all.at;
}

// Without an ORDER BY the same rows may come in another order.
static bool same_rows(struct slice a, struct slice b)
{
    if (slice_eq(a, b))
        return true;
    size_t n, m;
    struct slice *x = sorted(a, &n), *y = sorted(b, &m);
    bool same = a.len == b.len && n == m;
    for (size_t i = 0; same && i < n; i++)
        same = slice_eq(x[i], y[i]);
    mem_free(x);
    mem_free(y);
    return same;
}

void audit_answered(struct server *server)
{
    struct audit *a = server->audit;
    struct worker *worker = server->worker;
    server->audit = NULL;
    worker->audits->under_way--;
    a->since_us = clock_us();
    counter_add(&worker->cache.audits, 1);
    bool same = !a->failed && same_rows(entry_body(a->entry), buf_slice(&a->answer));
    if (!same && !a->failed) {
        list_push_back(&worker->audits->differing, &a->link);
        return;
    }
    counter_add(&worker->cache.audit_unclear, a->failed);
    audit_free(a);
}

// ---- judging ----

// True: it is over.
static bool judge(struct audit *a, int64_t now_us)
{
    struct worker *worker = a->worker;
    const struct entry *e = a->entry;
    switch (ledger_judge(a->ledger, e->stamp, e->slots, e->n_slots, 0, INT64_MAX, a->since_us)) {
    case LEDGER_OK: // fresh as of a moment behind the answer, and nothing has touched it
        if (!store_drop(worker->pooler->store, a->entry))
            return true; // it was found already, or is past anyway
        counter_add(&worker->cache.audit_mismatches, 1);
        log_error("cache audit: %s/%s: an answer from memory differs from the server's, and no "
                  "write explains it: %u bytes of %lld ms ago: %s",
                  a->route->database, a->route->user, e->body_len,
                  (long long)((now_us - entry_asked_us(e)) / 1000), a->text);
        return true;
    case LEDGER_DEAD:
    case LEDGER_OFF:
        break;
    case LEDGER_STALE:
    case LEDGER_BEHIND:
    case LEDGER_BARRIER:
    case LEDGER_CLOSED:
        if (now_us - a->since_us < PATIENCE_US)
            return false;
        break;
    }
    counter_add(&worker->cache.audit_unclear, 1);
    return true;
}

void audits_run(struct worker *worker)
{
    struct audits *audits = worker->audits;
    bool may_ask = !worker->suspended && worker->shutdown == SHUTDOWN_NONE &&
                   !worker->pooler->draining;
    int64_t now_us = clock_us();
    for (int look = 0; look < LOOKS_MAX && !list_empty(&audits->waiting) &&
                       audits->under_way < UNDER_WAY_MAX; look++) {
        struct audit *a = container_of(list_pop_front(&audits->waiting), struct audit, link);
        struct server *server = may_ask ? take_server(a) : NULL;
        if (server != NULL)
            begin(a, server);
        else if (now_us - a->since_us < PATIENCE_US)
            list_push_back(&audits->waiting, &a->link);
        else
            audit_free(a);
    }
    list_each(&audits->differing, d)
    {
        struct audit *a = container_of(d, struct audit, link);
        if (!judge(a, now_us))
            continue;
        list_remove(&audits->differing, d);
        audit_free(a);
    }
}
