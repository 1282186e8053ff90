/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "osbench/osbench.h"

/* Too short for the counter alone: so many in one sample, divided. */
#define BATCH 32

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void call_nothing(void)
{
    __asm__ volatile("");
}

/* No `mov $nr,%eax` before the instruction: a site that can't be rewritten, so it always traps. */
static void call_getpid_trapped(void)
{
    static volatile long nr = SYS_getpid;
    long ret;
    __asm__ volatile("nop\n\tnop\n\tmov %1, %%rax\n\tsyscall"
                     : "=&a"(ret)
                     : "r"(nr)
                     : "rcx", "r11", "memory");
}

/* The way nearly all of glibc and musl is written. */
static void call_getpid_mov(void)
{
    long ret;
    __asm__ volatile("mov %1, %%eax\n\tsyscall"
                     : "=&a"(ret)
                     : "i"(SYS_getpid)
                     : "rcx", "r11", "memory");
}

static void call_sched_yield(void)
{
    sched_yield();
}

static void call_clock_gettime(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    __asm__ volatile("" ::"r"(&t) : "memory");
}

static void call_mutex(void)
{
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
}

static const struct {
    const char *name;
    void (*call)(void);
    unsigned batch;
} calls[] = {
    {"nothing (counter alone)", call_nothing, 1},
    {"getpid, always trapped", call_getpid_trapped, 1},
    {"getpid, mov and syscall", call_getpid_mov, 1},
    {"sched_yield", call_sched_yield, 1},
    {"clock_gettime", call_clock_gettime, BATCH},
    {"mutex lock and unlock", call_mutex, BATCH},
};

/* Always inlined: the call is direct and the same natively and on an isle. */
static inline __attribute__((always_inline)) double time_batch(void (*call)(void), unsigned batch)
{
    uint64_t t0 = tsc_now();
    for (unsigned i = 0; i < batch; i++)
        call();
    return (double)(tsc_now() - t0) / batch;
}

int os_measure_calls(const struct os_options *o, struct bench_result *r)
{
    double *ticks = malloc(o->samples * sizeof *ticks);
    if (!ticks) {
        fprintf(stderr, "osbench: out of memory\n");
        return -1;
    }
    memset(ticks, 0, o->samples * sizeof *ticks);
    if (bench_pin("osbench", 0) < 0) {
        free(ticks);
        return -1;
    }
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
        for (uint64_t i = 0; i < o->samples / 10 + 10; i++)
            time_batch(calls[c].call, calls[c].batch);
        for (uint64_t i = 0; i < o->samples; i++)
            ticks[i] = time_batch(calls[c].call, calls[c].batch);
        bench_add(r, calls[c].name, "cycles", ticks, o->samples);
    }
    free(ticks);
    return 0;
}
