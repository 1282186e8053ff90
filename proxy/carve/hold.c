/* SPDX-License-Identifier: MIT */
#include "carve/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "carve/hold_priv.h"
#include "carve/launcher.h"
#include "message.h"
#include "ownfd.h"

#define POLICY SCHED_RR
#define PRIORITY 1
#define FAIR_SERVER 612 /* Linux 6.12 */

static const char policy_row[] = "policy of the cores' threads";

/* A descriptor that the image before an execve(2) has left open, or -1. */
static int inherited(int fd)
{
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return -1;
    return fd >= ownfd_low() ? fd : ownfd_hide(fd);
}

static void adopt(struct hold *h, const char *text)
{
    int fd, pid, child, held;
    if (sscanf(text, "%d,%d,%d,%d", &fd, &pid, &child, &held) != 4)
        return;
    h->keeper.fd = inherited(fd);
    h->keeper.pid = pid;
    h->keeper.child = child;
    held = inherited(held);
    if (held >= 0 && (!h->journal || journal_adopt(h->journal, held)))
        h->held_before = held;
}

struct hold *hold_open(const char *root, const struct options *opt, struct settings *settings)
{
    struct hold *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->opt = opt;
    h->settings = settings;
    h->home_fd = h->dir_fd = h->latency_fd = h->held_before = -1;
    h->real = *root == '\0';
    pthread_mutex_init(&h->lock, NULL);
    keeper_none(&h->keeper);
    h->root = host_open(root);
    h->journal_err = h->root < 0 ? h->root : journal_open(root, &h->journal);
    if (opt->keeper)
        adopt(h, opt->keeper);
    return h;
}

void hold_repair(struct hold *h)
{
    unsigned restored, dead;
    if (h->journal)
        journal_collect(h->journal, &restored, &dead, NULL, NULL);
}

void hold_home(struct hold *h)
{
    if (h->root >= 0)
        cpuset_leave(h);
    if (h->keeper.fd >= 0 && geteuid() != 0) /* there was the right to it once */
        keeper_move(&h->keeper, 0, KEEPER_HOME);
}

struct journal *hold_journal(struct hold *h)
{
    return h->journal;
}

void hold_close(struct hold *h)
{
    if (!h)
        return;
    keeper_close(&h->keeper);
    int fds[] = {h->root, h->home_fd, h->dir_fd, h->latency_fd, h->held_before};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    journal_close(h->journal);
    free(h);
}

/* ---- policy ---- */

/*
 * Since Linux 6.12 a core with a real-time policy yields 5 % to those who wait for it, if somebody
 * does. Before, it is stopped for 5 % of the time in any case; and with that turned off whoever is
 * needed on this core (the kernel's own threads) waits for ever.
 */
bool hold_may_preempt(const char *release, long rt_runtime_us)
{
    unsigned major = 0, minor = 0;
    if (sscanf(release, "%u.%u", &major, &minor) == 2 && major * 100 + minor >= FAIR_SERVER)
        return true;
    return rt_runtime_us < 0; /* the administrator wants it so */
}

static void choose_policy(struct hold *h, bool with_ranks)
{
    char text[64];
    struct utsname u;
    struct rlimit limit = {0, 0};
    long runtime = 0;
    h->realtime = false;
    if (sched_getscheduler(0) != SCHED_OTHER) {
        settings_add(h->settings, policy_row, NULL, NULL, "whoever started lull has set one");
        return;
    }
    if (with_ranks) { /* one that spins for the other's message would do so for 100 ms */
        settings_add(h->settings, policy_row, "SCHED_OTHER", NULL,
                     "ranks share a core: they take Linux's short turns");
        return;
    }
    getrlimit(RLIMIT_RTPRIO, &limit);
    if (geteuid() != 0 && limit.rlim_cur < PRIORITY) {
        h->lacks |= LACK_REALTIME;
        settings_add(h->settings, policy_row, "SCHED_OTHER", NULL,
                     "no right to a real-time priority (ulimit -r)");
        return;
    }
    if (host_read(h->root, "/proc/sys/kernel/sched_rt_runtime_us", text, sizeof text) == 0)
        runtime = strtol(text, NULL, 10);
    if (uname(&u) || !hold_may_preempt(u.release, runtime)) {
        h->lacks |= LACK_REALTIME;
        settings_add(h->settings, policy_row, "SCHED_OTHER", NULL,
                     "before Linux 6.12 such a thread is stopped for 5 % of the time, unless "
                     "kernel.sched_rt_runtime_us is -1");
        return;
    }
    h->realtime = true;
}

