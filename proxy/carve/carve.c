/* SPDX-License-Identifier: MIT */
#include "carve/carve.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carve/launcher.h"
#include "carve/memory.h"
#include "carve/select.h"
#include "message.h"

/*
 * This machine, as little of it as is needed: loads in 0.3 ms instead of 3. The plugins (GPUs, PCI)
 * are kept out by a path without any; the x86 component would visit every CPU.
 */
static hwloc_topology_t load_topology(void)
{
    static const hwloc_obj_type_t kept[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L2CACHE,
                                            HWLOC_OBJ_CORE};
    hwloc_topology_t t = NULL;
    bool plugins = getenv("HWLOC_PLUGINS_PATH") != NULL;
    if (!plugins)
        setenv("HWLOC_PLUGINS_PATH", "/dev/null", 0);
    int rc = hwloc_topology_init(&t);
    if (!plugins)
        unsetenv("HWLOC_PLUGINS_PATH");
    if (rc != 0)
        return NULL;
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        hwloc_topology_set_type_filter(t, kept[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                                    HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
    if (hwloc_topology_load(t) == 0)
        return t;
    hwloc_topology_destroy(t);
    return NULL;
}

/* The first number of OMP_NUM_THREADS ("4", "4,2"), or 0. */
static unsigned omp_num_threads(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    char *end;
    if (!text)
        return 0;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    end += strspn(end, " \t");
    if (errno != 0 || end == text || (*end != '\0' && *end != ',') || strchr(text, '-'))
        return 0;
    return n < LULL_MAX_CORES ? (unsigned)n : LULL_MAX_CORES;
}

/* What is asked for, and whose wish it is. */
static int read_request(const struct options *opt, const struct launcher *l,
                        struct select_request *r, char *why, size_t size)
{
    char ranks[64] = "";
    unsigned threads = omp_num_threads();
    *r = (struct select_request){.rank = l->rank, .ranks = l->ranks};
    if (l->ranks > 1)
        snprintf(ranks, sizeof ranks, ", rank %u of %u here (%s)", l->rank, l->ranks, l->name);
    if (opt->cpus) {
        if (options_parse_cpus(opt->cpus, &r->cpus) != 0) {
            message("--cpus '%s': expected a number of cores, or a list such as 0,2-3", opt->cpus);
            return LULL_EXIT_FAILED;
        }
        snprintf(why, size, "--cpus %.80s%s", opt->cpus, r->cpus.list ? "" : ranks);
    } else if (threads > 0) {
        r->cpus.n = threads;
        r->at_most = true;
        snprintf(why, size, "OMP_NUM_THREADS=%u%s", threads, ranks);
    } else {
        snprintf(why, size, "all allowed cores but one%s", ranks);
    }
    return 0;
}

static int refuse(enum select_verdict v, unsigned detail, const char *asked,
                  hwloc_const_cpuset_t allowed)
{
    char list[256];
    hwloc_bitmap_list_snprintf(list, sizeof list, allowed);
    switch (v) {
    case SELECT_TOO_MANY:
        if (detail == LULL_MAX_CORES)
            message("--cpus %s: an isle has at most %u cores", asked, detail);
        else
            message("--cpus %s: there are only %u (CPUs %s)", asked, detail, list);
        break;
    case SELECT_NOT_THERE:
        message("--cpus %s: there is no CPU %u; lull may use CPUs %s", asked, detail, list);
        break;
    case SELECT_NOT_ALLOWED:
        message("--cpus %s: CPU %u may not be used here (affinity or cpuset); lull may use CPUs %s",
                asked, detail, list);
        break;
    default:
        message("no CPU may be used here: look at the affinity mask (taskset -p $$) and cpuset");
    }
    return LULL_EXIT_FAILED;
}

static int plan_cores(const struct options *opt, struct launcher *l, struct carve_plan *out)
{
    struct select_request request;
    unsigned detail = 0;
    int rc = LULL_EXIT_FAILED;
    hwloc_topology_t topology = load_topology();
    hwloc_cpuset_t allowed = hwloc_bitmap_alloc();
    if (!topology || !allowed) {
        message("hwloc cannot read this machine's topology: %s", strerror(errno));
        goto out;
    }
    int err = launcher_affinity(0, allowed);
    if (err != 0) {
        message("cannot read the affinity mask: %s", strerror(-err));
        goto out;
    }
    if (l->ranks > 1 && launcher_binds(allowed)) {
        l->rank = 0;
        l->ranks = 1;
    }
    hwloc_bitmap_and(allowed, allowed, hwloc_topology_get_allowed_cpuset(topology));
    rc = read_request(opt, l, &request, out->why, sizeof out->why);
    if (rc != 0)
        goto out;
    enum select_verdict v = select_cores(topology, allowed, &request, out, &detail);
    if (v != SELECT_OK)
        rc = refuse(v, detail, opt->cpus, allowed);
out:
    hwloc_bitmap_free(allowed);
    if (topology)
        hwloc_topology_destroy(topology);
    return rc;
}

static int plan_memory(const struct options *opt, unsigned ranks, struct carve_plan *out)
{
    uint64_t there;
    int rc = memory_available("", &there);
    if (rc != 0) {
        message("cannot read /proc/meminfo: %s", strerror(-rc));
        return LULL_EXIT_FAILED;
    }
    /* after an execve(2) the limit is the one there was, however much others have taken since */
    if (opt->mem > there && !opt->exec) {
        message("--mem: %.1f MiB are asked for, but only %.1f MiB are free here",
                (double)opt->mem / 1048576, (double)there / 1048576);
        return LULL_EXIT_FAILED;
    }
    uint64_t mem = opt->mem ? opt->mem : there / ranks / 10 * 9;
    out->mem = mem & ~(LULL_HUGE - 1);
    if (out->mem > 0)
        return 0;
    message("no memory is left for an isle: only %.1f MiB are free here", (double)there / 1048576);
    return LULL_EXIT_FAILED;
}

/* By cores: each node's memory in proportion. */
static void place_memory(struct carve_plan *p)
{
    uint64_t left = p->mem;
    for (unsigned i = 0; i < p->ncores; i++) {
        unsigned m = 0;
        p->mem_node[i] = p->node[i];
        while (m < p->nmemory && p->memory[m].node != p->node[i])
            m++;
        if (m == CARVE_MAX_NODES)
            continue;
        if (m == p->nmemory)
            p->memory[p->nmemory++] = (struct carve_memory){p->node[i], 0};
        uint64_t part = p->mem / p->ncores & ~(LULL_HUGE - 1);
        p->memory[m].bytes += part;
        left -= part;
    }
    p->memory[0].bytes += left;
}

int carve_plan(const struct options *opt, struct carve_plan *out)
{
    struct launcher local, cores;
    *out = (struct carve_plan){0};
    launcher_read(&local);
    cores = local;
    int rc = plan_cores(opt, &cores, out);
    if (rc == 0)
        rc = plan_memory(opt, local.ranks, out);
    if (rc == 0)
        place_memory(out);
    return rc;
}
