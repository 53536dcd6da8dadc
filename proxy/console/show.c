// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "cache/store.h"
#include "config/config.h"
#include "config/option.h"
#include "proxy/console/figures.h"
#include "proxy/control/domain.h"
#include "proxy/halt.h"
#include "proxy/server/resolver.h"
#include "proxy/session/client.h"
#include "proxy/version.h"
#include "proxy/worker.h"

static enum command_result version(struct client *client, struct table *table)
{
    table_row(table, (struct cell[]){TEXT("pgweir " PGWEIR_VERSION)});
    return COMMAND_DONE;
}

// A notice, with the commands as its detail.
static enum command_result help(struct client *client, struct table *table)
{
    static const char *const fields[] = {
        "SNOTICE", "C00000", "MConsole usage",
        "D\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION\n"
        "\tSHOW PEERS|PEER_POOLS\n"
        "\tSHOW FDS|SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE\n"
        "\tSHOW DNS_HOSTS|DNS_ZONES\n"
        "\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS\n"
        "\tSHOW CACHE|CACHE QUERIES|CACHE TABLES|INVALIDATION|QUERIES|PINS|ADVICE\n"
        "\tSET key = arg\n"
        "\tRELOAD\n"
        "\tPAUSE [<db>]\n"
        "\tRESUME [<db>]\n"
        "\tDISABLE <db>\n"
        "\tENABLE <db>\n"
        "\tRECONNECT [<db>]\n"
        "\tKILL [<db>]\n"
        "\tKILL_CLIENT <client_id>\n"
        "\tCACHE FLUSH [[<schema>.]<table>]\n"
        "\tSUSPEND\n"
        "\tSHUTDOWN\n"
        "\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS\n"
        "\tWAIT_CLOSE [<db>]"};
    size_t mark = buf_message_begin(table->out, 'N');
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        buf_cstr(table->out, fields[i]);
    buf_u8(table->out, 0);
    buf_message_end(table->out, mark);
    return COMMAND_DONE;
}

static enum command_result config(struct client *client, struct table *table)
{
    struct buf value = {0};
    const struct config *in_force = client->worker->config;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        buf_clear(&value);
        config_print_option(in_force, i, &value);
        buf_u8(&value, 0);
        table_row(table, (struct cell[]){TEXT(o->name), TEXT((const char *)value.at),
                                         TEXT(o->fallback ? o->fallback : ""),
                                         TEXT(o->reloadable ? "yes" : "no")});
    }
    buf_fini(&value);
    return COMMAND_DONE;
}

static enum command_result state(struct client *client, struct table *table)
{
    static const char *const keys[] = {
        [HALT_NONE] = "active", [HALT_PAUSED] = "paused", [HALT_SUSPENDED] = "suspended"};
    for (int i = HALT_NONE; i <= HALT_SUSPENDED; i++) {
        bool is = halt_mode(client->worker->pooler) == (enum halt_mode)i;
        table_row(table, (struct cell[]){TEXT(keys[i]), TEXT(is ? "yes" : "no")});
    }
    return COMMAND_DONE;
}

struct hosts {
    const struct table *table;
    const struct settings *settings;
};

// How many more seconds the answer is good for, and what it was.
static void host_row(const char *host, int64_t asked_us, bool failed,
                     const struct address *addresses, int count, void *arg)
{
    struct hosts *hosts = arg;
    int64_t keep_us =
        failed ? hosts->settings->dns_nxdomain_ttl_us : hosts->settings->dns_max_ttl_us;
    int64_t left_us = asked_us + keep_us - clock_us();
    struct buf all = {0};
    for (int i = 0; i < count && !failed; i++) {
        char text[ORIGIN_HOST_BYTES];
        struct origin origin;
        origin_of_address(&origin, &addresses[i].to.any, addresses[i].length);
        origin_host(&origin, text);
        buf_printf(&all, "%s%s", i > 0 ? "," : "", text);
    }
    buf_u8(&all, 0);
    table_row(hosts->table, (struct cell[]){TEXT(host), NUMBER(left_us > 0 ? left_us / 1000000 : 0),
                                            TEXT((const char *)all.at)});
    buf_fini(&all);
}

static enum command_result dns_hosts(struct client *client, struct table *table)
{
    struct hosts hosts = {table, config_settings(client->worker->config)};
    resolver_each(client->worker->pooler->resolver, host_row, &hosts);
    return COMMAND_DONE;
}

