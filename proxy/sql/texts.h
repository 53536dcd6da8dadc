// SPDX-License-Identifier: Apache-2.0
// The memory of statement texts: template -> analysis, bounded in count and bytes, shared by all
// workers. Sharded, a mutex each, never held while a text is analysed; CLOCK evicts. In front of
// it every worker has a small table of its own without any lock.
// Lifetime: texts outlive every front; the analyses live as long as somebody holds them.
// Not here: what depends on a session or a catalog.
#pragma once
#include "proxy/sql/analysis.h"
#include "proxy/sql/template.h"

struct texts;

// limit_count: analyses remembered, at least 64; limit_bytes: memory they and their texts may
// hold. Both are split evenly over the shards.
struct texts *texts_new(size_t limit_count, size_t limit_bytes);
void texts_free(struct texts *texts); // no front may be left

// Any thread. sql need not be NUL-terminated. Never NULL; the caller holds a reference.
struct analysis *texts_analysis(struct texts *texts, struct slice sql);

struct texts_statistics {
    uint64_t count;    // analyses remembered now
    uint64_t bytes;    // held by them and their templates
    uint64_t hits;     // since start; the fronts' own hits are not in it
    uint64_t misses;
    uint64_t evictions;
};
struct texts_statistics texts_statistics(struct texts *texts); // any thread

// A worker's own table in front: owned by that worker, no lock.
struct texts_front;
struct texts_front *texts_front_new(struct texts *texts);
void texts_front_free(struct texts_front *front);

// The hot path. The analysis is borrowed: valid until the next call with this front; take a
// reference to keep it.
struct analysis *texts_front_analysis(struct texts_front *front, struct slice sql);
// The same for bytes that stay as and where they are until texts_front_moved(): asked for twice in
// a row they are known by their place.
struct analysis *texts_front_read(struct texts_front *front, struct slice sql);
void texts_front_moved(struct texts_front *front);
