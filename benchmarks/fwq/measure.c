/* SPDX-License-Identifier: MIT */
#include "fwq/fwq.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/bench.h"
#include "common/tsc.h"

void fwq_work(uint64_t count)
{
    uint64_t x = 3;
    __asm__ volatile(".p2align 6\n"
                     "1:\timul %1, %1\n\t"
                     "dec %0\n\t"
                     "jnz 1b"
                     : "+r"(count), "+r"(x)
                     :
                     : "cc");
}

uint64_t fwq_calibrate(double tsc_hz, uint64_t us)
{
    const uint64_t probe = 200000;
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 50; i++) {
        uint64_t t = tsc_now();
        fwq_work(probe);
        t = tsc_now() - t;
        if (t < best)
            best = t;
    }
    uint64_t count = (uint64_t)((double)us * 1e-6 * tsc_hz * (double)probe / (double)best);
    return count ? count : 1;
}

/* All cores meet; false when the run was cancelled. */
static bool meet(struct fwq_run *r)
{
    unsigned phase = atomic_load_explicit(&r->phase, memory_order_acquire);
    if (atomic_fetch_add_explicit(&r->arrived, 1, memory_order_acq_rel) + 1 == r->ncores) {
        atomic_store_explicit(&r->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&r->phase, phase + 1, memory_order_release);
        return true;
    }
    while (atomic_load_explicit(&r->phase, memory_order_acquire) == phase) {
        if (atomic_load_explicit(&r->cancelled, memory_order_relaxed))
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

static void sample(uint64_t *stamp, uint64_t samples, uint64_t work)
{
    /* one quantum more than needed, so that the first interval has no other instructions */
    for (uint64_t i = 0; i <= samples; i++) {
        stamp[i] = tsc_now();
        fwq_work(work);
    }
}

/* By Linux, this thread; an isle's report says it of its cores, and the call would leave the isle.
 */
static uint64_t preempted(const struct fwq_run *r)
{
    struct rusage u;
    return r->marked || getrusage(RUSAGE_THREAD, &u) ? 0 : (uint64_t)u.ru_nivcsw;
}

static void *core_main(void *arg)
{
    struct fwq_core *c = arg;
    struct fwq_run *r = c->run;
    c->cpu = r->no_pin ? sched_getcpu() : bench_pin("fwq", c->index);
    if (!meet(r))
        return NULL;
    /* warm-up: a tenth of the samples, overwritten later */
    memset(c->stamp, 0, (r->samples + 1) * sizeof *c->stamp);
    sample(c->stamp, r->samples / 10 + 1 < r->samples ? r->samples / 10 + 1 : r->samples, r->work);
    meet(r);
    if (c->index == 0) {
        if (r->interrupts)
            fwq_interrupts_take(r->interrupts, 0);
        r->marked = bench_mark_begin();
    }
    meet(r);
    uint64_t before = preempted(r);
    sample(c->stamp, r->samples, r->work);
    c->preempted = preempted(r) - before;
    meet(r);
    if (c->index == 0) {
        bench_mark_end();
        if (r->interrupts)
            fwq_interrupts_take(r->interrupts, 1);
    }
    meet(r);
    return NULL;
}

int fwq_measure(struct fwq_run *r)
{
    unsigned created = 1;
    for (; created < r->ncores; created++) {
        struct fwq_core *c = &r->core[created];
        int e = pthread_create(&c->thread, NULL, core_main, c);
        if (e) {
            fprintf(stderr, "fwq: cannot create thread %u: %s\n", created, strerror(e));
            atomic_store(&r->cancelled, true);
            break;
        }
    }
    if (created == r->ncores)
        core_main(&r->core[0]);
    for (unsigned i = 1; i < created; i++)
        pthread_join(r->core[i].thread, NULL);
    if (created < r->ncores)
        return -1;
    for (unsigned i = 0; i < r->ncores; i++)
        if (r->core[i].cpu < 0)
            return -1; /* bench_pin said why */
    return 0;
}