/* ---- what the process itself can have ---- */

static void lock_memory(struct hold *h)
{
    /* not what is mapped later: a limit on locked memory would fail the mapping itself, once the
       program has given up its rights */
    if (mlockall(MCL_CURRENT | MCL_ONFAULT) == 0) {
        settings_add(h->settings, "memory of the proxy", "may be paged out", "locked", NULL);
        return;
    }
    h->lacks |= LACK_LOCKED;
    settings_add(h->settings, "memory of the proxy", "may be paged out", NULL,
                 "no right to lock it (ulimit -l)");
}

/* Held as long as the file is open. */
static void hold_latency(struct hold *h)
{
    static const char path[] = "/dev/cpu_dma_latency";
    const int32_t none = 0;
    int32_t before;
    char text[24] = "";
    if (!host_exists(h->root, path))
        return;
    host_step("open", path);
    int fd = openat(h->root, path + 1, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        h->lacks |= LACK_LATENCY;
        settings_add(h->settings, path, NULL, NULL, strerror(errno));
        return;
    }
    h->latency_fd = ownfd_hide(fd);
    if (read(h->latency_fd, &before, sizeof before) == sizeof before)
        snprintf(text, sizeof text, "%d us", before);
    if (write(h->latency_fd, &none, sizeof none) == sizeof none)
        settings_add(h->settings, path, *text ? text : NULL, "0 us", NULL);
    else
        settings_add(h->settings, path, NULL, NULL, strerror(errno));
}

/* ---- what to say ---- */

static const char *lack_words(unsigned lacks, char *out, size_t size)
{
    static const char *const word[] = {"a cpuset of its own",     "interrupts elsewhere",
                                       "kernel work elsewhere",   "a real-time priority",
                                       "locked memory",           "C-states kept off",
                                       "other programs elsewhere"};
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < sizeof word / sizeof *word && at < size; i++) {
        if (lacks >> i & 1)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", word[i]);
    }
    return out;
}

/* One line for all the ranks of a node, and none for what a program executes. */
static void say_lacks(const struct hold *h)
{
    struct launcher l;
    char words[300];
    launcher_read(&l);
    if (!h->lacks || h->opt->exec)
        return;
    if (geteuid() != 0 && l.rank == 0)
        message("without root the isle lacks: %s (lull doctor says more; --isolate=no: no word)",
                lack_words(h->lacks, words, sizeof words));
    else
        verbose("the isle lacks: %s", lack_words(h->lacks, words, sizeof words));
}

static int require(const struct hold *h)
{
    char words[300];
    unsigned needed =
        h->lacks & (LACK_CPUSET | LACK_IRQ | LACK_WORKQUEUES | LACK_REALTIME | LACK_SHIELD);
    /* a program that has given up rights goes on with what it still has */
    if (h->opt->isolate != ISOLATE_REQUIRE || !needed || h->opt->exec)
        return 0;
    message("--isolate=require: not to be had: %s; lull doctor says more",
            lack_words(needed, words, sizeof words));
    return LULL_EXIT_FAILED;
}

static void verbose_tell(void *ctx, const char *path, const char *what)
{
    (void)ctx;
    verbose("%s: %s", path, what ? what : "put back");
}

/* ---- taking ---- */

/* On record, even with nothing to take: for lull ps. */
static int apply(struct hold *h)
{
    int err = h->journal ? journal_apply(h->journal, h->settings) : h->journal_err;
    if (err == 0)
        return 0;
    settings_add(h->settings, "journal", NULL, NULL, strerror(-err));
    verbose("no journal (%s): nothing is changed that would have to be put back", strerror(-err));
    journal_close(h->journal);
    h->journal = NULL;
    h->journal_err = err;
    h->cpuset = CPUSET_NONE;
    return err;
}

void hold_watched(struct hold *h)
{
    if (!h->real || !journal_wants(h->journal) || h->keeper.fd >= 0)
        return;
    int err = keeper_start(&h->keeper, h->journal, &h->linux_cpus);
    if (err)
        verbose("no process gives back what this isle takes if lull is killed (%s): the next lull "
                "does, or lull gc",
                strerror(-err));
}

