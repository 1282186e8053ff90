/* SPDX-License-Identifier: MIT */
/* Mutexes of every kind, condition variables, timeouts, robust mutexes, semaphores, raw futexes. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long total;

static struct timespec in_ms(clockid_t clock, long ms)
{
    struct timespec t;

    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void *adder(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(arg);
        total++;
        pthread_mutex_unlock(arg);
    }
    return NULL;
}

static void contention(void)
{
    pthread_t t[8];

    check_section("contended mutex");
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&t[i], NULL, adder, &lock) == 0);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(total == 160000);
}

static void *try_lock(void *arg)
{
    return (void *)(intptr_t)pthread_mutex_trylock(arg);
}

static int try_from_other(pthread_mutex_t *m)
{
    pthread_t t;
    void *result;

    pthread_create(&t, NULL, try_lock, m);
    pthread_join(t, &result);
    return (int)(intptr_t)result;
}

static void kinds(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;
    struct timespec when;
    long long begin;

    check_section("kinds of mutex");
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    CHECK(pthread_mutex_lock(&m) == 0 && pthread_mutex_lock(&m) == 0);
    CHECK(try_from_other(&m) == EBUSY);
    CHECK(pthread_mutex_unlock(&m) == 0 && try_from_other(&m) == EBUSY);
    CHECK(pthread_mutex_unlock(&m) == 0);
    pthread_mutex_destroy(&m);

    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    CHECK(pthread_mutex_unlock(&m) == EPERM);
    CHECK(pthread_mutex_lock(&m) == 0 && pthread_mutex_lock(&m) == EDEADLK);
    CHECK(pthread_mutex_unlock(&m) == 0);
    pthread_mutex_destroy(&m);
    pthread_mutexattr_destroy(&attr);

    CHECK(pthread_mutex_lock(&lock) == 0);
    CHECK(try_from_other(&lock) == EBUSY);
    when = in_ms(CLOCK_REALTIME, 20);
    begin = now_ns();
    CHECK(pthread_mutex_timedlock(&lock, &when) == ETIMEDOUT);
    CHECK(now_ns() - begin >= 15000000);
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

static int turn, rounds;

static void *ping(void *arg)
{
    int me = (int)(intptr_t)arg;

    pthread_mutex_lock(&lock);
    while (rounds < 2000) {
        while (turn != me && rounds < 2000) {
            pthread_cond_wait(&cond, &lock);
        }
        turn = !me;
        rounds++;
        pthread_cond_signal(&cond);
    }
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int gate, through;

static void *wait_gate(void *arg)
{
    pthread_mutex_lock(&lock);
    while (!gate) {
        pthread_cond_wait(&cond, &lock);
    }
    through++;
    pthread_mutex_unlock(&lock);
    return arg;
}

static void conditions(void)
{
    pthread_t t[10];
    pthread_condattr_t attr;
    pthread_cond_t mono;
    struct timespec when;
    long long begin;

    check_section("condition variables");
    for (intptr_t i = 0; i < 2; i++) {
        CHECK(pthread_create(&t[i], NULL, ping, (void *)i) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(rounds >= 2000);

    for (int i = 0; i < 10; i++) {
        CHECK(pthread_create(&t[i], NULL, wait_gate, NULL) == 0);
    }
    sleep_ms(10);
    pthread_mutex_lock(&lock);
    gate = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 10; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(through == 10);

    pthread_mutex_lock(&lock);
    when = in_ms(CLOCK_REALTIME, 20);
    begin = now_ns();
    CHECK(pthread_cond_timedwait(&cond, &lock, &when) == ETIMEDOUT);
    CHECK(now_ns() - begin >= 15000000);
    pthread_condattr_init(&attr);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&mono, &attr) == 0);
    when = in_ms(CLOCK_MONOTONIC, 20);
    begin = now_ns();
    CHECK(pthread_cond_timedwait(&mono, &lock, &when) == ETIMEDOUT);
    CHECK(now_ns() - begin >= 20000000);
    when.tv_sec -= 10;
    CHECK(pthread_cond_timedwait(&mono, &lock, &when) == ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&mono);
}

static void *die_holding(void *arg)
{
    pthread_mutex_lock(arg);
    return NULL;
}

static void *wait_robust(void *arg)
{
    int got = pthread_mutex_lock(arg);

    if (got == EOWNERDEAD) {
        pthread_mutex_consistent(arg);
    }
    pthread_mutex_unlock(arg);
    return (void *)(intptr_t)got;
}

static void *die_later(void *arg)
{
    pthread_mutex_lock(arg);
    sleep_ms(30);
#ifdef __GLIBC__
    syscall(SYS_exit, 0); /* the thread alone; musl's pthread_join would not notice */
#endif
    return NULL;
}

static void robust(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;
    pthread_t t, w;
    void *result;

    check_section("robust mutex");
    pthread_mutexattr_init(&attr);
    CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    CHECK(pthread_create(&t, NULL, die_holding, &m) == 0 && pthread_join(t, NULL) == 0);
    CHECK(pthread_mutex_lock(&m) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&m) == 0 && pthread_mutex_unlock(&m) == 0);
    CHECK(pthread_mutex_lock(&m) == 0 && pthread_mutex_unlock(&m) == 0);

    /* a waiter is woken by the owner's death */
    CHECK(pthread_create(&t, NULL, die_later, &m) == 0);
    sleep_ms(10);
    CHECK(pthread_create(&w, NULL, wait_robust, &m) == 0);
    CHECK(pthread_join(w, &result) == 0 && (intptr_t)result == EOWNERDEAD);
    CHECK(pthread_join(t, NULL) == 0);

    CHECK(pthread_create(&t, NULL, die_holding, &m) == 0 && pthread_join(t, NULL) == 0);
    CHECK(pthread_mutex_lock(&m) == EOWNERDEAD && pthread_mutex_unlock(&m) == 0);
    CHECK(pthread_mutex_lock(&m) == ENOTRECOVERABLE);
    pthread_mutexattr_destroy(&attr);
}

