/* SPDX-License-Identifier: MIT */
/* What cores ask of each other: forget translations, stand still while code is changed. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/rseq.h"
#include "sched/thread.h"

static u64 flush_generation; /* atomic */
static u64 stop_generation;  /* atomic; odd: cores must not run application code */
static u64 fence_generation, restart_generation; /* atomic */
static spinlock stop_lock;
static u32 rest; /* atomic; idle cores must do nothing */

void cores_reset(void)
{
    flush_generation = stop_generation = fence_generation = restart_generation = 0;
    stop_lock = (spinlock){0};
    rest = 0;
    for (unsigned i = 0; i < boot_info()->ncores; i++) {
        struct percpu *p = percpu_of(i);
        p->flushed = p->stopped = p->fenced = p->restarted = 0;
        p->fpu_owner = NULL;
        p->prev = NULL;
        p->armed_ns = 0;
        p->slice_on = false;
        p->resting = 0;
    }
}

void cores_ignore_others(void)
{
    for (unsigned i = 0; i < boot_info()->ncores; i++) {
        if (i != this_cpu()->index)
            percpu_of(i)->flushed = ~0ul;
    }
}

static void core_fence(struct percpu *p, u64 gen)
{
    u64 restart = __atomic_load_n(&restart_generation, __ATOMIC_ACQUIRE);
    if (p->restarted != restart && p->cur->rseq)
        thread_set_work(p->cur, WORK_RSEQ);
    p->restarted = restart;
    cpu_serialise();
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&p->fenced, gen, __ATOMIC_RELEASE);
}

