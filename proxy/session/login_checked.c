// SPDX-License-Identifier: Apache-2.0
// A password in the clear that PAM or a directory checks, on the checker's threads. What it has
// proved good there is also what the server is told, for databases without a user of their own: as
// in PgBouncer, where it takes the place of the one in the users file.
#include "proxy/session/login.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "config/hba.h"
#include "proxy/login/secret.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/session/login_asking.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

static enum check_method method_of(const struct client *client)
{
    return client->login->method.type == CONFIG_AUTH_LDAP ? CHECK_LDAP : CHECK_PAM;
}

static const char *name_of(const struct client *client)
{
    return method_of(client) == CHECK_LDAP ? "LDAP" : "PAM";
}

static void keep_password(struct client *client, const char *password)
{
    if (client->state != CLIENT_CLOSED && client->route != NULL)
        route_keep_password(client->route, client->user, password);
}

static void hear(struct client *client, const struct check *check)
{
    // Who is in the directory may still be no user here.
    bool welcome = client->login->known || !client->login->way->needs_user;
    if (check->verdict == CHECK_PASSED && welcome) {
        login_accept(client);
        keep_password(client, check->password);
        return;
    }
    char why[200];
    snprintf(why, sizeof(why), "%s authentication failed for user \"%s\"", name_of(client),
             client->user);
    if (check->verdict == CHECK_FAILED) // nobody's password was wrong
        login_refuse_later(client, "28000", why, check->delay_us);
    else
        login_refuse_wrong(client, "28000", why, check->delay_us);
}

static const struct ldap_options *ldap_options_of(const struct login *login)
{
    const struct hba_rule *rule = login->method.rule;
    return rule != NULL && rule->ldap != NULL ? rule->ldap : config_ldap_options(login->config);
}

static const char *pam_service_of(const struct login *login)
{
    const struct hba_rule *rule = login->method.rule;
    return rule != NULL && rule->pam_service != NULL
               ? rule->pam_service
               : config_settings(login->config)->auth_pam_service;
}

// As PostgreSQL has it; empty: nobody knows.
static void say_from(struct check *check, const struct origin *origin)
{
    char host[ORIGIN_HOST_BYTES] = "";
    if (origin->kind == ORIGIN_UNIX)
        strcpy(host, "[local]");
    else if (origin->kind != ORIGIN_UNKNOWN)
        origin_host(origin, host);
    snprintf(check->from, sizeof(check->from), "%s", host);
}

static struct check *draft(struct client *client, struct slice password)
{
    const struct login *login = client->login;
    const struct settings *settings = config_settings(login->config);
    int64_t timeout_us = settings->client_login_timeout_us;
    struct check *check = login_asking_draft(client, hear);
    check->place = origin_place(&client->origin);
    check->method = method_of(client);
    check->password = mem_strndup((const char *)password.at, password.len);
    check->service = pam_service_of(login);
    check->directory = settings->auth_pam_confdir;
    check->ldap = ldap_options_of(login);
    check->until_us = timeout_us > 0 ? client->connected_us + timeout_us : INT64_MAX;
    check->patience_us = settings->auth_ldap_timeout_us;
    say_from(check, &client->origin);
    return check;
}

static void refuse_busy(struct client *client, enum checker_answer answer)
{
    const char *whom = answer == CHECKER_PLACE_FULL  ? " for this address"
                       : answer == CHECKER_USER_FULL ? " for this user"
                                                     : "";
    char why[120];
    snprintf(why, sizeof(why), "too many %s authentications are waiting%s", name_of(client), whom);
    login_refuse_with(client, "53300", why);
}

static void ask(struct client *client, struct slice password)
{
    const struct settings *settings = config_settings(client->login->config);
    struct check *check = draft(client, password);
    secret_wipe((void *)(uintptr_t)password.at, password.len); // where it was received
    enum checker_answer answer =
        login_asking_send(client, check, settings->auth_threads, settings->auth_queue_size);
    if (answer != CHECKER_ASKED) {
        refuse_busy(client, answer);
        return;
    }
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    log_debug("%s waits for %s", who, name_of(client));
}

static void begin(struct client *client)
{
    login_asking_begin(client);
    login_ask(client, AUTH_PLAIN, slice_of(NULL, 0));
}

static void pam_begin(struct client *client)
{
    const struct config_database *db = config_database(client->login->config, client->database);
    if (db != NULL && db->auth_user != NULL) {
        log_error("PAM can't be used together with database authentication: database \"%s\"",
                  client->database);
        login_refuse_with(client, "08P01", "bouncer config error");
        return;
    }
    begin(client);
}

static void ldap_begin(struct client *client)
{
    if (ldap_options_of(client->login) != NULL) {
        begin(client);
        return;
    }
    log_error("ldap without options: neither the HBA line nor auth_ldap_options has any");
    login_refuse_with(client, "08P01", "bouncer config error");
}

static void message(struct client *client, struct slice body)
{
    struct slice text;
    if (login_read_password(client, body, &text))
        ask(client, text);
}

const struct login_way login_pam = {
    .begin = pam_begin, .message = message, .end = login_asking_end};
const struct login_way login_ldap = {
    .needs_user = true, .begin = ldap_begin, .message = message, .end = login_asking_end};
