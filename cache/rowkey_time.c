// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey_time.h"

static const int64_t SECOND_US = 1000000;
static const int64_t DAY_US = 86400 * 1000000ll;

static bool take(struct slice *s, uint8_t byte)
{
    if (s->len == 0 || s->at[0] != byte)
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

// So many digits, a number from least to most.
static bool take_number(struct slice *s, size_t digits, int least, int most, int *out)
{
    *out = 0;
    if (s->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (s->at[i] < '0' || s->at[i] > '9')
            return false;
        *out = *out * 10 + (s->at[i] - '0');
    }
    *s = slice_skip(*s, digits);
    return *out >= least && *out <= most;
}

// What is left of more than six digits is nothing that the caller takes: the server rounds them.
static bool take_fraction(struct slice *s, int64_t *us)
{
    int digit;
    size_t before = s->len;
    for (int64_t worth = SECOND_US / 10; worth > 0 && take_number(s, 1, 0, 9, &digit); worth /= 10)
        *us += digit * worth;
    return s->len < before;
}

static bool take_time(struct slice *s, int64_t *us)
{
    int hour, minute, second = 0;
    if (!take_number(s, 2, 0, 23, &hour) || !take(s, ':') || !take_number(s, 2, 0, 59, &minute))
        return false;
    bool seconds = take(s, ':');
    if (seconds && !take_number(s, 2, 0, 59, &second))
        return false;
    *us = (hour * 3600 + minute * 60 + second) * SECOND_US;
    return !seconds || !take(s, '.') || take_fraction(s, us);
}

// East of Greenwich is positive.
static bool take_offset(struct slice *s, int64_t *us)
{
    int hour, minute = 0, second = 0;
    bool west = take(s, '-');
    if ((!west && !take(s, '+')) || !take_number(s, 2, 0, 15, &hour))
        return false;
    if (take(s, ':') && (!take_number(s, 2, 0, 59, &minute) ||
                         (take(s, ':') && !take_number(s, 2, 0, 59, &second))))
        return false;
    *us = (hour * 3600 + minute * 60 + second) * SECOND_US;
    if (west)
        *us = -*us;
    return true;
}

// As days since 2000-01-01; of years of the Gregorian calendar that begin in March.
static bool take_date(struct slice *s, int64_t *days)
{
    enum { MARCH_0_TO_2000 = 730425 };
    int year, month, day;
    if (!take_number(s, 4, 1, 9999, &year) || !take(s, '-') ||
        !take_number(s, 2, 1, 12, &month) || !take(s, '-') || !take_number(s, 2, 1, 31, &day))
        return false;
    year -= month <= 2;
    month = month <= 2 ? month + 9 : month - 3;
    *days = 365ll * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 -
            MARCH_0_TO_2000;
    return true;
}

bool rowkey_date(struct slice text, int64_t *days)
{
    return take_date(&text, days) && text.len == 0;
}

bool rowkey_time_of_day(struct slice text, int64_t *us)
{
    return take_time(&text, us) && text.len == 0;
}

bool rowkey_point_in_time(struct slice text, bool zoned, int64_t *us)
{
    int64_t days, time = 0, offset = 0;
    if (!take_date(&text, &days))
        return false;
    bool timed = text.len > 0;
    if (timed && ((!take(&text, ' ') && !take(&text, 'T')) || !take_time(&text, &time)))
        return false;
    bool told = text.len > 0;
    if (told && !take_offset(&text, &offset))
        return false;
    *us = days * DAY_US + time - (zoned ? offset : 0);
    return text.len == 0 && (told || !zoned);
}

// ---- Intervals ----------------------------------------------------------------------------------

enum unit { YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES, SECONDS, UNITS };

struct span {
    int64_t of[UNITS];
    int64_t us;
    unsigned seen;  // bits, by unit
    bool first_minus, more_signs;
    int fields;
};

static bool take_unit(struct slice *s, enum unit *out)
{
    static const struct {
        const char *word;
        enum unit unit;
    } words[] = {{"year", YEARS},     {"mon", MONTHS},  {"month", MONTHS}, {"week", WEEKS},
                 {"day", DAYS},       {"hour", HOURS},  {"min", MINUTES},  {"minute", MINUTES},
                 {"sec", SECONDS},    {"second", SECONDS}};
    size_t n = 0;
    while (n < s->len && s->at[n] >= 'a' && s->at[n] <= 'z')
        n++;
    struct slice word = slice_cut(s, n);
    if (word.len > 0 && word.at[word.len - 1] == 's')
        word.len--;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_is(word, words[i].word)) {
            *out = words[i].unit;
            return true;
        }
    return false;
}

// Up to six digits, so that nothing overflows.
static bool take_count(struct slice *s, int64_t *out)
{
    int digit;
    size_t before = s->len;
    *out = 0;
    while (before - s->len < 6 && take_number(s, 1, 0, 9, &digit))
        *out = *out * 10 + digit;
    return s->len < before;
}

// The minutes and seconds behind the hours of a time of day.
static bool take_clock(struct slice *s, int64_t *us)
{
    int minute, second;
    if (!take_number(s, 2, 0, 59, &minute) || !take(s, ':') || !take_number(s, 2, 0, 59, &second))
        return false;
    *us = (minute * 60 + second) * SECOND_US;
    return !take(s, '.') || take_fraction(s, us);
}

static bool take_field(struct slice *s, struct span *span)
{
    enum unit unit = HOURS;
    int64_t count, us = 0;
    bool minus = take(s, '-'), plus = !minus && take(s, '+');
    unsigned clock = 1u << HOURS | 1u << MINUTES | 1u << SECONDS, seen = clock;
    if (!take_count(s, &count))
        return false;
    if (take(s, ':')) {
        if (!take_clock(s, &us))
            return false;
    } else {
        bool fraction = take(s, '.');
        if ((fraction && !take_fraction(s, &us)) || !take(s, ' ') || !take_unit(s, &unit) ||
            (fraction && unit != SECONDS))
            return false;
        seen = 1u << unit;
    }
    if (span->seen & seen)
        return false;
    span->seen |= seen;
    span->of[unit] = minus ? -count : count;
    span->us += minus ? -us : us;
    span->first_minus |= minus && span->fields == 0;
    span->more_signs |= (minus || plus) && span->fields > 0;
    span->fields++;
    return true;
}

bool rowkey_span(struct slice text, struct rowkey_interval *out)
{
    struct span p = {.fields = 0};
    do {
        if (!take_field(&text, &p))
            return false;
    } while (take(&text, ' '));
    if (text.len > 0 || (p.first_minus && p.fields > 1 && !p.more_signs))
        return false;
    *out = rowkey_interval_of(12 * p.of[YEARS] + p.of[MONTHS], 7 * p.of[WEEKS] + p.of[DAYS],
                              (p.of[HOURS] * 3600 + p.of[MINUTES] * 60 + p.of[SECONDS]) *
                                      SECOND_US + p.us);
    return true;
}

struct rowkey_interval rowkey_interval_of(int64_t months, int64_t days, int64_t us)
{
    int64_t whole = us / DAY_US, rest = us % DAY_US;
    return (struct rowkey_interval){30 * months + days + whole - (rest < 0),
                                    rest < 0 ? rest + DAY_US : rest};
}
