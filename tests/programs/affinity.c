/* SPDX-License-Identifier: MIT */
/* Affinity and priorities mean what they say. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static cpu_set_t all;
static int cpu[CPU_SETSIZE], ncpus;

static cpu_set_t only(int c)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(c, &set);
    return set;
}

static void moving(void)
{
    cpu_set_t set, got;

    check_section("a thread moves at once");
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ncpus; i++) {
            set = only(cpu[i]);
            CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
            CHECK(sched_getcpu() == cpu[i]);
            CHECK(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&set, &got));
        }
    }
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
    CHECK(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&all, &got));
    CPU_ZERO(&set);
    CHECK_ERR(sched_setaffinity(0, sizeof(set), &set), EINVAL);
    set = only(CPU_SETSIZE - 1);
    CHECK_ERR(sched_setaffinity(0, sizeof(set), &set), EINVAL);
    CHECK_ERR(sched_setaffinity(0x3ffffff, sizeof(all), &all), ESRCH);
    CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 4, &set), EINVAL);
    CHECK_ERR(syscall(SYS_sched_getaffinity, 0, sizeof(set), 8), EFAULT);
}

static void *where(void *arg)
{
    cpu_set_t set;

    sched_getaffinity(0, sizeof(set), &set);
    return (void *)(intptr_t)(CPU_COUNT(&set) == 1 && sched_getcpu() == *(int *)arg);
}

static atomic_int stop;
static atomic_int seen_cpu;

static void *spinning(void *arg)
{
    (void)arg;
    while (!stop) {
        seen_cpu = sched_getcpu();
    }
    return NULL;
}

static void threads(void)
{
    pthread_attr_t attr;
    pthread_t t;
    cpu_set_t set;
    void *ok;

    check_section("threads start where their attribute says");
    pthread_attr_init(&attr);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < ncpus; i++) {
            set = only(cpu[i]);
            CHECK(pthread_attr_setaffinity_np(&attr, sizeof(set), &set) == 0);
            CHECK(pthread_create(&t, &attr, where, &cpu[i]) == 0);
            CHECK(pthread_join(t, &ok) == 0 && ok);
        }
    }
    pthread_attr_destroy(&attr);

    check_section("a computing thread is moved by another");
    set = only(cpu[0]);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
    CHECK(pthread_create(&t, NULL, spinning, NULL) == 0); /* inherits the mask */
    for (int i = ncpus - 1; i >= 0; i--) {
        long long end = now_ns() + 5000000000ll;

        set = only(cpu[i]);
        CHECK(pthread_setaffinity_np(t, sizeof(set), &set) == 0);
        while (seen_cpu != cpu[i] && now_ns() < end) { /* it may still have to say where it was */
            sched_yield();
        }
        CHECK(seen_cpu == cpu[i]);
    }
    stop = 1;
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

static int order[8];
static int ordered;

static void *log_order(void *arg)
{
    order[ordered++] = (int)(intptr_t)arg; /* one core, FIFO: nobody else writes meanwhile */
    return NULL;
}

static void priorities(void)
{
    struct sched_param param = {.sched_priority = 30};
    static const int prio[] = {5, 20, 10, 25};
    cpu_set_t set = only(cpu[0]);
    pthread_attr_t attr;
    pthread_t t[4];
    int policy;

    check_section("priorities");
    CHECK(sched_get_priority_min(SCHED_FIFO) == 1 && sched_get_priority_max(SCHED_FIFO) == 99);
    CHECK(sched_get_priority_min(SCHED_OTHER) == 0 && sched_get_priority_max(SCHED_OTHER) == 0);
    CHECK(sched_getscheduler(0) == SCHED_OTHER);
    CHECK_ERR(sched_get_priority_max(77), EINVAL);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
    CHECK(pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0);
    CHECK(pthread_getschedparam(pthread_self(), &policy, &param) == 0);
    CHECK(policy == SCHED_FIFO && param.sched_priority == 30);
    pthread_attr_init(&attr);
    CHECK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED) == 0);
    CHECK(pthread_attr_setschedpolicy(&attr, SCHED_FIFO) == 0);
    for (intptr_t i = 0; i < 4; i++) {
        param.sched_priority = prio[i];
        CHECK(pthread_attr_setschedparam(&attr, &param) == 0);
        CHECK(pthread_create(&t[i], &attr, log_order, (void *)i) == 0);
    }
    CHECK(ordered == 0); /* all of them are lower than this thread, on the same core */
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(ordered == 4 && order[0] == 3 && order[1] == 1 && order[2] == 2 && order[3] == 0);
    pthread_attr_destroy(&attr);
    param.sched_priority = 100;
    CHECK(pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == EINVAL);
    param.sched_priority = 0;
    CHECK(pthread_setschedparam(pthread_self(), SCHED_OTHER, &param) == 0);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

