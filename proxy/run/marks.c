/* SPDX-License-Identifier: MIT */
/* Snapshots of every counter: at start and end of the run, and of the marked section. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lull/mark.h>

#include "ownfd.h"
#include "run/run_priv.h"

static int open_hidden(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : ownfd_hide(fd);
}

int marks_begin(struct run *r)
{
    static const char *const name[MARKS_HOST_FILES] = {[HOST_INTERRUPTS] = "/proc/interrupts",
                                                       [HOST_SOFTIRQS] = "/proc/softirqs",
                                                       [HOST_STAT] = "/proc/stat",
                                                       [HOST_SCHEDSTAT] = "/proc/schedstat"};
    for (unsigned i = 0; i < MARKS_HOST_FILES; i++)
        r->host_fd[i] = r->wanted ? open_hidden(name[i]) : -1;
    r->longest_gap = calloc(r->req->plan->ncores, sizeof *r->longest_gap);
    return r->longest_gap ? 0 : -ENOMEM;
}

void marks_open(struct vcpu *v)
{
    static const char *const name[MARKS_THREAD_FILES] = {
        [THREAD_STAT] = "stat", [THREAD_STATUS] = "status", [THREAD_SCHEDSTAT] = "schedstat"};
    struct run *r = v->run;
    char path[64];
    pid_t pid = getpid(), tid = v->tid;
    if (r->ops->vcpu_task)
        r->ops->vcpu_task(r->engine, v->index, &pid, &tid);
    for (unsigned i = 0; i < MARKS_THREAD_FILES; i++) {
        snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, name[i]);
        v->proc_fd[i] = r->wanted ? open_hidden(path) : -1;
    }
    if (r->wanted && r->req->opt->detours)
        switches_open(&v->switches, tid);
}

static void close_all(const int *fd, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

void marks_close_threads(struct run *r)
{
    for (unsigned i = 0; i < r->nvcpus; i++) {
        close_all(r->vcpu[i].proc_fd, MARKS_THREAD_FILES);
        switches_forget(&r->vcpu[i].switches);
    }
}

void marks_close(struct run *r)
{
    marks_close_threads(r);
    close_all(r->host_fd, MARKS_HOST_FILES);
}

/* Both numbers are the isle's: nothing to be relied upon. */
static uint64_t ticks_to_ns(const struct run *r, uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * 1000000 / r->tsc_khz);
}

void marks_next(struct run *r)
{
    unsigned section = atomic_fetch_add(&r->section_no, 1);
    for (unsigned i = 0; i < r->nvcpus; i++) {
        struct lull_core *c = isle_core(&r->isle, i);
        uint64_t longest = c->gaps.longest;
        if (section && c->gaps.section == section && longest > r->longest_gap[i])
            r->longest_gap[i] = longest;
        r->vcpu[i].switches.section_longest = 0;
        if (r->req->opt->detours)
            __atomic_store_n(&c->watch, section + 1, __ATOMIC_RELAXED);
    }
}

/* Of the section that ends now: its own longest times. */
static void core_snapshot(struct run *r, unsigned i, struct core_counts *out)
{
    struct vcpu *v = &r->vcpu[i];
    const struct lull_core *c = isle_core(&r->isle, i);
    const struct lull_gaps *g = &c->gaps;
    unsigned section = atomic_load(&r->section_no);
    memcpy(out->exits, v->exits, sizeof out->exits);
    memcpy(out->kcount, c->kcount, sizeof out->kcount);
    for (unsigned k = LULL_K_GETPID; k <= LULL_K_YIELD; k++)
        out->kcount[LULL_K_SYSCALL_REWRITTEN] += out->kcount[k];
    if (r->ops->counters_read)
        r->ops->counters_read(r->engine, i, out->engine);
    out->outside = (struct time_counts){v->outside_count, v->outside_ns, 0};
    if (v->section == section) {
        out->outside.longest = v->longest[1].ns;
        out->outside_cause = v->longest[1].cause;
    }
    switches_read(&v->switches);
    out->preempted = v->switches.all;
    out->preempted.longest = v->switches.section_longest;
    out->preempted_known = v->switches.page != NULL;
    out->preempted_all = !v->switches.incomplete;
    out->watched = ticks_to_ns(r, g->watched);
    out->gaps = (struct time_counts){g->count, ticks_to_ns(r, g->sum), 0};
    if (g->section == section)
        out->gaps.longest = ticks_to_ns(r, g->longest);
}

