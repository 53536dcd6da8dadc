# SPDX-License-Identifier: Apache-2.0
"""Runs unit programs, the repository's rules and the scenarios, and counts.

A scenario file is tests/scenario/NN_name.py; its functions test_* take one argument, the Context.
Files and functions run in order, one after the other, on one scratch PostgreSQL; each test gets a
database of its own (ctx.db) and starts its own proxies (ctx.proxy(...)). When all run, two processes share the files
(Beside). All that a test opened ends with the test. A test fails by an exception, by its time limit (@limit(seconds)
changes the 60 s; BUSY times that is let pass), by a proxy that ends badly, or by a sanitizer's report. The last line says `N passed, N failed`.
"""
import argparse
import ctypes
import fnmatch
import glob
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
# Limits are for what hangs: a machine that does other things as well is so many times slower.
BUSY = 4


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason; counted as neither."""


class TimeLimit(Exception):
    pass


def limit(seconds):
    def mark(test):
        test.limit = seconds
        return test
    return mark


def sanitizer_of(build):
    name = os.path.basename(os.path.normpath(build))
    return next((s for s in ("asan", "tsan") if s in name), None)


def sanitizer_environment(kind, reports):
    suppressions = f"{ROOT}/tests/lib/tsan.supp"
    if kind == "asan":
        return {"ASAN_OPTIONS": f"log_path={reports}/report:detect_leaks=1:abort_on_error=0:exitcode=99:"
                                "strict_string_checks=1:detect_stack_use_after_return=1",
                "LSAN_OPTIONS": f"suppressions={ROOT}/tests/lib/lsan.supp:print_suppressions=0",
                "UBSAN_OPTIONS": f"log_path={reports}/report:print_stacktrace=1:halt_on_error=1:exitcode=99"}
    if kind == "tsan":
        return {"TSAN_OPTIONS": f"log_path={reports}/report:exitcode=99:halt_on_error=0:"
                                f"second_deadlock_stack=1:suppressions={suppressions}"}
    return {}


class Reports:
    """The sanitizers' report files; take() returns and removes what is new."""

    def __init__(self, directory):
        self.directory = directory

    def take(self):
        out = []
        for path in sorted(glob.glob(f"{self.directory}/report*")):
            with open(path, encoding="utf-8", errors="replace") as f:
                out.append(f.read())
            os.unlink(path)
        return "\n".join(out)


