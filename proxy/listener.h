// SPDX-License-Identifier: Apache-2.0
// The sockets on which clients come in: TCP and unix. A worker that is the only one accepts by
// itself; else the control thread does, and deals accepted connections out to the workers in turn,
// so that each has as many of those that stay for long. Sockets that systemd passes are taken as
// they are. Owner: the main thread, which calls these but for listener_attend().
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct config;
struct listener;
struct pooler;
struct question;

// NULL with a sentence in error when an address cannot be bound. taken: sockets that another
// process listened on, instead of those of the configuration; they are the listener's.
struct listener *listener_new(struct ev_loop *loop, struct pooler *pooler,
                              const struct config *config, const int *taken, int taken_count,
                              char *error, size_t error_bytes);
// Accepts nobody, who waits in the sockets' queues; or again.
void listener_suspend(struct listener *listener, bool suspended);
// Gives the sockets to another process (takeover/handover.h), until it is let go on.
void listener_hand_over(struct listener *listener, struct question *q);
void listener_configure(struct listener *listener, struct config *config); // after a reload
void listener_stop(struct listener *listener); // no new clients; sockets are closed soon
// NULL is fine; unix socket files are removed. The workers have ended.
void listener_free(struct listener *listener);
// For the worker that accepts: looks whether it is to do so.
void listener_attend(struct listener *listener);
