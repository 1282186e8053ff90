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
    u64 clear_tid;
    struct sigstack alt;
    struct sigaction actions[NSIG];
    u8 xsave[0x1000] __attribute__((aligned(64)));
};

struct clone_args;

/* What a new process begins with; 0: nothing, or as its parent. Addresses are the program's. */
struct child_wants {
    u64 stack, tls;
    u64 parent_tid, set_tid, clear_tid; /* where its number goes, and is cleared at its end */
    u64 pidfd;                          /* where its descriptor goes, a u32 */
    bool set_tls, clear_sighand;
    u64 flags, exit_signal, cgroup; /* what Linux makes of it: LULL_OP_FORK */
    i32 *tids;                      /* clone_args.set_tid, in the kernel's memory */
    u64 ntids;
};

/* CLONE_VM | CLONE_VFORK. 0 in the child, which goes on with `f`, or -errno. */
long child_start(struct frame *f, const struct child_wants *w);
/* A descriptor of the process to where `w` wants it. 0 or -errno. */
long child_pidfd(const struct child_wants *w, long pid);
/* A system call of a thread that has t->child. */
long child_dispatch(struct frame *f, u64 nr);

struct sigaction;
void actions_reset(struct sigaction *actions); /* CLONE_CLEAR_SIGHAND: no handlers, NSIG of them */

void children_reset(void); /* in a forked child, before anything else */

/* fork.c */
/* The system call nr(a0, a1), by a program of one thread as Linux gives it to such a process. */
long alone_call(u64 nr, u64 a0, u64 a1);
long fork_start(const struct child_wants *w); /* pid in the parent, or -errno */
struct thread *fork_resume(void); /* on core 0 of the child: the thread that goes on there */

long sys_vfork(struct frame *f);
long sys_execve(struct frame *f);
long sys_execveat(struct frame *f);

#endif
