/* SPDX-License-Identifier: MIT */
/* Deadlines and time slices. A core that computes is kicked by a timer of the proxy, which is armed
   only while somebody waits; an idle core looks at the clock, or parks until its first deadline. */
#include "kernel.h"
#include "sched/thread.h"

#define RUN_LEAST_US 200 /* more than a kick costs, on nested machines too */

u64 deadline_on(u64 clock, u64 ns)
{
    return clock | min_u64(ns, DEADLINE_NS_MAX);
}

u64 deadline_mono(u64 deadline)
{
    u64 clock = deadline & (DEADLINE_REAL | DEADLINE_TAI), ns = deadline & DEADLINE_NS_MAX;
    if (!clock || deadline == NEVER)
        return deadline;
    u64 now = clock == DEADLINE_REAL ? clock_real() : clock_tai();
    return ns > now ? clock_mono() + (ns - now) : 1;
}

/* Deadlines of a core, ascending: under its run queue's lock. */
static void timer_insert(struct runq *q, struct timer *tm)
{
    tm->deadline = deadline_mono(tm->wanted);
    struct list *at = q->timers.next;
    while (at != &q->timers && CONTAINER(at, struct timer, link)->deadline <= tm->deadline)
        at = at->next;
    list_add_tail(at, &tm->link); /* before `at` */
    tm->queued = true;
}

u64 timer_first(struct runq *q)
{
    if (list_empty(&q->timers))
        return NEVER;
    return CONTAINER(q->timers.next, struct timer, link)->deadline;
}

void timer_cancel(struct timer *tm)
{
    struct runq *q = &runqs[tm->core];
    spin_lock(&q->lock);
    if (tm->queued) {
        list_del(&tm->link);
        tm->queued = false;
    }
    spin_unlock(&q->lock);
}

static struct list kept;

void timers_take(void)
{
    list_init(&kept);
    for (unsigned i = 0; i < boot_info()->ncores; i++) {
        struct runq *q = &runqs[i];
        spin_lock(&q->lock);
        while (!list_empty(&q->timers)) {
            struct list *first = q->timers.next;
            list_del(first);
            list_add_tail(&kept, first);
        }
        spin_unlock(&q->lock);
    }
}

void timers_put(void)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    spin_lock(&q->lock);
    while (!list_empty(&kept)) {
        struct timer *tm = CONTAINER(kept.next, struct timer, link);
        list_del(&tm->link);
        tm->core = p->index;
        timer_insert(q, tm);
    }
    spin_unlock(&q->lock);
    deadline_arm(p, q);
}

/* Somebody has set a clock: its points in time are elsewhere now. Under the run queue's lock. */
static void timers_sort(struct runq *q)
{
    struct list all;
    list_init(&all);
    while (!list_empty(&q->timers)) {
        struct list *l = q->timers.next;
        list_del(l);
        list_add_tail(&all, l);
    }
    while (!list_empty(&all)) {
        struct list *l = all.next;
        list_del(l);
        timer_insert(q, CONTAINER(l, struct timer, link));
    }
}

void timers_run(void)
{
    struct runq *q = &runqs[this_cpu()->index];
    if (list_empty(&q->timers))
        return;
    if (q->clock_sets != clock_sets()) {
        spin_lock(&q->lock);
        q->clock_sets = clock_sets();
        timers_sort(q);
        spin_unlock(&q->lock);
    }
    for (;;) {
        spin_lock(&q->lock);
        struct thread *t = NULL;
        struct timer *tm = NULL;
        void (*call)(struct timer *) = NULL;
        if (timer_first(q) <= clock_mono()) {
            tm = CONTAINER(q->timers.next, struct timer, link);
            list_del(&tm->link);
            tm->queued = false;
            tm->fired = true;
            t = tm->thread;
            call = tm->fire;
        }
        spin_unlock(&q->lock);
        if (!tm)
            return;
        if (call)
            call(tm);
        else
            thread_wake(t);
    }
}

/* When the proxy's timer rings next, as it is set now; NEVER: not at all. Under timer_lock. */
static u64 next_kick(const struct percpu *p, u64 now)
{
    if (!p->armed_ns)
        return NEVER;
    if (p->armed_ns > now)
        return p->armed_ns;
    u64 slice = boot_info()->slice_ns;
    return p->slice_on ? p->armed_ns + ((now - p->armed_ns) / slice + 1) * slice : NEVER;
}

