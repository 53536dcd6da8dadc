// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/vars.h"

#include <stdatomic.h>
#include <strings.h>

#include "base/hash.h"
#include "base/mem.h"
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

int var_find(const char *name)
{
    for (int i = 0; i < VAR_COUNT; i++)
        if (strcasecmp(name, names[i]) == 0)
            return i;
    return -1;
}

static void changed(struct vars *v)
{
    static _Atomic uint64_t last; // numbers are never reused
    v->hash = 0;
    v->content = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

void vars_fini(struct vars *v)
{
    for (int i = 0; i < VAR_COUNT; i++)
        mem_free(v->value[i]);
    *v = (struct vars){0};
}

void vars_set(struct vars *v, enum followed_var var, const char *value)
{
    if (v->value[var] != NULL && strcmp(v->value[var], value) == 0)
        return;
    mem_free(v->value[var]);
    v->value[var] = mem_strdup(value);
    changed(v);
}

void vars_default(struct vars *v, const struct vars *from)
{
    for (int i = 0; i < VAR_COUNT; i++)
        if (v->value[i] == NULL && from->value[i] != NULL)
            v->value[i] = mem_strdup(from->value[i]);
    changed(v);
}

uint64_t vars_hash(struct vars *v)
{
    if (v->hash != 0)
        return v->hash;
    uint64_t hash = 1;
    for (int i = 0; i < VAR_COUNT; i++) {
        const char *value = i != VAR_APPLICATION_NAME && v->value[i] ? v->value[i] : "";
        hash = hash * 0x9e3779b97f4a7c15u + hash_bytes(value, strlen(value));
    }
    v->hash = hash | 1;
    return v->hash;
}

static bool is_utf8(const struct vars *v)
{
    const char *encoding = v->value[VAR_CLIENT_ENCODING];
    return encoding != NULL && strcmp(encoding, "UTF8") == 0;
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

static bool has_high_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 0x80)
            return true;
    return false;
}

bool vars_text_is_plain(const struct vars *v, struct slice text)
{
    const char *standard = v->value[VAR_STANDARD_CONFORMING_STRINGS];
    if (standard == NULL || strcmp(standard, "on") != 0) {
        if (text.len > 0 && memchr(text.at, '\\', text.len) != NULL)
            return false;
    }
    if (is_utf8(v))
        return true;
    const char *encoding = v->value[VAR_CLIENT_ENCODING];
    return (encoding != NULL && !is_ambiguous(encoding)) || !has_high_byte(text);
}

static bool differs(const struct vars *wanted, const struct vars *actual, int i)
{
    const char *want = wanted->value[i];
    const char *have = actual->value[i];
    return want != NULL && want != have && (have == NULL || strcmp(want, have) != 0);
}

bool vars_equal(struct vars *wanted, struct vars *actual)
{
    if (wanted->content == actual->content)
        return true;
    bool same = true;
    for (int i = 0; i < VAR_COUNT; i++) {
        if (differs(wanted, actual, i))
            return false;
        same &= wanted->value[i] != NULL || actual->value[i] == NULL;
    }
    // The smaller of two, so that any number of clients and servers agree in the end.
    if (same && wanted->content < actual->content)
        actual->content = wanted->content;
    else if (same)
        wanted->content = actual->content;
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
