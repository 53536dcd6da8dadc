// SPDX-License-Identifier: Apache-2.0
// peer: over a unix socket, as the system user at its other end. Who that is, by name, the
// checker's threads find out.
#include "proxy/session/login.h"

#include <limits.h>
#include <sys/socket.h>

#include "base/log.h"
#include "config/config.h"
#include "config/hba.h"
#include "config/ident.h"
#include "proxy/session/client.h"
#include "proxy/session/login_asking.h"

enum { THREADS = 2 };

static void refuse(struct client *client)
{
    login_refuse_with(client, "28000", "unix socket login rejected");
}

static void decide(struct client *client, const struct check *check)
{
    const char *system_user = check->name;
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

static void ask(struct client *client, uid_t uid)
{
    login_asking_begin(client);
    struct check *check = login_asking_draft(client, decide);
    check->place = client->number; // it takes no time that one could take from others
    check->method = CHECK_SYSTEM_USER;
    check->uid = uid;
    check->until_us = INT64_MAX;
    if (login_asking_send(client, check, THREADS, INT_MAX) != CHECKER_ASKED)
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

const struct login_way login_peer = {
    .needs_user = true, .begin = begin, .end = login_asking_end};
