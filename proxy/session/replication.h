// SPDX-License-Identifier: Apache-2.0
// Replication connections: a client that asks for one (startup parameter "replication") gets a
// server connection of its own, opened with its own startup parameters, and bytes pass between the
// two unread until one of them ends. Such a server is never pooled, reset or given to anybody else.
//
// Life: after the login the client waits in CLIENT_GREETING until its pool has room for one more
// connection; when the server has logged us in, it is greeted with what that server said, and is
// CLIENT_REPLICATING to its end. Limits count the connection like any other of its pool.
#pragma once
#include <stdbool.h>

#include "base/buf.h"

struct client;
struct server;

enum replication_kind { REPLICATION_NONE, REPLICATION_LOGICAL, REPLICATION_PHYSICAL };

// Owned by a client; NULL in one that is no replication connection.
struct replication {
    enum replication_kind kind;
    bool wants;            // its pool knows that it wants a server
    struct buf parameters; // owns; names and values for the server's startup message
};

// "database" is logical; else a boolean as PostgreSQL reads one, also abbreviated. False: neither.
bool replication_parse(const char *value, enum replication_kind *kind);
// For SHOW CLIENTS: "none", "logical", "physical".
const char *replication_name(const struct replication *replication);
// As a startup parameter, and in the log: "no", "database", "yes".
const char *replication_parameter(const struct replication *replication);

void replication_free(struct replication *replication); // NULL is fine

// The client has logged in and wants its server.
void replication_begin(struct client *client);
// From the janitor while it waits: is there room now?
void replication_try(struct client *client, int64_t now_us);
// The client ends or has its server: it wants none any more.
void replication_wants_no_more(struct client *client);

// Its server is logged in.
void replication_greet(struct client *client, struct server *server);
// The server refused the login: the client hears it from the server itself.
void replication_refused(struct client *client, struct slice error_body);
// Bytes of the client; all are taken.
void replication_from_client(struct client *client, struct slice data);
// The server is readable; false: it was closed.
bool replication_from_server(struct server *server);
// The server is gone. The client's connection ends once it has what is still queued for it.
void replication_server_gone(struct client *client, const char *why);
