// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/unit.h"

#include "base/reader.h"
#include "proxy/sql/template.h"
#include "proxy/wire/message.h"

// The next message, or why not.
static enum unit_result next(struct slice *data, size_t *used, struct frame *frame,
                             struct reader *body)
{
    if (frame_read(*data, frame) == FRAME_BAD || *used + frame->length > UNIT_MAX_BYTES)
        return UNIT_OTHER;
    if (data->len < MESSAGE_HEADER_BYTES || data->len < frame->length)
        return UNIT_MORE;
    *body = reader_of(slice_of(data->at + 5, frame->length - 5));
    *data = slice_of(data->at + frame->length, data->len - frame->length);
    *used += frame->length;
    return UNIT_OK;
}

static enum unit_result simple(struct unit *unit, struct reader body)
{
    unit->simple = unit->executes = true;
    unit->text = reader_cstr(&body);
    return reader_done(&body) ? UNIT_OK : UNIT_OTHER;
}

static bool take_parse(struct unit *unit, struct reader *r)
{
    unit->has_parse = true;
    unit->name = reader_cstr(r);
    unit->tail = slice_of(r->at, reader_left(r));
    unit->text = reader_cstr(r);
    reader_bytes(r, (size_t)reader_u16(r) * 4);
    return reader_done(r);
}

static bool take_bind(struct unit *unit, struct reader *r)
{
    struct slice portal = reader_cstr(r);
    struct slice name = reader_cstr(r);
    if (!reader_ok(r) || portal.len > 0 || (unit->has_parse && !slice_eq(name, unit->name)))
        return false;
    unit->name = name;
    unit->bind = slice_of(r->at, reader_left(r));
    return true;
}

static bool take_describe(struct unit *unit, struct reader *r)
{
    char kind = (char)reader_u8(r);
    struct slice name = reader_cstr(r);
    unit->has_describe = true;
    return reader_done(r) && kind == 'P' && name.len == 0;
}

static bool take_execute(struct unit *unit, struct reader *r)
{
    struct slice portal = reader_cstr(r);
    unit->has_max_rows = reader_u32(r) != 0;
    unit->executes = true;
    return reader_done(r) && portal.len == 0;
}

// whole: with the Sync.
static enum unit_result read_up_to(struct slice data, struct unit *unit, bool whole)
{
    *unit = (struct unit){.bytes = 0};
    enum { BEGIN, PARSED, BOUND, DESCRIBED, EXECUTED } at = BEGIN;
    for (;;) {
        struct frame frame = {0};
        struct reader body;
        enum unit_result result = next(&data, &unit->bytes, &frame, &body);
        if (result != UNIT_OK)
            return result;
        bool fits = false;
        if (frame.type == 'Q' && at == BEGIN) {
            return simple(unit, body);
        } else if (frame.type == 'P' && at == BEGIN) {
            fits = take_parse(unit, &body);
            at = PARSED;
        } else if (frame.type == 'B' && at <= PARSED) {
            fits = take_bind(unit, &body);
            at = BOUND;
        } else if (frame.type == 'D' && at == BOUND) {
            fits = take_describe(unit, &body);
            at = DESCRIBED;
        } else if (frame.type == 'E' && (at == BOUND || at == DESCRIBED)) {
            fits = take_execute(unit, &body);
            at = EXECUTED;
            if (fits && !whole)
                return UNIT_OK;
        } else if (frame.type == 'S' && at == EXECUTED) {
            return reader_done(&body) ? UNIT_OK : UNIT_OTHER;
        }
        if (!fits)
            return UNIT_OTHER;
    }
}

enum unit_result unit_read(struct slice data, struct unit *unit)
{
    return read_up_to(data, unit, true);
}

enum unit_result unit_read_statement(struct slice data, struct unit *unit)
{
    return read_up_to(data, unit, false);
}

// A text may be sent as binary, and be cast to a date or time by the statement. An element of an
// array or a row stands behind its length, of which the last byte may be taken for a letter.
static bool has_word_in_binary(struct slice value)
{
    if (template_has_datetime_word(value))
        return true;
    for (size_t i = 4; i < value.len; i++) {
        struct reader before = reader_of(slice_of(value.at + i - 4, 4));
        struct slice rest = slice_of(value.at + i, value.len - i);
        if (template_begins_with_datetime_word(rest) && reader_u32(&before) <= rest.len)
            return true;
    }
    return false;
}

// However long they are: one of many in an array is short.
bool unit_has_datetime_word(struct slice bind)
{
    struct reader r = reader_of(bind);
    uint16_t formats = reader_u16(&r);
    struct slice codes = reader_bytes(&r, (size_t)formats * 2);
    uint16_t values = reader_u16(&r);
    for (uint16_t i = 0; i < values && reader_ok(&r); i++) {
        uint32_t len = reader_u32(&r);
        if (len == UINT32_MAX)
            continue;
        struct slice value = reader_bytes(&r, len);
        bool text = formats == 0 || (formats == 1 ? codes.at[1] == 0
                                                  : i < formats && codes.at[2 * i + 1] == 0);
        if (text ? template_has_datetime_word(value) : has_word_in_binary(value))
            return true;
    }
    return !reader_ok(&r);
}
