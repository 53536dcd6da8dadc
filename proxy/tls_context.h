// SPDX-License-Identifier: Apache-2.0
// What the settings client_tls_* and server_tls_* come to: certificates, keys, versions and ciphers
// as OpenSSL's contexts, one for each side, immutable and counted. Connections that were made by an
// older one go on with it. Made by the control thread, which reads the files; any thread may use
// and count it. A connection's own TLS is wire/tls.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"

struct config;
struct problems;
struct ssl_ctx_st; // SSL_CTX

struct tls_context {
    _Atomic unsigned holders;
    enum config_sslmode client_mode;
    struct ssl_ctx_st *clients; // owns; NULL: client_mode is disable
    enum config_sslmode server_mode;
    bool server_direct;         // TLS from the first byte
    struct ssl_ctx_st *servers; // owns; NULL: server_mode is disable
    uint8_t server_digest[32];  // of all that went into `servers`, the files included
    unsigned server_era;        // another number when servers would be spoken to in another way
};

// NULL: something is wrong with a file or a list of ciphers; *problems says what, and where.
// before: the one that it follows, for its era; NULL: none.
struct tls_context *tls_context_new(const struct config *config, const struct tls_context *before,
                                    struct problems *problems);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context); // NULL is fine; clears the pointer
