// SPDX-License-Identifier: Apache-2.0
// From names to slots, on a small made-up catalog.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/ledger.h"
#include "cache/lineage.h"
#include "cache/rules.h"
#include "proxy/sql/resolve.h"

static uint32_t add(struct catalog_builder *b, const char *schema, const char *name,
                    enum bypass bypass, bool writes_known)
{
    static uint32_t oid = 16384;
    struct catalog_relation relation = {
        .schema = slice_str(schema),
        .name = slice_str(name),
        .oid = oid++,
        .bypass = bypass,
        .writes_known = writes_known,
        .unreported = bypass,
    };
    catalog_builder_relation(b, &relation);
    return relation.oid;
}

static struct catalog *make_catalog(enum bypass denied)
{
    struct catalog_builder *b = catalog_builder_new(1);
    add(b, "public", "t", BYPASS_NONE, true);
    add(b, "public", "u", BYPASS_NONE, false);
    add(b, "s", "u", BYPASS_NONE, true);
    add(b, "s", "only_s", BYPASS_NONE, true);
    uint32_t v = add(b, "public", "v", BYPASS_RELATION_KIND, false);
    lineage_runs_code(catalog_builder_lineage(b), v);
    uint32_t parent = add(b, "public", "parent", BYPASS_NONE, true);
    lineage_child(catalog_builder_lineage(b), parent, add(b, "public", "leaf1", BYPASS_NONE, true));
    lineage_child(catalog_builder_lineage(b), parent, add(b, "public", "leaf2", BYPASS_NONE, true));
    uint32_t view = add(b, "public", "view", BYPASS_NONE, false);
    lineage_uses(catalog_builder_lineage(b), view, parent);
    struct catalog_relation keyed = {.schema = slice_str("public"), .name = slice_str("keyed"),
                                     .oid = 100, .writes_known = true,
                                     .key = {.count = 1, .columns = {{.name = slice_str("id"),
                                                                      .type = ROWKEY_INTEGER}}}};
    catalog_builder_relation(b, &keyed);
    keyed.name = slice_str("rekeyed");
    keyed.oid = 101;
    catalog_builder_relation(b, &keyed);
    lineage_assigns(catalog_builder_lineage(b), 101, slice_str("id"));
    struct catalog_relation through = {.schema = slice_str("public"), .name = slice_str("through"),
                                       .oid = 102, .writes_known = true, .is_view = true};
    catalog_builder_relation(b, &through);
    lineage_uses(catalog_builder_lineage(b), 102, 100);
    through.name = slice_str("over");
    through.oid = 103;
    catalog_builder_relation(b, &through);
    lineage_uses(catalog_builder_lineage(b), 103, parent);
    add(b, "public", "secret", BYPASS_ROW_SECURITY, true);
    uint32_t tenants = add(b, "public", "tenants", BYPASS_NONE, false);
    lineage_reads_settings(catalog_builder_lineage(b), tenants);
    assert_true(catalog_builder_setting(b, slice_str("app.tenant")));
    add(b, "public", "caf\xc3\xa9", BYPASS_NONE, true);
    catalog_builder_name(b, slice_str("nothing"));
    catalog_builder_function(b, slice_str("lower"), CATALOG_IMMUTABLE);
    catalog_builder_function(b, slice_str("upper"), CATALOG_STABLE); // as if another release
    catalog_builder_function(b, slice_str("date_trunc"), CATALOG_STABLE);
    catalog_builder_operator(b, slice_str("="), CATALOG_STABLE);
    catalog_builder_operator(b, slice_str("~"), CATALOG_VOLATILE);
    catalog_builder_capture_function(b, slice_str("abs"));
    catalog_builder_capture_function(b, slice_str("total"));
    catalog_builder_capture_operator(b, slice_str("+"));
    catalog_builder_capture_function(b, slice_str("initcap"));
    catalog_builder_harmless_function(b, slice_str("initcap"));
    catalog_builder_harmless_function(b, slice_str("digest"));
    catalog_builder_name(b, slice_str("digest"));
    catalog_builder_harmless_function(b, slice_str("soundex"));
    catalog_builder_capture_operator(b, slice_str("%"));
    catalog_builder_harmless_operator(b, slice_str("%"));
    catalog_builder_harmless_operator(b, slice_str("%>"));
    if (denied != BYPASS_NONE)
        catalog_builder_deny(b, denied);
    return catalog_builder_finish(b);
}

