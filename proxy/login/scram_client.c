// SPDX-License-Identifier: Apache-2.0
// SCRAM, the side that proves: we log in to a server.
#include "proxy/login/scram.h"

#include <openssl/crypto.h>

#include "proxy/login/base64.h"
#include "proxy/login/scram_key.h"
#include "proxy/login/scram_text.h"

enum {
    NONCE_BYTES = 18,
};

void scram_client_init(struct scram_client *c, struct slice password,
                       const struct scram_keys *keys)
{
    *c = (struct scram_client){.next = SCRAM_CLIENT_FIRST, .binding = {.flag = 'n'}};
    buf_put(&c->password, password);
    if (keys != NULL)
        c->keys = *keys;
}

void scram_client_fini(struct scram_client *c)
{
    if (c->password.at != NULL)
        secret_wipe(c->password.at, c->password.capacity);
    buf_fini(&c->password);
    buf_fini(&c->auth_message);
    secret_wipe(c, sizeof *c);
}

void scram_client_bind(struct scram_client *c, struct slice endpoint, bool offered)
{
    scram_text_bind(&c->binding, endpoint);
    if (endpoint.len > 0)
        c->binding.flag = offered ? 'p' : 'y';
}

void scram_client_first_with(struct scram_client *c, struct slice user, struct slice nonce,
                             struct buf *reply)
{
    struct buf *auth = &c->auth_message;
    buf_put(auth, slice_str("n="));
    buf_put(auth, user);
    buf_put(auth, slice_str(",r="));
    c->nonce_at = auth->len;
    c->nonce_len = nonce.len;
    buf_put(auth, nonce);
    scram_text_gs2(&c->binding, reply);
    buf_put(reply, buf_slice(auth));
    c->next = SCRAM_CLIENT_FINAL;
}

enum scram_result scram_client_first(struct scram_client *c, struct buf *reply)
{
    uint8_t random[NONCE_BYTES];
    struct buf nonce = {0};
    if (c->next != SCRAM_CLIENT_FIRST)
        return SCRAM_MALFORMED;
    if (!scram_key_random(random, sizeof random))
        return SCRAM_NO_RANDOM;
    base64_write(&nonce, random, sizeof random);
    scram_client_first_with(c, slice_str(""), buf_slice(&nonce), reply);
    buf_fini(&nonce);
    return SCRAM_OK;
}

struct server_first {
    struct slice nonce; // joint
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_len;
    uint32_t iterations;
};

// server-first-message: r=nonce,s=salt,i=iterations and extensions, which are ignored.
static bool read_first(const struct scram_client *c, struct slice message,
                       struct server_first *first)
{
    struct scram_text text;
    struct slice salt, iterations, value;
    char name;
    if (!scram_text_begin(&text, message) || !scram_text_take(&text, 'r', &first->nonce) ||
        !scram_text_take(&text, 's', &salt) || !scram_text_take(&text, 'i', &iterations))
        return false;
    while (text.has_more) {
        if (!scram_text_any(&text, &name, &value))
            return false;
    }
    // The server must add to our nonce, or an old exchange could be played again.
    bool is_ours = scram_text_is_nonce(first->nonce) && first->nonce.len > c->nonce_len &&
                   memcmp(first->nonce.at, c->auth_message.at + c->nonce_at, c->nonce_len) == 0;
    return is_ours && base64_read(salt, first->salt, sizeof first->salt, &first->salt_len) &&
           first->salt_len > 0 && secret_read_iterations(iterations, &first->iterations);
}

// Makes c->keys fit the server's salt.
static enum scram_result find_keys(struct scram_client *c, const struct server_first *first)
{
    bool fits = c->keys.salt_len == first->salt_len &&
                memcmp(c->keys.salt, first->salt, first->salt_len) == 0 &&
                c->keys.iterations == first->iterations;
    if (fits)
        return SCRAM_OK;
    if (c->password.len == 0)
        return SCRAM_REFUSED;
    bool is_derived = scram_derive(&c->keys, buf_slice(&c->password),
                                   slice_of(first->salt, first->salt_len), first->iterations);
    return is_derived ? SCRAM_OK : SCRAM_NO_RANDOM;
}

static bool prove(const struct scram_client *c, uint8_t proof[SCRAM_KEY_BYTES])
{
    uint8_t stored_key[SCRAM_KEY_BYTES];
    if (!scram_key_hash(stored_key, c->keys.client_key) ||
        !scram_key_sign(proof, stored_key, buf_slice(&c->auth_message)))
        return false;
    scram_key_xor(proof, c->keys.client_key);
    return true;
}

enum scram_result scram_client_final(struct scram_client *c, struct slice message,
                                     struct buf *reply)
{
    struct server_first first;
    bool is_expected = c->next == SCRAM_CLIENT_FINAL;
    c->next = SCRAM_CLIENT_DONE;
    if (!is_expected || !read_first(c, message, &first))
        return SCRAM_MALFORMED;
    enum scram_result result = find_keys(c, &first);
    if (result != SCRAM_OK)
        return result;

    struct buf *auth = &c->auth_message;
    buf_u8(auth, ',');
    buf_put(auth, message);
    buf_u8(auth, ',');
    size_t ours = auth->len;
    buf_put(auth, slice_str("c="));
    scram_text_binding(&c->binding, auth);
    buf_put(auth, slice_str(",r="));
    buf_put(auth, first.nonce);
    uint8_t proof[SCRAM_KEY_BYTES];
    if (!prove(c, proof))
        return SCRAM_NO_RANDOM;
    buf_bytes(reply, auth->at + ours, auth->len - ours);
    buf_put(reply, slice_str(",p="));
    base64_write(reply, proof, sizeof proof);
    c->next = SCRAM_CLIENT_VERIFY;
    return SCRAM_OK;
}

enum scram_result scram_client_verify(struct scram_client *c, struct slice message)
{
    struct scram_text text;
    struct slice value;
    char name;
    bool is_expected = c->next == SCRAM_CLIENT_VERIFY;
    c->next = SCRAM_CLIENT_DONE;
    if (!is_expected || !scram_text_begin(&text, message) ||
        !scram_text_any(&text, &name, &value))
        return SCRAM_MALFORMED;
    if (name == 'e')
        return SCRAM_REFUSED;
    uint8_t got[SCRAM_KEY_BYTES + 3], expected[SCRAM_KEY_BYTES];
    size_t n;
    if (name != 'v' || !base64_read(value, got, sizeof got, &n) || n != SCRAM_KEY_BYTES)
        return SCRAM_MALFORMED;
    if (!scram_key_sign(expected, c->keys.server_key, buf_slice(&c->auth_message)))
        return SCRAM_NO_RANDOM;
    return CRYPTO_memcmp(got, expected, SCRAM_KEY_BYTES) == 0 ? SCRAM_OK : SCRAM_REFUSED;
}
