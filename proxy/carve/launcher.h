/* SPDX-License-Identifier: MIT */
/* What mpirun or srun says of the ranks on this node. */
#ifndef PROXY_CARVE_LAUNCHER_H
#define PROXY_CARVE_LAUNCHER_H

#include <hwloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launcher {
    const char *name;     /* "Hydra", "Slurm", "Open MPI", "PALS"; NULL: none */
    unsigned rank, ranks; /* on this node; 0, 1 without a launcher */
    bool slurm;           /* Slurm itself started it, so its binding is this process's */
};

/*
 * From MPI_LOCALRANKID/MPI_LOCALNRANKS (Hydra), OMPI_COMM_WORLD_LOCAL_RANK/_SIZE (Open MPI),
 * PMI_LOCAL_RANK/_SIZE (PALS), or SLURM_LOCALID with SLURM_STEP_TASKS_PER_NODE and SLURM_NODEID,
 * SLURM_NTASKS_PER_NODE or SLURM_TASKS_PER_NODE, unless SLURM_JOB_ID without SLURM_STEP_ID tells of
 * a batch script; nonsense: none. (PMIx has no variables for the rank on a node; those who use it
 * set one of these.)
 */
void launcher_read(struct launcher *l);

/*
 * What tells one launch on this node from another: the nearest ancestor that was not started as a
 * rank itself (Hydra's proxy, slurmstepd), so that ranks behind scripts are found too; without a
 * launcher, or with a single rank, the calling process. *start: as of launcher_start().
 */
void launcher_identity(const struct launcher *l, pid_t *pid, uint64_t *start);

/* When a process started, clock ticks since boot (/proc/PID/stat); 0: there is none. *parent may be
   NULL. */
uint64_t launcher_start(pid_t pid, pid_t *parent);

/*
 * Slurm says in SLURM_CPU_BIND which CPUs each rank of the node is bound to. False: it says
 * nothing, or not what is true of `allowed`, this process's. True: *rank and *ranks are replaced by
 * this rank's place among those that are bound to the same CPUs, usually 0 of 1. Masks that overlap
 * without being equal: false.
 */
bool launcher_slurm_group(const struct launcher *l, hwloc_const_cpuset_t allowed, unsigned *rank,
                          unsigned *ranks);

/* SLURM_CPUS_PER_TASK; 0: not set. */
unsigned launcher_slurm_cpus(void);

/*
 * Bytes that Slurm lets the ranks of this node have: SLURM_MEM_PER_NODE, or SLURM_MEM_PER_CPU for
 * SLURM_CPUS_ON_NODE (else for SLURM_CPUS_PER_TASK of each rank). 0: not set, or all there is.
 */
uint64_t launcher_slurm_memory(unsigned ranks);

/*
 * Returns this process's rank in the whole job: OMPI_COMM_WORLD_RANK (Open MPI), PMI_RANK (Hydra),
 * PMIX_RANK, SLURM_PROCID, the first that is set; else the rank on the node, MPI_LOCALRANKID or
 * SLURM_LOCALID; else 0.
 */
unsigned launcher_job_rank(void);
/* Ranks of the whole job: OMPI_COMM_WORLD_SIZE, PMI_SIZE, SLURM_STEP_NUM_TASKS; 0: unknown. */
unsigned launcher_job_ranks(void);

/*
 * Returns true if the user told the launcher to put more ranks on a node than it has CPUs.
 * Slurm: SLURM_OVERCOMMIT. Open MPI: OMPI_MCA_rmaps_base_oversubscribe (mpirun --oversubscribe), or
 * OMPI_MCA_mpi_oversubscribe, which mpirun sets where there are more ranks than slots.
 */
bool launcher_overcommits(void);

/*
 * Returns what to add to a message that says which CPUs a rank may use: how to change the binding
 * that Open MPI's mpirun says it has made (OMPI_MCA_orte_bound_at_launch). Else "".
 */
const char *launcher_binding_hint(const struct launcher *l);

/* Affinity mask of a process (0: the caller) added to `set`. 0 or -errno. */
int launcher_affinity(int pid, hwloc_cpuset_t set);

#endif
