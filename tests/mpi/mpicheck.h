/* SPDX-License-Identifier: MIT */
/* Checks of an MPI program. Rank 0 alone writes what is the same natively and on isles. */
#ifndef TESTS_MPI_MPICHECK_H
#define TESTS_MPI_MPICHECK_H

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int me, ranks;
static long checks, bad;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);                                          \
        if (!(cond)) {                                                                             \
            __atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);                                         \
            printf("FAIL rank %d line %d: %s\n", me, __LINE__, #cond);                             \
            fflush(stdout);                                                                        \
        }                                                                                          \
    } while (0)

static inline void start(int *argc, char ***argv, int wanted)
{
    int level;
    MPI_Init_thread(argc, argv, wanted, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    CHECK(level >= wanted);
}

static inline void section(const char *name)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (me == 0) {
        printf("- %s\n", name);
        fflush(stdout);
    }
}

static inline int finish(void)
{
    long mine[2] = {checks, bad}, all[2];
    MPI_Reduce(mine, all, 2, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (me == 0) {
        if (all[1])
            printf("%ld of %ld checks failed\n", all[1], all[0]);
        else
            printf("%ld checks passed on %d ranks\n", all[0], ranks);
        fflush(stdout);
    }
    MPI_Finalize();
    return bad ? 1 : 0;
}

static inline void *need(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        MPI_Abort(MPI_COMM_WORLD, 99);
    }
    return p;
}

/* What rank `from` puts at byte i of its message. */
static inline unsigned char pattern(int from, size_t i)
{
    return (unsigned char)((size_t)from * 31 + i * 7 + (i >> 8) * 13 + (i >> 16) * 5);
}

static inline void fill(unsigned char *b, size_t n, int from)
{
    for (size_t i = 0; i < n; i++)
        b[i] = pattern(from, i);
}

static inline size_t differs(const unsigned char *b, size_t n, int from)
{
    size_t d = 0;
    for (size_t i = 0; i < n; i++)
        d += b[i] != pattern(from, i);
    return d;
}

#endif
