/* SPDX-License-Identifier: MIT */
/* P-cores, E-cores: which CPUs are of one kind. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carve/machine.h"

/* First line of root/dir/name, NULL: no such file. Into `line`. */
static char *read_line(const char *root, const char *path, char *line, size_t size)
{
    char full[PATH_MAX];
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *f = fopen(full, "re");
    char *got = f ? fgets(line, (int)size, f) : NULL;
    if (f)
        fclose(f);
    return got;
}

/* False: no such file. */
static bool add_pmu(hwloc_topology_t t, const char *root, const char *path, const char *type,
                    int efficiency)
{
    char line[4096];
    struct hwloc_info_s info = {(char *)"CoreType", (char *)type};
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    bool found = set && read_line(root, path, line, sizeof line);
    if (found && hwloc_bitmap_list_sscanf(set, line) == 0 && !hwloc_bitmap_iszero(set))
        hwloc_cpukinds_register(t, set, efficiency, 1, &info, 0);
    hwloc_bitmap_free(set);
    return found;
}

void machine_add_kinds(hwloc_topology_t t, const char *root)
{
    char path[96], line[64];
    /* some machines have E-cores of two sorts; one without any has none of these files */
    if (add_pmu(t, root, "/sys/devices/cpu_atom/cpus", "IntelAtom", 1)) {
        add_pmu(t, root, "/sys/devices/cpu_core/cpus", "IntelCore", 2);
        add_pmu(t, root, "/sys/devices/cpu_lowpower/cpus", "IntelLowPower", 0);
        return;
    }
    hwloc_obj_t pu = NULL;
    while ((pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu))) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpu_capacity", pu->os_index);
        if (!read_line(root, path, line, sizeof line))
            return; /* all have it, or none */
        line[strcspn(line, "\n")] = '\0';
        struct hwloc_info_s info = {(char *)"LinuxCapacity", line};
        hwloc_cpukinds_register(t, pu->cpuset, atoi(line), 1, &info, 0);
    }
}

static const char *info_of(const struct hwloc_info_s *infos, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(infos[i].name, name) == 0)
            return infos[i].value;
    return NULL;
}

/* By what it is told from others, the name of a kind of hwloc's; false: by its clock rate only. */
static bool name_kind(const struct hwloc_info_s *infos, unsigned n, int efficiency,
                      struct machine_kind *k)
{
    static const char *const names[][2] = {
        {"IntelCore", "P-core"}, {"IntelAtom", "E-core"}, {"IntelLowPower", "LP E-core"}};
    const char *type = info_of(infos, n, "CoreType");
    const char *capacity = info_of(infos, n, "LinuxCapacity");
    k->order = efficiency;
    if (type) {
        if (efficiency < 0) /* unknown: faster than what is known to be slow */
            k->order = strcmp(type, "IntelAtom") != 0;
        for (int i = 0; i < 3; i++)
            if (strcmp(type, names[i][0]) == 0)
                type = names[i][1];
        snprintf(k->name, sizeof k->name, "%s", type);
        return true;
    }
    if (capacity) {
        k->order = atoi(capacity);
        snprintf(k->name, sizeof k->name, "capacity %.8s", capacity);
        return true;
    }
    if (efficiency < 0 || info_of(infos, n, "FrequencyMaxMHz") ||
        info_of(infos, n, "FrequencyBaseMHz"))
        return false;
    snprintf(k->name, sizeof k->name, "kind %d", efficiency);
    return true;
}

static int faster(const void *a, const void *b)
{
    const struct machine_kind *x = a, *y = b;
    return x->order != y->order ? y->order - x->order : strcmp(x->name, y->name);
}

unsigned machine_kinds(hwloc_topology_t t, struct machine_kind *kinds)
{
    unsigned n = 0;
    int there = hwloc_cpukinds_get_nr(t, 0);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int i = 0; set && i < there; i++) {
        struct hwloc_info_s *infos = NULL;
        unsigned ninfos = 0, k = 0;
        int efficiency = -1;
        struct machine_kind new = {.cpus = NULL};
        if (hwloc_cpukinds_get_info(t, (unsigned)i, set, &efficiency, &ninfos, &infos, 0) != 0 ||
            !name_kind(infos, ninfos, efficiency, &new))
            continue;
        while (k < n && strcmp(kinds[k].name, new.name) != 0)
            k++;
        if (k < n) {
            hwloc_bitmap_or(kinds[k].cpus, kinds[k].cpus, set);
            continue;
        }
        new.cpus = n < MACHINE_KINDS_MAX ? hwloc_bitmap_dup(set) : NULL;
        if (new.cpus)
            kinds[n++] = new;
    }
    hwloc_bitmap_free(set);
    if (n > 0)
        qsort(kinds, n, sizeof *kinds, faster);
    if (n == 1 && hwloc_bitmap_isincluded(hwloc_topology_get_topology_cpuset(t), kinds[0].cpus)) {
        machine_kinds_free(kinds, n);
        return 0;
    }
    return n;
}

void machine_kinds_free(struct machine_kind *kinds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        hwloc_bitmap_free(kinds[i].cpus);
}
