/* SPDX-License-Identifier: MIT */
/*
 * NUMA: which nodes an isle has, and what its kernel asks of the proxy in the name of mbind(2) and
 * its relatives. Policies are the kernel's (kernel/mm/policy.c); pages are placed by Linux, on the
 * proxy's mapping of the same addresses.
 */
#ifndef LULL_NUMA_H
#define LULL_NUMA_H

#include <stdint.h>

#define LULL_NODES 1024u /* numbers of nodes: 0 .. 1023, the most that Linux can be built for */

struct lull_nodes {
    uint64_t word[LULL_NODES / 64]; /* bit n: node n */
};

static inline int lull_node_has(const struct lull_nodes *s, uint32_t node)
{
    return node < LULL_NODES && s->word[node / 64] >> (node % 64) & 1;
}

/* A policy as of get_mempolicy(2): number and flags in one, and the nodes it was given. */
struct lull_policy {
    uint32_t mode; /* MPOL_* | MPOL_F_*_NODES ... */
    uint32_t pad;
    struct lull_nodes nodes;
};

/* Part of lull_boot. */
struct lull_numa {
    struct lull_nodes nodes;      /* the isle's: what it may have memory on; never empty */
    struct lull_nodes host;       /* the machine's nodes with memory */
    struct lull_policy inherited; /* of the first thread */
    uint32_t ids;                 /* highest possible node + 1 (Linux: nr_node_ids) */
    uint32_t max;                 /* bits of Linux's own masks (MAX_NUMNODES), <= LULL_NODES */
    uint32_t modes;               /* policies that this Linux knows: 0 .. modes - 1; 0: none, the
                                     calls answer ENOSYS */
    uint32_t balancing;           /* modes that take MPOL_F_NUMA_BALANCING: bit n: mode n */
    uint32_t first_touch;         /* 1: anonymous memory is populated where it is touched */
    uint32_t pad;
};
_Static_assert(sizeof(struct lull_numa) == 2 * 128 + 136 + 24, "lull_numa size");

/*
 * LULL_OP_NUMA, arg0. Addresses of the kernel's own memory where nothing else is said. -errno of
 * the call that Linux makes of it.
 */
enum lull_numa_op {
    LULL_NUMA_BIND = 0, /* arg1: start, arg2: length (whole pages of the application's memory),
                           arg3: struct lull_policy, MPOL_DEFAULT: the isle's own; arg4: MPOL_MF_*.
                           Pages that are there follow, unless populated at first touch */
    LULL_NUMA_HOME,     /* arg1: start, arg2: length, arg3: node */
    LULL_NUMA_FLAGS,    /* arg1: MPOL_MF_*: may they be used? 0, -EINVAL, -EPERM */
    LULL_NUMA_PAGES,    /* arg1: struct lull_pages */
    LULL_NUMA_MIGRATE,  /* arg1: pid, arg2: two struct lull_nodes, from and to. Pages not moved */
    LULL_NUMA_EXEC,     /* arg1: struct lull_policy of a thread that is about to execve */
};

#define LULL_PAGES_MAX 64u
/* move_pages(2), a part of it. */
struct lull_pages {
    int32_t pid; /* 0: the program's own */
    uint32_t n;  /* <= LULL_PAGES_MAX */
    uint32_t flags;
    uint32_t move;                 /* 0: only the status */
    uint64_t page[LULL_PAGES_MAX]; /* 0, of the program's own: a page that nobody has touched */
    int32_t node[LULL_PAGES_MAX];
    int32_t status[LULL_PAGES_MAX]; /* answer */
};
_Static_assert(sizeof(struct lull_pages) == 16 + 16 * 64, "lull_pages size");

#endif
