// SPDX-License-Identifier: Apache-2.0
// The names behind which a database has code that a statement runs without naming it: triggers,
// rules, views, defaults, checks, generated columns, policies, indexes, domains, captured
// functions. What such code leaves in a session must be asked for, for nothing in the text tells of
// it. Names of relations count in all schemas; a name too many costs a question, no more.
// Immutable, counted, any thread; a draft belongs to whoever makes it.
// Not here: when it is learnt (proxy/sql/learnt.h).
#pragma once
#include "base/buf.h"
#include "proxy/sql/analysis.h"

struct coded;
struct coded_draft;

// Append a question and a NUL: a simple query of two statements; the rows of the second are the
// answer. The first asks for all: the names, and a fingerprint of what they were found by; the
// second for the fingerprint alone, which is cheaper.
void coded_question(struct buf *sql);
void coded_check(struct buf *sql);

// The answer to either, row by row (bodies of DataRow messages). The end makes it a set, which the
// caller holds; NULL: it was not understood. Frees the draft.
struct coded_draft *coded_draft_new(void);
void coded_draft_row(struct coded_draft *draft, struct slice row);
struct coded *coded_draft_end(struct coded_draft **draft);
void coded_draft_free(struct coded_draft **draft); // NULL inside is fine

struct coded *coded_ref(struct coded *coded);
void coded_unref(struct coded **coded); // clears the caller's pointer; NULL inside is fine

uint64_t coded_number(const struct coded *coded); // above 0; never that of another one
bool coded_is_empty(const struct coded *coded);
size_t coded_count(const struct coded *coded); // names
// Is there something in a that was not in b, so that b's verdicts may have been too good?
bool coded_adds(const struct coded *a, const struct coded *b);
bool coded_same(const struct coded *a, const struct coded *b); // by the fingerprint

// May running it run any of that code?
bool coded_concerns(const struct coded *coded, const struct analysis *analysis);
