# SPDX-License-Identifier: Apache-2.0
"""What a process has used of the CPU, and what the rest of the machine was doing meanwhile.

Everything here is in seconds unless a name says otherwise. The kernel's schedstat counts
nanoseconds; /proc/PID/stat counts the same time in clock ticks, which is too coarse for one
proxy under a short load, but good enough to see whether strangers were busy.
"""
import glob
import os
import time

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def process_cpu_ns(pid):
    """CPU of all live threads of a process, in nanoseconds. A thread that ended is not counted."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    if total == 0:  # a kernel without schedstat
        total = int(sum(_stat_times(pid)[:2]) * 1e9)
    return total


def tree_cpu(pid):
    """CPU of a process and its children, those that have ended and been waited for included.
    While children are being waited for one of them could be missed, so it reads again then."""
    for _ in range(100):
        before = _stat_times(pid)
        total = sum(before) + sum(sum(_stat_times(child)[:2]) for child in _children(pid))
        if _stat_times(pid)[2:] == before[2:]:
            break
        time.sleep(0.02)
    return total


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return file.read().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def machine_cpu():
    """CPU used by all processes of the machine, stolen time included, interrupts left out."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(field) for field in file.readline().split()[1:]]
    user, nice, system, steal = ticks[0], ticks[1], ticks[2], ticks[7]
    return (user + nice + system + steal) * TICK_S


def _stat_times(pid):
    """utime, stime, cutime, cstime of a process; zeroes when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [0.0, 0.0, 0.0, 0.0]
    return [int(field) * TICK_S for field in fields[11:15]]


class Strangers:
    """How much CPU processes other than ours used between begin() and end()."""

    def __init__(self, cluster_pid, proxy_pids):
        self.cluster_pid = cluster_pid
        self.proxy_pids = proxy_pids

    def _reading(self):
        tree_cpu(self.cluster_pid)  # returns when server processes have stopped ending
        machine = machine_cpu()
        own = sum(os.times()[:4])  # this program and the load generators it has waited for
        own += sum(process_cpu_ns(pid) / 1e9 for pid in self.proxy_pids)
        own += tree_cpu(self.cluster_pid)
        return machine, own

    def begin(self):
        self.before = self._reading()

    def end(self):
        machine, own = self._reading()
        return max(0.0, (machine - self.before[0]) - (own - self.before[1]))
