// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/md5.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/hex.h"
#include "proxy/login/digest.h"
#include "proxy/login/secret.h"

// "md5" and the digest of two runs of bytes, as hexadecimal text.
static bool digest_text(char text[MD5_TEXT_BYTES], struct slice first, struct slice second)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_ok = context != NULL && EVP_DigestInit_ex(context, digest_md5(), NULL) == 1 &&
                 EVP_DigestUpdate(context, first.at, first.len) == 1 &&
                 EVP_DigestUpdate(context, second.at, second.len) == 1 &&
                 EVP_DigestFinal_ex(context, digest, &digest_len) == 1 && digest_len == 16;
    EVP_MD_CTX_free(context);
    if (!is_ok)
        return false;
    memcpy(text, "md5", 3);
    *hex_encode(text + 3, digest, digest_len) = '\0';
    secret_wipe(digest, sizeof digest);
    return true;
}

bool md5_secret(char secret[MD5_TEXT_BYTES], struct slice password, const char *user)
{
    return digest_text(secret, password, slice_str(user));
}

bool md5_answer(char answer[MD5_TEXT_BYTES], const char *stored, const char *user,
                const uint8_t salt[MD5_SALT_BYTES])
{
    char secret[MD5_TEXT_BYTES];
    bool is_ok = false;
    switch (secret_kind(stored)) {
    case SECRET_NONE:
    case SECRET_SCRAM:
        return false;
    case SECRET_PLAIN:
        is_ok = md5_secret(secret, slice_str(stored), user);
        break;
    case SECRET_MD5:
        memcpy(secret, stored, sizeof secret);
        is_ok = true;
        break;
    }
    is_ok = is_ok && digest_text(answer, slice_of(secret + 3, MD5_TEXT_BYTES - 4),
                                 slice_of(salt, MD5_SALT_BYTES));
    secret_wipe(secret, sizeof secret);
    return is_ok;
}

bool md5_check(struct slice answer, const char *stored, const char *user,
               const uint8_t salt[MD5_SALT_BYTES])
{
    char expected[MD5_TEXT_BYTES];
    bool is_known = md5_answer(expected, stored, user, salt);
    // An unknown user costs the same: some secret is hashed and compared, and does not count.
    bool is_ready = is_known || md5_answer(expected, "no such user", user, salt);
    bool fits = is_ready && answer.len == MD5_TEXT_BYTES - 1 &&
                CRYPTO_memcmp(answer.at, expected, MD5_TEXT_BYTES - 1) == 0;
    secret_wipe(expected, sizeof expected);
    return fits && is_known;
}
