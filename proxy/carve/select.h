/* SPDX-License-Identifier: MIT */
/* Which cores: topology + request -> plan. Reads nothing else, so it is tested on made-up machines.
 */
#ifndef PROXY_CARVE_SELECT_H
#define PROXY_CARVE_SELECT_H

#include <hwloc.h>

#include "carve/carve.h"

struct select_request {
    struct cpu_request cpus;   /* n 0: as many as there are, but one; shared by the ranks */
    bool at_most;              /* a count beyond this rank's part of what there is is cut down */
    bool spare;                /* n is the most, and one core is Linux's, whatever is left for us */
    bool smt;                  /* hyperthreads are cores, too */
    bool oversubscribe;        /* ranks that have no cores of their own share */
    struct node_request nodes; /* all 0: one node */
    const cpu_set_t *busy;     /* better left alone (of other isles); NULL: none */
    unsigned rank, ranks;      /* of this isle among those that share `allowed`; 0, 1: alone */
};

enum select_verdict {
    SELECT_OK = 0,
    SELECT_NO_CPU,      /* nothing allowed at all */
    SELECT_NO_MEMORY,   /* of the process itself */
    SELECT_TOO_MANY,    /* n: as many as there are */
    SELECT_NOT_THERE,   /* n: CPU of the list that the machine does not have */
    SELECT_NOT_ALLOWED, /* n: CPU of the list outside `allowed` */
    SELECT_NO_NODE,     /* n: node of the list that the machine does not have, or none of them has
                           a CPU that is allowed, though they have CPUs */
    SELECT_NEED_NODES,  /* n: the most that fits; nodes: how many nodes it takes */
    SELECT_NEED_SMT,    /* n: cores, without hyperthreads */
    SELECT_MIXED,       /* n: the most cores of one kind */
    SELECT_CROWDED,     /* not all ranks have a place of their own. n: whole cores for all together;
                           each:     cores that each would have; ranks: as many as fit; smt: with
                           hyperthreads     all would */
};

struct select_detail {
    unsigned n, nodes, each, ranks;
    bool smt;
    /* cores of all ranks together by node (OS index) */
    unsigned on_node[OPTIONS_MAX_NODE];
};

/*
 * Fills ncores, cpu[], node[], the three sets and `shares` of *plan. `allowed`: Linux's numbers;
 * CPUs from CPU_SETSIZE (1024) on are left out.
 *
 * A list is taken as it is. A count takes one hyperthread per core, with `smt` all of each core; in
 * cpu[] siblings come last. Cores of one kind only (P-cores where there are enough), of one NUMA
 * node, or of as few as will do of those that --nodes allows, in one package if they can be;
 * there as close together as the free ones allow: L3, L2, the tightest place that fits, away from
 * the first CPU, which Linux likes best. Every rank computes the choices of the ranks before it, so
 * equal requests give disjoint cores, if need be those that are busy; if there are not enough, it
 * is SELECT_CROWDED, or, with `oversubscribe`, ranks share. What is busy makes no difference to
 * that, so every rank comes to the same answer. A list may be shared: it was asked for. A list of
 * nodes of which none has a CPU does not say where the cores are.
 */
enum select_verdict select_cores(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                                 const struct select_request *request, struct carve_plan *plan,
                                 struct select_detail *detail);

/* The same for all ranks at once: plans[request->ranks]. */
enum select_verdict select_all(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                               const struct select_request *request, struct carve_plan *plans,
                               struct select_detail *detail);

#endif
