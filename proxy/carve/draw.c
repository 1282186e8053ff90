/* SPDX-License-Identifier: MIT */
#include "carve/draw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carve/claim.h"
#include "carve/cores.h"
#include "carve/draw_text.h"
#include "message.h"

static const char isles[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
enum { LINUX = '.', IDLE = '-', NOT_OURS = 'x', SHARED = '+', LATER = '#' };
#define ISLES (sizeof isles - 1)
#define LABEL 42 /* columns before the cores; a line of cores is broken before it is too long */

struct drawing {
    FILE *f;
    const struct machine *m;
    const struct carve_plan *plans;
    unsigned ranks;
    struct cores c;
    bool flat; /* packages are parts of nodes, as on many virtual machines: not drawn */
    char symbol[UNITS];
};

static void memory_text(const struct carve_plan *p, char *text, size_t size)
{
    char bytes[32];
    text_bytes(p->mem, bytes, sizeof bytes);
    if (p->nmemory == 0) {
        text_append(text, size, "memory unknown");
        return;
    }
    text_append(text, size, "%s on ", bytes);
    if (p->nmemory == 1) {
        text_append(text, size, "node %u", p->memory[0].node);
        return;
    }
    for (unsigned i = 0; i < p->nmemory; i++) {
        text_bytes(p->memory[i].bytes, bytes, sizeof bytes);
        text_append(text, size, "%snode %u (%s)", i ? ", " : "", p->memory[i].node, bytes);
    }
}

void draw_facts(FILE *f, const struct carve_plan *p)
{
    char text[TEXT_MAX] = "", set[TEXT_MAX];
    text_append(text, sizeof text, "%u (CPU ", p->ncores);
    for (unsigned i = 0; i < p->ncores; i++)
        text_append(text, sizeof text, "%s%u", i ? "," : "", p->cpu[i]);
    text_append(text, sizeof text, ") on node ");
    for (unsigned i = 0; i < p->ncores; i++) {
        unsigned k = 0;
        while (p->node[k] != p->node[i])
            k++;
        if (k == i)
            text_append(text, sizeof text, "%s%u", i ? "," : "", p->node[i]);
    }
    text_append(text, sizeof text, ", by %s", p->why);
    text_wrapped(f, "cores: ", text);
    if (p->shares)
        fprintf(f, "shared: other isles have some of these cores, too\n");
    if (CPU_COUNT(&p->idle_cpus) > 0) {
        text_cpus(&p->idle_cpus, set, sizeof set);
        snprintf(text, sizeof text, "%d (CPU %.4000s), siblings of isle cores",
                 CPU_COUNT(&p->idle_cpus), set);
        text_wrapped(f, "idle: ", text);
    }
    text_cpus(&p->linux_cpus, set, sizeof set);
    snprintf(text, sizeof text, "%d (CPU %.4000s)", CPU_COUNT(&p->linux_cpus), set);
    text_wrapped(
        f, "Linux keeps: ", CPU_COUNT(&p->linux_cpus) > 0 ? text : "none of the allowed CPUs");
    snprintf(text, sizeof text, "at most ");
    memory_text(p, text, sizeof text);
    text_wrapped(f, "memory: ", text);
}

static void mark(struct drawing *d)
{
    memset(d->symbol, NOT_OURS, sizeof d->symbol);
    for (unsigned r = 0; r < d->ranks; r++)
        for (int c = 0; c < CPU_SETSIZE; c++) {
            const struct carve_plan *p = &d->plans[r];
            if (CPU_ISSET(c, &p->linux_cpus))
                d->symbol[c] = LINUX;
            else if (CPU_ISSET(c, &p->idle_cpus))
                d->symbol[c] = IDLE;
        }
    for (unsigned r = 0; r < d->ranks; r++)
        for (int c = 0; c < CPU_SETSIZE; c++) {
            char now = d->symbol[c];
            if (!CPU_ISSET(c, &d->plans[r].isle_cpus))
                continue;
            if (now != NOT_OURS && now != LINUX && now != IDLE)
                d->symbol[c] = SHARED;
            else
                d->symbol[c] = r < ISLES ? isles[r] : LATER;
        }
}

/* One line: cores first .. last - 1, which share a cache. */
struct row {
    unsigned first, last;
    unsigned many; /* caches alike, in a row */
};

static bool same_group(const struct drawing *d, const struct unit *a, const struct unit *b)
{
    return a->domain == b->domain && (d->flat || a->key[0] == b->key[0]) && a->key[1] == b->key[1];
}

static void core_text(const struct drawing *d, unsigned i, char text[SIBLINGS + 1])
{
    const struct unit *u = &d->c.unit[i];
    for (unsigned k = 0; k < u->npus; k++)
        text[k] = d->symbol[u->pu[k]];
    text[u->npus] = '\0';
}

static uint64_t l3_size(const struct drawing *d, unsigned i)
{
    hwloc_obj_t l3 =
        hwloc_get_ancestor_obj_by_type(d->c.topology, HWLOC_OBJ_L3CACHE, d->c.unit[i].core);
    return l3 ? l3->attr->cache.size : 0;
}

/* The same number of cores with the same marks, beside caches of one size. */
static bool alike(const struct drawing *d, const struct row *a, const struct row *b)
{
    char x[SIBLINGS + 1], y[SIBLINGS + 1];
    unsigned n = (a->last - a->first) / a->many;
    const struct unit *u = &d->c.unit[a->first], *v = &d->c.unit[b->first];
    if (b->last - b->first != n || u->domain != v->domain || (!d->flat && u->key[0] != v->key[0]) ||
        l3_size(d, a->first) != l3_size(d, b->first))
        return false;
    for (unsigned i = 0; i < n; i++) {
        core_text(d, a->first + i, x);
        core_text(d, b->first + i, y);
        if (strcmp(x, y) != 0)
            return false;
    }
    return true;
}

static struct row next_row(const struct drawing *d, unsigned first)
{
    struct row r = {first, first + 1, 1};
    while (r.last < d->c.nunits && same_group(d, &d->c.unit[first], &d->c.unit[r.last]))
        r.last++;
    return r;
}

/* "0- 0- 1-"; when that is too long, "0- x24, 1- x8". */
static void cores_text(const struct drawing *d, unsigned first, unsigned last, char *text,
                       size_t size)
{
    char core[SIBLINGS + 1], next[SIBLINGS + 1];
    size_t length = 0;
    for (unsigned i = first; i < last; i++)
        length += d->c.unit[i].npus + 1u;
    *text = '\0';
    for (unsigned i = first, n; i < last; i += n) {
        core_text(d, i, core);
        for (n = 1; length > DRAW_WIDTH - LABEL && i + n < last; n++) {
            core_text(d, i + n, next);
            if (strcmp(core, next) != 0)
                break;
        }
        if (length <= DRAW_WIDTH - LABEL)
            text_append(text, size, "%s%s", i > first ? " " : "", core);
        else
            text_append(text, size, n > 1 ? "%s%s x%u" : "%s%s", i > first ? ", " : "", core, n);
    }
}

static void draw_row(const struct drawing *d, const struct row *r)
{
    char label[160] = "    ", cpus[TEXT_MAX], text[TEXT_MAX];
    uint64_t size = l3_size(d, r->first);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned i = r->first; i < r->last; i++)
        for (unsigned k = 0; k < d->c.unit[i].npus; k++)
            CPU_SET(d->c.unit[i].pu[k], &set);
    text_cpus(&set, cpus, sizeof cpus);
    if (d->c.unit[r->first].key[1] >= 0) {
        text_append(label, sizeof label, "L3");
        if (size > 0)
            text_append(label, sizeof label, " %lluM", (unsigned long long)(size >> 20));
        if (r->many > 1)
            text_append(label, sizeof label, " x%u", r->many);
        text_append(label, sizeof label, ", ");
    }
    struct machine_kind kinds[MACHINE_KINDS_MAX];
    unsigned n = machine_kinds(d->c.topology, kinds);
    if (d->c.unit[r->first].kind < n)
        text_append(label, sizeof label, "%ss, ", kinds[d->c.unit[r->first].kind].name);
    machine_kinds_free(kinds, n);
    text_append(label, sizeof label, "CPU ");
    size_t room = LABEL - 1 - strlen(label);
    if (strlen(label) + 8 > LABEL)
        room = 8;
    if (strlen(cpus) > room) {
        while (room > 4 && cpus[room - 4] != ',')
            room--;
        strcpy(cpus + (room > 4 ? room - 3 : 0), "...");
    }
    text_append(label, sizeof label, "%s ", cpus);
    cores_text(d, r->first, r->first + (r->last - r->first) / r->many, text, sizeof text);
    if (r->many > 1)
        text_append(text, sizeof text, " each");
    if (strlen(label) < LABEL)
        text_append(label, sizeof label, "%*s", (int)(LABEL - strlen(label)), "");
    text_wrapped(d->f, label, text);
}

