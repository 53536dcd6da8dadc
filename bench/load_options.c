// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load_inside.h"

static const char usage[] =
    "usage: load --port N [--host 127.0.0.1] [--user bench] [--database bench]\n"
    "  --protocol simple|extended|prepared|redis|login   what is spoken; login: only that\n"
    "  --clients N --depth D        connections, and questions of each on their way (up to 64)\n"
    "  --seconds S --warm S         how long, and how long before that it does not count\n"
    "  --queries N                  of each connection, instead\n"
    "  --first N --keys N           which keys\n"
    "  --order random|sequence|zipf --zipf EXPONENT\n"
    "  --writes SHARE               of the questions that are updates\n"
    "  --expect TEXT                what each row has, if not its key\n"
    "  --cpu-of PID                 its CPU for each answer\n"
    "  --seed N\n";

static uint64_t dice;
static double *zipf_until; // [i]: the share of the keys up to the i-th
static uint32_t next_in_sequence;

void load_fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

// xorshift64*
static uint64_t throw(void)
{
    dice ^= dice >> 12;
    dice ^= dice << 25;
    dice ^= dice >> 27;
    return dice * 2685821657736338717u;
}

static double throw_share(void)
{
    return (double)(throw() >> 11) / 9007199254740992.0;
}

static void zipf_begin(const struct load_options *o)
{
    double sum = 0;
    zipf_until = calloc(o->keys, sizeof(*zipf_until));
    if (!zipf_until)
        load_fail("too many keys");
    for (uint32_t i = 0; i < o->keys; i++)
        zipf_until[i] = sum += pow(i + 1, -o->zipf);
    for (uint32_t i = 0; i < o->keys; i++)
        zipf_until[i] /= sum;
}

static uint32_t zipf_rank(uint32_t keys)
{
    double share = throw_share();
    uint32_t low = 0, high = keys - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zipf_until[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t load_key(const struct load_options *o)
{
    switch (o->order) {
    case LOAD_SEQUENCE:
        return o->first + next_in_sequence++ % o->keys;
    case LOAD_ZIPF:
        return o->first + zipf_rank(o->keys);
    default:
        return o->first + (uint32_t)((throw() >> 32) * o->keys >> 32);
    }
}

bool load_is_write(const struct load_options *o)
{
    return o->writes > 0 && throw_share() < o->writes;
}

static int one_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(word, words[i]))
            return i;
    load_fail("'%s' is not known\n%s", word, usage);
}

static void check(const struct load_options *o)
{
    if (o->port < 1 || o->clients < 1 || o->depth < 1 || o->depth > LOAD_DEPTH || o->keys < 1)
        load_fail("out of range\n%s", usage);
    if (!o->queries && (o->seconds <= 0 || o->protocol == LOAD_LOGIN))
        load_fail("how long?\n%s", usage);
    if (o->writes > 0 && o->protocol == LOAD_REDIS)
        load_fail("Redis is only read from");
}

void load_parse(struct load_options *o, int argc, char **argv)
{
    static const char *const protocols[] = {"simple", "extended", "prepared",
                                            "redis",  "login",    NULL};
    static const char *const orders[] = {"random", "sequence", "zipf", NULL};
    static const struct option names[] = {
        {"port", 1, NULL, 'p'},    {"host", 1, NULL, 'h'},    {"user", 1, NULL, 'U'},
        {"database", 1, NULL, 'd'}, {"protocol", 1, NULL, 'M'}, {"clients", 1, NULL, 'c'},
        {"depth", 1, NULL, 'D'},   {"seconds", 1, NULL, 'T'}, {"warm", 1, NULL, 'W'},
        {"queries", 1, NULL, 't'}, {"first", 1, NULL, 'f'},   {"keys", 1, NULL, 'k'},
        {"order", 1, NULL, 'o'},   {"zipf", 1, NULL, 'z'},    {"writes", 1, NULL, 'w'},
        {"expect", 1, NULL, 'e'},  {"cpu-of", 1, NULL, 'P'},  {"seed", 1, NULL, 's'},
        {NULL, 0, NULL, 0}};
    *o = (struct load_options){.host = "127.0.0.1", .user = "bench", .database = "bench",
                               .clients = 1, .depth = 1, .first = 1, .keys = 1000, .zipf = 1,
                               .seed = 1};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
        switch (c) {
        case 'p': o->port = atoi(optarg); break;
        case 'h': o->host = optarg; break;
        case 'U': o->user = optarg; break;
        case 'd': o->database = optarg; break;
        case 'M': o->protocol = one_of(optarg, protocols); break;
        case 'c': o->clients = atoi(optarg); break;
        case 'D': o->depth = atoi(optarg); break;
        case 'T': o->seconds = atof(optarg); break;
        case 'W': o->warm = atof(optarg); break;
        case 't': o->queries = strtoull(optarg, NULL, 10); break;
        case 'f': o->first = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'k': o->keys = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'o': o->order = one_of(optarg, orders); break;
        case 'z': o->zipf = atof(optarg); break;
        case 'w': o->writes = atof(optarg); break;
        case 'e': o->expect = optarg; break;
        case 'P': o->cpu_of = atoi(optarg); break;
        case 's': o->seed = strtoull(optarg, NULL, 10); break;
        default: load_fail("%s", usage);
        }
    check(o);
    if (o->cpu_of && !load_cpu(o->cpu_of))
        load_fail("no process %d", o->cpu_of);
    dice = o->seed * 0x9e3779b97f4a7c15u | 1;
    if (o->order == LOAD_ZIPF)
        zipf_begin(o);
}
