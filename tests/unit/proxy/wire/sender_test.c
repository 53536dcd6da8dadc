// SPDX-License-Identifier: Apache-2.0
// Whatever is borrowed or copied, and however little the socket takes: all bytes arrive, in order.
#include "proxy/wire/sender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/unit/dice.h"
#include "tests/unit/proxy/wire/pair.h"

enum { ALL_BYTES = 4 << 20 };

struct flow {
    struct pair pair;
    struct sender sender;
    struct dice dice;
    uint8_t *said; // all of it, in order
    size_t put, got;
};

static void open_flow(struct flow *f, uint64_t seed)
{
    f->dice = dice_of(seed);
    f->said = malloc(ALL_BYTES);
    f->put = f->got = 0;
    f->sender.conn = NULL;
    f->sender.count = f->sender.posted = 0;
    pair_open(&f->pair, NULL, NULL);
    conn_attach(&f->pair.conn, f->pair.loop);
}

static void hear(struct flow *f, size_t most)
{
    uint8_t bytes[70000];
    while (most > 0) {
        size_t n = pair_peer_read(&f->pair, bytes, most < sizeof(bytes) ? most : sizeof(bytes));
        if (n == 0)
            return;
        assert_true(f->got + n <= f->put);
        assert_memory_equal(bytes, f->said + f->got, n);
        f->got += n;
        most -= n;
    }
}

// The rest of it, as the loop would.
static void finish(struct flow *f)
{
    sender_send_posted(&f->sender);
    while (conn_flush(&f->pair.conn) == CONN_AGAIN) {
        assert_true(conn_awaits_writable(&f->pair.conn));
        hear(f, SIZE_MAX);
    }
    assert_false(conn_awaits_writable(&f->pair.conn));
    assert_false(conn_has_output(&f->pair.conn));
    assert_null(f->pair.conn.out.at); // an idle connection holds no buffer
    hear(f, SIZE_MAX);
    assert_int_equal(f->got, f->put);
    assert_true(f->pair.conn.sent == f->put);
}

static void close_flow(struct flow *f)
{
    finish(f);
    pair_close(&f->pair);
    free(f->said);
}

// The next n bytes of what is said; they stay where they are, so they may be borrowed.
static struct slice next_bytes(struct flow *f, size_t n)
{
    if (n > ALL_BYTES - f->put)
        n = ALL_BYTES - f->put;
    struct slice s = slice_of(f->said + f->put, n);
    for (size_t i = 0; i < n; i++)
        f->said[f->put + i] = (uint8_t)dice_u64(&f->dice);
    f->put += n;
    return s;
}

static size_t some_size(struct dice *dice)
{
    switch (dice_below(dice, 6)) {
    case 0: return dice_below(dice, 4);
    case 1: return SENDER_SMALL_BYTES - 1 + dice_below(dice, 3);
    case 2: return SENDER_SCRATCH_BYTES - 1 + dice_below(dice, 3);
    case 3: return dice_below(dice, 2 * SENDER_SCRATCH_BYTES + 5000);
    default: return dice_below(dice, 300);
    }
}

// Copied from a place that is overwritten at once.
static void copy_some(struct flow *f, size_t n)
{
    struct slice s = next_bytes(f, n);
    uint8_t *place = malloc(s.len + 1);
    memcpy(place, s.at, s.len);
    sender_copy(&f->sender, slice_of(place, s.len));
    memset(place, 0xee, s.len);
    free(place);
}

// Borrowed: it lives until the flush, no longer.
static void lend_some(struct flow *f, size_t n, struct buf *lent, int *count)
{
    struct slice s = next_bytes(f, n);
    buf_put(&lent[*count], s);
    sender_put(&f->sender, buf_slice(&lent[*count]));
    ++*count;
}

