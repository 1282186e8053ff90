/* SPDX-License-Identifier: MIT */
/* /sys/devices/system/cpu and node: lists and masks of processors and nodes hold the isle's only.
   Documentation/ABI/stable/sysfs-devices-system-cpu, sysfs-devices-node. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "serve/call.h"
#include "serve/view.h"

#define NUMBERS_MAX 1024

bool view_has_cpu(const struct view *v, unsigned cpu)
{
    for (unsigned i = 0; i < v->ncores; i++)
        if (v->cpu[i] == cpu)
            return true;
    return false;
}

bool view_has_node(const struct view *v, unsigned node)
{
    return lull_node_has(v->nodes, node);
}

struct numbers {
    bool has[NUMBERS_MAX];
};

/* "0,2-3", as the kernel writes it. */
static void list_parse(const char *s, struct numbers *out)
{
    memset(out, 0, sizeof *out);
    while (*s >= '0' && *s <= '9') {
        char *end;
        unsigned long from = strtoul(s, &end, 10), to = from;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        for (; from <= to && from < NUMBERS_MAX; from++)
            out->has[from] = true;
        s = *end == ',' ? end + 1 : end;
    }
}

static void list_print(const struct numbers *n, struct text *out)
{
    const char *comma = "";
    for (unsigned i = 0; i < NUMBERS_MAX; i++) {
        unsigned to = i;
        if (!n->has[i])
            continue;
        while (to + 1 < NUMBERS_MAX && n->has[to + 1])
            to++;
        if (to > i)
            text_printf(out, "%s%u-%u", comma, i, to);
        else
            text_printf(out, "%s%u", comma, i);
        comma = ",";
        i = to;
    }
    text_add(out, "\n", 1);
}

void view_put_nodes(struct text *out, const struct lull_nodes *nodes)
{
    struct numbers n;
    for (unsigned i = 0; i < NUMBERS_MAX; i++)
        n.has[i] = lull_node_has(nodes, i);
    list_print(&n, out);
}

/* "10 20 20": one number for each node that is online, in order. */
static bool distance_filter(const char *s, const struct view *v, struct text *out)
{
    static const char online[] = "/sys/devices/system/node/online";
    struct text real = {0};
    struct numbers n;
    const char *blank = "";
    long fd = server_syscall(SYS_open, (long)online, O_RDONLY | O_CLOEXEC, 0, 0);
    bool ok = fd >= 0 && view_read((int)fd, &real) == 0;
    if (fd >= 0)
        server_syscall(SYS_close, fd, 0, 0, 0);
    if (ok)
        list_parse(real.p, &n);
    text_free(&real);
    for (unsigned i = 0; ok && i < NUMBERS_MAX; i++) {
        char *end;
        if (!n.has[i])
            continue;
        unsigned long distance = strtoul(s, &end, 10);
        if (end == s)
            break;
        if (view_has_node(v, i)) {
            text_printf(out, "%s%lu", blank, distance);
            blank = " ";
        }
        s = end;
    }
    text_add(out, "\n", 1);
    return ok;
}

/* "ff,ffffffff": groups of 32 bits, the highest first. Width as Linux's own text has it. */
static void mask_filter(const char *s, const struct view *v, struct text *out)
{
    unsigned groups = 1;
    for (const char *p = s; *p; p++)
        groups += *p == ',';
    for (unsigned g = groups; g-- > 0;) {
        char *end;
        unsigned long word = strtoul(s, &end, 16), mine = 0;
        for (unsigned b = 0; b < 32; b++)
            if (word >> b & 1 && view_has_cpu(v, g * 32 + b))
                mine |= 1ul << b;
        text_printf(out, "%0*lx%s", (int)(end - s), mine, g ? "," : "\n");
        s = *end == ',' ? end + 1 : end;
    }
}

static void list_filter(const char *s, const struct view *v, bool nodes, struct text *out)
{
    struct numbers n;
    list_parse(s, &n);
    for (unsigned i = 0; i < NUMBERS_MAX; i++)
        n.has[i] = n.has[i] && (nodes ? view_has_node(v, i) : view_has_cpu(v, i));
    list_print(&n, out);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

enum kind { OTHER = 0, CPU_LIST, CPU_MASK, NODE_LIST, DISTANCES };

static enum kind file_kind(const char *name)
{
    static const char *const lists[] = {"cpu/online", "cpu/present", "cpu/possible"};
    static const char *const nodes[] = {"node/online", "node/possible", "node/has_cpu",
                                        "node/has_memory", "node/has_normal_memory"};
    static const char *const masks[] = {"_siblings", "core_cpus",    "package_cpus",
                                        "die_cpus",  "cluster_cpus", "shared_cpu_map",
                                        "/cpumap"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(name, lists[i]))
            return CPU_LIST;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (!strcmp(name, nodes[i]))
            return NODE_LIST;
    if (!strncmp(name, "node/", 5) && ends_with(name, "/distance"))
        return DISTANCES;
    if (ends_with(name, "_list"))
        return ends_with(name, "_siblings_list") || ends_with(name, "_cpus_list") ||
                       ends_with(name, "shared_cpu_list")
                   ? CPU_LIST
                   : OTHER;
    if (ends_with(name, "/cpulist"))
        return CPU_LIST;
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        if (ends_with(name, masks[i]))
            return CPU_MASK;
    return OTHER;
}

bool view_sys(const struct call *c, int fd, const char *name, struct text *out)
{
    const struct view *v = c->env->view;
    enum kind kind = file_kind(name);
    struct text real = {0};
    bool ok = kind != OTHER && view_read(fd, &real) == 0;
    if (ok && kind == CPU_MASK)
        mask_filter(real.p, v, out);
    else if (ok && kind == DISTANCES)
        ok = distance_filter(real.p, v, out);
    else if (ok)
        list_filter(real.p, v, kind == NODE_LIST, out);
    text_free(&real);
    return ok;
}
