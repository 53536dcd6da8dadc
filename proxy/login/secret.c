// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/secret.h"

#include <openssl/crypto.h>

#include "proxy/login/base64.h"
#include "proxy/login/md5.h"
#include "proxy/login/scram.h"

static const char scram_prefix[] = "SCRAM-SHA-256$";

static bool is_md5(const char *secret)
{
    if (strncmp(secret, "md5", 3) != 0 || strlen(secret) != MD5_TEXT_BYTES - 1)
        return false;
    return strspn(secret + 3, "0123456789abcdef") == MD5_TEXT_BYTES - 4;
}

enum secret_kind secret_kind(const char *secret)
{
    if (secret == NULL || *secret == '\0')
        return SECRET_NONE;
    if (is_md5(secret))
        return SECRET_MD5;
    // Not as in PostgreSQL, where a secret that does not parse is a password: whoever has read a
    // secret that is only beyond our limits must not be able to log in with its text.
    bool is_scram = strncmp(secret, scram_prefix, sizeof scram_prefix - 1) == 0;
    return is_scram ? SECRET_SCRAM : SECRET_PLAIN;
}

// The text before the next `end` (0: the rest); *at moves behind it. False: there is none.
static bool take_until(const char **at, char end, struct slice *part)
{
    const char *stop = end == '\0' ? *at + strlen(*at) : strchr(*at, end);
    if (stop == NULL)
        return false;
    *part = slice_of(*at, (size_t)(stop - *at));
    *at = end == '\0' ? stop : stop + 1;
    return true;
}

static bool read_key(struct slice text, uint8_t key[SCRAM_KEY_BYTES])
{
    uint8_t bytes[SCRAM_KEY_BYTES + 3];
    size_t n;
    bool is_ok = base64_read(text, bytes, sizeof bytes, &n) && n == SCRAM_KEY_BYTES;
    if (is_ok)
        memcpy(key, bytes, SCRAM_KEY_BYTES);
    secret_wipe(bytes, sizeof bytes);
    return is_ok;
}

bool secret_read_iterations(struct slice text, uint32_t *iterations)
{
    uint32_t number = 0;
    if (text.len == 0 || text.len > 7)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(text.at[i] - '0');
    }
    *iterations = number;
    return number > 0 && number <= SCRAM_ITERATIONS_MAX;
}

bool secret_read_scram(const char *secret, struct scram_verifier *verifier)
{
    struct slice iterations, salt, stored_key, server_key;
    size_t n = sizeof scram_prefix - 1;
    if (secret == NULL || strncmp(secret, scram_prefix, n) != 0)
        return false;
    const char *at = secret + n;
    return take_until(&at, ':', &iterations) && take_until(&at, '$', &salt) &&
           take_until(&at, ':', &stored_key) && take_until(&at, '\0', &server_key) &&
           secret_read_iterations(iterations, &verifier->iterations) &&
           base64_read(salt, verifier->salt, sizeof verifier->salt, &verifier->salt_len) &&
           verifier->salt_len > 0 && read_key(stored_key, verifier->stored_key) &&
           read_key(server_key, verifier->server_key);
}

static bool fits_plain(const char *secret, struct slice password)
{
    return strlen(secret) == password.len && CRYPTO_memcmp(secret, password.at, password.len) == 0;
}

static bool fits_md5(const char *secret, const char *user, struct slice password)
{
    char made[MD5_TEXT_BYTES];
    bool fits = md5_secret(made, password, user) &&
                CRYPTO_memcmp(made, secret, MD5_TEXT_BYTES - 1) == 0;
    secret_wipe(made, sizeof made);
    return fits;
}

static bool fits_scram(const char *secret, struct slice password)
{
    struct scram_verifier verifier;
    struct scram_keys keys;
    bool fits = secret_read_scram(secret, &verifier) &&
                scram_derive(&keys, password, slice_of(verifier.salt, verifier.salt_len),
                             verifier.iterations) &&
                CRYPTO_memcmp(keys.server_key, verifier.server_key, SCRAM_KEY_BYTES) == 0;
    secret_wipe(&verifier, sizeof verifier);
    secret_wipe(&keys, sizeof keys);
    return fits;
}

bool secret_fits(const char *secret, const char *user, struct slice password)
{
    if (password.len == 0)
        return false; // PostgreSQL takes no empty password either
    switch (secret_kind(secret)) {
    case SECRET_NONE:
        return false;
    case SECRET_PLAIN:
        return fits_plain(secret, password);
    case SECRET_MD5:
        return fits_md5(secret, user, password);
    case SECRET_SCRAM:
        return fits_scram(secret, password);
    }
    return false;
}

void secret_wipe(void *at, size_t bytes)
{
    OPENSSL_cleanse(at, bytes);
}
