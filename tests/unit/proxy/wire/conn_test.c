// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/unit/dice.h"
#include "tests/unit/proxy/wire/pair.h"

static uint8_t area[CONN_AREA_BYTES];

static void say(struct pair *pair, const char *text)
{
    assert_int_equal(write(pair->peer, text, strlen(text)), strlen(text));
}

static struct slice read_run(struct pair *pair)
{
    struct slice run = {0};
    assert_int_equal(conn_read(&pair->conn, area, &run), CONN_OK);
    return run;
}

static void test_read_and_keep(void **state)
{
    struct pair pair;
    struct slice run;
    pair_open(&pair, NULL, NULL);
    assert_int_equal(conn_read(&pair.conn, area, &run), CONN_AGAIN);
    say(&pair, "abc");
    run = read_run(&pair);
    assert_true(slice_is(run, "abc"));
    assert_ptr_equal(run.at, area);
    conn_keep(&pair.conn, slice_of(run.at + 3, 0));
    assert_null(pair.conn.in.at); // all handled: nothing is held

    say(&pair, "def");
    run = read_run(&pair);
    conn_keep(&pair.conn, slice_of(run.at + 1, 2));
    memset(area, 0, 10); // somebody else reads
    assert_true(slice_is(conn_kept(&pair.conn), "ef"));
    conn_keep(&pair.conn, buf_slice(&pair.conn.in));
    say(&pair, "gh");
    run = read_run(&pair);
    assert_true(slice_is(run, "efgh"));
    conn_keep(&pair.conn, slice_of(run.at + 3, 1));
    assert_int_equal(conn_read(&pair.conn, area, &run), CONN_AGAIN);
    assert_true(slice_is(conn_kept(&pair.conn), "h"));
    conn_keep(&pair.conn, slice_of(NULL, 0));
    assert_null(pair.conn.in.at);
    assert_true(pair.conn.received == 8);
    pair_close(&pair);
}

static void test_the_end(void **state)
{
    struct pair pair;
    struct slice run;
    pair_open(&pair, NULL, NULL);
    say(&pair, "bye");
    shutdown(pair.peer, SHUT_WR);
    assert_true(slice_is(read_run(&pair), "bye"));
    conn_keep(&pair.conn, slice_of(NULL, 0));
    assert_int_equal(conn_read(&pair.conn, area, &run), CONN_EOF);
    conn_close(&pair.conn);
    conn_close(&pair.conn); // twice is fine
    assert_int_equal(pair.conn.fd, -1);
    pair_close(&pair);
}

static void test_broken(void **state)
{
    struct pair pair;
    pair_open(&pair, NULL, NULL);
    close(pair.peer);
    conn_queue(&pair.conn, slice_str("x"));
    assert_int_equal(conn_flush(&pair.conn), CONN_ERROR);
    assert_int_equal(errno, EPIPE);
    pair.peer = dup(0);
    pair_close(&pair);
}

// A stream handled in random portions, with the area spoilt in between.
static void test_random_portions(void **state)
{
    struct dice dice = dice_of(8);
    struct pair pair;
    pair_open(&pair, NULL, NULL);
    uint32_t sent = 0, handled = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t words[400];
        size_t n = dice_below(&dice, dice_below(&dice, 9) ? 20 : 400);
        for (size_t k = 0; k < n; k++)
            words[k] = sent + (uint32_t)k;
        ssize_t put = n ? write(pair.peer, words, n * 4) : 0;
        assert_true(put <= 0 || put % 4 == 0);
        sent += put > 0 ? (uint32_t)(put / 4) : 0;
        struct slice run;
        if (dice_below(&dice, 3) == 0)
            run = conn_kept(&pair.conn);
        else if (conn_read(&pair.conn, area, &run) != CONN_OK)
            continue;
        size_t use = dice_below(&dice, run.len + 1);
        use = dice_below(&dice, 4) ? run.len / 4 * 4 : use / 4 * 4;
        for (size_t k = 0; k < use; k += 4)
            assert_memory_equal(run.at + k, &handled, 4), handled++;
        conn_keep(&pair.conn, slice_of(run.at + use, run.len - use));
        memset(area, 0xaa, 3000);
    }
    assert_true(handled > 10000 && handled <= sent);
    pair_close(&pair);
}

static int reads;

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct pair *pair = io->data;
    struct slice run;
    assert_int_equal(conn_read(&pair->conn, area, &run), CONN_OK);
    conn_keep(&pair->conn, slice_of(NULL, 0));
    reads++;
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct pair *pair = io->data;
    assert_int_not_equal(conn_flush(&pair->conn), CONN_ERROR);
}

static void test_backpressure_and_loops(void **state)
{
    struct pair pair;
    pair_open(&pair, on_readable, on_writable);
    struct ev_loop *other = ev_loop_new(0);
    reads = 0;
    conn_want_read(&pair.conn, true); // in no loop: nothing happens
    conn_attach(&pair.conn, pair.loop);
    say(&pair, "a");
    ev_run(pair.loop, EVRUN_NOWAIT);
    assert_int_equal(reads, 1);
    conn_want_read(&pair.conn, false);
    say(&pair, "b");
    ev_run(pair.loop, EVRUN_NOWAIT);
    assert_int_equal(reads, 1);
    conn_want_read(&pair.conn, true);
    ev_run(pair.loop, EVRUN_NOWAIT);
    assert_int_equal(reads, 2);
    // To another loop, with output under way.
    static uint8_t much[1 << 20], heard[1 << 20];
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (uint8_t)(i * 7 >> 3);
    conn_queue(&pair.conn, slice_of(much, sizeof(much)));
    assert_int_equal(conn_flush(&pair.conn), CONN_AGAIN);
    conn_detach(&pair.conn);
    conn_detach(&pair.conn);
    conn_attach(&pair.conn, other);
    size_t got = 0;
    for (int i = 0; i < 100000 && got < sizeof(much); i++) {
        got += pair_peer_read(&pair, heard + got, sizeof(much) - got);
        ev_run(other, EVRUN_NOWAIT);
    }
    assert_int_equal(got, sizeof(much));
    assert_memory_equal(heard, much, sizeof(much));
    assert_false(conn_awaits_writable(&pair.conn));
    assert_true(ev_is_active(&pair.conn.readable));
    pair_close(&pair);
    ev_loop_destroy(other);
}

// Queued bytes stay in order when some of what was queued before has gone.
static void test_queue_after_partial_flush(void **state)
{
    struct pair pair;
    pair_open(&pair, NULL, NULL);
    struct dice dice = dice_of(9);
    uint32_t queued = 0, heard = 0;
    while (heard < 300000) {
        uint32_t words[3000];
        size_t n = dice_below(&dice, 3000);
        for (size_t k = 0; k < n; k++)
            words[k] = queued++;
        conn_queue(&pair.conn, slice_of(words, n * 4));
        conn_flush(&pair.conn);
        uint32_t got[5000];
        size_t bytes = pair_peer_read(&pair, (uint8_t *)got, 4 * dice_below(&dice, 5000));
        assert_int_equal(bytes % 4, 0);
        for (size_t k = 0; k < bytes / 4; k++)
            assert_int_equal(got[k], heard++);
    }
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_keep),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_random_portions),
        cmocka_unit_test(test_backpressure_and_loops),
        cmocka_unit_test(test_queue_after_partial_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
