/* SPDX-License-Identifier: MIT */
#include "carve/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carve/census.h"
#include "carve/host.h"
#include "carve/isles.h"
#include "carve/launcher.h"
#include "message.h"

/* What is to be seen from here. */
struct view {
    struct isles all;
    struct journal_isle *mine; /* on record in this process's own journal, which alone says what it
                                  may use */
    size_t nmine;
    struct journal_claim claim; /* of this process, to go on record */
    cpu_set_t allowed;          /* what it may use, whatever its affinity is by now */
    cpu_set_t others;           /* held by other launches */
    cpu_set_t busy;             /* as carve_plan_on() wants it */
    bool known;                 /* exec: this process's own record was found */
};

static bool same_launch(const struct journal_claim *a, const struct journal_isle *i)
{
    return !i->elsewhere && i->claim.launch == a->launch &&
           i->claim.launch_start == a->launch_start;
}

/* Is every CPU of `a` in one of the two? */
static bool covered(const cpu_set_t *a, const cpu_set_t *b, const cpu_set_t *c)
{
    cpu_set_t rest, none;
    mask_less(&rest, a, b);
    return !mask_less(&none, &rest, c);
}

/*
 * Might a rank use the same CPUs, but for those that isles have or had? What it was not let use was
 * held when it planned, what this process is not let use is held now.
 */
static bool comparable(const struct journal_claim *mate, const cpu_set_t *affinity,
                       const cpu_set_t *taken)
{
    return mask_meets(&mate->within, affinity) && covered(&mate->within, affinity, taken) &&
           covered(affinity, &mate->within, &mate->around);
}

/* The image before the execve(2) is on record, with cores of its own. */
static void look_after_exec(struct view *v, const struct journal_isle *self)
{
    cpu_set_t mates;
    v->known = true;
    mask_less(&mates, &self->claim.held, &self->cpus);
    CPU_OR(&v->busy, &v->others, &mates);
    CPU_OR(&v->allowed, &v->allowed, &self->cpus);
}

/* What the first of this launch found is what all its ranks divide. */
static void look_at_mates(struct view *v)
{
    cpu_set_t taken;
    CPU_ZERO(&taken);
    for (size_t k = 0; k < v->all.n; k++)
        CPU_OR(&taken, &taken, &v->all.isle[k].claim.held);
    v->claim.within = v->allowed;
    v->claim.around = v->others;
    for (size_t k = 0; k < v->nmine; k++) {
        const struct journal_claim *mate = &v->mine[k].claim;
        if (same_launch(&v->claim, &v->mine[k]) && comparable(mate, &v->allowed, &taken)) {
            v->claim.within = mate->within;
            v->claim.around = mate->around;
            break;
        }
    }
    v->allowed = v->claim.within;
    v->busy = v->claim.around;
}

static const struct journal_isle *find_self(const struct view *v)
{
    const uint64_t start = launcher_start(getpid(), NULL);
    for (size_t k = 0; k < v->nmine; k++)
        if (!v->mine[k].elsewhere && v->mine[k].pid == getpid() && v->mine[k].start == start)
            return &v->mine[k];
    return NULL;
}

static void set_allowed(struct machine *m, const cpu_set_t *cpus)
{
    if (CPU_COUNT(cpus) == 0)
        return;
    hwloc_bitmap_zero(m->allowed);
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
        if (CPU_ISSET(c, cpus))
            hwloc_bitmap_set(m->allowed, c);
}

/* The cores of the image before, whose record is another user's: Linux says whether they may be
   used. */
static void add_list(cpu_set_t *allowed, const char *cpus)
{
    struct cpu_request r;
    if (!cpus || options_parse_cpus(cpus, &r) || !r.list)
        return;
    for (unsigned i = 0; i < r.n; i++)
        CPU_SET(r.cpu[i], allowed);
}

/* `j` NULL: this process's journal, if there is one. */
static void look(struct view *v, const char *root, struct journal *j, const struct options *opt,
                 struct machine *m)
{
    struct launcher l;
    struct journal *found = NULL;
    *v = (struct view){.nmine = 0};
    if (!j)
        journal_find(root, &found);
    if (j || found)
        journal_isles(j ? j : found, &v->mine, &v->nmine);
    journal_close(found);
    isles_scan(root, &v->all);
    if (sched_getaffinity(0, sizeof v->allowed, &v->allowed))
        CPU_ZERO(&v->allowed);
    launcher_read(&l);
    launcher_identity(&l, &v->claim.launch, &v->claim.launch_start);
    v->claim.rank = l.rank;
    const struct journal_isle *self = opt->exec ? find_self(v) : NULL;
    if (self)
        v->claim = self->claim;
    for (size_t k = 0; k < v->all.n; k++)
        if (!same_launch(&v->claim, &v->all.isle[k]))
            CPU_OR(&v->others, &v->others, &v->all.isle[k].claim.held);
    if (self)
        look_after_exec(v, self);
    else
        look_at_mates(v);
    if (opt->exec && !self)
        add_list(&v->allowed, opt->cpus);
    set_allowed(m, &v->allowed);
}

static void view_free(struct view *v)
{
    isles_free(&v->all);
    free(v->mine);
}