void core_serve_requests(void)
{
    struct percpu *p = this_cpu();
    u64 gen = __atomic_load_n(&flush_generation, __ATOMIC_ACQUIRE);
    if (p->flushed != gen) {
        count(LULL_K_FLUSH);
        monitor_call(MONITOR_FLUSH, 0, 0);
        __atomic_store_n(&p->flushed, gen, __ATOMIC_RELEASE);
    }
    gen = __atomic_load_n(&fence_generation, __ATOMIC_ACQUIRE);
    if (p->fenced != gen)
        core_fence(p, gen);
    __atomic_store_n(&p->stopped, __atomic_load_n(&stop_generation, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELEASE);
}

/* A core that idles will look at the bell before it runs application code again. */
static bool core_may_compute(unsigned core)
{
    u32 state = __atomic_load_n(&core_of(core)->state, __ATOMIC_SEQ_CST);
    return state == LULL_CORE_BUSY || state == LULL_CORE_COMPUTES;
}

/* Rings every other core and waits until `seen` of each has reached gen, or it idles. */
static void cores_wait(size_t seen, u64 gen)
{
    unsigned me = this_cpu()->index;
    unsigned n = boot_info()->ncores;
    for (unsigned i = 0; i < n; i++) {
        if (i == me)
            continue;
        __atomic_fetch_or(&core_of(i)->bell, LULL_BELL_KICK, __ATOMIC_SEQ_CST);
        if (core_may_compute(i))
            proxy_call(LULL_OP_KICK, i, 0, 0);
    }
    for (unsigned i = 0; i < n; i++) {
        u64 *p = (u64 *)((char *)percpu_of(i) + seen);
        while (i != me && core_may_compute(i) && __atomic_load_n(p, __ATOMIC_ACQUIRE) < gen) {
            cpu_relax();
            core_serve_requests();
        }
    }
}

void cores_flush(u64 start, u64 pages)
{
    struct percpu *p = this_cpu();
    u64 gen = __atomic_add_fetch(&flush_generation, 1, __ATOMIC_SEQ_CST);
    count(LULL_K_FLUSH);
    if (pages <= 4)
        monitor_call(MONITOR_INVLPG, start, pages);
    else
        monitor_call(MONITOR_FLUSH, 0, 0);
    /* Only if nobody else's change came in between does this flush cover everything. */
    u64 before = gen - 1;
    __atomic_compare_exchange_n(&p->flushed, &before, gen, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    if (boot_info()->ncores > 1)
        cores_wait(offsetof(struct percpu, flushed), gen);
}

void cores_fence(bool restart)
{
    if (restart)
        __atomic_add_fetch(&restart_generation, 1, __ATOMIC_SEQ_CST);
    u64 gen = __atomic_add_fetch(&fence_generation, 1, __ATOMIC_SEQ_CST);
    if (boot_info()->ncores > 1)
        cores_wait(offsetof(struct percpu, fenced), gen);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void cores_stop(void)
{
    spin_lock(&stop_lock);
    u64 gen = __atomic_add_fetch(&stop_generation, 1, __ATOMIC_SEQ_CST);
    if (boot_info()->ncores > 1)
        cores_wait(offsetof(struct percpu, stopped), gen);
}

void cores_resume(void)
{
    __atomic_add_fetch(&stop_generation, 1, __ATOMIC_SEQ_CST);
    spin_unlock(&stop_lock);
}

void core_rest(void)
{
    struct percpu *p = this_cpu();
    while (__atomic_load_n(&rest, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&p->resting, 1, __ATOMIC_RELEASE);
        core_serve_requests();
        cpu_relax();
    }
    __atomic_store_n(&p->resting, 0, __ATOMIC_RELEASE);
}

void cores_rest(bool on)
{
    unsigned me = this_cpu()->index;
    __atomic_store_n(&rest, on, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; on && i < boot_info()->ncores; i++) {
        if (i != me)
            core_ring(i);
        while (i != me && !__atomic_load_n(&percpu_of(i)->resting, __ATOMIC_ACQUIRE)) {
            core_serve_requests();
            cpu_relax();
        }
    }
}

void core_answer_bell(void)
{
    struct percpu *p = this_cpu();
    u32 bell = __atomic_exchange_n(&core_of(p->index)->bell, 0, __ATOMIC_SEQ_CST);
    core_serve_requests();
    if (__atomic_load_n(&stop_generation, __ATOMIC_ACQUIRE) & 1) /* whoever runs next waits too */
        __atomic_fetch_or(&core_of(p->index)->bell, LULL_BELL_KICK, __ATOMIC_SEQ_CST);
    if (bell & LULL_BELL_WINDOW)
        windows_recheck();
    if (bell & LULL_BELL_SIGNAL)
        signals_from_proxy();
    if (bell & LULL_BELL_TIMER) {
        timers_run();
        slice_tick();
    }
    if (runqs[p->index].ninflight)
        forward_reap();
    sched_look();
}

/* From arch/entry.S: something is to be done before the application goes on. */
void leave_with_work(struct frame *f);
void leave_with_work(struct frame *f)
{
    struct thread *t = current();
    if (__atomic_load_n(&this_core()->bell, __ATOMIC_RELAXED))
        core_answer_bell();
    while (__atomic_load_n(&stop_generation, __ATOMIC_ACQUIRE) & 1) {
        core_serve_requests();
        cpu_relax();
    }
    u32 work = __atomic_fetch_and(&t->work, ~WORK_RESCHED, __ATOMIC_SEQ_CST);
    if (work & WORK_RESCHED) {
        u64 switches = this_core()->kcount[LULL_K_SWITCH];
        thread_yield();
        if (this_core()->kcount[LULL_K_SWITCH] != switches)
            count(LULL_K_PREEMPT);
    }
    if (work & WORK_RSEQ)
        rseq_resume(f);
    if (work & (WORK_SIGNAL | WORK_MASK))
        signals_deliver(f);
    f->err |= FR_FULL; /* iretq serialises: code may have been changed */
}

void upcall_handler(struct frame *f);
void upcall_handler(struct frame *f)
{
    (void)f;
    count(LULL_K_UPCALL);
}
