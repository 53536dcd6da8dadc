// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/vars.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "cache/key.h"
#include "proxy/login/digest.h"
#include "proxy/sql/quote.h"

static const char *const names[VAR_COUNT] = {
    [VAR_CLIENT_ENCODING] = "client_encoding",
    [VAR_DATE_STYLE] = "DateStyle",
    [VAR_TIME_ZONE] = "TimeZone",
    [VAR_STANDARD_CONFORMING_STRINGS] = "standard_conforming_strings",
    [VAR_APPLICATION_NAME] = "application_name",
    [VAR_INTERVAL_STYLE] = "IntervalStyle",
};

const char *var_name(enum followed_var var)
{
    return names[var];
}

// No two are of the same length.
int var_find(const char *name)
{
    static const enum followed_var by_length[] = {
        [sizeof("client_encoding")] = VAR_CLIENT_ENCODING,
        [sizeof("DateStyle")] = VAR_DATE_STYLE,
        [sizeof("TimeZone")] = VAR_TIME_ZONE,
        [sizeof("standard_conforming_strings")] = VAR_STANDARD_CONFORMING_STRINGS,
        [sizeof("application_name")] = VAR_APPLICATION_NAME,
        [sizeof("IntervalStyle")] = VAR_INTERVAL_STYLE,
    };
    size_t size = strlen(name) + 1;
    if (size >= sizeof(by_length) / sizeof(*by_length))
        return -1;
    enum followed_var only = by_length[size];
    return strcasecmp(name, names[only]) == 0 ? (int)only : -1;
}

// ---- the registry ----

enum { LATEST = 16 };

// Who comes in has several on the way to its own, and is often alone: the latest ones are kept, so
// that they are not made anew for each.
struct vars_registry {
    pthread_mutex_t lock;
    struct hash_table table;
    struct vars *none;           // counts; with nothing set
    struct vars *latest[LATEST]; // count; or NULL
    unsigned made;
};

static bool is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool has(const struct vars *v, const char *const value[VAR_COUNT])
{
    for (int i = 0; i < VAR_COUNT; i++)
        if (!is_same(v->value[i], value[i]))
            return false;
    return true;
}

// PostgreSQL's client-only encodings: their second bytes may be ASCII ("Supported Character Sets").
static bool is_ambiguous(const char *encoding)
{
    static const char *const ambiguous[] = {"SJIS", "BIG5",  "GBK",           "UHC",
                                            "GB18030", "JOHAB", "SHIFT_JIS_2004"};
    for (size_t i = 0; i < sizeof(ambiguous) / sizeof(*ambiguous); i++)
        if (strcasecmp(encoding, ambiguous[i]) == 0)
            return true;
    return false;
}

// One that nobody finds another set of values for: keys are compared, the values are not.
static void digest_results(const char *const value[VAR_COUNT], uint64_t out[2])
{
    static const enum followed_var in_key[] = {VAR_CLIENT_ENCODING, VAR_DATE_STYLE, VAR_TIME_ZONE,
                                               VAR_INTERVAL_STYLE};
    struct buf key = {0};
    for (size_t i = 0; i < sizeof(in_key) / sizeof(*in_key); i++) {
        if (value[in_key[i]] != NULL)
            key_bytes(&key, slice_str(value[in_key[i]]));
        else
            key_null(&key);
    }
    uint8_t digest[EVP_MAX_MD_SIZE];
    CHECK(EVP_Digest(key.at, key.len, digest, NULL, digest_sha256(), NULL) == 1);
    memcpy(out, digest, 2 * sizeof(*out));
    buf_fini(&key);
}

static uint64_t hash_of(const char *const value[VAR_COUNT], bool with_application_name)
{
    uint64_t hash = 1;
    for (int i = 0; i < VAR_COUNT; i++) {
        const char *text = value[i];
        if (text == NULL || (i == VAR_APPLICATION_NAME && !with_application_name))
            text = "";
        hash = hash * 0x9e3779b97f4a7c15u + hash_bytes(text, strlen(text));
    }
    return hash | 1;
}

static struct vars *make(struct vars_registry *registry, const char *const value[VAR_COUNT])
{
    size_t bytes = 0;
    for (int i = 0; i < VAR_COUNT; i++)
        bytes += value[i] != NULL ? strlen(value[i]) + 1 : 0;
    struct vars *v = mem_zalloc(sizeof(*v) + bytes);
    const char *encoding = value[VAR_CLIENT_ENCODING];
    v->registry = registry;
    v->refs = 1;
    v->hash = hash_of(value, false);
    v->standard_strings = is_same(value[VAR_STANDARD_CONFORMING_STRINGS], "on");
    v->utf8 = is_same(encoding, "UTF8");
    v->ambiguous = encoding == NULL || is_ambiguous(encoding);
    digest_results(value, v->result_key);
    char *at = v->text;
    for (int i = 0; i < VAR_COUNT; i++) {
        if (value[i] == NULL)
            continue;
        v->value[i] = strcpy(at, value[i]);
        at += strlen(at) + 1;
    }
    return v;
}

