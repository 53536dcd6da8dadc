// SPDX-License-Identifier: Apache-2.0
#include "cache/fill.h"

#include "base/check.h"
#include "base/mem.h"

struct fill {
    struct entry *entry; // owns, in ordinary memory; it moves to the arena when its size is known
    struct arena *arena; // borrows
    size_t room;         // bytes for the body in its allocation
    size_t max_bytes;
    int64_t asked_us;    // INT64_MIN: was not said
    bool too_large;
};

enum { FILL_FIRST_ROOM = 512 };

struct fill *fill_begin(const struct fill_plan *plan)
{
    struct fill *f = mem_new(struct fill);
    f->arena = plan->arena;
    f->asked_us = INT64_MIN;
    f->max_bytes = plan->max_bytes < UINT32_MAX ? plan->max_bytes : UINT32_MAX;
    f->room = f->max_bytes < FILL_FIRST_ROOM ? f->max_bytes : FILL_FIRST_ROOM;
    f->too_large = plan->n_slots > ENTRY_SLOTS_MAX; // it depends on too much
    f->entry = entry_new(NULL, plan->key, plan->hash, plan->stamp, plan->slots,
                         f->too_large ? 0 : plan->n_slots, f->room);
    return f;
}

// The recorded body lies at the end of the entry's one allocation: that is what grows.
static void fill_resize(struct fill *f, size_t room)
{
    f->entry = arena_resize(NULL, f->entry, entry_bytes(f->entry, room));
    f->room = room;
}

static struct entry *move(struct fill *f)
{
    size_t bytes = entry_bytes(f->entry, f->entry->body_len);
    struct entry *entry = memcpy(arena_alloc(f->arena, bytes), f->entry, bytes);
    mem_free(f->entry);
    return entry;
}

bool fill_append(struct fill *f, struct slice bytes)
{
    size_t len = f->entry->body_len;
    if (f->too_large || bytes.len > f->max_bytes - len) {
        f->too_large = true;
        return false;
    }
    if (bytes.len > f->room - len) {
        size_t room = f->room * 2 > len + bytes.len ? f->room * 2 : len + bytes.len;
        fill_resize(f, room < f->max_bytes ? room : f->max_bytes);
    }
    if (bytes.len > 0)
        memcpy((uint8_t *)entry_body(f->entry).at + len, bytes.at, bytes.len);
    f->entry->body_len = (uint32_t)(len + bytes.len);
    return true;
}

void fill_asked(struct fill *f, int64_t asked_us)
{
    f->asked_us = asked_us;
}

static uint32_t took_us(const struct fill *f, int64_t now_us)
{
    bool known = f->asked_us != INT64_MIN && now_us - f->asked_us < UINT32_MAX;
    return !known ? UINT32_MAX : now_us > f->asked_us ? (uint32_t)(now_us - f->asked_us) : 0;
}

size_t fill_bytes(const struct fill *f)
{
    return f->entry->body_len;
}

struct entry *fill_commit(struct fill **fill, int64_t now_us)
{
    struct fill *f = *fill;
    *fill = NULL;
    struct entry *entry = f->entry;
    if (f->too_large) {
        mem_free(entry);
        entry = NULL;
    } else {
        entry = move(f);
        entry->filled_us = now_us;
        entry->took_us = took_us(f, now_us);
    }
    mem_free(f);
    return entry;
}

void fill_abandon(struct fill **fill)
{
    struct fill *f = *fill;
    *fill = NULL;
    if (f == NULL)
        return;
    mem_free(f->entry);
    mem_free(f);
}
