// SPDX-License-Identifier: Apache-2.0
// What makes a program a server: another user, the background, the pid file, and as many
// descriptors as it may have. The main thread, before there are others. What fails says why in the
// log.
#pragma once
#include <stdbool.h>

struct config;
struct settings;

bool daemon_fatal(const char *what, const char *why); // false
bool daemon_become_user(const char *name);            // "": stays who it is
bool daemon_go_background(const struct settings *settings);
bool daemon_write_pidfile(const char *path); // "": there is none
// As many as the system gives; and how many it may take, in PgBouncer's words.
void daemon_raise_descriptor_limit(const struct config *config);
