/* SPDX-License-Identifier: MIT */
/*
 * Answers of Linux's that count the proxy where the program is meant: CPU time (the isle's threads,
 * and as system time what Linux's side did for them) and memory (the isle's).
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>

#include "serve/agent.h"
#include "serve/call.h"
#include "serve/view.h"

#define TICKS_NS 10000000u /* USER_HZ is 100 */

static struct timeval to_timeval(uint64_t ns)
{
    return (struct timeval){(time_t)(ns / 1000000000), (long)(ns % 1000000000 / 1000)};
}

struct view_times view_times(const struct view *v, const struct lull_proc *p)
{
    uint64_t on_cores = 0, system = v->server_ns ? v->server_ns(v->ctx, &on_cores) : 0;
    return (struct view_times){p->cpu_ns > on_cores ? p->cpu_ns - on_cores : 0, system};
}

/* Overwrites n bytes of what Linux wrote to argument i. */
static void patch(struct call *c, unsigned i, size_t at, const void *bytes, size_t n)
{
    char *p = call_mem(c, c->user[i], at + n);
    if (p)
        memcpy(p + at, bytes, n);
}

static void patch_rusage(struct call *c, const struct lull_proc *p)
{
    int who = (int)c->user[0];
    if (who != RUSAGE_SELF && who != RUSAGE_THREAD)
        return;
    bool self = who == RUSAGE_SELF;
    struct view_times all = view_times(c->env->view, p);
    struct timeval own = to_timeval(self ? all.user_ns : p->thread_ns),
                   system = to_timeval(self ? all.system_ns : 0);
    patch(c, 1, offsetof(struct rusage, ru_utime), &own, sizeof own);
    patch(c, 1, offsetof(struct rusage, ru_stime), &system, sizeof system);
    struct view_memory memory;
    long switches[2] = {(long)(self ? p->nvcsw : p->thread_nvcsw),
                        (long)(self ? p->nivcsw : p->thread_nivcsw)};
    patch(c, 1, offsetof(struct rusage, ru_nvcsw), switches, sizeof switches);
    if (!view_memory_is_quick(c->env->view) || !view_memory(c, &memory))
        return; /* Linux's number stands: a little of it is lull's own */
    long kib = (long)(memory.highest >> 10);
    patch(c, 1, offsetof(struct rusage, ru_maxrss), &kib, sizeof kib);
}

static void patch_times(struct call *c, const struct lull_proc *p)
{
    struct view_times all = view_times(c->env->view, p);
    clock_t own[2] = {(clock_t)(all.user_ns / TICKS_NS), (clock_t)(all.system_ns / TICKS_NS)};
    if (c->user[0])
        patch(c, 0, offsetof(struct tms, tms_utime), own, sizeof own);
}

static void patch_sysinfo(struct call *c)
{
    const struct view *v = c->env->view;
    struct sysinfo si;
    if (!call_copy_in(c, &si, c->user[0], sizeof si) || si.mem_unit == 0)
        return;
    uint64_t used = v->populated ? v->populated(v->ctx) : 0,
             left = v->mem_limit > used ? v->mem_limit - used : 0;
    if (si.totalram > v->mem_limit / si.mem_unit)
        si.totalram = v->mem_limit / si.mem_unit;
    if (si.freeram > left / si.mem_unit)
        si.freeram = left / si.mem_unit;
    patch(c, 0, offsetof(struct sysinfo, totalram), &si.totalram, sizeof si.totalram);
    patch(c, 0, offsetof(struct sysinfo, freeram), &si.freeram, sizeof si.freeram);
}

void finish_usage(struct call *c)
{
    struct lull_proc p;
    if (!c->env->view || agent_acting())
        return;
    memcpy(&p, c->env->view->proc, sizeof p);
    if (c->nr == SYS_getrusage)
        patch_rusage(c, &p);
    else if (c->nr == SYS_times)
        patch_times(c, &p);
    else
        patch_sysinfo(c);
}