class Context:
    """What a test may use. Connections and proxies made through it end with the test."""

    def __init__(self, name, cluster, binary, directory, kind, build):
        self.name = name
        self.pg = cluster
        self.binary = binary
        self.directory = directory
        self.sanitizer = kind
        self.build = build
        self.proxies = []
        self.open_things = []
        self.notes = []
        self.main_thread = threading.current_thread()
        self.databases = []

    # -- databases

    @property
    def db(self):
        """The test's own database, made at first use."""
        if not self.databases:
            self.new_database()
        return self.databases[0]

    def new_database(self):
        name = f"t{len(self.databases)}_" + re.sub(r"\W", "_", self.name)[-40:].lower()
        # What an earlier run of the same test left (it was killed) is in the way.
        self.drop(name)
        self.pg.sql(f"CREATE DATABASE {name}")
        self.pg.sql("GRANT ALL ON SCHEMA public TO PUBLIC", name)
        self.databases.append(name)
        return name

    def sql(self, text, user="postgres", database=None):
        """Directly on the server: a write that goes round the proxy."""
        return self.pg.sql(text, database or self.db, user)

    def direct(self, user="postgres", **options):
        return self.keep(self.pg.connect(self.db, user, **options))

    def keep(self, thing):
        self.open_things.append(thing)
        return thing

    # -- proxies

    @property
    def unprotected(self):
        """The program of which protections can be switched off (base/protection.h)."""
        beside = f"{os.path.abspath(self.build)}/pgweir-unprotected"
        if not os.path.exists(beside):
            raise Skip("pgweir-unprotected was not built")
        return runnable(beside, self.directory)

    def proxy(self, databases=None, start=True, binary=None, **options):
        """A running proxy in front of the test's database; settings by name, and databases=,
        users=, user_settings=, peers=, arguments=, environment=, cache_rules= as in Proxy."""
        from proxy import Proxy
        own = {k: options.pop(k) for k in ("users", "user_settings", "peers", "arguments", "environment",
                                             "cache_rules")
               if k in options}
        if databases is None:
            databases = {self.db: self.server()}
        p = Proxy(binary or self.binary, self.directory, databases, options, **own)
        self.proxies.append(p)
        return p.start() if start else p

    def cache_proxy(self, **options):
        """A running proxy with the cache on, in use: returns when reads are served from it."""
        from proxy import CACHE_SETTINGS
        if "pgbouncer" in self.binary:
            raise Skip("PgBouncer has no cache")
        # Before it starts: else it might come to know of these as of a change, at some later moment.
        self.sql("CREATE TABLE IF NOT EXISTS warm(id int PRIMARY KEY); GRANT SELECT ON warm TO PUBLIC")
        p = self.proxy(**{**CACHE_SETTINGS, **options})
        self.wait_hits(p)
        return p

    def wait_hits(self, p, timeout=25.0, user="app"):
        """Returns when the cache serves hits."""
        with p.connect(self.db, user) as c:
            def hit():
                before = p.cache()["hits"]
                c.query("SELECT id FROM warm WHERE id = 1")
                return p.cache()["hits"] > before
            p.wait(hit, "a first cache hit", timeout)

    def hits(self, p, run):
        """How many hits happened while run() ran."""
        before = p.cache()["hits"]
        run()
        return int(p.cache()["hits"] - before)

    def wait_hit(self, p, ask, timeout=25.0):
        """Repeats ask() until it was answered from the cache; returns what it returned then. (A first
        read fills; the session's next ones wait until the cache is known to be as new as it.)"""
        def hit():
            answer = []
            return answer if self.hits(p, lambda: answer.append(ask())) else None
        return p.wait(hit, "a hit", timeout, interval=0.002)[0]

    def never_hit(self, p, ask, times=8):
        """Repeats ask() in a way that would hit; fails when it did."""
        def repeat():
            for _ in range(times):
                ask()
                time.sleep(0.003)
        hits = self.hits(p, repeat)
        if hits:
            raise AssertionError(f"{hits} hits where none may be")

    def server(self, **options):
        """A [databases] entry for the test's database."""
        return {"host": "127.0.0.1", "port": self.pg.port, "dbname": self.db, **options}

    def thread(self, run, *args):
        """A thread whose exception fails the test: join it with .result()."""
        return Worker(run, args)

    def note(self, text):
        """A line that is printed with the test's result."""
        self.notes.append(text)

    def end(self):
        problems = []
        for thing in reversed(self.open_things):
            try:
                thing.close()
            except Exception as error:
                problems.append(f"closing {thing}: {error}")
        for p in reversed(self.proxies):
            try:
                p.stop()
            except Exception as error:
                problems.append(str(error))
        for name in self.databases:
            try:
                self.drop(name)
            except Exception as error:
                problems.append(f"dropping {name}: {error}")
        return problems

    def drop(self, name, patience=5.0):
        """A proxy that just ended may have a walsender that is still ending."""
        from pgwire import PgError
        self.pg.kept.leave(name)
        until = time.monotonic() + patience
        while True:
            try:
                self.pg.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                return
            except PgError as error:
                if error.sqlstate != "55006" or time.monotonic() > until:
                    raise
                time.sleep(0.01)


class Worker(threading.Thread):
    def __init__(self, run, args):
        super().__init__(daemon=True)
        self.run_this, self.args, self.value, self.error = run, args, None, None
        self.start()

    def run(self):
        try:
            self.value = self.run_this(*self.args)
        except BaseException as error:
            self.error = error

    def result(self, timeout=60):
        from pgwire import SLOWNESS
        self.join(timeout * BUSY * SLOWNESS)
        if self.is_alive():
            raise TimeoutError("a thread of the test did not end")
        if self.error:
            raise self.error
        return self.value


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], 0

    def good(self, n=1):
        self.passed += n

    def bad(self, name):
        self.failed.append(name)

    def last_line(self):
        return f"{self.passed} passed, {len(self.failed)} failed"


def wanted(name, pattern):
    return not pattern or any(p in name or fnmatch.fnmatch(name, p) for p in pattern.split(","))


# ---- unit programs and rules


