// SPDX-License-Identifier: Apache-2.0
// What servers say, seen from the session: see relay.c, and server_relay() in server.h.
#pragma once
#include "proxy/server/server.h"
#include "proxy/wire/message.h"
#include "proxy/wire/sender.h"

// Answers the requests at the head of the queue that are ours to answer.
void server_answer_local(struct server *server, struct sender *to_client);
