// SPDX-License-Identifier: Apache-2.0
// Bodies of trigger functions: which only compute, and what they use.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/sql/builtins.h"
#include "proxy/sql/computing.h"

struct used {
    struct buf text;
    const char *forbidden; // a function or operator that may not be used
};

static bool use(struct used *u, const char *how, struct slice name)
{
    buf_printf(&u->text, "%s%.*s ", how, (int)name.len, (const char *)name.at);
    return u->forbidden == NULL || !slice_is(name, u->forbidden);
}

static bool use_function(struct slice name, void *arg)
{
    return use(arg, "f:", name);
}

static bool use_operator(struct slice name, void *arg)
{
    return use(arg, "o:", name);
}

static bool use_column(struct slice name, bool assigned, void *arg)
{
    return use(arg, assigned ? "set:" : "c:", name);
}

static bool use_row(void *arg)
{
    return use(arg, "row", slice_of("", 0));
}

static const struct computing_told told = {use_function, use_operator, use_column, use_row};

static bool read_with(const char *body, const char *forbidden, const char *expected)
{
    struct used u = {.forbidden = forbidden};
    bool computes = computing_read(slice_str(body), &told, &u);
    buf_u8(&u.text, 0);
    if (expected != NULL && strcmp((const char *)u.text.at, expected) != 0)
        fail_msg("%s: %s instead of %s", body, (const char *)u.text.at, expected);
    buf_fini(&u.text);
    return computes;
}

static void check_uses(const char *body, const char *expected)
{
    if (!read_with(body, NULL, expected))
        fail_msg("refused: %s", body);
}

static void what_it_uses(void **state)
{
    check_uses("BEGIN NEW.updated_at := now(); RETURN NEW; END", "set:updated_at f:now ");
    check_uses("begin new.\"updatedAt\" = NOW(); return new; end;", "set:updatedAt f:now ");
    check_uses("BEGIN IF NEW.* IS DISTINCT FROM OLD.* THEN NEW.n = OLD.n + 1; END IF;"
               " RETURN NEW; END",
               "row o:= row set:n c:n o:+ ");
    check_uses("BEGIN NEW.a := lower(NEW.b) || -NEW.c; RETURN NEW; END",
               "set:a f:lower c:b o:|| o:- c:c ");
    check_uses("BEGIN NEW.a := NEW.b LIKE 'x' AND NEW.c NOT IN (1, 2); RETURN NULL; END",
               "set:a c:b o:~~ o:!~~ c:c o:= o:<> ");
    check_uses("BEGIN NEW.a := CASE NEW.b WHEN 1 THEN 2 ELSE NULLIF(3, 4) END; RETURN OLD; END",
               "set:a o:= c:b o:= ");
    check_uses("BEGIN NEW.a := NEW.b BETWEEN 1 AND 2; RETURN NEW; END",
               "set:a c:b o:>= o:<= o:< o:> ");
    check_uses("BEGIN NEW.a := NEW.b != 1; RETURN NEW; END", "set:a c:b o:!= o:<> ");
    check_uses("BEGIN RETURN NULL; END", "");
}

static const char *const computing[] = {
    "DECLARE x int := 1; y CONSTANT text NOT NULL DEFAULT 'a'; z timestamp with time "
    "zone;BEGIN z := now(); x := x + 1; NEW.a := x; RETURN NEW; END",
    "DECLARE a numeric(10, 2); b varchar(3)[]; c character varying; d double precision; "
    "BEGIN RETURN NEW; END",
    "BEGIN -- INSERT INTO t\n /* DELETE /* nested */ FROM t */ NEW.a := 'INSERT ''into'' t'; "
    "RETURN NEW; END;",
    "BEGIN IF TG_OP = 'INSERT' THEN NEW.a := 1; ELSIF TG_OP = 'UPDATE' THEN NEW.a := 2; ELSE "
    "RETURN OLD; END IF; RETURN NEW; END",
    "BEGIN CASE NEW.a WHEN 1, 2 THEN NEW.b := 1; ELSE NULL; END CASE; RETURN NEW; END",
    "BEGIN CASE WHEN NEW.a > 1 THEN NEW.b := 1; END CASE; RETURN NEW; END",
    "BEGIN IF NEW.a < 0 THEN RAISE EXCEPTION 'no % and %', NEW.a, OLD.b USING ERRCODE = "
    "'check_violation', HINT = 'x' || NEW.c; END IF; RETURN NEW; END",
    "BEGIN RAISE NOTICE 'x'; RETURN NULL; END",
    "BEGIN RAISE EXCEPTION USING MESSAGE = 'no'; END",
    "BEGIN BEGIN NEW.a := 1; END; RETURN COALESCE(NEW, OLD); END",
    "BEGIN NEW.a := (NEW.b ->> 'x')::int; NEW.c := ARRAY[1, 2]::int[]; NEW.d := NEW.c[1]; "
    "RETURN NEW; END",
    "BEGIN NEW.a := extract(epoch FROM NEW.b); NEW.b := current_timestamp AT TIME ZONE "
    "'UTC'; RETURN NEW; END",
    "BEGIN NEW.a := pg_catalog.lower(NEW.b) || interval '1 day'; RETURN NEW; END",
    "BEGIN NEW.a := NEW.b = ANY (ARRAY['x', 'y']); NEW.c := (NEW.a, NEW.b) IS NOT NULL; "
    "RETURN NEW; END",
    "BEGIN NEW.a := ROW(NEW.*) IS DISTINCT FROM ROW(OLD.*); NEW.b := ARRAY[]::text[]; RETURN "
    "NEW; END",
    "BEGIN NEW.a := setweight(to_tsvector('english', coalesce(NEW.b, '')), 'A') || "
    "to_tsvector('x'); RETURN NEW; END",
};