static void draw_node(const struct drawing *d, hwloc_obj_t node, const char *package)
{
    char text[256] = "", bytes[32];
    uint64_t planned = 0;
    if (!node) {
        fprintf(d->f, "%s\n", package);
        return;
    }
    for (unsigned r = 0; r < d->ranks; r++)
        for (unsigned i = 0; i < d->plans[r].nmemory; i++)
            if (d->plans[r].memory[i].node == node->os_index)
                planned += d->plans[r].memory[i].bytes;
    text_append(text, sizeof text, "%-12s  node %-3u ", package, node->os_index);
    text_bytes(node->attr->numanode.local_memory, bytes, sizeof bytes);
    text_append(text, sizeof text, "%s",
                node->attr->numanode.local_memory ? bytes
                : machine_memory_unknown(d->m)    ? "memory unknown"
                                                  : "no memory");
    for (unsigned i = 0; i < d->m->nnodes; i++) {
        const struct machine_node *n = &d->m->node[i];
        if (n->obj != node)
            continue;
        if (!n->cpus)
            text_append(text, sizeof text, ", no CPUs");
        if (n->bytes == 0 && node->attr->numanode.local_memory > 0)
            text_append(text, sizeof text, ", not ours");
        text_bytes(n->free, bytes, sizeof bytes);
        if (d->m->here && n->bytes > 0)
            text_append(text, sizeof text, ", %s free", bytes);
    }
    text_bytes(planned, bytes, sizeof bytes);
    if (planned > 0)
        text_append(text, sizeof text, d->ranks > 1 ? ", %s for isles" : ", %s for the isle",
                    bytes);
    fprintf(d->f, "%s\n", text);
}

