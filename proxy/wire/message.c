// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/message.h"

#include <stdio.h>

#include "base/reader.h"

static void field(struct buf *out, char code, const char *text)
{
    buf_u8(out, (uint8_t)code);
    buf_cstr(out, text);
}

// detail: NULL: none.
static void response(struct buf *out, const char *severity, const char *sqlstate, const char *text,
                     const char *detail)
{
    bool notice = strcmp(severity, "NOTICE") == 0 || strcmp(severity, "WARNING") == 0;
    size_t mark = buf_message_begin(out, notice ? 'N' : 'E');
    field(out, 'S', severity);
    field(out, 'V', severity);
    field(out, 'C', sqlstate);
    field(out, 'M', text);
    if (detail != NULL)
        field(out, 'D', detail);
    buf_u8(out, 0);
    buf_message_end(out, mark);
}

void message_error(struct buf *out, const char *severity, const char *sqlstate, const char *text)
{
    response(out, severity, sqlstate, text, NULL);
}

void message_warning(struct buf *out, const char *sqlstate, const char *text, const char *detail)
{
    response(out, "WARNING", sqlstate, text, detail);
}

void message_auth(struct buf *out, uint32_t code, struct slice data)
{
    size_t mark = buf_message_begin(out, 'R');
    buf_u32(out, code);
    buf_put(out, data);
    buf_message_end(out, mark);
}

void message_parameter(struct buf *out, const char *name, const char *value)
{
    size_t mark = buf_message_begin(out, 'S');
    buf_cstr(out, name);
    buf_cstr(out, value);
    buf_message_end(out, mark);
}

void message_ready(struct buf *out, char status)
{
    size_t mark = buf_message_begin(out, 'Z');
    buf_u8(out, (uint8_t)status);
    buf_message_end(out, mark);
}

void message_cancel(struct buf *out, uint32_t process, struct slice secret)
{
    buf_u32(out, (uint32_t)(STARTUP_HEADER_BYTES + 4 + secret.len));
    buf_u32(out, CANCEL_REQUEST_CODE);
    buf_u32(out, process);
    buf_put(out, secret);
}

void message_query(struct buf *out, const char *sql)
{
    size_t mark = buf_message_begin(out, 'Q');
    buf_cstr(out, sql);
    buf_message_end(out, mark);
}

void message_complete(struct buf *out, const char *tag)
{
    size_t mark = buf_message_begin(out, 'C');
    buf_cstr(out, tag);
    buf_message_end(out, mark);
}

void message_row_text(struct buf *out, const char *const *values, int n)
{
    size_t mark = buf_message_begin(out, 'D');
    buf_u16(out, (uint16_t)n);
    for (int i = 0; i < n; i++) {
        if (values[i] == NULL) {
            buf_u32(out, UINT32_MAX);
            continue;
        }
        size_t len = strlen(values[i]);
        buf_u32(out, (uint32_t)len);
        buf_bytes(out, values[i], len);
    }
    buf_message_end(out, mark);
}

void message_columns_text(struct buf *out, const char *const *names, const uint32_t *types, int n)
{
    size_t mark = buf_message_begin(out, 'T');
    buf_u16(out, (uint16_t)n);
    for (int i = 0; i < n; i++) {
        buf_cstr(out, names[i]);
        buf_u32(out, 0); // no table
        buf_u16(out, 0); // no column
        buf_u32(out, types[i]);
        buf_u16(out, UINT16_MAX); // variable size
        buf_u32(out, UINT32_MAX); // no type modifier
        buf_u16(out, 0);          // text
    }
    buf_message_end(out, mark);
}

enum frame_result startup_packet_read(struct slice data, struct startup_packet *packet)
{
    struct reader r = reader_of(data);
    packet->length = reader_u32(&r);
    if (reader_ok(&r) &&
        (packet->length < STARTUP_HEADER_BYTES || packet->length > STARTUP_MAX_BYTES))
        return FRAME_BAD;
    packet->code = reader_u32(&r);
    if (!reader_ok(&r) || data.len < packet->length)
        return FRAME_SHORT;
    packet->body = slice_of(r.at, packet->length - STARTUP_HEADER_BYTES);
    return FRAME_OK;
}

enum startup_pair_result startup_pair_read(struct reader *r, struct startup_pair *pair)
{
    pair->name = reader_cstr(r);
    if (reader_ok(r) && pair->name.len == 0)
        return reader_done(r) ? STARTUP_PAIRS_END : STARTUP_PAIRS_BAD;
    pair->value = reader_cstr(r);
    return reader_ok(r) ? STARTUP_PAIR : STARTUP_PAIRS_BAD;
}

void error_fields_read(struct slice body, struct error_fields *fields)
{
    *fields = (struct error_fields){.severity = ""};
    struct reader r = reader_of(body);
    for (;;) {
        uint8_t code = reader_u8(&r);
        if (code == 0)
            return;
        struct slice text = reader_cstr(&r);
        if (!reader_ok(&r))
            return;
        const char *s = (const char *)text.at;
        if (code == 'S')
            snprintf(fields->severity, sizeof(fields->severity), "%s", s);
        else if (code == 'C')
            snprintf(fields->sqlstate, sizeof(fields->sqlstate), "%s", s);
        else if (code == 'M')
            snprintf(fields->message, sizeof(fields->message), "%s", s);
        else if (code == 'R')
            snprintf(fields->routine, sizeof(fields->routine), "%s", s);
        fields->nested |= code == 'q' || code == 'W';
    }
}
