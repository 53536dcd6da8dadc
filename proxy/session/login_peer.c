// SPDX-License-Identifier: Apache-2.0
// peer: over a unix socket, as the system user at its other end. Who that is, by name, the
// checker's threads find out.
#include "proxy/session/login.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/hba.h"
#include "config/ident.h"
#include "proxy/login/checker.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

enum { THREADS = 2 };

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

static void refuse(struct client *client)
{
    login_refuse_with(client, "28000", "unix socket login rejected");
}

static void decide(struct client *client, const char *system_user)
{
    const struct hba_rule *rule = client->login->method.rule;
    const struct ident_map *map = rule != NULL ? rule->map : NULL;
    if (client->login->known && system_user != NULL &&
        ident_allows(map, system_user, client->user)) {
        login_accept(client);
        return;
    }
    if (map != NULL)
        log_error("ident map %s cannot be matched", ident_map_name(map));
    refuse(client);
}

static void back(struct login_errand *errand, struct client *client)
{
    struct question *question = container_of(errand, struct question, errand);
    if (client != NULL) {
        struct asking *asking = client->login->state;
        asking->under_way = false;
        decide(client, question->check.name);
        login_go_on(client);
    }
    question_free(question);
}

static void ask(struct client *client, uid_t uid)
{
    struct asking *asking = client->login->state = mem_new(struct asking);
    asking->worker = client->worker;
    asking->client = client->number;
    asking->under_way = true;
    struct question *question = mem_new(struct question);
    question->errand.back = back;
    question->check = (struct check){
        .back = give_back,
        .client = client->number,
        .place = client->number, // it takes no time that one could take from others
        .method = CHECK_SYSTEM_USER,
        .uid = uid,
        .user = mem_strdup(client->user),
        .config = config_ref(client->login->config),
        .until_us = INT64_MAX,
    };
    login_send(client, &question->errand); // before it can be back
    if (checker_ask(client->worker->pooler->checker, &question->check, THREADS, INT_MAX) ==
        CHECKER_ASKED)
        return;
    login_unsend(client);
    asking->under_way = false;
    question_free(question);
    refuse(client);
}

static void begin(struct client *client)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    if (client->local &&
        getsockopt(client->conn.fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0)
        ask(client, peer.uid);
    else
        refuse(client);
}

static void end(struct login *login)
{
    struct asking *asking = login->state;
    if (asking->under_way && checker_forget(asking->worker->pooler->checker, asking->client))
        asking->worker->errands--; // it does not come back
    mem_free(asking);
}

const struct login_way login_peer = {.needs_user = true, .begin = begin, .end = end};
