// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/console/flush.h"
#include "proxy/console/question.h"
#include "proxy/console/show.h"
#include "proxy/console/suspension.h"
#include "proxy/control/domain.h"
#include "proxy/halt.h"
#include "proxy/janitor.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/takeover/handover.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// One command being run.
struct command {
    struct client *client;
    struct pooler *pooler;
    const char *argument;
    const char *schema, *value; // of CACHE
    const char *text; // the whole of it
    struct buf *out;
    bool headless;
    uint64_t binary;
};

static const char protocol_violation[] = "08P01"; // PgBouncer's for all its own errors

void command_error(struct client *client, struct buf *out, const char *sqlstate,
                   const char *format, ...)
{
    char why[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    log_error("%s", why);
    if (config_settings(client->worker->config)->log_pooler_errors) {
        char who[CLIENT_NAME_BYTES];
        client_describe(client, who, sizeof(who));
        log_warning("%s pooler error: %s", who, why);
    }
    message_error(out, "ERROR", sqlstate, why);
}

__attribute__((format(printf, 2, 3))) static enum command_result fail(struct command *c,
                                                                      const char *format, ...)
{
    char why[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    command_error(c->client, c->out, protocol_violation, "%s", why);
    return COMMAND_DONE;
}

static enum command_result syntax_error(struct command *c)
{
    return fail(c, "invalid command '%s', use SHOW HELP;", c->text);
}

static enum command_result done(struct command *c, const char *tag)
{
    message_complete(c->out, tag);
    return COMMAND_DONE;
}

static enum command_result wait_for(struct command *c, enum command_wait wait)
{
    console_wait(c->client, wait, c->argument);
    return COMMAND_LATER;
}

// Is the argument a database that this can be done to? what: "pause", for the console's own.
static bool has_database(struct command *c, const char *what)
{
    if (console_is(c->argument)) {
        fail(c, "cannot %s admin db: %s", what, c->argument);
        return false;
    }
    if (config_database(c->client->worker->config, c->argument) != NULL)
        return true;
    fail(c, "no such database: %s", c->argument);
    return false;
}

static void log_command(const struct command *c, const char *name)
{
    if (c->argument[0] != '\0')
        log_info("%s '%s' command issued", name, c->argument);
    else
        log_info("%s command issued", name);
}

// ---- SHOW ----

static const char *const fake_names[] = {"client_encoding", "default_transaction_isolation",
                                         "standard_conforming_strings", "datestyle", "timezone",
                                         "application_name", "extra_float_digits"};
static const char *const fake_values[] = {"UTF-8", "read committed", "on", "ISO", "GMT", "", "1"};

// Clients ask for settings of PostgreSQL, and set them, without looking whom they talk to.
static int fake(const char *name)
{
    for (int i = 0; i < (int)(sizeof(fake_names) / sizeof(*fake_names)); i++)
        if (strcasecmp(name, fake_names[i]) == 0)
            return i;
    return -1;
}

static enum command_result show_fake(struct command *c, int i)
{
    struct table_shape shape = {"s", &fake_names[i]};
    struct table table = {c->out, &shape, c->binary};
    if (!c->headless)
        table_describe(&table);
    table_row(&table, (struct cell[]){TEXT(fake_values[i])});
    return done(c, "SHOW");
}

static enum command_result show(struct command *c)
{
    int i = fake(c->argument);
    if (i >= 0)
        return show_fake(c, i);
    const struct show *what = show_find(c->argument);
    if (what == NULL)
        return syntax_error(c);
    if (what->admin_only && !console_is_admin(c->client))
        return fail(c, "admin access needed");
    struct table table = {c->out, &what->shape, c->binary};
    size_t before = c->out->len;
    if (!c->headless && what->shape.types != NULL)
        table_describe(&table);
    enum command_result result = what->rows(c->client, &table);
    if (result == COMMAND_DONE)
        return done(c, "SHOW");
    if (result == COMMAND_REFUSED) {
        c->out->len = before;
        return fail(c, "admin access needed");
    }
    c->out->len = before; // the one who answers later has taken it
    return result;
}

// ---- PAUSE and its like ----

static enum command_result command_pause(struct command *c)
{
    if (halt_mode(c->pooler) != HALT_NONE)
        return fail(c, "already suspended/paused");
    log_command(c, "PAUSE");
    if (c->argument[0] == '\0')
        return halt_process(c->pooler, HALT_PAUSED, 0) ? wait_for(c, WAIT_PAUSE)
                                                       : fail(c, "already suspended/paused");
    if (!has_database(c, "pause"))
        return COMMAND_DONE;
    halt_database(c->pooler, c->argument);
    return halt_servers(c->pooler, c->argument) > 0 ? wait_for(c, WAIT_PAUSE) : done(c, "PAUSE");
}

static enum command_result command_resume(struct command *c)
{
    log_command(c, "RESUME");
    if (c->argument[0] == '\0') {
        if (c->pooler->refusing)
            return fail(c, "pooler is shutting down");
        if (!halt_release(c->pooler))
            return fail(c, "pooler is not paused/suspended");
        return done(c, "RESUME");
    }
    if (!console_is(c->argument) &&
        config_database(c->client->worker->config, c->argument) == NULL)
        return fail(c, "no such database: %s", c->argument);
    if (!halt_release_database(c->pooler, c->argument))
        return fail(c, "database %s is not paused", c->argument);
    return done(c, "RESUME");
}

static enum command_result command_suspend(struct command *c)
{
    if (c->argument[0] != '\0')
        return syntax_error(c);
    if (halt_mode(c->pooler) != HALT_NONE)
        return fail(c, "already suspended/paused");
    if (halt_paused_databases(c->pooler) > 0)
        return fail(c, "cannot suspend with paused databases");
    log_command(c, "SUSPEND");
    if (halt_process(c->pooler, HALT_SUSPENDED, c->client->number))
        return wait_for(c, WAIT_SUSPEND);
    // Of one that is ending nobody could undo it.
    return fail(c, c->pooler->refusing ? "pooler is shutting down" : "already suspended/paused");
}

static enum command_result enable(struct command *c, bool enabled)
{
    if (c->argument[0] == '\0')
        return fail(c, "a database is required");
    log_command(c, enabled ? "ENABLE" : "DISABLE");
    if (!has_database(c, enabled ? "enable" : "disable"))
        return COMMAND_DONE;
    halt_disable(c->pooler, c->argument, !enabled);
    return done(c, enabled ? "ENABLE" : "DISABLE");
}

static enum command_result command_enable(struct command *c)
{
    return enable(c, true);
}

static enum command_result command_disable(struct command *c)
{
    return enable(c, false);
}

static enum command_result command_reconnect(struct command *c)
{
    log_command(c, "RECONNECT");
    bool all = c->argument[0] == '\0';
    if (!all && !has_database(c, "reconnect"))
        return COMMAND_DONE;
    pooler_reconnect(c->pooler, all ? NULL : c->argument);
    return done(c, "RECONNECT");
}

static enum command_result command_wait_close(struct command *c)
{
    log_command(c, "WAIT_CLOSE");
    bool all = c->argument[0] == '\0';
    if (!all && console_is(c->argument))
        return fail(c, "cannot wait in admin db: %s", c->argument);
    if (!all && !has_database(c, "wait in"))
        return COMMAND_DONE;
    return wait_for(c, WAIT_CLOSE);
}

// ---- KILL ----

static bool is_about(const struct question *q, const struct route *route)
{
    return route != NULL && (q->name[0] == '\0' || strcmp(q->name, route->database) == 0);
}

static struct client *victim(struct worker *worker, const struct question *q)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (is_about(q, client->route))
            return client;
    }
    return NULL;
}

