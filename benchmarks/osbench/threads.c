/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "osbench/osbench.h"

static void *note_start(void *arg)
{
    *(uint64_t *)arg = tsc_now();
    return NULL;
}

/* Ticks from the call to the thread's first instruction, to the call's return, to the join's. */
static int create_one(double *first, double *create, double *whole)
{
    pthread_t thread;
    uint64_t started = 0;
    uint64_t t0 = tsc_now();
    int e = pthread_create(&thread, NULL, note_start, &started);
    uint64_t t1 = tsc_now();
    if (e) {
        fprintf(stderr, "osbench: pthread_create: %s\n", strerror(e));
        return -1;
    }
    pthread_join(thread, NULL);
    uint64_t t2 = tsc_now();
    if (started < t0 || started > t2) {
        fprintf(stderr, "osbench: the time stamp counters of the cores are not synchronous\n");
        return -1;
    }
    *first = (double)(started - t0);
    *create = (double)(t1 - t0);
    *whole = (double)(t2 - t0);
    return 0;
}

int os_measure_threads(const struct os_options *o, struct bench_result *r)
{
    int rc = -1;
    double *ticks = calloc(3 * o->threads, sizeof *ticks);
    if (!ticks) {
        fprintf(stderr, "osbench: out of memory\n");
        return -1;
    }
    double *first = ticks, *create = ticks + o->threads, *whole = ticks + 2 * o->threads;
    for (uint64_t i = 0; i < o->threads / 10 + 10; i++)
        if (create_one(first, create, whole))
            goto out;
    for (uint64_t i = 0; i < o->threads; i++)
        if (create_one(first + i, create + i, whole + i))
            goto out;
    bench_add(r, "thread to 1st instruction", "cycles", first, o->threads);
    bench_add(r, "pthread_create returns", "cycles", create, o->threads);
    bench_add(r, "thread create and join", "cycles", whole, o->threads);
    rc = 0;
out:
    free(ticks);
    return rc;
}
