// SPDX-License-Identifier: Apache-2.0
// Messages of a client, changed at random: what is read lies within them, twice the same, and a
// unit stays one whatever follows it.
#include "proxy/session/unit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/reader.h"
#include "proxy/wire/message.h"
#include "tests/fuzz/mutate.h"
#include "tests/unit/proxy/session/unit_parts.h"

static void check_inside(struct slice part, const uint8_t *at, size_t n)
{
    if (part.len > 0)
        assert_true(part.at >= at && part.len <= n && (size_t)(part.at - at) <= n - part.len);
}

static void check_unit(const uint8_t *bytes, size_t n)
{
    struct unit unit, again;
    enum unit_result result = unit_read(slice_of(bytes, n), &unit);
    check_inside(unit.text, bytes, n);
    check_inside(unit.name, bytes, n);
    check_inside(unit.tail, bytes, n);
    check_inside(unit.bind, bytes, n);
    unit_has_datetime_word(unit.bind);
    if (result == UNIT_MORE)
        assert_true(n < UNIT_MAX_BYTES);
    if (result != UNIT_OK)
        return;
    assert_in_range(unit.bytes, 5, n);
    assert_true(unit.executes);
    assert_int_equal(unit_read(slice_of(bytes, unit.bytes), &again), UNIT_OK);
    assert_int_equal(again.bytes, unit.bytes);
    assert_true(slice_eq(again.text, unit.text) && slice_eq(again.bind, unit.bind));
    assert_int_equal(unit_read(slice_of(bytes, unit.bytes - 1), &again), UNIT_MORE);
}

static void test_units(void **state)
{
    struct dice dice = dice_of(fuzz_seed());
    for (size_t round = fuzz_rounds(200000); round-- > 0;) {
        struct buf valid = {0};
        unit_shape(&valid, (int)dice_below(&dice, UNIT_SHAPES));
        if (dice_below(&dice, 3) == 0)
            unit_shape(&valid, (int)dice_below(&dice, UNIT_SHAPES));
        size_t n;
        uint8_t *bytes = mutated(&valid, &dice, &n);
        check_unit(bytes, n);
        free(bytes);
        buf_fini(&valid);
    }
}

// A stream of messages walked by its frames: each step goes forward and stays within.
static void test_frames(void **state)
{
    struct dice dice = dice_of(fuzz_seed());
    for (size_t round = fuzz_rounds(100000); round-- > 0;) {
        struct buf valid = {0};
        for (size_t i = dice_below(&dice, 3); i-- > 0;)
            message_error(&valid, "ERROR", "42P01", "relation \"t\" does not exist");
        message_parameter(&valid, "TimeZone", "UTC");
        message_ready(&valid, 'I');
        size_t n;
        uint8_t *bytes = mutated(&valid, &dice, &n);
        struct slice data = slice_of(bytes, n);
        struct frame frame;
        while (frame_read(data, &frame) == FRAME_OK && frame.length <= data.len) {
            assert_true(frame.length >= 5);
            struct error_fields fields;
            error_fields_read(slice_of(data.at + 5, frame.length - 5), &fields);
            assert_true(strlen(fields.sqlstate) < sizeof(fields.sqlstate));
            data = slice_of(data.at + frame.length, data.len - frame.length);
        }
        free(bytes);
        buf_fini(&valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
