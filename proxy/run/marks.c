/* SPDX-License-Identifier: MIT */
/* Snapshots of every counter: at start and end of the run, and of the marked section. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lull/mark.h>

#include "run/run_priv.h"

/* Switches and faults of one vCPU thread, from /proc (its own getrusage is not to be had here). */
static void usage_read(const struct vcpu *v, struct thread_usage *out)
{
    char path[64], line[1024];
    unsigned long long minflt = 0, majflt = 0, ut = 0, st = 0, n;
    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", v->tid);
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f)) {
        char *p = strrchr(line, ')');
        if (p)
            sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %llu %*u %llu %*u %llu %llu", &minflt,
                   &majflt, &ut, &st);
    }
    if (f)
        fclose(f);
    snprintf(path, sizeof path, "/proc/self/task/%d/status", v->tid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1)
            out->nvcsw = n;
        else if (sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1)
            out->nivcsw = n;
    }
    if (f)
        fclose(f);
    uint64_t tick = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    out->minflt = minflt;
    out->majflt = majflt;
    out->utime_us = ut * tick;
    out->stime_us = st * tick;
}

void marks_snapshot(struct run *r, struct report_section *out)
{
    irq_snapshot_free(&out->irq);
    out->valid = true;
    for (unsigned i = 0; i < r->nvcpus; i++) {
        struct lull_core *c = isle_core(&r->isle, i);
        memcpy(out->core[i].exits, r->vcpu[i].exits, sizeof out->core[i].exits);
        memcpy(out->core[i].kcount, c->kcount, sizeof out->core[i].kcount);
        usage_read(&r->vcpu[i], &out->usage[i]);
    }
    irq_snapshot_take(&out->irq, r->req->plan->cpu, r->nvcpus);
}

void marks_subtract(struct run *r, struct report_section *end, const struct report_section *begin)
{
    for (unsigned i = 0; i < r->nvcpus; i++) {
        for (unsigned k = 0; k < EXIT_CAUSES; k++)
            end->core[i].exits[k] -= begin->core[i].exits[k];
        for (unsigned k = 0; k < LULL_K_COUNT; k++)
            end->core[i].kcount[k] -= begin->core[i].kcount[k];
        struct thread_usage *a = &end->usage[i];
        const struct thread_usage *b = &begin->usage[i];
        a->nvcsw -= b->nvcsw;
        a->nivcsw -= b->nivcsw;
        a->minflt -= b->minflt;
        a->majflt -= b->majflt;
        a->utime_us -= b->utime_us;
        a->stime_us -= b->stime_us;
    }
    irq_snapshot_subtract(&end->irq, &begin->irq, r->nvcpus);
}

/*
 * The mark's own exit belongs to neither side: it is counted before the snapshot at the beginning
 * and taken off at the end. Several sections of a run: the last one counts.
 */
int64_t marks_op(struct run *r, uint64_t what)
{
    int64_t ret = 0;
    pthread_mutex_lock(&r->lock);
    if (what == LULL_MARK_BEGIN) {
        r->mark_ns = now_ns();
        marks_snapshot(r, &r->begin);
    } else if (what == LULL_MARK_END && r->mark_ns) {
        uint64_t end = now_ns();
        marks_snapshot(r, &r->section);
        marks_subtract(r, &r->section, &r->begin);
        r->section.seconds = (double)(end - r->mark_ns) / 1e9;
        for (unsigned i = 0; i < r->nvcpus; i++) {
            if (r->section.core[i].exits[LULL_OP_MARK])
                r->section.core[i].exits[LULL_OP_MARK]--;
        }
        r->mark_ns = 0;
    } else {
        ret = -EINVAL;
    }
    pthread_mutex_unlock(&r->lock);
    return ret;
}
