// SPDX-License-Identifier: Apache-2.0
// Is the answer to a question that was not in memory worth keeping? One that nobody asks for again
// is not: it costs its time and its memory, and pushes out what is asked for.
//
// That is learnt of each form, which is what questions have in common that differ in constants
// alone. While hardly any of a form come again, and the server answers them quickly, an answer is
// kept only when its question was asked before: those that were not kept are remembered, by two
// bits each, for as long as some 130,000 others come. One in 32 is kept all the same: where there
// are more questions than can be remembered, that tells when they begin to come again. Hits found
// by other ways than admission_hit() count as none, so the doubt may be wrong; then it costs each
// question one miss more.
//
// Of one thread.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct admission;

struct admission *admission_new(void);
void admission_free(struct admission *admission); // NULL is fine

// form: an address, never looked at. hash: of the question, all bits alike. True: keep the answer.
bool admission_missed(struct admission *admission, const void *form, uint64_t hash);
// A question of this form was in memory.
void admission_hit(struct admission *admission, const void *form);
// An answer that is kept took the server so long.
void admission_took(struct admission *admission, const void *form, uint32_t took_us);
