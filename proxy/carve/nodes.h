/* SPDX-License-Identifier: MIT */
/* On which NUMA nodes an isle's memory lies, and how much of it. */
#ifndef PROXY_CARVE_NODES_H
#define PROXY_CARVE_NODES_H

#include "carve/machine.h"

struct nodes_request {
    uint64_t mem;              /* 0: this rank's part of what is free, less 10 % */
    bool sure;                 /* mem is right, whatever is free */
    struct node_request nodes; /* a list: memory without CPUs on it is used too */
    unsigned ranks;            /* on the machine, all together */
    const unsigned *on_node;   /* cores of those ranks that were planned, by node (OS index) */
    unsigned unknown;          /* ranks elsewhere for each that was planned; bound by somebody
                                  else, so taken to be spread evenly over the machine's nodes */
    uint64_t limit;            /* bytes for all ranks together, such as Slurm's; 0: none */
};

enum nodes_verdict {
    NODES_OK = 0,
    NODES_NONE,     /* no memory is free: *detail bytes */
    NODES_TOO_MUCH, /* *detail: bytes that are free where the isle's memory may lie */
};

/*
 * Fills mem, mem_node[], nmemory and memory[] of a plan that has its cores. Each core's memory is
 * its node's; where that has none, that of the nearest node which has memory and CPUs, else of the
 * nearest with memory. Nodes that have no core of the isle are used only if a list names them:
 * those without CPUs always, the others when the rest is too small. Bytes are divided by cores as
 * far as each node has them, else by what is free. Where nothing is known of the memory
 * (machine_memory_unknown()) nmemory is 0.
 */
enum nodes_verdict nodes_place(const struct machine *m, const struct nodes_request *r,
                               struct carve_plan *plan, uint64_t *detail);

#endif
