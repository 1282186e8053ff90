/* SPDX-License-Identifier: MIT */
/* Run queues: one a core, priority round robin, no migration but by request. */
#include "sched/thread.h"

#include <lull/maps.h>

#include "kernel.h"
#include "sched/child.h"
#include "sched/deadline.h"
#include "sched/rseq.h"

struct runq runqs[LULL_MAX_CORES];

/* Where a thread with PRIO_DEADLINE stands: behind those of the same or an earlier deadline. */
static struct list *deadline_position(struct runq *q, const struct thread *t)
{
    struct list *head = &q->queue[PRIO_DEADLINE], *at = head->next;
    while (at != head && CONTAINER(at, struct thread, rq)->dl.until <= t->dl.until)
        at = at->next;
    return at;
}

/* A throttled thread is ready, but nowhere. */
void queue_push(struct runq *q, struct thread *t, bool tail)
{
    if (deadline_throttled(t))
        return;
    if (t->prio == PRIO_DEADLINE)
        list_add_tail(deadline_position(q, t), &t->rq);
    else if (tail)
        list_add_tail(&q->queue[t->prio], &t->rq);
    else
        list_add(&q->queue[t->prio], &t->rq);
    q->bitmap[t->prio / 64] |= 1ul << (t->prio % 64);
    q->nready++;
}

/* Nothing when it is not queued: a thread on its way to another core is ready, but nowhere. */
void queue_remove(struct runq *q, struct thread *t)
{
    if (list_empty(&t->rq))
        return;
    list_del(&t->rq);
    if (list_empty(&q->queue[t->prio]))
        q->bitmap[t->prio / 64] &= ~(1ul << (t->prio % 64));
    q->nready--;
}

static int queue_best(const struct runq *q)
{
    if (q->bitmap[1])
        return 127 - __builtin_clzl(q->bitmap[1]);
    if (q->bitmap[0])
        return 63 - __builtin_clzl(q->bitmap[0]);
    return -1;
}

void sched_init_core(unsigned index)
{
    struct runq *q = &runqs[index];
    for (unsigned i = 0; i <= PRIO_LAST; i++)
        list_init(&q->queue[i]);
    list_init(&q->timers);
}

/* Locks the run queue of the core that t is on, which may change until it is locked. */
struct runq *thread_lock_runq(struct thread *t)
{
    for (;;) {
        u32 core = __atomic_load_n(&t->core, __ATOMIC_ACQUIRE);
        struct runq *q = &runqs[core];
        spin_lock(&q->lock);
        if (t->core == core)
            return q;
        spin_unlock(&q->lock);
    }
}

void core_ring(unsigned core)
{
    struct lull_core *c = core_of(core);
    __atomic_fetch_or(&c->bell, LULL_BELL_KICK, __ATOMIC_SEQ_CST);
    if (core == this_cpu()->index)
        return;
    if (__atomic_load_n(&c->state, __ATOMIC_SEQ_CST) != LULL_CORE_IDLE)
        proxy_call(LULL_OP_KICK, core, 0, 0);
}

/* t has just been queued on `core`: make that core notice, as cheaply as its state allows. */
void core_notice(unsigned core, const struct thread *t)
{
    struct percpu *p = percpu_of(core);
    struct lull_core *c = core_of(core);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    struct thread *cur = __atomic_load_n(&p->cur, __ATOMIC_RELAXED);
    u32 state = __atomic_load_n(&c->state, __ATOMIC_RELAXED);
    if (state == LULL_CORE_IDLE)
        return;
    if (state == LULL_CORE_PARKED) {
        core_ring(core);
        return;
    }
    if (cur->is_idle || cur == t)
        return;
    if (t->prio > cur->prio || deadline_sooner(t, cur)) {
        thread_set_work(cur, WORK_RESCHED);
        if (core != this_cpu()->index)
            core_ring(core);
    } else {
        slice_arm(core);
    }
}

void thread_show_waiting(const struct thread *t, bool waits)
{
    if (t->tid == (i32)boot_info()->pid)
        __atomic_store_n(&((struct lull_threads *)LULL_THREAD_TABLE)->main_waits, waits,
                         __ATOMIC_RELAXED);
}

