# SPDX-License-Identifier: Apache-2.0
"""The unit file is one that systemd accepts without a remark, and that gives little away. And what the
process itself gives up once it is up (proxy/lockdown.h); all other scenarios run with that, too."""
import os
import re
import shutil
import signal
import stat
import subprocess

import cluster as pg
from runner import ROOT, Skip


def unit_text():
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze here")
    with open(f"{ROOT}/systemd/pgweir.service", encoding="utf-8") as f:
        return f.read()


def test_unit_file(ctx):
    text = unit_text()
    assert "Type=notify" in text
    # Verification wants a program that is there.
    copy = f"{ctx.directory}/pgweir.service"
    with open(copy, "w", encoding="utf-8") as f:
        f.write(re.sub(r"ExecStart=\S+", f"ExecStart={ctx.binary}", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    remarks = [line for line in (done.stdout + done.stderr).splitlines() if "pgweir" in line]
    assert done.returncode == 0 and not remarks, done.stdout + done.stderr


def test_exposure(ctx):
    """systemd's own measure of what a hole in the service would open."""
    unit_text()
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15",
                           f"{ROOT}/systemd/pgweir.service"], capture_output=True, text=True, check=False)
    told = re.search(r"Overall exposure level for pgweir.service: ([\d.]+)", done.stdout)
    if not told:
        raise Skip("this systemd-analyze cannot look at files")
    ctx.note(f"exposure {told[1]}")
    assert done.returncode == 0 and float(told[1]) <= 1.5, done.stdout


def status(pid, name):
    """A line of /proc/PID/status, of each of its threads."""
    found = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
            found |= set(re.findall(rf"^{name}:\s+(\d+)", f.read(), re.M))
    return found


def test_seccomp(ctx):
    """Filtered it does all that it does: sockets, signals, files, name service, HTTP, the cache."""
    if ctx.sanitizer:
        raise Skip("not with a sanitizer")
    place = f"{ctx.directory}/run"
    os.makedirs(place, exist_ok=True)
    pg.give(place)
    http = f"127.0.0.1:{pg.free_port()}"
    by_name = {ctx.db: {**ctx.server(), "host": "localhost"}}
    p = ctx.cache_proxy(databases=by_name, http_listen=http, pidfile=f"{place}/pid", logfile=f"{place}/log",
                        unix_socket_dir=place, unix_socket_mode="0777", worker_threads=2)
    pid = p.process.pid
    assert status(pid, "Seccomp") == {"2"}, "a thread is not filtered"
    assert status(pid, "NoNewPrivs") == {"1"}
    p.settings["unix_socket_dir"] = place
    assert stat.S_IMODE(os.stat(f"{place}/.s.PGSQL.{p.port}").st_mode) == 0o777
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
        c.query("SET TimeZone TO 'Asia/Tokyo'")
        c.query("LISTEN ch")
    assert p.http("/healthz") == (200, "ok\n")
    assert "pgweir" in p.http("/metrics")[1]
    with open(f"{place}/pid", encoding="ascii") as f:
        assert int(f.read()) == pid
    # The log is moved away and made anew; new settings are read.
    os.rename(f"{place}/log", f"{place}/log.1")
    p.settings["default_pool_size"] = 7
    p.write()
    p.signal(signal.SIGHUP)
    p.wait(lambda: os.path.exists(f"{place}/log"), "the new log")
    p.wait(lambda: {r["key"]: r["value"] for r in p.console("SHOW CONFIG")}["default_pool_size"] == "7", "the reload")
    p.signal(signal.SIGUSR1)
    p.wait(lambda: "pausing all activity" in open(f"{place}/log", encoding="utf-8").read(), "the pause")
    p.signal(signal.SIGUSR2)
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 2") == "2"
    p.signal(signal.SIGINT)
    assert p.wait_end() == 0
    assert not os.path.exists(f"{place}/pid")


def test_seccomp_off(ctx):
    p = ctx.proxy(seccomp="off")
    assert status(p.process.pid, "Seccomp") == status(os.getpid(), "Seccomp")
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


# Starts its arguments where seccomp filters are refused, by one.
WITHOUT_FILTERS = """#!/usr/bin/python3
import ctypes, os, sys
lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
lib.seccomp_init.restype = ctypes.c_void_p
filter = ctypes.c_void_p(lib.seccomp_init(0x7fff0000))  # SCMP_ACT_ALLOW
number = lib.seccomp_syscall_resolve_name(b"seccomp")
assert lib.seccomp_rule_add(filter, 0x00050000 | 22, number, 0) == 0  # SCMP_ACT_ERRNO(EINVAL)
assert lib.seccomp_load(filter) == 0
os.execv(%r, [%r] + sys.argv[1:])
"""


def test_seccomp_refused(ctx):
    """Where the kernel has no filters it is said, and all goes on."""
    if ctx.sanitizer:
        raise Skip("not with a sanitizer")
    wrapper = f"{ctx.directory}/without_filters"
    with open(wrapper, "w", encoding="ascii") as f:
        f.write(WITHOUT_FILTERS % (ctx.binary, ctx.binary))
    os.chmod(wrapper, 0o755)
    p = ctx.proxy(binary=wrapper)
    p.wait_log("WARNING seccomp filter cannot be loaded, going on without")
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_seccomp_and_pam(ctx):
    """PAM's modules start programs: no filter then. One that is in force cannot be taken back."""
    if ctx.sanitizer:
        raise Skip("not with a sanitizer")
    p = ctx.proxy(auth_type="pam")
    p.wait_log("LOG seccomp: not with logins by PAM")
    assert status(p.process.pid, "Seccomp") == status(os.getpid(), "Seccomp")
    q = ctx.proxy()
    assert "seccomp" not in q.log()
    assert status(q.process.pid, "Seccomp") == {"2"}
    q.reload(auth_type="pam")
    q.wait_log("WARNING the seccomp filter that is in force may hinder PAM: restart")