static void draw_rows(const struct drawing *d)
{
    hwloc_obj_t node = NULL;
    int package = -2;
    for (unsigned i = 0; i < d->c.nunits;) {
        const struct unit *u = &d->c.unit[i];
        hwloc_obj_t here = d->c.domain[u->domain].node;
        char name[32] = "";
        hwloc_obj_t p = hwloc_get_ancestor_obj_by_type(d->c.topology, HWLOC_OBJ_PACKAGE, u->core);
        bool moved = !d->flat && u->key[0] != package;
        if (moved && p)
            snprintf(name, sizeof name, "package %u", p->os_index);
        if (i == 0 || here != node)
            draw_node(d, here, name);
        else if (moved && p)
            fprintf(d->f, "%s\n", name);
        node = here;
        package = u->key[0];
        struct row r = next_row(d, i), next;
        while (r.last < d->c.nunits && (next = next_row(d, r.last), alike(d, &r, &next))) {
            r.last = next.last;
            r.many++;
        }
        draw_row(d, &r);
        i = r.last;
    }
    for (unsigned i = 0; i < d->m->nnodes; i++)
        if (!d->m->node[i].cpus)
            draw_node(d, d->m->node[i].obj, "");
}

static void count(const struct drawing *d, hwloc_obj_type_t type, const char *one, char *text,
                  size_t size)
{
    int n = hwloc_get_nbobjs_by_type(d->c.topology, type);
    if (n > 0)
        text_append(text, size, "%s%d %s%s", *text ? ", " : "", n, one, n == 1 ? "" : "s");
}

