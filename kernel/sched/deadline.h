/* SPDX-License-Identifier: MIT */
/* SCHED_DEADLINE (sched(7)), and the parts of run queues that it shares with sched.c. */
#ifndef KERNEL_SCHED_DEADLINE_H
#define KERNEL_SCHED_DEADLINE_H

#include "sched/thread.h"

/* sched.c */
struct runq *thread_lock_runq(struct thread *t); /* locks the run queue of the core that t is on */
void queue_push(struct runq *q, struct thread *t, bool tail);
void queue_remove(struct runq *q, struct thread *t); /* nothing when t is not queued */
void core_notice(unsigned core, const struct thread *t);

/* Does t run within a budget now? False while t has a higher priority for a moment. */
static inline bool deadline_bound(const struct thread *t)
{
    return t->policy == SCHED_DEADLINE && t->prio == PRIO_DEADLINE;
}
/* Does t wait for its next period? */
static inline bool deadline_throttled(const struct thread *t)
{
    return t->dl.throttled && deadline_bound(t);
}
/* Does a run before b? Both have PRIO_DEADLINE; a thread that borrowed it has deadline 0. */
static inline bool deadline_sooner(const struct thread *a, const struct thread *b)
{
    return a->prio == PRIO_DEADLINE && b->prio == PRIO_DEADLINE && a->dl.until < b->dl.until;
}

/* A blocked thread becomes ready. Under its run queue's lock. */
void deadline_wake(struct thread *t);
/* The current thread: charges what it has run; without budget it is throttled. No locks held. */
void deadline_settle(struct thread *t);
/* Arms the timer for the end of the current thread's budget, if none is armed. No locks held. */
void deadline_watch(struct thread *t);

#endif
