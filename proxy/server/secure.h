// SPDX-License-Identifier: Apache-2.0
// How a new connection of ours becomes one by TLS, before anything else is said on it: the question
// (SSLRequest) and its answer, or TLS at once (server_tls_negotiation), and the handshake. For
// server connections and cancel requests alike. Lives from the moment when the socket is connected
// until secure_step() says that it is done; owned by whoever has the conn, on its worker.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct address;
struct conn;
struct secure;
struct tls_context;

// Is there anything to do for a connection to this address? Never for a unix socket.
bool secure_is_wanted(const struct tls_context *context, const struct address *address);

// Asks, or begins. host: as the configuration names it, for verify-full. The conn's readable
// watcher is to call secure_step(), which is called once right after this as well.
struct secure *secure_begin(struct conn *conn, struct tls_context *context, const char *host);
void secure_free(struct secure **secure); // NULL is fine

enum secure_result {
    SECURE_WAITS,
    SECURE_DONE,   // by TLS, or without, where both will do: whether there is conn.tls tells
    SECURE_FAILED, // see secure_problem()
};
enum secure_result secure_step(struct secure *secure, uint8_t *area); // area: as of conn_read()

// PgBouncer's reason to close the connection. A failed handshake's own cause is tls_error().
const char *secure_problem(const struct secure *secure);
