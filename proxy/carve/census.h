/* SPDX-License-Identifier: MIT */
/* How a launcher has bound the ranks of this node: what Slurm says of its own, seen in /proc. */
#ifndef PROXY_CARVE_CENSUS_H
#define PROXY_CARVE_CENSUS_H

#include "carve/launcher.h"

struct census_group {
    bool bound;
    unsigned rank, ranks; /* among those that share CPUs with this rank; 0 of 1: alone */
};

/*
 * Ranks are bound where the launcher (launcher_identity()) may use CPUs outside `allowed`; then
 * those of its children are counted that are bound to some of the same CPUs, when all are there and
 * bound, or after a tenth of a second.
 */
void census_take(const struct launcher *l, hwloc_const_cpuset_t allowed, struct census_group *g);

/* Is that still so, when more is allowed than was thought? */
void census_check(const struct launcher *l, hwloc_const_cpuset_t allowed, struct census_group *g);

/* Sleeps, less than a second. */
void census_linger(unsigned ms);

#endif
