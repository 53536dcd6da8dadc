# SPDX-License-Identifier: Apache-2.0
"""psycopg2 as it comes: a transaction begins with the first statement. argv: host, port, database, user, rounds."""
import sys

import psycopg2

HOST, PORT, DATABASE, USER, ROUNDS = *sys.argv[1:5], int(sys.argv[5])

c = psycopg2.connect(host=HOST, port=PORT, dbname=DATABASE, user=USER)
for n in range(ROUNDS):
    with c.cursor() as cursor:
        for i in (1, 2):
            cursor.execute("SELECT id, v FROM rd WHERE id = %s", (i,))
            assert cursor.fetchall() == [(i, f"value {i}")]
    (c.commit if n % 2 else c.rollback)()
# A context of its own, read only.
c.set_session(readonly=True)
for n in range(ROUNDS):
    with c, c.cursor() as cursor:
        cursor.execute("SELECT v FROM rd WHERE id = 3")
        assert cursor.fetchone() == ("value 3",)
print(f"{ROUNDS * 3} reads of psycopg2 {psycopg2.__version__.split()[0]}")
