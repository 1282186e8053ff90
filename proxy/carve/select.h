/* SPDX-License-Identifier: MIT */
/* Which cores: topology + request -> plan. Reads nothing else, so it is tested on made-up machines.
 */
#ifndef PROXY_CARVE_SELECT_H
#define PROXY_CARVE_SELECT_H

#include <hwloc.h>

#include "carve/carve.h"

struct select_request {
    struct cpu_request cpus; /* n 0: all cores but one, shared by the ranks */
    bool at_most;            /* a count beyond this rank's part of what there is is cut down */
    unsigned rank, ranks;    /* of this isle among those that share `allowed`; 0, 1: alone */
};

enum select_verdict {
    SELECT_OK = 0,
    SELECT_NO_CPU,      /* nothing allowed at all */
    SELECT_TOO_MANY,    /* *detail: CPUs that are allowed */
    SELECT_NOT_THERE,   /* *detail: CPU of the list that the machine does not have */
    SELECT_NOT_ALLOWED, /* *detail: CPU of the list outside `allowed` */
};

/*
 * Fills ncores, cpu[], node[], isle_cpus and linux_cpus of *plan. `allowed`: Linux's numbers; CPUs
 * from CPU_SETSIZE (1024) on are left out.
 *
 * A list is taken as it is. A count takes one hyperthread per core and their siblings only when the
 * cores are used up; in cpu[] siblings come last. Cores lie as close together as the free ones
 * allow: package, NUMA node, L3, L2, the tightest place that fits, away from the first CPU, which
 * Linux likes best. Every rank computes the choices of the ranks before it, so equal requests give
 * disjoint cores; if there are not enough, ranks share.
 * linux_cpus: allowed CPUs on cores that no rank uses, else idle siblings of used ones, else none.
 */
enum select_verdict select_cores(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                                 const struct select_request *request, struct carve_plan *plan,
                                 unsigned *detail);

#endif
