// SPDX-License-Identifier: Apache-2.0
// What an analysis tells beside the kind of a statement and its relations: sequences, encodings,
// names given in SQL, hints, and all the reasons against it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/rules.h"
#include "proxy/sql/analysis.h"

static void test_sequences(void **state)
{
    static const struct {
        const char *sql;
        uint32_t effects;
    } cases[] = {
        {"select currval('s'), lastval()", EFFECT_SEQUENCE},
        {"select nextval('s')", EFFECT_SEQUENCE_USE},
        {"select 1 from t where pg_catalog.setval('s', a) > 0", EFFECT_SEQUENCE_USE},
        {"select nextval('s'), currval('s')", EFFECT_SEQUENCE_USE | EFFECT_SEQUENCE},
        {"insert into t(b) values (1) returning currval('s')",
         EFFECT_SEQUENCE_USE | EFFECT_SEQUENCE},
        {"insert into t default values", EFFECT_SEQUENCE_USE},
        {"with i as (insert into t(b) select 1) select 1", EFFECT_SEQUENCE_USE},
        {"explain analyze insert into t default values", EFFECT_SEQUENCE_USE},
        {"explain insert into t default values", 0},
        {"merge into t using u on false when not matched then insert (b) values (1)",
         EFFECT_SEQUENCE_USE},
        {"copy t from stdin", EFFECT_SEQUENCE_USE},
        {"copy t to stdout", 0},
        {"update t set a = 1", 0},
        {"delete from t", 0},
        {"create rule r as on delete to t do instead insert into u default values", 0},
        {"create table t(a int default nextval('s'))", 0},
        {"create table t(a int default currval('s'))", EFFECT_SEQUENCE},
        {"discard sequences", EFFECT_DISCARD_SOME | EFFECT_DISCARD_SEQUENCES},
        {"discard plans", EFFECT_DISCARD_SOME},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct analysis *a = analysis_new(slice_str(cases[i].sql));
        if (a->effects != cases[i].effects)
            fail_msg("%s: effects %x", cases[i].sql, a->effects);
        analysis_unref(&a);
    }
}

static void test_encodings(void **state)
{
    struct analysis *a = analysis_new(slice_str("select * from t where a = 'caf\xc3\xa9'"));
    assert_int_equal(a->bypass, BYPASS_NONE);
    assert_true(a->names_are_ascii);
    analysis_unref(&a);
    a = analysis_new(slice_str("select * from t where a = 'caf\xe9'")); // LATIN1
    assert_int_equal(a->bypass, BYPASS_NONE);
    assert_true(a->names_are_ascii);
    analysis_unref(&a);
    a = analysis_new(slice_str("select * from caf\xc3\xa9"));
    assert_int_equal(a->bypass, BYPASS_NONE);
    assert_false(a->names_are_ascii);
    assert_int_equal(a->reads.count, 1);
    analysis_unref(&a);
    a = analysis_new(slice_str("select * from caf\xe9"));
    assert_int_equal(a->bypass, BYPASS_ENCODING);
    assert_int_equal(a->reads.count, 0);
    analysis_unref(&a);
    a = analysis_new(slice_str("update caf\xe9 set a = 1"));
    assert_true(a->writes_unknown);
    assert_int_equal(a->writes.count, 0);
    analysis_unref(&a);
}

