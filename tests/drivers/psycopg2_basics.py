# SPDX-License-Identifier: Apache-2.0
"""psycopg2 (libpq) through a pooler: argv is host, port, database, user; the password is PGPASSWORD."""
import io
import sys
import threading

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

HOST, PORT, DATABASE, USER = sys.argv[1:5]


def connect(**options):
    return psycopg2.connect(host=HOST, port=PORT, dbname=DATABASE, user=USER, **options)


def main():
    with connect() as c, c.cursor() as cur:
        cur.execute("CREATE TABLE items(id serial PRIMARY KEY, name text, price numeric, tags text[], at timestamptz)")
        cur.execute("INSERT INTO items(name, price, tags, at) VALUES (%s, %s, %s, now()) RETURNING id",
                    ("tea", "2.50", ["hot", "green"]))
        assert cur.fetchone() == (1,)
    with connect() as c, c.cursor() as cur:
        psycopg2.extras.execute_values(cur, "INSERT INTO items(name, price) VALUES %s",
                                       [(f"item {i}", i) for i in range(500)], page_size=50)
        cur.execute("SELECT count(*), sum(price) FROM items")
        assert cur.fetchone()[0] == 501
    with connect() as c, c.cursor("named") as cur:
        cur.itersize = 100
        cur.execute("SELECT id FROM items ORDER BY id")
        assert [r[0] for r in cur] == list(range(1, 502))
    with connect() as c, c.cursor() as cur:
        cur.copy_expert("COPY items(name, price) FROM STDIN", io.StringIO("".join(f"c{i}\t{i}\n" for i in range(1000))))
        out = io.StringIO()
        cur.copy_expert("COPY (SELECT id FROM items) TO STDOUT", out)
        assert len(out.getvalue().splitlines()) == 1501
    c = connect()
    cur = c.cursor()
    try:
        cur.execute("SELECT 1/0")
        raise AssertionError("no error")
    except psycopg2.errors.DivisionByZero:
        c.rollback()
    cur.execute("SELECT 1")
    assert cur.fetchone() == (1,)
    c.set_client_encoding("LATIN1")
    cur.execute("SELECT %s", ("é",))
    assert cur.fetchone() == ("é",)
    c.commit()
    c.autocommit = True
    cur.execute("SELECT name FROM items WHERE id = 1")
    assert cur.fetchone() == ("tea",)
    for _ in range(20):
        cur.execute("SELECT name, price FROM items WHERE id = 1")
        assert cur.fetchone()[0] == "tea"
    # cancel() from another thread
    timer = threading.Timer(0.3, c.cancel)
    timer.start()
    try:
        cur.execute("SELECT pg_sleep(10)")
        raise AssertionError("not cancelled")
    except psycopg2.errors.QueryCanceled:
        pass
    c.close()

    def work(n):
        w = connect()
        with w, w.cursor() as k:
            for i in range(50):
                k.execute("SELECT %s::int", (n * 100 + i,))
                assert k.fetchone() == (n * 100 + i,)
        w.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(f"psycopg2 {psycopg2.__version__.split()[0]}, libpq {psycopg2.extensions.libpq_version()}")


main()
