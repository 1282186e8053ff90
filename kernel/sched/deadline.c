/* SPDX-License-Identifier: MIT */
/*
 * SCHED_DEADLINE (sched(7)). Threads of one core run by the earliest deadline, each within a budget
 * for each period (constant bandwidth server). dl.timer has two uses: it ends the budget while the
 * thread runs, and the throttling while the thread waits for its next period. It is armed on the
 * core of the thread only, because it is started where the thread is current. RECLAIM is accepted
 * and reclaims nothing.
 */
#include "sched/deadline.h"

#include "kernel.h"
#include "signal/signal_priv.h"

#define BW_SHIFT 20
/* 95 % (sched_rt_runtime_us by default; lull itself sets Linux's to -1 for a run) without the 5 %
   that Linux's fair server has of it since 6.12. */
#define BW_CORE (((950000ul << BW_SHIFT) / 1000000) - ((50000ul << BW_SHIFT) / 1000000))

/* A share of a core in units of 2^-20, rounded as Linux rounds it. */
static u64 share(u64 runtime, u64 period)
{
    return (runtime << BW_SHIFT) / period;
}

#define ALL_CORES (-1)

/* What the deadline threads of a core, or of ALL_CORES, other than t have. Under threads_lock. */
static u64 load_of(i32 core, const struct thread *t)
{
    u64 sum = 0;
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        const struct thread *x = CONTAINER(l, struct thread, all);
        i32 at = x->migrate_to >= 0 ? x->migrate_to : (i32)x->core;
        if (x != t && x->policy == SCHED_DEADLINE && (core == ALL_CORES || at == core))
            sum += share(x->dl.runtime, x->dl.period);
    }
    return sum;
}

bool deadline_admits(const struct thread *t, const struct deadline *want)
{
    u64 sum = load_of(ALL_CORES, t) + share(want->runtime, want->period);
    return sum <= BW_CORE * boot_info()->ncores;
}

/* Its own core if there is room, else the one with the most room. Under threads_lock. */
static unsigned choose_core(const struct thread *t)
{
    unsigned best = t->core;
    u64 least = load_of((i32)best, t);
    if (least + share(t->dl.runtime, t->dl.period) <= BW_CORE)
        return best;
    for (unsigned i = 0; i < boot_info()->ncores; i++) {
        u64 load = load_of((i32)i, t);
        if (load < least) {
            least = load;
            best = i;
        }
    }
    return best;
}

/* Under the run queue's lock. */
static void charge(struct thread *t)
{
    u64 tsc = rdtsc();
    t->dl.left -= (i64)tsc_to_ns(tsc - t->dl.from);
    t->dl.from = tsc;
}

static void replenish(struct thread *t, u64 now)
{
    struct deadline *d = &t->dl;
    u64 periods = d->left > 0 ? 1 : (u64)-d->left / d->runtime + 1;
    d->until += periods * d->period;
    d->left += (i64)(periods * d->runtime);
    if (d->until < now) {
        d->until = now + d->deadline;
        d->left = (i64)d->runtime;
    }
    d->throttled = false;
}

static u64 next_period(const struct deadline *d)
{
    return d->until - d->deadline + d->period;
}

static void timer_fired(struct timer *tm)
{
    struct sigshort info = {.code = SI_KERNEL};
    struct thread *t = CONTAINER(tm, struct thread, dl.timer);
    struct runq *q = thread_lock_runq(t);
    u32 core = t->core;
    bool queued = false, over = false, runs = t == current() && deadline_bound(t);
    if (t->policy == SCHED_DEADLINE && t->dl.throttled) {
        runs = false;
        replenish(t, clock_mono());
        queued = t->state == THREAD_READY && list_empty(&t->rq);
        if (queued)
            queue_push(q, t, true);
    } else if (runs) {
        charge(t);
        over = t->dl.left <= 0;
    }
    spin_unlock(&q->lock);
    if (queued)
        core_notice(core, t);
    if (over) {
        thread_set_work(t, WORK_RESCHED);
        if (t->dl.flags & DEADLINE_OVERRUN)
            signal_send(NULL, SIGXCPU, &info);
    } else if (runs) {
        deadline_watch(t);
    }
}

