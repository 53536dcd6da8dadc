// SPDX-License-Identifier: Apache-2.0
// The console's language, and its extended protocol: messages as a driver sends them. A client that
// says broken things gets answers that are whole messages.
#include "proxy/console/extended.h"
#include "proxy/console/syntax.h"
#include "proxy/wire/message.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 100000;

static void check_syntax(struct slice text)
{
    struct sentence s;
    char *copy = mem_strndup((const char *)text.at, text.len);
    enum syntax syntax = syntax_read(copy, &s);
    if (syntax == SYNTAX_COMMAND || syntax == SYNTAX_SET) {
        CHECK(memchr(s.command, 0, sizeof(s.command)) && memchr(s.argument, 0, sizeof(s.argument)));
        CHECK(memchr(s.value, 0, sizeof(s.value)) && memchr(s.schema, 0, sizeof(s.schema)));
    }
    mem_free(copy);
}

static void check_whole(struct slice out)
{
    struct frame frame;
    while (out.len > 0) {
        CHECK(frame_read(out, &frame) == FRAME_OK && frame.length <= out.len);
        out = slice_skip(out, frame.length);
    }
}

void target_run(struct slice bytes)
{
    check_syntax(bytes);
    struct extended extended = {0};
    struct frame frame;
    while (frame_read(bytes, &frame) == FRAME_OK && frame.length <= bytes.len) {
        struct slice message = slice_cut(&bytes, frame.length);
        struct slice body = slice_skip(message, MESSAGE_HEADER_BYTES);
        struct buf out = {0};
        const char *text = NULL;
        uint64_t binary;
        uint8_t *alone = target_alone(body);
        if (extended_message(&extended, NULL, frame.type, slice_of(alone, body.len), &out, &text,
                             &binary))
            CHECK(text != NULL);
        check_whole(buf_slice(&out));
        mem_free(alone);
        buf_fini(&out);
    }
    extended_fini(&extended);
}