static void one_bracket(struct flow *f)
{
    enum { MOST = 200 };
    struct buf lent[MOST] = {{0}};
    int count = 0;
    size_t puts = dice_below(&f->dice, dice_below(&f->dice, 5) ? 10 : MOST);
    sender_begin(&f->sender, &f->pair.conn);
    for (size_t i = 0; i < puts; i++) {
        size_t n = puts > 20 ? dice_below(&f->dice, 3000) : some_size(&f->dice);
        switch (dice_below(&f->dice, 5)) {
        case 0: case 1: copy_some(f, n); break;
        case 2: case 3: lend_some(f, n, lent, &count); break;
        case 4: // straight from where it lies, run behind run
            sender_put(&f->sender, next_bytes(f, n));
            break;
        }
        if (dice_below(&f->dice, 12) == 0)
            assert_true(sender_flush(&f->sender));
        if (dice_below(&f->dice, 12) == 0)
            hear(f, dice_below(&f->dice, 20000));
    }
    assert_true(sender_end(&f->sender));
    assert_null(f->sender.conn);
    for (int i = 0; i < count; i++) {
        memset(lent[i].at ? lent[i].at : (uint8_t *)"", 0xdd, lent[i].at ? lent[i].len : 0);
        buf_fini(&lent[i]);
    }
}

static void test_random_brackets(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    for (uint64_t seed = 1; seed <= 30; seed++) {
        open_flow(f, seed);
        while (f->put < ALL_BYTES / 4) {
            one_bracket(f);
            if (dice_below(&f->dice, 3) == 0)
                conn_flush(&f->pair.conn);
            if (dice_below(&f->dice, 3) == 0)
                sender_send_posted(&f->sender);
            if (dice_below(&f->dice, 8) == 0)
                conn_queue(&f->pair.conn, next_bytes(f, dice_below(&f->dice, 500)));
            if (dice_below(&f->dice, 10) == 0)
                finish(f);
            else
                hear(f, dice_below(&f->dice, 60000));
        }
        close_flow(f);
    }
    free(f);
}

// More runs than there is room for, none of which can be joined.
static void test_many_runs(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    for (int copies = 0; copies < 3; copies++) {
        open_flow(f, 99);
        struct buf lent[200] = {{0}};
        int count = 0;
        sender_begin(&f->sender, &f->pair.conn);
        while (count < 200) {
            lend_some(f, 3 + (size_t)count % 7, lent, &count);
            if (copies == 1 || (copies == 2 && count % 2))
                copy_some(f, 5);
        }
        assert_true(sender_end(&f->sender));
        for (int i = 0; i < 200; i++)
            buf_fini(&lent[i]);
        close_flow(f);
    }
    free(f);
}

// What is queued already goes first.
static void test_behind_what_is_queued(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    open_flow(f, 5);
    conn_queue(&f->pair.conn, next_bytes(f, 10));
    sender_begin(&f->sender, &f->pair.conn);
    sender_put(&f->sender, next_bytes(f, 5000));
    assert_true(sender_end(&f->sender));
    assert_int_equal(f->pair.conn.sent, 0);
    assert_true(conn_awaits_writable(&f->pair.conn));
    close_flow(f);
    free(f);
}

static void test_nothing_to_say(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    open_flow(f, 6);
    sender_begin(&f->sender, &f->pair.conn);
    sender_put(&f->sender, slice_of(NULL, 0));
    sender_copy(&f->sender, slice_of(NULL, 0));
    assert_true(sender_end(&f->sender));
    assert_false(conn_awaits_writable(&f->pair.conn));
    close_flow(f);
    free(f);
}

static void test_broken_connection(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    open_flow(f, 7);
    close(f->pair.peer);
    sender_begin(&f->sender, &f->pair.conn);
    sender_put(&f->sender, slice_str("x"));
    assert_false(sender_flush(&f->sender));
    assert_int_equal(errno, EPIPE);
    for (int i = 0; i < 300; i++) // dropped
        sender_copy(&f->sender, slice_str("more"));
    assert_false(sender_end(&f->sender));
    assert_false(conn_has_output(&f->pair.conn));
    sender_begin(&f->sender, &f->pair.conn); // a new bracket begins anew
    assert_false(f->sender.failed);
    assert_true(sender_end(&f->sender));
    pair_close(&f->pair);
    free(f->said);
    free(f);
}

