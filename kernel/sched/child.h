/* SPDX-License-Identifier: MIT */
/* Children of the program: vfork(2), fork(2), execve(2). */
#ifndef KERNEL_SCHED_CHILD_H
#define KERNEL_SCHED_CHILD_H

#include "sched/thread.h"

/*
 * A thread that is its own vfork child: it runs in the program's memory, but its calls are made by
 * an agent of the proxy's, until it executes or ends. Then it is the parent again, as it was.
 */
struct child {
    bool used;
    i32 pid;
    i32 tid; /* the thread's own */
    struct frame parent;
    u64 fsbase, mask;
    struct sigstack alt;
    struct sigaction actions[NSIG];
    u8 xsave[0x1000] __attribute__((aligned(64)));
};

struct clone_args;

/* CLONE_VM | CLONE_VFORK. 0 in the child, which goes on with `f`, or -errno. */
long child_start(struct frame *f, u64 stack, u64 tls, bool set_tls, bool clear_sighand);
/* A system call of a thread that has t->child. */
long child_dispatch(struct frame *f, u64 nr);

void children_reset(void); /* in a forked child, before anything else */

/* fork.c */
long fork_start(u64 parent_tid, u64 set_tid, u64 clear_tid); /* addresses or 0; pid in the parent */
struct thread *fork_resume(void); /* on core 0 of the child: the thread that goes on there */

long sys_vfork(struct frame *f);
long sys_execve(struct frame *f);
long sys_execveat(struct frame *f);

#endif
