// SPDX-License-Identifier: Apache-2.0
// What the control thread's set knows of the schema of a real PostgreSQL, and what its changes end.
#include "tests/unit/proxy/control/following_fixture.h"

static void schema_changes_end_entries_and_reload_the_catalog(void **state)
{
    static const char *const changes[] = {
        "ALTER TABLE item ADD COLUMN extra int",
        "ALTER TABLE item DROP COLUMN extra",
        "ALTER TABLE item RENAME COLUMN v TO w",
        "ALTER TABLE item RENAME COLUMN w TO v",
        "GRANT SELECT ON item TO app",
        "REVOKE SELECT ON item FROM app",
        "GRANT SELECT (v) ON item TO app",
        "REVOKE SELECT (v) ON item FROM app",
        "REVOKE USAGE ON SCHEMA public FROM public",
        "GRANT USAGE ON SCHEMA public TO public",
        "GRANT app TO ctl",
        "REVOKE app FROM ctl",
        "ALTER ROLE app BYPASSRLS",
        "ALTER ROLE app NOBYPASSRLS",
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE item DISABLE ROW LEVEL SECURITY",
        "CREATE TRIGGER one AFTER INSERT ON item EXECUTE FUNCTION touch_other()",
        "CREATE TRIGGER two AFTER INSERT ON item EXECUTE FUNCTION touch_other()",
        "DROP TRIGGER two ON item",
        "DROP TRIGGER one ON item",
        "ALTER TABLE item ALTER v SET DEFAULT 7",
        "ALTER TABLE item ALTER v SET DEFAULT 8",
        "CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION lower(int)",
        "CREATE SCHEMA elsewhere CREATE TABLE item (id int)",
        "DROP SCHEMA elsewhere CASCADE",
        "BEGIN; INSERT INTO other VALUES (1); ALTER TABLE item ADD COLUMN x int; COMMIT",
        "ALTER TABLE item DROP COLUMN x",
    };
    start_and_wait("");
    want("item", "other");
    assert_true(pump_until(has_new_catalog));
    int64_t worst_us = 0;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_true(pump_until(is_ok_anew));
        slot = ledger_slot_of(slice_str("public"), slice_str("unrelated"));
        assert_true(pump_until(is_ok_anew));
        version_before = domain_catalog_version(domain);
        run(changes[i]);
        int64_t from_us = clock_us();
        if (!pump_until(is_dead) || !pump_until(has_new_catalog))
            fail_msg("not seen: %s", changes[i]);
        int64_t took_us = clock_us() - from_us;
        worst_us = took_us > worst_us ? took_us : worst_us;
    }
    print_message("schema change to new catalog: worst %lld us\n", (long long)worst_us);
    // What changes nothing for us must not end anything.
    assert_true(pump_until(is_ok_anew));
    pump_ms(100);
    take_stamp();
    run("ANALYZE item");
    run("VACUUM item");
    run("CREATE TABLE quite_another (id int)");
    run("DROP TABLE quite_another");
    run("CREATE TEMP TABLE item (id int)");
    run("DROP TABLE pg_temp.item");
    pump_ms(300);
    assert_int_equal(judge(), LEDGER_OK);
}

static void own_ddl_stops_hits_until_the_catalog_is_new(void **state)
{
    start_and_wait("");
    want("item", "other");
    assert_true(pump_until(has_new_catalog));
    assert_true(pump_until(is_ok_anew));
    version_before = domain_catalog_version(domain);
    run("ALTER TABLE other ADD COLUMN z int");
    domain_ddl(domain, true, false);
    assert_true(is_dead() || judge() == LEDGER_BARRIER);
    take_stamp();
    assert_int_equal(judge(), LEDGER_BARRIER);
    assert_true(pump_until(is_ok_anew));
    assert_true(has_new_catalog());
    run("ALTER TABLE other DROP COLUMN z");
}

