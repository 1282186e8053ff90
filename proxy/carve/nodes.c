/* SPDX-License-Identifier: MIT */
#include "carve/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "carve/cores.h"

/* One for each node of the machine. */
struct part {
    unsigned mine, all; /* cores whose memory it is */
    bool used;
    uint64_t share, bytes;
};

static bool is_listed(const struct nodes_request *r, unsigned node)
{
    return node < OPTIONS_MAX_NODE && r->nodes.list[node / 64] >> node % 64 & 1;
}

static int find_node(const struct machine *m, unsigned node)
{
    for (unsigned i = 0; i < m->nnodes; i++)
        if (m->node[i].node == node)
            return (int)i;
    return -1;
}

/* Nodes that the list names and that have memory but no CPUs, and no others: then cores have all of
   their memory there. */
static bool memory_alone(const struct machine *m, const struct nodes_request *r)
{
    bool any = false;
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (!is_listed(r, m->node[i].node))
            continue;
        if (m->node[i].cpus)
            return false;
        any = any || m->node[i].bytes > 0;
    }
    return any;
}

/* Index of the node that memory for cores of node `i` comes from; -1: there is no memory. */
static int memory_for(const struct machine *m, const struct nodes_request *r, int i)
{
    bool alone = memory_alone(m, r);
    if (i >= 0 && m->node[i].bytes > 0 && !alone)
        return i;
    for (int with_cpus = !alone; with_cpus >= 0; with_cpus--) {
        int best = -1;
        uint64_t best_far = 0;
        for (unsigned k = 0; k < m->nnodes; k++) {
            const struct machine_node *n = &m->node[k];
            if (n->bytes == 0 || n->cpus != with_cpus || (alone && !is_listed(r, n->node)))
                continue;
            uint64_t far = cores_distance(m->topology, i >= 0 ? m->node[i].obj : NULL, n->obj);
            if (best >= 0 && far >= best_far)
                continue;
            best = (int)k;
            best_far = far;
        }
        if (best >= 0)
            return best;
    }
    return -1;
}

static unsigned nodes_with_memory(const struct machine *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->nnodes; i++)
        n += m->node[i].bytes > 0 && m->node[i].cpus;
    return n > 0 ? n : 1;
}

/* Cores to nodes: this plan's, all ranks'. */
static void count_cores(const struct machine *m, const struct nodes_request *r,
                        struct carve_plan *p, struct part *part)
{
    int from[CARVE_MAX_NODES];
    for (unsigned i = 0; i < m->nnodes; i++)
        from[i] = memory_for(m, r, (int)i);
    for (unsigned i = 0; i < p->ncores; i++) {
        int n = find_node(m, p->node[i]);
        n = n >= 0 ? from[n] : memory_for(m, r, -1);
        p->mem_node[i] = n >= 0 ? m->node[n].node : p->node[i];
        if (n >= 0) {
            part[n].mine++;
            part[n].used = true;
        }
    }
    for (unsigned i = 0; i < m->nnodes; i++)
        if (from[i] >= 0)
            part[from[i]].all += r->on_node[m->node[i].node];
    for (unsigned i = 0; i < m->nnodes; i++)
        if (is_listed(r, m->node[i].node) && !m->node[i].cpus && m->node[i].bytes > 0)
            part[i].used = true;
}

static uint64_t bounded_sum(const struct machine *m, const struct nodes_request *r,
                            const struct part *part, bool shares)
{
    uint64_t sum = 0, most = m->free;
    if (r->limit > 0 && r->limit < most)
        most = r->limit;
    if (shares)
        most /= r->ranks;
    for (unsigned i = 0; i < m->nnodes; i++)
        if (part[i].used)
            sum += shares ? part[i].share : m->node[i].free;
    return sum < most ? sum : most;
}

/* What is this rank's of each node's free memory. */
static void share(const struct machine *m, const struct nodes_request *r, struct part *part)
{
    unsigned mine = 0, others;
    for (unsigned i = 0; i < m->nnodes; i++)
        mine += part[i].mine > 0;
    others = (r->unknown * mine + nodes_with_memory(m) - 1) / nodes_with_memory(m);
    for (unsigned i = 0; i < m->nnodes; i++) {
        unsigned __int128 free = m->node[i].free;
        if (!part[i].used)
            continue;
        if (part[i].mine > 0 && part[i].all >= part[i].mine)
            part[i].share = (uint64_t)(free * part[i].mine / part[i].all);
        else
            part[i].share = (uint64_t)(free / r->ranks);
        if (part[i].mine > 0 && others > 1)
            part[i].share /= others;
    }
}

static void divide(const struct machine *m, const struct carve_plan *p, struct part *part,
                   bool by_free)
{
    bool by_cores = true;
    unsigned __int128 mem = p->mem, weights = 0;
    uint64_t left = p->mem, weight[CARVE_MAX_NODES] = {0};
    int largest = -1;
    for (unsigned i = 0; i < m->nnodes; i++)
        if (part[i].used)
            by_cores = by_cores && part[i].mine > 0 &&
                       (double)p->mem * part[i].mine / p->ncores <= (double)part[i].share * 0.9;
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (!part[i].used)
            continue;
        weight[i] = by_cores ? part[i].mine : by_free ? m->node[i].free : part[i].share;
        weights += weight[i];
    }
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (!part[i].used)
            continue;
        if (weights > 0)
            part[i].bytes = (uint64_t)(mem * weight[i] / weights) & ~(LULL_HUGE - 1);
        left -= part[i].bytes;
        if (largest < 0 || part[i].bytes > part[largest].bytes)
            largest = (int)i;
    }
    if (largest >= 0)
        part[largest].bytes += left;
}

static int most_bytes(const void *a, const void *b)
{
    const struct carve_memory *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return (int)x->node - (int)y->node;
}

enum nodes_verdict nodes_place(const struct machine *m, const struct nodes_request *r,
                               struct carve_plan *p, uint64_t *detail)
{
    struct part part[CARVE_MAX_NODES] = {0};
    count_cores(m, r, p, part);
    p->nmemory = 0;
    p->mem = r->mem & ~(LULL_HUGE - 1);
    if (machine_memory_unknown(m))
        return NODES_OK;
    share(m, r, part);
    for (unsigned i = 0; i < m->nnodes && r->mem > bounded_sum(m, r, part, false); i++)
        if (is_listed(r, m->node[i].node))
            part[i].used = true; /* a listed node without cores, when the others are too small */
    *detail = bounded_sum(m, r, part, false);
    if (r->mem > *detail && !r->sure)
        return NODES_TOO_MUCH;
    uint64_t mine = bounded_sum(m, r, part, true);
    p->mem = (r->mem ? r->mem : mine / 10 * 9) & ~(LULL_HUGE - 1);
    if (p->mem == 0)
        return NODES_NONE;
    divide(m, p, part, p->mem > mine);
    for (unsigned i = 0; i < m->nnodes; i++)
        if (part[i].used && part[i].bytes > 0)
            p->memory[p->nmemory++] = (struct carve_memory){m->node[i].node, part[i].bytes};
    if (p->nmemory == 0) /* a machine that names no nodes */
        p->memory[p->nmemory++] = (struct carve_memory){p->mem_node[0], p->mem};
    qsort(p->memory, p->nmemory, sizeof p->memory[0], most_bytes);
    return NODES_OK;
}
