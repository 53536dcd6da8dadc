// SPDX-License-Identifier: Apache-2.0
// The grammar of SCRAM messages (RFC 5802 section 7): attributes "x=value" with commas between.
// Slices of the message; nothing is owned.
#pragma once
#include "base/buf.h"

struct scram_binding;

struct scram_text {
    struct slice rest;
    bool has_more; // another attribute must follow: at the start, and after a comma
};

// False when the message is empty, too long, or has a NUL byte.
bool scram_text_begin(struct scram_text *text, struct slice message);

// Takes the next attribute; false: there is none, or it is malformed.
bool scram_text_any(struct scram_text *text, char *name, struct slice *value);
// Takes the next attribute, which must be this one.
bool scram_text_take(struct scram_text *text, char name, struct slice *value);

// What a client's first message begins with, and what stands behind c= in its last one: the same,
// and the endpoint if it binds, in base64.
void scram_text_gs2(const struct scram_binding *binding, struct buf *out);
void scram_text_binding(const struct scram_binding *binding, struct buf *out);
void scram_text_bind(struct scram_binding *binding, struct slice endpoint);

bool scram_text_is_nonce(struct slice value); // printable ASCII without comma, not empty
