/* SPDX-License-Identifier: MIT */
/* futex(2), get_robust_list(2); Documentation/locking/robust-futex-ABI.rst, pi-futex.rst. */
#ifndef KERNEL_SCHED_FUTEX_H
#define KERNEL_SCHED_FUTEX_H

#include "sched/thread.h"

long sys_futex(struct frame *f);
long sys_futex_waitv(struct frame *f);
long futex_resume(struct frame *f, u64 deadline); /* a timed wait that was interrupted */
void futex_wake_addr(uaddr addr, i32 n);
void futexes_reset(void); /* nobody waits any more */
void robust_list_release(struct thread *t);
/* The main thread's list is at `head`, 0: nowhere. robust_list_tell() tells Linux, once there is
   memory that is shared with other processes; without locks. */
void robust_list_main(uaddr head);
void robust_list_tell(void);
void robust_list_forked(void);   /* in the child: nobody has a list */
void robust_lists_release(void); /* all threads end: nothing of the application runs from here on */

/* Priority inheritance. */
void pi_init(struct thread *t);
void pi_begin(void); /* around pi_set_prio(), outside threads_lock */
void pi_end(void);
void pi_set_prio(struct thread *t, u32 prio); /* its own; others may lend it a higher one */
void pi_owner_gone(struct thread *t);         /* t ends: what it holds goes to those who wait */

#endif
