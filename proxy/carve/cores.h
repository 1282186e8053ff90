/* SPDX-License-Identifier: MIT */
/* The cores of a machine in an order in which whatever shares something lies together. */
#ifndef PROXY_CARVE_CORES_H
#define PROXY_CARVE_CORES_H

#include <hwloc.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"

#define UNITS CPU_SETSIZE
#define SIBLINGS 8
#define LEVELS 3 /* package, L3, L2 within a domain */

/* One core with the hyperthreads of it that are allowed. */
struct unit {
    hwloc_obj_t core;
    unsigned domain;
    int key[LEVELS]; /* what it belongs to, -1: nothing of the kind */
    uint16_t node;
    uint8_t npus, kind;
    uint16_t pu[SIBLINGS];
};

/* The cores of one kind on one node: unit[first] .. unit[last - 1]. */
struct domain {
    unsigned first, last;
    hwloc_obj_t node; /* NULL: the machine knows none */
    uint8_t kind;
    bool listed;   /* may be used, as far as the list of nodes says */
    uint64_t cost; /* the smaller the better: how far memory is that is not the node's own */
};

struct cores {
    hwloc_topology_t topology;
    unsigned nunits, npus, ndomains, nkinds;
    struct unit unit[UNITS];
    struct domain domain[UNITS];
    uint64_t *far; /* of each domain to each, [ndomains * ndomains] */
};

/* Free CPUs of each unit, or those that were chosen of it. */
struct pool {
    uint8_t n[UNITS];
};

/* Those of `allowed` below UNITS. False: no memory. cores_free() in any case, of a *c of zeroes
 * too. */
bool cores_read(struct cores *c, hwloc_topology_t topology, hwloc_const_cpuset_t allowed);
void cores_free(struct cores *c);

/* Relative; how far memory of one is for cores of the other. Either may be NULL. */
uint64_t cores_distance(hwloc_topology_t topology, hwloc_obj_t a, hwloc_obj_t b);

unsigned pool_sum(const struct pool *p, unsigned first, unsigned last);

/*
 * `want` CPUs of one kind, from at most `max_nodes` listed domains, move from *from to *chosen.
 * Kinds in their order, or only `kind` (-1: any). False: there is no place, nothing was moved.
 */
bool place_choose(const struct cores *c, struct pool *from, unsigned want, unsigned max_nodes,
                  int kind, struct pool *chosen);

#endif
