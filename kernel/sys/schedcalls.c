/* SPDX-License-Identifier: MIT */
/* sched_setaffinity(2) and sched(7). CPU numbers are Linux's, as under taskset(1). */
#include "kernel.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "sys/sys.h"

#define SCHED_RR 2
#define SCHED_RESET_ON_FORK 0x40000000u
#define MASK_WORDS (LULL_MASK_MAX / 8)
#define DEADLINE_FLAGS 6u                /* RECLAIM, DL_OVERRUN */
#define RUNTIME_LEAST 1024ul             /* ns */
#define PERIOD_LEAST 100000ul            /* ns: sched_deadline_period_min_us by default */
#define PERIOD_MOST (4194304ul * 1000ul) /* ns: sched_deadline_period_max_us by default */

long sys_sched_yield(struct frame *f)
{
    struct runq *q = &runqs[this_cpu()->index];
    (void)f;
    if (current()->policy == SCHED_DEADLINE) {
        deadline_yield();
        return 0;
    }
    /* all of this core's threads have yielded: others may run */
    if (boot_info()->flags & LULL_BOOT_F_SHARED && q->yields++ >= q->nready) {
        q->yields = 0;
        proxy_call(LULL_OP_YIELD, 0, 0, 0);
    }
    if (runqs[this_cpu()->index].nready)
        thread_yield();
    return 0;
}

/*
 * The thread `tid` (0: the caller), with threads_lock held; NULL: lock dropped, another process.
 * One that is its own vfork child is here by its own number; the child's is Linux's business.
 */
static struct thread *lock_thread(i32 tid)
{
    struct thread *found = tid ? NULL : current();
    spin_lock(&threads_lock);
    for (struct list *l = threads_all.next; l != &threads_all && !found; l = l->next) {
        struct thread *t = CONTAINER(l, struct thread, all);
        found = (t->child ? t->child->tid : t->tid) == tid ? t : NULL;
    }
    if (!found)
        spin_unlock(&threads_lock);
    return found;
}

/* About a process that is not this program. */
static long ask_linux(struct frame *f, u32 nr)
{
    if ((u32)f->rdi == boot_info()->pid) /* its first thread has ended */
        return -ESRCH;
    struct frame as_linux = *f;
    if (nr == NR_sched_setaffinity || nr == NR_sched_getaffinity)
        as_linux.rsi = (u32)f->rsi; /* a length of 32 bits */
    return forward_call(&as_linux, &syscall_table[nr]);
}

/* Deadline threads may run on all cores, as on Linux on all CPUs of their root domain. */
static bool all_cores(const u64 *cores)
{
    for (unsigned i = 0; i < boot_info()->ncores; i++) {
        if (!(cores[i / 64] >> (i % 64) & 1))
            return false;
    }
    return true;
}

long sys_sched_setaffinity(struct frame *f)
{
    const struct lull_boot *b = boot_info();
    u64 mask[MASK_WORDS] = {0};
    u64 cores[ARRAY_LEN(current()->affinity)] = {0};
    if (copy_in(mask, f->rdx, min_u64((u32)f->rsi, min_u64(b->mask_bytes, sizeof mask))))
        return -EFAULT;
    bool any = false;
    for (u32 i = 0; i < b->ncores; i++) {
        u32 cpu = b->cpu[i];
        if (cpu / 64 < MASK_WORDS && mask[cpu / 64] >> (cpu % 64) & 1) {
            cores[i / 64] |= 1ul << (i % 64);
            any = true;
        }
    }
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return ask_linux(f, NR_sched_setaffinity);
    bool bound = t->policy == SCHED_DEADLINE && !all_cores(cores);
    if (bound || !any) {
        spin_unlock(&threads_lock);
        return bound ? -EBUSY : -EINVAL;
    }
    memcpy(t->affinity, cores, sizeof cores);
    thread_move(t, affinity_has(t, t->core) ? t->core : thread_choose_core(t));
    bool self = t == current();
    spin_unlock(&threads_lock);
    if (self && t->migrate_to >= 0)
        schedule();
    return 0;
}

/* As long as Linux's own masks on this machine, which is what programs size theirs by. */
long sys_sched_getaffinity(struct frame *f)
{
    const struct lull_boot *b = boot_info();
    u64 mask[MASK_WORDS] = {0};
    u32 len = (u32)f->rsi;
    if (len < b->mask_least || len & 7)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return ask_linux(f, NR_sched_getaffinity);
    for (u32 i = 0; i < b->ncores; i++) {
        if (affinity_has(t, i) && b->cpu[i] / 64 < MASK_WORDS)
            mask[b->cpu[i] / 64] |= 1ul << (b->cpu[i] % 64);
    }
    spin_unlock(&threads_lock);
    len = (u32)min_u64(len, b->mask_bytes);
    return copy_out(f->rdx, mask, len) ? -EFAULT : (long)len;
}

