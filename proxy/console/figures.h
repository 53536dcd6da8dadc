// SPDX-License-Identifier: Apache-2.0
// The figures of all workers together, one by one: for the console and for /metrics. Any thread.
#pragma once
#include <stdint.h>

#include "base/buf.h"

struct pooler;

typedef void (*figures_visit)(const char *name, const char *sentence, uint64_t value, void *arg);

// Hits, misses, entries, bytes ... and "bypass_REASON" for each reason.
void figures_each_cache(struct pooler *pooler, figures_visit visit, void *arg);

// The whole of /metrics.
void figures_metrics(struct pooler *pooler, struct buf *out);
