// SPDX-License-Identifier: Apache-2.0
// SCRAM, the side that checks: a client logs in to us.
#include "proxy/login/scram.h"

#include <openssl/crypto.h>

#include "proxy/login/base64.h"
#include "proxy/login/scram_key.h"
#include "proxy/login/scram_text.h"

enum {
    NONCE_BYTES = 18,
};

void scram_server_init(struct scram_server *s, const struct scram_verifier *verifier,
                       bool is_known)
{
    *s = (struct scram_server){.verifier = *verifier, .is_known = is_known};
}

void scram_server_fini(struct scram_server *s)
{
    buf_fini(&s->auth_message);
    secret_wipe(s, sizeof *s);
}

void scram_server_bind(struct scram_server *s, struct slice endpoint, bool chosen)
{
    scram_text_bind(&s->binding, endpoint);
    s->must_bind = chosen;
}

// The GS2 header. A name to act as (a=) is not offered.
static enum scram_result read_binding(struct scram_server *s, struct slice *message)
{
    struct buf header = {0};
    s->binding.flag = message->len > 0 ? (char)message->at[0] : 0;
    scram_text_gs2(&s->binding, &header);
    bool is_known = message->len >= header.len && header.len > 0 &&
                    memcmp(message->at, header.at, header.len) == 0;
    if (is_known)
        *message = slice_of(message->at + header.len, message->len - header.len);
    buf_fini(&header);
    if (!is_known || s->must_bind != (s->binding.flag == 'p'))
        return SCRAM_MALFORMED;
    // It could, and believes that we cannot: somebody took our offer away.
    return s->binding.flag == 'y' && s->binding.endpoint_len > 0 ? SCRAM_UNBOUND : SCRAM_OK;
}

// client-first-message-bare: n=name,r=nonce and extensions, which are ignored.
static bool read_first(struct slice bare, struct slice *nonce)
{
    struct scram_text text;
    struct slice value;
    char name;
    if (!scram_text_begin(&text, bare) || !scram_text_take(&text, 'n', &value) ||
        !scram_text_take(&text, 'r', nonce) || !scram_text_is_nonce(*nonce))
        return false;
    while (text.has_more) {
        if (!scram_text_any(&text, &name, &value))
            return false;
    }
    return true;
}

enum scram_result scram_server_first_with(struct scram_server *s, struct slice message,
                                          struct slice nonce, struct buf *reply)
{
    struct slice client_nonce;
    bool is_first = s->auth_message.len == 0;
    if (!is_first || message.len > SCRAM_MESSAGE_BYTES_MAX)
        return SCRAM_MALFORMED;
    enum scram_result bound = read_binding(s, &message);
    if (bound == SCRAM_MALFORMED || !read_first(message, &client_nonce))
        return SCRAM_MALFORMED;
    if (bound != SCRAM_OK)
        return bound;

    struct buf *auth = &s->auth_message;
    buf_put(auth, message);
    buf_u8(auth, ',');
    size_t ours = auth->len;
    buf_put(auth, slice_str("r="));
    s->nonce_at = auth->len;
    s->nonce_len = client_nonce.len + nonce.len;
    buf_put(auth, client_nonce);
    buf_put(auth, nonce);
    buf_put(auth, slice_str(",s="));
    base64_write(auth, s->verifier.salt, s->verifier.salt_len);
    buf_printf(auth, ",i=%u", s->verifier.iterations);
    buf_bytes(reply, auth->at + ours, auth->len - ours);
    s->expects_final = true;
    return SCRAM_OK;
}

enum scram_result scram_server_first(struct scram_server *s, struct slice message,
                                     struct buf *reply)
{
    uint8_t random[NONCE_BYTES];
    struct buf nonce = {0};
    if (!scram_key_random(random, sizeof random))
        return SCRAM_NO_RANDOM;
    base64_write(&nonce, random, sizeof random);
    enum scram_result result = scram_server_first_with(s, message, buf_slice(&nonce), reply);
    buf_fini(&nonce);
    return result;
}

static bool is_bound(const struct scram_server *s, struct slice value)
{
    struct buf expected = {0};
    scram_text_binding(&s->binding, &expected);
    bool is_so = slice_eq(value, buf_slice(&expected));
    buf_fini(&expected);
    return is_so;
}

// client-final-message: c=binding,r=nonce, extensions, p=proof. Gives the part before ",p=".
static bool read_final(const struct scram_server *s, struct slice message,
                       uint8_t proof[SCRAM_KEY_BYTES], struct slice *without_proof,
                       struct slice *binding)
{
    struct scram_text text;
    struct slice value;
    char name;
    if (!scram_text_begin(&text, message) || !scram_text_take(&text, 'c', binding))
        return false;
    if (!scram_text_take(&text, 'r', &value) ||
        !slice_eq(value, slice_of(s->auth_message.at + s->nonce_at, s->nonce_len)))
        return false;
    do {
        *without_proof = slice_of(message.at, (size_t)(text.rest.at - message.at) - 1);
        if (!scram_text_any(&text, &name, &value))
            return false;
    } while (name != 'p');
    uint8_t bytes[SCRAM_KEY_BYTES + 3];
    size_t n;
    if (text.has_more || !base64_read(value, bytes, sizeof bytes, &n) || n != SCRAM_KEY_BYTES)
        return false;
    memcpy(proof, bytes, SCRAM_KEY_BYTES);
    return true;
}

enum scram_result scram_server_final(struct scram_server *s, struct slice message,
                                     struct buf *reply)
{
    uint8_t key[SCRAM_KEY_BYTES]; // first the proof, then the key that it hides
    uint8_t signature[SCRAM_KEY_BYTES], stored_key[SCRAM_KEY_BYTES];
    struct slice without_proof, binding;
    bool is_expected = s->expects_final;
    s->expects_final = false; // one try for each first message
    if (!is_expected || !read_final(s, message, key, &without_proof, &binding))
        return SCRAM_MALFORMED;
    if (!is_bound(s, binding))
        return s->must_bind ? SCRAM_UNBOUND : SCRAM_MALFORMED;

    buf_u8(&s->auth_message, ',');
    buf_put(&s->auth_message, without_proof);
    struct slice auth = buf_slice(&s->auth_message);
    if (!scram_key_sign(signature, s->verifier.stored_key, auth))
        return SCRAM_NO_RANDOM;
    scram_key_xor(key, signature);
    if (!scram_key_hash(stored_key, key) ||
        !scram_key_sign(signature, s->verifier.server_key, auth))
        return SCRAM_NO_RANDOM;

    bool fits = CRYPTO_memcmp(stored_key, s->verifier.stored_key, SCRAM_KEY_BYTES) == 0;
    if (fits && s->is_known) {
        memcpy(s->client_key, key, SCRAM_KEY_BYTES);
        buf_put(reply, slice_str("v="));
        base64_write(reply, signature, SCRAM_KEY_BYTES);
    }
    secret_wipe(key, sizeof key);
    return fits && s->is_known ? SCRAM_OK : SCRAM_REFUSED;
}

void scram_server_keys(const struct scram_server *s, struct scram_keys *keys)
{
    *keys = (struct scram_keys){.salt_len = s->verifier.salt_len,
                                .iterations = s->verifier.iterations};
    memcpy(keys->salt, s->verifier.salt, s->verifier.salt_len);
    memcpy(keys->client_key, s->client_key, SCRAM_KEY_BYTES);
    memcpy(keys->server_key, s->verifier.server_key, SCRAM_KEY_BYTES);
}
