// SPDX-License-Identifier: Apache-2.0
// SCRAM-SHA-256. The keys that a proof shows log in to the server, where the client is itself.
#include "proxy/session/login.h"

#include "base/mem.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/login/scram.h"
#include "proxy/login/secret.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

struct exchange {
    bool begun; // the first message has come
    uint8_t endpoint[TLS_HASH_BYTES];
    size_t endpoint_len; // 0: binding to the TLS connection was not offered
    struct scram_server scram;
};

static void begin(struct client *client)
{
    struct exchange *exchange = client->login->state = mem_new(struct exchange);
    if (client->conn.tls != NULL)
        exchange->endpoint_len = tls_endpoint_hash(client->conn.tls, exchange->endpoint);
    struct buf names = {0};
    if (exchange->endpoint_len > 0)
        buf_cstr(&names, SCRAM_MECHANISM_PLUS);
    buf_cstr(&names, SCRAM_MECHANISM);
    buf_u8(&names, 0);
    login_ask(client, AUTH_SASL, buf_slice(&names));
    buf_fini(&names);
}

static void prepare(struct client *client)
{
    struct exchange *exchange = client->login->state;
    const char *secret = client->login->secret;
    struct scram_verifier verifier;
    const uint8_t *mock_secret = client->worker->pooler->mock_secret;
    uint32_t iterations = (uint32_t)config_settings(client->login->config)->scram_iterations;
    bool known = true;
    switch (secret_kind(secret)) {
    case SECRET_SCRAM:
        known = secret_read_scram(secret, &verifier);
        break;
    case SECRET_PLAIN:
        known = scram_verifier_for(&verifier, slice_str(secret), client->user,
                                   mock_secret, iterations);
        break;
    case SECRET_NONE:
    case SECRET_MD5:
        known = false;
        break;
    }
    if (!known)
        scram_verifier_mock(&verifier, client->user, mock_secret, iterations);
    scram_server_init(&exchange->scram, &verifier, known);
    exchange->begun = true;
    secret_wipe(&verifier, sizeof(verifier));
}

static void first(struct client *client, struct slice body)
{
    struct exchange *exchange = client->login->state;
    struct reader r = reader_of(body);
    struct slice mechanism = reader_cstr(&r);
    struct slice text = reader_bytes(&r, reader_u32(&r));
    bool plus = exchange->endpoint_len > 0 && slice_is(mechanism, SCRAM_MECHANISM_PLUS);
    if (!reader_done(&r) || (!plus && !slice_is(mechanism, SCRAM_MECHANISM))) {
        login_refuse_with(client, "08P01",
                          "client selected an invalid SASL authentication mechanism");
        return;
    }
    prepare(client);
    struct slice endpoint = slice_of(exchange->endpoint, exchange->endpoint_len);
    scram_server_bind(&exchange->scram, endpoint, plus);
    struct buf reply = {0};
    enum scram_result result = scram_server_first(&exchange->scram, text, &reply);
    if (result == SCRAM_OK)
        login_ask(client, AUTH_SASL_CONTINUE, buf_slice(&reply));
    else if (result == SCRAM_UNBOUND)
        login_refuse_with(client, "28000", "SCRAM channel binding negotiation error");
    else
        login_refuse_with(client, "08P01", "malformed SCRAM message");
    buf_fini(&reply);
}

static void accept_with_keys(struct client *client, struct slice reply)
{
    struct exchange *exchange = client->login->state;
    struct scram_keys keys;
    scram_server_keys(&exchange->scram, &keys);
    login_ask(client, AUTH_SASL_FINAL, reply);
    if (client->state != CLIENT_CLOSED)
        login_accept(client);
    if (client->state != CLIENT_CLOSED && client->route != NULL)
        route_keep_keys(client->route, client->user, &keys);
    secret_wipe(&keys, sizeof(keys));
}

static void final(struct client *client, struct slice body)
{
    struct exchange *exchange = client->login->state;
    struct buf reply = {0};
    switch (scram_server_final(&exchange->scram, body, &reply)) {
    case SCRAM_OK:
        accept_with_keys(client, buf_slice(&reply));
        break;
    case SCRAM_REFUSED:
        login_refuse(client);
        break;
    case SCRAM_UNBOUND:
        login_refuse_with(client, "28000", "SCRAM channel binding check failed");
        break;
    case SCRAM_MALFORMED:
    case SCRAM_NO_RANDOM:
        login_refuse_with(client, "08P01", "malformed SCRAM message");
        break;
    }
    buf_fini(&reply);
}

static void message(struct client *client, struct slice body)
{
    const struct exchange *exchange = client->login->state;
    if (exchange->begun)
        final(client, body);
    else
        first(client, body);
}

static void end(struct login *login)
{
    struct exchange *exchange = login->state;
    if (exchange->begun)
        scram_server_fini(&exchange->scram);
    mem_free(exchange);
}

const struct login_way login_scram = {
    .needs_user = true, .begin = begin, .message = message, .end = end};
