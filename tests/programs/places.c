/* SPDX-License-Identifier: MIT */
/* OMP_PLACES and OMP_PROC_BIND mean what they say: prints where each thread may run and does. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdlib.h>

#include "check.h"

#define MOST 64

struct seen {
    int place, cpus, cpu, inside, moved;
    cpu_set_t mask;
};

static void look(struct seen *s)
{
    s->place = omp_get_place_num();
    sched_getaffinity(0, sizeof(s->mask), &s->mask);
    s->cpus = CPU_COUNT(&s->mask);
    s->cpu = sched_getcpu();
    s->inside = 1;
    s->moved = 0;
    for (int i = 0; i < 1000; i++) {
        int now = sched_getcpu();

        s->inside &= now >= 0 && CPU_ISSET(now, &s->mask);
        s->moved |= now != s->cpu;
        if (i % 100 == 0) {
            sched_yield();
        }
    }
}

int main(void)
{
    static struct seen seen[MOST];
    int threads = 0;

    printf("places %d, binding %d\n", omp_get_num_places(), (int)omp_get_proc_bind());
    for (int i = 0; i < omp_get_num_places(); i++) {
        int procs[8];

        if (omp_get_place_num_procs(i) <= 8) {
            omp_get_place_proc_ids(i, procs);
            printf("place %d:", i);
            for (int k = 0; k < omp_get_place_num_procs(i); k++) {
                printf(" %d", procs[k]);
            }
            printf("\n");
        }
    }
#pragma omp parallel
    {
        int me = omp_get_thread_num();
#pragma omp single
        threads = omp_get_num_threads();
        if (me < MOST) {
            look(&seen[me]);
        }
    }
    for (int i = 0; i < threads && i < MOST; i++) {
        printf("thread %d: place %d, may use %d\n", i, seen[i].place, seen[i].cpus);
        CHECK(seen[i].inside);
        if (seen[i].cpus == 1) {
            CHECK(!seen[i].moved);
            printf("thread %d: runs on %d\n", i, seen[i].cpu);
        }
    }
    return check_end();
}