static const struct slice public_schemas[] = {{(const uint8_t *)"public", 6}};
static const struct search_path path_public = {public_schemas, 1, true};

static struct resolution *resolve_text(const char *sql, const struct search_path *path)
{
    struct catalog *catalog = make_catalog(BYPASS_NONE);
    struct analysis *a = analysis_new(slice_str(sql));
    struct resolution *r = resolve(a, catalog, path);
    analysis_unref(&a);
    catalog_unref(&catalog);
    return r;
}

static void check_bypass(const char *sql, enum bypass bypass)
{
    struct resolution *r = resolve_text(sql, &path_public);
    if (r->bypass != bypass)
        fail_msg("%s: %s", sql, bypass_name(r->bypass));
    assert_true(bypass == BYPASS_NONE ? r->reasons == 0 : (r->reasons >> bypass & 1) == 1);
    if ((r->reasons & ~RULES_FORCEABLE) != 0)
        assert_int_equal(r->read_count, 0);
    resolution_unref(&r);
    assert_null(r);
}

static void test_reads(void **state)
{
    struct resolution *r = resolve_text("select * from t, public.u, s.u", &path_public);
    assert_int_equal(r->bypass, BYPASS_NONE);
    assert_int_equal(r->read_count, 3);
    assert_true(r->reads[0] < r->reads[1] && r->reads[1] < r->reads[2]);
    assert_int_equal(r->write_count, 0);
    assert_false(r->barrier || r->captured || r->pending);
    resolution_unref(&r);
    r = resolve_text("select * from t a, public.t b", &path_public);
    assert_int_equal(r->read_count, 1);
    assert_int_equal(r->reads[0],
                     ledger_table_slot(ledger_table(slice_str("public"), slice_str("t"))));
    resolution_unref(&r);
}

static bool has(const uint32_t *slots, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (slots[i] == ledger_table_slot(ledger_table(slice_str("public"), slice_str(name))))
            return true;
    return false;
}

static bool share_a_slot(const struct resolution *reader, const struct resolution *writer)
{
    for (size_t i = 0; i < reader->read_count; i++)
        for (size_t k = 0; k < writer->write_count; k++)
            if (reader->reads[i] == writer->writes[k])
                return true;
    return false;
}

// A view depends on the tables that it reads; a parent and its leaves on each other's writes.
static void test_around(void **state)
{
    static const char *const reads[] = {"select * from parent", "select * from leaf1",
                                        "select * from leaf2", "select * from view"};
    static const char *const writes[] = {"update parent set a = 1", "update leaf1 set a = 1",
                                         "update leaf2 set a = 1"};
    static const bool ends[4][3] = {{1, 1, 1}, {1, 1, 0}, {1, 0, 1}, {1, 1, 1}};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            struct resolution *reader = resolve_text(reads[i], &path_public);
            struct resolution *writer = resolve_text(writes[k], &path_public);
            assert_int_equal(reader->bypass, BYPASS_NONE);
            assert_false(writer->barrier);
            if (share_a_slot(reader, writer) != ends[i][k])
                fail_msg("%s, %s", reads[i], writes[k]);
            resolution_unref(&reader);
            resolution_unref(&writer);
        }
    struct resolution *r = resolve_text("select * from view", &path_public);
    assert_true(has(r->reads, r->read_count, "parent"));
    resolution_unref(&r);
}