static pthread_t start_fifo(void *(*body)(void *), void *arg, int prio, int c)
{
    struct sched_param param = {.sched_priority = prio};
    cpu_set_t set = only(c);
    pthread_attr_t attr;
    pthread_t t;

    pthread_attr_init(&attr);
    CHECK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED) == 0);
    CHECK(pthread_attr_setschedpolicy(&attr, SCHED_FIFO) == 0);
    CHECK(pthread_attr_setschedparam(&attr, &param) == 0);
    CHECK(pthread_attr_setaffinity_np(&attr, sizeof(set), &set) == 0);
    CHECK(pthread_create(&t, &attr, body, arg) == 0);
    pthread_attr_destroy(&attr);
    return t;
}

static atomic_int ran;

static void *run_once(void *arg)
{
    ran = 1;
    return arg;
}

static void *spin(void *arg)
{
    ran = 0;
    while (!stop) {
    }
    return arg;
}

static void raising(void)
{
    struct sched_param above = {.sched_priority = 25};
    cpu_set_t set = only(cpu[1]);
    long long end = now_ns() + 5000000000ll;
    pthread_t high, low;

    check_section("a waiting thread is raised above the one that computes");
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
    stop = 0;
    ran = -1;
    high = start_fifo(spin, NULL, 20, cpu[0]);
    while (ran) {
        sched_yield();
    }
    low = start_fifo(run_once, NULL, 10, cpu[0]);
    sleep_ms(50);
    CHECK(ran == 0);
    CHECK(pthread_setschedparam(low, SCHED_FIFO, &above) == 0);
    while (!ran && now_ns() < end) {
        sched_yield();
    }
    CHECK(ran == 1);
    stop = 1;
    CHECK(pthread_join(high, NULL) == 0 && pthread_join(low, NULL) == 0);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

static sem_t go_sleep, go_low, low_ran;
static long span_ms;
static atomic_llong due, woken;

static void *sleeping(void *arg)
{
    for (;;) {
        sem_wait(&go_sleep);
        if (stop) {
            return arg;
        }
        due = now_ns() + span_ms * 1000000;
        sleep_ms(span_ms);
        woken = 1;
    }
}

static void *lower(void *arg)
{
    for (;;) {
        sem_wait(&go_low);
        if (stop) {
            return arg;
        }
        sem_post(&low_ran);
    }
}

/*
 * Computes until the other one has woken: how long after it was due. Only what was computed counts,
 * not when the machine had no time for this core: the clock jumps then.
 */
static long long computed_after(void)
{
    long long over = 0, last = now_ns();

    while (!woken) {
        long long now = now_ns();

        if (now > due && now - last < 50000) {
            over += now - last;
        }
        last = now;
    }
    return over;
}

/* A deadline is kept while one thread computes and another one waits for its time slice. */
static void deadlines(void)
{
    static const long spans[] = {3, 13};
    struct sched_param param = {.sched_priority = 30};
    cpu_set_t set = only(cpu[0]);
    pthread_t s, l;

    check_section("deadlines beside time slices");
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
    CHECK(pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0);
    sem_init(&go_sleep, 0, 0);
    sem_init(&go_low, 0, 0);
    sem_init(&low_ran, 0, 0);
    stop = 0;
    s = start_fifo(sleeping, NULL, 50, cpu[0]);
    l = start_fifo(lower, NULL, 10, cpu[0]);
    for (int k = 0; k < 2; k++) {
        long long least = 1000000000, late;

        span_ms = spans[k];
        for (int i = 0; i < 8; i++) {
            sleep_ms(30);
            due = INT64_MAX;
            woken = 0;
            sem_post(&go_sleep); /* it sleeps at once */
            sem_post(&go_low);   /* this one has to wait */
            late = computed_after();
            least = late < least ? late : least;
            sem_wait(&low_ran);
        }
        CHECK(least < 3000000); /* of many */
    }
    stop = 1;
    sem_post(&go_sleep);
    sem_post(&go_low);
    CHECK(pthread_join(s, NULL) == 0 && pthread_join(l, NULL) == 0);
    param.sched_priority = 0;
    CHECK(pthread_setschedparam(pthread_self(), SCHED_OTHER, &param) == 0);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

static void *wandering(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        cpu_set_t set = only(cpu[i % 2]);

        sched_setaffinity(0, sizeof(set), &set);
    }
    stop = 1;
    return arg;
}

static void changing(void)
{
    struct sched_param param;
    pthread_t t;

    check_section("a priority changes while its thread moves");
    stop = 0;
    CHECK(pthread_create(&t, NULL, wandering, NULL) == 0);
    for (int i = 0; !stop; i++) {
        param.sched_priority = i % 5 + 1;
        pthread_setschedparam(t, SCHED_RR, &param);
    }
    CHECK(pthread_join(t, NULL) == 0);
}

static pthread_mutex_t first, second;
static sem_t held;

static void *hold_first(void *arg)
{
    struct sched_param param = {0};

    pthread_mutex_lock(&first);
    sem_post(&held); /* a higher one goes on at once */
    log_order(arg);
    CHECK(sched_getparam(0, &param) == 0 && param.sched_priority == 10); /* lent ones do not show */
    pthread_mutex_unlock(&first);
    return NULL;
}

static void *hold_second(void *arg)
{
    pthread_mutex_lock(&second);
    sem_post(&held);
    pthread_mutex_lock(&first);
    log_order(arg);
    pthread_mutex_unlock(&first);
    pthread_mutex_unlock(&second);
    return NULL;
}

/*
 * 0 (priority 10) holds `first`; 1 (15), if there, `second` and waits for `first`; this thread (30)
 * waits for what the last of them holds, and is 3. In what order do they run beside 2 (20)?
 */
static int who_runs(int protocol, int chain)
{
    pthread_mutexattr_t attr;
    pthread_t low, next, medium;
    int n = 0;

    pthread_mutexattr_init(&attr);
    CHECK(pthread_mutexattr_setprotocol(&attr, protocol) == 0);
    CHECK(pthread_mutex_init(&first, &attr) == 0 && pthread_mutex_init(&second, &attr) == 0);
    ordered = 0;
    low = start_fifo(hold_first, (void *)0, 10, cpu[0]);
    sem_wait(&held);
    if (chain) {
        next = start_fifo(hold_second, (void *)1, 15, cpu[0]);
        sem_wait(&held);
    }
    medium = start_fifo(log_order, (void *)2, 20, cpu[0]);
    pthread_mutex_lock(chain ? &second : &first);
    log_order((void *)3);
    pthread_mutex_unlock(chain ? &second : &first);
    CHECK(pthread_join(low, NULL) == 0 && pthread_join(medium, NULL) == 0);
    if (chain) {
        CHECK(pthread_join(next, NULL) == 0);
    }
    for (int i = 0; i < ordered; i++) {
        n = n * 10 + order[i];
    }
    return n;
}

static void lending(void)
{
    struct sched_param param = {.sched_priority = 30};
    cpu_set_t set = only(cpu[0]);

    check_section("who waits for a mutex lends its owner his priority");
    sem_init(&held, 0, 0);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
    CHECK(pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0);
    CHECK(who_runs(PTHREAD_PRIO_NONE, 0) == 203);
    CHECK(who_runs(PTHREAD_PRIO_INHERIT, 0) == 32); /* 0 3 2 */
    CHECK(who_runs(PTHREAD_PRIO_NONE, 1) == 2013);
    CHECK(who_runs(PTHREAD_PRIO_INHERIT, 1) == 132); /* 0 1 3 2 */
    param.sched_priority = 0;
    CHECK(pthread_setschedparam(pthread_self(), SCHED_OTHER, &param) == 0);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

int main(int argc, char **argv)
{
    CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all)) {
            cpu[ncpus++] = i;
        }
    }
    printf("%d cpus\n", ncpus);
    moving();
    threads();
    if (argc > 1 && strcmp(argv[1], "priorities") == 0) { /* needs the right to, natively */
        priorities();
        lending();
        deadlines();
        if (ncpus > 1) {
            raising();
            changing();
        }
    }
    return check_end();
}
