/* SPDX-License-Identifier: MIT */
/* Birth and death of threads: clone(2), clone3(2), set_robust_list(2), exit(2). */
#include "sched/thread.h"

#include "kernel.h"
#include "mm/mm.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "sys/seccomp.h"
#include "sys/sys.h"

#define CLONE_VM 0x100u
#define CLONE_VFORK 0x4000u
#define CLONE_CLEAR_SIGHAND 0x100000000ul
#define CLONE_INTO_CGROUP 0x200000000ul
#define CLONE_NEWTIME 0x80u
#define CLONE_FS 0x200u
#define CLONE_FILES 0x400u
#define CLONE_SIGHAND 0x800u
#define CLONE_PIDFD 0x1000u
#define CLONE_PTRACE 0x2000u
#define CLONE_PARENT 0x8000u
#define CLONE_THREAD 0x10000u
#define CLONE_NEWNS 0x20000u
#define CLONE_SYSVSEM 0x40000u
#define CLONE_SETTLS 0x80000u
#define CLONE_PARENT_SETTID 0x100000u
#define CLONE_CHILD_CLEARTID 0x200000u
#define CLONE_DETACHED 0x400000u
#define CLONE_UNTRACED 0x800000u
#define CLONE_CHILD_SETTID 0x1000000u
#define CLONE_NEWUSER 0x10000000u
#define CLONE_NEWPID 0x20000000u
#define SET_TID_MAX 32 /* nested namespaces */
#define CLONE_THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

spinlock threads_lock;
struct list threads_all = {&threads_all, &threads_all};
u32 threads_alive;
u64 dead_ticks, dead_nvcsw, dead_nivcsw;
static u32 slots_used; /* slots ever handed out */
static struct list slots_free = {&slots_free, &slots_free};
static u32 tid_next;

_Static_assert(THREADS_MAX == LULL_CHAN_SLOTS, "a slot of the channel for each thread");

static struct thread *slot(u32 index)
{
    return (struct thread *)(LULL_THREADS + index * THREAD_SLOT);
}

struct thread *thread_at(u32 index)
{
    return index < slots_used ? slot(index) : NULL;
}

/* Above every tid that Linux gives (pid_max is at most 2^22), apart from those of other isles. */
static i32 tid_new(void)
{
    u32 n = ++tid_next & 0xfff;
    return (i32)(0x400000u + ((boot_info()->pid & 0xffff) << 12 | n));
}

struct thread *thread_by_tid(i32 tid)
{
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *t = CONTAINER(l, struct thread, all);
        if (t->tid == tid)
            return t;
    }
    return NULL;
}

struct thread *thread_alloc(void)
{
    struct thread *t = NULL;
    spin_lock(&threads_lock);
    if (!list_empty(&slots_free)) {
        t = CONTAINER(slots_free.next, struct thread, all);
        list_del(&t->all);
    } else if (slots_used < THREADS_MAX) {
        t = slot(slots_used);
        t->index = slots_used++;
    }
    if (t) {
        u32 index = t->index;
        memset(t, 0, sizeof *t);
        t->index = index;
        list_init(&t->rq);
        pi_init(t);
        t->ktop = (u64)t + THREAD_SLOT;
        t->migrate_to = -1;
        t->fwd_slot = -1;
        list_add_tail(&threads_all, &t->all);
        threads_alive++;
        if (threads_alive == 1) {
            t->tid = (i32)boot_info()->pid;
        } else {
            do
                t->tid = tid_new();
            while (thread_by_tid(t->tid) != t);
        }
    }
    spin_unlock(&threads_lock);
    return t;
}

void thread_free(struct thread *t)
{
    struct runq *q = &runqs[t->core];
    spin_lock(&q->lock);
    q->nthreads--;
    spin_unlock(&q->lock);
    spin_lock(&threads_lock);
    t->state = THREAD_FREE;
    dead_ticks += t->cpu_ticks;
    dead_nvcsw += t->nvcsw;
    dead_nivcsw += t->nivcsw;
    list_add(&slots_free, &t->all);
    spin_unlock(&threads_lock);
}

bool thread_exists(i32 tid)
{
    spin_lock(&threads_lock);
    bool there = thread_by_tid(tid) != NULL;
    spin_unlock(&threads_lock);
    return there;
}

void threads_forget_all_but(struct thread *t)
{
    list_init(&threads_all);
    list_init(&slots_free);
    for (u32 i = 0; i < slots_used; i++) {
        struct thread *x = slot(i);
        if (x != t) {
            x->state = THREAD_FREE;
            list_add_tail(&slots_free, &x->all);
        }
    }
    list_add_tail(&threads_all, &t->all);
    threads_alive = 1;
    dead_ticks = dead_nvcsw = dead_nivcsw = 0;
}