static void test_bypasses(void **state)
{
    check_bypass("select * from t", BYPASS_NONE);
    check_bypass("select * from t where a = 1 and lower(b) = 'x'", BYPASS_NONE);
    check_bypass("select date_trunc('day', a) from t", BYPASS_NONE);
    check_bypass("select upper(b) from t", BYPASS_VOLATILE_FUNCTION);
    check_bypass("select a ~ 'x' from t", BYPASS_OPERATOR);
    check_bypass("select abs(a) from t", BYPASS_UNKNOWN_FUNCTION);
    check_bypass("select pg_catalog.abs(a) from t", BYPASS_NONE);
    check_bypass("select a + 1 from t", BYPASS_OPERATOR);
    check_bypass("select a operator(pg_catalog.+) 1 from t", BYPASS_NONE);
    check_bypass("select t.total from t", BYPASS_UNKNOWN_FUNCTION);
    check_bypass("select (t).total from t", BYPASS_UNKNOWN_FUNCTION);
    check_bypass("select total from t", BYPASS_NONE);
    check_bypass("select now() from t", BYPASS_VOLATILE_FUNCTION);
    check_bypass("select * from v", BYPASS_RELATION_KIND);
    check_bypass("select * from t, secret", BYPASS_ROW_SECURITY);
    check_bypass("select * from unheard_of", BYPASS_CATALOG_PENDING);
    check_bypass("select * from s.unheard_of", BYPASS_CATALOG_PENDING);
    check_bypass("select * from nothing", BYPASS_UNKNOWN_RELATION);
    check_bypass("select * from only_s", BYPASS_UNKNOWN_RELATION);
    check_bypass("select a::text from t", BYPASS_NONE);
    check_bypass("select * from caf\xc3\xa9", BYPASS_NONE);
    check_bypass("select * from caf\xe9", BYPASS_ENCODING);
    check_bypass("update t set a = 1", BYPASS_NOT_SELECT);
}

static void test_path(void **state)
{
    struct slice both[] = {slice_str("s"), slice_str("public")};
    struct search_path path = {both, 2, true};
    struct resolution *r = resolve_text("select * from u", &path);
    assert_int_equal(r->bypass, BYPASS_NONE);
    assert_int_equal(r->read_count, 2); // the role may lack USAGE on s
    resolution_unref(&r);
    struct slice late[] = {slice_str("public"), slice_str("pg_catalog")};
    path = (struct search_path){late, 2, true};
    r = resolve_text("select a::text from t", &path);
    assert_int_equal(r->bypass, BYPASS_CAST);
    resolution_unref(&r);
    r = resolve_text("select a::int from t", &path); // the grammar says pg_catalog.int4
    assert_int_equal(r->bypass, BYPASS_NONE);
    resolution_unref(&r);
    path = (struct search_path){both, 2, false};
    r = resolve_text("select * from caf\xc3\xa9", &path);
    assert_int_equal(r->bypass, BYPASS_ENCODING);
    assert_false(r->barrier);
    resolution_unref(&r);
    r = resolve_text("update caf\xc3\xa9 set a = 1", &path);
    assert_true(r->barrier);
    resolution_unref(&r);
}

static void check_write(const char *sql, bool barrier, size_t slots)
{
    struct resolution *r = resolve_text(sql, &path_public);
    if (r->barrier != barrier || r->write_count != slots)
        fail_msg("%s: barrier %d, %d slots", sql, r->barrier, r->write_count);
    resolution_unref(&r);
}

static void test_writes(void **state)
{
    check_write("update t set a = 1", false, 1);
    check_write("insert into s.u values (1)", false, 1);
    check_write("insert into t select * from v", true, 1);
    check_write("update u set a = 1", true, 1);
    check_write("delete from nothing", true, 0);
    check_write("delete from unheard_of", true, 0);
    check_write("update t set a = f()", true, 1);
    check_write("update t set a = abs(a)", true, 1);
    check_write("update t set a = a + 1", true, 1);
    check_write("with d as (delete from t returning *) insert into s.u select * from d", false, 2);
    check_write("truncate t, s.u", false, 2);
    check_write("begin; update t set a = 1; commit", false, 1);
    check_write("explain update t set a = 1 where id = 1", false, 0);
    check_write("explain update t set a = 1 where id = 1; delete from s.u", false, 1);
    check_write("call p()", true, 0);
    check_write("select f()", true, 0);
    check_write("select * from t", false, 0);
    check_write("select * from v", true, 0);
    check_write("select abs(a) from t", true, 0);
    check_write("selec", true, 0);
    check_write("copy t from stdin", false, 1);
}

