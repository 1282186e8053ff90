/* SPDX-License-Identifier: MIT */
/* sched_setaffinity(2) and sched(7). CPU numbers are Linux's, as under taskset(1). */
#include "kernel.h"
#include "sys/sys.h"

#define SCHED_RR 2
#define SCHED_RESET_ON_FORK 0x40000000u
#define MASK_WORDS (65536 / 64 / 8)

long sys_sched_yield(struct frame *f)
{
    (void)f;
    if (runqs[this_cpu()->index].nready)
        thread_yield();
    return 0;
}

/* The thread `tid` (0: the caller), with threads_lock held; NULL: lock dropped, no such thread. */
static struct thread *lock_thread(i32 tid)
{
    spin_lock(&threads_lock);
    struct thread *t = tid ? thread_by_tid(tid) : current();
    if (!t)
        spin_unlock(&threads_lock);
    return t;
}

static u32 mask_bytes(void)
{
    u32 max = 0;
    for (u32 i = 0; i < boot_info()->ncores; i++)
        max = boot_info()->cpu[i] > max ? boot_info()->cpu[i] : max;
    return (max / 64 + 1) * 8;
}

long sys_sched_setaffinity(struct frame *f)
{
    const struct lull_boot *b = boot_info();
    u64 mask[MASK_WORDS] = {0};
    u64 cores[ARRAY_LEN(current()->affinity)] = {0};
    if (copy_in(mask, f->rdx, min_u64((u32)f->rsi, sizeof mask)))
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
        return -ESRCH;
    if (!any) {
        spin_unlock(&threads_lock);
        return -EINVAL;
    }
    memcpy(t->affinity, cores, sizeof cores);
    thread_move(t, affinity_has(t, t->core) ? t->core : thread_choose_core(t));
    bool self = t == current();
    spin_unlock(&threads_lock);
    if (self && t->migrate_to >= 0)
        schedule();
    return 0;
}

long sys_sched_getaffinity(struct frame *f)
{
    const struct lull_boot *b = boot_info();
    u64 mask[MASK_WORDS] = {0};
    u32 len = (u32)f->rsi, need = mask_bytes();
    if (len < need || len & 7)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return -ESRCH;
    for (u32 i = 0; i < b->ncores; i++) {
        if (affinity_has(t, i))
            mask[b->cpu[i] / 64] |= 1ul << (b->cpu[i] % 64);
    }
    spin_unlock(&threads_lock);
    return copy_out(f->rdx, mask, need) ? -EFAULT : (long)need;
}

static bool policy_known(u32 policy)
{
    return policy <= 3 || policy == 5; /* OTHER FIFO RR BATCH, IDLE */
}
static bool policy_realtime(u32 policy)
{
    return policy == 1 || policy == 2;
}

static long set_policy(i32 tid, i32 policy, uaddr param)
{
    i32 prio;
    if (tid < 0 || !param)
        return -EINVAL;
    if (copy_in(&prio, param, sizeof prio))
        return -EFAULT;
    struct thread *t = lock_thread(tid);
    if (!t)
        return -ESRCH;
    bool reset = policy >= 0 && (u32)policy & SCHED_RESET_ON_FORK;
    u32 p = policy < 0 ? t->policy : (u32)policy & ~SCHED_RESET_ON_FORK;
    long r = 0;
    if (!policy_known(p) || (policy_realtime(p) ? prio < 1 || prio > PRIO_MAX : prio != 0)) {
        r = -EINVAL;
    } else if (policy_realtime(p) && boot_info()->euid != 0) {
        r = -EPERM; /* RLIMIT_RTPRIO is not looked at */
    } else {
        t->policy = p;
        t->reset_on_fork = reset;
        thread_set_prio(t, (u32)prio);
    }
    spin_unlock(&threads_lock);
    if (r == 0)
        thread_set_work(current(), WORK_RESCHED);
    return r;
}

long sys_sched_setscheduler(struct frame *f)
{
    if ((i32)f->rsi < 0)
        return -EINVAL;
    return set_policy((i32)f->rdi, (i32)f->rsi, f->rdx);
}

long sys_sched_setparam(struct frame *f)
{
    return set_policy((i32)f->rdi, -1, f->rsi);
}

long sys_sched_getscheduler(struct frame *f)
{
    if ((i32)f->rdi < 0)
        return -EINVAL;
    struct thread *t = lock_thread((i32)f->rdi);
    if (!t)
        return forward_call(f, &syscall_table[145]); /* another process */
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
        return forward_call(f, &syscall_table[143]); /* another process */
    i32 prio = (i32)t->prio;
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
        return forward_call(f, &syscall_table[148]); /* another process */
    bool fifo = t->policy == 1;
    spin_unlock(&threads_lock);
    struct timespec ts = {0, fifo ? 0 : (i64)boot_info()->slice_ns};
    return copy_out(f->rsi, &ts, sizeof ts);
}
