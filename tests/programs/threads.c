/* SPDX-License-Identifier: MIT */
/* POSIX threads: creation, joining, detaching, keys, once, barriers, read-write locks, semaphores.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define N 8

static _Thread_local int tls = 11;
static atomic_int counter;
static pthread_key_t key;
static atomic_int destroyed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int once_ran;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;

static void *simple(void *arg)
{
    if (tls != 11) {
        return NULL;
    }
    tls = (int)(intptr_t)arg;
    sched_yield();
    counter++;
    return tls == (int)(intptr_t)arg ? arg : NULL;
}

static void creation(void)
{
    pthread_t t[N];
    void *result;

    check_section("create and join");
    for (int round = 0; round < 20; round++) {
        for (intptr_t i = 0; i < N; i++) {
            CHECK(pthread_create(&t[i], NULL, simple, (void *)(i + 1)) == 0);
        }
        for (intptr_t i = 0; i < N; i++) {
            CHECK(pthread_join(t[i], &result) == 0 && result == (void *)(i + 1));
        }
    }
    CHECK(counter == 20 * N);
    CHECK(tls == 11);
}

static void *tids(void *arg)
{
    *(long *)arg = syscall(SYS_gettid);
    pthread_barrier_wait(&barrier);
    return pthread_equal(pthread_self(), pthread_self()) ? arg : NULL;
}

static void identity(void)
{
    pthread_t t[N];
    long id[N];
    void *result;

    check_section("thread ids");
    pthread_barrier_init(&barrier, NULL, N);
    for (int i = 0; i < N; i++) {
        CHECK(pthread_create(&t[i], NULL, tids, &id[i]) == 0);
    }
    for (int i = 0; i < N; i++) {
        CHECK(pthread_join(t[i], &result) == 0 && result == &id[i]);
    }
    pthread_barrier_destroy(&barrier);
    for (int i = 0; i < N; i++) {
        CHECK(id[i] > 0 && id[i] != getpid());
        for (int k = 0; k < i; k++) {
            CHECK(id[i] != id[k]);
        }
    }
}

static void *detached(void *arg)
{
    sem_post(arg);
    return NULL;
}

static void attributes(void)
{
    static char stack[256 * 1024] __attribute__((aligned(4096)));
    pthread_attr_t attr;
    pthread_t t;
    size_t size;

    check_section("attributes");
    sem_init(&semaphore, 0, 0);
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
    for (int i = 0; i < 50; i++) {
        CHECK(pthread_create(&t, &attr, detached, &semaphore) == 0);
    }
    for (int i = 0; i < 50; i++) {
        CHECK(sem_wait(&semaphore) == 0);
    }
    CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_JOINABLE) == 0);
    CHECK(pthread_attr_setstacksize(&attr, 1 << 20) == 0);
    CHECK(pthread_attr_getstacksize(&attr, &size) == 0 && size == 1 << 20);
    CHECK(pthread_create(&t, &attr, detached, &semaphore) == 0);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(pthread_attr_setstack(&attr, stack, sizeof(stack)) == 0);
    CHECK(pthread_create(&t, &attr, detached, &semaphore) == 0);
    CHECK(pthread_join(t, NULL) == 0);
    pthread_attr_destroy(&attr);
    sem_destroy(&semaphore);
}

static void destroy(void *value)
{
    destroyed += (int)(intptr_t)value;
}

static void init_once(void)
{
    once_ran++;
}

static void *with_key(void *arg)
{
    if (pthread_getspecific(key)) {
        return NULL;
    }
    pthread_setspecific(key, arg);
    pthread_once(&once, init_once);
    return pthread_getspecific(key);
}

static void keys(void)
{
    pthread_t t[N];
    void *result;

    check_section("keys and once");
    CHECK(pthread_key_create(&key, destroy) == 0);
    for (intptr_t i = 0; i < N; i++) {
        CHECK(pthread_create(&t[i], NULL, with_key, (void *)(i + 1)) == 0);
    }
    for (intptr_t i = 0; i < N; i++) {
        CHECK(pthread_join(t[i], &result) == 0 && result == (void *)(i + 1));
    }
    CHECK(destroyed == N * (N + 1) / 2);
    CHECK(once_ran == 1);
    CHECK(pthread_key_delete(key) == 0);
}

static atomic_int phase_sum[50];
static atomic_int serial;

static void *phases(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        phase_sum[i]++;
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
            serial++;
        }
        if (phase_sum[i] != N) {
            return (void *)1;
        }
    }
    return NULL;
}

static void barriers(void)
{
    pthread_t t[N];
    void *result;

    check_section("barriers");
    CHECK(pthread_barrier_init(&barrier, NULL, N) == 0);
    for (int i = 0; i < N; i++) {
        CHECK(pthread_create(&t[i], NULL, phases, NULL) == 0);
    }
    for (int i = 0; i < N; i++) {
        CHECK(pthread_join(t[i], &result) == 0 && result == NULL);
    }
    CHECK(serial == 50);
    CHECK(pthread_barrier_destroy(&barrier) == 0);
}

static long shared_a, shared_b;
static atomic_int torn;

static void *reader(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++) {
        pthread_rwlock_rdlock(&rwlock);
        torn += shared_a != shared_b;
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void *writer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++) {
        pthread_rwlock_wrlock(&rwlock);
        shared_a++;
        sched_yield();
        shared_b++;
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void rwlocks(void)
{
    pthread_t t[6];
    struct timespec when;

    check_section("read-write locks");
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_create(&t[i], NULL, i < 4 ? reader : writer, NULL) == 0);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(torn == 0 && shared_a == 1000 && shared_b == 1000);
    CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
    CHECK(pthread_rwlock_tryrdlock(&rwlock) == 0);
    CHECK(pthread_rwlock_trywrlock(&rwlock) == EBUSY);
    clock_gettime(CLOCK_REALTIME, &when);
    when.tv_nsec += 10000000;
    if (when.tv_nsec >= 1000000000) {
        when.tv_sec++;
        when.tv_nsec -= 1000000000;
    }
    CHECK(pthread_rwlock_timedwrlock(&rwlock, &when) == ETIMEDOUT);
    CHECK(pthread_rwlock_unlock(&rwlock) == 0 && pthread_rwlock_unlock(&rwlock) == 0);
}

/* Deep recursion on a thread's stack: everything between its top and its guard can be touched. */
static int recurse(int depth)
{
    volatile char frame[4096];

    frame[0] = (char)depth;
    return depth == 0 ? 0 : recurse(depth - 1) + (frame[0] == (char)depth);
}

static void *deep(void *arg)
{
    return (void *)(intptr_t)recurse((int)(intptr_t)arg);
}

static void stacks(void)
{
    pthread_attr_t attr;
    pthread_t t;
    void *result;

    check_section("stacks");
    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 8 << 20) == 0);
    CHECK(pthread_create(&t, &attr, deep, (void *)1500) == 0);
    CHECK(pthread_join(t, &result) == 0 && (intptr_t)result == 1500);
    CHECK(pthread_attr_destroy(&attr) == 0);
    CHECK(recurse(1500) == 1500);
}

/* Waiters that only spin: they end only if everybody gets a turn. */
static atomic_int arrived;

static void *spin_for_all(void *arg)
{
    arrived++;
    while (arrived < (int)(intptr_t)arg) {
    }
    return NULL;
}

static void time_slices(void)
{
    pthread_t t[6];

    check_section("time slices");
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_create(&t[i], NULL, spin_for_all, (void *)6) == 0);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
}

int main(void)
{
    creation();
    identity();
    attributes();
    keys();
    barriers();
    rwlocks();
    stacks();
    time_slices();
    return check_end();
}
