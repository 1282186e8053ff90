/* SPDX-License-Identifier: MIT */
#include "carve/select.h"

#include <stdlib.h>
#include <string.h>

#include "carve/cores.h"
#include "carve/machine.h"

/* What is planned with, for all ranks. */
struct selection {
    struct cores c;
    const struct select_request *r;
    struct pool free, all; /* `free` without busy cores */
    bool spill;            /* when `free` is used up, take of the rest */
    unsigned nbusy, max_nodes;
    struct carve_plan *plans; /* of all ranks, or of r->rank alone */
    bool every;
    cpu_set_t used;
    struct select_detail *detail;
};

static void fill_pools(struct selection *s)
{
    for (unsigned i = 0; i < s->c.nunits; i++) {
        const struct unit *u = &s->c.unit[i];
        bool busy = false;
        for (unsigned k = 0; s->r->busy && k < u->npus; k++)
            busy = busy || CPU_ISSET(u->pu[k], s->r->busy);
        s->all.n[i] = s->r->smt ? u->npus : 1;
        s->free.n[i] = busy ? 0 : s->all.n[i];
        s->nbusy += busy;
    }
}

static unsigned list_size(const struct node_request *r)
{
    unsigned n = 0;
    for (int w = 0; w < OPTIONS_MAX_NODE / 64; w++)
        n += (unsigned)__builtin_popcountll(r->list[w]);
    return n;
}

static bool is_listed(const struct node_request *r, unsigned node)
{
    return node < OPTIONS_MAX_NODE && r->list[node / 64] >> node % 64 & 1;
}

static bool has_cpus(hwloc_topology_t t, unsigned node)
{
    hwloc_obj_t pu = NULL;
    while ((pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu))) {
        hwloc_obj_t n = machine_node_of(t, pu->os_index);
        if (n && n->os_index == node)
            return true;
    }
    return false;
}

static uint64_t nearest_listed(const struct selection *s, hwloc_obj_t from)
{
    uint64_t best = UINT64_MAX;
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(s->c.topology, HWLOC_OBJ_NUMANODE, node))) {
        uint64_t far = cores_distance(s->c.topology, from, node);
        if (is_listed(&s->r->nodes, node->os_index) && far < best)
            best = far;
    }
    return best;
}

/* Which domains the list of nodes leaves, and how many an isle may span. */
static enum select_verdict read_nodes(struct selection *s)
{
    const struct node_request *r = &s->r->nodes;
    unsigned listed = list_size(r);
    bool cpus = false, any = false;
    s->max_nodes = r->max > 0 ? r->max : 1;
    if (listed == 0)
        return SELECT_OK;
    for (unsigned n = 0; n < OPTIONS_MAX_NODE; n++) {
        if (!is_listed(r, n))
            continue;
        s->detail->n = n;
        if (!hwloc_get_numanode_obj_by_os_index(s->c.topology, n))
            return SELECT_NO_NODE;
        cpus = cpus || has_cpus(s->c.topology, n);
    }
    if (!cpus) { /* memory alone: cores near it */
        for (unsigned d = 0; d < s->c.ndomains; d++)
            s->c.domain[d].cost = nearest_listed(s, s->c.domain[d].node);
        return SELECT_OK;
    }
    s->max_nodes = listed;
    for (unsigned d = 0; d < s->c.ndomains; d++) {
        s->c.domain[d].listed = is_listed(r, s->c.unit[s->c.domain[d].first].node);
        any = any || s->c.domain[d].listed;
    }
    return any ? SELECT_OK : SELECT_NO_NODE;
}

/* A rank's CPUs: first ones of each core, then the siblings. */
static void write_plan(const struct selection *s, const struct pool *chosen, struct carve_plan *p)
{
    p->ncores = 0;
    CPU_ZERO(&p->isle_cpus);
    for (unsigned k = 0; k < SIBLINGS; k++)
        for (unsigned i = 0; i < s->c.nunits; i++)
            if (chosen->n[i] > k && p->ncores < LULL_MAX_CORES) {
                p->cpu[p->ncores] = s->c.unit[i].pu[k];
                p->node[p->ncores++] = s->c.unit[i].node;
                CPU_SET(s->c.unit[i].pu[k], &p->isle_cpus);
            }
}

