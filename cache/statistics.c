// SPDX-License-Identifier: Apache-2.0
#include "cache/statistics.h"

const char *bypass_name(enum bypass reason)
{
    static const char *const names[] = {
#define X(name, label, sentence) [BYPASS_##name] = label,
        BYPASS_REASONS(X)
#undef X
    };
    return names[reason];
}

const char *bypass_sentence(enum bypass reason)
{
    static const char *const sentences[] = {
#define X(name, label, sentence) [BYPASS_##name] = sentence,
        BYPASS_REASONS(X)
#undef X
    };
    return sentences[reason];
}

void statistics_add(struct statistics_sum *sum, const struct statistics *from)
{
    counters_sum(sum->all, from->all, STATISTICS_COUNT);
}

uint64_t statistics_bypassed(const struct statistics_sum *sum)
{
    uint64_t all = 0;
    for (int i = 0; i < BYPASS_COUNT; i++)
        all += sum->bypasses[i];
    return all;
}
