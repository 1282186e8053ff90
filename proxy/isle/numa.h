/* SPDX-License-Identifier: MIT */
/*
 * Which node the isle's memory comes from: Linux places it, by policies on the proxy's mappings.
 * Everything here is asked of Linux by system call; a Linux without NUMA answers ENOSYS, and the
 * isle then has one node that nothing is bound to.
 */
#ifndef PROXY_ISLE_NUMA_H
#define PROXY_ISLE_NUMA_H

#include <stddef.h>

#include <lull/numa.h>

#include "cli/options.h"

struct isle;

struct isle_numa {
    bool there;              /* Linux has the calls, and lets us bind to these nodes */
    enum numa_choice how;    /* never NUMA_AUTO */
    struct lull_nodes nodes; /* the isle's */
    struct lull_policy own;  /* of memory that the program says nothing of */
    int refused;             /* errno of the binding that Linux refused, 0: none */
    uint32_t exec_mode;      /* isle_numa_op(LULL_NUMA_EXEC) */
    struct lull_nodes exec_nodes;
};

/*
 * What the isle's kernel is told (lull_boot.numa), with the calling thread's policy as the first
 * thread's; and *own for isle_numa_place(). `nodes`: those of the plan, not empty.
 */
void isle_numa_init(struct isle_numa *own, enum numa_choice how, const struct lull_nodes *nodes,
                    struct lull_numa *told);

/* New memory at start: from the isle's nodes. Nothing else changes when Linux refuses. */
void isle_numa_place(struct isle *isle, uint64_t start, uint64_t len);

/* LULL_OP_NUMA; every number is hostile. */
int64_t isle_numa_op(struct isle *isle, const uint64_t arg[6]);

/* The calling thread's policy becomes that of the thread that executes; and back. */
void isle_numa_exec(const struct isle *isle, bool on);

/* Where pages lie, by move_pages(2): every one if they are few, else a sample. */
struct numa_check {
    uint64_t pages;              /* looked at: the first of each 2 MiB */
    uint64_t off;                /* on a node that is not the isle's */
    uint64_t on[LULL_MAX_CORES]; /* by node, 0 .. 239 */
};
void isle_numa_check(struct isle *isle, struct numa_check *out);

#endif
