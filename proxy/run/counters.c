/* SPDX-License-Identifier: MIT */
/* What Linux counts of the cores' threads and CPUs, from files that were opened before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/run_priv.h"

#define PROC_MAX (1u << 22) /* bytes of a /proc file that are read */

/* The whole file from its beginning, NUL-terminated, in memory of the caller's; NULL. */
static char *read_all(int fd)
{
    size_t done = 0, room = 1u << 14;
    char *buf = fd < 0 ? NULL : malloc(room);
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

static uint64_t tick_us(void)
{
    return 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t number_behind(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    return p ? strtoull(p + strlen(key), NULL, 10) : 0;
}

/* Its own getrusage is not to be had here. */
void counters_read_thread(const struct vcpu *v, struct thread_usage *out)
{
    unsigned long long minflt = 0, majflt = 0, ut = 0, st = 0, run = 0, wait = 0, slices = 0;
    memset(out, 0, sizeof *out);
    char *text = read_all(v->proc_fd[THREAD_STAT]);
    char *p = text ? strrchr(text, ')') : NULL;
    if (p)
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %llu %*u %llu %*u %llu %llu", &minflt, &majflt,
               &ut, &st);
    free(text);
    text = read_all(v->proc_fd[THREAD_STATUS]);
    if (text) {
        out->nvcsw = number_behind(text, "\nvoluntary_ctxt_switches:");
        out->nivcsw = number_behind(text, "\nnonvoluntary_ctxt_switches:");
    }
    free(text);
    text = read_all(v->proc_fd[THREAD_SCHEDSTAT]);
    if (text)
        sscanf(text, "%llu %llu %llu", &run, &wait, &slices);
    free(text);
    out->minflt = minflt;
    out->majflt = majflt;
    out->utime_us = ut * tick_us();
    out->stime_us = st * tick_us();
    out->run_ns = run;
    out->wait_ns = wait;
    out->timeslices = slices;
}

void counters_read_host(const struct run *r, struct report_section *out)
{
    const uint16_t *cpu = r->req->plan->cpu;
    memset(out->host, 0, sizeof out->host);
    for (unsigned i = 0; i < MARKS_HOST_FILES; i++) {
        char *text = read_all(r->host_fd[i]);
        FILE *f = text && *text ? fmemopen(text, strlen(text), "r") : NULL;
        if (f && i == HOST_INTERRUPTS)
            irq_snapshot_read(&out->irq, f, cpu, r->nvcpus);
        else if (f && i == HOST_SOFTIRQS)
            irq_snapshot_read(&out->softirq, f, cpu, r->nvcpus);
        else if (f && i == HOST_STAT)
            host_times_read(out->host, f, cpu, r->nvcpus, tick_us());
        else if (f)
            host_sched_read(out->host, f, cpu, r->nvcpus);
        if (f)
            fclose(f);
        free(text);
    }
}