static bool policy_known(u32 policy)
{
    return policy <= 3 || policy == 5; /* OTHER FIFO RR BATCH, IDLE */
}
static bool policy_realtime(u32 policy)
{
    return policy == 1 || policy == 2;
}

struct wanted {
    i32 policy; /* -1: as it is */
    i32 prio;   /* -1: as it is */
    bool reset_on_fork;
    bool keep;          /* what t has as a deadline thread stays */
    struct deadline dl; /* runtime, deadline, period, flags */
};

/* The priority that programs read. */
static u32 shown_prio(const struct thread *t)
{
    return t->policy == SCHED_DEADLINE ? 0 : t->base_prio;
}

/* A period of 0 becomes the deadline. */
static bool deadline_valid(struct deadline *d)
{
    u64 period = d->period ? d->period : d->deadline;
    if (d->deadline >> 63 || period >> 63 || d->runtime < RUNTIME_LEAST ||
        d->deadline < d->runtime || period < d->deadline || period < PERIOD_LEAST ||
        period > PERIOD_MOST)
        return false;
    d->period = period;
    return true;
}

/* May t have the deadline that `w` says beside all other threads? 0 or -errno; under
   threads_lock. */
static long deadline_check(const struct thread *t, const struct wanted *w)
{
    const struct deadline *d = &w->dl, *has = &t->dl;
    if (w->policy != SCHED_DEADLINE ||
        (t->policy == SCHED_DEADLINE && d->runtime == has->runtime &&
         d->deadline == has->deadline && d->period == has->period && d->flags == has->flags))
        return 0;
    return !all_cores(t->affinity) ? -EPERM : deadline_admits(t, d) ? 0 : -EBUSY;
}

/* May t have it? What is left open is filled in. Under threads_lock. */
static long policy_check(const struct thread *t, struct wanted *w)
{
    if (w->policy < 0) {
        w->policy = (i32)t->policy;
        w->reset_on_fork = t->reset_on_fork;
    }
    u32 p = (u32)w->policy;
    if (w->prio < 0)
        w->prio = (i32)shown_prio(t);
    if (w->keep && t->policy == SCHED_DEADLINE)
        w->dl = t->dl;
    if (p == SCHED_DEADLINE && !deadline_valid(&w->dl))
        return -EINVAL;
    if ((!policy_known(p) && p != SCHED_DEADLINE) ||
        (policy_realtime(p) ? w->prio < 1 || w->prio > PRIO_MAX : w->prio != 0))
        return -EINVAL;
    if ((policy_realtime(p) || p == SCHED_DEADLINE || (t->reset_on_fork && !w->reset_on_fork)) &&
        boot_info()->euid != 0)
        return -EPERM; /* RLIMIT_RTPRIO is not looked at */
    return 0;
}

/* -ESRCH: another process. */
static long policy_set(i32 tid, struct wanted w)
{
    long r = -ESRCH;
    pi_begin();
    struct thread *t = lock_thread(tid);
    if (t && (r = policy_check(t, &w)) == 0 && (r = deadline_check(t, &w)) == 0) {
        bool deadline = w.policy == SCHED_DEADLINE;
        if (deadline)
            deadline_enter(t, &w.dl);
        else if (t->policy == SCHED_DEADLINE)
            deadline_leave(t, (u32)w.policy);
        t->policy = (u32)w.policy;
        t->reset_on_fork = w.reset_on_fork;
        pi_set_prio(t, deadline ? PRIO_DEADLINE : (u32)w.prio);
        if (deadline)
            deadline_place(t);
    }
    if (t)
        spin_unlock(&threads_lock);
    pi_end();
    if (r == 0 &&
        w.policy == SCHED_DEADLINE) /* sched_yield ends the period, even if nobody waits */
        rewrite_leaves_off();
    if (r == 0)
        thread_set_work(current(), WORK_RESCHED);
    return r;
}

static long set_by_param(struct frame *f, u32 nr, i32 policy, uaddr param)
{
    i32 prio;
    if ((i32)f->rdi < 0 || !param)
        return -EINVAL;
    if (copy_in(&prio, param, sizeof prio))
        return -EFAULT;
    struct wanted w = {
        .policy = policy < 0 ? -1 : (i32)((u32)policy & ~SCHED_RESET_ON_FORK),
        .prio = prio < 0 ? PRIO_MAX + 1 : prio,
        .reset_on_fork = policy >= 0 && (u32)policy & SCHED_RESET_ON_FORK,
    };
    long r = policy_set((i32)f->rdi, w);
    return r == -ESRCH ? ask_linux(f, nr) : r;
}

