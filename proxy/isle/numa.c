/* SPDX-License-Identifier: MIT */
#include "isle/numa.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "isle/isle_priv.h"

#define POLICIES_TRIED 16
#define NODE_FILES "/sys/devices/system/node/"
#define SAMPLES 4096u
#define MASK_BITS (LULL_NODES + 1ul) /* what "maxnode" has to be for LULL_NODES bits */

static void node_add(struct lull_nodes *s, unsigned node)
{
    s->word[node / 64] |= 1ull << (node % 64);
}

static long bind_range(uint64_t start, uint64_t len, const struct lull_policy *p, unsigned flags)
{
    bool none = (p->mode & ~(uint32_t)MPOL_MODE_FLAGS) == MPOL_DEFAULT;
    return syscall(SYS_mbind, start, len, p->mode, none ? NULL : &p->nodes, none ? 0 : MASK_BITS,
                   flags)
               ? -errno
               : 0;
}

/* "0,2-3" in a file of Linux's; empty when it cannot be read. */
static void read_nodes(const char *path, struct lull_nodes *out)
{
    char line[4096] = "", *s = line;
    FILE *f = fopen(path, "re");
    memset(out, 0, sizeof *out);
    if (!f)
        return;
    if (!fgets(line, sizeof line, f))
        line[0] = 0;
    fclose(f);
    while (*s >= '0' && *s <= '9') {
        unsigned long from = strtoul(s, &s, 10), to = from;
        if (*s == '-')
            to = strtoul(s + 1, &s, 10);
        for (; from <= to && from < LULL_NODES; from++)
            node_add(out, (unsigned)from);
        s += *s == ',';
    }
}

/* Width of Linux's own masks, as it prints them. */
static uint32_t mask_bits(void)
{
    char line[1024];
    uint32_t bits = 64;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Mems_allowed:", 13))
            continue;
        const char *s = line + 13 + strspn(line + 13, " \t");
        bits = 0;
        for (; *s && *s != '\n'; s++)
            bits += *s == ',' ? 0 : 4;
        break;
    }
    if (f)
        fclose(f);
    return bits < 1 ? 1 : bits > LULL_NODES ? LULL_NODES : bits;
}

/* Which policies this Linux knows: tried on this thread, which has its own back afterwards. */
static void probe(struct lull_numa *told)
{
    const struct lull_nodes *n = &told->nodes;
    const struct lull_policy *was = &told->inherited;
    for (uint32_t mode = POLICIES_TRIED; mode-- > 0 && !told->modes;) {
        bool none = mode == MPOL_DEFAULT || mode == MPOL_LOCAL;
        if (syscall(SYS_set_mempolicy, mode, none ? NULL : n, none ? 0 : MASK_BITS) == 0)
            told->modes = mode + 1;
    }
    for (uint32_t mode = 0; mode < told->modes; mode++) {
        if (syscall(SYS_set_mempolicy, mode | MPOL_F_NUMA_BALANCING, n, MASK_BITS) == 0)
            told->balancing |= 1u << mode;
    }
    syscall(SYS_set_mempolicy, was->mode, was->mode ? &was->nodes : NULL,
            was->mode ? MASK_BITS : 0);
}

void isle_numa_init(struct isle_numa *own, enum numa_choice how, const struct lull_nodes *nodes,
                    struct lull_numa *told)
{
    struct lull_nodes possible;
    int mode;
    unsigned count = 0;
    memset(own, 0, sizeof *own);
    memset(told, 0, sizeof *told);
    own->nodes = told->nodes = *nodes;
    for (unsigned i = 0; i < LULL_NODES; i++)
        count += (unsigned)lull_node_has(nodes, i);
    own->how = how != NUMA_AUTO ? how : count > 1 ? NUMA_INTERLEAVE : NUMA_BIND;
    own->own.mode = own->how == NUMA_INTERLEAVE ? MPOL_INTERLEAVE : MPOL_BIND;
    own->own.nodes = *nodes;
    told->first_touch = own->how == NUMA_FIRST_TOUCH;
    told->ids = told->max = mask_bits();
    read_nodes(NODE_FILES "has_memory", &told->host);
    read_nodes(NODE_FILES "possible", &possible);
    for (uint32_t i = 0; i < told->max; i++) {
        if (lull_node_has(&possible, i))
            told->ids = i + 1;
    }
    if (syscall(SYS_get_mempolicy, &mode, &told->inherited.nodes, MASK_BITS, 0, 0))
        return;
    told->inherited.mode = (uint32_t)mode;
    probe(told);
    own->there = told->modes > 0;
}

