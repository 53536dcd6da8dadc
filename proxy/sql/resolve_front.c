// SPDX-License-Identifier: Apache-2.0
// A direct-mapped table: analysis, catalog and path choose the place and must all be the same.
// Each place holds references, so no pointer in it can come to mean something else.
#include "base/check.h"
#include "base/mem.h"
#include "proxy/sql/resolve.h"

enum {
    PLACES = 1024,          // a power of two
    CALLS_BETWEEN_LOOKS = 64, // one place is looked at after so many calls, in turn
};

struct place {
    struct analysis *analysis;    // counts; NULL: empty
    struct catalog *catalog;      // counts; may be NULL
    struct resolution *resolution; // counts
    uint8_t *path;                // owns
    size_t path_bytes;
    bool used;                    // since the last look
};

struct resolve_front {
    struct place places[PLACES];
    uint32_t calls;
    uint32_t next_look;
};

struct resolve_front *resolve_front_new(void)
{
    return mem_new(struct resolve_front);
}

static void empty(struct place *place)
{
    if (place->analysis == NULL)
        return;
    analysis_unref(&place->analysis);
    if (place->catalog != NULL)
        catalog_unref(&place->catalog);
    resolution_unref(&place->resolution);
    mem_free(place->path);
    *place = (struct place){0};
}

void resolve_front_free(struct resolve_front *front)
{
    for (int i = 0; i < PLACES; i++)
        empty(&front->places[i]);
    mem_free(front);
}

static void look_after_places(struct resolve_front *front)
{
    if (++front->calls % CALLS_BETWEEN_LOOKS != 0)
        return;
    struct place *place = &front->places[front->next_look++ % PLACES];
    if (!place->used)
        empty(place);
    place->used = false;
}

// The path as bytes: utf8, then each schema with its NUL (no name holds one).
static bool path_is(const struct place *place, const struct search_path *path)
{
    const uint8_t *at = place->path;
    const uint8_t *end = at + place->path_bytes;
    if (*at++ != path->utf8)
        return false;
    for (uint32_t i = 0; i < path->count; i++) {
        struct slice schema = path->schemas[i];
        if ((size_t)(end - at) < schema.len + 1 || memcmp(at, schema.at, schema.len) != 0 ||
            at[schema.len] != 0)
            return false;
        at += schema.len + 1;
    }
    return at == end;
}

static void keep_path(struct place *place, const struct search_path *path)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < path->count; i++)
        bytes += path->schemas[i].len + 1;
    uint8_t *out = mem_alloc(bytes);
    place->path = out;
    place->path_bytes = bytes;
    *out++ = path->utf8;
    for (uint32_t i = 0; i < path->count; i++) {
        memcpy(out, path->schemas[i].at, path->schemas[i].len);
        out += path->schemas[i].len;
        *out++ = 0;
    }
}

static struct place *place_of(struct resolve_front *front, const struct analysis *a,
                              const struct catalog *catalog)
{
    uint64_t mixed = ((uint64_t)(uintptr_t)a >> 4) * 0x9e3779b97f4a7c15u ^
                     ((uint64_t)(uintptr_t)catalog >> 4) * 0xc2b2ae3d27d4eb4fu;
    return &front->places[(mixed >> 32) % PLACES];
}

const struct resolution *resolve_front_find(struct resolve_front *front, struct analysis *a,
                                            struct catalog *catalog,
                                            const struct search_path *path)
{
    look_after_places(front);
    struct place *place = place_of(front, a, catalog);
    if (place->analysis != a || place->catalog != catalog || !path_is(place, path)) {
        empty(place);
        place->analysis = analysis_ref(a);
        place->catalog = catalog == NULL ? NULL : catalog_ref(catalog);
        place->resolution = resolve(a, catalog, path);
        keep_path(place, path);
    }
    place->used = true;
    return place->resolution;
}
