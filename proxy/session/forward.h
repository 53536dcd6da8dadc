// SPDX-License-Identifier: Apache-2.0
// What each message on its way to the server needs. Shared by forward.c and extended.c, and by
// nobody else.
#pragma once
#include "proxy/session/session.h"

// The message that data begins with is sent, as far as it is there; the rest as it comes.
void forward_pass(struct client *client, struct slice *data, struct frame frame);
// A protocol violation: the client is told, and ended.
enum step forward_fail(struct client *client, const char *why);
// The op of a message of the client's.
struct op *forward_push(struct client *client, enum op_kind kind);
// The unnamed statement gets another meaning with it (counted by the caller; NULL: none).
void forward_set_unnamed(struct client *client, struct op *op, struct statement *meaning);
// After DISCARD ALL and DEALLOCATE ALL nothing is sent before it is known what they left.
void forward_note_clearing(struct client *client, const struct analysis *analysis);
