/* SPDX-License-Identifier: MIT */
/* MPI_THREAD_MULTIPLE: POSIX and OpenMP threads of each rank talk at the same time. */
#include <pthread.h>

#include "mpicheck.h"

#define THREADS 4
#define ROUNDS 60

static MPI_Comm comm[THREADS];

static void *talk(void *arg)
{
    int t = (int)(long)arg, next = (me + 1) % ranks, last = (me + ranks - 1) % ranks;
    for (int i = 0; i < ROUNDS; i++) {
        int out[500], in[500];
        for (int k = 0; k < 500; k++)
            out[k] = me * 100000 + t * 1000 + i + k;
        MPI_Sendrecv(out, 500, MPI_INT, next, t, in, 500, MPI_INT, last, t, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        CHECK(in[499] == last * 100000 + t * 1000 + i + 499);
        if (i % 20 == 0) {
            int sum, mine = me + t;
            MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, comm[t]);
            CHECK(sum == ranks * (ranks - 1) / 2 + ranks * t);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t th[THREADS];
    double local = 0, sum = 0;
    start(&argc, &argv, MPI_THREAD_MULTIPLE);
    for (int t = 0; t < THREADS; t++)
        MPI_Comm_dup(MPI_COMM_WORLD, &comm[t]);
    section("POSIX threads");
    for (long t = 0; t < THREADS; t++)
        pthread_create(&th[t], NULL, talk, (void *)t);
    for (int t = 0; t < THREADS; t++)
        pthread_join(th[t], NULL);
    section("OpenMP threads");
#pragma omp parallel for num_threads(THREADS)
    for (int t = 0; t < THREADS; t++)
        talk((void *)(long)t);
    section("hybrid");
#pragma omp parallel for reduction(+ : local) num_threads(2)
    for (int i = me; i < 1000000; i += ranks)
        local += 1. / (1. + (double)i);
    MPI_Allreduce(&local, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    CHECK(sum > 14.392726 && sum < 14.392727);
    for (int t = 0; t < THREADS; t++)
        MPI_Comm_free(&comm[t]);
    return finish();
}
