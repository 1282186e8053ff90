/* SPDX-License-Identifier: MIT */
/* unshare(2), setns(2), and keyctl(2) where it changes what the whole process has. */
#include "kernel.h"
#include "sched/child.h"
#include "sched/thread.h"
#include "sys/sys.h"

#define CLONE_NEWTIME 0x80u
#define CLONE_VM 0x100u
#define CLONE_FS 0x200u
#define CLONE_FILES 0x400u
#define CLONE_SIGHAND 0x800u
#define CLONE_NEWNS 0x20000u
#define CLONE_THREAD 0x10000u
#define CLONE_SYSVSEM 0x40000u
#define CLONE_NEWUSER 0x10000000u
#define CLONE_NEW_OTHERS 0x6e000000u /* CGROUP, UTS, IPC, PID, NET */
#define WANTS_ONE_THREAD (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER)
#define KEYCTL_JOIN_SESSION_KEYRING 1

long sys_unshare(struct frame *f)
{
    u64 flags = f->rdi;
    u64 known = WANTS_ONE_THREAD | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_NEWNS |
                CLONE_NEW_OTHERS | CLONE_NEWTIME;
    if (flags & ~known)
        return -EINVAL;
    if (flags & WANTS_ONE_THREAD && __atomic_load_n(&threads_alive, __ATOMIC_SEQ_CST) > 1)
        return -EINVAL;
    return flags ? alone_call(272, flags, 0) : 0;
}

long sys_setns(struct frame *f)
{
    return alone_call(308, f->rdi, f->rsi);
}

long sys_keyctl(struct frame *f)
{
    if ((u32)f->rdi != KEYCTL_JOIN_SESSION_KEYRING)
        return forward_call(f, &syscall_table[250]);
    return alone_call(250, f->rdi, f->rsi);
}
