# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own regression scripts, run directly and through pgweir, and the outputs compared.

A *pass* is one fresh PostgreSQL, one database, and every script in turn, each by a psql of its own, as
pg_regress runs them. The passes are: direct, through pgweir in transaction mode, and the same with
the cache on. While a script runs, other clients of the same database and user hammer the same two
servers with short transactions, so that a script that is not pinned finds itself on another server
again and again; and they check that nothing of the script's session is to be seen in theirs.
"""
import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [f"{ROOT}/tests/lib", HERE]
sys.dont_write_bytecode = True

import cluster as pg  # noqa: E402
from known import Known  # noqa: E402
from pgwire import SLOWNESS, PeerClosed, PgError  # noqa: E402
from proxy import CACHE_SETTINGS, Proxy  # noqa: E402

DATABASE = "regression"
SOURCE = f"{ROOT}/build/regress-source"
# What pg_regress has its psql say at the start, and sets for the database.
CLIENT = {"PGTZ": "PST8PDT", "PGDATESTYLE": "Postgres, MDY",
          "PGOPTIONS": "-c intervalstyle=postgres_verbose", "LC_MESSAGES": "C", "LANG": "C"}
DATABASE_SETTINGS = {"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C",
                     "bytea_output": "hex", "timezone_abbreviations": "Default"}
HAMMERS = 3
PAUSE = 0.005
PASSES = ("direct", "pooled", "cached")
SCRIPT_SECONDS = 120
# Scripts that are run a second time behind the first, as "NAME-again": their first run has taught pgweir
# after which statements currval() is asked for.
AGAIN = "constraints sequence".split()
# And as "NAME-reads", their SELECTs alone, each several times in a row: no script asks the same again without
# changing tables or settings in between, so that the cache would have nothing to answer.
READS, READ_TIMES = "select select_distinct select_having union case join aggregates subselect".split(), 8

# What may differ between two runs of a script without any proxy: nothing that a rule here hides is
# a matter of sessions.
HIDDEN = [
    (re.compile(r"(server process with PID|with PID|PID) \d+"), r"\1 N"),
    (re.compile(r"\bpg_(toast_)?temp_\d+"), r"pg_\1temp_N"),
    (re.compile(r"at character \d+ of pid \d+"), "at character N"),
]


def schedule(source):
    """All scripts, in the order of parallel_schedule."""
    with open(f"{source}/regress/parallel_schedule", encoding="utf-8") as f:
        return [name for line in f if line.startswith("test:") for name in line.split()[1:]]


def lines_of(source, name):
    """The lines of a script, as they are said."""
    script = re.sub("-(again|reads)$", "", name)
    with open(f"{source}/regress/sql/{script}.sql", encoding="utf-8", errors="surrogateescape") as text:
        lines = text.read().split("\n")
    return reads(lines) if name.endswith("-reads") else lines


def reads(lines):
    """The SELECTs alone that are statements of their own, each several times in a row."""
    out, statement, begins = [], None, True
    for line in lines:
        if begins and re.match(r"(select|values|table|with)\b", line, re.I):
            statement = []
        if statement is not None:
            statement.append(line)
        code = line.split("--")[0].rstrip()
        if statement is not None and "\\" not in line and code.endswith(";"):
            out += statement * READ_TIMES
        if code:
            begins = code.endswith(";") or (begins and code.startswith("\\"))
        if begins or "\\" in line:
            statement = None
    return out + [""]


class Hammer(threading.Thread):
    """A neighbour: short transactions under its own settings, each of which looks for traces of
    somebody else's session."""

    LOOK = """SELECT current_setting('search_path'), current_setting('my.id', true),
        current_setting('application_name'), current_setting('extra_float_digits'),
        current_setting('statement_timeout'), current_setting('enable_seqscan'), current_user, session_user,
        (SELECT count(*) FROM pg_catalog.pg_cursors WHERE is_holdable),
        (SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()
            AND relpersistence = 't'),
        (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()),
        (SELECT count(*) FROM pg_catalog.pg_listening_channels()), pg_catalog.lower('UP'),
        current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'),
        current_setting('transaction_isolation'), current_setting('transaction_read_only'),
        current_setting('client_encoding'), current_setting('bytea_output')"""

    def __init__(self, who, connect):
        super().__init__(daemon=True)
        self.who, self.connect = who, connect
        self.ended, self.resting = threading.Event(), threading.Event()
        self.done, self.wrong = 0, []
        self.own = {"search_path": f"'hammer {who}', public", "my.id": f"'{who}'",
                    "extra_float_digits": str(who % 3)}
        self.expected = (f'"hammer {who}", public', str(who), f"hammer-{who}", str(who % 3), "0", "on", "postgres", "postgres", "0", "0", "0", "0",
                         "up", "UTC", "ISO, YMD", "iso_8601", "read committed", "off", "UTF8", "hex")

    def run(self):
        while not self.ended.is_set():
            try:
                with self.connect(application_name=f"hammer-{self.who}", TimeZone="UTC",
                                  DateStyle="ISO, YMD", IntervalStyle="iso_8601") as c:
                    for name, value in self.own.items():
                        c.query(f"SET {name} = {value}")
                    while not self.ended.is_set() and len(self.wrong) < 20:
                        if not self.resting.is_set():
                            self.turn(c)
                            self.done += 1
                        self.ended.wait(PAUSE)
            except (PgError, PeerClosed, OSError) as error:
                # Scripts that close the database to others do that to us as well.
                if not self.ended.is_set():
                    self.wrong.append(f"hammer {self.who}: {error!r}")
                    self.ended.wait(0.2)

    def turn(self, c):
        seen = c.query(self.LOOK).rows[0] if self.done % 3 else c.run(self.LOOK).rows[0]
        if seen != self.expected:
            self.wrong.append(f"hammer {self.who} sees {seen}, expected {self.expected}")
        if self.done % 3 == 0:
            c.query("BEGIN")
            pid = c.value("SELECT pg_backend_pid()")
            if c.run("SELECT pg_backend_pid()").value != pid:
                self.wrong.append(f"hammer {self.who} changed servers within a transaction")
            c.query("COMMIT")

    def end(self):
        self.ended.set()
        self.join(20 * SLOWNESS)
        return self.wrong


