// SPDX-License-Identifier: Apache-2.0
// TLS on one data connection. It stands between the conn's socket and what the conn gives to its
// owner: conn_read() gives clear bytes, conn_queue() and the sender take them; what waits in
// conn.out is ciphertext, so that a partial write, backpressure and the end of a connection are
// the same with and without TLS. The handshake goes on inside conn_read() and tls_shake().
//
// Owned by the conn (conn.tls), which frees it; touched only by the worker that has the conn. Which
// certificates, versions and ciphers: proxy/tls_context. When there is TLS: session/startup.c for
// clients, server/secure.c for servers.
#pragma once
#include <sys/types.h>

#include "base/buf.h"

struct conn;
struct ssl_ctx_st; // SSL_CTX
struct tls;

enum { TLS_INFO_BYTES = 96, TLS_HASH_BYTES = 64 };

// From here on the conn speaks TLS, as the side that was connected to. early: what of the handshake
// was read already (copied). direct: there was no SSLRequest, so the client must choose
// the protocol "postgresql" by ALPN. False: OpenSSL could not.
bool tls_accept(struct conn *conn, struct ssl_ctx_st *context, struct slice early, bool direct);

// The same as the side that connected; tls_shake() sends the first word. host: named to the server,
// and with verify the one that its certificate must be for (a name, or an address in figures).
bool tls_connect(struct conn *conn, struct ssl_ctx_st *context, const char *host, bool verify,
                 bool direct);

void tls_free(struct tls **tls); // says goodbye (close_notify) if the other side may still listen

// For conn.c. Bytes read, 0 at the end, -1 with errno (EAGAIN; EPROTO: see tls_error).
ssize_t tls_read(struct tls *tls, uint8_t *at, size_t room);
void tls_write(struct tls *tls, struct slice bytes); // into conn.out; dropped before the handshake
// Is there more to be read, whether or not the socket has any? Then it must not be waited for.
bool tls_has_more(const struct tls *tls);

// One step of the handshake by itself. True: it is over. False with errno, as of tls_read().
bool tls_shake(struct tls *tls);

bool tls_is_established(const struct tls *tls);
// What went wrong, one sentence; NULL: nothing.
const char *tls_error(const struct tls *tls);

// "TLSv1.3/TLS_AES_256_GCM_SHA384", as PgBouncer writes it.
void tls_describe(const struct tls *tls, char text[TLS_INFO_BYTES]);

// The other side's certificate was checked against the root certificates.
bool tls_peer_is_verified(const struct tls *tls);
// The common name in it, the last one if there are several; NULL: no certificate, none in it, or
// one with a NUL byte. Says nothing of whether it was verified.
const char *tls_peer_common_name(const struct tls *tls);
// Its subject as a whole, as in RFC 2253: "CN=app,O=Example"; NULL: no certificate.
const char *tls_peer_distinguished_name(const struct tls *tls);

// The hash of the server's certificate that stands for this connection in channel binding
// (tls-server-end-point, RFC 5929); 0: there is none for this kind of certificate.
size_t tls_endpoint_hash(const struct tls *tls, uint8_t hash[TLS_HASH_BYTES]);