void thread_start(struct thread *t)
{
    struct runq *q = thread_lock_runq(t);
    t->state = THREAD_READY;
    queue_push(q, t, true);
    u32 core = t->core;
    spin_unlock(&q->lock);
    core_notice(core, t);
}

void thread_wake(struct thread *t)
{
    struct runq *q = thread_lock_runq(t);
    bool woken = t->state == THREAD_BLOCKED;
    u32 core = t->core;
    if (woken) {
        t->state = THREAD_READY;
        thread_show_waiting(t, false);
        if (t->policy == SCHED_DEADLINE)
            deadline_wake(t);
        queue_push(q, t, true);
    }
    spin_unlock(&q->lock);
    if (woken)
        core_notice(core, t);
}

void thread_interrupt(struct thread *t)
{
    thread_set_work(t, WORK_SIGNAL);
    if (t == current())
        return;
    thread_wake(t);
    if (t->fwd_slot >= 0)
        forward_cancel(t);
    if (__atomic_load_n(&t->state, __ATOMIC_SEQ_CST) == THREAD_RUNNING)
        core_ring(t->core);
}

void thread_prepare_block(void)
{
    struct thread *t = current();
    struct runq *q = thread_lock_runq(t);
    t->state = THREAD_BLOCKED;
    thread_show_waiting(t, true);
    spin_unlock(&q->lock);
}

void thread_cancel_block(void)
{
    struct thread *t = current();
    struct runq *q = thread_lock_runq(t);
    if (t->state == THREAD_READY)
        queue_remove(q, t);
    t->state = THREAD_RUNNING;
    thread_show_waiting(t, false);
    spin_unlock(&q->lock);
}

/* Does the first deadline thread that is queued go before t? */
static bool sooner_waits(struct runq *q, const struct thread *t)
{
    struct list *first = q->queue[PRIO_DEADLINE].next;
    return t->prio == PRIO_DEADLINE && first != &q->queue[PRIO_DEADLINE] &&
           deadline_sooner(CONTAINER(first, struct thread, rq), t);
}

void sched_look(void)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    if (!p->cur->is_idle && (queue_best(q) > (int)p->cur->prio || sooner_waits(q, p->cur)))
        thread_set_work(p->cur, WORK_RESCHED);
}

/*
 * A thread is about to run here. Whoever queues another one, or answers a call, after the state of
 * the core was set sees that it is busy and rings; what came before is seen here.
 */
static void before_run(struct percpu *p)
{
    struct runq *q = &runqs[p->index];
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->ninflight)
        forward_reap();
    if (__atomic_load_n(&q->nready, __ATOMIC_SEQ_CST))
        slice_arm(p->index);
    if (p->cur->policy == SCHED_DEADLINE)
        deadline_watch(p->cur);
    deadline_arm(p, q);
    sched_look();
}

/* ---- switching ---- */

void thread_save_segments(struct thread *t)
{
    t->fsbase = read_fsbase();
    t->gsbase = read_gsbase();
    t->seg = read_segments();
}

static void load_segments(const struct thread *t)
{
    if (!same_segments(read_segments(), t->seg))
        write_segments(t->seg);
    write_fsbase(t->fsbase);
    write_gsbase(t->gsbase);
}

static void fpu_save(struct thread *t)
{
    if (!t->fpu_live)
        return;
    cpu_xsave(thread_xsave(t), machine.xcr0);
    t->fpu_live = false;
    this_cpu()->fpu_owner = NULL;
}

static void fpu_switch(struct percpu *p, struct thread *next)
{
    if (next->is_idle || p->fpu_owner == next)
        return;
    if (p->fpu_owner)
        fpu_save(p->fpu_owner);
    cpu_xrstor(thread_xsave(next), machine.xcr0);
    p->fpu_owner = next;
    next->fpu_live = true;
}

