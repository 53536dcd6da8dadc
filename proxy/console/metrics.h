// SPDX-License-Identifier: Apache-2.0
// The OpenMetrics 1.0 format of /metrics, and the families of the followed databases. Whoever knows
// more (pools, the cache) appends families with the same two functions, before metrics_end(). Any
// thread; keeps nothing.
//
// A family is described once, and all its samples follow at once: the format demands it.
#pragma once
#include "base/buf.h"

struct domains;

enum metrics_kind {
    METRICS_COUNTER, // its samples carry "_total"
    METRICS_GAUGE,
};

// name without "pgweir_" and "_total"; one that ends with _bytes or _seconds tells its unit so.
// help: a sentence without a full stop, without backslash or line feed.
void metrics_family(struct buf *out, enum metrics_kind kind, const char *name, const char *help);
// labels: name, value, name, value, ..., NULL; or NULL. Values are escaped, at most 255 bytes each.
void metrics_sample(struct buf *out, enum metrics_kind kind, const char *name,
                    const char *const *labels, double value);

void metrics_domains(struct buf *out, struct domains *domains);
void metrics_end(struct buf *out); // "# EOF"