class Pass:
    """One fresh server, and the scripts on it, directly or through a proxy."""

    def __init__(self, kind, binary, directory, source, hammers=HAMMERS):
        self.kind, self.binary, self.source = kind, binary, source
        self.directory = f"{directory}/{kind}"
        os.mkdir(self.directory)
        os.mkdir(f"{self.directory}/results")
        for path in (self.directory, f"{self.directory}/results"):
            os.chmod(path, 0o777)
            pg.give(path)
        os.mkdir(f"{self.directory}/pg")
        pg.give(f"{self.directory}/pg")
        self.cluster = pg.Cluster(f"{self.directory}/pg")
        self.proxy, self.hammers, self.wrong = None, [], []
        self.hammer_count = hammers
        self.seconds, self.hits = {}, {}

    def start(self):
        """From the main thread: what it starts ends with the thread that started it."""
        self.cluster.create({"max_prepared_transactions": 2, "max_wal_size": "1GB"}).start().make_roles()
        self.cluster.sql(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        for name, value in DATABASE_SETTINGS.items():
            self.cluster.sql(f"ALTER DATABASE {DATABASE} SET {name} TO '{value}'")
        self.port = self.cluster.port
        if self.kind != "direct":
            settings = {"default_pool_size": 2, "worker_threads": 2, "query_wait_timeout": 60,
                        "max_prepared_statements": 5}
            if self.kind == "cached":
                # Some of the scripts make casts by functions, behind which any expression may run code:
                # with that looked for nothing would hit. The pooled pass looks for it.
                settings |= CACHE_SETTINGS | {"hidden_code_check": 0}
            databases = {DATABASE: {"host": "127.0.0.1", "port": self.cluster.port, "dbname": DATABASE}}
            self.proxy = Proxy(self.binary, self.directory, databases, settings).start()
            self.port = self.proxy.port
        if self.kind == "direct":
            connect = lambda **params: self.cluster.connect(DATABASE, tcp=True, **params)  # noqa: E731
        else:
            connect = lambda **params: self.proxy.connect(DATABASE, "postgres", timeout=60, **params)  # noqa: E731
        self.hammers = [Hammer(n, connect) for n in range(self.hammer_count)]
        for hammer in self.hammers:
            hammer.start()
        return self

    def run(self, script):
        """The script's output, with what always differs hidden."""
        hits = self.proxy.cache()["hits"] if self.kind == "cached" else 0
        output = self.play(script)
        if self.kind == "cached":
            self.hits[script] = int(self.proxy.cache()["hits"] - hits)
        return output

    def play(self, script):
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | CLIENT | {
            "PG_ABS_SRCDIR": f"{self.source}/regress", "PG_ABS_BUILDDIR": self.directory,
            "PG_LIBDIR": f"{self.source}/lib", "PG_DLSUFFIX": ".so", "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": "postgres-secret"}
        psql = [f"{self.cluster.bindir}/psql", "-X", "-a", "-q", "-d", DATABASE, "-v", "HIDE_TABLEAM=on",
                "-v", "HIDE_TOAST_COMPRESSION=on"]
        started = time.monotonic()
        self.rest_if(self.vacuums(script))
        said = f"{self.directory}/{script}.sql"
        with open(said, "w", encoding="utf-8", errors="surrogateescape") as text:
            text.write("\n".join(lines_of(self.source, script)))
        with open(said, "rb") as text:
            process = subprocess.Popen(psql, stdin=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       env=env, cwd=self.directory, user=pg.USER and pg.USER.pw_uid)
            try:
                output, _ = process.communicate(timeout=SCRIPT_SECONDS * SLOWNESS)
            except subprocess.TimeoutExpired:
                process.kill()
                output = process.communicate()[0] + b"\n[psql did not end in time]\n"
        self.seconds[script] = time.monotonic() - started
        # What a script leaves prepared would be in the way of every later one.
        for (gid,) in self.cluster.sql("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()", DATABASE):
            self.cluster.sql(f"ROLLBACK PREPARED '{gid}'", DATABASE)
        if script == "test_setup":
            self.settle()
        return self.plain(output.decode("utf-8", "replace"))

    def settle(self, patience=10.0):
        """Plans depend on the pages that VACUUM found all-visible, and that on who had a snapshot just
        then; so it is repeated until it had its way."""
        until = time.monotonic() + patience * SLOWNESS
        for table in ("tenk1", "tenk2", "onek", "onek2"):
            while self.cluster.sql(f"SELECT relallvisible = relpages FROM pg_class WHERE relname = '{table}'",
                                   DATABASE) != [("t",)] and time.monotonic() < until:
                self.cluster.sql(f"VACUUM {table}", DATABASE)

    def vacuums(self, script):
        return any(re.match(r"\s*vacuum", line, re.I) for line in lines_of(self.source, script))

    def rest_if(self, claim):
        """What VACUUM finds dead, and so which plans follow, depends on who else has a snapshot: the
        neighbours rest meanwhile."""
        for hammer in self.hammers:
            if claim:
                hammer.resting.set()
            else:
                hammer.resting.clear()

    def plain(self, text):
        text = text.replace(self.directory, "DIRECTORY")
        text = re.sub(rf"\b(port \"?)({self.port}|{self.cluster.port})\b", r"\1N", text)
        for pattern, instead in HIDDEN:
            text = pattern.sub(instead, text)
        return text.splitlines(keepends=True)

    def end(self):
        for hammer in self.hammers:
            hammer.ended.set()
        for hammer in self.hammers:
            self.wrong += hammer.end()
        try:
            if self.proxy:
                self.proxy.stop()
        finally:
            self.cluster.stop()


class Outcome:
    def __init__(self):
        self.outputs = {}     # (kind, script) -> lines
        self.kinds = []       # the passes, the first of which is the measure
        self.wrong = []       # what the neighbours saw
        self.turns = {}       # kind -> transactions of the neighbours
        self.hits = {}        # script -> answers from the cache, in the cached pass
        self.seconds = {}


def compare(binary, directory, scripts, source=SOURCE, kinds=PASSES, say=lambda line: None,
            hammers=HAMMERS):
    """Runs the scripts in every pass, the passes side by side; returns an Outcome."""
    passes = [Pass(kind, binary, directory, source, hammers) for kind in kinds]
    outcome, threads, failed = Outcome(), [], []
    outcome.kinds = list(kinds)
    scripts = outcome.scripts = [name for script in scripts for name in
                                 [script] + [f"{script}-again"] * (script in AGAIN) +
                                 [f"{script}-reads"] * (script in READS)]
    try:
        for each in passes:
            each.start()

        def work(each):
            try:
                for script in scripts:
                    outcome.outputs[each.kind, script] = each.run(script)
                    say(f"{each.kind:7} {script:24} {each.seconds[script]:6.1f} s")
            except BaseException as error:  # told by the main thread
                failed.append(f"{each.kind}: {error!r}")

        threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in passes]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    finally:
        for each in passes:
            try:
                each.end()
            except AssertionError as error:
                failed.append(f"{each.kind}: {error}")
    assert not failed, "\n".join(failed)
    for each in passes:
        outcome.wrong += [f"{each.kind}: {line}" for line in each.wrong]
        outcome.turns[each.kind] = sum(h.done for h in each.hammers)
        outcome.seconds[each.kind] = sum(each.seconds.values())
        outcome.hits |= each.hits
    return outcome


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default="build")
    options.add_argument("--source", default=SOURCE)
    options.add_argument("--scripts", default="", help="some of them, by comma; test_setup goes first")
    options.add_argument("--passes", default=",".join(PASSES))
    options.add_argument("--out", default="", help="where to put the diffs (default: BUILD/regress)")
    options.add_argument("--hammers", type=int, default=HAMMERS)
    options.add_argument("-v", action="store_true")
    args = options.parse_args()
    everything = schedule(args.source)
    chosen = [s for s in re.split(r"[ ,]+", args.scripts) if s]
    unknown = set(chosen) - set(everything)
    if unknown:
        raise SystemExit(f"no such script: {', '.join(sorted(unknown))}")
    scripts = [s for s in everything if not chosen or s in chosen or s == "test_setup"]
    out = args.out or f"{args.build}/regress"
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    directory = pg.scratch_directory(args.build, "regress")
    binary = os.environ.get("PGWEIR_BIN", f"{os.path.abspath(args.build)}/pgweir")
    try:
        outcome = compare(binary, directory, scripts, args.source, tuple(args.passes.split(",")),
                          (lambda line: print(line, flush=True)) if args.v else (lambda line: None), args.hammers)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return report(outcome, out, args.source)


