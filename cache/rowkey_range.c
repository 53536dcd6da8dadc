// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey_range.h"

#include "base/hash.h"
#include "base/reader.h"
#include "cache/rowkey_number.h"
#include "cache/rowkey_time.h"

uint32_t rowkey_bound_of(uint32_t range)
{
    static const uint32_t ranges[][2] = {{3904, 23},   {3906, 1700}, {3908, 1114},
                                         {3910, 1184}, {3912, 1082}, {3926, 20}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (ranges[i][0] == range)
            return ranges[i][1];
    return 0;
}

struct bound {
    bool infinite; // there is none
    bool inclusive;
    uint64_t form;
    int64_t value; // of whole numbers and days
};

static bool has_steps(enum rowkey_type element)
{
    return element == ROWKEY_INTEGER || element == ROWKEY_DATE;
}

// From a lower bound on, or up to an upper one, which is not in it: PostgreSQL's canonical form.
static bool step(struct bound *b, bool inclusive)
{
    if (b->infinite)
        return true;
    if (b->inclusive != inclusive && b->value == INT64_MAX)
        return false;
    b->value += b->inclusive != inclusive;
    b->inclusive = inclusive;
    b->form = (uint64_t)b->value;
    return true;
}

static uint64_t of_empty(void)
{
    return hash_bytes("empty", 5);
}

static bool form_of(enum rowkey_type element, struct bound *lower, struct bound *upper,
                    uint64_t *out)
{
    bool steps = has_steps(element), bounded = !lower->infinite && !upper->infinite;
    if (steps && (!step(lower, true) || !step(upper, false)))
        return false;
    bool empty = steps ? lower->value >= upper->value
                       : lower->form == upper->form && !(lower->inclusive && upper->inclusive);
    uint64_t all[] = {(uint64_t)(lower->infinite | upper->infinite << 1),
                      (uint64_t)(lower->inclusive | upper->inclusive << 1), lower->form,
                      upper->form};
    *out = bounded && empty ? of_empty() : hash_bytes(all, sizeof(all));
    return true;
}

// ---- Text ---------------------------------------------------------------------------------------

// Up to a comma or the end, unquoted.
static bool take_bound(struct slice *s, enum rowkey_type element, struct bound *out)
{
    uint8_t bytes[ROWKEY_VALUE_BYTES];
    size_t n = 0;
    bool quoted = false;
    out->infinite = s->len > 0 && (s->at[0] == ',' || s->at[0] == ']' || s->at[0] == ')');
    if (out->infinite)
        return true;
    while (s->len > 0 && (quoted || (s->at[0] != ',' && s->at[0] != ']' && s->at[0] != ')'))) {
        uint8_t byte = slice_cut(s, 1).at[0];
        bool doubled = quoted && byte == '"' && s->len > 0 && s->at[0] == '"';
        if (byte == '"' && !doubled) {
            quoted = !quoted;
            continue;
        }
        if ((byte == '\\' && s->len == 0) || n == sizeof(bytes))
            return false;
        bytes[n++] = byte == '\\' || doubled ? slice_cut(s, 1).at[0] : byte;
    }
    struct slice text = slice_of(bytes, n);
    if (quoted || !rowkey_text(element, text, &out->form))
        return false;
    return !has_steps(element) ||
           (element == ROWKEY_DATE ? rowkey_date(text, &out->value)
                                   : rowkey_integer_text(text, &out->value));
}

static bool is_empty_word(struct slice s)
{
    static const char word[] = "empty";
    for (size_t i = 0; i < s.len; i++)
        if (i >= sizeof(word) - 1 || (s.at[i] | 0x20) != word[i])
            return false;
    return s.len == sizeof(word) - 1;
}

bool rowkey_range_text(enum rowkey_type element, struct slice s, uint64_t *out)
{
    struct bound lower = {.infinite = false}, upper = {.infinite = false};
    *out = of_empty();
    if (is_empty_word(s))
        return true;
    if (s.len < 3 || (s.at[0] != '[' && s.at[0] != '('))
        return false;
    bool from = slice_cut(&s, 1).at[0] == '[';
    if (!take_bound(&s, element, &lower) || s.len == 0 || slice_cut(&s, 1).at[0] != ',' ||
        !take_bound(&s, element, &upper) || s.len != 1 || (s.at[0] != ']' && s.at[0] != ')'))
        return false;
    lower.inclusive = from && !lower.infinite;
    upper.inclusive = s.at[0] == ']' && !upper.infinite;
    return form_of(element, &lower, &upper, out);
}

// ---- Binary -------------------------------------------------------------------------------------

static bool read_bound(struct reader *r, enum rowkey_type element, struct bound *out)
{
    if (out->infinite)
        return true;
    struct slice bytes = reader_bytes(r, reader_u32(r));
    return reader_ok(r) && rowkey_binary(element, 0, bytes, &out->form) &&
           (!has_steps(element) || rowkey_integer_binary(bytes, &out->value));
}

bool rowkey_range_binary(enum rowkey_type element, struct slice bytes, uint64_t *out)
{
    enum { EMPTY = 1, LOWER_IN = 2, UPPER_IN = 4, NO_LOWER = 8, NO_UPPER = 16, KNOWN = 31 };
    struct reader r = reader_of(bytes);
    uint8_t flags = reader_u8(&r);
    struct bound lower = {.infinite = (flags & NO_LOWER) != 0};
    struct bound upper = {.infinite = (flags & NO_UPPER) != 0};
    *out = of_empty();
    if ((flags & ~KNOWN) != 0)
        return false;
    if ((flags & EMPTY) != 0)
        return reader_done(&r);
    if (!read_bound(&r, element, &lower) || !read_bound(&r, element, &upper))
        return false;
    lower.inclusive = (flags & LOWER_IN) != 0 && !lower.infinite;
    upper.inclusive = (flags & UPPER_IN) != 0 && !upper.infinite;
    return reader_done(&r) && form_of(element, &lower, &upper, out);
}
