// SPDX-License-Identifier: Apache-2.0
#include "cache/fill.h"

#include "base/check.h"
#include "base/mem.h"

struct fill {
    struct entry *entry; // owns; nobody else knows it yet, so it may still move
    size_t room;         // bytes for the body in its allocation
    size_t max_bytes;
    int64_t asked_us;    // INT64_MIN: was not said
    bool too_large;
};

enum { FILL_FIRST_ROOM = 512 };

struct fill *fill_begin(struct slice key, struct key_hash hash, struct stamp stamp,
                        const uint32_t *slots, uint32_t n_slots, size_t max_bytes)
{
    struct fill *f = mem_new(struct fill);
    f->max_bytes = max_bytes;
    f->asked_us = INT64_MIN;
    f->room = max_bytes < FILL_FIRST_ROOM ? max_bytes : FILL_FIRST_ROOM;
    f->entry = entry_new(key, hash, stamp, slots, n_slots, f->room);
    return f;
}

// The recorded body lies at the end of the entry's one allocation: that is what grows and shrinks.
// Being unshared, the entry may move; its list link is set anew when it does.
static void fill_resize(struct fill *f, size_t room)
{
    size_t bytes = f->entry->bytes - f->room + room;
    f->entry = mem_realloc(f->entry, bytes);
    f->entry->bytes = bytes;
    link_init(&f->entry->link);
    f->room = room;
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
    f->entry->body_len = len + bytes.len;
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
        entry_unref(&entry);
    } else {
        fill_resize(f, entry->body_len);
        entry = f->entry;
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
    entry_unref(&f->entry);
    mem_free(f);
}