static struct vars *get(struct vars_registry *registry, const char *const value[VAR_COUNT])
{
    uint64_t hash = hash_of(value, true);
    pthread_mutex_lock(&registry->lock);
    struct hash_node *n = hash_first(&registry->table, hash);
    while (n != NULL && !has(container_of(n, struct vars, node), value))
        n = hash_next(n);
    struct vars *v = n != NULL ? vars_ref(container_of(n, struct vars, node)) : NULL;
    struct vars *oldest = NULL;
    if (v == NULL) {
        struct vars **place = &registry->latest[registry->made++ % LATEST];
        v = make(registry, value);
        hash_insert(&registry->table, &v->node, hash);
        oldest = *place;
        *place = vars_ref(v);
    }
    pthread_mutex_unlock(&registry->lock);
    vars_unref(&oldest);
    return v;
}

struct vars_registry *vars_registry_new(void)
{
    static const char *const nothing[VAR_COUNT];
    struct vars_registry *registry = mem_new(struct vars_registry);
    pthread_mutex_init(&registry->lock, NULL);
    registry->none = get(registry, nothing);
    return registry;
}

void vars_registry_free(struct vars_registry *registry)
{
    vars_unref(&registry->none);
    for (int i = 0; i < LATEST; i++)
        vars_unref(&registry->latest[i]);
    CHECK(registry->table.count == 0);
    hash_fini(&registry->table);
    pthread_mutex_destroy(&registry->lock);
    mem_free(registry);
}

struct vars *vars_none(struct vars_registry *registry)
{
    return vars_ref(registry->none);
}

struct vars *vars_ref(struct vars *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void vars_unref(struct vars **at)
{
    struct vars *v = *at;
    *at = NULL;
    if (v == NULL)
        return;
    uint32_t refs = atomic_load_explicit(&v->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&v->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    // Perhaps the last one: a lookup may count it up again until it has left the table.
    struct vars_registry *registry = v->registry;
    pthread_mutex_lock(&registry->lock);
    bool last = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1;
    if (last)
        hash_remove(&registry->table, &v->node);
    pthread_mutex_unlock(&registry->lock);
    if (last)
        mem_free(v);
}

static void become(struct vars **v, const char *const value[VAR_COUNT])
{
    struct vars *before = *v;
    *v = get(before->registry, value); // value points into `before`
    vars_unref(&before);
}

void vars_set(struct vars **v, enum followed_var var, const char *value)
{
    const char *all[VAR_COUNT];
    if (is_same((*v)->value[var], value))
        return;
    memcpy(all, (*v)->value, sizeof(all));
    all[var] = value;
    become(v, all);
}

void vars_default(struct vars **v, const struct vars *from)
{
    const char *all[VAR_COUNT];
    for (int i = 0; i < VAR_COUNT; i++)
        all[i] = (*v)->value[i] != NULL ? (*v)->value[i] : from->value[i];
    become(v, all);
}

// ---- what they mean ----

static bool has_high_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 0x80)
            return true;
    return false;
}

bool vars_text_looks_plain(const struct vars *v, struct slice text)
{
    if (!v->standard_strings && text.len > 0 && memchr(text.at, '\\', text.len) != NULL)
        return false;
    return v->utf8 || !v->ambiguous || !has_high_byte(text);
}

static bool differs(const struct vars *wanted, const struct vars *actual, int i)
{
    return wanted->value[i] != NULL && !is_same(wanted->value[i], actual->value[i]);
}

bool vars_compare(const struct vars *wanted, const struct vars *actual)
{
    for (int i = 0; i < VAR_COUNT; i++)
        if (differs(wanted, actual, i))
            return false;
    return true;
}

void vars_difference(const struct vars *wanted, const struct vars *actual, struct buf *sql)
{
    for (int i = 0; i < VAR_COUNT; i++) {
        if (!differs(wanted, actual, i))
            continue;
        // Half a DateStyle leaves the other half as it is, which may be another client's.
        if (i == VAR_DATE_STYLE && strchr(wanted->value[i], ',') == NULL)
            buf_printf(sql, "RESET %s;", names[i]);
        buf_printf(sql, "SET %s=", names[i]);
        quote_literal(sql, wanted->value[i]);
        buf_u8(sql, ';');
    }
}
