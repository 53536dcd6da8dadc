// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>

// Written once under pthread_once, then only read.
static EVP_MD *md5, *sha256;
static EVP_MAC_CTX *hmac;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    OSSL_PARAM of_sha256[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    hmac = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); // the context counts it
    if (hmac != NULL && EVP_MAC_CTX_set_params(hmac, of_sha256) != 1) {
        EVP_MAC_CTX_free(hmac);
        hmac = NULL;
    }
}

const EVP_MD *digest_md5(void)
{
    pthread_once(&once, fetch);
    return md5;
}

const EVP_MD *digest_sha256(void)
{
    pthread_once(&once, fetch);
    return sha256;
}

EVP_MAC_CTX *digest_hmac_sha256(void)
{
    pthread_once(&once, fetch);
    return hmac != NULL ? EVP_MAC_CTX_dup(hmac) : NULL;
}
