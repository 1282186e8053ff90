/* SPDX-License-Identifier: MIT */
/* What a plan is made of: a topology, the CPUs that may be used, the memory that is free. */
#ifndef PROXY_CARVE_MACHINE_H
#define PROXY_CARVE_MACHINE_H

#include <hwloc.h>
#include <stdbool.h>
#include <stdint.h>

#include "carve/carve.h"
#include "carve/census.h"

struct machine_node {
    uint16_t node;  /* OS index, ascending in struct machine */
    bool cpus;      /* CPUs of its own, whether they may be used or not */
    uint64_t bytes; /* its memory; 0: none, or not to be used here (cpuset) */
    uint64_t free;  /* what a new process may have of it */
    hwloc_obj_t obj;
};

struct machine {
    hwloc_topology_t topology;
    hwloc_cpuset_t allowed;    /* affinity mask within the cpuset */
    uint64_t free;             /* bytes on all nodes together, within the control group's limits */
    bool here;                 /* the machine that runs this */
    struct census_group group; /* here: how this rank is bound; machine_read() leaves it all 0 */
    char held[256]; /* ends a message about missing CPUs: which of them another isle has; or "" */
    unsigned nnodes;
    struct machine_node node[CARVE_MAX_NODES]; /* further ones are left out */
};

/* This machine, for this process. 0 or LULL_EXIT_FAILED after one message(). */
int machine_read(struct machine *m);

/*
 * A file of hwloc's XML (at most MACHINE_XML_MAX bytes, MACHINE_CPUS_MAX CPUs), or, if there is no
 * such file, a synthetic description as of hwloc(7). Everything that it has is free.
 * 0 or LULL_EXIT_FAILED after one message().
 */
int machine_read_text(struct machine *m, const char *text);
#define MACHINE_XML_MAX (16u << 20)
#define MACHINE_CPUS_MAX 16384u

void machine_free(struct machine *m);

/* A description that leaves it out. */
bool machine_memory_unknown(const struct machine *m);

/* The node that Linux counts a CPU to; NULL: none. */
hwloc_obj_t machine_node_of(hwloc_topology_t topology, unsigned cpu);

/* Cores of one speed. */
struct machine_kind {
    hwloc_cpuset_t cpus;
    int order;     /* greater is faster */
    char name[24]; /* "P-core", "E-core", or what hwloc calls it */
};
#define MACHINE_KINDS_MAX 8
/*
 * Kinds of cores, the fastest first; 0 when all are alike: CPUs that differ in nothing but their
 * clock rate are. machine_kinds_free() afterwards.
 */
unsigned machine_kinds(hwloc_topology_t topology, struct machine_kind *kinds);
void machine_kinds_free(struct machine_kind *kinds, unsigned n);

/*
 * Tells hwloc the kinds that Linux knows, from a file or three instead of three for each CPU:
 * /sys/devices/cpu_{core,atom,lowpower}/cpus, else cpu_capacity. `root` as for memory_available().
 */
void machine_add_kinds(hwloc_topology_t topology, const char *root);

#endif
