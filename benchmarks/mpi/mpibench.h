/* SPDX-License-Identifier: MIT */
/* What both MPI programs share. */
#ifndef MPI_MPIBENCH_H
#define MPI_MPIBENCH_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bench.h"

extern int mpi_rank, mpi_ranks;

/* Begins MPI; notes on which CPU this rank is. */
void mpi_begin(int *argc, char ***argv, const char *program);
/*
 * "rank 0 on CPU 0, rank 1 on CPU 1; MPICH 4.0.2, ch4:ucx" into r->note, at rank 0. Ends all ranks
 * after a line when one is not bound to a single CPU or was elsewhere at the beginning.
 */
void mpi_check_places(struct bench_result *r);
/* What rank 0 has measured: printed, and into json (NULL: nowhere). Its exit code, at all ranks. */
int mpi_finish(const struct bench_result *r, const char *json);
/* Zeroed, page-aligned; ends all ranks where there is none. */
void *mpi_memory(size_t bytes);
/* Ends all ranks after a line of this one. */
__attribute__((format(printf, 1, 2), noreturn)) void mpi_die(const char *fmt, ...);
/* The marked section begins and ends at all ranks together. */
void mpi_mark_begin(struct bench_result *r);
void mpi_mark_end(void);
/* "PREFIX 8 B", "PREFIX 4 KiB", "PREFIX 1 MiB"; in static memory, 64 of them at most. */
const char *mpi_size_name(const char *prefix, size_t bytes);

#endif
