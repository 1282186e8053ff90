/* SPDX-License-Identifier: MIT */
#include "carve/census.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define AWAIT_MS 100

struct census {
    hwloc_const_cpuset_t ours;
    hwloc_bitmap_t launchers;
    pid_t launcher, child; /* child: this rank's, this process or an ancestor (a script) */
    bool seen;             /* it is among the launcher's */
    unsigned bound, sharers, place;
};

static bool census_begin(struct census *c, const struct launcher *l, hwloc_const_cpuset_t allowed)
{
    uint64_t start;
    *c = (struct census){.ours = allowed, .launchers = hwloc_bitmap_alloc(), .child = getpid()};
    launcher_identity(l, &c->launcher, &start);
    for (pid_t parent; c->child != c->launcher; c->child = parent) {
        if (launcher_start(c->child, &parent) == 0)
            return false;
        if (parent == c->launcher)
            break;
    }
    return c->launchers && c->child != c->launcher &&
           launcher_affinity(c->launcher, c->launchers) == 0 &&
           !hwloc_bitmap_isincluded(c->launchers, allowed);
}

/* A rank that still has the launcher's own mask is about to be bound: it tells nothing. */
static void count_child(struct census *c, int pid, hwloc_bitmap_t set)
{
    bool own = pid == c->child;
    hwloc_bitmap_zero(set);
    if (!own && (launcher_affinity(pid, set) != 0 || hwloc_bitmap_isequal(set, c->launchers)))
        return;
    c->seen = c->seen || own;
    c->bound++;
    if (!own && !hwloc_bitmap_intersects(set, c->ours))
        return;
    c->sharers++;
    c->place += pid < c->child;
}

static void count_children(struct census *c)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/%d/task", (int)c->launcher);
    DIR *threads = opendir(path);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    c->seen = false;
    c->bound = c->sharers = c->place = 0;
    for (struct dirent *d; set && threads && (d = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)c->launcher, d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "re");
        for (int pid; f && fscanf(f, "%d", &pid) == 1;)
            count_child(c, pid, set);
        if (f)
            fclose(f);
    }
    hwloc_bitmap_free(set);
    if (threads)
        closedir(threads);
}

void census_take(const struct launcher *l, hwloc_const_cpuset_t allowed, struct census_group *g)
{
    struct census c;
    *g = (struct census_group){.ranks = 1};
    if (l->ranks == 1)
        return;
    g->bound = census_begin(&c, l, allowed);
    for (unsigned ms = 0; g->bound && ms < AWAIT_MS; ms++) {
        count_children(&c);
        if (c.bound >= l->ranks || !c.seen)
            break;
        census_linger(1);
    }
    if (g->bound && c.seen) {
        g->rank = c.sharers == l->ranks ? l->rank : c.place;
        g->ranks = c.sharers;
    }
    hwloc_bitmap_free(c.launchers);
}

void census_check(const struct launcher *l, hwloc_const_cpuset_t allowed, struct census_group *g)
{
    struct census c;
    if (!g->bound)
        return;
    g->bound = census_begin(&c, l, allowed);
    hwloc_bitmap_free(c.launchers);
}

void census_linger(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}
