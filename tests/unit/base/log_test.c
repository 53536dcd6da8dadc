// SPDX-License-Identifier: Apache-2.0
// What goes into the log: PgBouncer's form, one line for each entry whatever a peer sent.
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64], moved[80];

static int open_once(void **state)
{
    strcpy(path, "/tmp/pgweir-log-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    snprintf(moved, sizeof(moved), "%s.1", path);
    return !log_open(path, true);
}

static int remove_files(void **state)
{
    unlink(path);
    unlink(moved);
    return 0;
}

static void empty(void)
{
    assert_int_equal(truncate(path, 0), 0);
}

// All that is in the file now.
static const char *logged(const char *file)
{
    static char text[1 << 20];
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void test_form(void **state)
{
    empty();
    log_warning("pool %s is full: %d", "a/b", 3);
    const char *text = logged(path);
    int year, month, day, hour, minute, second, ms, pid, read = 0;
    char zone[16];
    assert_int_equal(sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d.%3d %15s [%d] WARNING %n", &year,
                            &month, &day, &hour, &minute, &second, &ms, zone, &pid, &read),
                     9);
    assert_int_equal(pid, getpid());
    assert_string_equal(text + read, "pool a/b is full: 3\n");
}

static void test_no_forged_lines(void **state)
{
    empty();
    log_info("user \"%s\" unknown", "x\n2026-01-01 00:00:00.000 UTC [1] LOG all is well\r\n");
    const char *text = logged(path);
    assert_int_equal(lines(text), 1);
    assert_null(strchr(text, '\r'));
    assert_non_null(strstr(text, "x 2026-01-01"));
    assert_string_equal(text + strlen(text) - 12, "  \" unknown\n");
}

static void test_long_entries_are_cut(void **state)
{
    char *sent = malloc(5001);
    memset(sent, 'y', 5000);
    sent[5000] = '\0';
    for (int n = 1950; n < 2100; n++) {
        empty();
        log_error("%.*s", n, sent);
        const char *text = logged(path);
        size_t len = strlen(text);
        assert_true(len <= 2048);
        assert_int_equal(lines(text), 1);
        assert_int_equal(text[len - 1], '\n');
        assert_int_equal(text[len - 2], 'y');
    }
    sent[4000] = '\n'; // behind what is cut
    sent[100] = '\n';
    empty();
    log_error("%s", sent);
    assert_int_equal(lines(logged(path)), 1);
    free(sent);
}

static void test_verbosity(void **state)
{
    empty();
    assert_true(log_wants(LOG_LEVEL_INFO));
    assert_false(log_wants(LOG_LEVEL_DEBUG));
    log_debug("a");
    log_verbosity(1);
    log_debug("b");
    log_write(LOG_LEVEL_NOISE, "c");
    log_verbosity(2);
    log_write(LOG_LEVEL_NOISE, "d");
    log_verbosity(0);
    log_debug("e");
    const char *text = logged(path);
    assert_int_equal(lines(text), 2);
    assert_non_null(strstr(text, "DEBUG b\n"));
    assert_non_null(strstr(text, "NOISE d\n"));
}

static void test_errno_is_kept(void **state)
{
    errno = EDOM;
    log_info("x");
    assert_int_equal(errno, EDOM);
}

static void test_rotation(void **state)
{
    empty();
    log_info("one");
    assert_int_equal(rename(path, moved), 0);
    log_info("two");
    assert_true(log_reopen());
    log_info("three");
    assert_int_equal(lines(logged(moved)), 2);
    assert_int_equal(lines(logged(path)), 1);
}

static void *write_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        log_info("thread %s line %d end", (const char *)arg, i);
    return NULL;
}

static void test_threads_do_not_mix(void **state)
{
    empty();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, write_many, (void *)(i == 0 ? "a" : "b"));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    char *text = strdup(logged(path)), *save = NULL;
    int n = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
        assert_non_null(strstr(line, "LOG thread "));
        assert_string_equal(line + strlen(line) - 4, " end");
    }
    assert_int_equal(n, 3000);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),          cmocka_unit_test(test_no_forged_lines),
        cmocka_unit_test(test_long_entries_are_cut), cmocka_unit_test(test_verbosity),
        cmocka_unit_test(test_errno_is_kept), cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, open_once, remove_files);
}