/* Which of the others has a core of these. */
static const struct journal_isle *holder(const struct view *v, const cpu_set_t *cpus)
{
    for (size_t k = 0; k < v->all.n; k++) {
        const struct journal_isle *i = &v->all.isle[k];
        if (!same_launch(&v->claim, i) && mask_meets(&i->claim.held, cpus))
            return i;
    }
    return NULL;
}

/* Are they told the same CPUs? What fork(2) made shares them, too, but mostly waits. */
static bool shares_with_ranks(const struct view *v, const cpu_set_t *cpus)
{
    for (size_t k = 0; k < v->all.n; k++) {
        const struct journal_isle *i = &v->all.isle[k];
        if (same_launch(&v->claim, i) && i->claim.rank != v->claim.rank &&
            mask_meets(&i->cpus, cpus))
            return true;
    }
    return false;
}

/* Which CPUs this process may not use because another isle has them, for messages of the plan. */
static void tell_holder(const struct view *v, struct machine *m)
{
    cpu_set_t missing, here;
    char list[128];
    CPU_ZERO(&here);
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
        if (hwloc_bitmap_isset(hwloc_topology_get_complete_cpuset(m->topology), c))
            CPU_SET(c, &here);
    mask_less(&missing, &v->others, &v->allowed);
    CPU_AND(&missing, &missing, &here);
    const struct journal_isle *i = holder(v, &missing);
    if (!i)
        return;
    CPU_AND(&missing, &missing, &i->claim.held);
    mask_print_list(&missing, list, sizeof list);
    snprintf(m->held, sizeof m->held,
             "; CPUs %.60s are held for another isle, %.100s (process %d); lull ps shows all", list,
             i->program, (int)i->pid);
}

static int settle(struct view *v, const struct options *opt, struct carve_plan *p)
{
    cpu_set_t rest;
    char list[4096];
    /* a rank's plan knows nothing of isles that came after the first of its launch */
    if (mask_less(&rest, &p->linux_cpus, &v->others))
        p->linux_cpus = rest;
    p->with_ranks = p->with_ranks || shares_with_ranks(v, &p->isle_cpus);
    p->shares = p->shares || p->with_ranks;
    const struct journal_isle *i = opt->exec ? NULL : holder(v, &p->isle_cpus);
    if (!i)
        return 0;
    p->shares = true;
    CPU_AND(&rest, &p->isle_cpus, &i->claim.held);
    mask_print_list(&rest, list, sizeof list);
    if (opt->isolate == ISOLATE_REQUIRE) {
        message("--isolate=require: CPU %.200s is held for another isle, %s (process %d); lull ps "
                "shows all, --cpus LIST names others",
                list, i->program, (int)i->pid);
        return LULL_EXIT_FAILED;
    }
    verbose("CPU %.200s is shared with another isle, %s (process %d)", list, i->program,
            (int)i->pid);
    return 0;
}

static void put_on_record(struct journal *j, struct view *v, const char *program,
                          const struct carve_plan *p)
{
    struct journal_isle self = {.mem = p->mem, .cpus = p->isle_cpus, .claim = v->claim};
    if (!v->known)
        CPU_OR(&self.claim.held, &p->all_cpus, &p->idle_cpus);
    snprintf(self.engine, sizeof self.engine, "-");
    snprintf(self.program, sizeof self.program, "%s", program);
    int err = journal_claim(j, &self);
    if (err)
        verbose("the plan is not on record: %s", strerror(-err));
}

/*
 * Cores to plan around. After an execve without an own record (a user without a directory for it)
 * nothing is known of the other ranks: where there are some, they are planned for as ever.
 */
static const cpu_set_t *busy_of(const struct view *v, const struct options *opt, unsigned ranks)
{
    return opt->exec && !v->known && ranks > 1 ? NULL : &v->busy;
}

int claim_plan(const char *root, struct hold *hold, const struct options *opt, const char *program,
               struct carve_plan *out)
{
    struct journal *j = hold ? hold_journal(hold) : NULL;
    struct launcher l;
    struct machine m;
    struct view v;
    int rc = machine_read(&m);
    if (rc)
        return rc;
    launcher_read(&l);
    if (!opt->exec)
        census_take(&l, m.allowed, &m.group); /* others plan meanwhile */
    const int err = j ? journal_lock(j) : 0;
    const bool locked = j && err == 0;
    if (err)
        verbose("the plan is not on record: %s", strerror(-err));
    if (hold) /* under the lock, else a shield that is raised now moves it aside again */
        hold_home(hold);
    look(&v, root, j, opt, &m);
    census_check(&l, m.allowed, &m.group);
    tell_holder(&v, &m);
    rc = carve_plan_on(opt, &m, busy_of(&v, opt, l.ranks), out);
    if (rc == 0)
        rc = settle(&v, opt, out);
    if (rc == 0 && locked)
        put_on_record(j, &v, program, out);
    if (locked)
        journal_unlock(j);
    view_free(&v);
    machine_free(&m);
    /* a launcher may end all ranks when one fails: not before the first has spoken */
    if (rc && out->crowded)
        census_linger(l.rank == 0 ? 333 : 555);
    return rc;
}

void claim_look(const char *root, const struct options *opt, struct machine *m, cpu_set_t *busy)
{
    struct launcher l;
    struct view v;
    look(&v, root, NULL, opt, m);
    launcher_read(&l);
    census_take(&l, m->allowed, &m->group);
    *busy = v.busy;
    view_free(&v);
}
