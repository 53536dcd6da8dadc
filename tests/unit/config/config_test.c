// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "config/option.h"
#include "tests/unit/config/scratch.h"

static bool has(const struct problems *problems, enum problem_grade grade, int line,
                const char *text)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->at[i];
        if (p->grade == grade && p->line == line && strstr(p->text, text) != NULL)
            return true;
    }
    return false;
}

static struct config *load(void **state, const char *text, struct problems *problems)
{
    *problems = (struct problems){0};
    return config_load(scratch_text(state, "pgweir.ini", text), problems);
}

static struct config *must_load(void **state, const char *text)
{
    struct problems problems;
    struct config *config = load(state, text, &problems);
    for (size_t i = 0; i < problems.count && config == NULL; i++)
        print_error("%d: %s\n", problems.at[i].line, problems.at[i].text);
    assert_non_null(config);
    problems_fini(&problems);
    return config;
}

static void must_fail(void **state, const char *text, int line, const char *why)
{
    struct problems problems;
    struct config *config = load(state, text, &problems);
    assert_null(config);
    if (!has(&problems, PROBLEM_ERROR, line, why)) {
        for (size_t i = 0; i < problems.count; i++)
            print_error("%d: %s\n", problems.at[i].line, problems.at[i].text);
        fail_msg("expected line %d: %s", line, why);
    }
    problems_fini(&problems);
}

static void defaults_are_pgbouncers(void **state)
{
    struct config *config = must_load(state, "[databases]\n[pgbouncer]\n");
    const struct settings *s = config_settings(config);
    assert_int_equal(s->listen_port, 6432);
    assert_int_equal(s->max_client_conn, 100);
    assert_int_equal(s->server_idle_timeout_us, 600 * INT64_C(1000000));
    assert_false(s->cache);
    assert_null(config_database(config, "any"));
    assert_null(config_user(config, "any"));
    config_unref(&config);
    assert_null(config);
}

static void databases_are_found(void **state)
{
    struct config *config = must_load(
        state, "[databases]\n"
               "zoo =\n"
               "app = host=db.example port=5433 dbname=prod user=svc password='p''w' pool_size=7 "
               "min_pool_size=2 reserve_pool=3 pool_mode=transaction max_db_connections=9 "
               "server_lifetime=60 connect_query='SET x = 1' timezone=UTC\n"
               "* = host=/run/pg port=5434\n"
               "[pgweir]\n");
    const struct config_database *db = config_database(config, "app");
    assert_string_equal(db->host, "db.example");
    assert_int_equal(db->port, 5433);
    assert_string_equal(config_database_dbname(db, "app"), "prod");
    assert_string_equal(db->password, "p'w");
    assert_string_equal(db->connect_query, "SET x = 1");
    assert_string_equal(db->timezone, "UTC");
    assert_null(db->datestyle);
    assert_int_equal(config_pool_size(config, db, NULL), 7);
    assert_int_equal(config_min_pool_size(config, db), 2);
    assert_int_equal(config_reserve_pool_size(config, db, NULL), 3);
    assert_int_equal(config_pool_mode(config, db, NULL), CONFIG_POOL_TRANSACTION);
    assert_int_equal(config_max_db_connections(config, db), 9);
    assert_int_equal(config_server_lifetime_us(config, db), 60000000);
    assert_string_equal(config_server_user(db, "alice"), "svc");
    assert_string_equal(config_server_secret(config, db, "svc"), "p'w");

    db = config_database(config, "zoo");
    assert_null(db->host);
    assert_int_equal(db->port, 5432);
    assert_string_equal(db->dbname, "zoo");
    assert_int_equal(config_pool_size(config, db, NULL), 20);
    assert_int_equal(config_pool_mode(config, db, NULL), CONFIG_POOL_SESSION);
    assert_string_equal(config_server_user(db, "alice"), "alice");
    assert_null(config_server_secret(config, db, "alice"));

    db = config_database(config, "other");
    assert_true(db->is_fallback);
    assert_string_equal(config_database_dbname(db, "other"), "other");
    assert_int_equal(db->port, 5434);
    char name[65];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    assert_null(config_database(config, name)); // longer than any
    name[63] = '\0';
    assert_ptr_equal(config_database(config, name), db);
    assert_ptr_equal(config_database(config, "*"), db);

    assert_int_equal(config_database_count(config), 3);
    assert_string_equal(config_database_at(config, 0)->name, "app");
    assert_string_equal(config_database_at(config, 1)->name, "zoo");
    assert_string_equal(config_database_at(config, 2)->name, "*");
    config_unref(&config);
}

