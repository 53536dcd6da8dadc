// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/load_inside.h"

// Latencies by powers of two, 64 steps to each.
enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS, BUCKETS = (64 - STEP_BITS + 1) * STEPS };
static uint64_t buckets[BUCKETS], total;

uint64_t load_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void load_histogram_add(uint64_t ns)
{
    int power = ns < STEPS ? 0 : 63 - __builtin_clzll(ns) - STEP_BITS + 1;
    int shift = power ? power - 1 : 0;
    buckets[power * STEPS + (int)((ns >> shift) & (STEPS - 1))]++;
    total++;
}

double load_histogram_us(double share)
{
    uint64_t before = 0, rank = (uint64_t)(share * (double)total);
    int last = 0;
    for (int i = 0; i < BUCKETS; i++) {
        if (!buckets[i])
            continue;
        last = i;
        before += buckets[i];
        if (before > rank)
            break;
    }
    int power = last / STEPS, shift = power ? power - 1 : 0;
    uint64_t low = (uint64_t)(last % STEPS) + (power ? STEPS : 0);
    return ((double)(low << shift) + (double)(1ull << shift) / 2) / 1e3;
}

uint64_t load_cpu(int process)
{
    char path[64];
    uint64_t all = 0;
    if (!process)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/task", process);
    DIR *threads = opendir(path);
    if (!threads)
        load_fail("no process %d", process);
    for (struct dirent *thread; (thread = readdir(threads));) {
        unsigned long long ns = 0;
        char file[64 + sizeof(thread->d_name)];
        if (thread->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s/schedstat", path, thread->d_name);
        FILE *f = fopen(file, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            all += ns;
        if (f)
            fclose(f);
    }
    closedir(threads);
    return all;
}
