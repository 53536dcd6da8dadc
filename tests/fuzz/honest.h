// SPDX-License-Identifier: Apache-2.0
// A server that answers what it is asked, as PostgreSQL would as far as a proxy can tell, whatever
// the statements say: BEGIN and its like by their first word, COPY FROM, and errors on request.
#pragma once
#include <strings.h>

#include "base/reader.h"
#include "tests/fuzz/world.h"

struct honest {
    size_t handled;   // of world.to_server
    unsigned connection;
    bool logged_in, copying, copying_simple, skipping;
    struct buf names;
    char status;
};

static struct honest honest;

static inline void honest_message(struct buf *out, char type, struct slice body)
{
    size_t mark = buf_message_begin(out, type);
    buf_put(out, body);
    buf_message_end(out, mark);
}

static inline void honest_empty(struct buf *out, char type)
{
    honest_message(out, type, slice_of(NULL, 0));
}

static inline void honest_login(struct buf *out)
{
    static const uint8_t key[] = {0, 0, 0, 1, 0, 0, 0, 2};
    message_auth(out, AUTH_OK, slice_of(NULL, 0));
    message_parameter(out, "server_version", "15.0");
    message_parameter(out, "client_encoding", "UTF8");
    message_parameter(out, "DateStyle", "ISO, MDY");
    message_parameter(out, "TimeZone", "UTC");
    message_parameter(out, "standard_conforming_strings", "on");
    message_parameter(out, "application_name", "");
    message_parameter(out, "IntervalStyle", "postgres");
    honest_message(out, 'K', slice_of(key, sizeof(key)));
    message_ready(out, 'I');
}

static inline void honest_error(struct buf *out)
{
    message_error(out, "ERROR", "XX000", "as you like");
    if (honest.status == 'T')
        honest.status = 'E';
}

