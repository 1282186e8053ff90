/* SPDX-License-Identifier: MIT */
#include "carve/carve.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carve/draw_text.h"
#include "carve/launcher.h"
#include "carve/machine.h"
#include "carve/nodes.h"
#include "carve/select.h"
#include "message.h"

/* Everything that decides, for all ranks. */
struct planning {
    const struct options *opt;
    const struct machine *m;
    struct launcher local; /* ranks on the machine */
    struct select_request cores;
    struct select_detail detail;
    char asked[96]; /* for messages: "--cpus 4" */
    char why[160];
};

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

/* Which ranks there are, and which of them share the CPUs that this one may use. */
static void read_ranks(struct planning *p)
{
    struct select_request *r = &p->cores;
    launcher_read(&p->local);
    if (p->opt->ranks > 0)
        p->local = (struct launcher){.name = "--ranks", .ranks = p->opt->ranks};
    r->rank = p->local.rank;
    r->ranks = p->local.ranks;
    r->oversubscribe = p->opt->oversubscribe || launcher_overcommits();
    if (p->opt->exec && r->busy) {
        r->rank = 0;
        r->ranks = 1;
        return;
    }
    if (p->opt->ranks > 0 || p->local.ranks == 1 ||
        launcher_slurm_group(&p->local, p->m->allowed, &r->rank, &r->ranks))
        return;
    if (p->m->group.bound) {
        r->rank = p->m->group.rank;
        r->ranks = p->m->group.ranks;
    }
}

/* What is asked for, and whose wish it is. */
static int read_request(struct planning *p, const struct options *opt)
{
    struct select_request *r = &p->cores;
    unsigned threads = omp_num_threads(), tasks = launcher_slurm_cpus();
    if (opt->nodes && options_parse_nodes(opt->nodes, &r->nodes) != 0) {
        message("--nodes '%s': expected a number of nodes, or a list such as 0,2-3", opt->nodes);
        return LULL_EXIT_FAILED;
    }
    r->smt = opt->smt;
    const char *what = opt->smt ? "CPUs" : "cores";
    if (opt->cpus) {
        snprintf(p->asked, sizeof p->asked, "--cpus %.80s", opt->cpus);
        snprintf(p->why, sizeof p->why, "%s", p->asked);
    } else if (threads > 0) {
        r->cpus.n = threads;
        r->at_most = true;
        snprintf(p->asked, sizeof p->asked, "OMP_NUM_THREADS=%u", threads);
        snprintf(p->why, sizeof p->why, "%s", p->asked);
    } else if (tasks > 0) {
        r->cpus.n = tasks;
        r->spare = true;
        snprintf(p->why, sizeof p->why, "SLURM_CPUS_PER_TASK=%u, one core left to Linux", tasks);
    } else if (p->m->nnodes > 1 && !opt->nodes) {
        snprintf(p->why, sizeof p->why, "the allowed %s of one node, one left to Linux", what);
    } else {
        snprintf(p->why, sizeof p->why, "all allowed %s but one", what);
    }
    if (opt->nodes)
        text_append(p->why, sizeof p->why, ", --nodes %.20s", opt->nodes);
    if (opt->smt)
        text_append(p->why, sizeof p->why, ", --smt");
    if (p->local.ranks > 1 && !r->cpus.list)
        text_append(p->why, sizeof p->why, ", rank %u of %u here (%s)", p->local.rank,
                    p->local.ranks, p->local.name);
    return 0;
}

/* One line for all that share: their first says it. */
static void refuse_crowd(const struct planning *p, const char *list)
{
    const struct select_detail *d = &p->detail;
    if (p->cores.rank > 0)
        return;
    message("%u ranks of %u %s%s each do not fit on %u core%s (CPUs %s), %u would; to let them "
            "share: --oversubscribe or LULL_OVERSUBSCRIBE=1%s%s",
            p->cores.ranks, d->each, p->opt->smt ? "CPU" : "core", d->each > 1 ? "s" : "", d->n,
            d->n > 1 ? "s" : "", list, d->ranks, d->smt ? "; to use hyperthreads: --smt" : "",
            p->m->held);
}

static int refuse(const struct planning *p, enum select_verdict v)
{
    char list[256];
    unsigned n = p->detail.n;
    const char *what = p->opt->smt ? "CPUs" : "cores";
    const char *hint = launcher_binding_hint(&p->local), *held = p->m->held;
    hwloc_bitmap_list_snprintf(list, sizeof list, p->m->allowed);
    switch (v) {
    case SELECT_TOO_MANY:
        if (n == LULL_MAX_CORES)
            message("%s: an isle has at most %u cores", p->asked, n);
        else
            message("%s: there are only %u (CPUs %s)%s%s", p->asked, n, list, hint, held);
        break;
    case SELECT_NEED_NODES:
        message("%s: %s has at most %u %s free for an isle; to span more: --nodes %u", p->asked,
                p->opt->nodes ? "what --nodes allows" : "one NUMA node", n, what, p->detail.nodes);
        break;
    case SELECT_NEED_SMT:
        message("%s: there are only %u cores (CPUs %s); their hyperthreads too: --smt", p->asked, n,
                list);
        break;
    case SELECT_MIXED:
        message("%s: there are at most %u cores of one kind, and a count does not mix P-cores and "
                "E-cores; name them: --cpus LIST",
                p->asked, n);
        break;
    case SELECT_NOT_THERE:
        message("%s: there is no CPU %u; lull may use CPUs %s", p->asked, n, list);
        break;
    case SELECT_NOT_ALLOWED:
        message("%s: CPU %u may not be used here (affinity or cpuset); lull may use CPUs "
                "%s%s%s",
                p->asked, n, list, hint, held);
        break;
    case SELECT_NO_NODE:
        if (!hwloc_get_numanode_obj_by_os_index(p->m->topology, n))
            message("--nodes %s: there is no NUMA node %u; see lull plan", p->opt->nodes, n);
        else
            message("--nodes %s: none of their CPUs may be used here; lull may use CPUs %s",
                    p->opt->nodes, list);
        break;
    case SELECT_NO_MEMORY:
        message("no memory for planning");
        break;
    case SELECT_CROWDED:
        refuse_crowd(p, list);
        break;
    default:
        message("no CPU may be used here: look at the affinity mask (taskset -p $$) and cpuset%s",
                held);
    }
    return LULL_EXIT_FAILED;
}

