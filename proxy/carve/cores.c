/* SPDX-License-Identifier: MIT */
#include "carve/cores.h"

#include <stdlib.h>
#include <string.h>

#include "carve/machine.h"

static int object_key(hwloc_topology_t t, hwloc_obj_type_t type, hwloc_obj_t pu)
{
    hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(t, type, pu);
    return o ? (int)o->logical_index : -1;
}

static void add_unit(struct cores *c, hwloc_obj_t pu, hwloc_obj_t core,
                     const struct machine_kind *kinds, unsigned nkinds)
{
    hwloc_topology_t t = c->topology;
    hwloc_obj_t node = machine_node_of(t, pu->os_index);
    struct unit *u = &c->unit[c->nunits++];
    *u = (struct unit){
        .core = core,
        .domain = node ? node->logical_index : 0, /* for the order; then an index */
        .key = {object_key(t, HWLOC_OBJ_PACKAGE, pu), object_key(t, HWLOC_OBJ_L3CACHE, pu),
                object_key(t, HWLOC_OBJ_L2CACHE, pu)},
        .node = node ? (uint16_t)node->os_index : 0,
        .kind = (uint8_t)nkinds, /* one that hwloc knows nothing of: last */
    };
    for (unsigned k = nkinds; k-- > 0;)
        if (hwloc_bitmap_isset(kinds[k].cpus, pu->os_index))
            u->kind = (uint8_t)k;
}

static int compare(const void *a, const void *b)
{
    const struct unit *x = a, *y = b;
    if (x->domain != y->domain)
        return x->domain < y->domain ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    for (int l = 0; l < LEVELS; l++)
        if (x->key[l] != y->key[l])
            return x->key[l] < y->key[l] ? -1 : 1;
    return x->core->logical_index < y->core->logical_index ? -1 : 1;
}

static void find_domains(struct cores *c)
{
    unsigned number = 0;
    hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(c->topology);
    for (unsigned i = 0; i < c->nunits; i++) {
        struct unit *u = &c->unit[i];
        struct domain *d = c->ndomains > 0 ? &c->domain[c->ndomains - 1] : NULL;
        if (!d || number != u->domain || d->kind != u->kind) {
            number = u->domain;
            d = &c->domain[c->ndomains++];
            *d = (struct domain){.first = i, .kind = u->kind, .listed = true};
            d->node = machine_node_of(c->topology, u->pu[0]);
            d->cost = !d->node || d->node->attr->numanode.local_memory == 0 ||
                      !hwloc_bitmap_isset(allowed, d->node->os_index);
        }
        d->last = i + 1;
        u->domain = c->ndomains - 1;
    }
}

static bool measure(struct cores *c)
{
    c->far = malloc((size_t)c->ndomains * c->ndomains * sizeof *c->far);
    for (unsigned a = 0; c->far && a < c->ndomains; a++)
        for (unsigned b = 0; b < c->ndomains; b++)
            c->far[a * c->ndomains + b] =
                cores_distance(c->topology, c->domain[a].node, c->domain[b].node);
    return c->far || c->ndomains == 0;
}

void cores_free(struct cores *c)
{
    free(c->far);
    c->far = NULL;
}

bool cores_read(struct cores *c, hwloc_topology_t t, hwloc_const_cpuset_t allowed)
{
    struct machine_kind kinds[MACHINE_KINDS_MAX];
    hwloc_obj_t pu = NULL;
    c->topology = t;
    c->nunits = c->npus = c->ndomains = 0;
    c->nkinds = machine_kinds(t, kinds);
    while ((pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu))) {
        if (pu->os_index >= UNITS || !hwloc_bitmap_isset(allowed, pu->os_index))
            continue;
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu);
        if (!core)
            core = pu;
        if (c->nunits == 0 || c->unit[c->nunits - 1].core != core)
            add_unit(c, pu, core, kinds, c->nkinds);
        struct unit *u = &c->unit[c->nunits - 1];
        if (u->npus == SIBLINGS)
            continue;
        u->pu[u->npus++] = (uint16_t)pu->os_index;
        c->npus++;
    }
    machine_kinds_free(kinds, c->nkinds);
    qsort(c->unit, c->nunits, sizeof c->unit[0], compare);
    find_domains(c);
    return measure(c);
}

uint64_t cores_distance(hwloc_topology_t t, hwloc_obj_t a, hwloc_obj_t b)
{
    struct hwloc_distances_s *d;
    unsigned one = 1;
    uint64_t there, back;
    if (!a || !b || a == b)
        return 0;
    if (hwloc_distances_get_by_type(t, HWLOC_OBJ_NUMANODE, &one, &d,
                                    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) == 0 &&
        one > 0) {
        int rc = hwloc_distances_obj_pair_values(d, a, b, &there, &back);
        hwloc_distances_release(t, d);
        if (rc == 0)
            return there;
    }
    /* nobody says: the same CPUs, the same package, then near numbers */
    if (hwloc_bitmap_intersects(a->cpuset, b->cpuset))
        return 1;
    hwloc_obj_t pa = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_PACKAGE, a);
    hwloc_obj_t pb = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_PACKAGE, b);
    unsigned apart = (unsigned)abs((int)a->logical_index - (int)b->logical_index);
    return (pa == pb && pa ? 20 : 1000) + apart;
}
