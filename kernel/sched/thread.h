/* SPDX-License-Identifier: MIT */
/* Threads, run queues, blocking, timers. */
#ifndef KERNEL_SCHED_THREAD_H
#define KERNEL_SCHED_THREAD_H

#include <lull/channel.h>

#include "percpu.h"
#include "signal/signal.h"
#include "sync.h"
#include "types.h"

#define THREAD_SLOT 0x8000ul
#define THREAD_XSAVE 0x1000ul /* offset of the vector state in the slot */
#define THREADS_MAX (LULL_THREADS_SIZE / THREAD_SLOT)
#define SCHED_FIFO 1
#define SCHED_IDLE 5
#define SCHED_DEADLINE 6
#define TIMER_SLACK_NS 50000 /* of Linux's first process */
#define PRIO_MAX 99          /* SCHED_FIFO and SCHED_RR: 1..99; 0: everything else (sched(7)) */
#define PRIO_DEADLINE 100    /* SCHED_DEADLINE, or borrowed from such a thread */
#define PRIO_LAST 101        /* a thread that is to end */

enum thread_state {
    THREAD_FREE = 0,
    THREAD_READY,   /* in its core's run queue */
    THREAD_RUNNING, /* current on its core */
    THREAD_BLOCKED, /* waits; thread_wake() makes it ready */
    THREAD_DEAD,
};

#define WORK_SIGNAL (1u << 0)  /* signals may be deliverable */
#define WORK_RESCHED (1u << 1) /* give way */
#define WORK_MASK (1u << 2)    /* rt_sigsuspend: put the saved mask back */
#define WORK_RSEQ (1u << 3)    /* it was interrupted, or runs elsewhere: rseq(2) */

/*
 * A deadline: ns of CLOCK_MONOTONIC; with one of these bits ns of a clock that somebody may set;
 * NEVER. NS_MAX is the last one: the year 2116.
 */
#define DEADLINE_REAL (1ul << 63)
#define DEADLINE_TAI (1ul << 62)
#define DEADLINE_NS_MAX (DEADLINE_TAI - 1)
/* From now: CLOCK_MONOTONIC stays below DEADLINE_NS_MAX. */
#define SLEEP_NS_MAX 4000000000000000000ul

struct timer {
    struct list link;
    u64 wanted;                     /* deadline as it was given */
    u64 deadline;                   /* the same as CLOCK_MONOTONIC says it, ns */
    struct thread *thread;          /* is woken; or */
    void (*fire)(struct timer *tm); /* is called on that core, without locks */
    bool queued;                    /* under the lock of the core `core` */
    bool fired;
    unsigned core;
};

enum waiter_kind {
    WAITER_PLAIN = 0,
    WAITER_REQUEUE, /* FUTEX_WAIT_REQUEUE_PI, before it is moved */
    WAITER_PI,      /* for a futex with an owner */
};

/* One thread in the queue of one futex; the lock of its bucket. */
struct futex_waiter {
    struct list link;
    struct thread *thread;
    uaddr addr;
    u32 bits;
    u8 kind;
    bool woken;
};

struct child;

#define DEADLINE_OVERRUN 4u /* SCHED_FLAG_DL_OVERRUN */

/* SCHED_DEADLINE (deadline.c). `left` and what follows it: under the lock of the thread's core. */
struct deadline {
    u64 runtime, deadline, period; /* ns; `deadline` and `period` from the start of a period */
    u32 flags;                     /* SCHED_FLAG_RECLAIM, DEADLINE_OVERRUN */
    bool throttled;                /* the budget is used; it waits for its next period */
    i64 left;                      /* ns of the budget, up to `from` */
    u64 until;                     /* the deadline of this period, ns of CLOCK_MONOTONIC */
    u64 from;                      /* TSC */
    struct timer timer;
};

