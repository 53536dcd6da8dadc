# SPDX-License-Identifier: Apache-2.0
"""psycopg 3 on the console: argv is host, port, database, user; the password is PGPASSWORD."""
import sys
from decimal import Decimal

import psycopg
from psycopg.rows import dict_row

HOST, PORT, DATABASE, USER = sys.argv[1:5]

with psycopg.connect(host=HOST, port=PORT, dbname="pgbouncer", user=USER, autocommit=True, row_factory=dict_row) as c:
    assert any(r["database"] == "pgbouncer" and r["cl_active"] == 1 for r in c.execute("SHOW POOLS"))
    # Prepared and used again; in binary, where numbers are numbers of their type.
    for _ in range(8):
        assert c.execute("SHOW LISTS", prepare=True).fetchone()["list"] == "databases"
    row = c.cursor(binary=True).execute("SHOW STATS", prepare=True).fetchone()
    assert isinstance(row["total_query_count"], Decimal), row
    try:
        c.execute("SHOW NONSENSE", prepare=True)
        raise AssertionError("an error was expected")
    except psycopg.errors.ProtocolViolation as error:
        assert "use SHOW HELP" in str(error), error
    c.execute("RECONNECT")
    assert c.execute("SHOW STATE").fetchall()[0]["value"] == "yes"
print(f"psycopg {psycopg.__version__} on the console")