void isle_numa_place(struct isle *isle, uint64_t start, uint64_t len)
{
    struct isle_numa *n = &isle->numa;
    long r = n->there ? bind_range(start, len, &n->own, 0) : 0;
    if (r && !n->refused)
        n->refused = (int)-r;
}

/* ---- requests ---- */

/* With flags a policy may name nodes that the isle does not have, or count through those it has. */
static void resolve(const struct isle *isle, struct lull_policy *p)
{
    const struct lull_nodes *mine = &isle->numa.nodes, asked = p->nodes;
    uint16_t list[LULL_NODES];
    unsigned n = 0;
    memset(&p->nodes, 0, sizeof p->nodes);
    for (unsigned i = 0; i < LULL_NODES; i++) {
        if (lull_node_has(mine, i))
            list[n++] = (uint16_t)i;
    }
    for (unsigned i = 0; i < LULL_NODES; i++) {
        if (!lull_node_has(&asked, i))
            continue;
        if (p->mode & MPOL_F_RELATIVE_NODES)
            node_add(&p->nodes, list[i % n]);
        else if (lull_node_has(mine, i))
            node_add(&p->nodes, i);
    }
    p->mode &= ~(uint32_t)MPOL_F_RELATIVE_NODES;
}

static int64_t op_bind(struct isle *isle, uint64_t start, uint64_t len, uint64_t at, uint64_t flags)
{
    struct lull_policy p;
    if (!len || (start | len) % LULL_PAGE || !isle_app_range(isle, (isle_addr){start}, len) ||
        flags > 7 || isle_copy_kernel(isle, &p, at, sizeof p))
        return -EINVAL;
    resolve(isle, &p);
    if ((p.mode & ~(uint32_t)MPOL_MODE_FLAGS) == MPOL_DEFAULT)
        p = isle->numa.own;
    /* memory that was there before the program could say anything follows what it says */
    else if (isle->numa.how != NUMA_FIRST_TOUCH && !(flags & MPOL_MF_MOVE_ALL))
        flags |= MPOL_MF_MOVE;
    long r = bind_range(start, len, &p, (unsigned)flags);
    /* Linux 6.1 moves a huge page with its first small one, and says EIO of the others: not if they
       are where they should be */
    return r == -EIO && flags & MPOL_MF_MOVE ? bind_range(start, len, &p, (unsigned)flags) : r;
}