static void the_catalog_says_what_may_be_cached(void **state)
{
    static const struct {
        const char *name;
        enum bypass bypass;
        bool writes_known;
    } expected[] = {
        {"item", BYPASS_NONE, false}, // a cascade hangs on it
        {"child", BYPASS_NONE, true}, // only looks at item
        {"other", BYPASS_NONE, true},
        {"noted", BYPASS_NONE, false}, // trigger
        {"guarded", BYPASS_NONE, false}, // nobody sees a row
        {"by_tenant", BYPASS_NONE, false},
        {"by_clock", BYPASS_POLICY_FUNCTION, false},
        {"by_name", BYPASS_POLICY_SETTING, false},
        {"by_date", BYPASS_ROW_SECURITY, false},
        {"by_other", BYPASS_NONE, false}, // a policy reads another
        {"light", BYPASS_RELATION_KIND, true}, // unlogged
        {"seen", BYPASS_NONE, false}, // view
        {"parted", BYPASS_NONE, true},
        {"parted_1", BYPASS_NONE, true},
        {"parent", BYPASS_NONE, true},
        {"priced", BYPASS_NONE, true},
        {"moody", BYPASS_NONE, true},
        {"domained", BYPASS_NONE, true},
        {"defaulted", BYPASS_NONE, false},
        {"checked", BYPASS_NONE, false},
        {"everything", BYPASS_NONE, true},
        {"We\"ird", BYPASS_NONE, true},
    };
    enum { N = sizeof(expected) / sizeof(expected[0]) };
    start_and_wait("");
    struct slice names[N + 1];
    for (size_t i = 0; i < N; i++)
        names[i] = slice_str(expected[i].name);
    names[N] = slice_of("\xff\xfe", 2); // must not spoil the query
    version_before = domain_catalog_version(domain);
    domain_want_names(domain, names, N + 1);
    assert_true(pump_until(has_new_catalog));
    uint64_t epoch = ledger_epoch(ledger());
    struct catalog *catalog = domain_catalog_ref(domain);
    for (size_t i = 0; i < N; i++) {
        const struct catalog_relation *r = relation(catalog, expected[i].name);
        if (r->bypass != expected[i].bypass || r->writes_known != expected[i].writes_known)
            fail_msg("%s: %s, writes %sknown", expected[i].name, bypass_name(r->bypass),
                     r->writes_known ? "" : "un");
    }
    size_t settings;
    const struct slice *setting = catalog_settings(catalog, &settings);
    assert_true(settings == 1 && slice_is(setting[0], "app.tenant"));
    assert_true(relation(catalog, "by_tenant")->reads_settings);
    assert_true(relation(catalog, "by_other")->reads_settings);
    assert_false(relation(catalog, "by_clock")->reads_settings);
    assert_int_equal(relation(catalog, "by_other")->read_count, 2);
    assert_false(catalog_knows(catalog, slice_str("never_asked")));
    assert_true(catalog_captures_function(catalog, slice_str("upper")));
    assert_false(catalog_captures_function(catalog, slice_str("lower")));
    assert_true(catalog_captures_operator(catalog, slice_str("<->")));
    assert_int_equal(catalog_denied(catalog), BYPASS_NONE);
    catalog_unref(&catalog);

    // New names alone end nothing.
    want("quite", "new");
    assert_true(pump_until(has_new_catalog));
    assert_true(ledger_epoch(ledger()) == epoch);
    want("quite", "new"); // asked for already
    pump_ms(20);
    assert_false(has_new_catalog());
}

static void a_cast_between_builtin_types_denies_the_database(void **state)
{
    run("CREATE FUNCTION to_bool(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "CREATE CAST (text AS bool) WITH FUNCTION to_bool(text)");
    start_and_wait("");
    struct catalog *catalog = domain_catalog_ref(domain);
    assert_int_equal(catalog_denied(catalog), BYPASS_CAST);
    catalog_unref(&catalog);
    run("DROP FUNCTION to_bool(text) CASCADE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLLOWING_TEST(schema_changes_end_entries_and_reload_the_catalog),
        FOLLOWING_TEST(own_ddl_stops_hits_until_the_catalog_is_new),
        FOLLOWING_TEST(the_catalog_says_what_may_be_cached),
        FOLLOWING_TEST(a_cast_between_builtin_types_denies_the_database),
    };
    return cmocka_run_group_tests_name("following schema", tests, group_setup, group_teardown);
}
