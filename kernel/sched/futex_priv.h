/* SPDX-License-Identifier: MIT */
/* Shared by futex.c, futex_pi.c, futex_many.c and robust.c. */
#ifndef KERNEL_SCHED_FUTEX_PRIV_H
#define KERNEL_SCHED_FUTEX_PRIV_H

#include "sched/thread.h"

#define FUTEX_WAKE 1
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_TID_MASK 0x3fffffffu

/* Wait queues by hashed address. A bucket's lock is above threads_lock and run queues. */
struct bucket {
    spinlock lock;
    struct list waiters; /* higher priorities first, as they came among equal ones */
} __attribute__((aligned(64)));

struct bucket *bucket_lock(uaddr addr);
void bucket_lock_two(uaddr x, uaddr y, struct bucket **bx, struct bucket **by);
void bucket_unlock_two(struct bucket *bx, struct bucket *by);
void bucket_add(struct bucket *b, struct futex_waiter *w);

static inline struct futex_waiter *waiter_of(struct list *l)
{
    return CONTAINER(l, struct futex_waiter, link);
}
/* Takes it off the queue of its bucket, which is locked, and lets its thread go on. */
void waiter_wake(struct futex_waiter *w);
/* Takes it off by itself. False: it had been woken. */
bool waiter_leave(struct futex_waiter *w);

/* -EINVAL, -EFAULT or 0: may there be a futex? */
long futex_check(uaddr addr);
/* Other processes may wait there too: then Linux keeps the queue. */
bool futex_in_window(uaddr addr);
/* The deadline at `ns` of CLOCK_MONOTONIC, or of CLOCK_REALTIME. */
u64 futex_deadline(u64 ns, bool realtime);
long futex_wake_bits(uaddr addr, i32 n, u32 bits); /* how many, at least one is tried; -EINVAL */

/* futex_pi.c */
long futex_lock_pi(const struct frame *f, u64 deadline, bool try);
long futex_unlock_pi(const struct frame *f);
long futex_wait_requeue_pi(const struct frame *f, u64 deadline);
long futex_requeue_pi(const struct frame *f);
void futex_pi_reset(void);

#endif
