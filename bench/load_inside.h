// SPDX-License-Identifier: Apache-2.0
// The parts of the load generator (load.c): what it can be asked for (load_options.c), the
// questions and answers of each protocol (load_talk.c), clocks and latencies (load_meter.c). One
// thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_DEPTH = 64, LOAD_QUESTION_BYTES = 256, LOAD_IN_BYTES = 16384 };

enum load_protocol { LOAD_SIMPLE, LOAD_EXTENDED, LOAD_PREPARED, LOAD_REDIS, LOAD_LOGIN };
enum load_order { LOAD_RANDOM, LOAD_SEQUENCE, LOAD_ZIPF };

struct load_options {
    const char *host, *user, *database;
    const char *expect; // what every row has; NULL: its key
    int port;
    enum load_protocol protocol;
    enum load_order order;
    int clients, depth;
    double seconds, warm; // what counts, and what goes before
    uint64_t queries;     // of each connection; 0: for some seconds
    uint32_t first, keys; // first ... first + keys - 1
    double zipf;          // the exponent
    double writes;        // share of 0 to 1
    int cpu_of;           // a process to read the CPU of, or 0
    uint64_t seed;
};

struct load_conn {
    int fd;
    int waiting, answered; // how many questions are on their way, and how many of them are done
    uint64_t asked, sent;  // since the login; when those were sent, in ns
    int rows;              // of the answer that is under way
    size_t used;
    uint32_t keys[LOAD_DEPTH];
    bool write[LOAD_DEPTH];
    uint8_t in[LOAD_IN_BYTES];
};

void load_parse(struct load_options *o, int argc, char **argv);

// Says what went wrong and ends the program with 1: a load with an error is worth nothing.
void load_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

uint32_t load_key(const struct load_options *o);
bool load_is_write(const struct load_options *o);

// Connects and logs in, waiting; non-blocking afterwards.
void load_connect(const struct load_options *o, struct load_conn *c);
void load_leave(const struct load_options *o, struct load_conn *c);
void load_send(int fd, const char *bytes, size_t size);

// Writes one question, at most LOAD_QUESTION_BYTES; returns its size.
size_t load_question(const struct load_options *o, char *bytes, uint32_t key, bool write);

// Takes one message from c->in + at; 0 if it is not there yet. Calls done() when an answer is
// complete, which moves on to the next.
size_t load_answer(const struct load_options *o, struct load_conn *c, size_t at,
                   void (*done)(struct load_conn *c, uint64_t now), uint64_t now);

uint64_t load_now(void);        // ns
uint64_t load_cpu(int process); // ns, of its threads and children that live; 0: none
void load_histogram_add(uint64_t ns);
double load_histogram_us(double share); // the latency that this share does not exceed, to 1.6%