struct thread {
    u32 work;    /* atomic; WORK_* */
    u32 seccomp; /* 0, SECCOMP_MODE_*; set by the thread itself, or under threads_lock */
    u64 ksp;     /* saved kernel stack pointer while it does not run */
    u64 ktop;
    struct list rq;  /* run queue link; its core's lock */
    struct list all; /* list of living threads; threads_lock */
    u32 state;       /* enum thread_state; its core's lock */
    u32 core;        /* where it is queued or runs */
    u32 on_cpu;      /* its kernel stack is in use */
    i32 migrate_to;  /* -1: none; applied when it stops running */
    i32 tid;
    u32 index;
    u32 policy; /* SCHED_OTHER 0, FIFO 1, RR 2, BATCH 3, IDLE 5, DEADLINE 6 */
    u32 prio;
    u32 mempolicy; /* of what it maps: mm/policy.c */
    bool reset_on_fork;
    bool is_idle;
    bool fpu_live; /* its vector state is in the registers of `core`, not in xsave */
    u64 fsbase, gsbase;
    struct segments seg; /* what the selectors hold while it does not run */
    uaddr clear_tid;     /* CLONE_CHILD_CLEARTID */
    uaddr robust_list;
    u32 setxid; /* the last change of identity that it has made (sys/ident.c) */
    u64 affinity[LULL_MAX_CORES / 64 + 1]; /* by core of the isle */
    struct signal_thread sig;
    u32 filter;          /* number of its newest seccomp filter, 0: none; threads_lock */
    u32 filter_new;      /* of the one that it is about to install; the same */
    struct child *child; /* it is a vfork child at the moment (child.h); NULL: itself */
    struct futex_waiter futex;
    /* priority inheritance (futex_pi.c), under its lock */
    u32 base_prio;           /* its own; prio is what it runs with */
    bool pi_leaving;         /* it ends, and holds nothing any more */
    i32 pi_result;           /* of a wait that somebody else has ended */
    struct thread *pi_owner; /* of the futex that it waits for; NULL: of none */
    struct list pi_link;     /* in pi_waiters of that thread */
    struct list pi_waiters;  /* threads that wait for what this one holds */
    uaddr pi_target;         /* WAITER_REQUEUE: the futex that it goes on to */
    /* rseq(2) */
    uaddr rseq; /* 0: none */
    u32 rseq_len, rseq_sig;
    u32 rseq_cpu; /* as it stands there; ~0: nothing yet */
    /* forwarded call */
    bool fwd_done;
    i64 fwd_result;
    i32 fwd_slot; /* its index while a call is in flight, else -1 */
    u32 fwd_core;
    struct timer timer;
    u64 cpu_ticks;     /* TSC ticks it has run, up to the last switch */
    u64 switched_in;   /* TSC */
    u64 nvcsw, nivcsw; /* switches to another thread: it blocked, it was ready */
    struct {
        u32 nr;  /* 0: none */
        u64 end; /* a deadline */
    } resume;    /* what restart_syscall(2) goes on with */
    char name[16];
    struct deadline dl;
    i32 nice;               /* -20 .. 19, NICE_UNKNOWN: as Linux says it of the main thread */
    u32 turn;               /* what is left of its turn on the core, in SLICE_PARTS of a slice */
    u64 slack, slack_first; /* PR_SET_TIMERSLACK, ns: now, and as it was inherited */
};
_Static_assert(offsetof(struct thread, work) == TH_WORK, "TH_WORK");
_Static_assert(offsetof(struct thread, ksp) == TH_KSP, "TH_KSP");
_Static_assert(offsetof(struct thread, tid) == TH_TID, "TH_TID");
_Static_assert(sizeof(struct thread) <= THREAD_XSAVE, "thread slot");

#define NICE_UNKNOWN 99
#define SLICE_PARTS 16u

struct runq {
    spinlock lock;
    u32 nready;
    u32 nthreads; /* living threads placed here: for spreading */
    u32 yields;   /* since the core was last given up; only this core touches it */
    u64 bitmap[2];
    struct list queue[PRIO_LAST + 1]; /* [PRIO_DEADLINE]: ascending dl.until */
    struct list timers;               /* ascending deadline */
    u64 clock_sets;                   /* lull_timepage.sets that the deadlines are of; lock */
    spinlock timer_lock; /* percpu.armed_ns and slice_on, and what the proxy's timer is set to */
    struct thread *idle;
    u32 ninflight; /* forwarded calls that this core has submitted; only this core touches it */
    /* Threads without a real-time priority get 5 % of the core where others would leave them none,
       as on Linux (the fair server; before Linux 6.12 the throttle). Only this core touches both.
     */
    u64 starved_ns; /* they wait since then; 0: they do not */
    u64 fair_ns;    /* they go first until then; 0: they do not */
} __attribute__((aligned(64)));

extern struct runq runqs[LULL_MAX_CORES];
extern spinlock threads_lock;
extern struct list threads_all;
extern u32 threads_alive;
extern u64 dead_nvcsw, dead_nivcsw; /* switches of threads that ended; threads_lock */
extern u64 dead_ticks;              /* CPU time of threads that ended, TSC ticks; threads_lock */

