# SPDX-License-Identifier: Apache-2.0
"""Runs a program that sees another /etc/hosts: own_hosts.py HOSTS UID GID PROGRAM [ARGUMENT...]. The file
is put in its place in a mount namespace of the process, so nobody else sees it; what is written into it later
counts. Needs root, or a kernel that lets users have namespaces. Ends with status 77 where it cannot be."""
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def enter(hosts):
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNS | (0 if uid == 0 else CLONE_NEWUSER)) != 0:
        return False
    if uid != 0:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    return libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0 and \
        libc.mount(hosts.encode(), b"/etc/hosts", None, MS_BIND, None) == 0


def main():
    hosts, uid, gid, *argv = sys.argv[1:]
    try:
        entered = enter(hosts)
    except OSError:
        entered = False
    if not entered:
        print(f"no mount namespace: {os.strerror(ctypes.get_errno())}", flush=True)
        return 77
    if os.getuid() == 0 and int(uid) != 0:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execv(argv[0], argv)
    return 1


sys.exit(main())
