// SPDX-License-Identifier: Apache-2.0
// A stream of messages cut into frames: wherever it is cut in two as it comes, the same frames come
// out; each lies within what there is. What servers say of errors is read from each body.
#include "proxy/wire/message.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 100000;

enum { FRAMES_MAX = 64 };

struct cutting {
    struct { char type; size_t from, to; } frames[FRAMES_MAX];
    size_t count;
    size_t done; // bytes that were taken
    bool bad;
};

// As a connection does it: whole messages are taken, a rest waits for more.
static void go_on(struct cutting *c, struct slice all, size_t have)
{
    while (!c->bad && c->count < FRAMES_MAX) {
        struct frame frame;
        uint8_t *alone = target_alone(slice_of(all.at + c->done, have - c->done));
        enum frame_result result = frame_read(slice_of(alone, have - c->done), &frame);
        mem_free(alone);
        if (result == FRAME_BAD)
            c->bad = true;
        if (result != FRAME_OK || frame.length > have - c->done)
            return;
        CHECK(frame.length >= MESSAGE_HEADER_BYTES);
        c->frames[c->count].type = frame.type;
        c->frames[c->count].from = c->done;
        c->done += frame.length;
        c->frames[c->count++].to = c->done;
    }
}

static void check_errors(struct slice body)
{
    struct error_fields fields, again;
    error_fields_read(body, &fields);
    CHECK(memchr(fields.severity, 0, sizeof(fields.severity)) != NULL);
    CHECK(memchr(fields.sqlstate, 0, sizeof(fields.sqlstate)) != NULL);
    CHECK(memchr(fields.message, 0, sizeof(fields.message)) != NULL);
    CHECK(memchr(fields.routine, 0, sizeof(fields.routine)) != NULL);
    // What we say ourselves reads as it was said.
    struct buf out = {0};
    message_error(&out, fields.severity, fields.sqlstate, fields.message);
    struct frame frame;
    CHECK(frame_read(buf_slice(&out), &frame) == FRAME_OK && frame.length == out.len);
    error_fields_read(slice_skip(buf_slice(&out), MESSAGE_HEADER_BYTES), &again);
    CHECK(strcmp(again.sqlstate, fields.sqlstate) == 0);
    CHECK(strcmp(again.message, fields.message) == 0);
    buf_fini(&out);
}

void target_run(struct slice bytes)
{
    static const size_t strides[] = {1, 2, 3, 5, 7, 11, 64};
    struct cutting whole = {.count = 0};
    go_on(&whole, bytes, bytes.len);
    for (size_t i = 0; i < whole.count; i++) {
        struct slice body = slice_of(bytes.at + whole.frames[i].from, whole.frames[i].to -
                                                                          whole.frames[i].from);
        body = slice_skip(body, MESSAGE_HEADER_BYTES);
        uint8_t *alone = target_alone(body);
        check_errors(slice_of(alone, body.len));
        mem_free(alone);
    }
    for (size_t k = 0; k < sizeof(strides) / sizeof(*strides); k++) {
        // In two places: behind the stride, and again as far from the end.
        size_t first = strides[k] < bytes.len ? strides[k] : bytes.len;
        size_t second = bytes.len - first > first ? bytes.len - first : first;
        struct cutting pieces = {.count = 0};
        go_on(&pieces, bytes, first);
        go_on(&pieces, bytes, second);
        go_on(&pieces, bytes, bytes.len);
        CHECK(pieces.count == whole.count && pieces.bad == whole.bad);
        CHECK(memcmp(pieces.frames, whole.frames, sizeof(whole.frames)) == 0);
    }
}
