/* SPDX-License-Identifier: MIT */
/* /sys/devices/system/cpu and node: lists and masks of CPUs and nodes hold the isle's only, except
   the lists of possible and present CPUs.
   Documentation/ABI/stable/sysfs-devices-system-cpu, sysfs-devices-node. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    /* "possible" and "present" are Linux's own, because programs size arrays by them and index
       these arrays with CPU numbers. */
    static const char *const nodes[] = {"node/online", "node/possible", "node/has_cpu",
                                        "node/has_memory", "node/has_normal_memory"};
    static const char *const masks[] = {"_siblings", "core_cpus",    "package_cpus",
                                        "die_cpus",  "cluster_cpus", "shared_cpu_map",
                                        "/cpumap"};
    if (!strcmp(name, "cpu/online"))
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

/* ---- the cpuset of this process ---- */

/* Is `path` where a file system is mounted? */
static bool is_mount_root(const char *path)
{
    char up[512];
    struct stat here, above;
    memset(&here, 0, sizeof here);
    memset(&above, 0, sizeof above);
    return snprintf(up, sizeof up, "%s/..", path) < (int)sizeof up &&
           server_syscall(SYS_stat, (long)path, (long)&here, 0, 0) == 0 &&
           server_syscall(SYS_stat, (long)up, (long)&above, 0, 0) == 0 &&
           here.st_dev != above.st_dev;
}

/* Is the directory `dir` what /proc/self/cpuset names? It is changed. */
static bool is_own_cpuset(char *dir)
{
    static const char self[] = "/proc/self/cpuset";
    struct text own = {0};
    long fd = server_syscall(SYS_open, (long)self, O_RDONLY | O_CLOEXEC, 0, 0);
    bool ok = fd >= 0 && view_read((int)fd, &own) == 0 && own.len > 1;
    if (fd >= 0)
        server_syscall(SYS_close, fd, 0, 0, 0);
    if (ok) {
        own.p[own.len - 1] = '\0'; /* the new line */
        const char *name = strcmp(own.p, "/") ? own.p : "";
        ok = ends_with(dir, name);
        dir[strlen(dir) - (ok ? strlen(name) : 0)] = '\0';
        ok = ok && is_mount_root(dir);
    }
    text_free(&own);
    return ok;
}

/*
 * The proxy's Linux side may be in a cpuset that has none of the isle's cores: another isle shields
 * its own so. Who takes what both this and /sys/devices/system/cpu have (hwloc) would be left with
 * none. cgroups(7), cpuset(7).
 */
bool view_cgroup(const struct call *c, const char *path, struct text *out)
{
    static const char *const files[] = {"/cpuset.cpus",           "/cpuset.mems",
                                        "/cpuset.effective_cpus", "/cpuset.effective_mems",
                                        "/cpuset.cpus.effective", "/cpuset.mems.effective"};
    const struct view *v = c->env->view;
    char dir[512];
    struct numbers n = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!ends_with(path, files[i]))
            continue;
        int len = (int)(strlen(path) - strlen(files[i]));
        if (snprintf(dir, sizeof dir, "%.*s", len, path) >= (int)sizeof dir || !is_own_cpuset(dir))
            return false;
        for (unsigned k = 0; k < v->ncores; k++)
            n.has[v->cpu[k] % NUMBERS_MAX] = true;
        if (i % 2)
            view_put_nodes(out, v->nodes);
        else
            list_print(&n, out);
        return true;
    }
    return false;
}
