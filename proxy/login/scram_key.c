// SPDX-License-Identifier: Apache-2.0
// Keys of SCRAM: the arithmetic, and what scram.h offers to make, mock and print them.
#include "proxy/login/scram_key.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "proxy/login/base64.h"
#include "proxy/login/digest.h"
#include "proxy/login/scram.h"

bool scram_key_hash(uint8_t out[SCRAM_KEY_BYTES], const uint8_t key[SCRAM_KEY_BYTES])
{
    unsigned n = 0;
    return EVP_Digest(key, SCRAM_KEY_BYTES, out, &n, digest_sha256(), NULL) == 1 &&
           n == SCRAM_KEY_BYTES;
}

bool scram_key_hmac(uint8_t out[SCRAM_KEY_BYTES], struct slice key, struct slice text)
{
    size_t n = 0;
    EVP_MAC_CTX *context = digest_hmac_sha256();
    bool is_ok = context != NULL && EVP_MAC_init(context, key.at, key.len, NULL) == 1 &&
                 EVP_MAC_update(context, text.at, text.len) == 1 &&
                 EVP_MAC_final(context, out, &n, SCRAM_KEY_BYTES) == 1 && n == SCRAM_KEY_BYTES;
    EVP_MAC_CTX_free(context);
    return is_ok;
}

bool scram_key_sign(uint8_t out[SCRAM_KEY_BYTES], const uint8_t key[SCRAM_KEY_BYTES],
                    struct slice auth_message)
{
    return scram_key_hmac(out, slice_of(key, SCRAM_KEY_BYTES), auth_message);
}

void scram_key_xor(uint8_t into[SCRAM_KEY_BYTES], const uint8_t with[SCRAM_KEY_BYTES])
{
    for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
        into[i] ^= with[i];
}

bool scram_key_random(void *at, size_t bytes)
{
    return RAND_bytes(at, (int)bytes) == 1;
}

bool scram_derive(struct scram_keys *keys, struct slice password, struct slice salt,
                  uint32_t iterations)
{
    uint8_t salted[SCRAM_KEY_BYTES];
    *keys = (struct scram_keys){.salt_len = salt.len, .iterations = iterations};
    if (salt.len == 0 || salt.len > sizeof keys->salt || iterations == 0 ||
        iterations > SCRAM_ITERATIONS_MAX || password.len > INT32_MAX)
        return false;
    memcpy(keys->salt, salt.at, salt.len);
    struct slice salted_password = slice_of(salted, sizeof salted);
    bool is_ok =
        PKCS5_PBKDF2_HMAC((const char *)password.at, (int)password.len, salt.at, (int)salt.len,
                          (int)iterations, digest_sha256(), SCRAM_KEY_BYTES, salted) == 1 &&
        scram_key_hmac(keys->client_key, salted_password, slice_str("Client Key")) &&
        scram_key_hmac(keys->server_key, salted_password, slice_str("Server Key"));
    secret_wipe(salted, sizeof salted);
    if (!is_ok)
        secret_wipe(keys, sizeof *keys);
    return is_ok;
}

static bool make_verifier(struct scram_verifier *verifier, struct slice password,
                          struct slice salt, uint32_t iterations)
{
    struct scram_keys keys;
    if (!scram_derive(&keys, password, salt, iterations))
        return false;
    *verifier = (struct scram_verifier){.salt_len = salt.len, .iterations = keys.iterations};
    memcpy(verifier->salt, keys.salt, keys.salt_len);
    memcpy(verifier->server_key, keys.server_key, SCRAM_KEY_BYTES);
    bool is_ok = scram_key_hash(verifier->stored_key, keys.client_key);
    secret_wipe(&keys, sizeof keys);
    return is_ok;
}

bool scram_verifier_new(struct scram_verifier *verifier, struct slice password)
{
    uint8_t salt[SCRAM_SALT_BYTES_NEW];
    return scram_key_random(salt, sizeof salt) &&
           make_verifier(verifier, password, slice_of(salt, sizeof salt),
                         SCRAM_ITERATIONS_DEFAULT);
}

void scram_verifier_mock(struct scram_verifier *verifier, const char *user,
                         const uint8_t mock_secret[SCRAM_KEY_BYTES], uint32_t iterations)
{
    uint8_t digest[SCRAM_KEY_BYTES] = {0}; // a library that fails here fails the proof too
    (void)scram_key_hmac(digest, slice_of(mock_secret, SCRAM_KEY_BYTES), slice_str(user));
    *verifier = (struct scram_verifier){.salt_len = SCRAM_SALT_BYTES_NEW,
                                        .iterations = iterations};
    memcpy(verifier->salt, digest, SCRAM_SALT_BYTES_NEW);
}

bool scram_verifier_for(struct scram_verifier *verifier, struct slice password, const char *user,
                        const uint8_t mock_secret[SCRAM_KEY_BYTES], uint32_t iterations)
{
    struct scram_verifier mock;
    scram_verifier_mock(&mock, user, mock_secret, iterations);
    return make_verifier(verifier, password, slice_of(mock.salt, mock.salt_len), iterations);
}

void scram_verifier_print(const struct scram_verifier *verifier, struct buf *out)
{
    buf_printf(out, SCRAM_MECHANISM "$%u:", verifier->iterations);
    base64_write(out, verifier->salt, verifier->salt_len);
    buf_u8(out, '$');
    base64_write(out, verifier->stored_key, SCRAM_KEY_BYTES);
    buf_u8(out, ':');
    base64_write(out, verifier->server_key, SCRAM_KEY_BYTES);
}
