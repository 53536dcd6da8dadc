// SPDX-License-Identifier: Apache-2.0
// Who a client says it is: a user of the users file, or else one that auth_query finds.
#include "proxy/session/login.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/halt.h"
#include "proxy/login/secret.h"
#include "proxy/session/client.h"
#include "proxy/session/lookup.h"
#include "proxy/session/startup.h"
#include "proxy/worker.h"

void login_forget_user(struct login *login)
{
    lookup_free(login->lookup);
    login->lookup = NULL;
    if (login->found != NULL)
        secret_wipe(login->found, strlen(login->found));
    mem_free(login->found);
    login->found = NULL;
}

static void refuse_config(struct client *client, const char *complaint, const char *name)
{
    log_error(complaint, name);
    login_refuse_with(client, "08P01", "bouncer config error");
}

// auth_query may spell a name otherwise: that is who it is, from here on.
static bool take_name(struct client *client, const char *name)
{
    if (strcmp(client->user, name) == 0)
        return true;
    mem_free(client->user);
    client->user = mem_strdup(name);
    if (!console_is(client->database) || config_is_stats_user(client->login->config, name))
        return login_find_method(client);
    login_refuse_with(client, "08P01", "not allowed");
    return false;
}

static void hear(struct client *client, const struct lookup_answer *answer)
{
    struct login *login = client->login;
    switch (answer->end) {
    case LOOKUP_FAILED:
        login_refuse_with(client, answer->sqlstate, answer->why);
        return;
    case LOOKUP_NONE:
        login_carry_out(client);
        return;
    case LOOKUP_FOUND:
        login->known = true;
        login->found = answer->secret != NULL ? mem_strdup(answer->secret) : NULL;
        login->secret = login->found;
        if (take_name(client, answer->name) && startup_count_user(client))
            login_carry_out(client);
        return;
    }
}

static void answered(struct client *client, const struct lookup_answer *answer)
{
    struct login *login = client->login;
    if (client->state == CLIENT_CLOSED)
        return; // in this very turn; the lookup goes with it
    lookup_free(login->lookup);
    login->lookup = NULL;
    login->waiting = false;
    hear(client, answer);
    if (!login_waits(client)) // the method may wait, too
        login_go_on(client);
}

static void look_up(struct client *client, const char *auth_user)
{
    struct login *login = client->login;
    const struct config_database *db = config_database(login->config, client->database);
    bool console = console_is(client->database);
    const char *where = config_auth_dbname(login->config, console ? NULL : db, client->database);
    if (console_is(where)) {
        refuse_config(client, "cannot use the reserved \"%s\" database as an auth_dbname", where);
        return;
    }
    if (config_database(login->config, where) == NULL) {
        refuse_config(client, "authentication database \"%s\" is not configured.", where);
        return;
    }
    if (halt_is_disabled(client->worker->pooler, where)) {
        char why[200];
        snprintf(why, sizeof(why), "authentication database \"%s\" is disabled", where);
        login_refuse_with(client, "08P01", why);
        return;
    }
    struct lookup_question question = {
        .database = where,
        .auth_user = auth_user,
        .query = config_auth_query(login->config, console ? NULL : db),
        .user = client->user,
        .answered = answered,
        .client = client,
    };
    login_wait(client);
    login->lookup = lookup_new(client->worker, &question);
    if (login->lookup == NULL) {
        login->waiting = false;
        login_refuse_with(client, "53000", "auth_query failed");
    }
}

void login_identify(struct client *client)
{
    struct login *login = client->login;
    const struct config_user *user = config_user(login->config, client->user);
    const struct config_database *db = config_database(login->config, client->database);
    bool console = console_is(client->database);
    login->known = user != NULL && user->secret != NULL;
    login->secret = login->known ? user->secret : NULL;
    // Whoever PAM knows is a user, and counts as one.
    bool is_pams = login->method.type == CONFIG_AUTH_PAM && client->in_user == NULL;
    if (is_pams && !startup_count_user(client))
        return;
    const char *auth_user = config_auth_user(login->config, console ? NULL : db);
    if (!login->known && login->way->needs_user && auth_user != NULL && (console || db != NULL))
        look_up(client, auth_user);
    else
        login_carry_out(client);
}
