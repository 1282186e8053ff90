/* SPDX-License-Identifier: MIT */
#include "carve/select.h"

#include <stdlib.h>
#include <string.h>

/* From wide to narrow. A core without such an object belongs to the group of the level before. */
static const hwloc_obj_type_t levels[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_NUMANODE, HWLOC_OBJ_L3CACHE,
                                          HWLOC_OBJ_L2CACHE};
#define LEVELS 4
#define UNITS CPU_SETSIZE
#define SIBLINGS 8

/* One core with the hyperthreads of it that are allowed. */
struct unit {
    hwloc_obj_t core;
    hwloc_obj_t object[LEVELS];
    unsigned group[LEVELS]; /* index of the first unit of the group */
    uint16_t node;
    unsigned npus;
    uint16_t pu[SIBLINGS];
};

struct machine {
    unsigned nunits, npus;
    struct unit unit[UNITS]; /* in hwloc's logical order: neighbours are near */
};

struct set {
    bool has[UNITS];
};

static hwloc_obj_t numa_node_of(hwloc_topology_t t, unsigned cpu)
{
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node)))
        if (hwloc_bitmap_isset(node->cpuset, cpu))
            return node;
    return NULL;
}

static void add_unit(struct machine *m, hwloc_topology_t t, hwloc_obj_t pu, hwloc_obj_t core)
{
    unsigned me = m->nunits++;
    struct unit *u = &m->unit[me];
    hwloc_obj_t node = numa_node_of(t, pu->os_index);
    *u = (struct unit){.core = core, .node = node ? (uint16_t)node->os_index : 0};
    for (int l = 0; l < LEVELS; l++) {
        u->object[l] = levels[l] == HWLOC_OBJ_NUMANODE
                           ? node
                           : hwloc_get_ancestor_obj_by_type(t, levels[l], pu);
        u->group[l] = l > 0 ? u->group[l - 1] : 0;
        if (!u->object[l])
            continue;
        unsigned first = 0;
        while (m->unit[first].object[l] != u->object[l])
            first++;
        u->group[l] = first;
    }
}

static void read_machine(struct machine *m, hwloc_topology_t t, hwloc_const_cpuset_t allowed)
{
    m->nunits = m->npus = 0;
    hwloc_obj_t pu = NULL;
    while ((pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu))) {
        if (pu->os_index >= UNITS || !hwloc_bitmap_isset(allowed, pu->os_index))
            continue;
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu);
        if (!core)
            core = pu;
        if (m->nunits == 0 || m->unit[m->nunits - 1].core != core)
            add_unit(m, t, pu, core);
        struct unit *u = &m->unit[m->nunits - 1];
        if (u->npus == SIBLINGS)
            continue;
        u->pu[u->npus++] = (uint16_t)pu->os_index;
        m->npus++;
    }
}

/* Sizes of the groups of one level within a set, at the index of each group's name. */
static void group_sizes(const struct machine *m, const struct set *in, int level, unsigned *size)
{
    memset(size, 0, m->nunits * sizeof *size);
    for (unsigned i = 0; i < m->nunits; i++)
        if (in->has[i])
            size[m->unit[i].group[level]]++;
}

static void narrow(const struct machine *m, struct set *s, int level, unsigned group)
{
    for (unsigned i = 0; i < m->nunits; i++)
        s->has[i] = s->has[i] && m->unit[i].group[level] == group;
}

/* The narrowest level at which `want` cores of group `group` still fit into one group. */
static int fit_depth(const struct machine *m, const struct set *in, int level, unsigned group,
                     unsigned want)
{
    struct set s = *in;
    unsigned size[UNITS];
    narrow(m, &s, level, group);
    for (int l = LEVELS - 1; l > level; l--) {
        group_sizes(m, &s, l, size);
        for (unsigned g = 0; g < m->nunits; g++)
            if (size[g] >= want)
                return l;
    }
    return level;
}

