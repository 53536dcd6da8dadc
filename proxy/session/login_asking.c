// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/login_asking.h"

#include "base/list.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/session/client.h"
#include "proxy/session/login.h"
#include "proxy/worker.h"

struct asking {
    struct worker *worker; // borrows
    uint64_t client;       // its number
    bool under_way;        // a question is with the checker, or on its way back
};

struct question {
    struct login_errand errand;
    struct check check;
    login_answered *answered;
};

static struct question *question_of(struct check *check)
{
    return container_of(check, struct question, check);
}

static void question_free(struct question *question)
{
    check_fini(&question->check);
    mem_free(question);
}

// On one of the checker's threads, or where the client is forgotten.
static void give_back(struct check *check, bool wanted)
{
    if (wanted)
        login_return(&question_of(check)->errand);
    else
        question_free(question_of(check));
}

static void back(struct login_errand *errand, struct client *client)
{
    struct question *question = container_of(errand, struct question, errand);
    if (client != NULL) {
        struct asking *asking = client->login->state;
        asking->under_way = false;
        client->login->waiting = false;
        question->answered(client, &question->check);
    }
    question_free(question);
    if (client != NULL && !login_waits(client)) // a refusal may be held back
        login_go_on(client);
}

void login_asking_begin(struct client *client)
{
    struct asking *asking = client->login->state = mem_new(struct asking);
    asking->worker = client->worker;
    asking->client = client->number;
}

void login_asking_end(struct login *login)
{
    struct asking *asking = login->state;
    if (asking->under_way && checker_forget(asking->worker->pooler->checker, asking->client))
        asking->worker->errands--; // it does not come back
    mem_free(asking);
}

struct check *login_asking_draft(struct client *client, login_answered *answered)
{
    struct question *question = mem_new(struct question);
    question->errand.back = back;
    question->answered = answered;
    question->check = (struct check){
        .back = give_back,
        .client = client->number,
        .user = mem_strdup(client->user),
        .config = config_ref(client->login->config),
    };
    return &question->check;
}

enum checker_answer login_asking_send(struct client *client, struct check *check, int threads,
                                      int queue)
{
    struct asking *asking = client->login->state;
    login_send(client, &question_of(check)->errand); // before it can be back
    asking->under_way = true;
    enum checker_answer answer =
        checker_ask(client->worker->pooler->checker, check, threads, queue);
    if (answer != CHECKER_ASKED) {
        login_unsend(client);
        asking->under_way = false;
        question_free(question_of(check));
    }
    return answer;
}
