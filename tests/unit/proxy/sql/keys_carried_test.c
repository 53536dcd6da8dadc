// SPDX-License-Identifier: Apache-2.0
// Which rows a statement reads where joins merge columns, or conditions are carried into queries.
#include "tests/unit/proxy/sql/keys_fixture.h"

// USING and NATURAL make one column of two.
static void merged_columns(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t JOIN o USING (id) WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t JOIN o USING (id) WHERE o.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o USING (id) WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t RIGHT JOIN o USING (id) WHERE o.id = 5", "t=5;o=5"},
        {"SELECT * FROM t RIGHT JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o USING (id) WHERE o.id = 5", "t;o=5"},
        {"SELECT * FROM t RIGHT JOIN o USING (id) WHERE t.id = 5", "t=5;o"},
        {"SELECT * FROM t FULL JOIN o USING (id) WHERE t.id = 5", "t=5;o"},
        {"SELECT * FROM t NATURAL JOIN o WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t NATURAL LEFT JOIN o WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t NATURAL LEFT JOIN o WHERE o.id = 5", "t;o=5"},
        {"SELECT * FROM t NATURAL FULL JOIN o WHERE o.id = 5", "t;o=5"},
        {"SELECT * FROM c JOIN c d USING (a, b) WHERE (c.a, c.b) IN ((1, 'x'), (2, 'y'))",
         "c=1|x;c=2|y"},
        {"SELECT * FROM c NATURAL JOIN c d WHERE c.a = 1 AND c.b = 'x'", "c=1|x"},
        {"SELECT * FROM c JOIN c d USING (a) WHERE c.a = 1 AND c.b = 'x'", "c"},
        {"SELECT * FROM t JOIN n USING (id) WHERE t.id = 5", "t=5;n"}, // another equality
        {"SELECT * FROM t NATURAL JOIN n WHERE t.id = 5", "t=5;n"},
        {"SELECT * FROM p JOIN p x USING (code) WHERE p.code = 'x'", "p"},
        {"SELECT * FROM t x JOIN o USING (id) WHERE x.id = 5", "t=5;o=5"},
        {"SELECT * FROM t AS x(v, id) JOIN o USING (id) WHERE o.id = 5", "t;o=5"},
        {"SELECT * FROM t JOIN o AS x(v, id) USING (id) WHERE t.id = 5", "t=5;o"},
        {"SELECT * FROM (t JOIN o USING (id)) AS j WHERE j.id = 5", "t;o"},
        // By the alias of what is merged
        {"SELECT * FROM t JOIN o USING (id) AS j WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM ka JOIN kb USING (id) AS j WHERE j.id = 5", "ka=5;kb=5"},
        {"SELECT * FROM ka FULL JOIN kb USING (id) AS j WHERE j.id = 5", "ka=5;kb=5"},
        {"SELECT * FROM ka JOIN kb USING (id) AS j JOIN kc ON true WHERE j.id = 5",
         "ka=5;kb=5;kc"},
        {"SELECT * FROM ka JOIN kn USING (id) AS j WHERE j.id = 5", "ka;kn"},
        // Of more than two, all of one type or without such a column
        {"SELECT * FROM ka JOIN kb USING (id) JOIN kc USING (id) WHERE id = 5", "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka JOIN kb USING (id) JOIN kc USING (id) WHERE ka.id = 5",
         "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka JOIN kb USING (id) JOIN kc USING (id) WHERE kc.id = 5",
         "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka NATURAL JOIN kb NATURAL JOIN kc WHERE kb.id = 5", "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka NATURAL JOIN kk NATURAL JOIN kb WHERE id = 5", "ka=5;kb=5;kk"},
        {"SELECT * FROM ka FULL JOIN kb USING (id) FULL JOIN kc USING (id) WHERE id = 5",
         "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka JOIN kk USING (z) WHERE id = 5", "ka=5;kk"},
        {"SELECT * FROM ka JOIN kk USING (z) WHERE k = 5", "ka;kk=5"},
        {"SELECT * FROM ka NATURAL JOIN kk WHERE k = 5", "ka;kk=5"},
        {"SELECT * FROM ka LEFT JOIN kb USING (id) LEFT JOIN kc USING (id) WHERE ka.id = 5",
         "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka JOIN (kb LEFT JOIN kc USING (id)) USING (id) WHERE ka.id = 5",
         "ka=5;kb=5;kc=5"},
        {"SELECT * FROM ka LEFT JOIN kb USING (id) JOIN kc USING (id) WHERE kb.id = 5",
         "ka;kb=5;kc"}, // kb's may be made up
        {"SELECT * FROM ka RIGHT JOIN kb USING (id) JOIN kc USING (id) WHERE ka.id = 5",
         "ka=5;kb;kc"},
        {"SELECT * FROM ka FULL JOIN kb USING (id) JOIN kc USING (id) WHERE ka.id = 5",
         "ka=5;kb;kc"},
        {"SELECT * FROM ka JOIN kn USING (id) JOIN kc USING (id) WHERE ka.id = 5", "ka=5;kn;kc"},
        {"SELECT * FROM ka JOIN kn USING (id) JOIN kc USING (id) WHERE id = 5", "ka;kn;kc"},
        {"SELECT * FROM ka JOIN kb USING (id) JOIN plain USING (id) WHERE ka.id = 5",
         "ka=5;kb=5;plain"},
        {"SELECT * FROM ka JOIN kb USING (id) JOIN (SELECT 1 AS id) q USING (id) WHERE id = 5",
         "ka;kb"},
        {"WITH w AS (SELECT 5.5 AS id) SELECT * FROM ka JOIN kb USING (id) JOIN w USING (id)"
         " WHERE id = 5", "ka;kb"},
        // With a query
        {"SELECT * FROM ka JOIN (SELECT id FROM kb) q USING (id) WHERE ka.id = 5", "ka=5;kb=5"},
        {"SELECT * FROM ka JOIN (SELECT id FROM kb WHERE kb.id = 5) q USING (id)", "ka=5;kb=5"},
        {"SELECT * FROM ka JOIN (SELECT b AS id FROM kb WHERE kb.id = 5) q USING (id)", "ka;kb=5"},
        {"SELECT * FROM ka JOIN (SELECT b, id FROM kb WHERE kb.id = 5) q(id, k) USING (id)",
         "ka;kb=5"},
        {"WITH w AS (SELECT id FROM kb WHERE id = 5) SELECT * FROM ka JOIN w USING (id)",
         "ka=5;kb=5"},
        {"SELECT * FROM ka NATURAL JOIN (SELECT id FROM kb) q WHERE ka.id = 5", "ka=5;kb"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
    char many[2048] = "SELECT * FROM t x0";
    for (int i = 1; i < 24; i++)
        sprintf(many + strlen(many), " JOIN t x%d USING (id)", i);
    reads(strcat(many, " WHERE x7.id = 5"), "t=5");
    strcpy(many, "SELECT * FROM ka");
    for (int i = 1; i < 28; i++)
        sprintf(many + strlen(many), " NATURAL JOIN kb x%d", i);
    reads(strcat(many, " WHERE ka.id = 5"), "ka=5;kb");
}

// What is said of a query's output, it says of the column that this is.
static void carried_conditions(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM (SELECT * FROM t) x WHERE id = 5", "t=5"},
        {"SELECT * FROM (SELECT * FROM t) x WHERE x.id = 5", "t=5"},
        {"SELECT a.t_id FROM (SELECT t.id AS t_id, t.v AS t_v FROM t WHERE t.v > 1) AS a WHERE"
         " a.t_id IN (5, 6) ORDER BY 1 LIMIT 1", "t=5;t=6"},
        {"SELECT count(*) FROM (SELECT DISTINCT y.id AS c, y.v FROM t y) q WHERE q.c = 5", "t=5"},
        {"SELECT * FROM (SELECT * FROM (SELECT id AS k FROM t) y) x WHERE x.k = 5", "t=5"},
        {"SELECT * FROM (SELECT t.*, s.name FROM t, s) x WHERE x.id = 5", "t=5;s"},
        {"SELECT * FROM (SELECT t.*, o.* FROM t, o) x WHERE x.id = 5", "t=5;o=5"}, // an error
        {"SELECT * FROM (SELECT s.*, t.id FROM t, s) x WHERE x.id = 5", "t=5;s"},
        {"SELECT * FROM (SELECT * FROM ka JOIN kb USING (id)) x WHERE x.id = 5", "ka=5;kb=5"},
        {"SELECT * FROM (SELECT id FROM ka FULL JOIN kb USING (id)) x WHERE x.id = 5",
         "ka=5;kb=5"},
        {"SELECT * FROM (SELECT t.id, o.v FROM t LEFT JOIN o ON o.id = t.id) x WHERE x.id = 5",
         "t=5;o=5"},
        {"SELECT * FROM (SELECT o.id FROM t LEFT JOIN o ON o.id = t.id) x WHERE x.id = 5",
         "t;o=5"},
        {"SELECT * FROM (SELECT a AS f, b AS g FROM c) x WHERE (f, g) IN ((1, 'x'), (2, 'y'))",
         "c=1|x;c=2|y"},
        {"SELECT * FROM (SELECT * FROM c) x WHERE a = 1 AND b = 'x' OR a = 2 AND b = 'y'",
         "c=1|x;c=2|y"},
        {"SELECT id, (SELECT v FROM o WHERE o.id = x.id) FROM (SELECT * FROM t) x WHERE x.id = 5",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE EXISTS (SELECT FROM (SELECT * FROM o) x WHERE x.id = 5)",
         "t;o=5"},
        // Groups and windows that do not mix
        {"SELECT * FROM (SELECT id, count(*) FROM t GROUP BY id HAVING count(*) > 1) x WHERE"
         " x.id = 5", "t=5"},
        {"SELECT * FROM (SELECT t.id, t.v, max(s.v) FROM t, s GROUP BY 1) x WHERE id = 5",
         "t=5;s"},
        {"SELECT * FROM (SELECT id, rank() OVER (PARTITION BY v, id) FROM t) x WHERE id = 5",
         "t=5"},
        {"SELECT * FROM (SELECT t.id AS k, sum(v) OVER w, avg(v) OVER (w ORDER BY v) FROM t"
         " WINDOW w AS (PARTITION BY t.id)) x WHERE k = 5", "t=5"},
        {"SELECT * FROM (SELECT DISTINCT ON (id) * FROM t ORDER BY id, v) x WHERE id = 5", "t=5"},
        {"SELECT * FROM (SELECT DISTINCT ON (t.id) t.id AS k FROM t) x WHERE k = 5", "t=5"},
        {"SELECT * FROM (SELECT id, (SELECT count(*) OVER () FROM s LIMIT 1) FROM t) x WHERE"
         " id = 5", "t=5;s"},
        // From beside it
        {"SELECT * FROM t LEFT JOIN (SELECT id AS k, count(*) FROM o GROUP BY 1) x ON x.k = t.id"
         " WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM (SELECT * FROM o) x RIGHT JOIN t ON x.id = t.id WHERE t.id = 5",
         "t=5;o=5"},
        {"SELECT * FROM t JOIN (SELECT * FROM o) x ON x.id = 5", "t;o=5"},
        {"SELECT * FROM t LEFT JOIN (SELECT * FROM o) x ON x.id = 5", "t;o=5"},
        {"SELECT * FROM t, LATERAL (SELECT * FROM o WHERE o.v = t.v) x WHERE x.id = t.id AND"
         " t.id = 5", "t=5;o=5"},
        // CTEs that one place reads
        {"WITH w AS (SELECT * FROM t) SELECT * FROM w WHERE id = 5", "t=5"},
        {"WITH w AS NOT MATERIALIZED (SELECT id AS k FROM t) SELECT * FROM w x WHERE x.k = 5",
         "t=5"},
        {"WITH w AS (SELECT * FROM t), y AS (SELECT * FROM w) SELECT * FROM y WHERE id = 5",
         "t=5"},
        {"WITH w AS (SELECT * FROM t) SELECT * FROM (SELECT * FROM w) x WHERE x.id = 5", "t=5"},
        {"WITH w AS (SELECT * FROM t) SELECT * FROM o LEFT JOIN w ON w.id = o.id WHERE o.id = 5",
         "t=5;o=5"},
        {"WITH RECURSIVE w AS (SELECT * FROM t) SELECT * FROM w WHERE id = 5", "t=5"},
        {"SELECT * FROM o WHERE o.id = 5 AND EXISTS (WITH w AS (SELECT * FROM t) SELECT FROM w"
         " WHERE w.id = o.id)", "o=5;t=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void what_is_not_carried(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM (SELECT * FROM t LIMIT 1) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT * FROM t OFFSET 1) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT * FROM t ORDER BY v FETCH FIRST ROW WITH TIES) x WHERE id = 5",
         "t"},
        {"SELECT * FROM (SELECT * FROM t UNION SELECT * FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT * FROM t EXCEPT SELECT * FROM o) x WHERE id = 5", "t;o"},
        {"SELECT * FROM (TABLE t UNION ALL TABLE o) x WHERE id = 5", "t;o"},
        {"SELECT * FROM (SELECT DISTINCT ON (v) * FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT DISTINCT ON (id) v AS id, id AS k FROM t) x WHERE k = 5", "t"},
        {"SELECT * FROM (SELECT DISTINCT ON (id + 0) * FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, count(*) OVER () FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, 1 + abs(rank() OVER (ORDER BY v)) FROM t) x WHERE id = 5",
         "t"},
        {"SELECT * FROM (SELECT id, rank() OVER (PARTITION BY v) FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, rank() OVER (PARTITION BY id), rank() OVER (ORDER BY id)"
         " FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, rank() OVER (ORDER BY id), rank() OVER (PARTITION BY id)"
         " FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, rank() OVER w FROM t WINDOW w AS (ORDER BY id)) x WHERE"
         " id = 5", "t"},
        {"SELECT * FROM (SELECT v AS id, id AS k, rank() OVER (PARTITION BY id) FROM t) x WHERE"
         " id = 5", "t"},
        {"SELECT * FROM (SELECT DISTINCT ON (id, ntile(2) OVER (ORDER BY v)) id FROM t) x"
         " WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id FROM t ORDER BY count(*) OVER ()) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, count(*) FROM t GROUP BY ROLLUP (id)) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id, count(*) FROM t GROUP BY GROUPING SETS (id, ())) x WHERE"
         " id = 5", "t"},
        {"SELECT * FROM (SELECT max(id) AS id FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id + 0 AS id FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT id::int FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT v AS id FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT v AS id, id AS v FROM t) x WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT v, id FROM t) x(id, k) WHERE id = 5", "t"},
        {"SELECT * FROM (SELECT v AS id, s.* FROM t, s) x WHERE x.id = 5", "t;s"},
        {"SELECT * FROM (SELECT s.* FROM t, s) x WHERE x.id = 5", "t;s"},
        {"SELECT * FROM (SELECT public.t.id FROM t) x WHERE x.id = 5", "t"},
        {"SELECT * FROM (SELECT o.id FROM t, o) x WHERE x.id = 5", "t;o=5"},
        {"SELECT * FROM (SELECT * FROM t) x WHERE x.id = 5 OR x.v = 1", "t"},
        {"SELECT * FROM (SELECT * FROM t) x WHERE NOT x.id = 5", "t"},
        {"SELECT * FROM (SELECT * FROM t) x, o WHERE o.id = 5", "t;o=5"},
        {"SELECT *, x.id = 5 FROM (SELECT * FROM t) x", "t"},
        {"SELECT * FROM (SELECT * FROM t) x LEFT JOIN o ON x.id = 5", "t;o"},
        {"SELECT * FROM o RIGHT JOIN (SELECT * FROM t) x ON x.id = 5", "t;o"},
        {"SELECT * FROM o FULL JOIN (SELECT * FROM t) x ON x.id = 5", "t;o"},
        {"SELECT * FROM ((SELECT * FROM t) x JOIN o ON true) AS j WHERE id = 5", "t;o"},
        {"SELECT * FROM (SELECT * FROM t) x JOIN o USING (id) WHERE id = 5", "t;o"},
        {"SELECT * FROM (SELECT * FROM ka JOIN kn USING (id)) x WHERE x.id = 5", "ka;kn"},
        {"SELECT * FROM (VALUES (5)) x(id) WHERE id = 5 AND EXISTS (SELECT FROM t)", "t"},
        // CTEs that are read twice, or as something else
        {"WITH w AS (SELECT * FROM t) SELECT * FROM w WHERE id = 5 UNION SELECT * FROM w", "t"},
        {"WITH w AS (SELECT * FROM t) SELECT * FROM w WHERE id = (SELECT max(id) FROM w) AND"
         " w.id = 5", "t"},
        {"WITH w AS (SELECT * FROM t), y AS (SELECT max(v) AS m FROM w) SELECT * FROM w, y WHERE"
         " w.id = 5", "t"},
        {"WITH RECURSIVE w AS (SELECT id FROM t UNION SELECT o.v FROM o, w WHERE o.id = w.id)"
         " SELECT * FROM w WHERE id = 5", "t;o"},
        {"WITH w AS (SELECT * FROM t), t AS (SELECT * FROM w) SELECT * FROM t WHERE id = 5",
         "t"}, // there are two of the name
        {"WITH w(v, id) AS (SELECT id, v FROM t) SELECT * FROM w WHERE id = 5", "t"},
        {"WITH w AS (SELECT * FROM t) SELECT * FROM w AS x(v, id) WHERE id = 5", "t"},
        {"WITH w AS MATERIALIZED (SELECT * FROM t) SELECT * FROM w WHERE id = 5", "t"},
        {"WITH w AS (SELECT * FROM t LIMIT 1) SELECT * FROM w WHERE id = 5", "t"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_columns), cmocka_unit_test(carried_conditions),
        cmocka_unit_test(what_is_not_carried),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
