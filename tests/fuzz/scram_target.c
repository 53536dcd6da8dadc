// SPDX-License-Identifier: Apache-2.0
// SCRAM, both sides. The first byte says whose messages these are: of a client that logs in to us,
// or of a server that we log in to; two messages follow, and the attributes of each are walked.
// Nobody gets in, and no server is believed, by bytes made up. Secrets as they are stored, too.
#include "proxy/login/base64.h"
#include "proxy/login/md5.h"
#include "proxy/login/scram.h"
#include "proxy/login/scram_text.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 30000;

static const char nonce[] = "rOprNGfwEbeRWgbNEkqO";

// Keys instead of a password: no derivation, which would be most of the time.
static struct scram_keys keys(void)
{
    struct scram_keys keys = {.salt_len = 16, .iterations = 4096};
    memset(keys.salt, 's', keys.salt_len);
    memset(keys.client_key, 'c', sizeof(keys.client_key));
    memset(keys.server_key, 'k', sizeof(keys.server_key));
    return keys;
}

static void as_server(struct slice first, struct slice final)
{
    struct scram_keys k = keys();
    struct scram_verifier verifier = {.salt_len = k.salt_len, .iterations = k.iterations};
    memcpy(verifier.salt, k.salt, k.salt_len);
    memset(verifier.stored_key, 'x', sizeof(verifier.stored_key));
    memcpy(verifier.server_key, k.server_key, sizeof(verifier.server_key));
    struct scram_server server;
    struct buf reply = {0};
    scram_server_init(&server, &verifier, first.len % 2 == 0);
    if (scram_server_first_with(&server, first, slice_str(nonce), &reply) == SCRAM_OK) {
        CHECK(reply.len > 0 && memchr(reply.at, 0, reply.len) == NULL);
        CHECK(scram_server_final(&server, final, &reply) != SCRAM_OK);
    } else {
        CHECK(reply.len == 0);
    }
    buf_fini(&reply);
    scram_server_fini(&server);
}

static void as_client(struct slice first, struct slice final)
{
    struct scram_keys k = keys();
    struct scram_client client;
    struct buf reply = {0};
    scram_client_init(&client, slice_of(NULL, 0), &k);
    scram_client_first_with(&client, slice_str(""), slice_str(nonce), &reply);
    buf_clear(&reply);
    if (scram_client_final(&client, first, &reply) == SCRAM_OK) {
        CHECK(reply.len > 0);
        CHECK(scram_client_verify(&client, final) != SCRAM_OK);
    } else {
        CHECK(reply.len == 0);
    }
    buf_fini(&reply);
    scram_client_fini(&client);
}

static void check_text(struct slice message)
{
    struct scram_text text;
    struct slice value;
    char name;
    if (!scram_text_begin(&text, message))
        return;
    for (size_t i = 0; scram_text_any(&text, &name, &value); i++) {
        CHECK(target_inside(value, message) && i <= message.len);
        scram_text_is_nonce(value);
    }
}

static void check_base64(struct slice text)
{
    uint8_t bytes[SCRAM_MESSAGE_BYTES_MAX];
    size_t n;
    if (!base64_read(text, bytes, sizeof(bytes), &n))
        return;
    struct buf again = {0};
    base64_write(&again, bytes, n);
    CHECK(slice_eq(buf_slice(&again), text)); // there is one way to write it
    buf_fini(&again);
}

static void check_secret(struct slice bytes)
{
    char *secret = mem_strndup((const char *)bytes.at, bytes.len);
    struct scram_verifier verifier, again;
    uint8_t salt[MD5_SALT_BYTES] = {1, 2, 3, 4};
    enum secret_kind kind = secret_kind(secret);
    if (secret_read_scram(secret, &verifier)) {
        CHECK(kind == SECRET_SCRAM);
        struct buf printed = {0};
        scram_verifier_print(&verifier, &printed);
        buf_u8(&printed, 0);
        CHECK(secret_read_scram((const char *)printed.at, &again));
        CHECK(again.salt_len == verifier.salt_len && again.iterations == verifier.iterations);
        CHECK(memcmp(again.salt, verifier.salt, verifier.salt_len) == 0);
        buf_fini(&printed);
    }
    if (kind != SECRET_SCRAM)
        secret_fits(secret, "anna", bytes);
    md5_check(bytes, secret, "anna", salt);
    mem_free(secret);
}

void target_run(struct slice bytes)
{
    uint8_t side = target_byte(&bytes);
    struct slice first = target_piece(&bytes);
    check_text(first);
    check_base64(bytes);
    check_secret(bytes);
    uint8_t *alone = target_alone(first);
    if (side % 2 == 0)
        as_server(slice_of(alone, first.len), bytes);
    else
        as_client(slice_of(alone, first.len), bytes);
    mem_free(alone);
}