static void take_shared(struct hold *h)
{
    if (!h->journal) {
        h->lacks |= LACK_CPUSET | LACK_IRQ | LACK_WORKQUEUES;
        apply(h);
        return;
    }
    cpuset_want(h);
    steer_want(h);
    if (h->opt->isolate == ISOLATE_REQUIRE) {
        h->shielded = true;
        cpuset_want_shield(h);
    }
    hold_watched(h);
    if (apply(h))
        h->lacks |= LACK_CPUSET | LACK_IRQ | LACK_WORKQUEUES;
    else if (h->cpuset != CPUSET_NONE)
        cpuset_fill(h);
    keeper_give(&h->keeper, h->home_fd, h->dir_fd);
    if (h->shielded && !cpuset_shielded(h))
        h->lacks |= LACK_SHIELD;
}

/*
 * What is kept off the isle's CPUs is kept off their siblings that stay idle too: whatever runs
 * there takes half of the core. Those of other ranks' cores are these ranks' to hold.
 */
static void add_siblings(struct hold *h, const struct carve_plan *plan)
{
    char path[PATH_MAX], text[4096];
    cpu_set_t siblings;
    for (int c = 0; c < CPU_SETSIZE; c++) {
        if (!CPU_ISSET(c, &plan->idle_cpus) ||
            root_path(path, sizeof path,
                      "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", c) ||
            host_read(h->root, path, text, sizeof text) || mask_read_list(text, &siblings))
            continue;
        if (mask_meets(&siblings, &plan->isle_cpus))
            CPU_SET(c, &h->cpus);
    }
}

int hold_take(struct hold *h, const struct carve_plan *plan, const char *program,
              const char *engine)
{
    struct journal_isle self = {.mem = plan->mem};
    bool some = CPU_COUNT(&plan->linux_cpus) > 0;
    snprintf(self.engine, sizeof self.engine, "%s", engine);
    snprintf(self.program, sizeof self.program, "%s", program);
    h->cpus = plan->isle_cpus;
    add_siblings(h, plan);
    self.cpus = plan->isle_cpus;
    mask_less(&self.idle, &h->cpus, &plan->isle_cpus);
    h->linux_cpus = plan->linux_cpus;
    h->taken = true;
    if (h->journal)
        journal_enter(h->journal, &self);
    if (h->opt->isolate == ISOLATE_NO || !some) {
        apply(h);
        cpuset_find_home(h);
        if (h->opt->isolate == ISOLATE_REQUIRE) {
            message("--isolate=require: no core is left to Linux; ask for fewer with --cpus");
            return LULL_EXIT_FAILED;
        }
        if (h->opt->isolate != ISOLATE_NO)
            settings_add(h->settings, "isolation", NULL, NULL, "no core is left to Linux");
        return 0;
    }
    choose_policy(h, plan->with_ranks);
    take_shared(h);
    lock_memory(h);
    hold_latency(h);
    int rc = require(h);
    if (rc == 0)
        say_lacks(h);
    return rc;
}

/* ---- the cores' threads ---- */

static void note(atomic_int *first, int err)
{
    int none = 0;
    atomic_compare_exchange_strong(first, &none, err);
}

/* "0" is the thread that writes: without the lock over all processes that a number would take. */
static int move(struct hold *h, enum keeper_where where, pid_t tid)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", (int)tid), fd;
    fd = where == KEEPER_HOME ? h->home_fd : h->dir_fd;
    if (fd < 0)
        return keeper_move(&h->keeper, tid, where);
    return write(fd, text, (size_t)n) == n ? 0 : -errno;
}

int hold_core(struct hold *h, pid_t tid, unsigned cpu)
{
    cpu_set_t set;
    if (h->cpuset != CPUSET_NONE) {
        int err = move(h, KEEPER_CORES, tid);
        if (err)
            note(&h->move_err, err);
        else
            atomic_fetch_add(&h->moved, 1);
    } else if (h->home_fd >= 0 || h->keeper.fd >= 0) {
        /* the keeper's: the image before an execve(2) had the right to a cpuset, this one has
           not */
        if (h->home_fd >= 0 || keeper_move(&h->keeper, tid, KEEPER_CORES))
            move(h, KEEPER_HOME, tid); /* from a shield that does not have the CPU */
    }
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(tid, sizeof set, &set))
        return -errno;
    if (h->realtime) {
        /* what it creates is no core; with several isles on one they take turns */
        const struct sched_param p = {.sched_priority = PRIORITY};
        if (sched_setscheduler(tid, POLICY | SCHED_RESET_ON_FORK, &p))
            note(&h->schedule_err, -errno);
        else
            atomic_fetch_add(&h->scheduled, 1);
    }
    return 0;
}

