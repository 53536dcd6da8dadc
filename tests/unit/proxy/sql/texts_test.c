// SPDX-License-Identifier: Apache-2.0
// The memory of texts: found again by template, bounded, the same for all threads.
// TEXTS_TEST_TIMING=1 prints what a lookup costs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "proxy/sql/texts.h"

enum { PLENTY_BYTES = 64 << 20 };

static void test_found_again(void **state)
{
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct analysis *a = texts_analysis(texts, slice_str("select a from t where b = 5"));
    struct analysis *b = texts_analysis(texts, slice_str("select a from t where b = 67"));
    struct analysis *c = texts_analysis(texts, slice_str("select a from t where b = 'x'"));
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(a->bypass, BYPASS_NONE);
    struct texts_statistics statistics = texts_statistics(texts);
    assert_int_equal(statistics.count, 2);
    assert_int_equal(statistics.hits, 1);
    assert_int_equal(statistics.misses, 2);
    assert_true(statistics.bytes > 0);
    texts_free(texts);
    assert_int_equal(a->kind, STATEMENT_SELECT); // outlives the memory of it
    analysis_unref(&a);
    analysis_unref(&b);
    analysis_unref(&c);
}

// A text that holds a placeholder's byte is not the template that holds it.
static void test_verbatim_is_not_template(void **state)
{
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct analysis *a = texts_analysis(texts, slice_str("select a from t where b = 5"));
    struct analysis *b = texts_analysis(texts, slice_str("select a from t where b = \x01"));
    assert_int_equal(a->kind, STATEMENT_SELECT);
    assert_int_equal(b->kind, STATEMENT_UNKNOWN);
    analysis_unref(&a);
    analysis_unref(&b);
    texts_free(texts);
}

static void test_unreadable_is_remembered(void **state)
{
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct analysis *a = texts_analysis(texts, slice_str("selec 5"));
    struct analysis *b = texts_analysis(texts, slice_str("selec 6"));
    assert_ptr_equal(a, b);
    assert_int_equal(a->kind, STATEMENT_UNKNOWN);
    analysis_unref(&a);
    analysis_unref(&b);
    texts_free(texts);
}

static void test_not_terminated(void **state)
{
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct texts_front *front = texts_front_new(texts);
    char *exact = mem_alloc(15); // so that a read beyond it is seen under ASan
    memcpy(exact, "select * from t", 15);
    struct analysis *a = texts_front_analysis(front, slice_of(exact, 15));
    assert_int_equal(a->reads.count, 1);
    assert_int_equal(texts_front_analysis(front, slice_of(exact, 0))->kind, STATEMENT_EMPTY);
    mem_free(exact);
    texts_front_free(front);
    texts_free(texts);
}

static void test_known_by_its_place(void **state)
{
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct texts_front *front = texts_front_new(texts);
    char bytes[] = "select * from t", other[] = "delete from u";
    struct slice sql = slice_str(bytes);
    struct analysis *a = texts_front_read(front, sql);
    assert_ptr_equal(texts_front_read(front, sql), a);
    memcpy(bytes, "update t set a=1", sql.len); // not said: so it is not looked at again
    assert_ptr_equal(texts_front_read(front, sql), a);
    sql.len--;
    assert_int_equal(texts_front_read(front, sql)->kind, STATEMENT_UNKNOWN);
    sql.len++;
    memcpy(bytes, "delete from abcd", sql.len);
    assert_int_equal(texts_front_read(front, sql)->kind, STATEMENT_WRITE);
    memcpy(bytes, "select * from t", sql.len);
    texts_front_moved(front);
    assert_int_equal(texts_front_read(front, sql)->kind, STATEMENT_SELECT);
    memcpy(bytes, "delete from abcd", sql.len);
    assert_int_equal(texts_front_analysis(front, slice_str(other))->kind, STATEMENT_WRITE);
    assert_int_equal(texts_front_read(front, sql)->kind, STATEMENT_WRITE); // another came between
    texts_front_free(front);
    texts_free(texts);
}

static void test_bounded(void **state)
{
    struct texts *texts = texts_new(320, PLENTY_BYTES);
    char text[100];
    for (int i = 0; i < 5000; i++) {
        int n = snprintf(text, sizeof(text), "select a%d from t", i);
        struct analysis *a = texts_analysis(texts, slice_of(text, (size_t)n));
        analysis_unref(&a);
        a = texts_analysis(texts, slice_str("select hot from t")); // CLOCK keeps it
        analysis_unref(&a);
        assert_true(texts_statistics(texts).count <= 320);
    }
    struct texts_statistics statistics = texts_statistics(texts);
    assert_int_equal(statistics.misses, 5001);
    assert_int_equal(statistics.evictions, 5001 - statistics.count);
    texts_free(texts);

    texts = texts_new(100000, 16 * 20000);
    for (int i = 0; i < 2000; i++) {
        struct buf b = {0};
        buf_printf(&b, "select '%d now' || '%0*d' from t", i, 1000, 0);
        struct analysis *a = texts_analysis(texts, buf_slice(&b));
        analysis_unref(&a);
        buf_fini(&b);
        assert_true(texts_statistics(texts).bytes <= 16 * 20000);
    }
    texts_free(texts);
}

