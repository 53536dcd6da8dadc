// SPDX-License-Identifier: Apache-2.0
// Messages of a client: what is read lies within them, twice the same, and a unit stays one
// whatever follows it.
#include "proxy/session/unit.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 200000;

static void check_parts(const struct unit *unit, struct slice bytes)
{
    CHECK(target_inside(unit->text, bytes));
    CHECK(target_inside(unit->name, bytes));
    CHECK(target_inside(unit->tail, bytes));
    CHECK(target_inside(unit->bind, bytes));
    unit_has_datetime_word(unit->bind);
}

void target_run(struct slice bytes)
{
    struct unit unit, again;
    enum unit_result first = unit_read_statement(bytes, &unit);
    check_parts(&unit, bytes);
    CHECK(first != UNIT_OK || (unit.bytes >= 5 && unit.bytes <= bytes.len));
    enum unit_result result = unit_read(bytes, &unit);
    check_parts(&unit, bytes);
    if (result == UNIT_MORE)
        CHECK(bytes.len < UNIT_MAX_BYTES);
    if (result != UNIT_OK)
        return;
    CHECK(unit.bytes >= 5 && unit.bytes <= bytes.len && unit.executes && first == UNIT_OK);
    CHECK(unit_read(slice_of(bytes.at, unit.bytes), &again) == UNIT_OK);
    CHECK(again.bytes == unit.bytes);
    CHECK(slice_eq(again.text, unit.text) && slice_eq(again.bind, unit.bind));
    CHECK(unit_read(slice_of(bytes.at, unit.bytes - 1), &again) == UNIT_MORE);
}
