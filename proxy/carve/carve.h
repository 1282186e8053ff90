/* SPDX-License-Identifier: MIT */
/* Which cores and how much memory an isle gets: hwloc topology + request + environment -> plan. */
#ifndef PROXY_CARVE_CARVE_H
#define PROXY_CARVE_CARVE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include <lull/memmap.h>

#include "cli/options.h"

#define CARVE_MAX_NODES 64 /* NUMA nodes that an isle's memory may come from */

struct carve_memory {
    uint16_t node;  /* OS index */
    uint64_t bytes; /* planned on it: multiple of 2 MiB, > 0 */
};

/* What the isles have, what Linux keeps, and what nobody uses: three disjoint sets of allowed CPUs.
 */
struct carve_plan {
    unsigned ncores;
    uint16_t cpu[LULL_MAX_CORES];      /* Linux's numbers, in the isle's order */
    uint16_t node[LULL_MAX_CORES];     /* NUMA node (OS index) of each */
    uint16_t mem_node[LULL_MAX_CORES]; /* node of each one's memory: node[], or the nearest one with
                                          memory where that has none */
    cpu_set_t isle_cpus;
    cpu_set_t all_cpus;   /* of all ranks that share this process's CPUs */
    cpu_set_t idle_cpus;  /* siblings of isle cores (any rank's) that stay idle; Linux is to be kept
                             off them */
    cpu_set_t linux_cpus; /* left to Linux, no rank's core nor sibling among them; when no core is
                             left the idle siblings, else empty */
    bool shares;          /* cores of other ranks, or of `busy`, are among the isle's */
    bool crowded;         /* nothing else is valid: ranks have no cores of their own, which only the
                             first of those that share says */
    bool with_ranks;      /* those of other ranks: so all of them know it */
    bool slow_copies;     /* one of several ranks, and Linux keeps fewer cores than ranks share */
    uint64_t mem;         /* limit in bytes, multiple of 2 MiB */
    unsigned nmemory;     /* >= 1 on the machine at hand */
    struct carve_memory memory[CARVE_MAX_NODES]; /* to bind to, most bytes first; sum: mem */
    char why[160]; /* what decided the cores: "--cpus", "OMP_NUM_THREADS", ... */
};

/*
 * The plan for this process. Takes and changes nothing. Cores: --cpus, else OMP_NUM_THREADS (first
 * number) cores, as far as there are, else SLURM_CPUS_PER_TASK or all allowed ones, but one that is
 * left to Linux. Only cores of the inherited affinity mask and cpuset; placed as carve/select.h
 * says. Co-located ranks (carve/launcher.h) that are not bound already take disjoint cores where
 * there are enough. A list is taken as it is, in its order, by each rank. Memory: --mem, else this
 * rank's part of what is free on the cores' nodes, within /proc/meminfo (MemAvailable), cgroup
 * limits, SLURM_MEM_PER_NODE or _PER_CPU, less 10 %; placed as carve/nodes.h says. Returns 0 or
 * LULL_EXIT_FAILED after one message() (more cores or memory than there is, a core that is not
 * there or not allowed, a bad list). `busy` are cores that other isles hold (carve/claim.h), NULL:
 * none; a count keeps off them as long as it fits without (else `shares`). Those of this launch's
 * own ranks are not among them: each rank computes the others' places and must start from the same
 * set. But with opt->exec they are, and the CPUs are not divided any more.
 */
struct machine;
int carve_plan_on(const struct options *opt, const struct machine *m, const cpu_set_t *busy,
                  struct carve_plan *out);

/*
 * *plans: those of all ranks that share this process's CPUs, opt->ranks of them, else as many as
 * the environment says; *mine: which one is this process's. Free *plans, also after a failure.
 */
int carve_plan_all(const struct options *opt, const struct machine *m, const cpu_set_t *busy,
                   struct carve_plan **plans, unsigned *ranks, unsigned *mine);
#endif