// Texts in the front's places for texts as they came, many more than there are, short and long
// ones: each gets what is true of it, however often they take each other's place.
static void test_each_text_is_itself(void **state)
{
    enum { VARIANTS = 6000, CALLS = 60000 };
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct texts_front *front = texts_front_new(texts);
    unsigned seed = 5;
    for (int i = 0; i < CALLS; i++) {
        int n = rand_r(&seed) % VARIANTS;
        char sql[400];
        int len = snprintf(sql, sizeof(sql), "select a%s from t where b = %d %*s",
                           n % 3 == 0 ? ", random()" : "", n, n % 300, "");
        struct analysis *a = texts_front_analysis(front, slice_of(sql, (size_t)len));
        assert_int_equal(a->bypass, n % 3 == 0 ? BYPASS_VOLATILE_FUNCTION : BYPASS_NONE);
        assert_ptr_equal(texts_front_analysis(front, slice_of(sql, (size_t)len)), a);
    }
    texts_front_free(front);
    texts_free(texts);
}

// Too long to be kept: analysed, not remembered, and valid until the next call of the front.
static void test_long(void **state)
{
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct texts_front *front = texts_front_new(texts);
    struct buf b = {0};
    buf_printf(&b, "select * from t where a in (1");
    for (int i = 0; i < 30000; i++)
        buf_printf(&b, ",%d", i);
    buf_printf(&b, ")");
    for (int i = 0; i < 3; i++)
        assert_int_equal(texts_front_analysis(front, buf_slice(&b))->bypass, BYPASS_NONE);
    assert_int_equal(texts_statistics(texts).count, 0);
    b.len = 29 + 2 * 1500; // medium: remembered, but not in front
    buf_printf(&b, "0)");
    struct analysis *a = texts_front_analysis(front, buf_slice(&b));
    assert_ptr_equal(texts_front_analysis(front, buf_slice(&b)), a);
    assert_int_equal(texts_statistics(texts).count, 1);
    buf_fini(&b);
    texts_front_free(front);
    texts_free(texts);
}

// ---- Threads ------------------------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 4000 };

static void *work(void *arg)
{
    struct texts *texts = arg;
    struct texts_front *front = texts_front_new(texts);
    unsigned state = (unsigned)(uintptr_t)&front;
    char text[100];
    for (int i = 0; i < ROUNDS; i++) {
        state = state * 1664525 + 1013904223;
        unsigned which = (state >> 16) % 200;
        int n = snprintf(text, sizeof(text), "select a from t%u where b = %u", which, state);
        struct slice sql = slice_of(text, (size_t)n);
        struct analysis *a = i % 2 ? analysis_ref(texts_front_analysis(front, sql))
                                   : texts_analysis(texts, sql);
        char expected[12];
        snprintf(expected, sizeof(expected), "t%u", which);
        if (a->reads.count != 1 || !slice_is(a->reads.at[0].name, expected))
            abort();
        analysis_unref(&a);
    }
    texts_front_free(front);
    return NULL;
}

static void test_threads(void **state)
{
    struct texts *texts = texts_new(64, PLENTY_BYTES); // too few for all: evictions under way
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, texts), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(texts_statistics(texts).count <= 64);
    texts_free(texts);
}

// ---- Timing -------------------------------------------------------------------------------------

static double ns_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void test_timing(void **state)
{
    if (getenv("TEXTS_TEST_TIMING") == NULL)
        skip();
    enum { LOOKUPS = 5000000, VARIANTS = 64 };
    struct texts *texts = texts_new(1000, PLENTY_BYTES);
    struct texts_front *front = texts_front_new(texts);
    static char text[VARIANTS][100];
    uint8_t out[TEMPLATE_MAX_BYTES];
    size_t len[VARIANTS], sum = 0;
    for (int i = 0; i < VARIANTS; i++)
        len[i] = (size_t)snprintf(text[i], sizeof(text[i]),
                                  "SELECT abalance FROM pgbench_accounts WHERE aid = %d;",
                                  10000 + i * 1234);
    double start = ns_now();
    for (int i = 0; i < LOOKUPS; i++)
        sum += template_of(slice_of(text[i % VARIANTS], len[i % VARIANTS]), out).bytes.len;
    double middle = ns_now();
    for (int i = 0; i < LOOKUPS; i++)
        sum += (size_t)texts_front_analysis(front, slice_of(text[i % VARIANTS], len[i % VARIANTS]))
                   ->kind;
    double end = ns_now();
    for (int i = 0; i < 20000; i++) {
        struct analysis *a = analysis_new(slice_of(text[i % VARIANTS], len[i % VARIANTS]));
        analysis_unref(&a);
    }
    print_message("template %.0f ns, front %.0f ns, analysis %.1f us (%zu)\n",
                  (middle - start) / LOOKUPS, (end - middle) / LOOKUPS,
                  (ns_now() - end) / 20000 / 1000, sum);
    texts_front_free(front);
    texts_free(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_text_is_itself),
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_verbatim_is_not_template),
        cmocka_unit_test(test_unreadable_is_remembered),
        cmocka_unit_test(test_not_terminated),
        cmocka_unit_test(test_known_by_its_place),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_timing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
