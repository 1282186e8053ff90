/* SPDX-License-Identifier: MIT */
/* Two deadline threads and a SCHED_FIFO one that never waits, on one core: prints who ran when. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../sched_attr.h"

#define MS 1000000l

static const long deadline_ms[2] = {90, 50};
static volatile int order, place[2], ready;
static struct timespec wake;

static long long ns_of(struct timespec t)
{
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return ns_of(t);
}

static void *run(void *arg)
{
    long i = (long)(intptr_t)arg;
    struct attr a = {.size = sizeof a,
                     .policy = 6,
                     .runtime = 40 * MS,
                     .deadline = (uint64_t)(deadline_ms[i] * MS),
                     .period = 100 * MS};
    if (syscall(SYS_sched_setattr, 0, &a, 0))
        perror("sched_setattr");
    ready++;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
    place[i] = ++order;
    return NULL;
}

int main(void)
{
    struct sched_param p = {.sched_priority = 99};
    pthread_t t[2];
    clock_gettime(CLOCK_MONOTONIC, &wake);
    wake.tv_sec++;
    for (long i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, run, (void *)(intptr_t)i);
    while (ready < 2)
        sched_yield();
    sched_setscheduler(0, SCHED_FIFO, &p);
    while (now() < ns_of(wake) + 100 * MS)
        ;
    printf("%d before SCHED_FIFO was done; deadline 90 ms: %d, 50 ms: %d\n", order, place[0],
           place[1]);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    return 0;
}