long sys_sched_setscheduler(struct frame *f)
{
    if ((i32)f->rsi < 0)
        return -EINVAL;
    return set_by_param(f, NR_sched_setscheduler, (i32)f->rsi, f->rdx);
}

long sys_sched_setparam(struct frame *f)
{
    return set_by_param(f, NR_sched_setparam, -1, f->rsi);
}

/* struct sched_attr, version 1 (sched_setattr(2)). */
struct attr {
    u32 size, policy;
    u64 flags;
    i32 nice;
    u32 prio;
    u64 runtime, deadline, period;
    u32 util_min, util_max;
};
#define ATTR_LEAST 48u
#define ATTR_RESET_ON_FORK 1ul
#define ATTR_KEEP_POLICY 8ul
#define ATTR_KEEP_PARAMS 16ul
#define ATTR_UTIL_CLAMP 0x60ul
#define ATTR_KNOWN 0x7ful

static long attr_fetch(uaddr from, struct attr *a)
{
    u32 size, known = sizeof *a;
    u8 byte = 0;
    if (copy_in(&size, from, sizeof size))
        return -EFAULT;
    size = size ? size : ATTR_LEAST;
    bool fits = size >= ATTR_LEAST && size <= LULL_PAGE;
    for (u32 i = sizeof *a; fits && i < size && !byte; i++) {
        if (copy_in(&byte, from + i, 1))
            return -EFAULT;
    }
    if (!fits || byte) {
        copy_out(from, &known, sizeof known);
        return -E2BIG;
    }
    memset(a, 0, sizeof *a);
    if (copy_in(a, from, min_u64(size, sizeof *a)))
        return -EFAULT;
    if (a->flags & ATTR_UTIL_CLAMP && size < sizeof *a)
        return -EINVAL;
    a->nice = a->nice < -20 ? -20 : a->nice > 19 ? 19 : a->nice;
    return 0;
}

/*
 * Nice values are of threads. That of the main thread is what Linux shows of the process, so Linux
 * keeps it, and says whether it may change. 0, or -errno.
 */
static long nice_get(i32 tid, i32 *nice)
{
    struct thread *t = lock_thread(tid);
    if (!t)
        return -ESRCH;
    *nice = t->nice;
    bool linux_has = t->tid == (i32)boot_info()->pid || *nice == NICE_UNKNOWN;
    spin_unlock(&threads_lock);
    if (!linux_has)
        return 0;
    long r = forward_raw(NR_getpriority, (const u64[6]){0, boot_info()->pid});
    if (r < 0)
        return r;
    *nice = 20 - (i32)r;
    t = lock_thread(tid);
    if (t) {
        t->nice = *nice;
        spin_unlock(&threads_lock);
    }
    return 0;
}

static long nice_set(i32 tid, i32 nice)
{
    i32 now;
    long r = nice_get(tid, &now);
    if (r || nice == now)
        return r;
    struct thread *t = lock_thread(tid);
    if (!t)
        return -ESRCH;
    bool main = t->tid == (i32)boot_info()->pid;
    spin_unlock(&threads_lock);
    if (main)
        r = forward_raw(NR_setpriority, (const u64[6]){0, 0, (u64)(i64)nice});
    else if (nice < now && boot_info()->euid != 0) /* RLIMIT_NICE is not looked at */
        r = -EACCES;
    t = r ? NULL : lock_thread(tid);
    if (t) {
        t->nice = nice;
        spin_unlock(&threads_lock);
    }
    return r;
}

/* PRIO_PROCESS of one of this program's threads. */
static bool is_own_thread(const struct frame *f)
{
    i32 who = (i32)f->rsi;
    if ((i32)f->rdi != 0 || current()->child || who < 0)
        return false;
    struct thread *t = lock_thread(who);
    bool own = t && !t->child;
    if (t)
        spin_unlock(&threads_lock);
    return own;
}

long sys_getpriority(struct frame *f)
{
    i32 nice;
    if (!is_own_thread(f))
        return forward_call(f, &syscall_table[NR_getpriority]);
    long r = nice_get((i32)f->rsi, &nice);
    return r ? r : 20 - nice;
}

long sys_setpriority(struct frame *f)
{
    i32 nice = (i32)f->rdx;
    if (is_own_thread(f))
        return nice_set((i32)f->rsi, nice < -20 ? -20 : nice > 19 ? 19 : nice);
    long r = forward_call(f, &syscall_table[NR_setpriority]);
    if (r == 0 && (i32)f->rdi != 0) { /* of a group or a user: every thread's */
        spin_lock(&threads_lock);
        for (struct list *l = threads_all.next; l != &threads_all; l = l->next)
            CONTAINER(l, struct thread, all)->nice = NICE_UNKNOWN;
        spin_unlock(&threads_lock);
    }
    return r;
}

