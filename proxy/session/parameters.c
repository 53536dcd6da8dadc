// SPDX-License-Identifier: Apache-2.0
// The parameters of the startup message: who and where to, the settings a session begins with, and
// what of the protocol is to be negotiated. Sentences are PgBouncer's where it has one.
#include "proxy/session/startup.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/session/client.h"
#include "proxy/session/options.h"
#include "proxy/session/replication.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum { USER_NAME_MAX = 127 }; // PgBouncer's; PostgreSQL cuts names at 63

static void set_text(char **at, struct slice value)
{
    mem_free(*at);
    *at = mem_strndup((const char *)value.at, value.len);
}

static bool is_protocol_option(const char *name)
{
    return strncmp(name, "_pq_.", 5) == 0;
}

static void add(struct gucs **set, const char *name, const char *value)
{
    struct gucs_draft draft = {.encoding = "SQL_ASCII"}; // PostgreSQL does not convert them either
    gucs_draft_add(&draft, slice_str(name), slice_str(value));
    struct gucs *one = gucs_new(&draft);
    if (*set == NULL) {
        *set = one;
        return;
    }
    struct gucs *all = gucs_join(*set, one);
    gucs_unref(&one);
    gucs_unref(set);
    *set = all;
}

// Whether there is such a setting the server will say, before the client is let in.
static void give(struct client *client, const char *name, const char *value)
{
    int var = var_find(name);
    if (var >= 0) {
        vars_set(&client->vars, var, value);
        add(&client->given_vars, name, value);
        return;
    }
    add(&client->given, name, value);
    gucs_unref(&client->wanted);
    client->wanted = gucs_ref(client->given);
}

// ---- options ----

static bool take_option(void *arg, const char *name, const char *value)
{
    struct client *client = arg;
    const struct config *config = client->worker->config;
    bool ignored = config_ignores_parameter(config, name) ||
                   config_ignores_parameter(config, "options");
    if (var_find(name) >= 0 || !ignored)
        give(client, name, value);
    return true;
}

static bool take_options(struct client *client, const char *options)
{
    char why[300];
    switch (options_each(options, take_option, client, why, sizeof(why))) {
    case OPTIONS_OK:
        return true;
    case OPTIONS_NO_VALUE:
        return startup_fails(client, "42601", why);
    case OPTIONS_UNKNOWN:
        return config_ignores_parameter(client->worker->config, "options") ||
               startup_fails(client, "08P01", why);
    case OPTIONS_STOPPED:
        break; // the client was told
    }
    return false;
}

// ---- one parameter ----

// A replication connection's parameters go to its own server as they are.
static void keep_for_server(struct client *client, struct slice name, struct slice value)
{
    struct buf *all = &client->replication->parameters;
    buf_bytes(all, name.at, name.len + 1); // with the NUL
    buf_bytes(all, value.at, value.len + 1);
    int var = var_find((const char *)name.at);
    if (var >= 0)
        vars_set(&client->vars, var, (const char *)value.at); // to be shown
}

static bool take_parameter(struct client *client, struct slice name, struct slice value)
{
    const char *n = (const char *)name.at;
    const char *v = (const char *)value.at;
    if (slice_is(name, "user"))
        set_text(&client->user, value);
    else if (slice_is(name, "database"))
        set_text(&client->database, value);
    else if (slice_is(name, "replication"))
        return true; // find_replication() has it
    else if (client->replication != NULL && !is_protocol_option(n) &&
             !config_ignores_parameter(client->worker->config, n))
        keep_for_server(client, name, value);
    else if (slice_is(name, "options"))
        return take_options(client, v);
    else if (var_find(n) >= 0)
        give(client, n, v);
    else if (!is_protocol_option(n) && !config_ignores_parameter(client->worker->config, n))
        give(client, n, v);
    return true;
}

