// SPDX-License-Identifier: Apache-2.0
#include "cache/ticket.h"

#include <string.h>

#include "base/mem.h"

struct ticket *ticket_new(const struct ticket_slots *slots, bool barrier)
{
    uint32_t n = slots->n_written + slots->n_held;
    struct ticket *t = mem_zalloc(sizeof(*t) + n * sizeof(*t->slots));
    link_init(&t->link);
    t->barrier = barrier;
    t->n_written = slots->n_written;
    t->n = n;
    if (slots->n_written > 0)
        memcpy(t->slots, slots->written, slots->n_written * sizeof(*t->slots));
    if (slots->n_held > 0)
        memcpy(t->slots + slots->n_written, slots->held, slots->n_held * sizeof(*t->slots));
    return t;
}

void ticket_free(struct ticket *t)
{
    mem_free(t);
}
