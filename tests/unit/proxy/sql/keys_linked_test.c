// SPDX-License-Identifier: Apache-2.0
// Rows that other rows fix: from place to place.
#include "tests/unit/proxy/sql/keys_fixture.h"

static void joins(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t, o WHERE t.id = 5 AND o.id = 6", "t=5;o=6"},
        {"SELECT * FROM t a, t b WHERE a.id = 5 AND b.id = 6", "t=5;t=6"},
        {"SELECT * FROM t JOIN o ON o.id = 6 WHERE t.id = 5", "t=5;o=6"},
        {"SELECT * FROM t JOIN o ON o.id = 6 AND t.id = 5", "t=5;o=6"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = 6 WHERE t.id = 5", "t=5;o=6"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = 6 AND t.id = 5", "t;o=6"}, // t is preserved
        {"SELECT * FROM t LEFT JOIN o ON t.id = 5", "t;o"},
        {"SELECT * FROM t LEFT JOIN o ON true WHERE o.id = 6", "t;o=6"},
        {"SELECT * FROM t RIGHT JOIN o ON t.id = 5 AND o.id = 6", "t=5;o"},
        {"SELECT * FROM t FULL JOIN o ON t.id = 5 AND o.id = 6", "t;o"},
        {"SELECT * FROM t FULL JOIN o ON t.id = o.id WHERE t.id = 5 AND o.id = 6", "t=5;o=6"},
        {"SELECT * FROM s LEFT JOIN (t JOIN o ON o.id = 6) ON t.id = 5 WHERE s.name = 'x'",
         "s=x;t=5;o=6"},
        {"SELECT * FROM s LEFT JOIN (t LEFT JOIN o ON o.id = 6 AND t.id = 5) ON true"
         " WHERE s.name = 'x'", "s=x;t;o=6"},
        {"SELECT * FROM t CROSS JOIN o WHERE t.id = 5", "t=5;o"},
        // Through equality
        {"SELECT * FROM t, o WHERE t.id = 5 AND o.id = t.id", "t=5;o=5"},
        {"SELECT * FROM t JOIN o ON t.id = o.id WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = t.id WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = t.id AND t.id = 5", "t;o"},
        {"SELECT * FROM t JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t FULL JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t NATURAL JOIN o WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t JOIN n USING (id) WHERE id = 5", "t;n"}, // of which type is it?
        {"SELECT * FROM t JOIN plain USING (id) WHERE id = 5", "t;plain"},
        {"SELECT * FROM t JOIN o USING (id) JOIN plain USING (id) WHERE id = 5", "t;o;plain"},
        // o is not the one that it is merged of, but out of sight
        {"SELECT * FROM o, t JOIN (SELECT id FROM plain) q USING (id) JOIN (SELECT 1) r"
         " ON id = 5", "o;t;plain"},
        {"SELECT * FROM o, t JOIN generate_series(1, 9) q(id) USING (id) JOIN (SELECT 1) r"
         " ON id = 5", "o;t"},
        {"SELECT * FROM t JOIN plain USING (id) WHERE t.id = 5", "t=5;plain"},
        {"SELECT * FROM t JOIN plain ON plain.id = t.id WHERE t.id = 5", "t=5;plain"},
        {"SELECT * FROM plain JOIN t ON t.id = plain.t_id WHERE plain.t_id = 5", "plain;t"},
        {"SELECT * FROM t JOIN o ON t.id = o.v WHERE o.v = 5", "t;o"}, // o.v is of any type
        {"SELECT * FROM t JOIN n ON t.id = n.id WHERE n.id = 5", "t;n=5"}, // another equality
        {"SELECT * FROM s JOIN p ON s.name = p.code WHERE p.code = 'x'", "s;p=x"},
        {"SELECT * FROM (t JOIN o ON true) AS j WHERE id = 5", "t;o"},
        {"SELECT * FROM (t JOIN o ON true) AS j(a, b, c, id) WHERE id = 5", "t;o"},
        // What a qualifier means
        {"SELECT * FROM t x, o WHERE t.id = 5 AND o.id = 6", "t;o=6"},
        {"SELECT * FROM t WHERE EXISTS (SELECT FROM o WHERE t.id = 5 AND o.id = 6)", "t;o=6"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = t.id)",
         "t=5;o=5"},
        {"SELECT * FROM t, LATERAL (SELECT * FROM o WHERE o.id = 6 AND o.v = t.v) l"
         " WHERE t.id = 5", "t=5;o=6"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

// What equals a column of another place, wherever that stands.
static void linked_places(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t JOIN o ON o.id = t.id JOIN t x ON x.id = o.id WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t, o, t x WHERE x.id = o.id AND t.id IN (5, 6) AND o.id = t.id",
         "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM t, o WHERE t.id = o.id AND o.id = t.id", "t;o"}, // round in a circle
        {"SELECT * FROM t, o, t x WHERE t.id = o.id AND o.id = x.id AND x.id = t.id AND x.id = 5",
         "t=5;o=5"},
        {"SELECT * FROM t JOIN o ON o.id = t.id WHERE t.id = 5 OR t.id = 6 AND t.v = 1",
         "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM t JOIN n ON n.id = t.id JOIN o ON o.id = n.id WHERE t.id = 5",
         "t=5;n;o"}, // an n is compared in another way
        {"SELECT * FROM p JOIN p x ON x.code = p.code WHERE p.code = 'x'", "p"}, // likewise
        {"SELECT * FROM c JOIN c d ON d.a = c.a AND d.b = c.b WHERE (c.a, c.b) IN ((1, 'x'),"
         " (2, 'y'))", "c=1|x;c=2|y"},
        // From a subquery to what is around it
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = (t.id)) FROM t WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND NOT EXISTS (SELECT FROM o WHERE t.id = o.id)",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND v > (SELECT count(*) FROM o WHERE id = t.id)",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND (v = 1 OR EXISTS (SELECT FROM o WHERE o.id = t.id))",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 ORDER BY (SELECT v FROM o WHERE o.id = t.id)", "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM s WHERE s.name = t.name AND EXISTS"
         " (SELECT FROM o WHERE o.id = t.id))", "t=5;s;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = t.id UNION"
         " SELECT FROM t x WHERE x.id = t.id + 1)", "t;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (WITH w AS (SELECT * FROM o WHERE o.id = t.id)"
         " SELECT FROM w)", "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM (SELECT * FROM o WHERE"
         " o.id = t.id LIMIT 1) x)", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN LATERAL (SELECT * FROM o WHERE o.id = t.id LIMIT 1) x ON true"
         " WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN LATERAL (SELECT max(v) FROM (SELECT * FROM o y WHERE y.id ="
         " t.id) z) x ON true WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN s ON EXISTS (SELECT FROM o WHERE o.id = t.id) WHERE t.id = 5",
         "t=5;s;o"}, // what ON sees is not looked at
        // Where the subquery is asked for rows that are not fixed
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id) FROM t WHERE t.id = 5 OR v = 1",
         "t;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id) FROM t HAVING t.id = 5", "t;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id) FROM t LEFT JOIN s ON t.id = 5",
         "t;s;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id OR t.v = 1) FROM t WHERE t.id = 5",
         "t=5;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE NOT o.id = t.id) FROM t WHERE t.id = 5", "t=5;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.v) FROM t WHERE t.id = 5", "t=5;o"},
        {"SELECT *, (SELECT max(v) FROM o LEFT JOIN s ON o.id = t.id) FROM t WHERE t.id = 5",
         "t=5;o;s"},
        // What a name means there
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, t WHERE o.id = t.id)", "t;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, s t WHERE o.id = t.id)",
         "t=5;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, (SELECT v AS id FROM s) t"
         " WHERE o.id = t.id)", "t=5;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, (s JOIN s x ON true) AS t"
         " WHERE o.id = t.id)", "t=5;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, (t JOIN s ON t.id = 6) AS j"
         " WHERE o.id = t.id)", "t;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM (s JOIN o ON o.id = t.id), t"
         " WHERE t.id = 6)", "t=5;t=6;s;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM (s JOIN s x ON EXISTS (SELECT"
         " FROM o WHERE o.id = t.id)), t WHERE t.id = 6)", "t=5;t=6;s;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM LATERAL (SELECT FROM o WHERE"
         " o.id = t.id) x, t WHERE t.id = 6)", "t=5;t=6;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM t, (SELECT FROM o WHERE"
         " o.id = t.id) x WHERE t.id = 6)", "t=5;t=6;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM t, LATERAL (SELECT FROM o WHERE"
         " o.id = t.id) x WHERE t.id = 6)", "t=5;t=6;o=6"},
        {"WITH t AS (SELECT 7 AS id FROM s) SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM"
         " o WHERE o.id = t.id)", "s;o"},
        {"WITH x AS (SELECT 7 AS id FROM s) SELECT * FROM t x WHERE x.id = 5 AND EXISTS (SELECT"
         " FROM o WHERE o.id = x.id)", "s;t=5;o=5"},
        {"SELECT * FROM t AS x(v, id) WHERE x.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = x.id)",
         "t;o"},
        {"SELECT * FROM t x WHERE x.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = t.id)", "t=5;o"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void linked_queries(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM (SELECT t.id AS k FROM t WHERE t.id = 5 LIMIT 1) x LEFT JOIN o ON"
         " x.k = o.id", "t=5;o=5"},
        {"SELECT * FROM (SELECT * FROM t WHERE id = 5) x JOIN o ON o.id = x.id", "t=5;o=5"},
        {"SELECT * FROM (SELECT id FROM t WHERE id = 5 GROUP BY id) x JOIN o ON o.id = x.id",
         "t=5;o=5"},
        {"SELECT * FROM (SELECT DISTINCT y.id, s.name FROM t y JOIN s ON s.v = y.v WHERE y.id = 5)"
         " x JOIN o ON o.id = x.id", "t=5;s;o=5"},
        {"SELECT * FROM (SELECT y.k FROM (SELECT id AS k FROM t WHERE id = 5) y) x, o WHERE"
         " o.id = x.k", "t=5;o=5"},
        {"SELECT * FROM (SELECT y.* FROM t y WHERE y.id = 5) x, o WHERE o.id = x.id", "t=5;o=5"},
        {"WITH w AS (SELECT id AS k FROM t WHERE id = 5) SELECT * FROM w JOIN o ON o.id = w.k",
         "t=5;o=5"},
        {"WITH w AS (SELECT id AS k FROM t WHERE id = 5) SELECT * FROM o WHERE o.id IN (SELECT k"
         " FROM w)", "t=5;o"}, // that is not followed
        {"SELECT * FROM o WHERE o.id IN (SELECT t.id FROM t WHERE t.id IN (5, 6))",
         "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM o WHERE id = ANY (SELECT id FROM t WHERE id = 5) AND v = 1", "t=5;o=5"},
        {"SELECT * FROM o WHERE id = (SELECT id FROM t WHERE id = 5)", "t=5;o=5"},
        {"SELECT * FROM o WHERE (SELECT id FROM t WHERE id = 5) = o.id", "t=5;o=5"},
        {"SELECT * FROM s LEFT JOIN o ON o.id IN (SELECT id FROM t WHERE id = 5) WHERE name = 'x'",
         "s=x;t=5;o=5"},
        {"SELECT * FROM c d WHERE EXISTS (SELECT FROM c WHERE c.a = d.a AND c.b = d.b) AND"
         " (d.a, d.b) IN ((1, 'x'), (2, 'y'))", "c=1|x;c=2|y"},
        {"SELECT * FROM (SELECT a AS f, b AS g FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))) x,"
         " c WHERE c.a = x.f AND c.b = x.g", "c=1|x;c=2|y"},
        // Two readers of a CTE are at two rows of it.
        {"WITH w AS (SELECT a, b FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))) SELECT * FROM c,"
         " w, w v WHERE c.a = w.a AND c.b = v.b", "c=1|x;c=1|y;c=2|x;c=2|y"},
        // What a column of a query is
        {"SELECT * FROM (SELECT v AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id", "t=5;o"},
        {"SELECT * FROM (SELECT id + 1 AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id",
         "t=5;o"},
        {"SELECT * FROM (SELECT id::int8 AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id",
         "t=5;o"},
        {"SELECT * FROM (SELECT max(id) AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id",
         "t=5;o"},
        {"SELECT * FROM (SELECT v, id FROM t WHERE id = 5) x(id, k) JOIN o ON o.id = x.id",
         "t=5;o"},
        {"WITH w(v, id) AS (SELECT id, v FROM t WHERE id = 5) SELECT * FROM w JOIN o ON"
         " o.id = w.id", "t=5;o"},
        {"SELECT * FROM (SELECT t.id FROM t WHERE t.id = 5 UNION SELECT 6) x JOIN o ON"
         " o.id = x.id", "t=5;o"},
        {"SELECT * FROM (VALUES (5)) x(id) JOIN o ON o.id = x.id", "o"},
        {"SELECT * FROM (SELECT id FROM t, s WHERE t.id = 5) x JOIN o ON o.id = x.id", "t=5;s;o"},
        {"SELECT * FROM (SELECT * FROM t, s WHERE t.id = 5) x JOIN o ON o.id = x.id", "t=5;s;o"},
        {"SELECT * FROM (SELECT * FROM t WHERE id = 5 OR v = 1) x JOIN o ON o.id = x.id", "t;o"},
        {"WITH RECURSIVE w AS (SELECT id FROM t WHERE id = 5 UNION SELECT o.id + 1 FROM o JOIN w"
         " ON o.id = w.id) SELECT * FROM w", "t=5;o"},
        {"SELECT * FROM o WHERE id NOT IN (SELECT id FROM t WHERE id = 5)", "t=5;o"},
        {"SELECT * FROM o WHERE id <> ANY (SELECT id FROM t WHERE id = 5)", "t=5;o"},
        {"SELECT * FROM o WHERE id = ALL (SELECT id FROM t WHERE id = 5)", "t=5;o"},
        {"SELECT * FROM o WHERE id IN (SELECT id FROM t WHERE id = 5) OR v = 1", "t=5;o"},
        {"SELECT * FROM o WHERE id = COALESCE((SELECT id FROM t WHERE id = 5), 6)", "t=5;o"},
        {"SELECT * FROM o WHERE id IN (SELECT name FROM s WHERE name = '5')", "s=5;o"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
    // Writes are taken by what they say themselves.
    writes("DELETE FROM o WHERE id IN (SELECT id FROM t WHERE id = 5)", "o");
    writes("UPDATE o SET v = 1 FROM t WHERE t.id = 5 AND o.id = t.id", "o");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins), cmocka_unit_test(linked_places),
        cmocka_unit_test(linked_queries),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