/* t->core is `core` since a moment ago: it may have been woken, or have moved on, meanwhile. */
static void arrive(struct thread *t, unsigned core, bool ready)
{
    struct runq *q = &runqs[core];
    spin_lock(&q->lock);
    q->nthreads++;
    spin_unlock(&q->lock);
    if (!ready)
        return;
    q = thread_lock_runq(t);
    if (t->state == THREAD_READY && list_empty(&t->rq))
        queue_push(q, t, true);
    core = t->core;
    spin_unlock(&q->lock);
    core_notice(core, t);
}

static void prev_out(struct percpu *p, struct thread *prev)
{
    struct runq *q = &runqs[p->index];
    i32 target = prev->migrate_to;
    bool dead = prev->state == THREAD_DEAD;
    if (target >= 0 && !dead) {
        fpu_save(prev);
        spin_lock(&q->lock);
        prev->migrate_to = -1;
        bool ready = prev->state == THREAD_READY;
        if (ready)
            queue_remove(q, prev);
        q->nthreads--;
        __atomic_store_n(&prev->core, (u32)target, __ATOMIC_RELEASE);
        __atomic_store_n(&prev->on_cpu, 0, __ATOMIC_RELEASE);
        spin_unlock(&q->lock);
        arrive(prev, (unsigned)target, ready);
        return;
    }
    __atomic_store_n(&prev->on_cpu, 0, __ATOMIC_RELEASE);
    if (dead)
        thread_free(prev);
}

/* First thing on the new thread's stack: the old one is out of the core now. */
void thread_switched(void)
{
    struct percpu *p = this_cpu();
    struct thread *prev = p->prev;
    p->prev = NULL;
    if (prev)
        prev_out(p, prev);
    if (p->cur->is_idle)
        return;
    before_run(p);
    if (p->cur->rseq)
        rseq_switched(p->cur);
}

static void switch_to(struct percpu *p, struct thread *prev, struct thread *next)
{
    while (__atomic_load_n(&next->on_cpu, __ATOMIC_ACQUIRE)) {
        cpu_relax();
        core_serve_requests();
    }
    count(LULL_K_SWITCH);
    u64 tsc = rdtsc();
    prev->cpu_ticks += tsc - prev->switched_in;
    if (prev->state == THREAD_READY)
        prev->nivcsw++;
    else
        prev->nvcsw++;
    next->switched_in = tsc;
    if (prev->policy == SCHED_DEADLINE && !prev->dl.throttled)
        timer_cancel(&prev->dl.timer);
    if (next->policy == SCHED_DEADLINE)
        next->dl.from = tsc;
    if (prev->fpu_live && (prev->migrate_to >= 0 || prev->state == THREAD_DEAD)) {
        if (prev->state == THREAD_DEAD) {
            prev->fpu_live = false;
            p->fpu_owner = NULL;
        } else {
            fpu_save(prev);
        }
    }
    if (!prev->is_idle)
        thread_save_segments(prev);
    fpu_switch(p, next);
    if (!next->is_idle)
        load_segments(next);
    __atomic_store_n(&next->on_cpu, 1, __ATOMIC_RELAXED);
    p->cur = next;
    if (prev->child || next->child)
        p->pid = next->child ? (u32)next->child->pid : boot_info()->pid;
    p->ktop = next->ktop;
    p->prev = prev;
    context_switch(&prev->ksp, next->ksp);
    thread_switched();
}

static void core_set_state(struct percpu *p, const struct thread *next)
{
    u32 state = LULL_CORE_BUSY;
    if (next->is_idle)
        state = LULL_CORE_IDLE;
    else if (runqs[p->index].ninflight)
        state = LULL_CORE_COMPUTES;
    __atomic_store_n(&core_of(p->index)->state, state, __ATOMIC_SEQ_CST);
}

#define FAIR_WAIT_NS 950000000u
#define FAIR_RUN_NS 50000000u