/* The time slice of a core: the proxy's timer repeats while more than one thread wants to run. */
void slice_arm(unsigned core)
{
    struct percpu *p = percpu_of(core);
    struct runq *q = &runqs[core];
    if (__atomic_load_n(&p->slice_on, __ATOMIC_SEQ_CST))
        return;
    spin_lock(&q->timer_lock);
    if (!p->slice_on) {
        u64 slice = boot_info()->slice_ns, now = clock_mono();
        p->armed_ns = min_u64(now + slice, next_kick(p, now)); /* somebody's deadline stays */
        p->slice_on = true;
        proxy_call(LULL_OP_TIMER, core, p->armed_ns, slice);
    }
    spin_unlock(&q->timer_lock);
}

void slice_disarm(void)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    if (!__atomic_load_n(&p->slice_on, __ATOMIC_SEQ_CST))
        return;
    spin_lock(&q->timer_lock);
    p->slice_on = false;
    p->armed_ns = 0;
    proxy_call(LULL_OP_TIMER, p->index, 0, 0);
    spin_unlock(&q->timer_lock);
}

/* ns until the thread that runs on this core has had it for RUN_LEAST_US. */
static u64 run_left(const struct percpu *p)
{
    u64 khz = boot_info()->tsc_khz, least = khz * RUN_LEAST_US / 1000;
    u64 ran = rdtsc() - p->cur->switched_in;
    return p->cur->is_idle || ran >= least ? 0 : (least - ran) * 1000000 / khz;
}

/*
 * The time of the next kick for a deadline on this core, NEVER: none. A deadline that only wakes a
 * thread of no higher priority waits until the running one has had RUN_LEAST_US, because a kick
 * takes longer than a short sleep: threads that sleep shortly, one after the other, would stop it
 * each time before it reaches its program.
 */
static u64 deadline_next(const struct percpu *p, struct runq *q)
{
    if (list_empty(&q->timers))
        return NEVER;
    u64 left = run_left(p), least = left ? clock_mono() + left : 0, at = NEVER;
    spin_lock(&q->lock);
    for (struct list *l = q->timers.next; l != &q->timers && at == NEVER; l = l->next) {
        const struct timer *tm = CONTAINER(l, struct timer, link);
        if (tm->deadline >= least || tm->fire || tm->thread->prio > p->cur->prio)
            at = tm->deadline;
    }
    if (timer_first(q) < least)
        at = min_u64(at, least);
    spin_unlock(&q->lock);
    return at;
}

/* Is a kick needed for somebody's deadline while this core computes? */
void deadline_arm(struct percpu *p, struct runq *q)
{
    u64 first = deadline_next(p, q);
    if (first == NEVER)
        return;
    spin_lock(&q->timer_lock);
    if (first < next_kick(p, clock_mono())) {
        p->armed_ns = first;
        proxy_call(LULL_OP_TIMER, p->index, first, p->slice_on ? boot_info()->slice_ns : 0);
    }
    spin_unlock(&q->timer_lock);
}

/* The proxy's timer rang on this core. */
void slice_tick(void)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    if (!__atomic_load_n(&q->nready, __ATOMIC_SEQ_CST)) {
        slice_disarm();
    } else if (!p->cur->is_idle) {
        /* a SCHED_FIFO one runs until it blocks or yields (sched(7)) */
        if (sched_fair_tick(p, q) ||
            (p->cur->policy != SCHED_FIFO && !run_left(p) && !sched_keeps_turn(q, p->cur)))
            thread_set_work(p->cur, WORK_RESCHED);
        slice_arm(p->index);
    }
    if (!p->cur->is_idle)
        deadline_arm(p, q);
}

long thread_resumes(u32 nr, u64 end_ns)
{
    current()->resume.nr = nr;
    current()->resume.end = end_ns;
    return -ERESTART_BLOCK;
}

void timer_start(struct timer *tm, u64 deadline)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    timer_cancel(tm);
    spin_lock(&q->lock);
    tm->wanted = deadline;
    tm->fired = false;
    tm->core = p->index;
    timer_insert(q, tm);
    spin_unlock(&q->lock);
    deadline_arm(p, q); /* this core may compute until then */
}

bool thread_block_until(u64 deadline)
{
    struct thread *t = current();
    struct timer *tm = &t->timer;
    if (deadline == NEVER) {
        schedule();
        return true;
    }
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    spin_lock(&q->lock);
    tm->wanted = deadline;
    tm->thread = t;
    tm->fired = false;
    tm->core = p->index;
    timer_insert(q, tm);
    spin_unlock(&q->lock);
    schedule();
    timer_cancel(tm);
    return !tm->fired;
}