void hold_settle(struct hold *h)
{
    char text[40];
    int err = atomic_load(&h->move_err), n = atomic_load(&h->moved);
    snprintf(text, sizeof text, "%d", n);
    if (h->cpuset != CPUSET_NONE)
        settings_add(h->settings, "threads in the isle's cpuset", "0", err ? NULL : text,
                     err ? strerror(-err) : NULL);
    err = atomic_load(&h->schedule_err);
    if (h->realtime)
        settings_add(h->settings, policy_row, "SCHED_OTHER", err ? NULL : "SCHED_RR, priority 1",
                     err ? strerror(-err) : NULL);
}

void hold_shield(struct hold *h)
{
    if (h->shielded || h->cpuset != CPUSET_V1 || !h->journal)
        return;
    h->shielded = true;
    pthread_mutex_lock(&h->lock);
    if (cpuset_want_shield(h) == 0) {
        int err = journal_apply(h->journal, h->settings);
        if (err)
            settings_add(h->settings, "other processes on the isle's CPUs", NULL, NULL,
                         strerror(-err));
        else
            verbose("other programs are off the isle's CPUs: %s",
                    cpuset_shielded(h) ? "moved aside" : "not possible");
    }
    pthread_mutex_unlock(&h->lock);
}

void hold_before_fork(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
}

void hold_after_fork(struct hold *h)
{
    pthread_mutex_unlock(&h->lock);
}

bool hold_realtime(struct hold *h)
{
    return atomic_load(&h->scheduled) > 0 && atomic_load(&h->schedule_err) == 0;
}

void hold_settings(struct hold *h, struct settings *settings)
{
    h->settings = settings;
}

void hold_fork(struct hold *h)
{
    const struct sched_param normal = {0};
    pthread_mutex_init(&h->lock, NULL);
    keeper_join(&h->keeper);
    if (h->cpuset != CPUSET_NONE || h->keeper.fd >= 0)
        move(h, KEEPER_HOME, 0);
    if (h->realtime)
        sched_setscheduler(0, SCHED_OTHER, &normal);
    if (h->journal && journal_fork(h->journal))
        verbose("a forked isle is on its parent's record");
}

void hold_user_changed(struct hold *h)
{
    uid_t real, effective, saved;
    if (getresuid(&real, &effective, &saved) || !real || !effective || !saved)
        return;
    pthread_mutex_lock(&h->lock);
    int *fds[] = {&h->home_fd, &h->dir_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    pthread_mutex_unlock(&h->lock);
}

static void survive_exec(int fd, bool going)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, going ? 0 : FD_CLOEXEC);
}

static int record_lock(const struct hold *h)
{
    if (h->held_before >= 0)
        return h->held_before;
    return h->journal ? journal_held(h->journal) : -1;
}

void hold_exec_text(const struct hold *h, char text[HOLD_EXEC_TEXT])
{
    snprintf(text, HOLD_EXEC_TEXT, "%d,%d,%d,%d", h->keeper.fd, (int)h->keeper.pid, h->keeper.child,
             record_lock(h));
}

void hold_exec(struct hold *h, bool going)
{
    cpuset_share(h, going);
    survive_exec(h->keeper.fd, going);
    survive_exec(record_lock(h), going);
}

void hold_release(struct hold *h)
{
    const struct journal_isle nothing = {0};
    const bool other = h->held_before >= 0; /* not this journal's */
    /* else its record alone is left, which the next lull removes */
    const bool wants = h->opt->exec || !h->journal || journal_wants(h->journal);
    int err = -EPIPE;
    if (h->released)
        return;
    h->released = true;
    if (h->held_before >= 0)
        close(h->held_before);
    h->held_before = -1;
    if (h->journal && !other && journal_leave_parent(h->journal)) {
        keeper_quit(&h->keeper);
        h->taken = false;
        return;
    }
    if (h->keeper.fd >= 0) {
        if (h->journal && !other)
            journal_let_go(h->journal);
        err = keeper_leave(&h->keeper);
    }
    if (err == -EPIPE || other) { /* there is no keeper, or not of this journal */
        err = 0;
        if (h->journal && (h->taken || h->opt->exec || journal_entered(h->journal))) {
            if (!h->taken)
                journal_enter(h->journal, &nothing);
            err = journal_release(h->journal, verbose_tell, NULL);
        }
    }
    h->taken = false;
    if (err && wants)
        message("what was taken from Linux is not given back (%s): lull gc does it",
                strerror(-err));
}