static void users_come_before_databases(void **state)
{
    const char *list = scratch_text(state, "users",
                                    "\"alice\" \"a\"\n\"bob\" \"b\"\n\"bob\" \"b2\"\n");
    char text[1024];
    snprintf(text, sizeof text,
             "[databases]\n"
             "app = pool_size=7 pool_mode=transaction query_wait_timeout=9\n"
             "[users]\n"
             "alice = pool_size=3 pool_mode=session max_user_connections=4 query_timeout=5 "
             "query_wait_timeout=-1 client_idle_timeout=0 reserve_pool_size=0\n"
             "carol = pool_size=-1\n"
             "[pgweir]\n"
             "client_idle_timeout = 11\nreserve_pool_size = 6\nmax_user_connections = 8\n"
             "admin_users = alice\nstats_users = bob , carol\n"
             "ignore_startup_parameters = extra_float_digits,options\n"
             "auth_file = %s\n",
             list);
    struct config *config = must_load(state, text);
    const struct config_database *db = config_database(config, "app");
    const struct config_user *alice = config_user(config, "alice");
    const struct config_user *bob = config_user(config, "bob");
    const struct config_user *carol = config_user(config, "carol");
    assert_string_equal(alice->secret, "a");
    assert_string_equal(bob->secret, "b2"); // the last counts
    assert_null(carol->secret);
    assert_int_equal(config_pool_size(config, db, alice), 3);
    assert_int_equal(config_pool_size(config, db, bob), 7);
    assert_int_equal(config_pool_size(config, db, carol), 7);
    assert_int_equal(config_pool_size(config, NULL, NULL), 20);
    assert_int_equal(config_pool_mode(config, db, alice), CONFIG_POOL_SESSION);
    assert_int_equal(config_pool_mode(config, db, bob), CONFIG_POOL_TRANSACTION);
    assert_int_equal(config_reserve_pool_size(config, db, alice), 0);
    assert_int_equal(config_reserve_pool_size(config, db, bob), 6);
    assert_int_equal(config_max_user_connections(config, alice), 4);
    assert_int_equal(config_max_user_connections(config, NULL), 8);
    assert_int_equal(config_query_timeout_us(config, alice), 5000000);
    assert_int_equal(config_query_timeout_us(config, bob), 0);
    assert_int_equal(config_query_wait_timeout_us(config, db, alice), 9000000);
    assert_int_equal(config_client_idle_timeout_us(config, alice), 11000000);
    assert_string_equal(config_server_secret(config, db, "alice"), "a");

    assert_int_equal(config_user_count(config), 3);
    assert_string_equal(config_user_at(config, 0)->name, "alice");
    assert_string_equal(config_user_at(config, 2)->name, "carol");
    assert_true(config_is_admin(config, "alice"));
    assert_false(config_is_admin(config, "ali"));
    assert_false(config_is_admin(config, ""));
    assert_true(config_is_stats_user(config, "alice"));
    assert_true(config_is_stats_user(config, "bob"));
    assert_true(config_is_stats_user(config, "carol"));
    assert_false(config_is_stats_user(config, "dave"));
    assert_true(config_ignores_parameter(config, "Options"));
    assert_false(config_ignores_parameter(config, "geqo"));
    config_unref(&config);
}