static int plan_memory(struct planning *p, struct carve_plan *plan)
{
    const struct options *opt = p->opt;
    uint64_t there = 0;
    struct nodes_request r = {
        .mem = opt->mem,
        .sure = opt->exec, /* the limit is the one there was, however much others took since */
        .nodes = p->cores.nodes,
        .ranks = p->local.ranks,
        .on_node = p->detail.on_node,
        .unknown = (p->local.ranks + p->cores.ranks - 1) / p->cores.ranks,
        .limit = launcher_slurm_memory(p->local.ranks),
    };
    enum nodes_verdict v = nodes_place(p->m, &r, plan, &there);
    bool slurm = r.limit > 0 && r.limit <= there;
    if (v == NODES_OK)
        return 0;
    if (v == NODES_TOO_MUCH)
        message("--mem: %.1f MiB are asked for, but only %.1f MiB are free here%s",
                (double)opt->mem / 1048576, (double)there / 1048576,
                slurm              ? " (SLURM_MEM_PER_NODE, SLURM_MEM_PER_CPU)"
                : p->m->nnodes > 1 ? " on the isle's NUMA nodes; more of them: --nodes LIST"
                                   : "");
    else
        message("no memory is left for an isle: only %.1f MiB are free here",
                (double)there / 1048576);
    return LULL_EXIT_FAILED;
}

static bool beside_others(const struct planning *p)
{
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
        if (CPU_ISSET(c, p->cores.busy) && hwloc_bitmap_isset(p->m->allowed, c))
            return true;
    return false;
}

static void tell_rest(const struct planning *p, struct carve_plan *plan)
{
    memcpy(plan->why, p->why, sizeof plan->why);
    if (p->cores.busy && !p->cores.cpus.list && !plan->shares && beside_others(p))
        text_append(plan->why, sizeof plan->why, ", off other isles' cores");
    if (p->cores.at_most && plan->ncores < p->cores.cpus.n)
        text_append(plan->why, sizeof plan->why, ", as far as there are cores");
    plan->slow_copies =
        p->local.ranks > 1 && (unsigned)CPU_COUNT(&plan->linux_cpus) < p->cores.ranks;
}

static int prepare(struct planning *p, const struct options *opt, const struct machine *m,
                   const cpu_set_t *busy)
{
    *p = (struct planning){.opt = opt, .m = m, .cores.busy = busy};
    if (opt->cpus && options_parse_cpus(opt->cpus, &p->cores.cpus) != 0) {
        message("--cpus '%s': expected a number of cores, or a list such as 0,2-3", opt->cpus);
        return LULL_EXIT_FAILED;
    }
    read_ranks(p);
    return read_request(p, opt);
}

int carve_plan_on(const struct options *opt, const struct machine *m, const cpu_set_t *busy,
                  struct carve_plan *out)
{
    struct planning p;
    *out = (struct carve_plan){0};
    int rc = prepare(&p, opt, m, busy);
    if (rc != 0)
        return rc;
    enum select_verdict v = select_cores(m->topology, m->allowed, &p.cores, out, &p.detail);
    out->crowded = v == SELECT_CROWDED;
    if (v != SELECT_OK)
        return refuse(&p, v);
    tell_rest(&p, out);
    return plan_memory(&p, out);
}

int carve_plan_all(const struct options *opt, const struct machine *m, const cpu_set_t *busy,
                   struct carve_plan **plans, unsigned *ranks, unsigned *mine)
{
    struct planning p;
    *plans = NULL;
    int rc = prepare(&p, opt, m, busy);
    if (rc != 0)
        return rc;
    *ranks = p.cores.ranks;
    *mine = p.cores.rank;
    *plans = calloc(*ranks, sizeof **plans);
    if (!*plans)
        return refuse(&p, SELECT_NO_MEMORY);
    enum select_verdict v = select_all(m->topology, m->allowed, &p.cores, *plans, &p.detail);
    if (v != SELECT_OK)
        return refuse(&p, v);
    for (unsigned i = 0; i < *ranks && rc == 0; i++) {
        tell_rest(&p, &(*plans)[i]);
        rc = plan_memory(&p, &(*plans)[i]);
    }
    return rc;
}
