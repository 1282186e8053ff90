/* SPDX-License-Identifier: MIT */
/* Which cores and how much memory an isle gets: hwloc topology + request + environment -> plan. */
#ifndef PROXY_CARVE_CARVE_H
#define PROXY_CARVE_CARVE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include <lull/memmap.h>

#include "cli/options.h"

struct carve_plan {
    unsigned ncores;
    uint16_t cpu[LULL_MAX_CORES];  /* Linux's numbers, in the isle's order */
    uint16_t node[LULL_MAX_CORES]; /* NUMA node (OS index) of each */
    cpu_set_t isle_cpus;
    cpu_set_t linux_cpus; /* allowed CPUs left to Linux, no rank's core among them; may be empty */
    uint64_t mem;         /* limit in bytes, multiple of 2 MiB */
    char why[160];        /* what decided the cores: "--cpus", "OMP_NUM_THREADS", ... */
};

/*
 * Takes and changes nothing. Cores: --cpus, else OMP_NUM_THREADS (first number) cores, as far as
 * there are, else all allowed ones but one (at least one). Only cores of the inherited affinity
 * mask and cpuset. A count is placed as carve/select.h says; with MPI_LOCALRANKID/MPI_LOCALNRANKS
 * (Hydra) or SLURM_LOCALID/SLURM_NTASKS_PER_NODE set, co-located ranks that are not bound already
 * take disjoint cores where there are enough. A list is taken as it is, in its order, by each rank.
 * Memory: --mem, else what /proc/meminfo (MemAvailable), cgroup limits and the number of local
 * ranks leave, less 10 %.
 * Returns 0 or LULL_EXIT_FAILED after one message() (more cores or memory than there is, a core
 * that is not there or not allowed, a bad list).
 */
int carve_plan(const struct options *opt, struct carve_plan *out);

#endif