static void mistakes_are_told_with_their_line(void **state)
{
    must_fail(state, "[pgweir]\n\nlisten_prot = 1\n", 3,
              "unknown parameter: listen_prot (did you mean listen_port?)");
    must_fail(state, "[pgweir]\nxyzzy = 1\n", 2, "unknown parameter: xyzzy");
    must_fail(state, "[pgweir]\nlisten_port = 0\n", 2, "must be between 1 and 65535");
    must_fail(state, "[pgweir]\nauth_type = ldap\n", 2, "needs auth_ldap_options");
    must_fail(state, "[pgweir]\nauth_ldap_options = ldapserver=x\n", 2, "requires argument");
    must_fail(state, "[pgweir]\nauth_pam_service = ../x\n", 2, "without its directory");
    must_fail(state, "[pgwier]\n", 1, "unknown section: pgwier");
    must_fail(state, "[databases]\na = hots=x\n", 2, "unrecognized connection parameter: hots");
    must_fail(state, "[databases]\na = port=0\n", 2, "invalid port: 0");
    must_fail(state, "[databases]\na = pool_mode=x\n", 2, "invalid pool_mode: x");
    must_fail(state, "[databases]\na = host\n", 2, "syntax error in connection string");
    must_fail(state, "[databases]\npgbouncer = host=x\n", 2, "\"pgbouncer\" is reserved");
    must_fail(state, "[databases]\npgweir = host=x\n", 2, "\"pgweir\" is reserved");
    must_fail(state, "[users]\na = host=x\n", 2, "unrecognized user parameter: host");
    must_fail(state, "[users]\na = query_timeout=x\n", 2, "invalid query_timeout: x");
    must_fail(state, "[pgweir]\nauth_file = /nonexistent\n", 0, "could not open auth_file");
}

static void all_mistakes_are_told_at_once(void **state)
{
    struct problems problems;
    assert_null(load(state, "[pgweir]\nlisten_port=x\nnope=1\n[databases]\na=b=c\n", &problems));
    assert_int_equal(problems.errors, 3);
    problems_fini(&problems);
}

static void settings_must_fit_together(void **state)
{
    must_fail(state, "[pgweir]\nunix_socket_dir =\n", 0, "nowhere to listen on");
    must_fail(state, "[pgweir]\nhttp_listen = 9127\n", 2, "must be address:port");
    must_fail(state, "[pgweir]\nhttp_listen = :9127\n", 2, "must be address:port");
    must_fail(state, "[pgweir]\nhttp_listen = localhost:0\n", 2, "must be address:port");
    must_fail(state, "[pgweir]\ncache_size = 1M\ncache_max_entry_size = 2M\ncache = on\n", 3,
              "larger than cache_size");
    must_fail(state, "[databases]\na = host=x user=y\nb = host=x\n[pgweir]\ncache = on\n", 5,
              "cache = on needs control_user");
    struct config *config =
        must_load(state, "[databases]\na = host=x user=y\n[pgweir]\ncache = on\n");
    const struct config_database *db = config_database(config, "a");
    assert_string_equal(config_control_user(config, db), "y");
    config_unref(&config);
    config = must_load(state, "[databases]\na = user=y\n[pgweir]\ncache = on\ncontrol_user = c\n"
                              "http_listen = [::1]:9127\n");
    assert_string_equal(config_control_user(config, config_database(config, "a")), "c");
    config_unref(&config);
}

static void peers_by_number(void **state)
{
    struct problems problems;
    struct config *config = load(state,
                                 "[databases]\na = host=x\n"
                                 "[peers]\n"
                                 "3 = host=/tmp/three port=7003 pool_size=4\n"
                                 "1 = host=one\n"
                                 "3 = host=again\n"
                                 "[pgbouncer]\nlisten_port = 7000\npeer_id = 2\n",
                                 &problems);
    assert_non_null(config);
    assert_int_equal(config_settings(config)->peer_id, 2);
    assert_int_equal(config_peer_count(config), 2);
    const struct config_peer *one = config_peer(config, 1);
    assert_ptr_equal(one, config_peer_at(config, 0));
    assert_string_equal(one->host, "one");
    assert_int_equal(one->port, 6432);
    assert_int_equal(config_peer_pool_size(config, one), 20);
    assert_string_equal(config_peer(config, 3)->host, "again");
    assert_null(config_peer(config, 2));
    assert_true(has(&problems, PROBLEM_WARNING, 6, "peer 3 has a line already"));
    config_unref(&config);
    problems_fini(&problems);
}

