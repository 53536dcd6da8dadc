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

static uint64_t number_in(const char *directory, const char *name)
{
    char path[300];
    unsigned long long number = 0;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "r");
    if (f) {
        if (fscanf(f, "%llu", &number) != 1)
            number = 0;
        fclose(f);
    }
    return number;
}

// Also of the processes that a thread has begun: Pgpool-II has one for each client.
static uint64_t cpu_of_thread(const char *thread)
{
    char path[300];
    int child;
    uint64_t all = number_in(thread, "schedstat");
    snprintf(path, sizeof(path), "%s/children", thread);
    FILE *f = fopen(path, "r");
    while (f && fscanf(f, "%d", &child) == 1)
        all += load_cpu(child);
    if (f)
        fclose(f);
    return all;
}

uint64_t load_cpu(int process)
{
    char path[32], thread[sizeof(path) + sizeof(((struct dirent *)0)->d_name)];
    uint64_t all = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", process);
    DIR *threads = process ? opendir(path) : NULL;
    if (!threads)
        return 0;
    for (struct dirent *entry; (entry = readdir(threads));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(thread, sizeof(thread), "%s/%s", path, entry->d_name);
        all += cpu_of_thread(thread);
    }
    closedir(threads);
    return all;
}
