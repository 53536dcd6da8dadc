// SPDX-License-Identifier: Apache-2.0
// Messages of the PostgreSQL protocol 3 that pgweir makes itself, and the numbers of the startup
// phase. Parsing is done in place with base/reader.h where a message is handled.
// Constants: "Message Formats" and "Start-up" of the protocol chapter of PostgreSQL's manual.
#pragma once
#include "base/buf.h"

enum {
    MESSAGE_HEADER_BYTES = 5, // type, length
    STARTUP_HEADER_BYTES = 8, // length, code
    STARTUP_MAX_BYTES = 10000, // PostgreSQL's MAX_STARTUP_PACKET_LENGTH
    PROTOCOL_3_0 = 196608,
    PROTOCOL_NEWEST = PROTOCOL_3_0 + 2, // served to clients; servers are asked for 3.0
    CANCEL_REQUEST_CODE = 80877102,
    SSL_REQUEST_CODE = 80877103,
    GSSENC_REQUEST_CODE = 80877104,
    MESSAGE_MAX_BYTES = 0x3fffffff, // PostgreSQL's MaxAllocSize: nothing longer exists
};

enum { AUTH_OK = 0, AUTH_PLAIN = 3, AUTH_MD5 = 5, AUTH_SASL = 10, AUTH_SASL_CONTINUE = 11,
       AUTH_SASL_FINAL = 12 };

// A message header in place. False when there are fewer than five bytes.
struct frame {
    char type;
    uint32_t length; // of the whole message, type byte included
};
enum frame_result { FRAME_OK, FRAME_SHORT, FRAME_BAD };
static inline enum frame_result frame_read(struct slice data, struct frame *frame)
{
    if (data.len < MESSAGE_HEADER_BYTES)
        return FRAME_SHORT;
    const uint8_t *p = data.at;
    uint32_t length =
        ((uint32_t)p[1] << 24) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 8) | p[4];
    if (length < 4 || length > MESSAGE_MAX_BYTES)
        return FRAME_BAD;
    frame->type = (char)p[0];
    frame->length = length + 1;
    return FRAME_OK;
}

// A packet of the startup phase, which has no type. BAD: no packet is that long, or that short.
struct startup_packet {
    uint32_t length; // of all of it
    uint32_t code;   // the version asked for, or one of the requests
    struct slice body;
};
enum frame_result startup_packet_read(struct slice data, struct startup_packet *packet);

// The pairs in the body of a startup message, one by one; behind the last is a NUL, and nothing
// behind that. Both texts are NUL-terminated.
struct startup_pair {
    struct slice name, value;
};
enum startup_pair_result { STARTUP_PAIR, STARTUP_PAIRS_END, STARTUP_PAIRS_BAD };
struct reader;
enum startup_pair_result startup_pair_read(struct reader *r, struct startup_pair *pair);

// severity: "ERROR", "FATAL" or "NOTICE"; a NOTICE becomes a NoticeResponse.
void message_error(struct buf *out, const char *severity, const char *sqlstate,
                   const char *text);
void message_warning(struct buf *out, const char *sqlstate, const char *text, const char *detail);
void message_auth(struct buf *out, uint32_t code, struct slice data);
void message_parameter(struct buf *out, const char *name, const char *value);
void message_ready(struct buf *out, char status);
void message_cancel(struct buf *out, uint32_t process, struct slice secret); // CancelRequest
void message_query(struct buf *out, const char *sql);
void message_complete(struct buf *out, const char *tag);
void message_row_text(struct buf *out, const char *const *values, int n); // NULL: SQL NULL
void message_columns_text(struct buf *out, const char *const *names, const uint32_t *types, int n);

// The fields of an ErrorResponse or NoticeResponse body; what is missing is "".
struct error_fields {
    char severity[16];
    char sqlstate[6];
    char message[256];
    char routine[48]; // of the server's source
    bool nested;      // it arose within a function, or in a query of its own
};
void error_fields_read(struct slice body, struct error_fields *fields);