static void say_some(struct flow *f, size_t n)
{
    sender_begin(&f->sender, &f->pair.conn);
    sender_put(&f->sender, next_bytes(f, n));
    assert_true(sender_end(&f->sender));
}

// What is short goes out at the end of the turn, in one piece; what is long at once, behind it.
static void test_posted(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    open_flow(f, 8);
    say_some(f, 10);
    say_some(f, 20);
    hear(f, SIZE_MAX);
    assert_int_equal(f->got, 0);
    assert_int_equal(f->sender.posted, 1);
    sender_send_posted(&f->sender);
    hear(f, SIZE_MAX);
    assert_int_equal(f->got, 30);
    assert_null(f->pair.conn.posted);
    say_some(f, 10);
    say_some(f, SENDER_SMALL_BYTES + 1);
    hear(f, SIZE_MAX);
    assert_int_equal(f->got, 30 + 10 + SENDER_SMALL_BYTES + 1);
    say_some(f, 10);
    conn_queue(&f->pair.conn, next_bytes(f, 10)); // behind what is posted
    assert_null(f->pair.conn.posted);
    close_flow(f);
    free(f);
}

// Many connections, more than there is room for; each gets its own.
static void test_posted_to_many(void **state)
{
    enum { MANY = SENDER_POSTS + 20 };
    struct sender *s = calloc(1, sizeof(*s));
    struct pair pairs[MANY];
    for (int i = 0; i < MANY; i++) {
        pair_open(&pairs[i], NULL, NULL);
        conn_attach(&pairs[i].conn, pairs[i].loop);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            uint8_t word[3] = {(uint8_t)i, (uint8_t)round, 7};
            sender_begin(s, &pairs[i].conn);
            sender_copy(s, slice_of(word, sizeof(word)));
            assert_true(sender_end(s));
        }
    }
    sender_send_posted(s);
    for (int i = 0; i < MANY; i++) {
        uint8_t got[20];
        assert_int_equal(pair_peer_read(&pairs[i], got, sizeof(got)), 9);
        for (int round = 0; round < 3; round++)
            assert_true(got[round * 3] == i && got[round * 3 + 1] == round);
        pair_close(&pairs[i]);
    }
    free(s);
}

// Closing and detaching say it before.
static void test_posted_before_the_end(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    open_flow(f, 9);
    say_some(f, 10);
    conn_detach(&f->pair.conn);
    hear(f, SIZE_MAX);
    assert_int_equal(f->got, 10);
    conn_attach(&f->pair.conn, f->pair.loop);
    say_some(f, 10);
    conn_close(&f->pair.conn);
    hear(f, SIZE_MAX);
    assert_int_equal(f->got, 20);
    assert_int_equal(f->sender.posted, 0);
    pair_close(&f->pair);
    free(f->said);
    free(f);
}

static int heard_of_it;

static void hears(struct ev_loop *loop, ev_io *io, int events)
{
    heard_of_it++;
}

// The owner of a broken connection learns of it as of any end.
static void test_posted_to_a_broken_connection(void **state)
{
    struct flow *f = calloc(1, sizeof(*f));
    open_flow(f, 10);
    ev_set_cb(&f->pair.conn.readable, hears);
    close(f->pair.peer);
    say_some(f, 10);
    sender_send_posted(&f->sender);
    assert_int_equal(ev_pending_count(f->pair.loop), 1);
    ev_invoke_pending(f->pair.loop);
    assert_int_equal(heard_of_it, 1);
    say_some(f, 10);
    sender_send_posted(&f->sender);
    conn_close(&f->pair.conn); // nothing is pending for who is closed
    ev_invoke_pending(f->pair.loop);
    assert_int_equal(heard_of_it, 1);
    pair_close(&f->pair);
    free(f->said);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_brackets),    cmocka_unit_test(test_many_runs),
        cmocka_unit_test(test_behind_what_is_queued), cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_broken_connection), cmocka_unit_test(test_posted),
        cmocka_unit_test(test_posted_to_many), cmocka_unit_test(test_posted_before_the_end),
        cmocka_unit_test(test_posted_to_a_broken_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
