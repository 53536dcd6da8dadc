// SPDX-License-Identifier: Apache-2.0
// Configuration files and connection strings, changed at random: read or refused with a line and a
// sentence, never worse.
#include "config/ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fuzz/mutate.h"

static const char ini[] =
    ";; a comment\n"
    "[databases]\n"
    "shop = host=127.0.0.1 port=5432 dbname='sh''op' connect_query='select 1'\n"
    "\"odd name\" = host=/tmp\n"
    "* = host=x\n"
    "[pgbouncer]\n"
    "listen_port = 6432\r\n"
    "auth_file = /etc/users.txt\n"
    "  pool_mode=transaction  \n"
    "# another\n"
    "%include /tmp/pgweir-fuzz-not-there.ini\n"
    "[users]\n"
    "anna = pool_size=5\n";

struct seen {
    size_t count;
    int last_line;
};

static void handle(void *arg, const struct ini_line *line)
{
    struct seen *seen = arg;
    assert_non_null(line->section);
    assert_non_null(line->file);
    assert_true(line->line >= seen->last_line && line->line >= 1);
    assert_int_equal(line->key == NULL, line->value == NULL);
    if (line->key != NULL)
        seen->count += strlen(line->key) + strlen(line->value) + 1;
    seen->last_line = line->line;
}

static void test_files(void **state)
{
    char path[] = "/tmp/pgweir-fuzz-XXXXXX";
    int fd = mkstemp(path);
    struct dice dice = dice_of(fuzz_seed());
    struct buf valid = {0};
    buf_bytes(&valid, ini, sizeof(ini) - 1);
    for (size_t round = fuzz_rounds(20000); round-- > 0;) {
        size_t n;
        uint8_t *bytes = mutated(&valid, &dice, &n);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, n, 0), n);
        struct problems problems = {0};
        struct seen seen = {0};
        bool ok = ini_read(path, handle, &seen, &problems);
        assert_true(ok || problems.errors > 0);
        assert_true(seen.count <= n + 1);
        for (size_t i = 0; i < problems.count; i++)
            assert_true(problems.at[i].text[0] != '\0');
        problems_fini(&problems);
        free(bytes);
    }
    buf_fini(&valid);
    close(fd);
    unlink(path);
}

static void test_pairs(void **state)
{
    static const char pairs[] = "host=a port = 5432 dbname='sh''op' user='' password='x y'";
    struct dice dice = dice_of(fuzz_seed());
    struct buf valid = {0};
    buf_cstr(&valid, pairs);
    for (size_t round = fuzz_rounds(200000); round-- > 0;) {
        size_t n;
        uint8_t *bytes = mutated(&valid, &dice, &n);
        uint8_t *text = realloc(bytes, n + 1);
        text[n] = '\0';
        char *end = (char *)text + strlen((char *)text), *key, *value;
        char *at = (char *)text;
        for (size_t steps = 0; at != NULL; steps++) {
            assert_true(steps <= n);
            at = ini_pair(at, &key, &value);
            if (at == NULL || *key == '\0')
                break;
            assert_true(at >= (char *)text && at <= end);
            assert_true(key >= (char *)text && key + strlen(key) <= end);
            assert_true(value > key && value + strlen(value) <= end);
        }
        free(text);
    }
    buf_fini(&valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
