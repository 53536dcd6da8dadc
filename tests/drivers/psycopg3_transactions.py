# SPDX-License-Identifier: Apache-2.0
"""psycopg 3: transactions by default, prepared or not, in contexts, in a pipeline. argv: host, port, database, user, rounds."""
import sys

import psycopg

HOST, PORT, DATABASE, USER, ROUNDS = *sys.argv[1:5], int(sys.argv[5])
READ = "SELECT id, v FROM rd WHERE id = %s"


def connect(**options):
    return psycopg.connect(host=HOST, port=PORT, dbname=DATABASE, user=USER, **options)


def read(c, i):
    assert c.execute(READ, (i,)).fetchall() == [(i, f"value {i}")]


def main():
    for threshold in (5, 0, None):
        with connect(prepare_threshold=threshold) as c:
            for n in range(ROUNDS):
                read(c, 1)
                read(c, 2)
                # (A rollback makes it drop what it had prepared, which is the server's business.)
                (c.commit if n % 2 or threshold == 0 else c.rollback)()
    with connect(autocommit=True) as c:
        for _ in range(ROUNDS):
            with c.transaction():
                read(c, 1)
                read(c, 2)
    with connect() as c:
        c.read_only, c.isolation_level = True, psycopg.IsolationLevel.READ_COMMITTED
        for _ in range(ROUNDS):
            with c.cursor(binary=True) as cursor:
                assert cursor.execute(READ, (3,)).fetchone() == (3, "value 3")
            c.commit()
    print(f"{ROUNDS * 9} reads of psycopg {psycopg.__version__}")


main()
