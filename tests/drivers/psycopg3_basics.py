# SPDX-License-Identifier: Apache-2.0
"""psycopg 3 through a pooler: argv is host, port, database, user; the password is PGPASSWORD."""
import sys
import threading

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

HOST, PORT, DATABASE, USER = sys.argv[1:5]


def connect(**options):
    return psycopg.connect(host=HOST, port=PORT, dbname=DATABASE, user=USER, **options)


def prepared(c):
    """Statements are prepared at the first use, kept by name, and forgotten with DEALLOCATE."""
    c.prepare_threshold = 0
    c.prepared_max = 3
    for i in range(60):
        value = c.execute(f"SELECT %s::int + {i % 7}", (i,)).fetchone()[0]
        assert value == i + i % 7, (value, i)
        c.commit()


def pipeline(c):
    with c.pipeline() as p:
        cursors = [c.execute("SELECT %s::int", (i,)) for i in range(50)]
        p.sync()
        assert [cur.fetchone()[0] for cur in cursors] == list(range(50))
    c.commit()
    try:
        with c.pipeline():
            c.execute("SELECT 1")
            c.execute("SELECT no_such_column")
            c.execute("SELECT 3")
        raise AssertionError("no error")
    except errors.UndefinedColumn:
        c.rollback()
    assert c.execute("SELECT 5").fetchone() == (5,)
    c.commit()


def transactions(c):
    with c.transaction():
        c.execute("INSERT INTO p3 VALUES (1, 'outer')")
        try:
            with c.transaction():
                c.execute("INSERT INTO p3 VALUES (2, 'inner')")
                raise psycopg.Rollback()
        except psycopg.Rollback:
            pass
        with c.transaction():
            c.execute("INSERT INTO p3 VALUES (3, 'kept')")
    assert [r[0] for r in c.execute("SELECT id FROM p3 ORDER BY id")] == [1, 3]
    c.commit()
    c.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    assert c.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
    c.commit()
    c.isolation_level = None


def copies(c):
    with c.cursor() as cur:
        with cur.copy("COPY p3 FROM STDIN") as copy:
            for i in range(100, 1100):
                copy.write_row((i, f"row {i}"))
        with cur.copy("COPY (SELECT v FROM p3 WHERE id >= 100 ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["text"])
            assert [r[0] for r in copy.rows()] == [f"row {i}" for i in range(100, 1100)]
    with c.cursor("srv", row_factory=dict_row) as cur:
        cur.itersize = 50
        cur.execute("SELECT id FROM p3 WHERE id >= 100 ORDER BY id", binary=True)
        assert [r["id"] for r in cur] == list(range(100, 1100))
    c.commit()


def cancels(c):
    timer = threading.Timer(0.2, c.cancel)
    timer.start()
    try:
        c.execute("SELECT pg_sleep(10)")
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        c.rollback()
    assert c.execute("SELECT 1").fetchone() == (1,)
    c.commit()


def main():
    with connect(application_name="three") as c:
        notices = []
        c.add_notice_handler(lambda n: notices.append(n.message_primary))
        c.execute("CREATE TABLE p3(id int PRIMARY KEY, v text)")
        c.execute("DO $$ BEGIN RAISE NOTICE 'mine'; END $$")
        c.commit()
        assert notices == ["mine"], notices
        for part in (prepared, pipeline, transactions, copies, cancels):
            part(c)
        assert c.execute("SHOW application_name").fetchone() == ("three",)
    print(f"psycopg {psycopg.__version__}")


main()
