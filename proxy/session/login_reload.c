// SPDX-License-Identifier: Apache-2.0
// A configuration that comes into force while a client logs in. The login goes on by the one that
// it began with; before the client is let in, what it was judged by is looked for in the newer one.
// Where that is not the same the client has to ask again: what was said to it cannot be unsaid.
#include <string.h>

#include "config/config.h"
#include "config/hba.h"
#include "proxy/console/console.h"
#include "proxy/session/client.h"
#include "proxy/session/login.h"
#include "proxy/worker.h"

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

// Lines of two HBA files: do they say the same? Those with options are not taken apart.
static bool same_rule(const struct hba_rule *a, const struct hba_rule *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->map == NULL && b->map == NULL && a->ldap == NULL && b->ldap == NULL &&
           same(a->pam_service, b->pam_service);
}

static bool same_method(const struct client *client, const struct config *now)
{
    const struct login *login = client->login;
    const struct settings *was = config_settings(login->config), *is = config_settings(now);
    struct login_asker asker = login_asker_of(client);
    struct login_method method;
    if (!login_method_find(now, &asker, &method) || method.type != login->method.type)
        return false;
    if (!hba_same(config_hba(now), config_hba(login->config)) &&
        !same_rule(method.rule, login->method.rule))
        return false;
    if (method.type == CONFIG_AUTH_PAM)
        return same(was->auth_pam_service, is->auth_pam_service);
    return method.type != CONFIG_AUTH_LDAP || same(was->auth_ldap_options, is->auth_ldap_options);
}

static const char *secret_in(const struct config *config, const char *name)
{
    const struct config_user *user = config_user(config, name);
    return user != NULL ? user->secret : NULL;
}

static bool same_user(const struct client *client, const struct config *now)
{
    const struct login *login = client->login;
    const struct config *was = login->config;
    if (!same(secret_in(was, client->user), secret_in(now, client->user)))
        return false;
    if (login->found == NULL)
        return true;
    bool console = console_is(client->database);
    const struct config_database *old = console ? NULL : config_database(was, client->database);
    const struct config_database *new = console ? NULL : config_database(now, client->database);
    return same(config_auth_user(was, old), config_auth_user(now, new)) &&
           same(config_auth_query(was, old), config_auth_query(now, new)) &&
           same(config_auth_dbname(was, old, client->database),
                config_auth_dbname(now, new, client->database));
}

bool login_holds(struct client *client)
{
    struct config *now = pooler_config(client->worker->pooler);
    bool is_known = !console_is(client->database) || config_is_stats_user(now, client->user);
    bool holds = now == client->login->config ||
                 (is_known && same_method(client, now) && same_user(client, now));
    config_unref(&now);
    return holds;
}
