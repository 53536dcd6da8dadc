# SPDX-License-Identifier: Apache-2.0
"""Users' code that a statement runs without naming it, apart from triggers and views: casts, operators between literals, domains inside of
other types, indexes, bounds of partitions. What it wrote is seen at once, also when all names have been met before."""
from day import of_the_day
from runner import limit, scenario

triggers = scenario("43_cache_triggers.py")
CASTF = "CREATE FUNCTION to_mood(int) RETURNS mood LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN 'ok'; END $x$;"
FROMF = "CREATE FUNCTION from_mood(mood) RETURNS int LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN 1; END $x$;"
TAB = "CREATE TABLE l(id int PRIMARY KEY, m mood DEFAULT 'ok'); INSERT INTO l VALUES (1);"
CITE = "CREATE EXTENSION citext; CREATE FUNCTION cplus(citext, citext) RETURNS text LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN 'x'; END $x$; CREATE OPERATOR + (LEFTARG = citext, RIGHTARG = citext, FUNCTION = cplus);"
HS = "CREATE EXTENSION hstore; CREATE FUNCTION to_h(int) RETURNS hstore LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN ''; END $x$; CREATE CAST (int AS hstore) WITH FUNCTION to_h(int);"
LIAR = "CREATE FUNCTION liar(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN 1; END $x$;"
CASES = {
    "explicit cast to enum": (TAB + CASTF + "CREATE CAST (int AS mood) WITH FUNCTION to_mood(int)", ["SELECT 1::mood"]),
    "explicit cast to enum in a read of a table": (TAB + CASTF + "CREATE CAST (int AS mood) WITH FUNCTION to_mood(int)", ["SELECT id::mood FROM l"]),
    "assignment cast to enum": (TAB + CASTF + "CREATE CAST (int AS mood) WITH FUNCTION to_mood(int) AS ASSIGNMENT", ["INSERT INTO l(id, m) VALUES (2, 1)"]),
    "assignment cast from enum": (TAB + FROMF + "ALTER TABLE l ADD k int; CREATE CAST (mood AS int) WITH FUNCTION from_mood(mood) AS ASSIGNMENT", ["UPDATE l SET k = m"]),
    "implicit cast from enum": (TAB + FROMF + "ALTER TABLE l ADD k int; CREATE CAST (mood AS int) WITH FUNCTION from_mood(mood) AS IMPLICIT", ["SELECT abs(m) FROM l"]),
    "explicit cast to extension type": (TAB + HS, ["SELECT 1::hstore"]),
    "citext plus of literals": (TAB + CITE, ["SELECT 'a' + 'b'"]),
    "citext plus of literals in a trigger": (CITE + triggers.table("l", triggers.body("NEW.name := 'a' + 'b';")), None),
    "array of a domain": (TAB + "ALTER TABLE l ADD es evil[]", ["SELECT id FROM l WHERE es = '{a}'"]),
    "array of a domain with a function": (TAB + "ALTER TABLE l ADD es evil[]", ["SELECT array_append(es, 'a') FROM l"]),
    "composite": ("CREATE TYPE comp AS (e evil);" + TAB + "ALTER TABLE l ADD c comp", ["SELECT id FROM l WHERE c IS NOT DISTINCT FROM '(a)'::comp"]),
    "composite in an array": ("CREATE TYPE comp AS (e evil);" + TAB + "ALTER TABLE l ADD c comp[]", ["SELECT id FROM l WHERE c = '{(a)}'"]),
    "range": ("CREATE TYPE rng AS RANGE (subtype = evil);" + TAB + "ALTER TABLE l ADD c rng", ["SELECT id FROM l WHERE c = '[a,b]'"]),
    "multirange": (TAB + "CREATE TYPE rng AS RANGE (subtype = evil, multirange_type_name = mrng); ALTER TABLE l ADD c mrng", ["SELECT id FROM l WHERE c = '{[a,b]}'"]),
    "multirange by name": ("CREATE TYPE rng AS RANGE (subtype = evil, multirange_type_name = mrng);" + TAB, ["SELECT '[a,b]'::rng::mrng"]),
    "index": (TAB + LIAR + "CREATE INDEX ON l (liar(id))", ["INSERT INTO l(id) VALUES (2)"]),
    "partial index": (TAB + LIAR + "CREATE INDEX ON l (id) WHERE liar(id) = 1", ["INSERT INTO l(id) VALUES (2)"]),
    "partition key": (LIAR + "CREATE TABLE l(id int) PARTITION BY RANGE (liar(id)); CREATE TABLE leaf PARTITION OF l FOR VALUES FROM (0) TO (10)", ["INSERT INTO l(id) VALUES (2)"]),
    "partition key of a leaf": (LIAR + "CREATE TABLE lp(id int) PARTITION BY RANGE (liar(id)); CREATE TABLE l PARTITION OF lp FOR VALUES FROM (0) TO (10)", ["INSERT INTO l(id) VALUES (2)"]),
    "xmltable": (TAB, ["SELECT * FROM XMLTABLE('/a' PASSING '<a>x</a>' COLUMNS e evil PATH '.')"]),
    "populate": (TAB + "ALTER TABLE l ADD e evil", ["SELECT json_populate_record(l, '{\"e\": \"a\"}') FROM l"]),
}

SEEN_BY_HIDDEN_CODE = {"index", "partial index", "partition key", "partition key of a leaf"} # by nothing else


@limit(120)
def test_named_nowhere(ctx):
    triggers.look_alikes(ctx, of_the_day(CASES, 2), turns=3)


@limit(120)
def test_named_nowhere_alone(ctx):
    named = {name: case for name, case in CASES.items() if name not in SEEN_BY_HIDDEN_CODE}
    triggers.look_alikes(ctx, of_the_day(named, 2), turns=3, hidden_code_check=0)