void deadline_wake(struct thread *t)
{
    struct deadline *d = &t->dl;
    u64 now = clock_mono();
    if (d->throttled || t->on_cpu)
        return;
    if (d->until <= now) {
        if (d->deadline < d->period && now < next_period(d)) {
            d->left = 0; /* it is throttled as soon as it runs */
        } else {
            d->until = now + d->deadline;
            d->left = (i64)d->runtime;
        }
        return;
    }
    /* what is left must not be a greater share than the thread has */
    u64 left = d->left > 0 ? (u64)d->left : 0;
    if (left * d->deadline <= (d->until - now) * d->runtime)
        return;
    if (d->deadline < d->period) {
        d->left = (i64)((d->until - now) * d->runtime / d->deadline);
    } else {
        d->until = now + d->deadline;
        d->left = (i64)d->runtime;
    }
}

void deadline_settle(struct thread *t)
{
    struct runq *q = thread_lock_runq(t);
    u64 until = 0, now = clock_mono();
    if (deadline_bound(t) && !t->dl.throttled) {
        charge(t);
        if (t->dl.left <= 0) {
            bool queued = t->state == THREAD_READY; /* woken before it stopped */
            until = next_period(&t->dl);
            if (queued)
                queue_remove(q, t);
            if (until > now)
                t->dl.throttled = true;
            else
                replenish(t, now);
            if (queued)
                queue_push(q, t, true);
        }
    }
    spin_unlock(&q->lock);
    if (until > now)
        timer_start(&t->dl.timer, until);
}

void deadline_watch(struct thread *t)
{
    if (!deadline_bound(t) || t->dl.timer.queued || t->dl.throttled)
        return;
    timer_start(&t->dl.timer, clock_mono() + max_u64(t->dl.left > 0 ? (u64)t->dl.left : 0, 1));
}

void deadline_yield(void)
{
    struct thread *t = current();
    struct runq *q = thread_lock_runq(t);
    charge(t);
    if (t->dl.left > 0)
        t->dl.left = 0;
    spin_unlock(&q->lock);
    schedule();
}

void deadline_enter(struct thread *t, const struct deadline *want)
{
    struct deadline *d = &t->dl;
    bool is = t->policy == SCHED_DEADLINE;
    struct runq *q = thread_lock_runq(t);
    d->runtime = want->runtime;
    d->deadline = want->deadline;
    d->period = want->period;
    d->flags = want->flags;
    if (!is) { /* otherwise the rest of this period stays as it was */
        bool queued = !list_empty(&t->rq);
        if (queued)
            queue_remove(q, t);
        d->throttled = false;
        d->from = rdtsc();
        d->left = (i64)d->runtime;
        d->until = clock_mono() + d->deadline;
        d->timer.fire = timer_fired;
        t->policy = SCHED_DEADLINE;
        if (queued)
            queue_push(q, t, true);
    }
    spin_unlock(&q->lock);
}

void deadline_place(struct thread *t)
{
    unsigned core = choose_core(t);
    if (core != t->core)
        thread_move(t, core);
    thread_set_work(t, WORK_RESCHED);
    if (t != current())
        core_ring(t->core);
}

void deadline_leave(struct thread *t, u32 policy)
{
    timer_cancel(&t->dl.timer);
    struct runq *q = thread_lock_runq(t);
    bool ready = t->state == THREAD_READY;
    if (ready)
        queue_remove(q, t);
    t->policy = policy;
    t->dl.throttled = false;
    t->dl.until = t->dl.runtime = t->dl.deadline = t->dl.period = t->dl.flags = 0;
    if (ready)
        queue_push(q, t, true);
    u32 core = t->core;
    spin_unlock(&q->lock);
    if (ready)
        core_notice(core, t);
}
