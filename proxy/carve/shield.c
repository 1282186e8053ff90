/* SPDX-License-Identifier: MIT */
/*
 * cgroup v1: a cpuset keeps other cpusets away from an isle's CPUs, but not the processes of the
 * cpuset above it, which has all CPUs. So these are moved aside into one that has the rest, and
 * back when no living isle wants it any more, as `cset shield` does (package cpuset). So are the
 * kernel's own threads that are bound to nothing; for others there is steer.c.
 *
 * Whoever is created meanwhile is created aside. Affinities that processes have set themselves come
 * back with the CPUs (Linux >= 6.2, sched_setaffinity(2)).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carve/journal_priv.h"

#define PF_KTHREAD 0x00200000u /* include/linux/sched.h */
#define PF_NO_SETAFFINITY 0x04000000u
#define STATUS_MAX 8192      /* bytes of /proc/TID/status */
#define TASKS_MAX (8u << 20) /* bytes of a list of threads */
#define PASSES 20            /* over a list that others go on adding to */
#define EMPTY_TRIES 200      /* of a millisecond: threads on their way out */

static int shield_read(struct journal *j, const char *dir, const char *name, char *out, size_t size)
{
    char path[VALUE_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return -ENAMETOOLONG;
    return host_read(j->root, path, out, size);
}

static int shield_write(struct journal *j, const char *dir, const char *name, const char *value)
{
    char path[VALUE_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return -ENAMETOOLONG;
    return host_write(j->root, path, value);
}

/* One that has gone in the meantime has nothing. */
static bool has_cpus(struct journal *j, long tid, const cpu_set_t *all)
{
    char path[40], text[STATUS_MAX];
    cpu_set_t has;
    snprintf(path, sizeof path, "/proc/%ld/status", tid);
    if (host_read(j->root, path, text, sizeof text))
        return false;
    char *p = strstr(text, "\nCpus_allowed_list:");
    if (!p)
        return false;
    p += strlen("\nCpus_allowed_list:");
    p += strspn(p, " \t");
    p[strcspn(p, "\n")] = '\0';
    if (mask_read_list(p, &has))
        return false;
    CPU_AND(&has, &has, all);
    return CPU_EQUAL(&has, all);
}

/*
 * Programs go, but for isles' cores (vcpu.c names them): one that is here has had no cpuset of its
 * own. Of the kernel's threads those that may run anywhere: one that is narrower would come back
 * without that.
 */
static bool goes(struct journal *j, long tid, const cpu_set_t *all)
{
    static const char core[] = "lull-core";
    char path[40], text[STATUS_MAX];
    struct process_stat st;
    snprintf(path, sizeof path, "/proc/%ld/stat", tid);
    if (host_read(j->root, path, text, sizeof text) || !process_stat_parse(text, &st))
        return false;
    if (st.flags & PF_KTHREAD)
        return !(st.flags & PF_NO_SETAFFINITY) && has_cpus(j, tid, all);
    return strncmp(st.name, core, sizeof core - 1) != 0;
}

/* Threads of one cpuset to another: those that go from one with these CPUs, or every one. 0, or why
   the last one stays. */
static int move_all(struct journal *j, const char *from, const char *to, const cpu_set_t *all,
                    uint64_t *moved)
{
    char *list = malloc(TASKS_MAX), text[24];
    int err = list ? 0 : -ENOMEM;
    bool more = true;
    for (int pass = 0; err == 0 && more && pass < PASSES; pass++) {
        int failed = 0;
        more = false;
        err = shield_read(j, from, "tasks", list, TASKS_MAX);
        for (char *p = err ? NULL : list, *end; p && *p; p = end) {
            long tid = strtol(p, &end, 10);
            if (end == p)
                break;
            if (tid <= 0 || (all && !goes(j, tid, all)))
                continue;
            snprintf(text, sizeof text, "%ld", tid);
            int e = shield_write(j, to, "tasks", text);
            if (e && e != -ESRCH && e != -EINVAL) /* gone; kthreadd, which may not go */
                failed = e;
            *moved += e == 0;
            more |= e == 0;
        }
        if (err == 0 && !more)
            err = failed;
    }
    free(list);
    return err;
}

/* The cpuset above it. */
static void above(const char *path, char *out, size_t size)
{
    const char *last = strrchr(path, '/');
    snprintf(out, size, "%.*s", last ? (int)(last - path) : 0, path);
}

/* -EBUSY: no CPU is left beside the isles. */
static int raise_shield(struct journal *j, const char *path, const cpu_set_t *off, bool here,
                        uint64_t *moved)
{
    char base[VALUE_MAX], cpus[VALUE_MAX], mems[VALUE_MAX], now[VALUE_MAX];
    cpu_set_t all, rest;
    above(path, base, sizeof base);
    int err = shield_read(j, base, "cpuset.effective_cpus", cpus, sizeof cpus);
    if (err == -ENOENT)
        err = shield_read(j, base, "cpuset.cpus", cpus, sizeof cpus);
    if (err == 0)
        err = mask_read_list(cpus, &all);
    if (err == 0)
        err = shield_read(j, base, "cpuset.effective_mems", mems, sizeof mems);
    if (err == -ENOENT)
        err = shield_read(j, base, "cpuset.mems", mems, sizeof mems);
    if (err)
        return err;
    if (!mask_less(&rest, &all, off))
        return -EBUSY;
    err = mask_print_list(&rest, cpus, sizeof cpus);
    bool there = host_exists(j->root, path);
    /* nobody has come to move since */
    if (err == 0 && there && !here && shield_read(j, path, "cpuset.cpus", now, sizeof now) == 0 &&
        strcmp(now, cpus) == 0)
        return 0;
    if (err == 0 && !there)
        err = host_mkdir(j->root, path);
    if (err == 0)
        err = shield_write(j, path, "cpuset.cpus", cpus);
    if (err == 0)
        err = shield_write(j, path, "cpuset.mems", mems);
    if (err && there) /* somebody is in the way who will go; it is good for what it has */
        return 0;
    return err ? err : move_all(j, base, path, &all, moved);
}

static int lower_shield(struct journal *j, const char *path)
{
    char base[VALUE_MAX], cpus[VALUE_MAX];
    uint64_t moved = 0;
    int err = -ENOENT;
    above(path, base, sizeof base);
    /* if it cannot be removed it does no harm then */
    if (host_exists(j->root, path) && shield_read(j, base, "cpuset.cpus", cpus, sizeof cpus) == 0)
        shield_write(j, path, "cpuset.cpus", cpus);
    for (int n = 0; n < EMPTY_TRIES && host_exists(j->root, path); n++) {
        move_all(j, path, base, NULL, &moved);
        err = host_rmdir(j->root, path);
        if (err != -EBUSY)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return err;
}

/* The isles on record, and then this process. NULL: no more. */
static struct isle *isle_at(struct journal *j, size_t k)
{
    return k < j->nisles ? &j->isle[k] : k == j->nisles && j->entered ? &j->self : NULL;
}

/* Does somebody want it? Off its CPUs are those of all isles below the same cpuset. */
static bool wanted(struct journal *j, const char *path, bool here, cpu_set_t *off)
{
    char base[VALUE_MAX], other[VALUE_MAX];
    cpu_set_t kept;
    bool found = false;
    struct isle *i;
    CPU_ZERO(off);
    above(path, base, sizeof base);
    for (size_t k = 0; (i = isle_at(j, k)); k++) {
        bool in = false, lives = i == &j->self ? here : i->alive;
        if (!lives && !i->stuck) /* threads of one that dies are still in its cpuset */
            continue;
        for (size_t n = 0; n < i->n; n++) {
            const struct want *w = &i->want[n];
            above(w->path, other, sizeof other);
            bool same = w->kind == JOURNAL_SHIELD && strcmp(w->path, path) == 0;
            in |= (same && lives) || (w->kind == JOURNAL_DIR && strcmp(other, base) == 0);
            found |= same && lives;
        }
        isle_kept(i, &kept);
        if (in)
            CPU_OR(off, off, &kept);
    }
    return found;
}

static void settle(struct journal *j, struct balance *b, bool here, const char *path)
{
    cpu_set_t off;
    uint64_t moved = 0;
    struct isle *i;
    bool up = wanted(j, path, here, &off);
    int err = up ? raise_shield(j, path, &off, here, &moved) : 0, low = 0;
    if (!up || err) {
        low = lower_shield(j, path);
        b->restored += !up && low == 0;
        if (!up && b->tell && low != -ENOENT)
            b->tell(b->ctx, path, low ? strerror(-low) : NULL);
    }
    for (size_t k = 0; (i = isle_at(j, k)); k++) {
        for (size_t n = 0; n < i->n; n++) {
            struct want *w = &i->want[n];
            if (w->kind != JOURNAL_SHIELD || strcmp(w->path, path) != 0)
                continue;
            w->err =
                up && low && low != -ENOENT ? -EBUSY : err; /* on record as long as it is there */
            w->got = moved;
            i->stuck |= !up && low && low != -ENOENT;
        }
    }
}

void shields_settle(struct journal *j, struct balance *b, bool here)
{
    struct isle *i;
    /* each path once: a shield that is up is settled by the first isle that names it */
    for (size_t k = 0; (i = isle_at(j, k)); k++) {
        for (size_t n = 0; n < i->n; n++) {
            bool first = i->want[n].kind == JOURNAL_SHIELD;
            struct isle *before;
            for (size_t m = 0; first && m < k && (before = isle_at(j, m)); m++) {
                for (size_t x = 0; x < before->n; x++)
                    first &= before->want[x].kind != JOURNAL_SHIELD ||
                             strcmp(before->want[x].path, i->want[n].path) != 0;
            }
            if (first)
                settle(j, b, here, i->want[n].path);
        }
    }
}