static void draw_head(const struct drawing *d)
{
    char text[256] = "";
    count(d, HWLOC_OBJ_PACKAGE, "package", text, sizeof text);
    count(d, HWLOC_OBJ_NUMANODE, "NUMA node", text, sizeof text);
    count(d, HWLOC_OBJ_CORE, "core", text, sizeof text);
    count(d, HWLOC_OBJ_PU, "CPU", text, sizeof text);
    text_wrapped(d->f, "machine: ", text);
    *text = '\0';
    text_append(text, sizeof text, ". Linux   ");
    if (d->ranks > 1)
        text_append(text, sizeof text, "0 1 ... isle of that rank   ");
    else
        text_append(text, sizeof text, "0 isle   ");
    for (const char *s = "-+#x"; *s; s++)
        for (unsigned i = 0; i < d->c.nunits; i++) {
            char core[SIBLINGS + 1];
            core_text(d, i, core);
            if (!strchr(core, *s))
                continue;
            text_append(text, sizeof text, "%c %s   ", *s,
                        *s == IDLE     ? "idle sibling"
                        : *s == SHARED ? "several isles"
                        : *s == LATER  ? "isle of a later rank"
                                       : "not ours");
            break;
        }
    text[strlen(text) - 3] = '\0';
    text_wrapped(d->f, "marks: ", text);
    fputc('\n', d->f);
}

static void draw_isle(const struct drawing *d, unsigned rank)
{
    const struct carve_plan *p = &d->plans[rank];
    char label[32], text[TEXT_MAX], cpus[TEXT_MAX];
    snprintf(label, sizeof label, d->ranks > 1 ? "isle %u: " : "isle: ", rank);
    text_cpus(&p->isle_cpus, cpus, sizeof cpus);
    snprintf(text, sizeof text, "%u core%s, CPU %.3800s; ", p->ncores, p->ncores == 1 ? "" : "s",
             cpus);
    memory_text(p, text, sizeof text);
    if (p->shares)
        text_append(text, sizeof text, "; cores shared with other isles");
    text_wrapped(d->f, label, text);
}

static void draw_tail(const struct drawing *d)
{
    const struct carve_plan *p = d->plans;
    char text[TEXT_MAX];
    unsigned all = d->ranks <= 24 ? d->ranks : 12;
    fputc('\n', d->f);
    for (unsigned r = 0; r < all; r++)
        draw_isle(d, r);
    if (all < d->ranks) {
        fprintf(d->f, "        ... %u more ...\n", d->ranks - all - 1);
        draw_isle(d, d->ranks - 1);
    }
    text_cpus(&p->linux_cpus, text, sizeof text);
    text_wrapped(d->f, "Linux: ", CPU_COUNT(&p->linux_cpus) ? text : "no core of its own");
    text_cpus(&p->idle_cpus, text, sizeof text);
    if (CPU_COUNT(&p->idle_cpus) > 0)
        text_wrapped(d->f, "idle: ", text);
    text_wrapped(d->f, "by: ", p->why);
}

int draw_machine(FILE *f, const struct machine *m, const struct carve_plan *plans, unsigned ranks)
{
    struct drawing *d = calloc(1, sizeof *d);
    int rc = LULL_EXIT_FAILED;
    if (!d || !cores_read(&d->c, m->topology, hwloc_topology_get_topology_cpuset(m->topology))) {
        message("no memory for a drawing");
        goto out;
    }
    d->f = f;
    d->m = m;
    d->plans = plans;
    d->ranks = ranks;
    d->flat = hwloc_get_nbobjs_by_type(m->topology, HWLOC_OBJ_PACKAGE) >
              hwloc_get_nbobjs_by_type(m->topology, HWLOC_OBJ_NUMANODE);
    mark(d);
    draw_head(d);
    draw_rows(d);
    draw_tail(d);
    rc = 0;
out:
    if (d)
        cores_free(&d->c);
    free(d);
    return rc;
}

int draw_command(const struct options *opt)
{
    struct machine m;
    struct carve_plan *plans = NULL;
    unsigned ranks, mine;
    cpu_set_t busy;
    int rc = opt->topology ? machine_read_text(&m, opt->topology) : machine_read(&m);
    if (rc != 0)
        return rc;
    CPU_ZERO(&busy);
    if (!opt->topology)
        claim_look("", opt, &m, &busy);
    rc = carve_plan_all(opt, &m, &busy, &plans, &ranks, &mine);
    if (rc == 0)
        rc = draw_machine(stdout, &m, plans, ranks);
    if (rc == 0 && fflush(stdout) != 0) {
        message("cannot write to standard output: %s", strerror(errno));
        rc = LULL_EXIT_FAILED;
    }
    free(plans);
    machine_free(&m);
    return rc;
}
