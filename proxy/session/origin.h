// SPDX-License-Identifier: Apache-2.0
// Where a client comes from: address and port in figures, or who is at the other end of a unix
// socket. Taken from the socket when it is accepted, or from what a trusted proxy announced
// (proxy_header.h). Plain data inside the client; no I/O but taking the socket, and asking the
// kernel about it. Who may say so, and what is done with it, does not belong here.
#pragma once
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum origin_kind { ORIGIN_UNKNOWN, ORIGIN_IPV4, ORIGIN_IPV6, ORIGIN_UNIX };

enum {
    ORIGIN_HOST_BYTES = INET6_ADDRSTRLEN,
    ORIGIN_TEXT_BYTES = 128, // origin_details()
};

struct origin {
    enum origin_kind kind : 8;
    uint16_t port;       // of the client; of ours for a unix socket, as in PgBouncer
    union {
        uint8_t address[16]; // network order; the first four bytes for IPv4
        struct {
            pid_t pid;       // at the other end of a unix socket; 0: unknown
            uid_t uid;
        };
    };
};

// listen_port: of the unix socket, which has none of its own.
void origin_of_socket(struct origin *origin, int fd, int listen_port);
// Accepts a client, and says where it comes from. -1 with errno; EAGAIN: nobody waits.
int origin_accept(struct origin *origin, int listening_fd, int listen_port);

// Of an address in hand; and of our own end of a socket.
void origin_of_address(struct origin *origin, const struct sockaddr *address, socklen_t length);
void origin_of_own_end(struct origin *origin, int fd);

// Clients of the same place, as far as can be told: an IPv4 address, a /64 of IPv6 (which one
// customer has), a user of this machine. Never 0.
uint64_t origin_place(const struct origin *origin);

// "127.0.0.1", "::1", "unix": as in the column addr of SHOW CLIENTS.
void origin_host(const struct origin *origin, char text[ORIGIN_HOST_BYTES]);
// As in PgBouncer's log: "127.0.0.1:5432", "[::1]:5432", "unix(PID):6432".
void origin_for_log(const struct origin *origin, char *text, size_t bytes);
// As application_name_add_host adds it: "unix(PID@HOST):6432" names the machine as well.
void origin_details(const struct origin *origin, char *text, size_t bytes);
