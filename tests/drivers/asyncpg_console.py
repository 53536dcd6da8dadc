# SPDX-License-Identifier: Apache-2.0
"""asyncpg, which has everything in binary, on the console: argv is host, port, database, user."""
import asyncio
import os
import sys
from decimal import Decimal

import asyncpg

HOST, PORT, DATABASE, USER = sys.argv[1:5]


async def main():
    c = await asyncpg.connect(host=HOST, port=int(PORT), database="pgbouncer", user=USER,
                              password=os.environ["PGPASSWORD"])
    for _ in range(3):
        rows = await c.fetch("SHOW POOLS")
        assert [r["cl_active"] for r in rows if r["database"] == "pgbouncer"] == [1], rows
    totals = {r["name"]: r["value"] for r in await c.fetch("SHOW TOTALS")}
    assert isinstance(totals["total_query_count"], Decimal), totals
    assert await c.execute("RECONNECT") == "RECONNECT"
    # Its end is abrupt: a reset of the session would be refused.
    c.terminate()

asyncio.run(main())
print(f"asyncpg {asyncpg.__version__} on the console")
