/* SPDX-License-Identifier: MIT */
/* futex_waitv(2): waits for the first of several futexes. */
#include "kernel.h"
#include "sched/futex.h"
#include "sched/futex_priv.h"

#define WAITV_MAX 128
#define FUTEX_32 2u
#define FUTEX_PRIVATE 128u

/* struct futex_waitv */
struct waitv {
    u64 val, addr;
    u32 flags, reserved;
};

/* 1: all of them are in memory that is shared with Linux, where they are waited for. Some alone:
   they would have to be waited for there as well. */
static long waitv_decode(uaddr list, u32 n, struct futex_waiter *w, u32 *val)
{
    u32 windows = 0;
    for (u32 i = 0; i < n; i++) {
        struct waitv v;
        if (copy_in(&v, list + i * sizeof v, sizeof v))
            return -EFAULT;
        if (v.flags & ~(FUTEX_32 | FUTEX_PRIVATE) || v.reserved || !(v.flags & FUTEX_32) ||
            v.val >> 32)
            return -EINVAL;
        w[i] = (struct futex_waiter){.thread = current(), .addr = v.addr, .bits = ~0u};
        list_init(&w[i].link);
        val[i] = (u32)v.val;
        windows += !(v.flags & FUTEX_PRIVATE) && futex_in_window(v.addr);
    }
    if (windows && windows < n)
        return refuse(NR_futex_waitv);
    for (u32 i = 0; i < n; i++) {
        long r = futex_check(w[i].addr);
        if (r)
            return r;
    }
    return windows ? 1 : 0;
}

/* Which of them was woken, the last such; -1: none. */
static long leave_all(struct futex_waiter *w, u32 n)
{
    long woken = -1;
    for (u32 i = 0; i < n; i++) {
        if (!waiter_leave(&w[i]))
            woken = (long)i;
    }
    return woken;
}

static long wait_for_any(struct futex_waiter *w, const u32 *val, u32 n, u64 deadline)
{
    long failed = 0;
    u32 queued = 0;
    thread_prepare_block();
    for (; queued < n && !failed; queued += !failed) {
        u32 value;
        struct bucket *b = bucket_lock(w[queued].addr);
        if (user_load32((void *)w[queued].addr, &value))
            failed = -EFAULT;
        else if (value != val[queued])
            failed = -EAGAIN;
        else
            bucket_add(b, &w[queued]);
        spin_unlock(&b->lock);
    }
    bool in_time = true;
    if (failed || signal_pending(current()))
        thread_cancel_block();
    else
        in_time = thread_block_until(deadline);
    long woken = leave_all(w, queued);
    if (woken >= 0)
        return woken;
    return failed ? failed : in_time ? -ERESTART : -ETIMEDOUT;
}

long sys_futex_waitv(struct frame *f)
{
    struct futex_waiter w[WAITV_MAX];
    u32 val[WAITV_MAX], n = (u32)f->rsi;
    u64 ns, deadline = NEVER;
    if (f->rdx & 0xffffffff || !n || n > WAITV_MAX || !f->rdi)
        return -EINVAL;
    if (f->r10) {
        if ((i32)f->r8 != 0 && (i32)f->r8 != 1)
            return -EINVAL;
        long r = timespec_in(f->r10, &ns);
        if (r)
            return r;
        deadline = futex_deadline(ns, (i32)f->r8 == 0);
    }
    long r = waitv_decode(f->rdi, n, w, val);
    if (r == 1) {
        u64 arg[6] = {f->rdi, LULL_FUTEX_WAITV, n, f->r10, f->r8};
        r = forward_raw(LULL_NR_FUTEX, arg);
        return r == -ERESTART && f->r10 ? -EINTR : r;
    }
    return r ? r : wait_for_any(w, val, n, deadline);
}