static void what_computes(void **state)
{
    for (size_t i = 0; i < sizeof(computing) / sizeof(*computing); i++)
        check_uses(computing[i], NULL);
}

// Each begins as if it only computed.
static const char *const doing[] = {
    "INSERT INTO t VALUES (1);",
    "PERFORM f();",
    "EXECUTE 'x';",
    "SELECT 1 INTO NEW.a;",
    "CALL p();",
    "NOTIFY x;",
    "NEW.a := (SELECT 1);",
    "NEW.a := f(1);",
    "NEW.a := public.now();",
    "NEW.a := new.now();",
    "NEW.a := 1 FROM t;",
    "NEW.a := count FROM t;",
    "NEW.a := 1 UNION SELECT 2;",
    "NEW.a := DISTINCT FROM t;",
    "NEW.a := EXISTS (TABLE t);",
    "NEW.a := ARRAY(SELECT 1);",
    "NEW.a := 1 IN (SELECT 1);",
    "NEW.a := 1 = ANY (TABLE t);",
    "NEW.a := 1::mytype;",
    "NEW.a := 1::public.text;",
    "NEW.a := CAST(1 AS text);",
    "NEW.a := mytype 'x';",
    "NEW.a := lower 'x';",
    "NEW.a := lower(3) 'x';",
    "NEW.a := v 'x';",
    "NEW.a := v.f;",
    "NEW.a := v(1);",
    "NEW.a := NEW.b.c;",
    "NEW.a := NEW.b(1);",
    "NEW.a := (NEW).b;",
    "NEW.a := (NEW.b).c;",
    "NEW.a := OLD.b OPERATOR(public.+) 1;",
    "NEW.a := 1 <-> 2;",
    "NEW.a := 1 +@ 2;",
    "NEW.a := @ 1;",
    "NEW.a := 1 COLLATE x;",
    "NEW.a := unknown_variable;",
    "NEW.a := E'x';",
    "NEW.a := U&'x';",
    "NEW.a := $1;",
    "NEW.a := $$x$$;",
    "NEW.a := 'x\\';",
    "NEW.a := set_config('a.b', 'c', false);",
    "NEW.a := nextval('s');",
    "NEW.a := query_to_xml('x', true, true, '');",
    "NEW.a := pg_notify('a', 'b');",
    "NEW.a := now(VARIADIC x => 1);",
    "NEW.a := 1, 2;",
    "NEW.a[1] := 2;",
    "NEW := OLD;",
    "OLD.a := 1;",
    "w := 1;",
    "FOR i IN 1..3 LOOP NULL; END LOOP;",
    "FOR v IN SELECT 1 LOOP NULL; END LOOP;",
    "WHILE true LOOP NULL; END LOOP;",
    "GET DIAGNOSTICS v = ROW_COUNT;",
    "OPEN c;",
    "ASSERT f();",
    "RAISE;",
    "RAISE NOTICE '%', f();",
    "RAISE EXCEPTION USING MESSAGE = f();",
    "IF f() THEN NULL; END IF;",
    "CASE f() WHEN 1 THEN NULL; END CASE;",
    "BEGIN NULL; EXCEPTION WHEN others THEN NULL; END;",
    "<<label>> BEGIN NULL; END;",
    "RETURN f(NEW);",
    "RETURN ROW(1);",
    "RETURN QUERY SELECT 1;",
    "#variable_conflict use_column",
    "NEW.caf\xc3\xa9 := 1;",
    "NEW.a := 1 -- \n; PERFORM f();",
    "NEW.a := 1; -- \r PERFORM f();\n",
    "NEW.a := text;",
    "NEW.a := v IS FROM v;",
    "NEW.a := 1 /* /* */ ; PERFORM f(); */ */;",
    "NEW.a := ''''; PERFORM f(); NEW.b := '';",
    "IF true THEN PERFORM f(); END IF;",
    "CASE WHEN true THEN NULL; ELSE PERFORM f(); END CASE;",
};
static const char *const declaring[] = {
    "x t%ROWTYPE;",   "x t.a%TYPE;",     "x record;",        "x mytype;",
    "x int := f();",  "x int := x;",     "x int DEFAULT f(1);", "c CURSOR FOR SELECT 1;",
    "x ALIAS FOR y;", "new int;",        "now_ public.text;", "\"x\" int;",
    "x int COLLATE y;", "null int;",     "x int := (SELECT 1);", "row int;",
};