/* The group to go into for `want` cores: fits tightly further in, then smallest, then last. -1. */
static int best_group(const struct machine *m, const struct set *in, int level, unsigned want)
{
    unsigned size[UNITS];
    int best = -1, best_depth = -1;
    group_sizes(m, in, level, size);
    for (unsigned g = 0; g < m->nunits; g++) {
        if (size[g] < want)
            continue;
        int depth = fit_depth(m, in, level, g, want);
        if (depth > best_depth || (depth == best_depth && size[g] <= size[best])) {
            best = (int)g;
            best_depth = depth;
        }
    }
    return best;
}

static unsigned largest_group(const struct machine *m, const struct set *in, int level)
{
    unsigned size[UNITS], best = 0;
    group_sizes(m, in, level, size);
    for (unsigned g = 0; g < m->nunits; g++)
        if (size[g] >= size[best])
            best = g;
    return best;
}

/* Moves `want` cores from `scope` to *chosen, the last ones first. */
static void take_last(const struct machine *m, const struct set *scope, unsigned want,
                      struct set *chosen)
{
    for (unsigned i = m->nunits; i-- > 0 && want > 0;)
        if (scope->has[i]) {
            chosen->has[i] = true;
            want--;
        }
}

static unsigned set_size(const struct machine *m, const struct set *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->nunits; i++)
        n += s->has[i];
    return n;
}

/* `want` cores out of `from` (which has that many). */
static void choose(const struct machine *m, const struct set *from, unsigned want,
                   struct set *chosen)
{
    struct set scope = *from;
    memset(chosen, 0, sizeof *chosen);
    int level = 0;
    while (want > 0 && level < LEVELS) {
        int group = best_group(m, &scope, level, want);
        if (group >= 0) {
            narrow(m, &scope, level++, (unsigned)group);
            continue;
        }
        /* No group is large enough: all of the largest, and the rest nearby. */
        struct set whole = scope;
        narrow(m, &whole, level, largest_group(m, &scope, level));
        for (unsigned i = 0; i < m->nunits; i++)
            if (whole.has[i]) {
                chosen->has[i] = true;
                scope.has[i] = false;
                want--;
            }
    }
    take_last(m, &scope, want, chosen);
}

/* `want` hyperthreads spread over the cores of `on`: first ones of each, then the siblings. */
static unsigned spread(const struct machine *m, const struct set *on, unsigned want,
                       struct carve_plan *plan)
{
    plan->ncores = 0;
    for (unsigned s = 0; s < SIBLINGS; s++) {
        struct set left = {0}, chosen;
        for (unsigned i = 0; i < m->nunits; i++)
            left.has[i] = on->has[i] && m->unit[i].npus > s;
        unsigned n = set_size(m, &left);
        choose(m, &left, n < want ? n : want, &chosen);
        for (unsigned i = 0; i < m->nunits; i++)
            if (chosen.has[i]) {
                plan->cpu[plan->ncores] = m->unit[i].pu[s];
                plan->node[plan->ncores++] = m->unit[i].node;
                want--;
            }
    }
    return want;
}

/* The choices of all ranks up to this one go into plan; the CPUs of all ranks into *used. */
static void choose_for_ranks(const struct machine *m, const struct select_request *r,
                             unsigned count, struct carve_plan *plan, cpu_set_t *used)
{
    struct set all = {0}, left, mine;
    unsigned share = m->nunits / r->ranks;
    for (unsigned i = 0; i < m->nunits; i++)
        all.has[i] = true;
    if (share == 0)
        share = 1;
    if (share > count)
        share = count;
    left = all;
    for (unsigned rank = 0; rank < r->ranks; rank++) {
        struct carve_plan p;
        if (set_size(m, &left) < share)
            left = all;
        choose(m, &left, share, &mine);
        for (unsigned i = 0; i < m->nunits; i++)
            left.has[i] = left.has[i] && !mine.has[i];
        if (spread(m, &mine, count, &p) > 0)
            spread(m, &all, count, &p); /* not enough for all ranks: they share */
        for (unsigned i = 0; i < p.ncores; i++)
            CPU_SET(p.cpu[i], used);
        if (rank != r->rank)
            continue;
        plan->ncores = p.ncores;
        memcpy(plan->cpu, p.cpu, p.ncores * sizeof p.cpu[0]);
        memcpy(plan->node, p.node, p.ncores * sizeof p.node[0]);
    }
}

