// SPDX-License-Identifier: Apache-2.0
// A TLS certificate that we have checked, and whose common name is the user's, or one that the
// HBA line's ident map lets in as that user. Nothing is asked.
// What a server asks of this user must be known otherwise.
#include "proxy/session/login.h"

#include "base/log.h"
#include "config/hba.h"
#include "config/ident.h"
#include "proxy/session/client.h"
#include "proxy/wire/tls.h"

// For the log; the client hears one sentence for all.
static const char *why_not(const struct client *client)
{
    const struct tls *tls = client->conn.tls;
    if (tls == NULL)
        return "TLS connection required";
    if (!tls_peer_is_verified(tls))
        return "TLS client certificate required";
    const char *name = tls_peer_common_name(tls);
    const struct hba_rule *rule = client->login->method.rule;
    const struct ident_map *map = rule != NULL ? rule->map : NULL;
    if (name == NULL || !ident_allows(map, name, client->user))
        return map != NULL ? "ident map does not have a match" : "TLS certificate name mismatch";
    return client->login->known ? NULL : "no such user";
}

static void begin(struct client *client)
{
    const char *why = why_not(client);
    if (why == NULL) {
        login_accept(client);
        return;
    }
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    log_error("%s %s", who, why);
    login_refuse_with(client, "28000", "certificate authentication failed");
}

const struct login_way login_certificate = {.needs_user = true, .begin = begin};
