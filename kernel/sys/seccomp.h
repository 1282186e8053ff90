/* SPDX-License-Identifier: MIT */
/* seccomp(2): filters of system calls. They bind the program's calls, never the kernel's own. */
#ifndef KERNEL_SYS_SECCOMP_H
#define KERNEL_SYS_SECCOMP_H

#include "sched/thread.h"

#define PR_GET_SECCOMP 21
#define PR_SET_SECCOMP 22
#define SECCOMP_MODE_STRICT 1u
#define SECCOMP_MODE_FILTER 2u

enum seccomp_verdict {
    SECCOMP_PASS,   /* the call is made */
    SECCOMP_ANSWER, /* it is not, and answers *answer */
    SECCOMP_SIGNAL, /* it is not; the program gets SIGSYS with seccomp_trap() */
};

/* Judges call `nr` of the current thread, which has a mode. May end the thread or the program.
   Of SECCOMP_SIGNAL *answer is what seccomp_trap() takes. */
enum seccomp_verdict seccomp_judge(struct frame *f, u32 nr, long *answer);
void seccomp_trap(struct frame *f, u32 nr, u64 ip, long reason);
/* A new thread has its creator's filters. */
void seccomp_inherit(struct thread *t, const struct thread *from);
u32 seccomp_depth(const struct thread *t); /* number of its filters */
long seccomp_set_mode(u64 op, u64 flags, uaddr args);
long seccomp_get_mode(struct frame *f); /* prctl(PR_GET_SECCOMP) */
long sys_seccomp(struct frame *f);

#endif