static void check_rows(const char *sql, const char *table, size_t keys, bool held)
{
    struct resolution *r = resolve_text(sql, &path_public);
    uint64_t id = ledger_table(slice_str("public"), slice_str(table));
    bool is_held = r->held_count == 1 && r->held[0] == ledger_rows_slot(id);
    if (r->barrier || r->write_scan_count != keys || is_held != held || r->held_count != held ||
        r->write_count == 0 || (r->write_count == 1 && r->writes[0] != ledger_table_slot(id)))
        fail_msg("%s: barrier %d, %d keys, %d held", sql, r->barrier, r->write_scan_count,
                 r->held_count);
    resolution_unref(&r);
}

// A trigger may give it another key; through a view it is any row of the table below.
static void test_rows_of_writes(void **state)
{
    check_rows("update keyed set a = 1 where id = 5", "keyed", 1, false);
    check_rows("update rekeyed set a = 1 where id = 5", "rekeyed", 0, true);
    check_rows("insert into rekeyed(id) values (5)", "rekeyed", 0, true);
    check_rows("update through set a = 1 where id = 5", "keyed", 0, true);
    check_rows("insert into through(id) values (5)", "keyed", 0, true);
    check_rows("delete from over where id = 5", "parent", 0, true);
    check_write("delete from over where id = 5", false, 2);
}

static void test_flags(void **state)
{
    struct resolution *r = resolve_text("select * from v", &path_public);
    assert_true(r->barrier); // its own text calls a user's function
    resolution_unref(&r);
    r = resolve_text("update unheard_of set a = 1", &path_public);
    assert_true(r->pending && r->barrier);
    resolution_unref(&r);
    r = resolve_text("select abs(a) from t", &path_public);
    assert_true(r->captured);
    resolution_unref(&r);
}