static inline bool honest_starts(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

// False: with an error.
static inline bool honest_run(struct buf *out, const char *text, bool simple)
{
    if (honest_starts(text, "fail")) {
        honest_error(out);
        return false;
    }
    if (honest_starts(text, "deallocate") || honest_starts(text, "discard"))
        buf_clear(&honest.names);
    if (honest_starts(text, "copy")) {
        static const uint8_t format[] = {0, 0, 0};
        honest_message(out, 'G', slice_of(format, sizeof(format)));
        honest.copying = true;
        honest.copying_simple = simple;
        return true;
    }
    if (honest_starts(text, "begin"))
        honest.status = honest.status == 'I' ? 'T' : honest.status;
    else if (honest_starts(text, "commit") || honest_starts(text, "rollback"))
        honest.status = 'I';
    if (text[0] == '\0')
        honest_empty(out, 'I');
    else
        message_complete(out, honest_starts(text, "begin") ? "BEGIN" : "SELECT 0");
    return true;
}

static inline void honest_copy_ended(struct buf *out, char type)
{
    honest.copying = false;
    if (type == 'c')
        message_complete(out, "COPY 0");
    else
        honest_error(out);
    honest.skipping = type != 'c' && !honest.copying_simple;
    if (honest.copying_simple)
        message_ready(out, honest.status);
}

// Names of prepared statements, a NUL behind each. The unnamed one is never among them. Where this
// one stands; NULL: nowhere.
static inline uint8_t *honest_find(struct slice name)
{
    struct slice rest = buf_slice(&honest.names);
    while (rest.len > 0) {
        size_t n = strlen((const char *)rest.at);
        if (slice_eq(slice_of(rest.at, n), name))
            return honest.names.at + (rest.at - honest.names.at);
        slice_cut(&rest, n + 1);
    }
    return NULL;
}

static inline void honest_close(struct slice name)
{
    uint8_t *at = honest_find(name);
    if (at == NULL)
        return;
    size_t end = (size_t)(at - honest.names.at) + name.len + 1;
    memmove(at, honest.names.at + end, honest.names.len - end);
    honest.names.len -= name.len + 1;
}

static inline void honest_extended(struct buf *out, char type, struct slice body)
{
    static const uint8_t none[] = {0, 0};
    struct reader r = reader_of(body);
    struct slice name = reader_cstr(&r);
    struct slice text = type == 'P' ? reader_cstr(&r) : slice_of(NULL, 0);
    CHECK(type != 'P' || reader_ok(&r)); // others are passed on as the client said them
    bool is_bad = (type == 'B' || type == 'E') && !reader_ok(&r);
    if (is_bad || (type == 'P' && honest_find(name) != NULL)) {
        honest_error(out);
        honest.skipping = true;
        return;
    }
    switch (type) {
    case 'P':
        if (honest_starts((const char *)text.at, "bad")) {
            honest_error(out);
            honest.skipping = true;
        } else {
            buf_bytes(&honest.names, name.at, name.len > 0 ? name.len + 1 : 0);
            honest_empty(out, '1');
        }
        break;
    case 'B':
        honest_empty(out, '2');
        break;
    case 'C': // its name has the kind in front
        if (reader_ok(&r) && name.len > 1 && name.at[0] == 'S')
            honest_close(slice_skip(name, 1));
        honest_empty(out, '3');
        break;
    case 'D':
        if (body.len > 0 && body.at[0] == 'S')
            honest_message(out, 't', slice_of(none, sizeof(none)));
        honest_empty(out, 'n');
        break;
    case 'E':
        message_complete(out, "SELECT 0");
        break;
    }
}

static inline void honest_answer(struct buf *out, char type, struct slice body)
{
    if (honest.copying && (type == 'c' || type == 'f')) {
        honest_copy_ended(out, type);
        return;
    }
    if (honest.copying && (type == 'd' || type == 'H' || type == 'S'))
        return; // as PostgreSQL: in a COPY these mean nothing
    if (honest.copying) {
        honest_copy_ended(out, 'f');
        return;
    }
    if (type == 'S') {
        honest.skipping = false;
        message_ready(out, honest.status);
    } else if (honest.skipping || strchr("HdcfX", type) != NULL) {
        return;
    } else if (type == 'Q') {
        CHECK(body.len > 0 && body.at[body.len - 1] == '\0');
        honest_run(out, (const char *)body.at, true);
        if (!honest.copying)
            message_ready(out, honest.status);
    } else if (type == 'F') {
        honest_message(out, 'V', slice_of((const uint8_t *)"\xff\xff\xff\xff", 4));
        message_ready(out, honest.status);
    } else {
        honest_extended(out, type, body);
    }
}

static inline void honest_forget(void)
{
    buf_fini(&honest.names);
    honest = (struct honest){.status = 'I'};
}

// Answers what has come since the last time; false: nothing had.
static inline bool honest_step(void)
{
    if (honest.connection != world.connections)
        honest_forget();
    honest.connection = world.connections;
    struct slice data = slice_skip(buf_slice(&world.to_server), honest.handled);
    struct buf out = {0};
    struct startup_packet packet;
    if (!honest.logged_in && startup_packet_read(data, &packet) == FRAME_OK) {
        honest.logged_in = true;
        honest.handled += packet.length;
        slice_cut(&data, packet.length);
        honest_login(&out);
    }
    struct frame frame;
    while (honest.logged_in && frame_read(data, &frame) != FRAME_SHORT) {
        CHECK(frame_read(data, &frame) == FRAME_OK && strchr(from_clients, frame.type) != NULL);
        if (frame.length > data.len)
            break;
        struct slice message = slice_cut(&data, frame.length);
        honest.handled += frame.length;
        honest_answer(&out, frame.type, slice_skip(message, MESSAGE_HEADER_BYTES));
    }
    bool said = out.len > 0;
    world_say(world.server, buf_slice(&out));
    buf_fini(&out);
    return said;
}

static inline void honest_turn(void)
{
    do
        world_turn();
    while (honest_step());
}