static void trusted_proxies(void **state)
{
    struct problems problems;
    assert_null(load(state, "[databases]\na = host=x\n[pgbouncer]\nproxy_protocol = on\n",
                     &problems));
    assert_true(has(&problems, PROBLEM_ERROR, 4, "proxy_protocol needs proxy_protocol_from"));
    problems_fini(&problems);
    assert_null(load(state,
                     "[databases]\na = host=x\n[pgbouncer]\n"
                     "proxy_protocol_from = ::1, 10.0.0.1/8\n",
                     &problems));
    assert_true(has(&problems, PROBLEM_ERROR, 4, "\"10.0.0.1/8\" is no network"));
    problems_fini(&problems);
    struct config *config = load(state,
                                 "[databases]\na = host=x\n[pgbouncer]\nproxy_protocol=required\n"
                                 "proxy_protocol_from = ::1, 10.0.0.0/8, unix\n",
                                 &problems);
    assert_non_null(config);
    assert_int_equal(config_settings(config)->proxy_protocol, CONFIG_PROXY_REQUIRED);
    config_unref(&config);
    problems_fini(&problems);
}

static void peers_that_cannot_be(void **state)
{
    struct problems problems;
    assert_null(load(state,
                     "[databases]\na = host=x\n"
                     "[peers]\n"
                     "0 = host=x\n"
                     "65536 = host=x\n"
                     "one = host=x\n"
                     "2 = port=1\n"
                     "4 = host=x dbname=y\n"
                     "5 = host=x port=0\n",
                     &problems));
    for (int line = 4; line <= 6; line++)
        assert_true(has(&problems, PROBLEM_ERROR, line, "ids of peers must be numbers"));
    assert_true(has(&problems, PROBLEM_ERROR, 7, "host was not provided for peer 2"));
    assert_true(has(&problems, PROBLEM_ERROR, 8, "unrecognized connection parameter: dbname"));
    assert_true(has(&problems, PROBLEM_ERROR, 9, "port"));
    problems_fini(&problems);
}

static void what_has_no_meaning_is_mentioned(void **state)
{
    struct problems problems;
    struct config *config = load(state,
                                 "[databases]\n"
                                 "a = host=x,y load_balance_hosts=disable\n"
                                 "a = host=x,y load_balance_hosts=round-robin\n"
                                 "[pgbouncer]\n"
                                 "resolv_conf = x\n"
                                 "pkt_buf = 4096\n"
                                 "server_tls_sslmode = prefer\n"
                                 "auth_dbname = y\n"
                                 "listen_port = 7000\n",
                                 &problems);
    assert_non_null(config);
    assert_int_equal(problems.errors, 0);
    assert_true(has(&problems, PROBLEM_WARNING, 3, "has a line already"));
    assert_true(has(&problems, PROBLEM_WARNING, 5, "resolv_conf has no meaning here"));
    assert_true(has(&problems, PROBLEM_WARNING, 0, "auth_file is not set"));
    assert_int_equal(problems.count, 3);
    struct buf out = {0};
    config_print_option(config, option_index(option_find("resolv_conf")), &out);
    assert_true(slice_is(buf_slice(&out), "x"));
    buf_clear(&out);
    config_print_option(config, option_index(option_find("client_tls_protocols")), &out);
    assert_true(slice_is(buf_slice(&out), "secure"));
    buf_fini(&out);
    problems_fini(&problems);
    config_unref(&config);
}

