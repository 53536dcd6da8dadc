// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/explained.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/wire/sender.h"

enum { WAITING_MAX_BYTES = 16 * 1024, TABLES_SHOWN = 8 };

struct explained {
    struct buf waiting;  // owns; NoticeResponses
    struct buf sentence; // owns; of a miss whose end is not known yet
    bool filling;
    bool passing;
};

static void put_age(struct buf *out, int64_t us)
{
    if (us < 1000000)
        buf_printf(out, "%.1f ms", (double)us / 1e3);
    else
        buf_printf(out, "%.1f s", (double)us / 1e6);
}

static void put_name(struct buf *out, const struct rule_table *table)
{
    if (table->schema.len > 0)
        buf_printf(out, "%.*s.", (int)table->schema.len, (const char *)table->schema.at);
    buf_printf(out, "%.*s", (int)table->name.len, (const char *)table->name.at);
}

static void put_tables(struct buf *out, const struct explained_query *query)
{
    for (size_t i = 0; i < query->table_count && i < TABLES_SHOWN; i++) {
        if (i > 0)
            buf_printf(out, ", ");
        put_name(out, &query->tables[i]);
    }
    if (query->table_count > TABLES_SHOWN)
        buf_printf(out, " and %zu more", query->table_count - TABLES_SHOWN);
    if (query->table_count == 0)
        buf_printf(out, "no table");
}

static void put_end(struct buf *out, const struct explained_query *query)
{
    if (query->ruling.rule != NULL)
        buf_printf(out, "; rule %s", query->ruling.rule);
    if (query->hints->unknown)
        buf_printf(out, "; a word in the hint means nothing");
}

static void put_notice(struct buf *out, struct buf *sentence)
{
    buf_u8(sentence, 0);
    message_error(out, "NOTICE", "00000", (const char *)sentence->at);
    buf_fini(sentence);
}

static struct explained *of(struct client *client)
{
    if (client->explained == NULL)
        client->explained = mem_new(struct explained);
    return client->explained;
}

void explained_hit(struct client *client, struct sender *to_client,
                   const struct explained_query *query, const struct entry *entry, bool stale)
{
    struct buf sentence = {0}, notice = {0};
    buf_printf(&sentence, "pgweir: hit%s, the answer is ", stale ? " by ttl" : "");
    put_age(&sentence, clock_us() - entry_asked_us(entry));
    if (stale) {
        buf_printf(&sentence, " old and may be stale, ");
        put_age(&sentence, query->ruling.ttl_us);
        buf_printf(&sentence, " are accepted; it depends on ");
    } else {
        buf_printf(&sentence, " old and holds until a write to ");
    }
    put_tables(&sentence, query);
    put_end(&sentence, query);
    put_notice(&notice, &sentence);
    sender_copy(to_client, buf_slice(&notice));
    buf_fini(&notice);
}

void explained_bypass(struct client *client, const struct explained_query *query,
                      enum bypass reason)
{
    struct explained *e = of(client);
    if (e->waiting.len > WAITING_MAX_BYTES)
        return;
    struct buf sentence = {0};
    buf_printf(&sentence, "pgweir: bypass (%s), %s", bypass_name(reason), bypass_sentence(reason));
    if (reason == BYPASS_OFF && query->why != NULL)
        buf_printf(&sentence, ": %s", query->why);
    put_end(&sentence, query);
    put_notice(&e->waiting, &sentence);
}

void explained_miss(struct client *client, const struct explained_query *query, bool filling)
{
    struct explained *e = of(client);
    buf_clear(&e->sentence);
    buf_printf(&e->sentence, "; it depends on ");
    put_tables(&e->sentence, query);
    put_end(&e->sentence, query);
    e->filling = filling;
    e->passing = false;
}

void explained_passing(struct client *client, const struct explained_query *query)
{
    explained_miss(client, query, false);
    of(client)->passing = true;
}

static void end_miss(struct explained *e, const char *what)
{
    struct buf sentence = {0};
    buf_printf(&sentence, "pgweir: miss, the server's answer %s", what);
    buf_put(&sentence, buf_slice(&e->sentence));
    put_notice(&e->waiting, &sentence);
    buf_fini(&e->sentence);
    e->filling = false;
}

void explained_stored(struct client *client, size_t bytes)
{
    char what[64];
    if (client->explained == NULL || client->explained->sentence.len == 0)
        return;
    snprintf(what, sizeof(what), "of %zu bytes is stored", bytes);
    end_miss(client->explained, what);
}

void explained_ready(struct client *client, struct sender *to_client)
{
    struct explained *e = client != NULL ? client->explained : NULL;
    if (e == NULL)
        return;
    if (e->sentence.len > 0)
        end_miss(e, e->passing   ? "is not stored: others like it are hardly ever asked for again"
                    : e->filling ? "is not stored: it is an error, too large, or came with a notice"
                                 : "is not stored: a write is under way, or the session is new");
    sender_copy(to_client, buf_slice(&e->waiting));
    explained_free(client);
}

void explained_free(struct client *client)
{
    struct explained *e = client->explained;
    client->explained = NULL;
    if (e == NULL)
        return;
    buf_fini(&e->waiting);
    buf_fini(&e->sentence);
    mem_free(e);
}
