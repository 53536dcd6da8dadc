// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/session/gucs.h"
#include "proxy/session/remains.h"
#include "proxy/session/session.h"
#include "tests/unit/proxy/takeover/taken.h"

static void test_bytes_and_texts(void **state)
{
    struct buf out = {0};
    put_bytes(&out, slice_of("a\0b", 3));
    put_text(&out, "text");
    put_text(&out, "");
    put_text(&out, NULL);
    struct reader r = reader_of(buf_slice(&out));
    assert_true(slice_eq(take_bytes(&r), slice_of("a\0b", 3)));
    char *text = take_text(&r), *empty = take_text(&r);
    assert_string_equal(text, "text");
    assert_string_equal(empty, "");
    assert_null(take_text(&r));
    assert_true(reader_done(&r));
    mem_free(text);
    mem_free(empty);
    buf_fini(&out);
}

static void test_a_length_that_lies_is_refused(void **state)
{
    const uint8_t lies[] = {0xff, 0xff, 0xff, 0xfe, 'a'};
    struct reader r = reader_of(slice_of(lies, sizeof(lies)));
    assert_null(take_text(&r));
    assert_false(reader_ok(&r));
    r = reader_of(slice_of(lies, sizeof(lies)));
    assert_int_equal(take_bytes(&r).len, 0);
    assert_false(reader_ok(&r));
}

static void test_vars(void **state)
{
    struct vars_registry *registry = vars_registry_new();
    struct vars *vars = vars_none(registry), *taken = vars_none(registry);
    struct buf out = {0};
    for (int i = 1; i < VAR_COUNT; i++) { // the first is not set
        char value[] = {'v', (char)('0' + i), '\0'};
        vars_set(&vars, i, value);
    }
    put_vars(&out, vars);
    struct reader r = reader_of(buf_slice(&out));
    take_vars(&r, &taken);
    assert_true(reader_done(&r));
    assert_ptr_equal(taken, vars); // of equal ones there is one
    vars_unref(&vars);
    vars_unref(&taken);
    vars_registry_free(registry);
    buf_fini(&out);
}

static struct gucs *some_gucs(void)
{
    struct gucs_draft draft = {.count = 0};
    gucs_draft_add(&draft, slice_str("app.tenant"), slice_str("seven"));
    draft.encoding = "LATIN1";
    gucs_draft_add(&draft, slice_str("app.word"), slice_str("\xe9t\xe9"));
    return gucs_new(&draft);
}

static void test_gucs(void **state)
{
    struct gucs *gucs = some_gucs();
    struct buf out = {0};
    put_gucs(&out, gucs);
    put_gucs(&out, NULL);
    struct reader r = reader_of(buf_slice(&out));
    struct gucs *taken = take_gucs(&r);
    assert_true(gucs_equal(gucs, taken));
    assert_string_equal(gucs_get(taken, "app.word")->encoding, "LATIN1");
    assert_string_equal(gucs_get(taken, "app.tenant")->encoding, "");
    assert_null(take_gucs(&r));
    assert_true(reader_done(&r));
    gucs_unref(&taken);
    // A part of them is not taken for all.
    for (uint32_t cut = 0; cut < out.len - 4; cut++) {
        r = reader_of(slice_of(out.at, cut));
        taken = take_gucs(&r);
        assert_false(reader_ok(&r));
        gucs_unref(&taken);
    }
    gucs_unref(&gucs);
    buf_fini(&out);
}

static void test_mentioned(void **state)
{
    struct mentioned some = {.count = 0}, taken = {.count = 0}, none = {.count = 0};
    mentioned_note(&some, slice_str("set app.a = 1, app.b = 2"));
    some.too_many = true;
    struct buf out = {0};
    put_mentioned(&out, &some);
    put_mentioned(&out, NULL);
    struct reader r = reader_of(buf_slice(&out));
    take_mentioned(&r, &taken);
    assert_true(taken.count == 2 && taken.too_many);
    assert_true(mentioned_has(&taken, slice_str("app.a")));
    assert_true(mentioned_has(&taken, slice_str("app.b")));
    take_mentioned(&r, &none);
    assert_true(none.count == 0 && !none.too_many && reader_done(&r));
    mentioned_fini(&some);
    mentioned_fini(&taken);
    buf_fini(&out);
}

static void test_statements_come_to_be_in_the_clients_scope(void **state)
{
    struct client *client = taken_client();
    struct statement *s = taken_statement("SELECT $1");
    struct buf out = {0};
    put_statement(&out, s, s->scope);
    put_statement(&out, NULL, s->scope);
    struct reader r = reader_of(buf_slice(&out));
    struct statement *taken = take_statement(&r, client);
    assert_true(slice_eq(statement_tail(taken), statement_tail(s)));
    assert_true(slice_eq(statement_text(taken), slice_str("SELECT $1")));
    assert_true(taken->scope == session_scope(client) && s->scope == 0);
    assert_null(take_statement(&r, client));
    assert_true(reader_done(&r));
    statement_unref(&taken);
    // What was read by other settings than its client has now is nobody else's.
    struct buf other = {0};
    put_statement(&other, s, s->scope + 1);
    r = reader_of(buf_slice(&other));
    taken = take_statement(&r, client);
    assert_true(taken->scope != session_scope(client) && reader_done(&r));
    statement_unref(&taken);
    buf_fini(&other);
    // Its text ends within it, with a NUL.
    const uint32_t bad[] = {statement_tail(s).len + 1, 3, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        store_u32(out.at, bad[i]);
        r = reader_of(buf_slice(&out));
        assert_null(take_statement(&r, client));
        assert_false(reader_ok(&r));
    }
    statement_unref(&s);
    buf_fini(&out);
}

static void test_names(void **state)
{
    struct client *client = taken_client();
    struct statement_names names = {.in_sql = 0};
    struct statement *one = taken_statement("SELECT 1"), *two = taken_statement("SELECT 2");
    struct buf out = {0};
    statement_names_set(&names, slice_str("a"), one);
    statement_names_set(&names, slice_str("b"), two);
    statement_names_get(&names, slice_str("b"))->told =
        (struct layout){.rows = 5, .types = 6};
    put_names(&out, &names, 0);
    struct reader r = reader_of(buf_slice(&out));
    take_names(&r, client, &client->names);
    assert_true(reader_done(&r) && client->names.table.count == 2);
    const struct statement *b = statement_names_find(&client->names, slice_str("b"));
    const struct layout *told = &statement_names_get(&client->names, slice_str("b"))->told;
    assert_true(told->rows == 5 && told->types == 6);
    assert_int_equal(statement_names_get(&client->names, slice_str("a"))->told.rows, 0);
    assert_true(slice_eq(statement_text(b), slice_str("SELECT 2")));
    for (uint32_t cut = 0; cut < out.len; cut++) {
        statement_names_clear(&client->names);
        r = reader_of(slice_of(out.at, cut));
        take_names(&r, client, &client->names);
        assert_false(reader_ok(&r));
    }
    statement_names_clear(&names);
    statement_unref(&one);
    statement_unref(&two);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_and_texts),
        cmocka_unit_test(test_a_length_that_lies_is_refused),
        cmocka_unit_test(test_vars),
        cmocka_unit_test(test_gucs),
        cmocka_unit_test(test_mentioned),
        cmocka_unit_test_teardown(test_statements_come_to_be_in_the_clients_scope, taken_end),
        cmocka_unit_test_teardown(test_names, taken_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
