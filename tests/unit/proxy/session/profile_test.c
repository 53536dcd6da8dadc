// SPDX-License-Identifier: Apache-2.0
// Profiles: which question is asked, which answers make the same one, where each is found again.
#include "proxy/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct gucs *one(const char *name, const char *value, const char *encoding)
{
    struct gucs_draft draft = {.encoding = encoding};
    gucs_draft_add(&draft, slice_str(name), slice_str(value));
    return gucs_new(&draft);
}

// A DataRow's body.
static struct buf row(const char *isolation, const char *settings, const char *last)
{
    const char *const columns[] = {"a\nb", isolation, settings, last};
    struct buf out = {0};
    buf_u16(&out, 4);
    for (int i = 0; i < 4; i++) {
        buf_u32(&out, (uint32_t)strlen(columns[i]));
        buf_put(&out, slice_str(columns[i]));
    }
    return out;
}

static struct profile *note(struct profiles *p, struct gucs *settings, bool alone,
                            const char *catalog, const char *last, uint64_t epoch)
{
    struct buf bytes = row("read committed", catalog, last);
    struct profile *profile = profiles_note(p, settings, alone, buf_slice(&bytes), epoch);
    buf_fini(&bytes);
    return profile;
}

static bool asks(const struct catalog *catalog, const struct gucs *applied, const char *part)
{
    struct buf sql = {0};
    profile_question(&sql, catalog, applied);
    bool has = strstr((const char *)sql.at, part) != NULL;
    assert_int_equal(sql.at[sql.len - 1], 0);
    buf_fini(&sql);
    return has;
}

static void a_setting_is_asked_for_or_known_to_be_own(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    assert_true(catalog_builder_setting(b, slice_str("app.tenant")));
    struct catalog *catalog = catalog_builder_finish(b);
    struct gucs *own = one("App.Tenant", "it's", NULL), *other = one("app.tenants", "x", NULL);
    struct gucs *foreign = one("app.tenant", "\xe9", "LATIN1");
    assert_false(asks(NULL, own, "tenant"));
    assert_true(asks(NULL, own, "'0000000000000000'"));
    assert_false(asks(catalog, NULL, "'0000000000000000'"));
    assert_true(asks(catalog, NULL, "CASE WHEN false THEN 'own' ELSE"));
    assert_true(asks(catalog, other, "CASE WHEN false THEN 'own' ELSE"));
    assert_true(asks(catalog, own, "current_setting('app.tenant',true) OPERATOR(pg_catalog.=) "
                                   "E'it''s' THEN 'own' ELSE"));
    assert_true(asks(catalog, foreign, "convert_from(pg_catalog.decode('e9','hex'),E'LATIN1')"));
    gucs_unref(&own);
    gucs_unref(&other);
    gucs_unref(&foreign);
    catalog_unref(&catalog);
}

static void answers_make_profiles(void **state)
{
    struct profiles p = {0};
    struct gucs *x = one("app.x", "1", NULL), *y = one("app.x", "2", NULL);
    struct profile *plain = note(&p, NULL, true, "0000000000000000", "", 1);
    struct profile *mine = note(&p, x, true, "8000000000000fed", "own", 1);
    assert_ptr_equal(note(&p, y, true, "8000000000000fed", "own", 1), mine); // each in its own key
    assert_true(plain->settings == 0 && mine->settings == 0x8000000000000fed);
    assert_true(plain->cacheable && plain->schema_count == 2 && slice_is(plain->schemas[1], "b"));
    assert_ptr_equal(profiles_of(&p, NULL, 1), plain);
    assert_ptr_equal(profiles_of(&p, x, 1), mine);
    assert_null(profiles_of(&p, x, 2)); // of another epoch
    struct buf bytes = row("serializable", "0", "");
    assert_false(profiles_note(&p, NULL, true, buf_slice(&bytes), 1)->cacheable);
    buf_fini(&bytes);
    bytes = row("repeatable read", "0", "");
    const struct profile *whole = profiles_note(&p, NULL, true, buf_slice(&bytes), 1);
    assert_true(whole->cacheable && whole->one_snapshot && !plain->one_snapshot);
    buf_fini(&bytes);
    profiles_fini(&p);
    gucs_unref(&x);
    gucs_unref(&y);
}

// What a function left in one session is not what others with the same settings have.
static void what_is_not_alone_is_not_found_again(void **state)
{
    struct profiles p = {0};
    struct profile *clean = note(&p, NULL, true, "fed", "", 1);
    struct profile *hidden = note(&p, NULL, false, "fed", "6869", 1);
    assert_ptr_not_equal(clean, hidden);
    assert_ptr_equal(profiles_of(&p, NULL, 1), clean);
    struct profile *nothing_asked = note(&p, NULL, false, "0", "", 1);
    assert_ptr_equal(profiles_of(&p, NULL, 1), nothing_asked);
    profiles_keep(&p, NULL, clean, 2);
    assert_ptr_equal(profiles_of(&p, NULL, 2), clean);
    note(&p, NULL, true, "0", "", 1); // an old answer
    assert_ptr_equal(profiles_of(&p, NULL, 2), clean);
    profiles_fini(&p);
}

static void many_settings_have_places(void **state)
{
    struct profiles p = {0};
    char value[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < PROFILE_PLACES_MAX; i++) {
            snprintf(value, sizeof(value), "%d", i);
            struct gucs *g = one("app.x", value, NULL);
            if (round == 0)
                note(&p, g, true, "fed", "own", 1);
            else
                assert_non_null(profiles_of(&p, g, 1));
            gucs_unref(&g);
        }
    assert_int_equal(p.count, 1);
    struct gucs *more = one("app.x", "more", NULL);
    note(&p, more, true, "fed", "own", 1); // the others are forgotten
    assert_non_null(profiles_of(&p, more, 1));
    assert_int_equal(p.places.count, 1);
    gucs_unref(&more);
    profiles_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_is_asked_for_or_known_to_be_own),
        cmocka_unit_test(answers_make_profiles),
        cmocka_unit_test(what_is_not_alone_is_not_found_again),
        cmocka_unit_test(many_settings_have_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
