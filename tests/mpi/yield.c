/* SPDX-License-Identifier: MIT */
/*
 * Preloaded by check-mpich where there are more ranks than CPUs, natively and on isles alike: a
 * rank that polls in vain gives its CPU away, where else it would poll on until its time slice
 * (milliseconds) is used up, while the rank that it waits for has no CPU. Nothing else changes.
 * UCX's progress function: openucx.readthedocs.io, ucp_worker_progress.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>

#define VAIN 20 /* polls without an event before the CPU is given away */

unsigned ucp_worker_progress(void *worker);

unsigned ucp_worker_progress(void *worker)
{
    static _Thread_local unsigned vain;
    static unsigned (*next)(void *);
    unsigned (*progress)(void *) = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (!progress) {
        *(void **)&progress = dlsym(RTLD_NEXT, "ucp_worker_progress");
        if (!progress)
            abort();
        __atomic_store_n(&next, progress, __ATOMIC_RELAXED);
    }
    unsigned events = progress(worker);
    vain = events ? 0 : vain + 1;
    if (vain > VAIN)
        sched_yield();
    return events;
}
