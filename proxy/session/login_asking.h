// SPDX-License-Identifier: Apache-2.0
// A login's question to the checker (proxy/login/checker.h): the course that PAM, LDAP and peer
// share. One at a time. The answer comes back to the worker, if the client still waits for it; what
// it means is the way's business. login->state is this room's.
#pragma once
#include "proxy/login/checker.h"

struct client;
struct login;

// On the worker. The client does not wait any more: the login is to be ended, or to wait for
// something else.
typedef void login_answered(struct client *client, const struct check *check);

void login_asking_begin(struct client *client); // before the first draft
void login_asking_end(struct login *login);     // the way's end()

// With what all questions have filled in; what the way adds is freed with it (check_fini()).
struct check *login_asking_draft(struct client *client, login_answered *answered);
// Takes the check. Anything but CHECKER_ASKED: nothing comes back, and the client does not wait.
enum checker_answer login_asking_send(struct client *client, struct check *check, int threads,
                                      int queue);
