/* SPDX-License-Identifier: MIT */
/* SCHED_DEADLINE: checks, values read back, order, budgets (sched(7)). */
#include "diff.h"

#include "../sched_attr.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MS 1000000ul
#define DEADLINE 6
#define RESET 1ul
#define KEEP_POLICY 8ul
#define KEEP_PARAMS 16ul

static long set_of(pid_t tid, uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period)
{
    struct attr a = {.size = sizeof a,
                     .policy = DEADLINE,
                     .flags = flags,
                     .runtime = runtime,
                     .deadline = deadline,
                     .period = period};
    return syscall(SYS_sched_setattr, tid, &a, 0);
}

static long set(uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period)
{
    return set_of(0, flags, runtime, deadline, period);
}

static void show(void)
{
    struct attr a = {0};
    struct sched_param p = {77};

    R(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
    printf("size %u policy %u flags %lx nice %d priority %u", a.size, a.policy,
           (unsigned long)a.flags, a.nice, a.priority);
    if (a.policy == DEADLINE) /* that of others is the slice of Linux's scheduler */
        printf(" %lu %lu %lu", a.runtime, a.deadline, a.period);
    putchar('\n');
    R(sched_getscheduler(0));
    R(sched_getparam(0, &p));
    SHOW(p.sched_priority);
}

static atomic_int tids[2];
static int until[2];

/* Sleeps, so that a tiny budget lasts. */
static void *holder(void *arg)
{
    char byte;

    *(atomic_int *)arg = gettid();
    return read(until[0], &byte, 1) < 0 ? arg : NULL;
}

CASE(deadline, limits)
{
    pthread_t t;
    pid_t tid;

    if (pipe(until))
        exit(99);
    pthread_create(&t, NULL, holder, &tids[0]);
    while (!tids[0])
        sleep_ms(1);
    tid = tids[0];
    R(set_of(tid, 0, 0, 30 * MS, 30 * MS));
    R(set_of(tid, 0, 1023, 30 * MS, 30 * MS));
    R(set_of(tid, 0, 1024, 30 * MS, 30 * MS));
    R(set_of(tid, 0, 10 * MS, 0, 30 * MS));
    R(set_of(tid, 0, 10 * MS, 5 * MS, 30 * MS));
    R(set_of(tid, 0, 10 * MS, 40 * MS, 30 * MS));
    R(set_of(tid, 0, 10 * MS, 1ul << 63, 0));
    R(set_of(tid, 0, 10 * MS, 20 * MS, 1ul << 63));
    R(set_of(tid, 0, 2048, 99999, 99999));
    R(set_of(tid, 0, 2048, 4096, 100000));
    R(set_of(tid, 0, 2048, 4194304000, 4194304000));
    R(set_of(tid, 0, 2048, 4194305000, 4194305000));
    R(set_of(tid, 1 << 20, 10 * MS, 30 * MS, 30 * MS));
    struct attr a = {.size = 48,
                     .policy = DEADLINE,
                     .priority = 1,
                     .runtime = MS,
                     .deadline = 9 * MS,
                     .period = 9 * MS};
    R(syscall(SYS_sched_setattr, 0, &a, 0));
    a.priority = 0;
    a.nice = 5;
    R(syscall(SYS_sched_setattr, 0, &a, 0));
    R(set_of(0x3fffffff, 0, 10 * MS, 30 * MS, 30 * MS));
    show();
}

CASE(deadline, values_are_read_back)
{
    R(set(0, 10 * MS, 20 * MS, 0));
    show();
    for (unsigned flags = 1; flags <= 7; flags++) {
        R(set(flags, 10 * MS, 20 * MS, 30 * MS));
        show();
    }
    R(set(KEEP_POLICY, 1, 2, 3));
    R(set(KEEP_POLICY, 5 * MS, 20 * MS, 20 * MS));
    show();
    R(set(KEEP_PARAMS, 1, 2, 3));
    R(set(KEEP_PARAMS | KEEP_POLICY, 1, 2, 3));
    show();
}

CASE(deadline, other_calls)
{
    struct sched_param p = {0};
    struct timespec t = {9, 9};
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    R(sched_setscheduler(0, DEADLINE, &p));
    R(set(0, 10 * MS, 30 * MS, 30 * MS));
    R(sched_setscheduler(0, DEADLINE, &p));
    R(sched_setparam(0, &p));
    R(sched_rr_get_interval(0, &t));
    SHOW(t.tv_nsec);
    R(sched_setaffinity(0, sizeof one, &one));
    R(sched_get_priority_max(DEADLINE));
    p.sched_priority = 3;
    R(sched_setscheduler(0, SCHED_FIFO, &p));
    show();
    R(set(0, 10 * MS, 30 * MS, 30 * MS));
    p.sched_priority = 0;
    R(sched_setscheduler(0, SCHED_OTHER, &p));
    show();
    R(sched_setaffinity(0, sizeof one, &one));
    R(set(0, 10 * MS, 30 * MS, 30 * MS));
}

static void *nothing(void *arg)
{
    R(sched_getscheduler(0));
    return arg;
}

CASE(deadline, children_and_threads)
{
    pthread_t t;

    R(set(0, 10 * MS, 30 * MS, 30 * MS));
    R(fork());
    SHOW(pthread_create(&t, NULL, nothing, NULL) == EAGAIN);
    R(set(RESET, 10 * MS, 30 * MS, 30 * MS));
    SHOW(pthread_create(&t, NULL, nothing, NULL));
    pthread_join(t, NULL);
    setpriority(PRIO_PROCESS, 0, 0);
    fflush(stdout);
    if (fork() == 0) {
        show();
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    show();
}

CASE(deadline, rights)
{
    struct sched_param p = {0};

    R(set(0, 10 * MS, 30 * MS, 30 * MS));
    R(setresuid(1000, 1000, 1000));
    R(set(0, 5 * MS, 30 * MS, 30 * MS));
    R(set(0, 31 * MS, 30 * MS, 30 * MS));
    R(sched_setscheduler(0, SCHED_OTHER, &p));
    R(set(0, 5 * MS, 30 * MS, 30 * MS));
    show();
}

CASE(deadline, admission)
{
    pthread_t t[2];

    if (pipe(until))
        exit(99);
    for (int i = 0; i < 2; i++) {
        pthread_create(&t[i], NULL, holder, &tids[i]);
        while (!tids[i])
            sleep_ms(1);
    }
    R(set_of(tids[0], 0, 80 * MS, 100 * MS, 100 * MS));
    R(set_of(tids[1], 0, 80 * MS, 100 * MS, 100 * MS));
    R(set(0, 80 * MS, 100 * MS, 100 * MS));
    R(set_of(tids[1], 0, 100 * MS, 100 * MS, 400 * MS));
    R(set(0, 80 * MS, 100 * MS, 400 * MS));
    R(set_of(tids[1], 0, 99 * MS, 100 * MS, 100 * MS));
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

CASE(deadline, throttles)
{
    long long end;
    double used;

    R(set(0, 5 * MS, 50 * MS, 50 * MS));
    end = now_ms() + 500;
    used = cpu_seconds();
    while (now_ms() < end)
        ;
    used = cpu_seconds() - used;
    SHOW(used > 0.005 && used < 0.1); /* 10 %; more where the computer was taken away */
    R(set(0, 5 * MS, 50 * MS, 50 * MS));
}

CASE(deadline, yield_ends_the_period)
{
    long long start;

    R(set(0, 5 * MS, 50 * MS, 50 * MS));
    start = now_ms();
    for (int i = 0; i < 4; i++)
        sched_yield();
    SHOW(now_ms() - start >= 140);
}

static atomic_int overruns;

static void on_overrun(int signo)
{
    (void)signo;
    overruns++;
}

CASE(deadline, overrun_signal)
{
    long long end = now_ms() + 300;

    signal(SIGXCPU, on_overrun);
    R(set(4, 2 * MS, 20 * MS, 20 * MS));
    while (now_ms() < end)
        ;
    SHOW(overruns > 0);
    R(set(0, 2 * MS, 20 * MS, 20 * MS));
    sleep_ms(30);
    overruns = 0;
    end = now_ms() + 100;
    while (now_ms() < end)
        ;
    SHOW(overruns);
}
