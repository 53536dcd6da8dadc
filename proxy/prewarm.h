// SPDX-License-Identifier: Apache-2.0
// cache_prewarm: queries of a file are run once after the start, so that the cache has their
// answers. They go the way of any client's: each user of the file is a client of ours, on a socket
// pair, that needs no password here. One at a time, one query at a time; what fails is logged and
// harmless. On the control thread's loop.
//
// The file: a line [DATABASE USER], then queries, each up to a line that ends with a semicolon.
// Lines that begin with -- or # are comments.
#pragma once
#include <ev.h>

struct pooler;
struct prewarm;

// NULL: the file cannot be read; it was logged.
struct prewarm *prewarm_begin(struct ev_loop *loop, struct pooler *pooler, const char *path);
void prewarm_free(struct prewarm *prewarm); // whether or not it has ended; NULL is fine