bool sched_fair_tick(struct percpu *p, struct runq *q)
{
    u64 now = clock_mono();
    if (q->fair_ns) {
        if (now < q->fair_ns)
            return false;
        q->fair_ns = q->starved_ns = 0;
        return true;
    }
    if (!p->cur->prio || list_empty(&q->queue[0])) {
        q->starved_ns = 0;
    } else if (!q->starved_ns) {
        q->starved_ns = now;
    } else if (now - q->starved_ns >= FAIR_WAIT_NS) {
        q->fair_ns = now + FAIR_RUN_NS;
        return true;
    }
    return false;
}

#define NICE_IDLE 26 /* SCHED_IDLE weighs a fifth of nice 19 */
#define TURN_MAX (64 * SLICE_PARTS)

static i32 nice_of(const struct thread *t)
{
    return t->policy == SCHED_IDLE ? NICE_IDLE : t->nice == NICE_UNKNOWN ? 0 : t->nice;
}

/* A step of niceness is a quarter more of the core, as on Linux (sched(7)): a turn is as many
   slices longer than that of the nicest thread which waits here. */
static u32 turn_of(i32 steps)
{
    u32 turn = SLICE_PARTS;
    for (; steps > 0 && turn < TURN_MAX; steps--)
        turn += turn / 4;
    return turn;
}

bool sched_keeps_turn(struct runq *q, struct thread *cur)
{
    i32 nicest = nice_of(cur), own = nicest;
    if (cur->prio)
        return false;
    spin_lock(&q->lock);
    for (struct list *l = q->queue[0].next; l != &q->queue[0]; l = l->next) {
        i32 other = nice_of(CONTAINER(l, struct thread, rq));
        nicest = other > nicest ? other : nicest;
    }
    spin_unlock(&q->lock);
    if (nicest == own) {
        cur->turn = 0;
        return false;
    }
    if (cur->turn < SLICE_PARTS) /* what is left over counts in the next turn */
        cur->turn += turn_of(nicest - own);
    cur->turn -= SLICE_PARTS;
    return cur->turn >= SLICE_PARTS;
}

/* A thread's rank on this core now. Those who have waited too long rank just below deadlines. */
static int rank(const struct runq *q, u32 prio)
{
    return q->fair_ns && !prio ? 2 * PRIO_MAX + 1 : 2 * (int)prio;
}

static void schedule_mode(bool yielding)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    struct thread *prev = p->cur;
    timers_run();
    if (q->ninflight)
        forward_reap();
    if (prev->policy == SCHED_DEADLINE)
        deadline_settle(prev);
    spin_lock(&q->lock);
    int best = queue_best(q);
    if (q->fair_ns && clock_mono() >= q->fair_ns)
        q->fair_ns = 0;
    if (q->fair_ns && !list_empty(&q->queue[0]) && best < PRIO_DEADLINE)
        best = 0;
    if (prev->state == THREAD_RUNNING && !prev->is_idle && prev->migrate_to < 0 &&
        !deadline_throttled(prev)) {
        int next_rank = best < 0 ? -1 : rank(q, (u32)best), own = rank(q, prev->prio);
        if (next_rank < own || (next_rank == own && !yielding && !sooner_waits(q, prev))) {
            spin_unlock(&q->lock);
            if (prev->policy == SCHED_DEADLINE)
                deadline_watch(prev);
            return;
        }
    }
    struct thread *next = q->idle;
    bool requeue = prev->state == THREAD_RUNNING && !prev->is_idle;
    if (best >= 0) {
        next = CONTAINER(q->queue[best].next, struct thread, rq);
        queue_remove(q, next);
        next->state = THREAD_RUNNING;
    }
    if (requeue) {
        prev->state = THREAD_READY;
        queue_push(q, prev, true);
    }
    spin_unlock(&q->lock);
    core_set_state(p, next);
    if (next == prev)
        return;
    switch_to(p, prev, next);
}

void schedule(void)
{
    schedule_mode(false);
}

void thread_yield(void)
{
    schedule_mode(true);
}