static void note_plan(struct selection *s, const struct carve_plan *p)
{
    CPU_OR(&s->used, &s->used, &p->isle_cpus);
    for (unsigned i = 0; i < p->ncores; i++)
        if (p->node[i] < OPTIONS_MAX_NODE)
            s->detail->on_node[p->node[i]]++;
}

/*
 * `want` CPUs for each rank. With `write` they go into the plans and ranks share where there are
 * not enough; else it is only found out whether there are.
 */
static bool assign(struct selection *s, unsigned want, int kind, bool spare, bool write)
{
    struct pool left = s->free, rest = s->all, chosen;
    unsigned taken = 0;
    bool shares = false, spill = s->spill;
    for (unsigned rank = 0; rank < s->r->ranks; rank++) {
        struct carve_plan p = {.ncores = 0};
        bool placed = place_choose(&s->c, &left, want, s->max_nodes, kind, &chosen);
        if (!placed && spill) {
            left = rest;
            spill = false;
            placed = place_choose(&s->c, &left, want, s->max_nodes, kind, &chosen);
        }
        if (!placed) {
            left = s->free;
            shares = true;
            if (!write)
                return false;
            place_choose(&s->c, &left, want, s->max_nodes, kind, &chosen);
        }
        for (unsigned i = 0; i < s->c.nunits; i++) {
            taken += chosen.n[i] > 0;
            rest.n[i] = chosen.n[i] > 0 ? 0 : rest.n[i];
        }
        if (!write)
            continue;
        write_plan(s, &chosen, &p);
        note_plan(s, &p);
        if (s->every || rank == s->r->rank)
            s->plans[s->every ? rank : 0] = p;
    }
    for (unsigned i = 0; write && i < (s->every ? s->r->ranks : 1); i++)
        s->plans[i].shares = s->plans[i].with_ranks = shares;
    return !spare || taken + s->nbusy < s->c.nunits;
}