static void a_reload_keeps_what_needs_a_restart(void **state)
{
    struct config *old = must_load(state, "[pgweir]\nlisten_port = 7000\npool_mode = session\n");
    struct problems problems = {0};
    scratch_text(state, "pgweir.ini",
                 "[databases]\nnew =\n[pgweir]\nlisten_port = 8000\npool_mode = transaction\n");
    struct config *now = config_reload(old, &problems);
    assert_non_null(now);
    assert_int_equal(config_settings(now)->listen_port, 7000);
    assert_int_equal(config_settings(now)->pool_mode, CONFIG_POOL_TRANSACTION);
    assert_non_null(config_database(now, "new"));
    assert_null(config_database(old, "new"));
    assert_int_equal(config_settings(old)->pool_mode, CONFIG_POOL_SESSION);
    assert_true(has(&problems, PROBLEM_WARNING, 4,
                    "listen_port cannot be changed without a restart: keeping \"7000\""));
    problems_fini(&problems);

    scratch_text(state, "pgweir.ini", "[pgweir]\nbroken\n");
    assert_null(config_reload(now, &problems));
    assert_int_equal(problems.errors, 1);
    problems_fini(&problems);
    config_unref(&old);
    config_unref(&now);
}

static void a_setting_can_be_changed_by_itself(void **state)
{
    struct config *old = must_load(state, "[databases]\na =\n[pgweir]\nadmin_users = x\n");
    struct problems problems = {0};
    struct config *now = config_with(old, "default_pool_size", "5", &problems);
    assert_non_null(now);
    assert_int_equal(config_settings(now)->default_pool_size, 5);
    assert_int_equal(config_settings(old)->default_pool_size, 20);
    assert_string_equal(config_settings(now)->admin_users, "x");
    assert_ptr_equal(config_database(now, "a"), config_database(old, "a"));
    config_unref(&old);
    assert_non_null(config_database(now, "a"));

    assert_null(config_with(now, "listen_port", "1", &problems));
    assert_null(config_with(now, "nope", "1", &problems));
    assert_null(config_with(now, "default_pool_size", "x", &problems));
    assert_int_equal(problems.errors, 3);
    problems_fini(&problems);
    config_unref(&now);
}

static void the_example_file_is_right(void **state)
{
    struct problems problems = {0};
    struct config *config = config_load("config/pgweir.ini", &problems);
    // Only its users file is not where an installation has it.
    assert_true(config != NULL || problems.errors == 1);
    if (config == NULL)
        assert_non_null(strstr(problems.at[0].text, "could not open auth_file"));
    config_unref(&config);
    problems_fini(&problems);
}

static void references_are_counted(void **state)
{
    struct config *a = must_load(state, "[pgweir]\n");
    struct config *b = config_ref(a);
    config_unref(&a);
    assert_int_equal(config_settings(b)->listen_port, 6432);
    config_unref(&b);
    config_unref(&b); // nothing
}

static void cache_rules_are_in_order(void **state)
{
    struct config *config = must_load(
        state, "[databases]\n[cache_rules]\nz = text='select  ''x''*' user=a* action=EXCLUDE\n"
               "a = table=public.* ttl=1.5s ttl_without_events=1\nall = action=hint\n"
               "[pgbouncer]\n");
    assert_int_equal(config_cache_rule_count(config), 3);
    const struct config_cache_rule *r = config_cache_rule_at(config, 0);
    assert_string_equal(r->name, "z"); // in the order of the file
    assert_string_equal(r->text, "select  'x'*");
    assert_string_equal(r->user, "a*");
    assert_null(r->table);
    assert_int_equal(r->action, CONFIG_CACHE_EXCLUDE);
    r = config_cache_rule_at(config, 1);
    assert_int_equal(r->action, CONFIG_CACHE_CACHE);
    assert_true(r->ttl_us == 1500000 && r->ttl_without_events);
    assert_int_equal(config_cache_rule_at(config, 2)->action, CONFIG_CACHE_HINT);
    struct problems problems = {0};
    struct config *other = config_with(config, "verbose", "1", &problems);
    assert_int_equal(config_cache_rule_count(other), 3);
    config_unref(&other);
    config_unref(&config);
    problems_fini(&problems);
}

