// SPDX-License-Identifier: Apache-2.0
#include "proxy/lockdown.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"

// The library's macros leave fields to be zero.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) // they trace, and personality()
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

// What a running pgweir and its libraries call: all that the scenarios were seen to use (strace),
// and what stands beside it in other versions of libc, OpenSSL, name services and kernels. Names
// that a machine does not have are left out.
static const char *const allowed[] = {
    // memory
    "brk", "madvise", "membarrier", "mincore", "mlock", "mlock2", "mmap", "mmap2", "mprotect",
    "mremap", "msync", "munlock", "munmap", "get_mempolicy", "set_mempolicy", "mbind", "rseq",
    // threads, time, signals, limits
    "arch_prctl", "clock_getres", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "exit", "exit_group", "futex", "futex_time64", "futex_waitv",
    "get_robust_list", "set_robust_list", "set_tid_address", "getcpu", "getitimer", "setitimer",
    "gettimeofday", "nanosleep", "pause", "prctl", "restart_syscall", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "sigaltstack", "sigreturn", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "sched_yield",
    "time", "times", "timer_create", "timer_delete", "timer_settime", "timer_gettime",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "getrlimit", "ugetrlimit", "getrusage",
    "prlimit64", "setrlimit", "uname", "sysinfo", "getrandom", "getpriority",
    // who it is
    "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
    "getgroups32", "getpgid", "getpgrp", "getpid", "getppid", "getresgid", "getresgid32",
    "getresuid", "getresuid32", "getsid", "gettid", "getuid", "getuid32", "capget",
    // files
    "access", "faccessat", "faccessat2", "chdir", "chmod", "fchmod", "fchmodat", "fchmodat2",
    "chown", "fchown", "fchownat", "lchown", "chown32", "fchown32", "lchown32", "close",
    "close_range", "copy_file_range", "creat", "dup", "dup2", "dup3", "fadvise64", "fadvise64_64",
    "fallocate", "fchdir", "fcntl", "fcntl64", "fdatasync", "flock", "fstat", "fstat64",
    "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "getcwd", "getdents",
    "getdents64", "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "lgetxattr", "fgetxattr", "link", "linkat", "lseek", "_llseek", "lstat",
    "lstat64", "memfd_create", "mkdir", "mkdirat", "newfstatat", "open", "openat", "openat2",
    "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read",
    "readahead", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2", "rmdir",
    "sendfile", "sendfile64", "splice", "stat", "stat64", "statfs", "statfs64", "statx", "symlink",
    "symlinkat", "sync_file_range", "tee", "truncate", "truncate64", "umask", "unlink", "unlinkat",
    "utime", "utimensat", "utimes", "write", "writev",
    // waiting and talking
    "accept", "accept4", "bind", "connect", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "getpeername",
    "getsockname", "getsockopt", "listen", "poll", "ppoll", "ppoll_time64", "pselect6", "recv",
    "recvfrom", "recvmmsg", "recvmsg", "select", "_newselect", "send", "sendmmsg", "sendmsg",
    "sendto", "setsockopt", "shutdown", "signalfd", "signalfd4", "socketpair",
};

// Refused with a word. Everything else that is not allowed does not exist (ENOSYS): libraries then
// go the way that they go on older kernels (io_uring, clone3).
static const char *const refused[] = {
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "pidfd_getfd", "pidfd_open", "kill", "tkill", "pidfd_send_signal",
    "rt_sigqueueinfo", "setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32",
    "setregid", "setregid32", "setresuid", "setresuid32", "setresgid", "setresgid32", "setfsuid",
    "setfsuid32", "setfsgid", "setfsgid32", "setgroups", "setgroups32", "capset", "setpgid",
    "setsid", "chroot", "pivot_root", "mount", "umount", "umount2", "move_mount", "fsopen",
    "open_tree", "mount_setattr", "unshare", "setns", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "bpf", "perf_event_open", "userfaultfd",
    "keyctl", "add_key", "request_key", "reboot", "swapon", "swapoff", "acct", "quotactl",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    "iopl", "ioperm", "modify_ldt", "mknod", "mknodat", "open_by_handle_at", "name_to_handle_at",
    "syslog", "personality", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
};

static int rule(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, action, number, 0);
}

// All of ioctl() but putting words into a terminal. The kernel looks at 32 bits of the request, and
// a filter at 64: what is allowed is said bit by bit, each request that differs in one of the 32.
static int rules_of_ioctl(scmp_filter_ctx filter)
{
    int bad = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                               SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
    for (int i = 0; i < 32; i++) {
        scmp_datum_t bit = (scmp_datum_t)1 << i;
        bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                SCMP_A1(SCMP_CMP_MASKED_EQ, bit, ~(scmp_datum_t)TIOCSTI & bit));
    }
    return bad;
}

// Some calls are allowed for some uses.
static int rules_by_argument(scmp_filter_ctx filter)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    int bad = 0;
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
        bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
    // Threads, not processes. clone3() hides what it wants in memory; without it libc takes this.
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    // A signal to a thread of its own: abort().
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
    return bad | rules_of_ioctl(filter);
}

static int fill(scmp_filter_ctx filter)
{
    int bad = rules_by_argument(filter);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
        bad |= rule(filter, SCMP_ACT_ALLOW, allowed[i]);
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        bad |= rule(filter, SCMP_ACT_ERRNO(EPERM), refused[i]);
    // Every thread, also those that run already. Refusals show in the audit log where there is
    // one. The mitigation of speculation that old kernels switch on with a filter is for code that
    // is not one's own, and slows all of it down.
    bad |= seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); // a tree, not a chain
    return bad;
}

bool lockdown_filter(void)
{
    errno = ENOTSUP;
    if (SANITIZED)
        return false;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        errno = ENOMEM;
        return false;
    }
    int error = fill(filter) == 0 ? -seccomp_load(filter) : EINVAL;
    seccomp_release(filter);
    errno = error;
    return error == 0;
}

// Passwords and keys are in it. Who has asked for core files (ulimit -c, LimitCORE=) gets them;
// else none is made, neither as a file nor for a collector of the system's, which does not look at
// the limit.
void lockdown_core(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0)
        prctl(PR_SET_DUMPABLE, 0);
}

void lockdown_configured(const struct config *config)
{
    if (config_settings(config)->seccomp && config_may_ask_pam(config) &&
        prctl(PR_GET_SECCOMP) != 0)
        log_warning("the seccomp filter that is in force may hinder PAM: restart");
}

void lockdown_begin(const struct config *config)
{
    lockdown_core();
    if (!config_settings(config)->seccomp)
        return;
    if (config_may_ask_pam(config))
        log_info("seccomp: not with logins by PAM, whose modules may start programs");
    else if (lockdown_filter())
        log_debug("seccomp filter in force");
    else if (errno == ENOTSUP)
        log_info("seccomp: not with a sanitizer");
    else
        log_warning("seccomp filter cannot be loaded, going on without: %s", strerror(errno));
}
