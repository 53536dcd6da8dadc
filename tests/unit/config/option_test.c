// SPDX-License-Identifier: Apache-2.0
#include "config/option.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char why[256];

static void the_table_is_sound(void **state)
{
    struct settings settings = {0};
    option_defaults(&settings);
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        if (i > 0)
            assert_true(strcmp(option_table[i - 1].name, o->name) < 0);
        assert_true(o->sentence[strlen(o->sentence) - 1] == '.');
        assert_ptr_equal(option_find(o->name), o);
        assert_int_equal(option_index(o), i);
        // The file's own name is no setting of anything else's.
        if (!o->moot && strcmp(o->name, "conffile") != 0)
            assert_int_not_equal(o->offset, OPTION_NO_FIELD);
        for (size_t j = 0; j < i && o->offset != OPTION_NO_FIELD; j++)
            assert_int_not_equal(option_table[j].offset, o->offset);
        // What is printed reads back as the same value.
        struct buf out = {0};
        option_print(o, &settings, &out);
        buf_u8(&out, 0);
        if (o->offset != OPTION_NO_FIELD)
            assert_true(option_same(o, (char *)out.at, o->fallback));
        buf_fini(&out);
    }
    option_free(&settings);
}

static void names_and_aliases_are_found(void **state)
{
    assert_null(option_find("listen_prot"));
    assert_null(option_find(""));
    assert_ptr_equal(option_find("service_name"), option_find("job_name"));
}

static void near_names_are_suggested(void **state)
{
    assert_string_equal(option_suggest("listen_prot"), "listen_port");
    assert_string_equal(option_suggest("max_client_con"), "max_client_conn");
    assert_string_equal(option_suggest("pool_modes"), "pool_mode");
    assert_null(option_suggest("xyzzy"));
    assert_null(option_suggest(""));
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[299] = 0;
    assert_null(option_suggest(longest));
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"0", 0},           {"1", 1000000},      {"0.25", 250000},  {"250ms", 250000},
                {"250 ms", 250000}, {"1s", 1000000},     {".5", 500000},    {"7us", 7},
                {"2min", 120000000}, {"1h", 3600000000}, {"1d", 86400000000}, {"15.0", 15000000}};
    static const char *const bad[] = {"",    "-1", "s",  "1x",   "nan",   "inf",
                                      "1 s s", " 1", "+1", "1e400", "1M", "9e18"};
    int64_t us;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(option_read_time_us(good[i].text, &us));
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(option_read_time_us(bad[i], &us));
}

static void sizes_are_read(void **state)
{
    static const char *const bad[] = {"", "-1", "M", "1.5G", "1m", "99999999999999999999",
                                      "9999999999T"};
    int64_t bytes;
    assert_true(option_read_bytes("64M", &bytes));
    assert_int_equal(bytes, 64 << 20);
    assert_true(option_read_bytes("1 kB", &bytes));
    assert_int_equal(bytes, 1024);
    assert_true(option_read_bytes("3G", &bytes));
    assert_int_equal(bytes, INT64_C(3) << 30);
    assert_true(option_read_bytes("2147483647", &bytes));
    assert_int_equal(bytes, 2147483647);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(option_read_bytes(bad[i], &bytes));
}

static void switches_are_read(void **state)
{
    bool on = false;
    assert_true(option_read_bool("on", &on) && on);
    assert_true(option_read_bool("OFF", &on) && !on);
    assert_true(option_read_bool("2", &on) && on);
    assert_true(option_read_bool("no", &on) && !on);
    assert_false(option_read_bool("maybe", &on));
    assert_false(option_read_bool("", &on));
}

static bool set(struct settings *s, const char *name, const char *value)
{
    return option_set(option_find(name), s, value, why, sizeof why);
}

static void values_reach_their_fields(void **state)
{
    struct settings s = {0};
    option_defaults(&s);
    assert_int_equal(s.listen_port, 6432);
    assert_int_equal(s.auth_type, CONFIG_AUTH_MD5);
    assert_int_equal(s.pool_mode, CONFIG_POOL_SESSION);
    assert_int_equal(s.unix_socket_mode, 0777);
    assert_int_equal(s.max_staleness_us, 250000);
    assert_int_equal(s.cache_size_bytes, 64 << 20);
    assert_false(s.cache);
    assert_string_equal(s.server_reset_query, "DISCARD ALL");

    assert_true(set(&s, "listen_port", "7000"));
    assert_true(set(&s, "pool_mode", "Transaction"));
    assert_true(set(&s, "auth_type", "scram-sha-256"));
    assert_true(set(&s, "unix_socket_mode", "0700"));
    assert_true(set(&s, "cache", "on"));
    assert_true(set(&s, "admin_users", "a, b"));
    assert_true(set(&s, "admin_users", s.admin_users)); // its own value: copied before freed
    assert_int_equal(s.listen_port, 7000);
    assert_int_equal(s.pool_mode, CONFIG_POOL_TRANSACTION);
    assert_int_equal(s.auth_type, CONFIG_AUTH_SCRAM);
    assert_int_equal(s.unix_socket_mode, 0700);
    assert_true(s.cache);
    assert_string_equal(s.admin_users, "a, b");
    option_free(&s);
}

static void bad_values_change_nothing_and_say_why(void **state)
{
    struct settings s = {0};
    option_defaults(&s);
    assert_false(set(&s, "listen_port", "70000"));
    assert_string_equal(why, "must be between 1 and 65535");
    assert_false(set(&s, "listen_port", "64x"));
    assert_string_equal(why, "must be a whole number");
    assert_false(set(&s, "pool_mode", "query"));
    assert_string_equal(why, "must be one of session transaction statement");
    assert_false(set(&s, "invalidation", "hearsay"));
    assert_string_equal(why, "must be one of auto wal notify proxy");
    assert_false(set(&s, "client_tls_sslmode", "required"));
    assert_string_equal(why, "must be one of disable allow prefer require verify-ca verify-full");
    assert_false(set(&s, "max_staleness", "0"));
    assert_string_equal(why, "must be between 0.001 and 3600 seconds");
    assert_int_equal(s.listen_port, 6432);
    assert_int_equal(s.max_staleness_us, 250000);
    option_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(names_and_aliases_are_found),
        cmocka_unit_test(near_names_are_suggested),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(switches_are_read),
        cmocka_unit_test(values_reach_their_fields),
        cmocka_unit_test(bad_values_change_nothing_and_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
