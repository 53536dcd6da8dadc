// SPDX-License-Identifier: Apache-2.0
// How a client proves who it is: trust, any, plain, md5 and SCRAM-SHA-256 against the users file.
// A user that does not exist goes through the same motions as one that does.
#pragma once

struct client;

void client_logged_in(struct client *client); // startup.c: it has proven who it is