static enum select_verdict take_list(hwloc_topology_t t, const struct machine *m,
                                     const struct cpu_request *list, struct carve_plan *plan,
                                     unsigned *detail)
{
    hwloc_const_cpuset_t there = hwloc_topology_get_complete_cpuset(t);
    for (unsigned i = 0; i < list->n; i++) {
        const struct unit *found = NULL;
        *detail = list->cpu[i];
        for (unsigned u = 0; u < m->nunits; u++)
            for (unsigned s = 0; s < m->unit[u].npus; s++)
                if (m->unit[u].pu[s] == list->cpu[i])
                    found = &m->unit[u];
        if (!found)
            return hwloc_bitmap_isset(there, list->cpu[i]) ? SELECT_NOT_ALLOWED : SELECT_NOT_THERE;
        plan->cpu[i] = list->cpu[i];
        plan->node[i] = found->node;
    }
    plan->ncores = list->n;
    return SELECT_OK;
}

static void leave_to_linux(const struct machine *m, const cpu_set_t *used, cpu_set_t *out,
                           cpu_set_t *idle)
{
    CPU_ZERO(out);
    CPU_ZERO(idle);
    for (unsigned u = 0; u < m->nunits; u++) {
        bool touched = false;
        for (unsigned s = 0; s < m->unit[u].npus; s++)
            touched = touched || CPU_ISSET(m->unit[u].pu[s], used);
        for (unsigned s = 0; s < m->unit[u].npus; s++)
            if (!CPU_ISSET(m->unit[u].pu[s], used))
                CPU_SET(m->unit[u].pu[s], touched ? idle : out);
    }
    if (CPU_COUNT(out) > 0)
        return;
    *out = *idle;
    CPU_ZERO(idle);
}

static enum select_verdict take_count(const struct machine *m, const struct select_request *r,
                                      struct carve_plan *plan, cpu_set_t *used, unsigned *detail)
{
    unsigned count = r->cpus.n;
    unsigned limit = m->npus < LULL_MAX_CORES ? m->npus : LULL_MAX_CORES;
    if (count == 0)
        count = (m->nunits - 1) / r->ranks;
    if (count == 0)
        count = 1;
    if (r->at_most || r->cpus.n == 0)
        limit = limit / r->ranks > 1 ? limit / r->ranks : 1;
    if (count > limit && !r->at_most && r->cpus.n != 0) {
        *detail = limit;
        return SELECT_TOO_MANY;
    }
    if (count > limit)
        count = limit;
    choose_for_ranks(m, r, count, plan, used);
    return SELECT_OK;
}

enum select_verdict select_cores(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                                 const struct select_request *request, struct carve_plan *plan,
                                 unsigned *detail)
{
    enum select_verdict v = SELECT_NO_CPU;
    cpu_set_t used;
    struct machine *m = malloc(sizeof *m);
    if (!m)
        return v;
    CPU_ZERO(&used);
    *detail = 0;
    read_machine(m, topology, allowed);
    if (m->nunits == 0)
        goto out;
    if (request->cpus.list)
        v = take_list(topology, m, &request->cpus, plan, detail);
    else
        v = take_count(m, request, plan, &used, detail);
    if (v != SELECT_OK)
        goto out;
    CPU_ZERO(&plan->isle_cpus);
    for (unsigned i = 0; i < plan->ncores; i++)
        CPU_SET(plan->cpu[i], &plan->isle_cpus);
    CPU_OR(&used, &used, &plan->isle_cpus);
    leave_to_linux(m, &used, &plan->linux_cpus, &plan->idle_cpus);
out:
    free(m);
    return v;
}
