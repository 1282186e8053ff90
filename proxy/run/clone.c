/* SPDX-License-Identifier: MIT */
/*
 * fork(3) with clone(2)'s flags. Only the C library's fork() leaves its locks, its list of threads
 * and its handlers as a child needs them, and it has no flags. So Linux is told to hand this
 * thread's system calls to a signal handler (syscall user dispatch, prctl(2)), and the handler adds
 * the flags to the one clone that fork() makes. Every other call it makes as it is.
 */
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "rawcall.h"
#include "run/run_priv.h"
#include "sigstate.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define DISPATCH_OFF 0
#define DISPATCH_ON 1
#define RESTORER_SIZE 16 /* bytes: a mov and a syscall */
#define CODE_DISPATCH 2  /* si_code: SYS_USER_DISPATCH */

/* Linux's struct clone_args, whose last fields older headers do not have. */
struct clone3_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

static _Thread_local volatile char selector; /* Linux reads it at each system call; 1: dispatch */
static _Thread_local const struct fork_wants *wants;

/* fork() calls clone(flags | SIGCHLD, 0, parent_tid, child_tid, tls). */
static long clone_with_flags(const greg_t *g)
{
    const struct fork_wants *w = wants;
    uint64_t flags = (uint64_t)g[REG_RDI];
    struct clone3_args a = {
        .flags = (flags & ~0xfful) | w->flags,
        .exit_signal = w->flags & CLONE_PARENT ? 0 : w->exit_signal, /* it is the caller's own */
        .parent_tid = (uint64_t)g[REG_RDX],
        .child_tid = (uint64_t)g[REG_R10],
        .set_tid = w->set_tid_size ? (uint64_t)(uintptr_t)w->set_tid : 0,
        .set_tid_size = w->set_tid_size,
        .cgroup = w->flags & CLONE_INTO_CGROUP ? (uint64_t)w->cgroup : 0,
    };
    return rawcall(SYS_clone3, (long)&a, sizeof a, 0, 0, 0, 0);
}

/* The mask that is in force when the handler returns, without SIGSYS, which must not be blocked. */
static long change_mask(ucontext_t *u, const greg_t *g)
{
    uint64_t now, set = 0;
    memcpy(&now, &u->uc_sigmask, sizeof now);
    if (g[REG_RDX])
        memcpy((void *)g[REG_RDX], &now, sizeof now);
    if (!g[REG_RSI])
        return 0;
    memcpy(&set, (const void *)g[REG_RSI], sizeof set);
    now = g[REG_RDI] == SIG_BLOCK ? now | set : g[REG_RDI] == SIG_UNBLOCK ? now & ~set : set;
    now &= ~(1ull << (SIGSYS - 1));
    memcpy(&u->uc_sigmask, &now, sizeof now);
    return 0;
}

/* Async-signal-safe. In the parent and in the child. */
static void on_call(int signo, siginfo_t *info, void *context)
{
    if (info->si_code != CODE_DISPATCH) {
        sigstate_send_on(signo, info);
        return;
    }
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;
    selector = DISPATCH_OFF;
    if (info->si_syscall == SYS_clone) {
        g[REG_RAX] = clone_with_flags(g);
        return; /* nothing more is dispatched */
    }
    g[REG_RAX] = info->si_syscall == SYS_rt_sigprocmask
                     ? change_mask(u, g)
                     : rawcall(info->si_syscall, g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10],
                               g[REG_R8], g[REG_R9]);
    selector = DISPATCH_ON;
}

pid_t fork_with(const struct fork_wants *w)
{
    struct sigaction sa = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_RESTART}, before;
    struct kernel_sigaction how;
    sigset_t set, mask;
    if (!w->flags && w->exit_signal == SIGCHLD && !w->set_tid_size)
        return fork();
    sigemptyset(&sa.sa_mask);
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    sigaction(SIGSYS, &sa, &before);
    /* the call that ends a handler, in the C library's restorer, is never dispatched */
    syscall(SYS_rt_sigaction, SIGSYS, NULL, &how, 8);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, how.restorer, RESTORER_SIZE, &selector)) {
        sigaction(SIGSYS, &before, NULL);
        errno = ENOSYS; /* Linux before 5.11 */
        return -1;
    }
    pthread_sigmask(SIG_UNBLOCK, &set, &mask);
    wants = w;
    selector = DISPATCH_ON;
    pid_t pid = fork();
    selector = DISPATCH_OFF;
    int err = errno;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGSYS, &before, NULL);
    prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_OFF, 0, 0, 0);
    errno = err;
    return pid;
}
