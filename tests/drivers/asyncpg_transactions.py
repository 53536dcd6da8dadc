# SPDX-License-Identifier: Apache-2.0
"""asyncpg: transaction(), with its statement cache; fetch(), as fetchval() asks for a first portion of the rows. argv: host, port, database, user, rounds."""
import asyncio
import os
import sys

import asyncpg

HOST, PORT, DATABASE, USER, ROUNDS = *sys.argv[1:5], int(sys.argv[5])


async def main():
    c = await asyncpg.connect(host=HOST, port=int(PORT), database=DATABASE, user=USER, password=os.environ["PGPASSWORD"])
    for _ in range(ROUNDS):
        async with c.transaction():
            assert [r["v"] for r in await c.fetch("SELECT v FROM rd WHERE id = $1", 1)] == ["value 1"]
            assert [tuple(r) for r in await c.fetch("SELECT id, v FROM rd WHERE id = $1", 2)] == [(2, "value 2")]
    for _ in range(ROUNDS):
        async with c.transaction(readonly=True):
            assert [r["v"] for r in await c.fetch("SELECT v FROM rd WHERE id = $1", 1)] == ["value 1"]
    await c.close()
    print(f"{ROUNDS * 3} reads of asyncpg {asyncpg.__version__}")


asyncio.run(main())