def pairs(outcome):
    """(kind, script, direct output, output through pgweir) of all."""
    direct = outcome.kinds[0]
    return [(kind, script, outcome.outputs[direct, script], outcome.outputs[kind, script])
            for script in outcome.scripts for kind in outcome.kinds[1:]]


def judge(outcome, source=SOURCE):
    """(good lines, bad lines): what is known, and what is not as it should be."""
    known, good, bad = Known(), [], []
    for kind, script, direct, other in pairs(outcome):
        why, wrong = known.judge(kind, script, lines_of(source, script), direct, other)
        good += [f"differs, as known: {kind} {script}: {line}" for line in why]
        bad += wrong
    bad += [f"LEAK: {line}" for line in outcome.wrong[:20]]
    return good, bad


def report(outcome, out, source):
    for kind, script, direct, other in pairs(outcome):
        if direct != other:
            for which, lines in (("direct", direct), (kind, other)):
                with open(f"{out}/{script}.{which}.out", "w", encoding="utf-8") as f:
                    f.writelines(lines)
            with open(f"{out}/{script}.{kind}.diff", "w", encoding="utf-8") as f:
                f.writelines(difflib.unified_diff(direct, other, f"direct/{script}", f"{kind}/{script}", n=4))
    good, bad = judge(outcome, source)
    print("\n".join(good + bad))
    print(f"{len(outcome.scripts)} scripts; seconds {({k: round(v) for k, v in outcome.seconds.items()})}, "
          f"neighbours' turns {outcome.turns}, answers from the cache {sum(outcome.hits.values())}")
    print("regress: " + (f"{len(bad)} failed, the diffs are in {out}" if bad else "the same"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
