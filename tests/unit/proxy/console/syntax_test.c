// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/syntax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void commands(void **state)
{
    static const struct {
        const char *text;
        enum syntax is;
        const char *command, *argument;
    } cases[] = {
        {"SHOW POOLS", SYNTAX_COMMAND, "SHOW", "POOLS"},
        {" \t\nshow\r\n pools ; ", SYNTAX_COMMAND, "show", "pools"},
        {"PAUSE", SYNTAX_COMMAND, "PAUSE", ""},
        {"PAUSE;", SYNTAX_COMMAND, "PAUSE", ""},
        {"PAUSE \"my-db\"", SYNTAX_COMMAND, "PAUSE", "my-db"},
        {"PAUSE \"a\"\"b\";", SYNTAX_COMMAND, "PAUSE", "a\"b"},
        {"\"pause\" x", SYNTAX_COMMAND, "pause", "x"},
        {"PAUSE my-db", SYNTAX_BAD, NULL, NULL},
        {"PAUSE \"open", SYNTAX_BAD, NULL, NULL},
        {"PAUSE a b", SYNTAX_BAD, NULL, NULL},
        {"PAUSE;;", SYNTAX_BAD, NULL, NULL},
        {"SHOW POOLS; SHOW STATS", SYNTAX_BAD, NULL, NULL},
        {"", SYNTAX_EMPTY, NULL, NULL},
        {" ; \n", SYNTAX_EMPTY, NULL, NULL},
        {"abcdefghijklmnop", SYNTAX_LONG, NULL, NULL},
        {"SHOW aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", SYNTAX_LONG, NULL,
         NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sentence s;
        assert_int_equal(syntax_read(cases[i].text, &s), cases[i].is);
        if (cases[i].command == NULL)
            continue;
        assert_string_equal(s.command, cases[i].command);
        assert_string_equal(s.argument, cases[i].argument);
    }
}

static void settings(void **state)
{
    static const struct {
        const char *text;
        enum syntax is;
        const char *key, *value;
    } cases[] = {
        {"SET a = b", SYNTAX_SET, "a", "b"},
        {"set a=5;", SYNTAX_SET, "a", "5"},
        {"SET a TO 'b c''d' ;", SYNTAX_SET, "a", "b c'd"},
        {"SET a to \"b\"", SYNTAX_SET, "a", "b"},
        {"SET a = ''", SYNTAX_SET, "a", ""},
        {"SET a = -5", SYNTAX_BAD, NULL, NULL},
        {"SET a = 'open", SYNTAX_BAD, NULL, NULL},
        {"SET a = b c", SYNTAX_BAD, NULL, NULL},
        {"SET a", SYNTAX_BAD, NULL, NULL},
        {"SET = b", SYNTAX_BAD, NULL, NULL},
        {"SET \"\" = b", SYNTAX_LONG, NULL, NULL},
        {"SET", SYNTAX_COMMAND, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sentence s;
        assert_int_equal(syntax_read(cases[i].text, &s), cases[i].is);
        if (cases[i].key == NULL)
            continue;
        assert_string_equal(s.argument, cases[i].key);
        assert_string_equal(s.value, cases[i].value);
    }
}

static void of_the_cache(void **state)
{
    static const struct {
        const char *text;
        enum syntax is;
        const char *argument, *schema, *table;
    } cases[] = {
        {"CACHE FLUSH", SYNTAX_COMMAND, "FLUSH", "", ""},
        {"CACHE FLUSH orders;", SYNTAX_COMMAND, "FLUSH", "", "orders"},
        {"cache flush Shop . Orders ;", SYNTAX_COMMAND, "flush", "shop", "orders"},
        {"CACHE FLUSH \"Shop\".\"a.b\"", SYNTAX_COMMAND, "FLUSH", "Shop", "a.b"},
        {"CACHE FLUSH a.b.c", SYNTAX_BAD, NULL, NULL, NULL},
        {"CACHE FLUSH a.", SYNTAX_BAD, NULL, NULL, NULL},
        {"CACHE FLUSH .a", SYNTAX_BAD, NULL, NULL, NULL},
        {"CACHE FLUSH a b", SYNTAX_BAD, NULL, NULL, NULL},
        {"SHOW CACHE QUERIES;", SYNTAX_COMMAND, "CACHE_QUERIES", "", ""},
        {"SHOW CACHE_QUERIES", SYNTAX_COMMAND, "CACHE_QUERIES", "", ""},
        {"SHOW CACHE QUERIES x", SYNTAX_BAD, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sentence s;
        assert_int_equal(syntax_read(cases[i].text, &s), cases[i].is);
        if (cases[i].argument == NULL)
            continue;
        assert_string_equal(s.argument, cases[i].argument);
        assert_string_equal(s.schema, cases[i].schema);
        assert_string_equal(s.value, cases[i].table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),
        cmocka_unit_test(settings),
        cmocka_unit_test(of_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
