// SPDX-License-Identifier: Apache-2.0
// Who may announce where a client comes from (proxy_protocol, proxy_protocol_from), and what is
// made of it: from then on the announced address is the client's, in logs, on the console and in
// application_name_add_host.
#include "proxy/session/startup.h"

#include "base/log.h"
#include "base/network.h"
#include "config/config.h"
#include "proxy/session/client.h"
#include "proxy/session/proxy_header.h"
#include "proxy/worker.h"

static bool is_trusted(const struct settings *settings, const struct origin *origin)
{
    const char *list = settings->proxy_protocol_from;
    switch (origin->kind) {
    case ORIGIN_UNKNOWN:
        return false;
    case ORIGIN_IPV4:
        return network_list_has(list, NETWORK_IPV4, origin->address);
    case ORIGIN_IPV6:
        return network_list_has(list, NETWORK_IPV6, origin->address);
    case ORIGIN_UNIX:
        return network_list_has(list, NETWORK_UNIX, origin->address);
    }
    return false;
}

static void take(struct client *client, const struct proxy_header *header)
{
    // Who is at the other end of the socket is not who is at the other end of the line: the uid
    // there must not let anybody into the console.
    client->local = client->local && header->is_own;
    if (header->keeps)
        return;
    char by[ORIGIN_TEXT_BYTES], from[ORIGIN_TEXT_BYTES];
    origin_for_log(&client->origin, by, sizeof(by));
    client->origin = header->from;
    origin_for_log(&client->origin, from, sizeof(from));
    log_debug("C-%p: %s announced by %s", (void *)client, from, by);
}

bool startup_introduction(struct client *client, struct slice *data)
{
    const struct settings *settings = config_settings(client->worker->config);
    if (client->introduced || settings->proxy_protocol == CONFIG_PROXY_OFF) {
        client->introduced = true;
        return true; // client_enters() has placed it
    }
    struct proxy_header header;
    enum proxy_header_result result = proxy_header_read(*data, &header);
    bool trusted = is_trusted(settings, &client->origin);
    bool required = settings->proxy_protocol == CONFIG_PROXY_REQUIRED &&
                    (trusted || !client->local); // our own unix socket stays open to people
    if (result != PROXY_NONE && !trusted)
        return startup_fails(client, "08P01", "PROXY protocol header from an untrusted address");
    switch (result) {
    case PROXY_NONE:
        if (required)
            return startup_fails(client, "08P01", "PROXY protocol header is required");
        break;
    case PROXY_MORE:
        return false;
    case PROXY_BAD:
        return startup_fails(client, "08P01", "invalid PROXY protocol header");
    case PROXY_OK:
        *data = slice_skip(*data, header.bytes);
        take(client, &header);
        break;
    }
    client->introduced = true;
    return client_is_placed(client) || client_placed(client);
}