static void what_may_do_more(void **state)
{
    struct buf body = {0};
    for (size_t i = 0; i < sizeof(doing) / sizeof(*doing); i++) {
        body.len = 0;
        buf_printf(&body, "DECLARE v int; BEGIN %s RETURN NEW; END", doing[i]);
        buf_u8(&body, 0);
        if (read_with((const char *)body.at, NULL, NULL))
            fail_msg("taken: %s", (const char *)body.at);
    }
    for (size_t i = 0; i < sizeof(declaring) / sizeof(*declaring); i++) {
        body.len = 0;
        buf_printf(&body, "DECLARE %s BEGIN RETURN NEW; END", declaring[i]);
        buf_u8(&body, 0);
        if (read_with((const char *)body.at, NULL, NULL))
            fail_msg("taken: %s", (const char *)body.at);
    }
    buf_fini(&body);
    static const char *const whole[] = {
        "", "BEGIN", "BEGIN RETURN NEW;", "BEGIN RETURN NEW; END; SELECT 1", "RETURN NEW;",
        "BEGIN RETURN NEW; END IF;", "BEGIN IF true THEN RETURN NEW; END;", "BEGIN NEW.a := 'x",
        "BEGIN /* RETURN NEW; END", "BEGIN ELSE RETURN NEW; END",
    };
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
        if (read_with(whole[i], NULL, NULL))
            fail_msg("taken: %s", whole[i]);
}

// What the caller says may not be used is not, wherever it stands.
static void what_is_forbidden(void **state)
{
    static const char *const pairs[][2] = {
        {"BEGIN NEW.a := now(); RETURN NEW; END", "now"},
        {"BEGIN NEW.a := pg_catalog.now(); RETURN NEW; END", "now"},
        {"BEGIN NEW.a := 1 + 1; RETURN NEW; END", "+"},
        {"BEGIN NEW.a := -1; RETURN NEW; END", "-"},
        {"BEGIN NEW.a := 1 IN (1); RETURN NEW; END", "="},
        {"BEGIN NEW.a := NEW.b NOT LIKE 'x'; RETURN NEW; END", "!~~"},
        {"BEGIN NEW.a := NEW.b ILIKE 'x'; RETURN NEW; END", "~~*"},
        {"BEGIN NEW.a := NEW IS DISTINCT FROM OLD; RETURN NEW; END", "="},
        {"BEGIN CASE NEW.a WHEN 1 THEN NULL; END CASE; RETURN NEW; END", "="},
        {"BEGIN NEW.a := NULLIF(1, 2); RETURN NEW; END", "="},
        {"BEGIN NEW.a := 1 != 2; RETURN NEW; END", "<>"},
        {"BEGIN NEW.a := NEW.b; RETURN NEW; END", "b"},
        {"BEGIN NEW.a := 1; RETURN NEW; END", "a"},
        {"BEGIN NEW.a := to_jsonb(NEW); RETURN NEW; END", ""},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        check_uses(pairs[i][0], NULL);
        if (read_with(pairs[i][0], pairs[i][1], NULL))
            fail_msg("taken: %s", pairs[i][0]);
    }
}

// Whatever is on the list was reviewed: it writes nothing, and is PostgreSQL's own.
static void functions_are_harmless(void **state)
{
    const char *at = COMPUTING_FUNCTIONS;
    for (size_t len; *at != 0; at += len + (at[len] == ',')) {
        len = strcspn(at, ",");
        struct slice name = slice_of(at, len);
        if (slice_is(name, "trim")) // grammar
            continue;
        if (builtin_function_volatility(name) == VOLATILITY_UNKNOWN ||
            builtin_function_deed(name) != BUILTIN_NOTHING)
            fail_msg("%.*s", (int)len, at);
    }
}

// No prefix, and no byte made another, takes it out of bounds (sanitizers watch).
static void what_is_cut_off(void **state)
{
    srand(7);
    for (size_t i = 0; i < sizeof(computing) / sizeof(*computing); i++)
        for (size_t len = strlen(computing[i]); len > 0; len--) {
            char *copy = malloc(len);
            assert_non_null(copy);
            memcpy(copy, computing[i], len);
            struct used u = {0};
            computing_read(slice_of(copy, len), &told, &u);
            copy[(size_t)rand() % len] = (char)rand();
            computing_read(slice_of(copy, len), &told, &u);
            buf_fini(&u.text);
            free(copy);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_uses),        cmocka_unit_test(what_computes),
        cmocka_unit_test(what_may_do_more),    cmocka_unit_test(what_is_forbidden),
        cmocka_unit_test(functions_are_harmless), cmocka_unit_test(what_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
