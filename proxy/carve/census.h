/* SPDX-License-Identifier: MIT */
/* How a launcher has bound the ranks of this node: what Slurm says of its own, seen in /proc. */
#ifndef PROXY_CARVE_CENSUS_H
#define PROXY_CARVE_CENSUS_H

#include "carve/launcher.h"

/*
 * Where `allowed` is narrower than the affinity of the launcher (launcher_identity()), ranks are
 * bound: *rank and *ranks are replaced by this rank's place among those of the launcher's children
 * that are bound to some of the same CPUs, 0 of 1 when it is alone. False: not bound.
 */
bool census_group(const struct launcher *l, hwloc_const_cpuset_t allowed, unsigned *rank,
                  unsigned *ranks);

/* Where this rank is bound, gives the others up to a tenth of a second to be started and bound. */
void census_await(const struct launcher *l);

/* Sleeps, less than a second. */
void census_linger(unsigned ms);

#endif
