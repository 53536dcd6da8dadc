// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/reader.h"

static enum frame_result read_length(uint32_t length, struct frame *frame)
{
    uint8_t head[5] = {'D'};
    store_u32(head + 1, length);
    return frame_read(slice_of(head, 5), frame);
}

static void test_frame_bounds(void **state)
{
    struct frame frame = {0};
    assert_int_equal(read_length(4, &frame), FRAME_OK);
    assert_int_equal(frame.type, 'D');
    assert_int_equal(frame.length, 5);
    assert_int_equal(read_length(MESSAGE_MAX_BYTES, &frame), FRAME_OK);
    assert_true(frame.length == (uint32_t)MESSAGE_MAX_BYTES + 1);
    for (uint32_t bad = 0; bad < 4; bad++)
        assert_int_equal(read_length(bad, &frame), FRAME_BAD);
    assert_int_equal(read_length((uint32_t)MESSAGE_MAX_BYTES + 1, &frame), FRAME_BAD);
    assert_int_equal(read_length(0x7fffffff, &frame), FRAME_BAD);
    assert_int_equal(read_length(0x80000000, &frame), FRAME_BAD);
    assert_int_equal(read_length(0xffffffff, &frame), FRAME_BAD);
}

// Nothing is said of a header that is not all there, whatever it begins with.
static void test_frame_short(void **state)
{
    struct frame frame = {0};
    for (size_t n = 0; n < 5; n++) {
        uint8_t *head = malloc(n ? n : 1);
        memset(head, 0xff, n);
        assert_int_equal(frame_read(slice_of(head, n), &frame), FRAME_SHORT);
        free(head);
    }
    assert_int_equal(frame.length, 0);
}

// Takes the message that b holds apart as far as its body.
static struct reader body_of(const struct buf *b, char type)
{
    struct frame frame = {0};
    assert_int_equal(frame_read(buf_slice(b), &frame), FRAME_OK);
    assert_int_equal(frame.type, type);
    assert_int_equal(frame.length, b->len);
    return reader_of(slice_of(b->at + 5, b->len - 5));
}

static void test_simple_messages(void **state)
{
    struct buf b = {0};
    message_ready(&b, 'T');
    struct reader r = body_of(&b, 'Z');
    assert_int_equal(reader_u8(&r), 'T');
    assert_true(reader_done(&r));
    buf_clear(&b);
    message_query(&b, "select 1");
    r = body_of(&b, 'Q');
    assert_true(slice_is(reader_cstr(&r), "select 1"));
    assert_true(reader_done(&r));
    buf_clear(&b);
    message_complete(&b, "SELECT 1");
    r = body_of(&b, 'C');
    assert_true(slice_is(reader_cstr(&r), "SELECT 1"));
    assert_true(reader_done(&r));
    buf_clear(&b);
    message_parameter(&b, "TimeZone", "");
    r = body_of(&b, 'S');
    assert_true(slice_is(reader_cstr(&r), "TimeZone"));
    assert_true(slice_is(reader_cstr(&r), ""));
    assert_true(reader_done(&r));
    buf_clear(&b);
    message_auth(&b, AUTH_MD5, slice_str("salt"));
    r = body_of(&b, 'R');
    assert_int_equal(reader_u32(&r), 5);
    assert_true(slice_is(reader_bytes(&r, 4), "salt"));
    assert_true(reader_done(&r));
    buf_fini(&b);
}

static void test_rows(void **state)
{
    struct buf b = {0};
    message_columns_text(&b, (const char *const[]){"a", ""}, (const uint32_t[]){25, 20}, 2);
    struct reader r = body_of(&b, 'T');
    assert_int_equal(reader_u16(&r), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(slice_is(reader_cstr(&r), i ? "" : "a"));
        assert_int_equal(reader_u32(&r), 0);
        assert_int_equal(reader_u16(&r), 0);
        assert_int_equal(reader_u32(&r), i ? 20 : 25);
        assert_int_equal(reader_u16(&r), UINT16_MAX);
        assert_int_equal(reader_u32(&r), UINT32_MAX);
        assert_int_equal(reader_u16(&r), 0);
    }
    assert_true(reader_done(&r));
    buf_clear(&b);
    message_row_text(&b, (const char *const[]){"xy", NULL, ""}, 3);
    r = body_of(&b, 'D');
    assert_int_equal(reader_u16(&r), 3);
    assert_int_equal(reader_u32(&r), 2);
    assert_true(slice_is(reader_bytes(&r, 2), "xy"));
    assert_int_equal(reader_u32(&r), UINT32_MAX);
    assert_int_equal(reader_u32(&r), 0);
    assert_true(reader_done(&r));
    buf_fini(&b);
}

static void test_errors_there_and_back(void **state)
{
    struct buf b = {0};
    struct error_fields fields;
    message_error(&b, "FATAL", "08P01", "no such database: x");
    struct reader r = body_of(&b, 'E');
    error_fields_read(slice_of(r.at, reader_left(&r)), &fields);
    assert_string_equal(fields.severity, "FATAL");
    assert_string_equal(fields.sqlstate, "08P01");
    assert_string_equal(fields.message, "no such database: x");
    buf_clear(&b);
    message_error(&b, "NOTICE", "00000", "hear");
    body_of(&b, 'N');
    buf_clear(&b);
    message_error(&b, "WARNING", "01000", "hear");
    body_of(&b, 'N');
    buf_fini(&b);
}

// Fields cut anywhere, and longer than there is room for.
static void test_malformed_errors(void **state)
{
    struct buf b = {0};
    struct error_fields fields;
    message_error(&b, "ERROR", "42P01", "relation does not exist");
    for (size_t n = 0; n <= b.len - 5; n++) {
        uint8_t *body = malloc(n ? n : 1);
        memcpy(body, b.at + 5, n);
        error_fields_read(slice_of(body, n), &fields);
        assert_true(strcmp(fields.sqlstate, "42P01") == 0 || fields.sqlstate[0] == '\0');
        free(body);
    }
    buf_clear(&b);
    char text[2000];
    memset(text, 'z', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    message_error(&b, text, text, text);
    error_fields_read(slice_of(b.at + 5, b.len - 5), &fields);
    assert_int_equal(strlen(fields.severity), sizeof(fields.severity) - 1);
    assert_int_equal(strlen(fields.sqlstate), 5);
    assert_int_equal(strlen(fields.message), sizeof(fields.message) - 1);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_bounds),     cmocka_unit_test(test_frame_short),
        cmocka_unit_test(test_simple_messages),  cmocka_unit_test(test_rows),
        cmocka_unit_test(test_errors_there_and_back), cmocka_unit_test(test_malformed_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