// application_name_add_host: "NAME - ADDRESS:PORT", and "app" for who has no name.
static void add_host(struct client *client)
{
    char text[400], from[ORIGIN_TEXT_BYTES];
    const char *name = client->vars->value[VAR_APPLICATION_NAME];
    origin_details(&client->origin, from, sizeof(from));
    snprintf(text, sizeof(text), "%s - %s", name ? name : "app", from);
    give(client, "application_name", text);
    if (client->replication != NULL) {
        buf_cstr(&client->replication->parameters, "application_name"); // the last one counts
        buf_cstr(&client->replication->parameters, text);
    }
}

// ---- all of them ----

// A newer minor version, or protocol options, none of which we have: say what we do have.
static bool negotiate(struct client *client, struct slice pairs, uint32_t version)
{
    struct buf out = {0};
    uint32_t unknown = 0;
    struct reader r = reader_of(pairs);
    struct startup_pair pair;
    size_t mark = buf_message_begin(&out, 'v');
    buf_u32(&out, PROTOCOL_3_0 + client->minor);
    size_t count_at = out.len;
    buf_u32(&out, 0);
    while (startup_pair_read(&r, &pair) == STARTUP_PAIR) {
        if (is_protocol_option((const char *)pair.name.at)) {
            buf_cstr(&out, (const char *)pair.name.at);
            unknown++;
        }
    }
    store_u32(out.at + count_at, unknown);
    buf_message_end(&out, mark);
    bool ok = true;
    if (unknown > 0 || version > PROTOCOL_NEWEST)
        ok = startup_say(client, buf_slice(&out));
    buf_fini(&out);
    return ok;
}

static const char bad_layout[] =
    "invalid startup packet layout: expected terminator as last byte";

// Looked for before all else, as it changes what is done with the others. What is wrong with the
// packet take_all() will say.
static bool find_replication(struct client *client, struct slice pairs)
{
    struct reader r = reader_of(pairs);
    struct startup_pair pair;
    while (startup_pair_read(&r, &pair) == STARTUP_PAIR) {
        const char *value = (const char *)pair.value.at;
        enum replication_kind kind;
        if (!slice_is(pair.name, "replication"))
            continue;
        if (!replication_parse(value, &kind)) {
            char why[200];
            snprintf(why, sizeof(why), "invalid value for parameter \"replication\": \"%s\"",
                     value);
            return startup_fails(client, "22023", why);
        }
        replication_free(client->replication);
        client->replication = kind == REPLICATION_NONE ? NULL : mem_new(struct replication);
        if (client->replication != NULL)
            client->replication->kind = kind;
    }
    return true;
}

static bool take_all(struct client *client, struct slice pairs)
{
    struct reader r = reader_of(pairs);
    struct startup_pair pair;
    enum startup_pair_result result;
    while ((result = startup_pair_read(&r, &pair)) == STARTUP_PAIR)
        if (!take_parameter(client, pair.name, pair.value))
            return false;
    return result == STARTUP_PAIRS_END || startup_fails(client, "08P01", bad_layout);
}

// The clients of one application give the same.
static void share(struct client *client)
{
    struct gucs_common *common = &client->worker->common_settings;
    gucs_share(common, &client->given_vars);
    gucs_share(common, &client->given);
    gucs_unref(&client->wanted);
    client->wanted = gucs_ref(client->given);
}

bool startup_parameters(struct client *client, struct slice pairs, uint32_t version)
{
    uint32_t minor = version & 0xffff;
    client->minor = (uint8_t)(version > PROTOCOL_NEWEST ? PROTOCOL_NEWEST & 0xffff : minor);
    if (!find_replication(client, pairs) || !take_all(client, pairs))
        return false;
    if (client->user == NULL || client->user[0] == '\0')
        return startup_fails(client, "28000",
                             "no username supplied");
    if (strlen(client->user) > USER_NAME_MAX)
        return startup_fails(client, "08P01", "username too long");
    if (client->database == NULL || client->database[0] == '\0')
        set_text(&client->database, slice_str(client->user));
    if (config_settings(client->worker->config)->application_name_add_host && !client->is_lookup)
        add_host(client);
    share(client);
    return negotiate(client, pairs, version);
}
