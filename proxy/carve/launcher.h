/* SPDX-License-Identifier: MIT */
/* What mpirun or srun says of the ranks on this node. */
#ifndef PROXY_CARVE_LAUNCHER_H
#define PROXY_CARVE_LAUNCHER_H

#include <hwloc.h>
#include <stdbool.h>

struct launcher {
    const char *name;     /* "Hydra", "Slurm"; NULL: none */
    unsigned rank, ranks; /* on this node; 0, 1 without a launcher */
};

/* From MPI_LOCALRANKID/MPI_LOCALNRANKS or SLURM_LOCALID/SLURM_NTASKS_PER_NODE; nonsense: none. */
void launcher_read(struct launcher *l);

/*
 * This process's rank in the whole job: PMI_RANK (Hydra), PMIX_RANK or OMPI_COMM_WORLD_RANK (Open
 * MPI), SLURM_PROCID; else that on the node, MPI_LOCALRANKID or SLURM_LOCALID; else 0.
 */
unsigned launcher_job_rank(void);

/*
 * True when `allowed` (the calling process's affinity) looks like this rank's own: narrower than
 * the parent's, and disjoint from every narrowed one of the parent's other children. The ranks'
 * cores are then divided already.
 */
bool launcher_binds(hwloc_const_cpuset_t allowed);

/* Affinity mask of a process (0: the caller) added to `set`. 0 or -errno. */
int launcher_affinity(int pid, hwloc_cpuset_t set);

#endif
