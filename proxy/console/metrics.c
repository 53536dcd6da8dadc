// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/metrics.h"

#include "proxy/control/domain.h"

// ---- The format --------------------------------------------------------------------------------

// The unit that a name ends with, or NULL.
static const char *unit_of(const char *name)
{
    static const char *const units[] = {"bytes", "seconds"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t m = strlen(units[i]);
        if (n > m && name[n - m - 1] == '_' && strcmp(name + n - m, units[i]) == 0)
            return units[i];
    }
    return NULL;
}

void metrics_family(struct buf *out, enum metrics_kind kind, const char *name, const char *help)
{
    const char *unit = unit_of(name);
    buf_printf(out, "# TYPE pgweir_%s %s\n", name, kind == METRICS_COUNTER ? "counter" : "gauge");
    if (unit != NULL)
        buf_printf(out, "# UNIT pgweir_%s %s\n", name, unit);
    buf_printf(out, "# HELP pgweir_%s %s.\n", name, help);
}

static void put_escaped(struct buf *out, const char *value)
{
    for (size_t i = 0; value[i] != '\0' && i < 255; i++) {
        if (value[i] == '\n') {
            buf_bytes(out, "\\n", 2);
            continue;
        }
        if (value[i] == '\\' || value[i] == '"')
            buf_u8(out, '\\');
        buf_u8(out, (uint8_t)value[i]);
    }
}

void metrics_sample(struct buf *out, enum metrics_kind kind, const char *name,
                    const char *const *labels, double value)
{
    buf_printf(out, "pgweir_%s%s", name, kind == METRICS_COUNTER ? "_total" : "");
    bool labelled = labels != NULL && labels[0] != NULL;
    for (size_t i = 0; labelled && labels[i] != NULL; i += 2) {
        buf_printf(out, "%s%s=\"", i == 0 ? "{" : ",", labels[i]);
        put_escaped(out, labels[i + 1]);
        buf_u8(out, '"');
    }
    buf_printf(out, "%s %.17g\n", labelled ? "}" : "", value);
}

void metrics_end(struct buf *out)
{
    buf_printf(out, "# EOF\n");
}

// ---- The followed databases --------------------------------------------------------------------

// What is known of a database that is followed in its own right. A figure that is not known has no
// sample.
#define DOMAIN_METRICS(X)                                                                          \
    X(GAUGE, "domain_on", "whether hits are possible", true, s->state == DOMAIN_FOLLOWING)         \
    X(GAUGE, "domain_fresh_age_seconds",                                                           \
      "age of the moment as of which the cache is known fresh", s->fresh_age_us >= 0,              \
      (double)s->fresh_age_us / 1e6)                                                               \
    X(GAUGE, "domain_lag_bytes", "WAL that the server has flushed and the stream not yet passed",  \
      s->passed > 0, s->flushed > s->passed ? (double)(s->flushed - s->passed) : 0)                \
    X(GAUGE, "domain_reading_seconds", "duration of the last control query", s->readings > 0,      \
      (double)s->reading_us / 1e6)                                                                 \
    X(GAUGE, "domain_names", "names whose schema is watched", true, (double)s->names)              \
    X(COUNTER, "domain_readings", "control queries", true, (double)s->readings)                    \
    X(COUNTER, "domain_transactions", "commits seen in the event stream", true,                    \
      (double)s->transactions)                                                                     \
    X(COUNTER, "domain_reconnects", "times the event stream was lost", true,                       \
      (double)s->reconnects)                                                                       \
    X(COUNTER, "domain_schema_changes", "times every entry was given up for one", true,            \
      (double)s->schema_changes)                                                                   \
    X(COUNTER, "domain_catalog_loads", "times the schema was read", true,                          \
      (double)s->catalog_loads)

struct statuses {
    struct buf bytes; // owns; an array of struct domain_status
};

static void collect(const struct domain_status *status, void *arg)
{
    struct statuses *all = arg;
    buf_bytes(&all->bytes, status, sizeof(*status));
}

static void state_sample(struct buf *out, const struct domain_status *s)
{
    const char *labels[] = {"database", s->target, "state", domain_state_name(s->state),
                            "reason", s->reason, NULL};
    metrics_sample(out, METRICS_GAUGE, "domain_state", labels, 1);
}

void metrics_domains(struct buf *out, struct domains *domains)
{
    struct statuses all = {0};
    domains_status(domains, collect, &all);
    const struct domain_status *at = (const struct domain_status *)(const void *)all.bytes.at;
    size_t n = all.bytes.len / sizeof(*at);
#define X(kind, name, help, known, value)                                                          \
    metrics_family(out, METRICS_##kind, name, help);                                               \
    for (const struct domain_status *s = at; s != at + n; s++) {                                   \
        const char *labels[] = {"database", s->target, NULL};                                      \
        if (s->canonical_id == s->id && (known))                                                   \
            metrics_sample(out, METRICS_##kind, name, labels, value);                              \
    }
    DOMAIN_METRICS(X)
#undef X
    metrics_family(out, METRICS_GAUGE, "domain_state",
                   "1 for the state that each database is in, with the reason when it is off");
    for (size_t i = 0; i < n; i++)
        state_sample(out, &at[i]);
    buf_fini(&all.bytes);
}