static void broken_cache_rules(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"r = tabel=x", "cache rule r: unrecognized parameter: tabel (did you mean table?)"},
        {"r = action=forced", "not forced (did you mean force?)"},
        {"r = action=whatever", "action must be cache, exclude, hint or force, not whatever"},
        {"r = ttl=soon", "ttl must be a time above 0"},
        {"r = ttl=0", "ttl must be a time above 0"},
        {"r = action=exclude ttl=5", "ttl has no meaning with action=exclude"},
        {"r = ttl_without_events=1", "ttl_without_events needs ttl"},
        {"r = ttl=5 ttl_without_events=x", "ttl_without_events must be on or off"},
        {"r = text='open", "syntax error"},
        {"r = table=", "syntax error"},
        {"r = table", "syntax error"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[256];
        snprintf(text, sizeof(text), "[databases]\n[cache_rules]\nok = user=x\n%s\n",
                 cases[i].line);
        must_fail(state, text, 4, cases[i].why);
    }
    must_fail(state, "[databases]\n[cache_rule]\nr = user=x\n", 2, "unknown section");
    struct problems problems;
    struct config *config = load(state, "[databases]\n[cache_rules]\na = user=x\na = user=y\n",
                                 &problems);
    assert_int_equal(config_cache_rule_count(config), 2);
    assert_true(has(&problems, PROBLEM_WARNING, 4, "there is a cache rule a already"));
    config_unref(&config);
    problems_fini(&problems);
}

static void rates(void **state)
{
    struct config *config = must_load(state, "[databases]\n[pgweir]\ncache_audit_rate = 0.25\n");
    assert_int_equal(config_settings(config)->cache_audit_rate, 250000);
    config_unref(&config);
    must_fail(state, "[databases]\n[pgweir]\ncache_audit_rate = 1.5\n", 3, "from 0 to 1");
    must_fail(state, "[databases]\n[pgweir]\ncache_audit_rate = -1\n", 3, "from 0 to 1");
    must_fail(state, "[databases]\n[pgweir]\ncache_audit_rate = 1s\n", 3, "from 0 to 1");
}

static void tls_settings_fit_together(void **state)
{
#define HEAD "[databases]\n[pgbouncer]\n"
    must_fail(state, HEAD "client_tls_sslmode = allow\n", 3,
              "To allow TLS connections from clients, client_tls_key_file and");
    must_fail(state, HEAD "client_tls_key_file = k\nclient_tls_sslmode = allow\n", 4,
              "To allow TLS connections from clients");
    must_fail(state, HEAD "client_tls_key_file = k\nclient_tls_cert_file = c\n"
                          "client_tls_sslmode = verify-ca\n",
              5, "client_tls_sslmode requires client_tls_ca_file");
    must_fail(state, HEAD "auth_type = cert\n", 3, "requires client_tls_sslmode=verify-full");
    must_fail(state, HEAD "client_tls_protocols = tlsv1.4\n", 3, "invalid client_tls_protocols");
    must_fail(state, HEAD "server_tls_protocols = x\n", 3, "invalid server_tls_protocols: x");
    must_fail(state, HEAD "client_tls_dheparams = 2048\n", 3, "must be auto or none");
    must_fail(state, HEAD "server_tls_key_file = k\n", 3, "go together");
    must_fail(state, HEAD "server_tls_cert_file = k\n", 3, "go together");
    must_fail(state, HEAD "server_tls_negotiation = direct\n", 3,
              "requires server_tls_sslmode=require or stricter");
#undef HEAD
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_pgbouncers),
        TEST(databases_are_found),
        TEST(users_come_before_databases),
        TEST(mistakes_are_told_with_their_line),
        TEST(all_mistakes_are_told_at_once),
        TEST(settings_must_fit_together),
        TEST(peers_by_number),
        TEST(peers_that_cannot_be),
        TEST(trusted_proxies),
        TEST(what_has_no_meaning_is_mentioned),
        TEST(a_reload_keeps_what_needs_a_restart),
        TEST(a_setting_can_be_changed_by_itself),
        TEST(the_example_file_is_right),
        TEST(cache_rules_are_in_order),
        TEST(broken_cache_rules),
        TEST(rates),
        TEST(tls_settings_fit_together),
        TEST(references_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
