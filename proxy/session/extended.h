// SPDX-License-Identifier: Apache-2.0
// The messages by which statements are prepared, bound, described and closed, on their way to the
// server: whose statement a name means, and what the server is told in front of them (sharing.h,
// given.h, told.h). Names are translated where clients share them; in session mode, and with
// max_prepared_statements = 0, they go through as they are. Called by forward.c, and by nobody
// else; data begins with the message.
#pragma once
#include "proxy/session/session.h"

enum { NAMES_MAX_BYTES = 8 * 1024 }; // of portal and statement name in a Bind

enum step extended_parse(struct client *client, struct slice *data, struct frame frame);
enum step extended_bind(struct client *client, struct slice *data, struct frame frame);
// Describe and Close, whole.
enum step extended_target(struct client *client, struct slice message);
