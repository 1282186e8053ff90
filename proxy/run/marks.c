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

#define PROC_MAX (1u << 20) /* bytes of a /proc file that are read */

static int open_hidden(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fd : ownfd_hide(fd);
}

void marks_open(struct vcpu *v)
{
    char path[64];
    pid_t pid = getpid(), tid = v->tid;
    if (v->run->ops->vcpu_task)
        v->run->ops->vcpu_task(v->run->engine, v->index, &pid, &tid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    v->stat_fd = open_hidden(path);
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    v->status_fd = open_hidden(path);
}

/* The whole file from its beginning, NUL-terminated, in memory of the caller's; NULL. */
static char *read_all(int fd)
{
    size_t done = 0, room = 1u << 16;
    char *buf = malloc(room);
    while (buf) {
        ssize_t n = pread(fd, buf + done, room - 1 - done, (off_t)done);
        if (n < 0)
            break;
        done += (size_t)n;
        buf[done] = 0;
        if (n == 0)
            return buf;
        if (done + 1 == room) {
            char *more = room < PROC_MAX ? realloc(buf, room * 2) : NULL;
            if (!more)
                break;
            buf = more;
            room *= 2;
        }
    }
    free(buf);
    return NULL;
}

/* Switches and faults of one vCPU thread, from /proc (its own getrusage is not to be had here). */
static void usage_read(const struct vcpu *v, struct thread_usage *out)
{
    unsigned long long minflt = 0, majflt = 0, ut = 0, st = 0;
    memset(out, 0, sizeof *out);
    char *text = read_all(v->stat_fd);
    char *p = text ? strrchr(text, ')') : NULL;
    if (p)
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %llu %*u %llu %*u %llu %llu", &minflt, &majflt,
               &ut, &st);
    free(text);
    text = read_all(v->status_fd);
    p = text ? strstr(text, "\nvoluntary_ctxt_switches:") : NULL;
    if (p)
        out->nvcsw = strtoull(strchr(p, ':') + 1, NULL, 10);
    p = text ? strstr(text, "\nnonvoluntary_ctxt_switches:") : NULL;
    if (p)
        out->nivcsw = strtoull(strchr(p, ':') + 1, NULL, 10);
    free(text);
    uint64_t tick = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    out->minflt = minflt;
    out->majflt = majflt;
    out->utime_us = ut * tick;
    out->stime_us = st * tick;
}

static void irq_read(struct run *r, struct irq_snapshot *out)
{
    char *text = read_all(r->irq_fd);
    FILE *f = text ? fmemopen(text, strlen(text), "r") : NULL;
    if (f) {
        irq_snapshot_read(out, f, r->req->plan->cpu, r->nvcpus);
        fclose(f);
    }
    free(text);
}

void marks_snapshot(struct run *r, struct report_section *out)
{
    irq_snapshot_free(&out->irq);
    out->valid = true;
    for (unsigned i = 0; i < r->nvcpus; i++) {
        struct lull_core *c = isle_core(&r->isle, i);
        memcpy(out->core[i].exits, r->vcpu[i].exits, sizeof out->core[i].exits);
        memcpy(out->core[i].kcount, c->kcount, sizeof out->core[i].kcount);
        for (unsigned k = LULL_K_GETPID; k <= LULL_K_YIELD; k++)
            out->core[i].kcount[LULL_K_SYSCALL_REWRITTEN] += out->core[i].kcount[k];
        usage_read(&r->vcpu[i], &out->usage[i]);
    }
    irq_read(r, &out->irq);
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
