/* SPDX-License-Identifier: MIT */
#include "carve/launcher.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CPUS_MAX 8192u /* the greatest NR_CPUS of x86-64 */
#define RANKS_MAX 4096u
#define JOB_RANKS_MAX (1u << 24)

/* False: unset or no number up to `max`. */
static bool read_number(const char *name, unsigned max, unsigned *v)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || n > max)
        return false;
    *v = (unsigned)n;
    return true;
}

void launcher_read(struct launcher *l)
{
    static const char *const names[][3] = {
        {"Hydra", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
        {"Slurm", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"},
    };
    *l = (struct launcher){NULL, 0, 1};
    for (int i = 0; i < 2; i++) {
        unsigned rank, ranks;
        if (read_number(names[i][1], RANKS_MAX, &rank) &&
            read_number(names[i][2], RANKS_MAX, &ranks) && rank < ranks) {
            *l = (struct launcher){names[i][0], rank, ranks};
            return;
        }
    }
}

unsigned launcher_job_rank(void)
{
    static const char *const names[] = {"PMI_RANK",     "PMIX_RANK",       "OMPI_COMM_WORLD_RANK",
                                        "SLURM_PROCID", "MPI_LOCALRANKID", "SLURM_LOCALID"};
    unsigned rank;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (read_number(names[i], JOB_RANKS_MAX, &rank))
            return rank;
    return 0;
}

int launcher_affinity(int pid, hwloc_cpuset_t set)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    cpu_set_t *mask = CPU_ALLOC(CPUS_MAX);
    int rc = 0;
    if (!mask)
        return -ENOMEM;
    CPU_ZERO_S(size, mask);
    if (sched_getaffinity(pid, size, mask) != 0)
        rc = -errno;
    for (unsigned c = 0; rc == 0 && c < CPUS_MAX; c++)
        if (CPU_ISSET_S(c, size, mask) && hwloc_bitmap_set(set, c) != 0)
            rc = -ENOMEM;
    CPU_FREE(mask);
    return rc;
}

/* A sibling that still has the parent's own mask is about to be bound: it tells nothing. */
static bool overlaps_sibling(hwloc_const_cpuset_t allowed, hwloc_const_cpuset_t parents, int parent)
{
    char path[64];
    int pid;
    bool overlaps = false;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
    FILE *f = fopen(path, "re");
    hwloc_cpuset_t other = hwloc_bitmap_alloc();
    while (f && other && !overlaps && fscanf(f, "%d", &pid) == 1) {
        hwloc_bitmap_zero(other);
        if (pid == getpid() || launcher_affinity(pid, other) != 0)
            continue;
        overlaps = !hwloc_bitmap_isequal(other, parents) && hwloc_bitmap_intersects(other, allowed);
    }
    hwloc_bitmap_free(other);
    if (f)
        fclose(f);
    return overlaps;
}

bool launcher_binds(hwloc_const_cpuset_t allowed)
{
    int parent = getppid();
    hwloc_cpuset_t parents = hwloc_bitmap_alloc();
    bool binds = parents && launcher_affinity(parent, parents) == 0 &&
                 hwloc_bitmap_isincluded(allowed, parents) &&
                 !hwloc_bitmap_isequal(allowed, parents) &&
                 !overlaps_sibling(allowed, parents, parent);
    hwloc_bitmap_free(parents);
    return binds;
}