// What is not there has no rows: zones are not watched.
static enum command_result nothing(struct client *client, struct table *table)
{
    return COMMAND_DONE;
}

static void pair_row(const char *name, const char *sentence, uint64_t value, void *arg)
{
    table_row(arg, (struct cell[]){TEXT(name), NUMBER(value), TEXT(sentence)});
}

static enum command_result cache(struct client *client, struct table *table)
{
    figures_each_cache(client->worker->pooler, pair_row, table);
    return COMMAND_DONE;
}

struct domains_table {
    struct table *table;
    int64_t max_staleness_us;
};

// A loss says why by itself; the other states mean something, too.
static const char *domain_reason(const struct domain_status *s, int64_t max_staleness_us)
{
    if (s->reason[0] != '\0')
        return s->reason;
    switch (s->state) {
    case DOMAIN_NEW:
        return "its first client has come a moment ago";
    case DOMAIN_CONNECTING:
        return "logging in, reading the schema, or making the slot, for which the server waits "
               "until all transactions that run now have ended";
    case DOMAIN_CATCHING_UP:
        return "transactions that began before the slot have not all ended, or the first "
               "freshness is not known";
    case DOMAIN_ALIAS:
        return "the same database as another one here, whose entries it has";
    case DOMAIN_FOLLOWING:
        if (s->fresh_age_us < 0 || s->fresh_age_us > max_staleness_us)
            return "freshness was confirmed longer ago than max_staleness: the stream is late or "
                   "silent, the server does not answer, or nobody has asked";
        break;
    case DOMAIN_WAITING:
    case DOMAIN_REFUSED:
        break;
    }
    return "";
}

static void domain_row(const struct domain_status *s, void *arg)
{
    const struct domains_table *domains = arg;
    char stable[32], passed[32];
    snprintf(stable, sizeof(stable), "%X/%X", (unsigned)(s->stable >> 32), (unsigned)s->stable);
    snprintf(passed, sizeof(passed), "%X/%X", (unsigned)(s->passed >> 32), (unsigned)s->passed);
    table_row(domains->table,
              (struct cell[]){TEXT(s->target), TEXT(domain_state_name(s->state)),
                              TEXT(domain_reason(s, domains->max_staleness_us)),
                              TEXT(s->stream.slot), TEXT(stable), TEXT(passed),
                              NUMBER(s->fresh_age_us), NUMBER(s->reading_us), NUMBER(s->readings),
                              NUMBER(s->reconnects), NUMBER(s->transactions),
                              NUMBER(s->schema_changes), NUMBER(s->names), TEXT(s->stream.plugin),
                              TEXT(s->stream.publication)});
}

static enum command_result invalidation(struct client *client, struct table *table)
{
    struct domains_table domains = {
        .table = table,
        .max_staleness_us = config_settings(client->worker->config)->max_staleness_us,
    };
    if (client->worker->pooler->domains != NULL)
        domains_status(client->worker->pooler->domains, domain_row, &domains);
    return COMMAND_DONE;
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

static const struct show shows[] = {
    {"help", {NULL, NULL}, help, false},
    {"version", {"s", COLUMNS("version")}, version, false},
    {"config", {"ssss", COLUMNS("key", "value", "default", "changeable")}, config, false},
    {"state", {"ss", COLUMNS("key", "value")}, state, false},
    {"dns_hosts", {"sls", COLUMNS("hostname", "ttl", "addrs")}, dns_hosts, false},
    {"dns_zones", {"sli", COLUMNS("zonename", "serial", "count")}, nothing, false},
    {"cache", {"sls", COLUMNS("name", "value", "meaning")}, cache, false},
    {"invalidation",
     {"sssssslllllllss",
      COLUMNS("database", "state", "reason", "slot", "stable", "passed", "fresh_age_us",
              "reading_us", "readings", "reconnects", "transactions", "schema_changes",
              "names", "plugin", "publication")},
     invalidation, false},
    {NULL, {NULL, NULL}, NULL, false},
};

const struct show *show_find(const char *name)
{
    const struct show *const tables[] = {shows, show_pools, show_sockets, show_stats,
                                         show_queries, show_cache, show_advice, show_pins};
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        for (const struct show *s = tables[i]; s->name != NULL; s++)
            if (strcasecmp(name, s->name) == 0)
                return s;
    return NULL;
}