static void kill_pools(struct worker *worker, struct question *q)
{
    struct client *client;
    while ((client = victim(worker, q)) != NULL)
        client_fail(client, protocol_violation, "database removed");
    janitor_sweep(worker); // its idle servers: the pools are paused
}

static void killed(struct client *client, struct question *q)
{
    message_complete(&q->out, "KILL");
    console_answer(client, buf_slice(&q->out));
}

static enum command_result command_kill(struct command *c)
{
    if (halt_mode(c->pooler) != HALT_NONE)
        return fail(c, "already suspended/paused");
    log_command(c, "KILL");
    if (c->argument[0] != '\0' && !has_database(c, "kill"))
        return COMMAND_DONE;
    if (c->argument[0] != '\0')
        halt_database(c->pooler, c->argument);
    size_t count;
    struct route **routes = pooler_routes(c->pooler, &count);
    for (size_t i = 0; c->argument[0] == '\0' && i < count; i++)
        halt_database(c->pooler, routes[i]->database);
    pooler_drop_routes(routes, count);
    struct question *q = question_new(c->client, c->argument);
    q->visit = kill_pools;
    q->done = killed;
    question_ask_workers(q);
    return COMMAND_LATER;
}

static void kill_client(struct worker *worker, struct question *q)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (client->number != q->number || client->state == CLIENT_STARTUP ||
            client->state == CLIENT_LOGIN)
            continue;
        q->count++;
        client_fail(client, protocol_violation, "admin forced disconnect");
        return;
    }
}

