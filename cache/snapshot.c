// SPDX-License-Identifier: Apache-2.0
#include "cache/snapshot.h"

#include "base/mem.h"

static bool take_number(struct slice *s, uint64_t *out)
{
    uint64_t value = 0;
    size_t n = 0;
    while (n < s->len && s->at[n] >= '0' && s->at[n] <= '9') {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s->at[n] - '0'), &value))
            return false;
        n++;
    }
    *s = slice_of(s->at + n, s->len - n);
    *out = value;
    return n > 0;
}

static bool take_byte(struct slice *s, char c)
{
    if (s->len == 0 || s->at[0] != (uint8_t)c)
        return false;
    *s = slice_of(s->at + 1, s->len - 1);
    return true;
}

static bool add_running(struct snapshot *s, uint64_t xid)
{
    if (xid < s->xmin || xid >= s->xmax || s->n_running == SNAPSHOT_RUNNING_MAX ||
        (s->n_running > 0 && xid <= s->running[s->n_running - 1]))
        return false;
    if (s->n_running == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 64;
        s->running = mem_realloc(s->running, s->capacity * sizeof(*s->running));
    }
    s->running[s->n_running++] = xid;
    return true;
}

bool snapshot_parse(struct snapshot *s, struct slice text)
{
    s->n_running = 0;
    if (!take_number(&text, &s->xmin) || !take_byte(&text, ':') || !take_number(&text, &s->xmax) ||
        !take_byte(&text, ':') || s->xmin == 0 || s->xmin > s->xmax)
        return false;
    if (text.len == 0)
        return true;
    do {
        uint64_t xid;
        if (!take_number(&text, &xid) || !add_running(s, xid))
            return false;
    } while (take_byte(&text, ','));
    return text.len == 0;
}

void snapshot_forget(struct snapshot *s)
{
    s->xmin = s->xmax = 0;
    s->n_running = 0;
}

void snapshot_fini(struct snapshot *s)
{
    mem_free(s->running);
    *s = (struct snapshot){0};
}

bool snapshot_finished(const struct snapshot *s, uint32_t xid)
{
    int64_t distance = (int32_t)(xid - (uint32_t)s->xmax);
    if (distance >= 0)
        return false;
    if ((uint64_t)-distance >= s->xmax)
        return false; // before the first transaction of all: not an xid, so never finished
    uint64_t full = s->xmax - (uint64_t)-distance;
    if (full < s->xmin)
        return true;
    size_t low = 0, high = s->n_running;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->running[middle] < full)
            low = middle + 1;
        else
            high = middle;
    }
    return low == s->n_running || s->running[low] != full;
}
