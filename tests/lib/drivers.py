# SPDX-License-Identifier: Apache-2.0
"""Real client libraries: which there are, and how their programs (tests/drivers) are run."""
import os
import shutil
import subprocess

from runner import ROOT, Skip

JDBC = "/usr/share/java/postgresql.jar"
PYTHON = ("/usr/bin/python3",)
JAVA = ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JDBC)
NODE = ("node",)
# Where Debian's package is, or npm has put it (tests/drivers/node.sh).
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
    "PGPASSWORD": "app-secret", "NODE_PATH": f"/usr/share/nodejs:{ROOT}/build/node/node_modules"}


def has_jdbc():
    return os.path.exists(JDBC) and shutil.which("javac") is not None


def has_node_postgres():
    return shutil.which("node") is not None and \
        not subprocess.run(["node", "-e", "require('pg')"], capture_output=True, check=False, env=ENVIRONMENT).returncode


def need_module(name):
    if subprocess.run([*PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode:
        raise Skip(f"no {name}: make drivers")


def need_jdbc():
    if not has_jdbc():
        raise Skip("no pgjdbc: make drivers")


def need_node_postgres():
    if not has_node_postgres():
        raise Skip("no node-postgres: make drivers")


def run(argv, program, p, database, *more):
    """What it says last. Its standard output and error, when it fails."""
    done = subprocess.run([*argv, f"{ROOT}/tests/drivers/{program}", "127.0.0.1", str(p.port), database, "app", *more],
                          capture_output=True, text=True, timeout=80, check=False, env=ENVIRONMENT)
    if any(words in done.stderr for words in ("No module named", "Cannot find module")):
        raise Skip("not installed: make drivers")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout.strip().splitlines()[-1]