static void client_killed(struct client *client, struct question *q)
{
    if (q->count > 0)
        message_complete(&q->out, "KILL_CLIENT");
    else
        command_error(client, &q->out, protocol_violation, "client not found");
    console_answer(client, buf_slice(&q->out));
}

static enum command_result command_kill_client(struct command *c)
{
    char *end;
    uint64_t number = strtoull(c->argument, &end, 10);
    if (end == c->argument)
        return fail(c, "invalid client pointer supplied");
    struct question *q = question_new(c->client, "");
    q->number = number;
    q->visit = kill_client;
    q->done = client_killed;
    question_ask_workers(q);
    return COMMAND_LATER;
}

// ---- what the main thread does ----

static void reloaded(struct client *client, struct question *q)
{
    if (q->failed)
        command_error(client, &q->out, "F0000",
                      "RELOAD failed, see logs for additional details");
    else
        message_complete(&q->out, "RELOAD");
    console_answer(client, buf_slice(&q->out));
}

static enum command_result command_reload(struct command *c)
{
    if (c->argument[0] != '\0')
        return syntax_error(c);
    log_command(c, "RELOAD");
    struct question *q = question_new(c->client, "");
    q->done = reloaded;
    question_ask_main(q, ERRAND_RELOAD);
    return COMMAND_LATER;
}

static void was_set(struct client *client, struct question *q)
{
    char tag[sizeof(q->name) + sizeof(q->value) + 8];
    snprintf(tag, sizeof(tag), "SET %s=%s", q->name, q->value);
    if (q->failed)
        command_error(client, &q->out, protocol_violation, "SET failed");
    else
        message_complete(&q->out, tag);
    console_answer(client, buf_slice(&q->out));
}

static enum command_result set(struct command *c, const char *value)
{
    if (fake(c->argument) >= 0) {
        message_error(c->out, "NOTICE", "00000", "SET ignored");
        return done(c, "SET");
    }
    if (!console_is_admin(c->client))
        return fail(c, "admin access needed");
    struct question *q = question_new(c->client, c->argument);
    snprintf(q->value, sizeof(q->value), "%s", value);
    q->done = was_set;
    question_ask_main(q, ERRAND_SET);
    return COMMAND_LATER;
}

static void shutting_down(struct client *client, struct question *q)
{
    message_complete(&q->out, "SHUTDOWN");
    console_answer(client, buf_slice(&q->out));
}

static enum command_result command_shutdown(struct command *c)
{
    enum shutdown_mode mode = SHUTDOWN_NOW;
    if (strcasecmp(c->argument, "WAIT_FOR_CLIENTS") == 0)
        mode = SHUTDOWN_WAIT_FOR_CLIENTS;
    else if (strcasecmp(c->argument, "WAIT_FOR_SERVERS") == 0)
        mode = SHUTDOWN_WAIT_FOR_SERVERS;
    else if (c->argument[0] != '\0')
        return syntax_error(c);
    // Who has our connections ends us to go on with them, but they are ours again.
    if (console_is_heir(c->client) && !halt_for_good(c->pooler, c->client->number))
        return fail(c, handover_undone);
    struct question *q = question_new(c->client, c->argument);
    q->number = mode;
    q->done = shutting_down;
    question_ask_main(q, ERRAND_SHUTDOWN);
    return COMMAND_LATER;
}

// ---- CACHE FLUSH ----

static enum command_result command_cache(struct command *c)
{
    if (strcasecmp(c->argument, "flush") != 0)
        return syntax_error(c);
    if (c->pooler->domains == NULL)
        return fail(c, "the cache is off");
    log_info("CACHE FLUSH %s%s%s command issued", c->value[0] != '\0' ? c->schema : "",
             c->schema[0] != '\0' ? "." : "", c->value);
    bool all = c->value[0] == '\0';
    const char *schema = c->schema[0] != '\0' ? c->schema : "public";
    if (all)
        flush_all(c->pooler);
    else if (!flush_table(c->pooler, slice_str(schema), slice_str(c->value)))
        return fail(c, "no followed database knows a table %s.%s", schema, c->value);
    return done(c, "CACHE FLUSH");
}

