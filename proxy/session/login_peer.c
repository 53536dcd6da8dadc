// SPDX-License-Identifier: Apache-2.0
// peer: over a unix socket, as the system user at its other end. The name of a uid may have to be
// asked of the network (NSS), so a thread asks.
#include "proxy/session/login.h"

#include <pthread.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/hba.h"
#include "config/ident.h"
#include "proxy/session/client.h"

enum { PASSWD_BYTES = 16 * 1024 };

struct question {
    struct login_errand errand; // first
    uid_t uid;
    char *name; // owns; the answer: NULL when there is no such user
};

static void *ask(void *arg)
{
    struct question *q = arg;
    struct passwd entry, *found = NULL;
    char *text = mem_alloc(PASSWD_BYTES);
    if (getpwuid_r(q->uid, &entry, text, PASSWD_BYTES, &found) == 0 && found != NULL)
        q->name = mem_strdup(entry.pw_name);
    mem_free(text);
    login_return(&q->errand);
    return NULL;
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
    struct question *q = (struct question *)errand;
    if (client != NULL) {
        decide(client, q->name);
        login_go_on(client);
    }
    mem_free(q->name);
    mem_free(q);
}

static bool start_thread(struct question *q)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &attributes, ask, q) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static void begin(struct client *client)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    if (!client->local ||
        getsockopt(client->conn.fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
        refuse(client);
        return;
    }
    struct question *q = mem_new(struct question);
    q->uid = peer.uid;
    q->errand.back = back;
    login_send(client, &q->errand);
    if (!start_thread(q))
        login_return(&q->errand); // without an answer
}

const struct login_way login_peer = {.needs_user = true, .begin = begin};
