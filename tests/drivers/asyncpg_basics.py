# SPDX-License-Identifier: Apache-2.0
"""asyncpg with its statement cache and its pool (which resets each connection with UNLISTEN, RESET ALL and
so on): argv is host, port, database, user; the password is PGPASSWORD."""
import asyncio
import os
import sys

import asyncpg

HOST, PORT, DATABASE, USER = sys.argv[1:5]
WHERE = {"host": HOST, "port": int(PORT), "database": DATABASE, "user": USER, "password": os.environ["PGPASSWORD"]}


async def one(c):
    await c.execute("CREATE TABLE ap(id int PRIMARY KEY, v text[])")
    await c.executemany("INSERT INTO ap VALUES ($1, $2)", [(i, [str(i), "x"]) for i in range(200)])
    for i in range(30):
        assert await c.fetchval("SELECT v[1] FROM ap WHERE id = $1", i) == str(i)
        assert await c.fetchval(f"SELECT {i} + $1::int", 1) == i + 1
    async with c.transaction(isolation="repeatable_read", readonly=True):
        seen = [r["id"] async for r in c.cursor("SELECT id FROM ap ORDER BY id", prefetch=7)]
        assert seen == list(range(200))
    try:
        async with c.transaction():
            await c.execute("DELETE FROM ap")
            await c.execute("SELECT 1/0")
    except asyncpg.DivisionByZeroError:
        pass
    assert await c.fetchval("SELECT count(*) FROM ap") == 200
    await c.copy_records_to_table("ap", records=[(i, [str(i)]) for i in range(1000, 1500)])
    assert await c.fetchval("SELECT count(*) FROM ap") == 700
    # A composite's description is asked of the server with settings changed and put back.
    await c.execute("CREATE TYPE pair AS (a int, b text)")
    assert tuple(await c.fetchval("SELECT (1, 'x')::pair")) == (1, "x")
    try:
        await c.fetchval("SELECT pg_sleep(10)", timeout=0.2)
        raise AssertionError("not cancelled")
    except asyncio.TimeoutError:
        pass
    assert await c.fetchval("SELECT 1") == 1


async def many(pool, n):
    for i in range(20):
        async with pool.acquire() as c:
            assert await c.fetchval("SELECT $1::int", n * 100 + i) == n * 100 + i
            async with c.transaction():
                assert await c.fetchval("SELECT v[1] FROM ap WHERE id = $1", n) == str(n)


async def main():
    c = await asyncpg.connect(**WHERE)
    await one(c)
    await c.close()
    async with asyncpg.create_pool(min_size=2, max_size=8, **WHERE) as pool:
        await asyncio.gather(*[many(pool, n) for n in range(16)])
    print(f"asyncpg {asyncpg.__version__}")


asyncio.run(main())
