// SPDX-License-Identifier: Apache-2.0
// Loaded in front of a program (LD_PRELOAD): how long each mutex is held, how often, how often
// somebody had to wait for it, and whether more than one thread takes it. At the end, a line for
// each goes to the file that LOCKS_OUT names: threads, times taken, times waited, ns held (what the
// clock itself takes is taken off), and how often it was held for so long that its holder must have
// been put to sleep meanwhile: that time is not in the ns.
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1 << 14, CALIBRATIONS = 100000, ASLEEP_NS = 20000 };

// What is not atomic is written by whoever holds the mutex.
struct slot {
    _Atomic(pthread_mutex_t *) mutex;
    int first_thread, shared;
    uint64_t taken, waited, held, asleep, since;
};

static struct slot slots[SLOTS];
static int (*real_lock)(pthread_mutex_t *), (*real_try)(pthread_mutex_t *),
    (*real_unlock)(pthread_mutex_t *);
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *),
    (*real_timed)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static FILE *out;
static uint64_t clock_ns;
static __thread int own_thread;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void find_real(void)
{
    real_try = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
    real_unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    real_wait = dlsym(RTLD_NEXT, "pthread_cond_wait");
    real_timed = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
}

// A full table is no harm: what is new then is not counted.
static struct slot *slot_of(pthread_mutex_t *m)
{
    uint64_t hash = ((uintptr_t)m >> 3) * 0x9e3779b97f4a7c15u >> 40;
    for (unsigned i = 0; i < 64; i++) {
        struct slot *s = &slots[(hash + i) % SLOTS];
        pthread_mutex_t *seen = atomic_load_explicit(&s->mutex, memory_order_relaxed);
        if (seen == m)
            return s;
        if (!seen) {
            pthread_mutex_t *none = NULL;
            if (atomic_compare_exchange_strong(&s->mutex, &none, m) || none == m)
                return s;
        }
    }
    return NULL;
}

static void begun(pthread_mutex_t *m, int waited)
{
    struct slot *s = slot_of(m);
    if (!s)
        return;
    if (!own_thread)
        own_thread = (int)syscall(SYS_gettid);
    if (!s->first_thread)
        s->first_thread = own_thread;
    s->shared |= s->first_thread != own_thread;
    s->taken++;
    s->waited += (uint64_t)waited;
    s->since = now();
}

static void ended(pthread_mutex_t *m)
{
    struct slot *s = slot_of(m);
    if (s && s->since) {
        uint64_t ns = now() - s->since;
        s->held += ns < ASLEEP_NS ? ns : 0;
        s->asleep += ns >= ASLEEP_NS;
        s->since = 0;
    }
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    if (!real_lock)
        find_real();
    int waited = real_try(m) != 0;
    int result = waited ? real_lock(m) : 0;
    if (!result)
        begun(m, waited);
    return result;
}

int pthread_mutex_trylock(pthread_mutex_t *m)
{
    if (!real_lock)
        find_real();
    int result = real_try(m);
    if (!result)
        begun(m, 0);
    return result;
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
    if (!real_lock)
        find_real();
    ended(m);
    return real_unlock(m);
}

int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    ended(m);
    int result = real_wait(c, m);
    begun(m, 0);
    return result;
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
    ended(m);
    int result = real_timed(c, m, until);
    begun(m, 0);
    return result;
}

__attribute__((constructor)) static void prepare(void)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    find_real();
    for (int i = 0; i < CALIBRATIONS; i++) {
        pthread_mutex_lock(&m);
        pthread_mutex_unlock(&m);
    }
    clock_ns = slot_of(&m)->held / CALIBRATIONS;
    slot_of(&m)->taken = 0;
    const char *path = getenv("LOCKS_OUT");
    out = path ? fopen(path, "we") : NULL;
}

__attribute__((destructor)) static void tell(void)
{
    for (struct slot *s = slots; out && s < slots + SLOTS; s++) {
        uint64_t clock = s->taken * clock_ns;
        if (s->taken)
            fprintf(out, "%d %llu %llu %llu %llu\n", s->shared ? 2 : 1,
                    (unsigned long long)s->taken, (unsigned long long)s->waited,
                    (unsigned long long)(s->held > clock ? s->held - clock : 0),
                    (unsigned long long)s->asleep);
    }
    if (out)
        fclose(out);
}