/* The allowed core with the fewest threads; the first such. */
unsigned thread_choose_core(const struct thread *t)
{
    unsigned n = boot_info()->ncores, best = n;
    for (unsigned i = 0; i < n; i++) {
        if (affinity_has(t, i) && (best == n || runqs[i].nthreads < runqs[best].nthreads))
            best = i;
    }
    return best < n ? best : 0;
}

/* struct clone_args, version 2 (clone(2)). */
struct clone_args {
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

/* Combinations that no process or thread can have, as Linux tells them (clone(2)). */
static bool clone_valid(const struct clone_args *a)
{
    u64 flags = a->flags;
    if ((flags & (CLONE_NEWNS | CLONE_FS)) == (CLONE_NEWNS | CLONE_FS) ||
        (flags & (CLONE_NEWUSER | CLONE_FS)) == (CLONE_NEWUSER | CLONE_FS))
        return false;
    if ((flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) ||
        (flags & CLONE_SIGHAND && !(flags & CLONE_VM)))
        return false;
    if (flags & CLONE_THREAD && flags & (CLONE_NEWUSER | CLONE_NEWPID))
        return false;
    return !(flags & CLONE_PIDFD && flags & CLONE_DETACHED);
}

static long clone_decode(const struct clone_args *a)
{
    u64 known = CLONE_THREAD_FLAGS | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_DETACHED;
    if (!clone_valid(a))
        return -EINVAL;
    if (a->flags & CLONE_THREAD && ((a->flags & CLONE_THREAD_FLAGS) != CLONE_THREAD_FLAGS ||
                                    a->flags & ~known || a->set_tid_size))
        return refuse(NR_clone);
    if (a->flags & CLONE_SETTLS && !user_range_ok(a->tls, 8))
        return -EPERM;
    return 0;
}

static long clone_invoke(struct frame *f, const struct clone_args *a)
{
    struct thread *me = current();
    struct thread *t = thread_alloc();
    if (!t)
        return -EAGAIN;
    struct frame *nf = thread_frame(t);
    *nf = *f;
    nf->rax = 0;
    nf->err = FR_FULL;
    nf->orig = ~0ul;
    if (a->stack)
        nf->rsp = a->stack + a->stack_size;
    thread_save_segments(t);
    if (a->flags & CLONE_SETTLS) {
        t->fsbase = a->tls;
        t->seg.fs = 0;
    }
    t->sig.mask = me->sig.mask;
    t->sig.alt.flags = t->sig.alt.given = SS_DISABLE;
    t->mempolicy = me->mempolicy;
    t->setxid = me->setxid;
    seccomp_inherit(t, me);
    t->policy = me->reset_on_fork ? 0 : me->policy;
    t->prio = t->base_prio = me->reset_on_fork ? 0 : me->base_prio;
    memcpy(t->affinity, me->affinity, sizeof t->affinity);
    memcpy(t->name, me->name, sizeof t->name);
    t->slack = t->slack_first = me->slack;
    t->nice = me->nice;
    t->turn = 0;
    /* as fork does: the child starts with its parent's vector and control registers */
    cpu_xsave(thread_xsave(t), machine.xcr0);
    if (a->flags & CLONE_CHILD_CLEARTID)
        t->clear_tid = a->child_tid;
    u32 tid = (u32)t->tid;
    if (a->flags & CLONE_PARENT_SETTID)
        copy_out(a->parent_tid, &tid, 4);
    if (a->flags & CLONE_CHILD_SETTID)
        copy_out(a->child_tid, &tid, 4);
    u64 *sp = (u64 *)nf;
    *--sp = (u64)thread_first_return;
    t->ksp = (u64)(sp - 6); /* context_switch() pops six registers; they are zero */
    memset((void *)t->ksp, 0, 48);
    t->core = thread_choose_core(t);
    struct runq *q = &runqs[t->core];
    spin_lock(&q->lock);
    q->nthreads++;
    spin_unlock(&q->lock);
    thread_start(t);
    return (long)tid;
}

/* A process: of its own memory, or in this one until it executes. */
static long clone_process(struct frame *f, const struct clone_args *a)
{
    /* nobody traces, and CLONE_DETACHED means nothing */
    u64 known = CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |
                CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND | CLONE_PIDFD | CLONE_PTRACE |
                CLONE_UNTRACED | CLONE_DETACHED;
    i32 tids[SET_TID_MAX];
    u64 vfork = a->flags & (CLONE_VM | CLONE_VFORK);
    struct child_wants w = {
        .stack = a->stack ? a->stack + a->stack_size : 0,
        .tls = a->tls,
        .set_tls = a->flags & CLONE_SETTLS,
        .clear_sighand = a->flags & CLONE_CLEAR_SIGHAND,
        .parent_tid = a->flags & CLONE_PARENT_SETTID ? a->parent_tid : 0,
        .set_tid = a->flags & CLONE_CHILD_SETTID ? a->child_tid : 0,
        .clear_tid = a->flags & CLONE_CHILD_CLEARTID ? a->child_tid : 0,
        .pidfd = a->flags & CLONE_PIDFD ? a->pidfd : 0,
        .flags = a->flags & LULL_FORK_FLAGS,
        .exit_signal = a->exit_signal,
        .cgroup = a->cgroup,
        .tids = tids,
        .ntids = a->set_tid_size,
    };
    /* memory that is shared, or waiting, but not both */
    bool one = vfork == CLONE_VM || vfork == CLONE_VFORK;
    bool plain = !w.flags && !w.ntids && a->exit_signal == SIGCHLD;
    if (a->flags & ~(known | LULL_FORK_FLAGS) || one || (vfork && !plain))
        return refuse(NR_clone);
    if (copy_in(tids, a->set_tid, w.ntids * sizeof tids[0]))
        return -EFAULT;
    if (a->flags & CLONE_PIDFD && !a->pidfd)
        return -EFAULT;
    return vfork ? child_start(f, &w) : fork_start(&w);
}

static long clone_any(struct frame *f, const struct clone_args *a)
{
    long r = clone_decode(a);
    if (r == 0)
        r = limit_tasks();
    if (r == 0 && current()->policy == SCHED_DEADLINE && !current()->reset_on_fork)
        r = -EAGAIN;
    if (r)
        return r;
    return a->flags & CLONE_THREAD ? clone_invoke(f, a) : clone_process(f, a);
}

long sys_fork(struct frame *f)
{
    struct clone_args a = {.exit_signal = SIGCHLD};
    return clone_any(f, &a);
}

long sys_clone(struct frame *f)
{
    struct clone_args a = {
        .flags = (u32)f->rdi & ~0xfful,
        .exit_signal = f->rdi & 0xff,
        .stack = f->rsi,
        .parent_tid = f->rdx,
        .pidfd = f->rdx,
        .child_tid = f->r10,
        .tls = f->r8,
    };
    if (a.flags & CLONE_PIDFD && a.flags & CLONE_PARENT_SETTID) /* both go to one address */
        return -EINVAL;
    return clone_any(f, &a);
}

/* What clone3(2) is stricter in. */
static bool clone3_valid(const struct clone_args *a, u64 size)
{
    u64 known = 0xffffffff | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
    if (a->set_tid_size > SET_TID_MAX || (a->set_tid == 0) != (a->set_tid_size == 0))
        return false;
    if (a->exit_signal > NSIG)
        return false;
    if (a->flags & CLONE_INTO_CGROUP && (a->cgroup >> 31 || size < sizeof *a))
        return false;
    if (a->flags & ~known || a->flags & (CLONE_DETACHED | (0xff & ~CLONE_NEWTIME)))
        return false;
    if (a->flags & CLONE_SIGHAND && a->flags & CLONE_CLEAR_SIGHAND)
        return false;
    if (a->flags & (CLONE_THREAD | CLONE_PARENT) && a->exit_signal)
        return false;
    if (a->flags & CLONE_PIDFD && a->flags & CLONE_PARENT_SETTID && a->pidfd == a->parent_tid)
        return false;
    return (a->stack == 0) == (a->stack_size == 0) && a->stack + a->stack_size >= a->stack;
}

long sys_clone3(struct frame *f)
{
    struct clone_args a = {0};
    u64 size = f->rsi;
    if (size < 64)
        return -EINVAL;
    if (size > LULL_PAGE)
        return -E2BIG;
    if (copy_in(&a, f->rdi, min_u64(size, sizeof a)))
        return -EFAULT;
    for (u64 i = sizeof a; i < size; i++) {
        u8 byte;
        if (copy_in(&byte, f->rdi + i, 1))
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    return clone3_valid(&a, size) ? clone_any(f, &a) : -EINVAL;
}

void isle_exit(int code)
{
    for (;;)
        proxy_call(LULL_OP_EXIT, (u64)code & 0xff, 0, 0);
}

void thread_exit(int code, int signo)
{
    struct thread *t = current();
    robust_list_release(t);
    pi_owner_gone(t);
    if (t->clear_tid) {
        u32 zero = 0;
        if (copy_out(t->clear_tid, &zero, 4) == 0)
            futex_wake_addr(t->clear_tid, 1);
    }
    spin_lock(&threads_lock);
    list_del(&t->all);
    bool last = --threads_alive == 0;
    spin_unlock(&threads_lock);
    if (last && signo)
        signal_end(signo);
    if (last)
        isle_exit(code);
    signals_thread_exit(t);
    if (t->policy == SCHED_DEADLINE)
        deadline_leave(t, 0);
    struct runq *q = &runqs[t->core];
    spin_lock(&q->lock);
    t->state = THREAD_DEAD;
    spin_unlock(&q->lock);
    schedule();
    panic("a dead thread runs", (u64)t->tid, 0);
}