// ---- one command ----

static const struct {
    const char *name;
    enum command_result (*run)(struct command *c);
    bool for_all; // not for admins only
} commands[] = {
    {"cache", command_cache, false},
    {"disable", command_disable, false},   {"enable", command_enable, false},
    {"kill", command_kill, false},         {"kill_client", command_kill_client, false},
    {"pause", command_pause, false},       {"reconnect", command_reconnect, false},
    {"reload", command_reload, false},     {"resume", command_resume, false},
    {"select", show, true},                {"show", show, true},
    {"shutdown", command_shutdown, false}, {"suspend", command_suspend, false},
    {"wait_close", command_wait_close, false},
};

static enum command_result run_sentence(struct command *c, const struct sentence *sentence)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcasecmp(sentence->command, commands[i].name) != 0)
            continue;
        if (!commands[i].for_all && !console_is_admin(c->client))
            return fail(c, "admin access needed");
        return commands[i].run(c);
    }
    return syntax_error(c);
}

enum command_result command_run(struct client *client, const char *text, bool headless,
                                uint64_t binary, struct buf *out)
{
    struct sentence sentence;
    struct command c = {.client = client, .pooler = client->worker->pooler,
                        .argument = sentence.argument, .schema = sentence.schema,
                        .value = sentence.value, .text = text, .out = out,
                        .headless = headless, .binary = binary};
    switch (syntax_read(text, &sentence)) {
    case SYNTAX_EMPTY:
        buf_message_end(out, buf_message_begin(out, 'I'));
        return COMMAND_DONE;
    case SYNTAX_COMMAND:
        return run_sentence(&c, &sentence);
    case SYNTAX_SET:
        return set(&c, sentence.value);
    case SYNTAX_LONG:
        return fail(&c, "bad arguments");
    case SYNTAX_BAD:
        break;
    }
    return syntax_error(&c);
}

bool command_describe(const char *text, uint64_t binary, struct buf *out)
{
    struct sentence sentence;
    if (syntax_read(text, &sentence) != SYNTAX_COMMAND ||
        (strcasecmp(sentence.command, "show") != 0 && strcasecmp(sentence.command, "select") != 0))
        return false;
    int i = fake(sentence.argument);
    struct table_shape shape = {"s", i >= 0 ? &fake_names[i] : NULL};
    const struct show *what = show_find(sentence.argument);
    if (i < 0 && (what == NULL || what->shape.types == NULL))
        return false;
    struct table table = {out, i >= 0 ? &shape : &what->shape, binary};
    table_describe(&table);
    return true;
}

// ---- what waits ----

static void count_outdated(struct worker *worker, struct question *q)
{
    list_each(&worker->servers, l)
    {
        const struct server *server = container_of(l, struct server, link);
        q->count += is_about(q, server->route) && server_is_of_before(server);
    }
}

static void close_counted(struct client *client, struct question *q)
{
    if (q->count > 0) {
        console_look_again(client);
        return;
    }
    message_complete(&q->out, "WAIT_CLOSE");
    console_answer(client, buf_slice(&q->out));
}

bool command_look(struct client *client, enum command_wait wait, const char *database,
                  int64_t since_us, struct buf *out)
{
    struct pooler *pooler = client->worker->pooler;
    if (wait == WAIT_PAUSE) {
        if (halt_servers(pooler, database[0] != '\0' ? database : NULL) > 0)
            return false;
        message_complete(out, "PAUSE");
        return true;
    }
    if (wait == WAIT_SUSPEND) {
        suspension_look(client, since_us);
        return false;
    }
    struct question *q = question_new(client, database);
    q->visit = count_outdated;
    q->done = close_counted;
    question_ask_workers(q);
    return false;
}

void command_undo(struct client *client, enum command_wait wait, const char *database)
{
    struct pooler *pooler = client->worker->pooler;
    if (pooler->refusing || wait == WAIT_CLOSE)
        return;
    if (database[0] != '\0')
        halt_release_database(pooler, database);
    else
        halt_release(pooler);
}