static long attr_apply(i32 tid, const struct attr *a)
{
    struct thread *t = lock_thread(tid);
    if (!t)
        return -ESRCH;
    bool realtime = policy_realtime(t->policy);
    struct wanted w = {
        .policy = a->flags & ATTR_KEEP_POLICY ? -1 : (i32)a->policy,
        .prio = a->flags & ATTR_KEEP_PARAMS && realtime ? -1
                : a->prio > PRIO_MAX                    ? PRIO_MAX + 1
                                                        : (i32)a->prio,
        .reset_on_fork = a->flags & ATTR_RESET_ON_FORK,
        .keep = a->flags & ATTR_KEEP_PARAMS,
        .dl = {.runtime = a->runtime,
               .deadline = a->deadline,
               .period = a->period,
               .flags = (u32)a->flags & DEADLINE_FLAGS},
    };
    struct wanted filled = w;
    long r = policy_check(t, &filled);
    spin_unlock(&threads_lock);
    if (a->flags & ~ATTR_KNOWN)
        return -EINVAL;
    if (r)
        return r;
    if (a->flags & ATTR_UTIL_CLAMP) /* as a Linux without CONFIG_UCLAMP_TASK */
        return -EOPNOTSUPP;
    bool has_nice = !policy_realtime((u32)filled.policy) && filled.policy != SCHED_IDLE &&
                    filled.policy != SCHED_DEADLINE;
    if (has_nice && !(a->flags & ATTR_KEEP_PARAMS && !realtime)) {
        r = nice_set(tid, a->nice);
        if (r)
            return r == -EACCES ? -EPERM : r;
    }
    return policy_set(tid, w);
}

long sys_sched_setattr(struct frame *f)
{
    struct attr a;
    i32 tid = (i32)f->rdi;
    if (!f->rsi || tid < 0 || (u32)f->rdx)
        return -EINVAL;
    long r = attr_fetch(f->rsi, &a);
    if (r)
        return r;
    if ((i32)a.policy < 0)
        return -EINVAL;
    r = attr_apply(tid, &a);
    return r == -ESRCH ? ask_linux(f, NR_sched_setattr) : r;
}

long sys_sched_getattr(struct frame *f)
{
    u32 size = (u32)f->rdx;
    if ((i32)f->rdi < 0 || !f->rsi || size < ATTR_LEAST || size > LULL_PAGE || (u32)f->r10)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return ask_linux(f, NR_sched_getattr);
    struct attr a = {
        .size = (u32)min_u64(size, sizeof a),
        .policy = t->policy,
        .flags = t->reset_on_fork ? ATTR_RESET_ON_FORK : 0,
        .prio = shown_prio(t),
    };
    if (a.policy == SCHED_DEADLINE) {
        a.flags |= t->dl.flags;
        a.runtime = t->dl.runtime;
        a.deadline = t->dl.deadline;
        a.period = t->dl.period;
    }
    spin_unlock(&threads_lock);
    if (!policy_realtime(a.policy) && a.policy != SCHED_DEADLINE) {
        long r = nice_get((i32)f->rdi, &a.nice);
        if (r)
            return r;
    }
    return copy_out(f->rsi, &a, a.size);
}

long sys_sched_getscheduler(struct frame *f)
{
    if ((i32)f->rdi < 0)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return ask_linux(f, NR_sched_getscheduler);
    long r = (long)(t->policy | (t->reset_on_fork ? SCHED_RESET_ON_FORK : 0));
    spin_unlock(&threads_lock);
    return r;
}

long sys_sched_getparam(struct frame *f)
{
    if ((i32)f->rdi < 0 || !f->rsi)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return ask_linux(f, NR_sched_getparam);
    i32 prio = (i32)shown_prio(t);
    spin_unlock(&threads_lock);
    return copy_out(f->rsi, &prio, sizeof prio);
}

long sys_sched_get_priority_max(struct frame *f)
{
    u32 p = (u32)f->rdi;
    return policy_realtime(p) ? PRIO_MAX : policy_known(p) || p == 6 ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(struct frame *f)
{
    u32 p = (u32)f->rdi;
    return policy_realtime(p) ? 1 : policy_known(p) || p == 6 ? 0 : -EINVAL;
}

long sys_sched_rr_get_interval(struct frame *f)
{
    if ((i32)f->rdi < 0)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return ask_linux(f, NR_sched_rr_get_interval);
    bool fifo = t->policy == 1 || t->policy == SCHED_DEADLINE;
    spin_unlock(&threads_lock);
    struct timespec ts = {0, fifo ? 0 : (i64)boot_info()->slice_ns};
    return copy_out(f->rsi, &ts, sizeof ts);
}