/* The most that every rank can have without sharing, up to `limit`; 0: nothing. */
static unsigned most(struct selection *s, unsigned limit, int kind, bool spare)
{
    unsigned low = 0, high = limit;
    while (low < high) {
        unsigned middle = low + (high - low + 1) / 2;
        if (assign(s, middle, kind, spare, false))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static bool fits_in(const struct selection *s, const struct pool *in, unsigned want,
                    unsigned max_nodes)
{
    struct pool left = *in, chosen;
    return place_choose(&s->c, &left, want, max_nodes, -1, &chosen);
}

static bool fits_alone(const struct selection *s, unsigned want, unsigned max_nodes)
{
    return fits_in(s, &s->all, want, max_nodes);
}

/* The most that one isle alone could have on so many nodes. */
static unsigned most_alone(const struct selection *s, unsigned max_nodes)
{
    unsigned n = LULL_MAX_CORES < s->c.npus ? LULL_MAX_CORES : s->c.npus;
    while (n > 0 && !fits_alone(s, n, max_nodes))
        n--;
    return n;
}

/* Why a count has no place. */
static enum select_verdict explain(struct selection *s, unsigned want)
{
    struct select_detail *d = s->detail;
    d->n = s->c.npus < LULL_MAX_CORES ? s->c.npus : LULL_MAX_CORES;
    if (want > LULL_MAX_CORES)
        return SELECT_TOO_MANY;
    d->n = most_alone(s, s->max_nodes);
    for (unsigned d2 = 0; d2 < s->c.ndomains; d2++)
        s->c.domain[d2].listed = true;
    for (d->nodes = s->max_nodes + 1; d->nodes <= s->c.ndomains; d->nodes++)
        if (fits_alone(s, want, d->nodes))
            return SELECT_NEED_NODES;
    d->nodes = 0;
    if (want <= pool_sum(&s->all, 0, s->c.nunits)) {
        d->n = most_alone(s, s->c.ndomains);
        return SELECT_MIXED;
    }
    d->n = pool_sum(&s->all, 0, s->c.nunits);
    return !s->r->smt && want <= s->c.npus ? SELECT_NEED_SMT : SELECT_TOO_MANY;
}

static unsigned ranks_that_fit(const struct selection *s, unsigned want)
{
    struct pool left = s->all, chosen;
    unsigned n = 0;
    while (n < s->r->ranks && place_choose(&s->c, &left, want, s->max_nodes, -1, &chosen))
        n++;
    return n;
}

/* Why ranks would have to share. */
static enum select_verdict explain_crowd(struct selection *s, unsigned want)
{
    struct select_detail *d = s->detail;
    d->each = want;
    d->ranks = ranks_that_fit(s, want);
    d->n = 0;
    for (unsigned i = 0; i < s->c.ndomains; i++)
        if (s->c.domain[i].listed)
            d->n += s->c.domain[i].last - s->c.domain[i].first;
    for (unsigned i = 0; i < s->c.nunits; i++)
        s->all.n[i] = s->c.unit[i].npus;
    d->smt = !s->r->smt && ranks_that_fit(s, want) == s->r->ranks;
    return SELECT_CROWDED;
}

/* `want` CPUs for each rank: free ones, else with other isles, else with each other if they may. */
static enum select_verdict take_each(struct selection *s, unsigned want)
{
    struct pool unused = s->free;
    bool fit = assign(s, want, -1, false, false);
    if (!fit) {
        s->spill = true;
        fit = assign(s, want, -1, false, false);
    }
    if (!fit) {
        s->spill = false;
        s->free = s->all;
        fit = assign(s, want, -1, false, false);
    }
    if (!fit && !s->r->oversubscribe)
        return explain_crowd(s, want);
    if (!fit && fits_in(s, &unused, want, s->max_nodes))
        s->free = unused;
    assign(s, want, -1, false, true);
    return SELECT_OK;
}

/* The default: as many as can be, on the fastest cores that there are enough of. */
static enum select_verdict take_most(struct selection *s, unsigned limit)
{
    for (unsigned k = 0; k <= s->c.nkinds; k++) {
        unsigned n = most(s, limit, (int)k, true);
        if (n > 0) {
            assign(s, n, (int)k, false, true);
            return SELECT_OK;
        }
    }
    return take_each(s, 1);
}

static unsigned largest_kind(const struct selection *s)
{
    unsigned n[UINT8_MAX + 1] = {0}, best = 0;
    for (unsigned i = 0; i < s->c.nunits; i++)
        n[s->c.unit[i].kind] += s->all.n[i];
    for (unsigned k = 0; k <= s->c.nkinds; k++)
        best = n[k] > best ? n[k] : best;
    return best < LULL_MAX_CORES * s->r->ranks ? best : LULL_MAX_CORES * s->r->ranks;
}

static enum select_verdict take_count(struct selection *s)
{
    const struct select_request *r = s->r;
    unsigned count = r->cpus.n;
    unsigned limit = s->c.npus < LULL_MAX_CORES ? s->c.npus : LULL_MAX_CORES;
    if (count == 0 || r->spare)
        return take_most(s, count > 0 && count < limit ? count : limit);
    if (r->at_most) {
        unsigned part = largest_kind(s) / r->ranks;
        count = count < part ? count : part > 0 ? part : 1;
    }
    if (count > LULL_MAX_CORES || !fits_alone(s, count, s->max_nodes))
        return explain(s, count);
    if (r->at_most && r->ranks > 1) {
        unsigned n = most(s, count, -1, false);
        count = n > 0 ? n : 1;
    }
    return take_each(s, count);
}

static enum select_verdict take_list(struct selection *s)
{
    const struct cpu_request *list = &s->r->cpus;
    hwloc_const_cpuset_t there = hwloc_topology_get_complete_cpuset(s->c.topology);
    struct carve_plan p = {.ncores = 0};
    for (unsigned i = 0; i < list->n; i++) {
        const struct unit *found = NULL;
        s->detail->n = list->cpu[i];
        for (unsigned u = 0; u < s->c.nunits; u++)
            for (unsigned k = 0; k < s->c.unit[u].npus; k++)
                if (s->c.unit[u].pu[k] == list->cpu[i])
                    found = &s->c.unit[u];
        if (!found)
            return hwloc_bitmap_isset(there, list->cpu[i]) ? SELECT_NOT_ALLOWED : SELECT_NOT_THERE;
        p.cpu[i] = list->cpu[i];
        p.node[i] = found->node;
        CPU_SET(p.cpu[i], &p.isle_cpus);
    }
    p.ncores = list->n;
    p.shares = p.with_ranks = s->r->ranks > 1;
    for (unsigned rank = 0; rank < s->r->ranks; rank++) {
        note_plan(s, &p);
        if (s->every || rank == 0)
            s->plans[rank] = p;
    }
    return SELECT_OK;
}

/* What no rank uses: Linux's, or idle beside a core that is used. */
static void leave_to_linux(const struct selection *s, cpu_set_t *out, cpu_set_t *idle)
{
    CPU_ZERO(out);
    CPU_ZERO(idle);
    for (unsigned i = 0; i < s->c.nunits; i++) {
        const struct unit *u = &s->c.unit[i];
        bool touched = false, busy = false;
        for (unsigned k = 0; k < u->npus; k++) {
            touched = touched || CPU_ISSET(u->pu[k], &s->used);
            busy = busy || (s->r->busy && CPU_ISSET(u->pu[k], s->r->busy));
        }
        for (unsigned k = 0; k < u->npus; k++)
            if (!CPU_ISSET(u->pu[k], &s->used) && (touched || !busy))
                CPU_SET(u->pu[k], touched ? idle : out);
    }
    if (CPU_COUNT(out) > 0)
        return;
    *out = *idle;
    CPU_ZERO(idle);
}

static enum select_verdict run(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                               const struct select_request *request, bool every,
                               struct carve_plan *plans, struct select_detail *detail)
{
    cpu_set_t both, left, idle;
    struct selection *s = calloc(1, sizeof *s);
    *detail = (struct select_detail){0};
    if (!s)
        return SELECT_NO_MEMORY;
    s->r = request;
    s->plans = plans;
    s->every = every;
    s->detail = detail;
    enum select_verdict v = SELECT_NO_MEMORY;
    if (!cores_read(&s->c, topology, allowed))
        goto out;
    v = s->c.nunits == 0 ? SELECT_NO_CPU : read_nodes(s);
    if (v != SELECT_OK)
        goto out;
    fill_pools(s);
    v = request->cpus.list ? take_list(s) : take_count(s);
    if (v != SELECT_OK)
        goto out;
    leave_to_linux(s, &left, &idle);
    for (unsigned i = 0; i < (every ? request->ranks : 1); i++) {
        plans[i].linux_cpus = left;
        plans[i].idle_cpus = idle;
        plans[i].all_cpus = s->used;
        if (!request->busy)
            continue;
        CPU_AND(&both, &plans[i].isle_cpus, request->busy);
        plans[i].shares = plans[i].shares || CPU_COUNT(&both) > 0;
    }
out:
    cores_free(&s->c);
    free(s);
    return v;
}

enum select_verdict select_cores(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                                 const struct select_request *request, struct carve_plan *plan,
                                 struct select_detail *detail)
{
    return run(topology, allowed, request, false, plan, detail);
}

enum select_verdict select_all(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                               const struct select_request *request, struct carve_plan *plans,
                               struct select_detail *detail)
{
    return run(topology, allowed, request, true, plans, detail);
}
