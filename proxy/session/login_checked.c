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
#include "proxy/login/checker.h"
#include "proxy/login/secret.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// login->state
struct asking {
    struct worker *worker; // borrows
    uint64_t client;       // its number
    bool under_way;        // a question is with the checker, or on its way back
};

struct question {
    struct login_errand errand;
    struct check check;
};

static enum check_method method_of(const struct client *client)
{
    return client->login->method.type == CONFIG_AUTH_LDAP ? CHECK_LDAP : CHECK_PAM;
}

static const char *name_of(const struct client *client)
{
    return method_of(client) == CHECK_LDAP ? "LDAP" : "PAM";
}

static void question_free(struct question *question)
{
    check_fini(&question->check);
    mem_free(question);
}

// On one of the checker's threads, or where the client is forgotten.
static void give_back(struct check *check, bool wanted)
{
    struct question *question = container_of(check, struct question, check);
    if (wanted)
        login_return(&question->errand);
    else
        question_free(question);
}

static void keep_password(struct client *client, const char *password)
{
    if (client->state == CLIENT_CLOSED || client->route == NULL)
        return;
    const struct config_database *db =
        config_database(client->worker->config, client->route->database);
    if (db != NULL && db->user == NULL)
        route_keep_password(client->route, password);
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

static void back(struct login_errand *errand, struct client *client)
{
    struct question *question = container_of(errand, struct question, errand);
    if (client != NULL) {
        struct asking *asking = client->login->state;
        asking->under_way = false;
        client->login->waiting = false;
        hear(client, &question->check);
    }
    question_free(question);
    if (client != NULL && !login_waits(client))
        login_go_on(client);
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

static struct question *question_new(struct client *client, struct slice password)
{
    const struct login *login = client->login;
    const struct settings *settings = config_settings(login->config);
    struct question *question = mem_new(struct question);
    question->errand.back = back;
    int64_t timeout_us = settings->client_login_timeout_us;
    question->check = (struct check){
        .back = give_back,
        .client = client->number,
        .place = origin_place(&client->origin),
        .method = method_of(client),
        .user = mem_strdup(client->user),
        .password = mem_strndup((const char *)password.at, password.len),
        .service = pam_service_of(login),
        .directory = settings->auth_pam_confdir,
        .ldap = ldap_options_of(login),
        .config = config_ref(login->config),
        .until_us = timeout_us > 0 ? client->connected_us + timeout_us : INT64_MAX,
        .patience_us = settings->auth_ldap_timeout_us,
    };
    char host[ORIGIN_HOST_BYTES];
    origin_host(&client->origin, host);
    snprintf(question->check.from, sizeof(question->check.from), "%s", host);
    return question;
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
    struct asking *asking = client->login->state;
    struct question *question = question_new(client, password);
    secret_wipe((void *)(uintptr_t)password.at, password.len); // where it was received
    login_send(client, &question->errand); // before it can be back
    asking->under_way = true;
    enum checker_answer answer =
        checker_ask(client->worker->pooler->checker, &question->check, settings->auth_threads,
                    settings->auth_queue_size);
    if (answer == CHECKER_ASKED) {
        char who[CLIENT_NAME_BYTES];
        client_describe(client, who, sizeof(who));
        log_debug("%s waits for %s", who, name_of(client));
        return;
    }
    login_unsend(client);
    asking->under_way = false;
    question_free(question);
    refuse_busy(client, answer);
}

static void begin(struct client *client)
{
    struct asking *asking = client->login->state = mem_new(struct asking);
    asking->worker = client->worker;
    asking->client = client->number;
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

static void end(struct login *login)
{
    struct asking *asking = login->state;
    if (asking->under_way && checker_forget(asking->worker->pooler->checker, asking->client))
        asking->worker->errands--; // it does not come back
    mem_free(asking);
}

const struct login_way login_pam = {.begin = pam_begin, .message = message, .end = end};
const struct login_way login_ldap = {
    .needs_user = true, .begin = ldap_begin, .message = message, .end = end};
