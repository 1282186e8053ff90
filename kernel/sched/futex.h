/* SPDX-License-Identifier: MIT */
/* futex(2), get_robust_list(2); Documentation/locking/robust-futex-ABI.rst. */
#ifndef KERNEL_SCHED_FUTEX_H
#define KERNEL_SCHED_FUTEX_H

#include "sched/thread.h"

long sys_futex(struct frame *f);
long futex_resume(struct frame *f, u64 deadline); /* a timed wait that was interrupted */
u32 futex_wake_addr(uaddr addr, u32 n);
void futexes_reset(void); /* nobody waits any more */
void robust_list_release(struct thread *t);

#endif
