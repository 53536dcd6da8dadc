// SPDX-License-Identifier: Apache-2.0
#include "proxy/profile.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "base/reader.h"

// The first column is the effective search path, one schema a line; the second must be the
// default isolation. The others only have to be the same for two sessions to share replies.
const char *const profile_question =
    "SELECT pg_catalog.array_to_string(pg_catalog.current_schemas(true), E'\\n'),"
    " pg_catalog.current_setting('default_transaction_isolation'),"
    " current_user, session_user,"
    " pg_catalog.current_setting('search_path'),"
    " pg_catalog.current_setting('extra_float_digits'),"
    " pg_catalog.current_setting('bytea_output'),"
    " pg_catalog.current_setting('row_security'),"
    " pg_catalog.current_setting('lc_monetary'),"
    " pg_catalog.current_setting('lc_numeric'),"
    " pg_catalog.current_setting('lc_time'),"
    " pg_catalog.current_setting('xmlbinary'),"
    " pg_catalog.current_setting('xmloption'),"
    " pg_catalog.current_setting('array_nulls'),"
    " pg_catalog.current_setting('transform_null_equals'),"
    " pg_catalog.current_setting('quote_all_identifiers'),"
    " pg_catalog.current_setting('backslash_quote'),"
    " pg_catalog.current_setting('timezone_abbreviations'),"
    " pg_catalog.current_setting('default_text_search_config'),"
    " pg_catalog.current_setting('lo_compat_privileges'),"
    " pg_catalog.current_setting('server_version')";

static struct slice column(struct reader *r)
{
    uint32_t len = reader_u32(r);
    return len == UINT32_MAX ? slice_of(NULL, 0) : reader_bytes(r, len);
}

static struct profile *profile_new(struct slice row)
{
    static _Atomic uint32_t last_number; // numbers are never reused
    struct profile *profile = mem_new(struct profile);
    profile->number = atomic_fetch_add(&last_number, 1) + 1;
    buf_put(&profile->bytes, row);
    struct reader r = reader_of(buf_slice(&profile->bytes));
    uint16_t columns = reader_u16(&r);
    struct slice path = column(&r);
    struct slice isolation = column(&r);
    if (!reader_ok(&r) || columns < 2)
        return profile; // not cacheable
    profile->cacheable = slice_is(isolation, "read committed");
    while (path.len > 0) {
        const uint8_t *end = memchr(path.at, '\n', path.len);
        size_t len = end ? (size_t)(end - path.at) : path.len;
        profile->schemas = mem_realloc(profile->schemas, (profile->schema_count + 1) *
                                                             sizeof(*profile->schemas));
        profile->schemas[profile->schema_count++] = slice_of(path.at, len);
        size_t skip = end ? len + 1 : len;
        path = slice_of(path.at + skip, path.len - skip);
    }
    return profile;
}

static void profile_free(struct profile *profile)
{
    mem_free(profile->schemas);
    buf_fini(&profile->bytes);
    mem_free(profile);
}

void profiles_fini(struct profiles *p)
{
    profiles_forget(p);
    for (struct profile *profile = p->all, *next; profile != NULL; profile = next) {
        next = profile->next;
        profile_free(profile);
    }
    p->all = NULL;
}

void profiles_forget(struct profiles *p)
{
    for (int i = 0; i < PROFILE_PLACES; i++) {
        gucs_unref(&p->places[i].settings);
        p->places[i] = (struct profile_place){.epoch = 0};
    }
}

// No settings have a place of their own; the others are looked for.
static struct profile_place *place_of(const struct profiles *p, const struct gucs *settings)
{
    const struct profile_place *places = p->places;
    if (settings == NULL)
        return (struct profile_place *)(uintptr_t)&places[0];
    for (int i = 1; i < PROFILE_PLACES; i++)
        if (places[i].settings != NULL && gucs_equal(places[i].settings, settings))
            return (struct profile_place *)(uintptr_t)&places[i];
    return NULL;
}

static struct profile_place *make_place(struct profiles *p, struct gucs *settings)
{
    struct profile_place *place = place_of(p, settings);
    if (place != NULL)
        return place;
    p->next_place = p->next_place % (PROFILE_PLACES - 1) + 1; // in turn, never the first one
    place = &p->places[p->next_place];
    gucs_unref(&place->settings);
    *place = (struct profile_place){.settings = gucs_ref(settings)};
    return place;
}

struct profile *profiles_note(struct profiles *p, struct gucs *settings, struct slice row,
                              uint64_t epoch)
{
    struct profile *profile = p->all;
    while (profile != NULL && !slice_eq(buf_slice(&profile->bytes), row))
        profile = profile->next;
    if (profile == NULL && p->count == PROFILES_MAX)
        return NULL;
    if (profile == NULL) {
        profile = profile_new(row);
        profile->next = p->all;
        p->all = profile;
        p->count++;
    }
    struct profile_place *place = make_place(p, settings);
    if (epoch >= place->epoch) {
        place->profile = profile;
        place->epoch = epoch;
    }
    return profile;
}

struct profile *profiles_of(const struct profiles *p, const struct gucs *settings, uint64_t epoch)
{
    const struct profile_place *place = place_of(p, settings);
    return place != NULL && place->epoch == epoch ? place->profile : NULL;
}
