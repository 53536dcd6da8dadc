// SPDX-License-Identifier: Apache-2.0
// Each claim is tried in a process of its own: what is given up cannot be taken back.
#include "proxy/lockdown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FINE = 0, WRONG = 1, NO_FILTER = 2 };

// What try says, behind the filter.
static void expect(bool (*try)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(!lockdown_filter() ? NO_FILTER : try() ? FINE : WRONG);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status)); // EPERM, and nobody is killed
    if (WEXITSTATUS(status) == NO_FILTER)
        skip();
    assert_int_equal(WEXITSTATUS(status), FINE);
}

#define REFUSED(call) (errno = 0, (call) == -1 && errno == EPERM)

static bool no_program(void)
{
    char *arguments[] = {"/bin/true", NULL};
    return REFUSED(execve("/bin/true", arguments, NULL)) &&
           REFUSED(syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, NULL, 0));
}

static bool no_process(void)
{
    return REFUSED(fork()) && REFUSED(vfork()) && REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static bool no_other_process(void)
{
    return REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)) && REFUSED(kill(getppid(), 0)) &&
           REFUSED(syscall(SYS_tgkill, getppid(), getppid(), 0)) &&
           REFUSED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static bool no_identity(void)
{
    return REFUSED(setuid(getuid())) && REFUSED(setgid(getgid())) && REFUSED(chroot("/")) &&
           REFUSED(unshare(0)) && REFUSED(syscall(SYS_bpf, 0, NULL, 0));
}

static bool unknown_is_absent(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS &&
           socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == ENOSYS;
}

// The kernel looks at the lower half of the request.
static bool no_words_for_terminals(void)
{
    int ends[2], bytes = -1;
    return REFUSED(ioctl(0, TIOCSTI, "x")) &&
           REFUSED(syscall(SYS_ioctl, 0, 1UL << 32 | TIOCSTI, "x")) && pipe(ends) == 0 &&
           ioctl(ends[0], FIONREAD, &bytes) == 0 && bytes == 0;
}

static void *run(void *arg)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    *(bool *)arg = pid == -1 && errno == EPERM;
    return NULL;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *run_later(void *arg)
{
    pthread_mutex_lock(&gate);
    return run(arg);
}

static bool work_goes_on(void)
{
    pthread_t thread;
    bool refused = false;
    if (pthread_create(&thread, NULL, run, &refused) != 0 || pthread_join(thread, NULL) != 0)
        return false;
    struct addrinfo *found = NULL;
    int resolved = getaddrinfo("localhost", "5432", NULL, &found);
    if (resolved == 0)
        freeaddrinfo(found);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    bool bound = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0;
    char path[] = "/tmp/pgweir-lockdown-XXXXXX";
    int file = mkstemp(path);
    bool wrote = write(file, "x", 1) == 1 && close(file) == 0 && unlink(path) == 0;
    return refused && bound && wrote && (resolved == 0 || resolved == EAI_NONAME);
}

static void test_programs(void **state) { expect(no_program); }
static void test_processes(void **state) { expect(no_process); }
static void test_other_processes(void **state) { expect(no_other_process); }
static void test_identities(void **state) { expect(no_identity); }
static void test_terminals(void **state) { expect(no_words_for_terminals); }
static void test_unknown(void **state) { expect(unknown_is_absent); }
static void test_work_goes_on(void **state) { expect(work_goes_on); }

// A thread that ran before is not left out.
static void test_all_threads(void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        bool refused = false;
        pthread_mutex_lock(&gate);
        pthread_create(&thread, NULL, run_later, &refused);
        bool on = lockdown_filter();
        pthread_mutex_unlock(&gate);
        pthread_join(thread, NULL);
        _exit(!on ? NO_FILTER : refused ? FINE : WRONG);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
        skip();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == FINE);
}

// No memory image, unless somebody has asked for them.
static void test_core(void **state)
{
    for (rlim_t most = 0; most < 2; most++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct rlimit limit = {most * 4096, RLIM_INFINITY};
            getrlimit(RLIMIT_CORE, &limit);
            limit.rlim_cur = most * 4096 < limit.rlim_max ? most * 4096 : limit.rlim_max;
            if (setrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != most * 4096)
                _exit(NO_FILTER);
            prctl(PR_SET_DUMPABLE, 1);
            lockdown_core();
            _exit(prctl(PR_GET_DUMPABLE) == (most ? 1 : 0) ? FINE : WRONG);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) != WRONG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_other_processes),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_terminals),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_work_goes_on),
        cmocka_unit_test(test_all_threads),
        cmocka_unit_test(test_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