static int64_t op_pages(struct isle *isle, uint64_t at)
{
    struct lull_pages q;
    void *page[LULL_PAGES_MAX];
    int node[LULL_PAGES_MAX], status[LULL_PAGES_MAX];
    if (isle_copy_kernel(isle, &q, at, sizeof q) || q.n > LULL_PAGES_MAX)
        return -EINVAL;
    void *untouched = MAP_FAILED;
    for (uint32_t i = 0; i < q.n; i++) {
        uint64_t va = q.page[i];
        page[i] = (void *)va;
        node[i] = q.node[i];
        status[i] = -EFAULT;
        if (q.move && !lull_node_has(&isle->numa.nodes, (uint32_t)node[i]))
            return -EACCES;
        if (q.pid)
            continue;
        if (va && !isle_app_range(isle, (isle_addr){va & ~(LULL_PAGE - 1)}, LULL_PAGE))
            return -EINVAL;
        if (!va && untouched == MAP_FAILED)
            untouched = mmap(NULL, LULL_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (!va)
            page[i] = untouched == MAP_FAILED ? NULL : untouched;
    }
    long r = syscall(SYS_move_pages, q.pid, (unsigned long)q.n, page, q.move ? node : NULL, status,
                     (int)q.flags);
    r = r < 0 ? -errno : r;
    if (untouched != MAP_FAILED)
        munmap(untouched, LULL_PAGE);
    if (r >= 0)
        memcpy((char *)at + offsetof(struct lull_pages, status), status, q.n * sizeof *status);
    return r;
}

static int64_t op_migrate(struct isle *isle, uint64_t pid, uint64_t at)
{
    struct lull_nodes set[2];
    if (isle_copy_kernel(isle, set, at, sizeof set))
        return -EINVAL;
    /* other processes may have other nodes, and this one has no more than the isle */
    for (unsigned i = 0; !pid && i < LULL_NODES / 64; i++)
        set[1].word[i] &= isle->numa.nodes.word[i];
    long r = syscall(SYS_migrate_pages, (int)pid, MASK_BITS, &set[0], &set[1]);
    return r < 0 ? -errno : r;
}

int64_t isle_numa_op(struct isle *isle, const uint64_t arg[6])
{
    struct isle_numa *n = &isle->numa;
    struct lull_policy p;
    if (!n->there)
        return -ENOSYS;
    switch (arg[0]) {
    case LULL_NUMA_BIND:
        return op_bind(isle, arg[1], arg[2], arg[3], arg[4]);
    case LULL_NUMA_HOME:
        if (!arg[2] || (arg[1] | arg[2]) % LULL_PAGE || arg[3] >= LULL_NODES ||
            !lull_node_has(&n->nodes, (uint32_t)arg[3]) ||
            !isle_app_range(isle, (isle_addr){arg[1]}, arg[2]))
            return -EINVAL;
        return syscall(NR_set_mempolicy_home_node, arg[1], arg[2], arg[3], 0ul) ? -errno : 0;
    case LULL_NUMA_FLAGS:
        return syscall(SYS_mbind, 0, 0, MPOL_DEFAULT, NULL, 0, (unsigned)arg[1]) ? -errno : 0;
    case LULL_NUMA_PAGES:
        return op_pages(isle, arg[1]);
    case LULL_NUMA_MIGRATE:
        return op_migrate(isle, arg[1], arg[2]);
    case LULL_NUMA_EXEC:
        if (isle_copy_kernel(isle, &p, arg[1], sizeof p))
            return -EINVAL;
        n->exec_mode = p.mode;
        n->exec_nodes = p.nodes;
        return 0;
    default:
        return -EINVAL;
    }
}

void isle_numa_exec(const struct isle *isle, bool on)
{
    const struct isle_numa *n = &isle->numa;
    if (!n->there)
        return;
    uint32_t kind = n->exec_mode & ~(uint32_t)MPOL_MODE_FLAGS;
    bool none = !on || kind == MPOL_DEFAULT || kind == MPOL_LOCAL;
    syscall(SYS_set_mempolicy, on ? n->exec_mode : MPOL_DEFAULT, none ? NULL : &n->exec_nodes,
            none ? 0 : MASK_BITS);
}

/* ---- the check ---- */

static void count_pages(const struct isle *isle, void **page, size_t n, struct numa_check *out)
{
    static int status[SAMPLES];
    if (!n || syscall(SYS_move_pages, 0, n, page, NULL, status, 0))
        return;
    for (size_t i = 0; i < n; i++) {
        if (status[i] < 0)
            continue; /* nobody has touched it */
        out->pages++;
        out->off += !lull_node_has(&isle->numa.nodes, (uint32_t)status[i]);
        if (status[i] < (int)(sizeof out->on / sizeof *out->on))
            out->on[status[i]]++;
    }
}

void isle_numa_check(struct isle *isle, struct numa_check *out)
{
    static void *page[SAMPLES];
    size_t blocks = 0, n = 0, seen = 0;
    memset(out, 0, sizeof *out);
    if (!isle->numa.there)
        return;
    for (size_t i = 0; i < ISLE_CHUNKS; i++)
        blocks += isle->chunk[i] ? LULL_CHUNK / LULL_HUGE : 0;
    /* one in so many; the last blocks of a chunk count as much as the first */
    size_t step = blocks / SAMPLES + 1;
    for (size_t i = 0; i < ISLE_CHUNKS; i++) {
        for (uint64_t at = 0; isle->chunk[i] && at < LULL_CHUNK; at += LULL_HUGE) {
            if (seen++ % step == 0 && n < SAMPLES)
                page[n++] = (void *)(LULL_RAM_BASE + i * LULL_CHUNK + at);
        }
    }
    count_pages(isle, page, n, out);
}
