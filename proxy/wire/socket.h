// SPDX-License-Identifier: Apache-2.0
// What is set on a data socket. Any thread. (Who is at its other end: session/origin.h.)
#pragma once
#include <stdbool.h>

struct settings;

// The tcp_* settings; of a unix socket only the buffer size.
void socket_tune(int fd, bool local, const struct settings *settings);
// TCP_DEFER_ACCEPT of a listening TCP socket: a client is seen once it has said something.
void socket_defer_accept(int fd, bool defer);
