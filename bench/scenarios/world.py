# SPDX-License-Identifier: Apache-2.0
"""The world of one story: a PostgreSQL as that system had it, its data, and each target in turn in
front of a fresh copy of them, with a look at the server meanwhile."""
import os
import subprocess
import threading
import time

import psycopg2

import answers
import meter
import scratch as place
import targets

DATABASE = USER = "app"
LOADED = "loaded"     # the template that each target gets a copy of
HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ("direct", "pgbouncer", "pgweir-cache")
TITLES = {"direct": "bare", "pgbouncer": "PgBouncer", "pgweir-cache": "pgweir"}
LOOK_S = 0.1          # between two looks at the server's connections
HANG_S = 60


class Watch(threading.Thread):
    """Counts the server connections of the application, over and over, on a connection that a
    superuser always gets. Those that users.c makes around what is measured are not counted."""

    QUERY = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}' " \
            "AND application_name <> 'around'"

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.link = psycopg2.connect(host=cluster.scratch.path, port=cluster.port,
                                     user=place.SUPERUSER, dbname="postgres")
        self.link.autocommit = True
        self.seen = []  # (monotonic s, connections)
        self.ending = threading.Event()
        self.start()

    def run(self):
        with self.link.cursor() as cursor:
            while not self.ending.wait(LOOK_S):
                cursor.execute(self.QUERY)
                self.seen.append((time.monotonic(), cursor.fetchone()[0]))

    def end(self):
        self.ending.set()
        self.join()
        self.link.close()
        return self.seen


class World:
    def __init__(self, scratch, story, options):
        self.scratch, self.story, self.options = scratch, story, options
        self.cluster = place.Cluster(scratch, settings={
            "max_connections": str(story.MAX_CONNECTIONS), "shared_buffers": "512MB"})
        self.maker = targets.Maker(scratch, self.cluster, os.path.abspath(options.pgweir),
                                   options.pgbouncer, database=DATABASE,
                                   users=(place.SUPERUSER, USER))
        self.users = scratch.copy_program(options.users, "users")

    def load(self):
        """Starts the server and fills the template. Whatever the story wants to know of its data
        before anybody writes, it reads then."""
        self.maker.needs(TARGETS)
        self.cluster.launch()
        self.cluster.sql(f"CREATE ROLE {USER} LOGIN; CREATE EXTENSION pg_prewarm", "template1")
        self.cluster.sql(f"CREATE DATABASE {LOADED}", "template1")
        with open(os.path.join(HERE, f"{self.story.NAME}.sql"), encoding="utf-8") as file:
            self.cluster.sql(file.read(), LOADED)
        self.cluster.sql("VACUUM ANALYZE", LOADED)
        self.story.remember(lambda sql: self.cluster.sql(sql, LOADED))

    def _copy(self):
        """A server that knows nothing of the run before, and its data."""
        self.cluster.restart()
        self.cluster.sql(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", "template1")
        self.cluster.sql(f"CREATE DATABASE {DATABASE} TEMPLATE {LOADED} STRATEGY file_copy",
                         "template1")
        self.cluster.sql("SELECT pg_prewarm(oid) FROM pg_class WHERE relkind IN ('r', 'i') AND "
                         "relnamespace = 'public'::regnamespace", DATABASE)

    def run(self, name, plan_path):
        """Plays the plan against one target; a dictionary of what was seen."""
        self._copy()
        target = self.maker.start(name, more=self._settings(name), sections=self._sections(name))
        watch = Watch(self.cluster)
        cpu = meter.tree_cpu(self.cluster.process.pid)
        found = self._play(target, plan_path)
        found["server_cpu_s"] = meter.tree_cpu(self.cluster.process.pid) - cpu
        begin_s = found.pop("begin_us") / 1e6
        found["connections"] = [(at - begin_s, count) for at, count in watch.end()]
        if target.cached:
            found["cache"] = self._console(target, "SHOW CACHE")
            found["texts"] = self._console(target, "SHOW CACHE QUERIES")
        died = target.died()
        if died:
            raise place.BenchError(f"{TITLES[name]} died: {died}")
        if target.process:
            self.scratch.stop(target.process)
        return found

    def _settings(self, name):
        if name == "direct":
            return {}
        more = {"max_client_conn": 5000, "admin_users": place.SUPERUSER, "log_pooler_errors": 0,
                "default_pool_size": self.story.POOL_SIZE}
        if name == "pgweir-cache":
            more["track_queries"] = 100
        return more

    def _sections(self, name):
        rules = getattr(self.story, "CACHE_RULES", "")
        return f"\n[cache_rules]\n{rules}\n" if rules and name == "pgweir-cache" else ""

    def _play(self, target, plan_path):
        heard = os.path.join(self.scratch.path, "answers")
        command = [self.users, plan_path, heard, str(int(self.options.patience * 1000)),
                   f"127.0.0.1:{target.port}", f"127.0.0.1:{self.cluster.port}"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            out, problem = process.communicate(
                timeout=self.options.seconds + self.options.patience + HANG_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise place.BenchError(f"users ended with {process.returncode}: {problem}")
        return {"begin_us": int(out), "answers": list(answers.read(heard))}

    def _console(self, target, command):
        return self.scratch.run([f"{self.cluster.bin}/psql", "-XqAt", *target.address(),
                                 "-d", "pgbouncer", "-c", command]).strip()
