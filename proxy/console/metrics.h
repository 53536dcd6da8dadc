// SPDX-License-Identifier: Apache-2.0
// The text of /metrics in the OpenMetrics format: cache counters by reason, the store, and the state
// of each followed database; whoever knows more (pools, clients) appends families of its own
// through a callback. Any thread; reads what it is given, keeps nothing.
#pragma once
#include "base/buf.h"
#include "base/slice.h"

struct domains;

struct metrics_value {
    const char *label; // value of the one label; NULL: the family has a single, bare sample
    double value;
};

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE };

// One family of samples. name without "pgweir_" and without the "_total" that a counter's samples
// carry; label_name NULL for a bare sample. help: one sentence without a full stop.
void metrics_family(struct buf *out, enum metrics_kind kind, const char *name, const char *help);
void metrics_sample(struct buf *out, enum metrics_kind kind, const char *name,
                    const char *const *labels, double value); // labels: name, value, ..., NULL

void metrics_domains(struct buf *out, struct domains *domains); // families of every domain
void metrics_end(struct buf *out);                              // "# EOF"
