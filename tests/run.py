# SPDX-License-Identifier: Apache-2.0
"""`make run`: pgweir to try. Starts a scratch PostgreSQL (unless --dsn names a server), pgweir in front
of it with pool and cache, runs a short sample workload, says what came of it, and stays until Ctrl-C.

With --dsn the server must have wal_level = logical, and the DSN's user REPLICATION, for the cache to
turn on; the sample workload only reads then (it makes no tables on a server that is not ours).
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
sys.dont_write_bytecode = True

import cluster as pg  # noqa: E402
from proxy import Proxy  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = "sample"


def parse_dsn(dsn):
    """host, port, user, password, dbname of a URI or a keyword string, as libpq reads it."""
    # psycopg2 asks libpq itself, so that every form it knows is understood.
    from psycopg2.extensions import parse_dsn as libpq
    parts = libpq(dsn)
    user = parts.get("user", os.environ.get("PGUSER", "postgres"))
    return {"host": parts.get("host", "127.0.0.1"), "port": parts.get("port", "5432"), "user": user,
            "password": parts.get("password", os.environ.get("PGPASSWORD", "")),
            "dbname": parts.get("dbname", user)}


def step(text):
    print(f"-- {text}", flush=True)


class Trial:
    def __init__(self, build, dsn):
        self.dsn = parse_dsn(dsn) if dsn else None
        self.directory = pg.scratch_directory(build, "run")
        self.binary = os.path.abspath(f"{build}/pgweir")
        if not pg.reachable(self.binary):
            self.binary = shutil.copy(self.binary, self.directory)
            os.chmod(self.binary, 0o755)
        self.cluster, self.proxy = None, None

    # -- what runs

    def start_server(self):
        place = f"{self.directory}/pg"
        os.mkdir(place)
        pg.give(place)
        self.cluster = pg.Cluster(place).create().start()
        self.cluster.sql("CREATE ROLE app LOGIN PASSWORD 'app'; CREATE ROLE control LOGIN REPLICATION PASSWORD 'control'")
        self.cluster.sql(f"CREATE DATABASE {NAME} OWNER app")
        step(f"a scratch PostgreSQL on port {self.cluster.port} (data in {place})")

    def start_proxy(self):
        if self.dsn:
            name, user = self.dsn["dbname"], self.dsn["user"]
            database = {k: self.dsn[k] for k in ("host", "port", "dbname")}
            users = {user: self.dsn["password"]}
            control = user
        else:
            name, user, control = NAME, "app", "control"
            database = {"host": "127.0.0.1", "port": self.cluster.port, "dbname": NAME}
            users = {"app": "app", "control": "control"}
        self.name, self.user, self.password = name, user, users[user]
        self.http = f"127.0.0.1:{pg.free_port()}"
        self.proxy = Proxy(self.binary, self.directory, {name: database}, {
            "auth_type": "scram-sha-256" if self.password else "trust", "admin_users": user, "default_pool_size": 10,
            "max_client_conn": 500, "cache": "on", "cache_size": "64M", "invalidation": "wal", "control_user": control,
            "http_listen": self.http, "log_connections": None, "log_disconnections": None}, users)
        self.proxy.start()
        step(f"pgweir on port {self.proxy.port} (its configuration: {self.proxy.ini})")

    def connect(self):
        return self.proxy.connect(self.name, self.user, self.password)

    def cache(self):
        with self.proxy.connect("pgbouncer", self.user, self.password) as c:
            totals = {}
            for row in c.query("SHOW CACHE").dicts:
                pairs = [(row["name"], row["value"])] if set(row) >= {"name", "value"} else row.items()
                for key, value in pairs:
                    if re.fullmatch(r"-?[0-9.]+", value or ""):
                        totals[key] = totals.get(key, 0) + float(value)
            return totals

    # -- the sample

    def pgbench(self, *arguments):
        argv = [f"{pg.find_bindir()}/pgbench", "-h", "127.0.0.1", "-p", str(self.proxy.port), "-U", self.user, *arguments, self.name]
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              env={**os.environ, "PGPASSWORD": self.password or "none"})
        if done.returncode != 0:
            raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def sample(self):
        """pgbench's tables; ten readers that ask for a thousand hot rows, and a writer between them."""
        step("a sample workload: pgbench -i -s 1, then reads of hot rows with some writes")
        self.pgbench("-i", "-s", "1", "-q")
        script = f"{self.directory}/hot.sql"
        with open(script, "w", encoding="ascii") as f:
            f.write("\\set aid random_zipfian(1, 1000, 1.2)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n")
        # A direct look first, so that the cache has seen the new tables.
        self.wait_for_hits("SELECT bbalance FROM pgbench_branches WHERE bid = 1")
        before = self.cache()
        reads = self.pgbench("-n", "-f", script, "-M", "prepared", "-c", "10", "-j", "2", "-t", "3000")
        after = self.cache()
        writes = self.pgbench("-n", "-M", "prepared", "-c", "4", "-j", "2", "-t", "100")
        asked = (after["hits"] - before["hits"]) + (after.get("misses", 0) - before.get("misses", 0))
        rate = 100 * (after["hits"] - before["hits"]) / max(1, 10 * 3000)
        tps = [re.search(r"tps = (\d+)", out).group(1) for out in (reads, writes)]
        print(f"\n   reads   {tps[0]:>8} per second, hit rate {rate:.1f} % of {10 * 3000} ({asked:.0f} cacheable)")
        print(f"   tpc-b   {tps[1]:>8} transactions per second through the same pool")

    def wait_for_hits(self, sql, seconds=10):
        with self.connect() as c:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                before = self.cache()["hits"]
                c.query(sql)
                if self.cache()["hits"] > before:
                    return True
                time.sleep(0.01)
        return False

    def show_freshness(self):
        """A row is changed on the server itself; how soon does a client of pgweir see it?"""
        seen = []
        with self.connect() as c, self.cluster.connect(NAME) as d:
            read = "SELECT bbalance FROM pgbench_branches WHERE bid = 1"
            for n in range(1, 21):
                c.query(read)
                time.sleep(0.01)
                d.query(f"UPDATE pgbench_branches SET bbalance = {n} WHERE bid = 1")
                began = time.monotonic()
                while c.value(read) != str(n):
                    pass
                seen.append((time.monotonic() - began) * 1000)
        seen.sort()
        print(f"   a row changed on the server is seen through pgweir after {seen[len(seen) // 2]:.2f} ms (median of {len(seen)})")

    # -- what to tell

    def tell(self):
        secret = f":{self.password}" if self.password else ""
        print(f"""
   DSN      postgresql://{self.user}{secret}@127.0.0.1:{self.proxy.port}/{self.name}
   console  psql 'postgresql://{self.user}{secret}@127.0.0.1:{self.proxy.port}/pgbouncer' -c 'SHOW CACHE'
   metrics  curl http://{self.http}/metrics
   log      {self.proxy.logfile}

   Try next: connect your application with that DSN, or
     psql 'postgresql://{self.user}{secret}@127.0.0.1:{self.proxy.port}/{self.name}'
   then SHOW POOLS and SHOW CACHE on the console, and change a row from a second psql.""", flush=True)

    def run(self, once):
        if not self.dsn:
            self.start_server()
        self.start_proxy()
        if not self.dsn:
            self.sample()
            self.show_freshness()
        else:
            with self.connect() as c:
                step(f"connected through pgweir to {c.value('SELECT version()').split(',')[0]}")
        self.tell()
        if once:
            return 0
        print("\n   Ctrl-C ends everything and removes it.", flush=True)
        while self.proxy.is_running():
            time.sleep(0.2)
        print(f"pgweir ended by itself with {self.proxy.process.returncode}:\n{self.proxy.log()[-2000:]}")
        return 1

    def end(self):
        try:
            if self.proxy:
                self.proxy.stop()
        finally:
            if self.cluster:
                self.cluster.remove()
            shutil.rmtree(self.directory, ignore_errors=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default="build")
    options.add_argument("--dsn")
    options.add_argument("--once", action="store_true", help="end after the sample workload")
    args = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    trial = Trial(args.build, args.dsn)
    try:
        return trial.run(args.once)
    except KeyboardInterrupt:
        print("\n-- ending")
        return 0
    finally:
        # A second Ctrl-C must not stop the clearing up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        trial.end()


if __name__ == "__main__":
    sys.exit(main())
