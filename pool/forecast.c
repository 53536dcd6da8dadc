// SPDX-License-Identifier: Apache-2.0
#include "pool/forecast.h"

void forecast_note(struct forecast *forecast, bool waiting, int64_t now_us)
{
    int64_t since_us = now_us - forecast->last_us;
    forecast->last_us = now_us;
    if (!waiting) {
        forecast->samples = 0; // there was one to be had: what was learnt is of another time
        return;
    }
    if (forecast->samples++ == 0)
        forecast->pace_us = since_us;
    else
        forecast->pace_us += (since_us - forecast->pace_us) / 8;
}

bool forecast_is_hopeless(const struct forecast *forecast, uint64_t ahead, int64_t patience_us,
                          int64_t now_us)
{
    if (patience_us <= 0 || forecast->samples < FORECAST_SAMPLES)
        return false;
    int64_t silence_us = now_us - forecast->last_us;
    int64_t next_us = silence_us > forecast->pace_us ? silence_us : forecast->pace_us;
    double wait_us = (double)ahead * (double)forecast->pace_us + (double)next_us;
    return wait_us > (double)FORECAST_MARGIN * (double)patience_us;
}