/* The reading of the host's files costs this thread faults and time: outside of the section. */
void marks_snapshot(struct run *r, struct report_section *out, bool end)
{
    report_section_free(out);
    out->valid = true;
    if (!end)
        counters_read_host(r, out);
    for (unsigned i = 0; i < r->nvcpus; i++) {
        core_snapshot(r, i, &out->core[i]);
        counters_read_thread(&r->vcpu[i], &out->usage[i]);
    }
    if (end)
        counters_read_host(r, out);
}

void marks_whole_run(struct run *r, struct report_section *s)
{
    marks_next(r);
    for (unsigned i = 0; i < r->nvcpus; i++) {
        s->core[i].gaps.longest = ticks_to_ns(r, r->longest_gap[i]);
        s->core[i].preempted.longest = r->vcpu[i].switches.all.longest;
        s->core[i].outside.longest = r->vcpu[i].longest[0].ns;
        s->core[i].outside_cause = r->vcpu[i].longest[0].cause;
    }
}

static void usage_subtract(struct thread_usage *a, const struct thread_usage *b)
{
    a->nvcsw -= b->nvcsw;
    a->nivcsw -= b->nivcsw;
    a->minflt -= b->minflt;
    a->majflt -= b->majflt;
    a->utime_us -= b->utime_us;
    a->stime_us -= b->stime_us;
    a->run_ns -= b->run_ns;
    a->wait_ns -= b->wait_ns;
    a->timeslices -= b->timeslices;
}

static void host_subtract(struct host_cpu *a, const struct host_cpu *b)
{
    for (unsigned t = 0; t < CPU_TIMES; t++) /* idle and iowait have gone backwards on some Linux */
        a->time_us[t] = a->time_us[t] > b->time_us[t] ? a->time_us[t] - b->time_us[t] : 0;
    a->run_ns -= b->run_ns;
    a->wait_ns -= b->wait_ns;
    a->timeslices -= b->timeslices;
}

void marks_subtract(struct run *r, struct report_section *end, const struct report_section *begin)
{
    for (unsigned i = 0; i < r->nvcpus; i++) {
        struct core_counts *a = &end->core[i];
        const struct core_counts *b = &begin->core[i];
        for (unsigned k = 0; k < EXIT_CAUSES; k++)
            a->exits[k] -= b->exits[k];
        for (unsigned k = 0; k < LULL_K_COUNT; k++)
            a->kcount[k] -= b->kcount[k];
        for (unsigned k = 0; k < ENGINE_COUNTERS_MAX; k++)
            a->engine[k] -= b->engine[k];
        a->outside.count -= b->outside.count;
        a->outside.total -= b->outside.total;
        a->preempted.count -= b->preempted.count;
        a->preempted.total -= b->preempted.total;
        a->gaps.count -= b->gaps.count;
        a->gaps.total -= b->gaps.total;
        a->watched -= b->watched;
        usage_subtract(&end->usage[i], &begin->usage[i]);
        host_subtract(&end->host[i], &begin->host[i]);
    }
    irq_snapshot_subtract(&end->irq, &begin->irq, r->nvcpus);
    irq_snapshot_subtract(&end->softirq, &begin->softirq, r->nvcpus);
}

/*
 * The mark's own exit belongs to neither side: it is counted before the snapshot at the beginning
 * and taken off at the end. Several sections of a run: the last one counts.
 */
static void section_end(struct run *r)
{
    uint64_t end = now_ns();
    marks_snapshot(r, &r->section, true);
    marks_subtract(r, &r->section, &r->begin);
    marks_next(r);
    r->section.seconds = (double)(end - r->mark_ns) / 1e9;
    for (unsigned i = 0; i < r->nvcpus; i++) {
        if (r->section.core[i].exits[LULL_OP_MARK])
            r->section.core[i].exits[LULL_OP_MARK]--;
    }
}

int64_t marks_op(struct run *r, uint64_t what)
{
    int64_t ret = 0;
    pthread_mutex_lock(&r->lock);
    if (what == LULL_MARK_BEGIN) {
        r->mark_ns = now_ns();
        if (r->wanted) {
            marks_snapshot(r, &r->begin, false);
            marks_next(r);
        }
    } else if (what == LULL_MARK_END && r->mark_ns) {
        if (r->wanted)
            section_end(r);
        r->mark_ns = 0;
    } else {
        ret = -EINVAL;
    }
    pthread_mutex_unlock(&r->lock);
    return ret;
}