def run_units(build, pattern, tally, reports, environment):
    for program in sorted(glob.glob(f"{build}/unit/**/*_test", recursive=True)):
        name = "unit/" + os.path.relpath(program, f"{build}/unit")
        source = f"{ROOT}/tests/{name}.c"
        if name.startswith("unit/fuzz/"):
            source = f"{ROOT}/tests/fuzz/{name[10:-5]}_target.c"
        if not wanted(name, pattern) or not os.path.exists(source):
            continue
        started = time.monotonic()
        try:
            done = subprocess.run([program], capture_output=True, text=True, errors="replace", check=False,
                                  timeout=300, cwd=ROOT,
                                  env={**os.environ, **environment, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
            output, status = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as expired:
            output, status = str(expired), -1
        good = len(re.findall(r"^ok \d+", output, re.M))
        bad = re.findall(r"^not ok \d+ - (.*)", output, re.M)
        report = reports.take()
        if not bad and (status != 0 or report or not good):
            bad = [f"status {status}" + (", sanitizer report" if report else "")]
        tally.good(good)
        for test in bad:
            tally.bad(f"{name}: {test}")
        print(f"{'FAIL' if bad else 'ok  '} {name} ({good} tests, {time.monotonic() - started:.1f} s)", flush=True)
        if bad:
            print(indent(output[-6000:] + report[-8000:]))


def run_rules(pattern, tally):
    if not wanted("check/rules", pattern):
        return
    done = subprocess.run([sys.executable, f"{ROOT}/tests/check/rules.py"], capture_output=True, text=True,
                          check=False)
    print(f"{'FAIL' if done.returncode else 'ok  '} check/rules", flush=True)
    if done.returncode:
        print(indent(done.stdout + done.stderr))
        tally.bad("check/rules")
    else:
        tally.good()


# ---- scenarios


def indent(text):
    return "\n".join("     | " + line for line in text.rstrip().splitlines())


def load(path):
    spec = importlib.util.spec_from_file_location("scenario_" + os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scenario(name):
    """Another scenario file: its judges serve here as well."""
    return load(f"{ROOT}/tests/scenario/{name}")


def find_scenarios(pattern):
    """[(name, function)] in order. A pattern may match the file or the test."""
    found = []
    for path in sorted(glob.glob(f"{ROOT}/tests/scenario/[0-9][0-9]_*.py")):
        stem = os.path.basename(path)[:-3]
        names = re.findall(r"^def (test_\w+)", open(path, encoding="utf-8").read(), re.M)
        chosen = [n for n in names if wanted(f"{stem}/{n[5:]}", pattern)]
        if chosen:
            module = load(path)
            found += [(f"{stem}/{n[5:]}", getattr(module, n)) for n in chosen]
    return found


def on_alarm(*_):
    raise TimeLimit("time limit")


def log_tails(ctx):
    out = []
    for p in ctx.proxies:
        if os.path.exists(p.logfile):
            out.append(f"-- proxy log {p.logfile}\n" + "\n".join(p.log().splitlines()[-25:]))
    return "\n".join(out)


def runnable(binary, directory):
    """Where the unprivileged user can run it: a checkout may be under a home directory that is closed to him."""
    import cluster as pg
    if pg.reachable(binary):
        return binary
    copy = f"{directory}/{os.path.basename(binary)}"
    if not os.path.exists(copy):
        shutil.copy(binary, copy)
        os.chmod(copy, 0o755)
    return copy


def died(ctx):
    return [p for p in ctx.proxies if p.process and not p.is_running() and not p.expect_failure and p.ended is None]


def run_test(test, ctx, slowness):
    """Of what it raised: (trouble, why it was skipped, may chance alone have done that?)"""
    from reads import EntryEnded
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, getattr(test, "limit", 60) * BUSY * slowness)
    try:
        test(ctx)
        return None, None, False
    except Skip as skip:
        return None, str(skip), False
    except (Exception, TimeLimit) as error:
        return traceback.format_exc(), None, isinstance(error, EntryEnded)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_one(name, test, cluster, binary, directory, kind, reports, tally, slowness, build):
    started = time.monotonic()
    ctx = Context(name.split("/")[1], cluster, binary, directory, kind, build)
    trouble, skipped, chance = run_test(test, ctx, slowness)
    if chance and not died(ctx) and not ctx.end():  # not twice: another process hashes otherwise
        again = trouble.strip().splitlines()[-1]
        ctx = Context(name.split("/")[1], cluster, binary, directory, kind, build)
        ctx.note(f"once more, for {again}")
        trouble, skipped, _ = run_test(test, ctx, slowness)
    dead = died(ctx)
    if dead:
        trouble = (trouble or "") + f"the proxy died with {dead[0].process.returncode}\n"
    problems = ctx.end()
    if problems:
        trouble = (trouble or "") + "\n".join(problems)
    report = reports.take()
    if report:
        trouble = (trouble or "") + "\nsanitizer:\n" + report[:12000]
    seconds = time.monotonic() - started
    word = "FAIL" if trouble else "skip" if skipped else "ok  "
    notes = "; ".join(ctx.notes + ([skipped] if skipped else []))
    print(f"{word} {name} ({seconds:.1f} s){' - ' + notes if notes else ''}", flush=True)
    if trouble:
        tally.bad(name)
        print(indent(trouble + "\n" + log_tails(ctx)), flush=True)
    elif skipped:
        tally.skipped += 1
    else:
        tally.good()
    for p in ctx.proxies:
        if not trouble:
            shutil.rmtree(p.directory, ignore_errors=True)


class Share:
    """Which scenario files a process takes, of those that two have between them: each takes the next one that the other
    has not taken, one from the front and one from the back."""

    def __init__(self, directory, from_the_back):
        self.directory, self.from_the_back = directory, from_the_back
        os.makedirs(directory, exist_ok=True)

    def _take(self, file):
        try:
            os.close(os.open(f"{self.directory}/{file}", os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            return False

    def of(self, tests):
        files = {}
        for name, test in tests:
            files.setdefault(name.split("/")[0], []).append((name, test))
        for file in sorted(files, reverse=self.from_the_back):
            if self._take(file):
                yield from files[file]


class Beside:
    """Where all tests run: a process of its own, on a PostgreSQL of its own, that runs scenarios while others run here.
    What it says is said when it has ended."""

    def __init__(self, build, directory):
        self.share = Share(f"{directory}/shares", from_the_back=False)
        self.output = open(f"{directory}/beside.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([sys.executable, "-B", __file__, "--build", build, "--scenario",
                                         "--share", self.share.directory],
                                        stdout=self.output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)

    def join(self, tally):
        status = self.process.wait()
        self.output.seek(0)
        lines = self.output.read().splitlines()
        last = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
        for line in lines[:-1]:
            if line.startswith("failed: "):
                tally.bad(line.removeprefix("failed: "))
            else:
                print(line)
        skipped = [line for line in lines if line.startswith("skip ")]
        tally.skipped += len(skipped)
        if last:
            tally.good(int(last[1]))
        else:
            tally.bad(f"the tests beside ended with {status}")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.output.close()


def end_with_parent():
    pr_set_pdeathsig = 1  # prctl(2)
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def by_tls(directory):
    """Settings of the scratch server with PGWEIR_TEST_TLS=1: see proxy.py."""
    if not os.environ.get("PGWEIR_TEST_TLS"):
        return {}
    import certs
    cert, key = certs.pair_of_all(directory)
    return {"ssl": "on", "ssl_cert_file": cert, "ssl_key_file": key}


def run_scenarios(build, pattern, tally, directory, kind, reports, slowness, share=None):
    import cluster as pg
    tests = find_scenarios(pattern)
    if not tests:
        return
    binary = os.environ.get("PGWEIR_BIN", f"{os.path.abspath(build)}/pgweir")
    binary = runnable(binary, directory)
    cluster = pg.Cluster(pg.server_directory(build, "test"))
    try:
        cluster.create(by_tls(directory)).start().make_roles()
        for name, test in share.of(tests) if share else tests:
            run_one(name, test, cluster, binary, directory, kind, reports, tally, slowness, build)
            if cluster.process is None or cluster.process.poll() is not None:
                cluster.start()
            cluster.roles_as_made()
        trouble = [line for line in cluster.log().splitlines() if "PANIC" in line or "TRAP:" in line]
        if trouble:
            print(indent("\n".join(trouble)))
            tally.bad("PostgreSQL crashed")
    finally:
        cluster.remove()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default="build")
    options.add_argument("--unit", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--scenario", action="store_true")
    options.add_argument("--filter", default="")
    options.add_argument("--share", default="")
    options.add_argument("--list", action="store_true")
    args = options.parse_args()
    if args.list:
        print("\n".join(name for name, _ in find_scenarios(args.filter)))
        return 0

    kind = sanitizer_of(args.build)
    slowness = {"asan": 3, "tsan": 8}.get(kind, 1)
    os.environ.setdefault("PGWEIR_TEST_SLOWNESS", str(slowness))
    import cluster as pg
    directory = pg.scratch_directory(args.build, "test")
    # The reports' directory is written by whoever the proxy runs as.
    os.mkdir(f"{directory}/reports")
    os.chmod(f"{directory}/reports", 0o777)
    reports = Reports(f"{directory}/reports")
    environment = sanitizer_environment(kind, reports.directory)
    os.environ.update(environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally = Tally()
    started = time.monotonic()
    interrupted = False
    beside = None
    try:
        if args.scenario and args.unit and not args.filter and os.cpu_count() > 1:
            beside = Beside(args.build, directory)
        if args.unit:
            run_units(args.build, args.filter, tally, reports, environment)
        if args.check:
            run_rules(args.filter, tally)
        if args.scenario:
            share = Share(args.share, from_the_back=True) if args.share else beside.share if beside else None
            run_scenarios(args.build, args.filter, tally, directory, kind, reports, slowness, share)
        if beside:
            beside.join(tally)
    except KeyboardInterrupt:
        interrupted = True
        print("interrupted")
    finally:
        if beside:
            beside.end()
        if not tally.failed or interrupted:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"\nlogs are kept in {directory}")
    print(f"{time.monotonic() - started:.0f} s" + (f", {tally.skipped} skipped" if tally.skipped else ""))
    for name in tally.failed:
        print(f"failed: {name}")
    print(tally.last_line(), flush=True)
    return 130 if interrupted else 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    # Scenario files import from here: there must be one copy of this module.
    sys.modules["runner"] = sys.modules["__main__"]
    sys.exit(main())
