// SPDX-License-Identifier: Apache-2.0
// The sockets on which clients come in: TCP and unix, in the control thread's loop, which deals
// accepted connections out to the workers in turn. Sockets that systemd passes are taken as they
// are. Owner: the main thread.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct config;
struct listener;
struct pooler;

// NULL with a sentence in error when an address cannot be bound.
struct listener *listener_new(struct ev_loop *loop, struct pooler *pooler,
                              const struct config *config, char *error, size_t error_bytes);
void listener_configure(struct listener *listener, struct config *config); // after a reload
void listener_stop(struct listener *listener); // no new clients; sockets are closed
void listener_free(struct listener *listener); // NULL is fine; unix socket files are removed
