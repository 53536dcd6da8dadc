// SPDX-License-Identifier: Apache-2.0
// HTTP for machines: /metrics, /healthz, /readyz on http_listen, by libmicrohttpd on the control
// thread's loop. GET and HEAD only: 405 for other methods, 404 for other paths.
//
// Owner: the thread that runs the loop. A slow or hostile peer costs one of a small number of
// connections for some seconds, never the loop. The text of the pages is the callbacks'.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct http;

struct http_pages {
    void (*metrics)(struct buf *out, void *arg); // appends the whole OpenMetrics text
    bool (*ready)(struct buf *out, void *arg);   // appends one line that says why (not)
    void *arg;
};

// listen: "address:port", "[v6]:port", ":port" or "*:port"; the address must be numeric or
// "localhost". NULL with a sentence in error when it is malformed or cannot be bound.
struct http *http_new(struct ev_loop *loop, const char *listen, const struct http_pages *pages,
                      char *error, size_t error_bytes);
void http_free(struct http *http); // NULL is fine
int http_port(const struct http *http); // the port in use (of interest when 0 was asked for)
