// SPDX-License-Identifier: Apache-2.0
// The load generator of the benches: one thread, an epoll loop, N connections, each with D
// questions on their way. It asks what `pgbench -S` asks, byte for byte the same for every target,
// in PostgreSQL's simple and extended protocol; of Redis it asks a GET for the same row. Every
// answer is looked at: in the benches' table a row's balance is its own key. The result is one
// line of JSON.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench/load_inside.h"

enum { EVENTS = 512 };

static struct {
    struct load_options o;
    struct load_conn *conns;
    int epoll;
    int busy;            // connections that owe an answer
    int counting;        // between the end of the warm-up and the end
    int stopping;        // nothing is asked any more
    uint64_t begin, end; // of what counts, in ns
    uint64_t cpu;        // of --cpu-of at the beginning, then for the whole time
    uint64_t reads, writes;
} run;

static void batch_begin(struct load_conn *c)
{
    const struct load_options *o = &run.o;
    int depth = o->depth;
    if (o->queries && o->queries - c->asked < (uint64_t)depth)
        depth = (int)(o->queries - c->asked);
    char bytes[LOAD_DEPTH * LOAD_QUESTION_BYTES];
    size_t used = 0;
    for (int i = 0; i < depth; i++) {
        c->keys[i] = load_key(o);
        c->write[i] = load_is_write(o);
        used += load_question(o, bytes + used, c->keys[i], c->write[i]);
    }
    c->asked += (uint64_t)depth;
    c->waiting = depth;
    c->answered = 0;
    c->sent = load_now();
    load_send(c->fd, bytes, used);
}

static void answered(struct load_conn *c, uint64_t now)
{
    bool write = c->write[c->answered++];
    if (run.counting || run.o.queries) {
        load_histogram_add(now - c->sent);
        *(write ? &run.writes : &run.reads) += 1;
    }
}

static void batch_end(struct load_conn *c)
{
    if (run.stopping || (run.o.queries && c->asked == run.o.queries))
        run.busy--;
    else
        batch_begin(c);
}

static void readable(struct load_conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->used, sizeof(c->in) - c->used, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        load_fail("a connection was closed: %s", n ? strerror(errno) : "end of file");
    c->used += (size_t)n;
    size_t at = 0, size;
    uint64_t now = load_now();
    while (c->answered < c->waiting && (size = load_answer(&run.o, c, at, answered, now)))
        at += size;
    if (c->answered == c->waiting && at < c->used)
        load_fail("an answer that was not asked for");
    if (at < c->used)
        memmove(c->in, c->in + at, c->used - at);
    c->used -= at;
    if (c->answered == c->waiting)
        batch_end(c);
}

// The next change of phase, if it is time for it. A run of --queries counts all.
static void phase(void)
{
    if (run.o.queries || run.stopping)
        return;
    uint64_t now = load_now();
    if (!run.counting && now >= run.begin) {
        run.counting = 1;
        run.cpu = load_cpu(run.o.cpu_of);
        run.begin = load_now();
        run.end = run.begin + (uint64_t)(run.o.seconds * 1e9);
    } else if (run.counting && now >= run.end) {
        run.cpu = load_cpu(run.o.cpu_of) - run.cpu;
        run.end = load_now();
        run.counting = 0;
        run.stopping = 1;
    }
}

static void turn(void)
{
    struct epoll_event ready[EVENTS];
    // Whoever does not answer for a minute never will.
    int n = epoll_wait(run.epoll, ready, EVENTS, run.counting || run.stopping ? 60000 : 1000);
    if (n < 0 && errno != EINTR)
        load_fail("epoll_wait: %s", strerror(errno));
    if (n == 0 && (run.counting || run.stopping || run.o.queries))
        load_fail("no answer");
    for (int i = 0; i < n; i++)
        readable(ready[i].data.ptr);
    phase();
}

static void all_in(void)
{
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.conns = calloc((size_t)run.o.clients, sizeof(*run.conns));
    if (run.epoll < 0 || !run.conns)
        load_fail("no room for %d connections", run.o.clients);
    for (int i = 0; i < run.o.clients; i++) {
        struct load_conn *c = &run.conns[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        load_connect(&run.o, c);
        if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event))
            load_fail("epoll_ctl: %s", strerror(errno));
    }
}

static void ask(void)
{
    all_in();
    run.begin = load_now() + (run.o.queries ? 0 : (uint64_t)(run.o.warm * 1e9));
    if (run.o.queries)
        run.cpu = load_cpu(run.o.cpu_of);
    run.busy = run.o.clients;
    for (int i = 0; i < run.o.clients; i++)
        batch_begin(&run.conns[i]);
    while (run.busy)
        turn();
    if (run.o.queries) {
        run.cpu = load_cpu(run.o.cpu_of) - run.cpu;
        run.end = load_now();
    }
    for (int i = 0; i < run.o.clients; i++)
        load_leave(&run.o, &run.conns[i]);
}

// One login after the other, each with nothing asked.
static void log_in(void)
{
    static struct load_conn c;
    run.cpu = load_cpu(run.o.cpu_of);
    run.begin = load_now();
    for (uint64_t i = 0; i < run.o.queries; i++) {
        uint64_t sent = load_now();
        load_connect(&run.o, &c);
        load_histogram_add(load_now() - sent);
        load_leave(&run.o, &c);
        run.reads++;
    }
    run.cpu = load_cpu(run.o.cpu_of) - run.cpu;
    run.end = load_now();
}

static void report(void)
{
    double seconds = (double)(run.end - run.begin) / 1e9;
    double queries = (double)(run.reads + run.writes);
    if (queries == 0)
        load_fail("no answers");
    printf("{\"reads\": %llu, \"writes\": %llu, \"seconds\": %.6f, \"tps\": %.1f, "
           "\"cpu_us\": %.4f, \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, "
           "\"max_us\": %.2f}\n",
           (unsigned long long)run.reads, (unsigned long long)run.writes, seconds,
           queries / seconds, (double)run.cpu / queries / 1e3, load_histogram_us(0.50),
           load_histogram_us(0.90), load_histogram_us(0.99), load_histogram_us(1));
}

int main(int argc, char **argv)
{
    load_parse(&run.o, argc, argv);
    if (run.o.protocol == LOAD_LOGIN)
        log_in();
    else
        ask();
    report();
    return 0;
}