/* Current thread or any other; a running one moves when it next stops. */
void thread_move(struct thread *t, unsigned core)
{
    struct runq *q = thread_lock_runq(t);
    if (t->core == core) {
        t->migrate_to = -1;
        spin_unlock(&q->lock);
        return;
    }
    bool live = t->on_cpu || t->fpu_live || t->state == THREAD_RUNNING;
    if (live) {
        t->migrate_to = (i32)core;
        u32 where = t->core;
        bool running = t->state == THREAD_RUNNING;
        spin_unlock(&q->lock);
        thread_set_work(t, WORK_RESCHED);
        if (t != current() && running)
            core_ring(where);
        return;
    }
    bool ready = t->state == THREAD_READY;
    if (ready)
        queue_remove(q, t);
    q->nthreads--;
    __atomic_store_n(&t->core, core, __ATOMIC_RELEASE);
    spin_unlock(&q->lock);
    arrive(t, core, ready);
}

/* ---- idle ---- */

/* *last: as idle_watch() takes it. */
static bool idle_has_work(struct percpu *p, u64 *last)
{
    struct runq *q = &runqs[p->index];
    struct lull_core *c = core_of(p->index);
    if (__atomic_load_n(&c->bell, __ATOMIC_RELAXED)) {
        core_answer_bell();
        core_rest();
        *last = 0;
    }
    if (q->ninflight)
        forward_reap();
    timers_run();
    return __atomic_load_n(&q->nready, __ATOMIC_RELAXED) != 0;
}

static void idle_park(struct percpu *p)
{
    struct lull_core *c = core_of(p->index);
    u64 unwatched;
    slice_disarm();
    __atomic_store_n(&c->state, LULL_CORE_PARKED, __ATOMIC_SEQ_CST);
    if (!idle_has_work(p, &unwatched) && !__atomic_load_n(&c->bell, __ATOMIC_SEQ_CST))
        proxy_call(LULL_OP_PARK, timer_first(&runqs[p->index]), 0, 0);
    __atomic_store_n(&c->state, LULL_CORE_IDLE, __ATOMIC_SEQ_CST);
}

/* `last`: the latest reading, 0: the core did something of its own since. */
static u64 idle_watch(struct lull_core *c, u32 section, u64 last)
{
    struct lull_gaps *g = &c->gaps;
    u64 now = rdtsc(), d = now - last;
    if (!last)
        return now;
    if (g->section != section) {
        g->section = section;
        g->longest = 0;
    }
    g->watched += d;
    if (d * 1000000 >= boot_info()->tsc_khz * LULL_GAP_NS) {
        g->count++;
        g->sum += d;
        g->longest = max_u64(g->longest, d);
    }
    return now;
}

void idle_loop(void)
{
    struct percpu *p = this_cpu();
    struct lull_core *c = core_of(p->index);
    u64 spin = boot_info()->flags & LULL_BOOT_F_FORKED ? 0 : boot_info()->spin_tsc;
    for (;;) {
        u64 start = rdtsc(), last = 0;
        while (!idle_has_work(p, &last)) {
            u32 section = __atomic_load_n(&c->watch, __ATOMIC_RELAXED);
            last = section ? idle_watch(c, section, last) : 0;
            if (spin != NEVER && (p->child_due || rdtsc() - start > spin)) {
                idle_park(p);
                start = rdtsc();
                last = 0;
            }
            cpu_relax();
        }
        p->child_due = false;
        schedule();
    }
}

void thread_hasten(struct thread *t)
{
    thread_set_prio(t, PRIO_LAST);
    u32 core = t->core;
    runqs[core].fair_ns = 0;
    thread_set_work(percpu_of(core)->cur, WORK_RESCHED);
    core_ring(core);
}

void thread_set_prio(struct thread *t, u32 prio)
{
    struct runq *q = thread_lock_runq(t);
    bool queued = t->state == THREAD_READY;
    if (queued)
        queue_remove(q, t);
    t->prio = prio;
    if (queued)
        queue_push(q, t, true);
    bool gives_way = t->state == THREAD_RUNNING && queue_best(q) > (int)prio;
    u32 core = t->core;
    spin_unlock(&q->lock);
    if (queued)
        core_notice(core, t);
    if (gives_way && t != current()) {
        thread_set_work(t, WORK_RESCHED);
        core_ring(core);
    }
}
