// SPDX-License-Identifier: Apache-2.0
#include "cache/admission.h"

#include <string.h>

#include "base/mem.h"

enum {
    FORMS = 1024,    // a power of two; another form in its place is a new one
    WINDOW = 512,    // misses, after which a form is judged
    RARE = 32,       // in doubt if fewer than one in so many come again
    SAMPLE = 32,     // of what is in doubt, one in so many is kept all the same
    DEAR_US = 2000,  // never, if each takes the server so long
    LINES = 1 << 13, // a power of two; of 512 bits, in each of the two generations
    FULL = 1 << 17,  // so many are remembered: then one in 250 others is mistaken for one of them
};

struct form {
    const void *id;
    uint16_t asked, again; // in this window; again: those of them, and hits, that had been asked
    bool doubted;
    uint32_t least_us;     // that the server took, in the last window in which one was kept
};

struct line { // of the processor's cache
    uint64_t words[8];
};

struct admission {
    struct line *seen[2]; // own; NULL: nothing was doubted yet. [0] takes new ones
    uint32_t count;       // in seen[0]
    struct form forms[FORMS];
};

struct admission *admission_new(void)
{
    return mem_new(struct admission);
}

void admission_free(struct admission *a)
{
    if (a == NULL)
        return;
    mem_free(a->seen[0]);
    mem_free(a->seen[1]);
    mem_free(a);
}

static struct form *form_of(struct admission *a, const void *id)
{
    uint64_t mixed = (uint64_t)(uintptr_t)id * UINT64_C(0x9e3779b97f4a7c15);
    struct form *form = &a->forms[mixed >> 32 & (FORMS - 1)];
    if (form->id != id)
        *form = (struct form){.id = id, .least_us = UINT32_MAX};
    return form;
}

static void judge(struct form *form)
{
    form->doubted = form->again * RARE < form->asked && form->least_us < DEAR_US;
    if (!form->doubted)
        form->least_us = UINT32_MAX;
    form->asked = form->again = 0;
}

static void turn_over(struct admission *a)
{
    struct line *oldest = a->seen[1];
    a->seen[1] = a->seen[0];
    if (oldest != NULL)
        memset(oldest, 0, LINES * sizeof(*oldest));
    a->seen[0] = oldest != NULL ? oldest : mem_aligned(sizeof(*oldest), LINES * sizeof(*oldest));
    a->count = 0;
}

// Was it seen? From now on it is.
static bool see(struct admission *a, uint64_t hash)
{
    if (a->seen[0] == NULL || a->count >= FULL)
        turn_over(a);
    size_t line = hash & (LINES - 1);
    unsigned one = hash >> 32 & 511, other = hash >> 48 & 511;
    uint64_t one_bit = UINT64_C(1) << one % 64, other_bit = UINT64_C(1) << other % 64;
    bool seen[2] = {false, false};
    for (int i = 0; i < 2 && a->seen[i] != NULL; i++) {
        const uint64_t *words = a->seen[i][line].words;
        seen[i] = (words[one / 64] & one_bit) != 0 && (words[other / 64] & other_bit) != 0;
    }
    a->seen[0][line].words[one / 64] |= one_bit;
    a->seen[0][line].words[other / 64] |= other_bit;
    a->count += !seen[0];
    return seen[0] || seen[1];
}

bool admission_missed(struct admission *a, const void *id, uint64_t hash)
{
    struct form *form = form_of(a, id);
    if (form->asked++ >= WINDOW)
        judge(form);
    if (!form->doubted)
        return true;
    bool again = see(a, hash);
    form->again += again;
    return again || form->asked % SAMPLE == 0;
}

void admission_hit(struct admission *a, const void *id)
{
    struct form *form = form_of(a, id);
    form->again += form->again < UINT16_MAX;
}

void admission_took(struct admission *a, const void *id, uint32_t took_us)
{
    struct form *form = form_of(a, id);
    if (took_us < form->least_us)
        form->least_us = took_us;
}