static void *wait_robust_twice(void *arg)
{
    void *got = wait_robust(arg);

    CHECK(pthread_mutex_lock(arg) == 0 && pthread_mutex_unlock(arg) == 0);
    return got;
}

/* Mutexes whose owner is lent priority: futexes of another kind. */
static void inheriting(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;
    pthread_t t[8];
    struct timespec when;
    void *result;

    check_section("priority inheritance");
    pthread_mutexattr_init(&attr);
    CHECK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    total = 0;
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&t[i], NULL, adder, &m) == 0);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(total == 160000);
    CHECK(pthread_mutex_lock(&m) == 0 && try_from_other(&m) == EBUSY);
    CHECK(pthread_mutex_unlock(&m) == 0);
    pthread_mutex_destroy(&m);

    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    CHECK(pthread_mutex_unlock(&m) == EPERM && pthread_mutex_lock(&m) == 0);
    CHECK(pthread_mutex_lock(&m) == EDEADLK);
    CHECK(pthread_mutex_unlock(&m) == 0);
    pthread_mutex_destroy(&m);

    CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    CHECK(pthread_create(&t[0], NULL, die_holding, &m) == 0 && pthread_join(t[0], NULL) == 0);
    CHECK(pthread_mutex_lock(&m) == EOWNERDEAD && pthread_mutex_consistent(&m) == 0);
    CHECK(pthread_mutex_unlock(&m) == 0);
    CHECK(pthread_create(&t[0], NULL, die_later, &m) == 0);
    sleep_ms(10);
    when = in_ms(CLOCK_REALTIME, 5);
    CHECK(pthread_mutex_timedlock(&m, &when) == ETIMEDOUT);
    CHECK(pthread_create(&t[1], NULL, wait_robust_twice, &m) == 0);
    CHECK(pthread_join(t[1], &result) == 0 && (intptr_t)result == EOWNERDEAD);
    CHECK(pthread_join(t[0], NULL) == 0);
    CHECK(pthread_mutex_lock(&m) == 0 && pthread_mutex_unlock(&m) == 0);
    pthread_mutex_destroy(&m);
    pthread_mutexattr_destroy(&attr);
}

static void *post_later(void *arg)
{
    sleep_ms(10);
    sem_post(arg);
    return NULL;
}

static void semaphores(void)
{
    sem_t s;
    pthread_t t;
    struct timespec when = in_ms(CLOCK_REALTIME, 20);

    check_section("semaphores");
    CHECK(sem_init(&s, 0, 1) == 0);
    CHECK(sem_wait(&s) == 0);
    CHECK_ERR(sem_trywait(&s), EAGAIN);
    CHECK_ERR(sem_timedwait(&s, &when), ETIMEDOUT);
    CHECK(pthread_create(&t, NULL, post_later, &s) == 0);
    CHECK(sem_wait(&s) == 0);
    CHECK(pthread_join(t, NULL) == 0);
    sem_destroy(&s);
}

static long futex(uint32_t *word, int op, uint32_t value, const void *timeout, uint32_t *second,
                  uint32_t value3)
{
    return syscall(SYS_futex, word, op, value, timeout, second, value3);
}

static uint32_t word_a, word_b;
static atomic_int woken;

static void *futex_waiter(void *arg)
{
    (void)arg;
    if (futex(&word_a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == 0) {
        woken++;
    }
    return NULL;
}

static void futexes(void)
{
    struct timespec t = {0, 20000000}, bad = {0, 1000000000};
    uint32_t word = 5;
    long long begin;
    pthread_t w[4];
    struct timespec until;

    check_section("futex");
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0), EAGAIN);
    begin = now_ns();
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 5, &t, NULL, 0), ETIMEDOUT);
    CHECK(now_ns() - begin >= 20000000);
    CHECK_ERR(futex(&word, FUTEX_WAIT, 5, &t, NULL, 0), ETIMEDOUT);
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 5, &bad, NULL, 0), EINVAL);
    CHECK_ERR(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0), EINVAL);
    CHECK_ERR(futex(NULL, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0), EFAULT);
    until = in_ms(CLOCK_MONOTONIC, 20);
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, &until, NULL, ~0u), ETIMEDOUT);
    until = in_ms(CLOCK_REALTIME, 20);
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &until, NULL, ~0u),
              ETIMEDOUT);
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, NULL, NULL, 0), EINVAL);
    CHECK(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0);

    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&w[i], NULL, futex_waiter, NULL) == 0);
    }
    sleep_ms(50);
    /* two move over to another word, one is woken here, the rest there */
    CHECK(futex(&word_a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 1);
    CHECK(futex(&word_a, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)2, &word_b, 0) == 2);
    CHECK(futex(&word_b, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0) == 2);
    CHECK(futex(&word_a, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0) == 1);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(w[i], NULL) == 0);
    }
    CHECK(woken == 4);
    CHECK_ERR(futex(&word_a, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)2, &word_b, 1), EAGAIN);
}

int main(void)
{
    contention();
    kinds();
    conditions();
    robust();
    inheriting();
    semaphores();
    futexes();
    return check_end();
}
