/* SPDX-License-Identifier: MIT */
/* OpenMP: loops of every schedule, reductions, tasks, locks, critical and atomic, nested regions.
 */
#include <omp.h>
#include <stdlib.h>

#include "check.h"

#define N 100000

static double a[N], b[N];

static void loops(void)
{
    double sum = 0;
    long ordered = 0, expected = 0;

    check_section("loops and reductions");
#pragma omp parallel for schedule(static)
    for (int i = 0; i < N; i++) {
        a[i] = i;
    }
#pragma omp parallel for schedule(dynamic, 64)
    for (int i = 0; i < N; i++) {
        b[i] = 2 * a[i];
    }
#pragma omp parallel for schedule(guided) reduction(+ : sum)
    for (int i = 0; i < N; i++) {
        sum += b[i];
    }
    CHECK(sum == (double)N * (N - 1));
#pragma omp parallel for ordered schedule(dynamic)
    for (int i = 0; i < 500; i++) {
#pragma omp ordered
        ordered = ordered * 31 % 1000003 + i;
    }
    for (int i = 0; i < 500; i++) {
        expected = expected * 31 % 1000003 + i;
    }
    CHECK(ordered == expected);
    for (int round = 0; round < 500; round++) { /* many short regions */
        int count = 0;
#pragma omp parallel reduction(+ : count)
        count++;
        if (count != omp_get_max_threads()) {
            CHECK(0);
        }
    }
}

static long fib(int n)
{
    long x, y;

    if (n < 2) {
        return n;
    }
#pragma omp task shared(x) if (n > 10)
    x = fib(n - 1);
#pragma omp task shared(y) if (n > 10)
    y = fib(n - 2);
#pragma omp taskwait
    return x + y;
}

static void tasks(void)
{
    long result = 0, chain[11] = {1};
    int done = 0;

    check_section("tasks");
#pragma omp parallel
#pragma omp single
    result = fib(22);
    CHECK(result == 17711);
#pragma omp parallel
#pragma omp single
    for (int i = 0; i < 10; i++) {
#pragma omp task depend(in : chain[i]) depend(out : chain[i + 1]) firstprivate(i)
        chain[i + 1] = chain[i] * 3;
    }
    CHECK(chain[10] == 59049);
#pragma omp parallel
#pragma omp single
#pragma omp taskgroup
    {
#pragma omp taskloop grainsize(10)
        for (int i = 0; i < 1000; i++) {
#pragma omp atomic
            done++;
        }
    }
    CHECK(done == 1000);
}

static void synchronisation(void)
{
    omp_lock_t lock;
    omp_nest_lock_t nest;
    long guarded = 0, critical = 0, atomic = 0, nested = 0;
    int masters = 0, singles = 0;

    check_section("locks, critical, atomic, barrier, single");
    omp_init_lock(&lock);
    omp_init_nest_lock(&nest);
#pragma omp parallel num_threads(6)
    {
        for (int i = 0; i < 2000; i++) {
            omp_set_lock(&lock);
            guarded++;
            omp_unset_lock(&lock);
#pragma omp critical
            critical++;
#pragma omp atomic
            atomic++;
            omp_set_nest_lock(&nest);
            omp_set_nest_lock(&nest);
            nested++;
            omp_unset_nest_lock(&nest);
            omp_unset_nest_lock(&nest);
        }
        for (int i = 0; i < 100; i++) {
#pragma omp barrier
#pragma omp master
            masters++;
#pragma omp single
            singles++;
        }
    }
    CHECK(guarded == 12000 && critical == 12000 && atomic == 12000 && nested == 12000);
    CHECK(masters == 100 && singles == 100);
    omp_destroy_lock(&lock);
    omp_destroy_nest_lock(&nest);
}

static void nesting(void)
{
    int levels = 0;

    check_section("nested regions");
    omp_set_max_active_levels(2);
#pragma omp parallel num_threads(3)
    {
        int count = 0;
#pragma omp parallel num_threads(2) reduction(+ : count)
        {
            count++;
            if (omp_get_level() == 2 && omp_get_num_threads() == 2) {
#pragma omp atomic
                levels++;
            }
        }
        if (count != 2) {
            CHECK(0);
        }
    }
    CHECK(levels == 6);
    omp_set_max_active_levels(1);
}

static int private_value = 3;
#pragma omp threadprivate(private_value)

static void sections(void)
{
    int first = 0, second = 0, bad = 0;
    double begin = omp_get_wtime();

    check_section("sections, threadprivate, time");
#pragma omp parallel sections
    {
#pragma omp section
        first = 1;
#pragma omp section
        second = 2;
    }
    CHECK(first == 1 && second == 2);
    private_value = 9;
#pragma omp parallel copyin(private_value) num_threads(4) reduction(+ : bad)
    {
        bad += private_value != 9;
        private_value = omp_get_thread_num();
    }
    CHECK(bad == 0);
    CHECK(omp_get_wtime() >= begin && omp_get_wtime() - begin < 60);
    CHECK(omp_get_num_procs() >= 1);
}

int main(void)
{
    printf("at most %d threads\n", omp_get_max_threads());
    loops();
    tasks();
    synchronisation();
    nesting();
    sections();
    return check_end();
}