static inline struct frame *thread_frame(struct thread *t)
{
    return (struct frame *)(t->ktop - FR_SIZE);
}
static inline void *thread_xsave(struct thread *t)
{
    return (char *)t + THREAD_XSAVE;
}
static inline void thread_set_work(struct thread *t, u32 bits)
{
    __atomic_fetch_or(&t->work, bits, __ATOMIC_SEQ_CST);
}
static inline bool affinity_has(const struct thread *t, unsigned core)
{
    return t->affinity[core / 64] >> (core % 64) & 1;
}

/* thread.c */
struct thread *thread_alloc(void); /* NULL: no slot left */
void thread_free(struct thread *t);
struct thread *thread_by_tid(i32 tid); /* under threads_lock */
unsigned thread_choose_core(const struct thread *t);
void threads_forget_all_but(struct thread *t);
bool thread_exists(i32 tid);
long sys_fork(struct frame *f);
long sys_clone(struct frame *f);
long sys_clone3(struct frame *f);
/* The current thread ends by exit(2), or by `signo` if that is not 0. If it is the last one, the
   program ends in the same way, without a core file. */
_Noreturn void thread_exit(int code, int signo);
_Noreturn void isle_exit(int code);

/* sched.c */
void sched_init_core(unsigned index);
void thread_start(struct thread *t);     /* READY, on t->core */
void thread_wake(struct thread *t);      /* from any core */
void thread_interrupt(struct thread *t); /* for a signal: wakes it, or kicks its core */
void thread_show_waiting(const struct thread *t,
                         bool waits); /* to other isles, if it is the main thread */
void thread_prepare_block(void);      /* before the condition is checked a last time */
void thread_cancel_block(void);
void schedule(void); /* run somebody else, or the current thread again */
/* By its index, whether it is alive or not; NULL: no thread has ever had it. */
struct thread *thread_at(u32 index);
void thread_yield(void);
void thread_switched(void);
void thread_save_segments(struct thread *t); /* the current one: FS, GS, their bases, DS, ES */
void thread_move(struct thread *t, unsigned core);
void thread_hasten(struct thread *t); /* it is next on its core, whatever runs there */
void thread_set_prio(struct thread *t, u32 prio);
_Noreturn void idle_loop(void);
void sched_look(void); /* somebody of a higher priority waits here: the current thread gives way */
void core_ring(unsigned core); /* make another core look around */

/* deadline.c */
/* Is there room for t with `want` (runtime, period) beside the others? Under threads_lock. */
bool deadline_admits(const struct thread *t, const struct deadline *want);
/* t has SCHED_DEADLINE now, with `want`; the caller sets its priority, then deadline_place(). */
void deadline_enter(struct thread *t, const struct deadline *want);
void deadline_place(struct thread *t); /* moves t where there is room; under threads_lock */
void deadline_leave(struct thread *t, u32 policy); /* t has `policy` now; its priority stays */
void deadline_yield(void); /* the current thread gives up the rest of its budget */

/* timer.c */
u64 deadline_on(u64 clock, u64 ns); /* DEADLINE_REAL or DEADLINE_TAI */
u64 deadline_mono(u64 deadline); /* as the clocks are set now: ns of CLOCK_MONOTONIC; 1: passed */
long thread_resumes(u32 nr, u64 end_ns); /* -ERESTART_BLOCK, remembered for restart_syscall(2) */
bool thread_block_until(u64 deadline);   /* schedule() with a timer; false: it fired */
void slice_arm(unsigned core);
void slice_disarm(void);
bool sched_fair_tick(struct percpu *p, struct runq *q); /* somebody else's turn */
/* Whether the current thread, whose slice is over, keeps the core because it is less nice than
 * others. */
bool sched_keeps_turn(struct runq *q, struct thread *cur);
void slice_tick(void); /* the proxy's timer rang on this core */
void deadline_arm(struct percpu *p, struct runq *q);
u64 timer_first(struct runq *q); /* ns, NEVER: none; under the run queue's lock or as a hint */
void timers_run(void);
/* All cores' deadlines, out of their run queues and, later, into this core's; the others rest. */
void timers_take(void);
void timers_put(void);
void timer_start(struct timer *tm, u64 deadline); /* on this core; fire is set */
void timer_cancel(struct timer *t);

#define NEVER (~0ul)

#endif
