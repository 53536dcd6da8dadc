// SPDX-License-Identifier: Apache-2.0
#include "proxy/profile.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/sql/quote.h"

// The first column says which database this is, and is not the profile's. Then comes the effective
// search path, one schema a line (without the session's own for temporary objects as long as that
// is empty: whether a server has it says only who used it before); the next must be the default
// isolation; the one behind says which settings of the catalog are asked for behind all others. The
// others only have to be the same for two sessions to share replies.
static const char question[] =
    "SELECT pg_catalog.concat((extract(epoch FROM pg_catalog.pg_postmaster_start_time())"
    " OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, ' ', (SELECT oid FROM"
    " pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())),"
    " pg_catalog.array_to_string(CASE WHEN pg_catalog.pg_my_temp_schema()"
    " OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR EXISTS (SELECT FROM pg_catalog.pg_depend WHERE"
    " refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass AND"
    " refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"
    " THEN pg_catalog.current_schemas(true) ELSE pg_catalog.array_remove("
    "pg_catalog.current_schemas(true), (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid"
    " OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())) END, E'\\n'),"
    " pg_catalog.current_setting('default_transaction_isolation'), '%016" PRIx64 "',"
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

// One that the client made itself is in the key: so that clients of many values share a profile,
// only that it is there. Of another its value, whatever the session's encoding is. Whether nothing
// or something empty is there, servers of one pool differ in, by who had them before.
static void ask_setting(struct buf *sql, struct slice name, const struct gucs *applied)
{
    char text[64]; // letters, digits, dots: closure.c
    CHECK(name.len < sizeof(text));
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    const struct guc *own = gucs_get(applied, text);
    buf_printf(sql, ",CASE WHEN ");
    if (own == NULL) {
        buf_printf(sql, "false");
    } else {
        buf_printf(sql, "pg_catalog.current_setting('%s',true) OPERATOR(pg_catalog.=) ", text);
        quote_encoded(sql, own->value, own->encoding);
    }
    buf_printf(sql, " THEN 'own' ELSE pg_catalog.encode(pg_catalog.convert_to("
                    "coalesce(pg_catalog.current_setting('%s',true),''),"
                    "pg_catalog.getdatabaseencoding()),'hex') END", text);
}

void profile_question(struct buf *sql, const struct catalog *catalog, const struct gucs *applied)
{
    size_t n = 0;
    const struct slice *names = catalog != NULL ? catalog_settings(catalog, &n) : NULL;
    buf_printf(sql, question, catalog != NULL ? catalog_settings_hash(catalog) : 0);
    for (size_t i = 0; i < n; i++)
        ask_setting(sql, names[i], applied);
    buf_u8(sql, 0);
}

static struct slice column(struct reader *r)
{
    uint32_t len = reader_u32(r);
    return len == UINT32_MAX ? slice_of(NULL, 0) : reader_bytes(r, len);
}

static unsigned hex_digit(uint8_t c)
{
    return c <= '9' ? (unsigned)c - '0' : (unsigned)c - 'a' + 10;
}

// A number of at most 20 digits; the rest is behind it. False: there is none.
static bool number(struct slice *text, uint64_t *value)
{
    size_t n = 0;
    *value = 0;
    for (; n < text->len && n < 20 && text->at[n] >= '0' && text->at[n] <= '9'; n++)
        *value = *value * 10 + (uint64_t)(text->at[n] - '0');
    *text = slice_skip(*text, n);
    return n > 0;
}

bool profile_identity(struct slice row, struct database_identity *where, struct buf *profile)
{
    struct reader r = reader_of(row);
    uint16_t columns = reader_u16(&r);
    struct slice text = column(&r);
    uint64_t oid = 0;
    if (!reader_ok(&r) || columns < 2 || !number(&text, &where->started_us) || text.len < 2 ||
        text.at[0] != ' ')
        return false;
    text = slice_skip(text, 1);
    if (!number(&text, &oid) || text.len > 0)
        return false;
    where->database_oid = (uint32_t)oid;
    buf_u16(profile, (uint16_t)(columns - 1));
    buf_put(profile, reader_bytes(&r, reader_left(&r)));
    return true;
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
    struct slice settings = column(&r);
    if (!reader_ok(&r) || columns < 3)
        return profile; // not cacheable
    for (size_t i = 0; i < settings.len; i++)
        profile->settings = profile->settings << 4 | hex_digit(settings.at[i]);
    // A statement by itself has a snapshot of its own either way. What a SERIALIZABLE one has read
    // counts for others.
    profile->one_snapshot = slice_is(isolation, "repeatable read");
    profile->cacheable = profile->one_snapshot || slice_is(isolation, "read committed") ||
                         slice_is(isolation, "read uncommitted");
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

static void place_free(struct hash_node *node, void *arg)
{
    (void)arg;
    struct profile_place *place = container_of(node, struct profile_place, node);
    gucs_unref(&place->settings);
    mem_free(place);
}

void profiles_forget(struct profiles *p)
{
    hash_each(&p->places, place_free, NULL);
    hash_fini(&p->places);
    p->places = (struct hash_table){.count = 0};
    p->edition++;
}

static uint64_t hash_of(const struct gucs *settings)
{
    return settings != NULL ? settings->hash : 0;
}

static struct profile_place *place_of(const struct profiles *p, const struct gucs *settings)
{
    struct hash_node *node = hash_first(&p->places, hash_of(settings));
    while (node != NULL &&
           !gucs_equal(container_of(node, struct profile_place, node)->settings, settings))
        node = hash_next(node);
    return node != NULL ? container_of(node, struct profile_place, node) : NULL;
}

static struct profile_place *make_place(struct profiles *p, struct gucs *settings)
{
    struct profile_place *place = place_of(p, settings);
    if (place != NULL)
        return place;
    if (p->places.count == PROFILE_PLACES_MAX)
        profiles_forget(p);
    place = mem_new(struct profile_place);
    place->settings = gucs_ref(settings);
    hash_insert(&p->places, &place->node, hash_of(settings));
    return place;
}

struct profile *profiles_note(struct profiles *p, struct gucs *settings, bool alone,
                              struct slice row, uint64_t epoch)
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
    if (epoch != 0 && (alone || profile->settings == 0))
        profiles_keep(p, settings, profile, epoch);
    return profile;
}

void profiles_keep(struct profiles *p, struct gucs *settings, struct profile *profile,
                   uint64_t epoch)
{
    struct profile_place *place = make_place(p, settings);
    if (epoch < place->epoch || (epoch == place->epoch && profile == place->profile))
        return;
    place->profile = profile;
    place->epoch = epoch;
    p->edition++;
}

struct profile *profiles_of(const struct profiles *p, const struct gucs *settings, uint64_t epoch)
{
    const struct profile_place *place = place_of(p, settings);
    return place != NULL && place->epoch == epoch ? place->profile : NULL;
}