// What is in no text: does what it calls write?
static void test_calls(void **state)
{
    static const struct {
        const char *sql;
        bool barrier, pending, captured;
    } cases[] = {
        {"select initcap(a) from t", false, false, false},
        {"select digest(a) from t", false, false, false},
        {"select x.digest(a) from t", false, false, false},
        {"select soundex(a) from t", true, true, false}, // it may be a type's name
        {"select total(a), digest(a) from t", true, false, true},
        {"select a % 2, a %> 2 from t", false, false, false},
        {"select a %> 2, a <<% 2 from t", true, false, false},
        {"select digest(a), a + 1 from t", true, false, true},
        {"select digest(a), query_to_xml(a, true, true, '') from t", true, false, false},
        {"update t set a = digest(b)", false, false, false},
        {"create table z as select digest(a) from t", true, false, false},
        {"call digest(1)", true, false, false},
        {"select * from t tablesample digest(1)", true, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct resolution *r = resolve_text(cases[i].sql, &path_public);
        if (r->barrier != cases[i].barrier || r->pending != cases[i].pending ||
            r->captured != cases[i].captured || r->bypass == BYPASS_NONE)
            fail_msg("%s: %d %d %d", cases[i].sql, r->barrier, r->pending, r->captured);
        resolution_unref(&r);
    }
}

static void test_without_catalog(void **state)
{
    struct analysis *a = analysis_new(slice_str("select * from t"));
    struct resolution *r = resolve(a, NULL, &path_public);
    assert_int_equal(r->bypass, BYPASS_CATALOG_PENDING);
    assert_true(r->pending);
    resolution_unref(&r);
    struct catalog *catalog = make_catalog(BYPASS_CAST);
    r = resolve(a, catalog, &path_public);
    assert_int_equal(r->bypass, BYPASS_CAST);
    resolution_unref(&r);
    catalog_unref(&catalog);
    analysis_unref(&a);
}

static void count_name(const struct sql_name *name, void *arg)
{
    ++*(int *)arg;
}

static void test_names(void **state)
{
    struct analysis *a = analysis_new(slice_str("insert into t select * from u, s.v, pg_class"));
    int count = 0;
    analysis_names(a, count_name, &count);
    assert_int_equal(count, 3);
    analysis_unref(&a);
}

// What settings are in the key of whoever reads a table whose policies ask for some.
static void test_settings(void **state)
{
    struct catalog *catalog = make_catalog(BYPASS_NONE);
    const uint64_t all = catalog_settings_hash(catalog);
    catalog_unref(&catalog);
    struct resolution *r = resolve_text("select * from t, tenants", &path_public);
    assert_true(r->bypass == BYPASS_NONE && all != 0 && r->settings == all);
    resolution_unref(&r);
    r = resolve_text("select * from t", &path_public);
    assert_true(r->bypass == BYPASS_NONE && r->settings == 0);
    resolution_unref(&r);
}

// Text search waits for a catalog that watches its configurations.
static void test_text_search(void **state)
{
    const char *const texts[] = {"select to_tsvector('english', a) from t", "select a @@ b from t",
                                 "select f from t where a = 'english'::regconfig"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct analysis *a = analysis_new(slice_str(texts[i]));
        assert_true(a->searches_text && a->bypass == BYPASS_NONE);
        int names = 0;
        analysis_names(a, count_name, &names);
        assert_int_equal(names, 2);
        for (int denied = 0; denied < 2; denied++) {
            struct catalog_builder *b = catalog_builder_new(1);
            add(b, "public", "t", BYPASS_NONE, true);
            catalog_builder_name(b, slice_str("pg_ts_config_map"));
            if (denied)
                catalog_builder_deny_text_search(b);
            struct catalog *catalog = catalog_builder_finish(b);
            struct resolution *r = resolve(a, catalog, &path_public);
            assert_int_equal(r->bypass, denied ? BYPASS_TEXT_SEARCH : BYPASS_NONE);
            assert_false(r->pending);
            resolution_unref(&r);
            catalog_unref(&catalog);
        }
        analysis_unref(&a);
        struct resolution *r = resolve_text(texts[i], &path_public);
        assert_true(r->pending && r->bypass == BYPASS_CATALOG_PENDING);
        resolution_unref(&r);
    }
}

static void test_front(void **state)
{
    struct resolve_front *front = resolve_front_new();
    struct catalog *one = make_catalog(BYPASS_NONE);
    struct catalog *two = make_catalog(BYPASS_CAST);
    struct analysis *a = analysis_new(slice_str("select * from t"));
    struct slice schemas[] = {slice_str("s"), slice_str("public")};
    struct search_path other = {schemas, 2, true};
    struct search_path not_utf8 = {public_schemas, 1, false};
    const struct resolution *first = resolve_front_find(front, a, one, &path_public);
    assert_int_equal(first->bypass, BYPASS_NONE);
    assert_ptr_equal(resolve_front_find(front, a, one, &path_public), first);
    assert_int_equal(resolve_front_find(front, a, two, &path_public)->bypass, BYPASS_CAST);
    struct resolution *kept =
        resolution_ref((struct resolution *)resolve_front_find(front, a, one, &path_public));
    assert_ptr_not_equal(resolve_front_find(front, a, one, &other), kept);
    assert_ptr_not_equal(resolve_front_find(front, a, one, &not_utf8), kept);
    resolution_unref(&kept);
    assert_int_equal(resolve_front_find(front, a, NULL, &other)->bypass, BYPASS_CATALOG_PENDING);
    for (int i = 0; i < 300000; i++) // long enough for every place to be looked at
        assert_int_equal(resolve_front_find(front, a, one, &path_public)->read_count, 1);
    analysis_unref(&a);
    catalog_unref(&one);
    catalog_unref(&two);
    resolve_front_free(front);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),       cmocka_unit_test(test_around),
        cmocka_unit_test(test_bypasses),
        cmocka_unit_test(test_path),        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_rows_of_writes),
        cmocka_unit_test(test_flags),       cmocka_unit_test(test_without_catalog),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_front),
        cmocka_unit_test(test_settings),    cmocka_unit_test(test_text_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