// The name that one statement gives or uses, and the channel.
static void test_given_names(void **state)
{
    static const struct {
        const char *sql, *prepared, *channel;
        bool unlistens;
    } cases[] = {
        {"prepare P1 as select 1", "p1", "", false},
        {"PREPARE \"P 1\" (int) AS SELECT $1", "P 1", "", false},
        {"execute P1(1 + 1)", "p1", "", false},
        {"deallocate prepare \"P\"\"1\"", "P\"1", "", false},
        {"deallocate all", "", "", false},
        {"prepare p as select 1; execute p", "", "", false},
        {"explain execute p", "p", "", false},
        {"explain analyze execute P(f(1))", "p", "", false},
        {"create table t as execute p(1)", "p", "", false},
        {"explain (costs off) create temp table t as execute p(1)", "p", "", false},
        {"explain execute p; select 1", "", "", false},
        {"prepare \"na\xc3\xafve\" as select 1", "", "", false},
        {"execute \"na\xefve\"", "", "", false},
        {"select 1", "", "", false},
        {"listen News", "", "news", false},
        {"unlisten \"a b\"", "", "a b", true},
        {"unlisten *", "", "", true},
        {"unlisten \"\xc3\xaf\"", "", "", false},
        {"listen \"\xc3\xaf\"", "", "", false},
        {"listen a; listen b", "", "", false},
        {"unlisten *; select 1", "", "", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct analysis *a = analysis_new(slice_str(cases[i].sql));
        if (!slice_is(a->prepared, cases[i].prepared) || !slice_is(a->channel, cases[i].channel) ||
            a->unlistens != cases[i].unlistens)
            fail_msg("%s: %.*s %.*s %d", cases[i].sql, (int)a->prepared.len, a->prepared.at,
                     (int)a->channel.len, a->channel.at, a->unlistens);
        analysis_unref(&a);
    }
}

static void test_not_terminated(void **state)
{
    struct analysis *a = analysis_new(slice_of("select * from tx", 15));
    assert_int_equal(a->reads.at[0].name.len, 1);
    analysis_unref(&a);
    a = analysis_new(slice_of("select\0 1", 9));
    assert_int_equal(a->kind, STATEMENT_UNKNOWN);
    analysis_unref(&a);
    a = analysis_new(slice_of(NULL, 0));
    assert_int_equal(a->kind, STATEMENT_EMPTY);
    analysis_unref(&a);
}

static struct hints hints_of(const char *sql)
{
    struct analysis *a = analysis_new(slice_str(sql));
    struct hints hints = a->hints;
    analysis_unref(&a);
    return hints;
}

static void test_hints(void **state)
{
    assert_false(hints_of("select 1 from t").any);
    assert_true(hints_of("/* pgweir: nocache */ select 1 from t").nocache);
    assert_true(hints_of("select 1 /*pgweir:explain*/ from t").explain);
    assert_true(hints_of("select 1 from t /* PGWEIR: ttl=5s, cache */").cache);
    assert_int_equal(hints_of("select 1 from t /* pgweir: ttl=5s */").ttl_us, 5000000);
    struct hints two = hints_of("/* pgweir: explain */ select $$x$$ /* pgweir: ttl=1 */ from t");
    assert_true(two.explain && two.ttl_us == 1000000 && !two.unknown);
    // Not in strings, names, other comments or comments to the end of a line.
    assert_false(hints_of("select '/* pgweir: nocache */'").any);
    assert_false(hints_of("select $a$/* pgweir: nocache */$a$").any);
    assert_false(hints_of("select e'\\'/* pgweir: nocache */'").any);
    assert_false(hints_of("select \"/* pgweir: nocache */\" from t").any);
    assert_false(hints_of("select 1 -- /* pgweir: nocache */").any);
    assert_false(hints_of("select 1 /* a /* pgweir: nocache */ b */").any);
    assert_true(hints_of("select '\xff', 'x' /* pgweir: nocache */").nocache);
    assert_true(hints_of("/* pgweir: frobnicate */ select 1").unknown);
}

static void test_reasons(void **state)
{
    struct analysis *a = analysis_new(slice_str("select f(a), now() from t for update"));
    assert_int_equal(a->bypass, BYPASS_UNKNOWN_FUNCTION);
    assert_int_equal(a->reasons, 1ull << BYPASS_UNKNOWN_FUNCTION |
                                     1ull << BYPASS_VOLATILE_FUNCTION | 1ull << BYPASS_LOCKING);
    analysis_unref(&a);
    a = analysis_new(slice_str("select f(1)"));
    assert_int_equal(a->reasons, 1ull << BYPASS_UNKNOWN_FUNCTION | 1ull << BYPASS_NO_RELATION);
    analysis_unref(&a);
    static const char *const never[] = {
        "select f(a), nextval('s') from t", "select pg_backend_pid() from t",
        "select inet_client_addr() from t", "select set_config('a.b', 'c', true) from t",
        "select pg_notify('a', 'b') from t", "select current_setting('x') from t",
        "select query_to_xml('select 1', true, true, '') from t", "select txid_current() from t",
        "select pg_advisory_xact_lock(1) from t", "select has_table_privilege('t', 'x') from t",
        "select lo_unlink(1) from t", "select pg_sleep(1) from t"};
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
        a = analysis_new(slice_str(never[i]));
        if ((a->reasons & ~RULES_FORCEABLE) == 0)
            fail_msg("%s could be forced", never[i]);
        analysis_unref(&a);
    }
    static const char *const may[] = {"select now(), random(), gen_random_uuid() from t",
                                      "select age(a) from t", "select current_date from t",
                                      "select shop.f(a) operator(shop.+) 1, a::shop.mood from t"};
    for (size_t i = 0; i < sizeof(may) / sizeof(*may); i++) {
        a = analysis_new(slice_str(may[i]));
        if (a->bypass == BYPASS_NONE || (a->reasons & ~RULES_FORCEABLE) != 0)
            fail_msg("%s could not be forced", may[i]);
        analysis_unref(&a);
    }
    a = analysis_new(slice_str("update t set a = f(1)"));
    assert_true((a->reasons >> BYPASS_NOT_SELECT & 1) == 1);
    analysis_unref(&a);
    a = analysis_new(slice_str("select f(1) from t; select 2"));
    assert_true((a->reasons >> BYPASS_MULTI_STATEMENT & 1) == 1);
    analysis_unref(&a);
    a = analysis_new(slice_str("with x as (delete from t returning f(a)) select * from x"));
    assert_true((a->reasons >> BYPASS_NOT_SELECT & 1) == 1);
    analysis_unref(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_given_names),
        cmocka_unit_test(test_not_terminated),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
