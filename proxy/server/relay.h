// SPDX-License-Identifier: Apache-2.0
// What servers say: see relay.c. Its entry is server_relay() in server.h.
#pragma once
#include "proxy/server/server.h"
#include "proxy/wire/message.h"
#include "proxy/wire/sender.h"
