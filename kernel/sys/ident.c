/* SPDX-License-Identifier: MIT */
/* Who the program is, and small per-thread settings. */
#include <lull/mark.h>

#include "kernel.h"
#include "sched/futex.h"
#include "sys/seccomp.h"
#include "sys/sys.h"

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012
#define ARCH_GET_XCOMP_SUPP 0x1021
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_TILEDATA 18
#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define PR_SET_TIMERSLACK 29
#define PR_GET_TIMERSLACK 30
#define PR_GET_TID_ADDRESS 40
#define PR_SET_PTRACER 0x59616d61 /* Yama's: who may look into this process */
#define PR_LAST_KNOWN 71          /* of Linux 6.1, apart from the mnemonic ones */

long sys_getpid(struct frame *f)
{
    (void)f;
    return boot_info()->pid;
}
long sys_gettid(struct frame *f)
{
    (void)f;
    return current()->tid;
}
/* Whether Linux has to be asked who the program is. */
static bool user_asked(void)
{
    return boot_info()->flags & LULL_BOOT_F_ASK_USER;
}

long sys_getuid(struct frame *f)
{
    return user_asked() ? forward_call(f, &syscall_table[102]) : boot_info()->uid;
}
long sys_geteuid(struct frame *f)
{
    return user_asked() ? forward_call(f, &syscall_table[107]) : boot_info()->euid;
}
long sys_getgid(struct frame *f)
{
    return user_asked() ? forward_call(f, &syscall_table[104]) : boot_info()->gid;
}
long sys_getegid(struct frame *f)
{
    return user_asked() ? forward_call(f, &syscall_table[108]) : boot_info()->egid;
}

/*
 * Linux keeps identities for each thread; here they are the process's. A C library changes its
 * process by the same call in each thread. So the first of them changes the process, and the others
 * get the same answer, since natively each would come from the same identity to the same one.
 */
static struct {
    bool busy; /* somebody makes one */
    u32 count; /* changes so far */
    u64 nr, arg[3], list;
} setxid;

/* Of the list of setgroups(2), so that another one is told apart. */
static u64 list_hash(u64 n, u64 list)
{
    u64 hash = 0xcbf29ce484222325ul;
    u32 id;
    for (u32 i = 0; i < (u32)n && i < 65536; i++) {
        if (copy_in(&id, list + i * 4ul, 4))
            return 0;
        hash = (hash ^ id) * 0x100000001b3ul;
    }
    return hash;
}

/* One after another; the proxy is asked meanwhile, so it is no spinlock. */
static void setxid_enter(void)
{
    while (__atomic_exchange_n(&setxid.busy, true, __ATOMIC_ACQUIRE))
        thread_yield();
}

long sys_setxid(struct frame *f)
{
    struct thread *t = current();
    u64 nr = f->orig, list = nr == NR_setgroups ? list_hash(f->rdi, f->rsi) : 0;
    bool one = nr == NR_setuid || nr == NR_setgid,
         two = nr == NR_setreuid || nr == NR_setregid || nr == NR_setgroups;
    u64 arg[3] = {f->rdi, one ? 0 : f->rsi, one || two ? 0 : f->rdx};
    setxid_enter();
    bool again = t->setxid != setxid.count && setxid.nr == nr && setxid.list == list &&
                 memcmp(setxid.arg, arg, sizeof arg) == 0;
    long r = again ? 0 : forward_call(f, &syscall_table[nr]);
    if (r == 0 && !again) {
        setxid.count++;
        setxid.nr = nr;
        setxid.list = list;
        memcpy(setxid.arg, arg, sizeof arg);
    }
    if (r == 0)
        t->setxid = setxid.count;
    __atomic_store_n(&setxid.busy, false, __ATOMIC_RELEASE);
    return r;
}

void setxid_forked(void)
{
    setxid.busy = false;
}

long sys_getcpu(struct frame *f)
{
    u32 cpu = this_cpu()->cpu, node = boot_info()->node[this_cpu()->index];
    if (f->rdi && copy_out(f->rdi, &cpu, 4))
        return -EFAULT;
    if (f->rsi && copy_out(f->rsi, &node, 4))
        return -EFAULT;
    return 0;
}

long sys_set_tid_address(struct frame *f)
{
    current()->clear_tid = f->rdi;
    return current()->tid;
}

long sys_set_robust_list(struct frame *f)
{
    if (f->rsi != 24)
        return -EINVAL;
    current()->robust_list = f->rdi;
    if (current()->tid == (i32)boot_info()->pid && !current()->child)
        robust_list_main(f->rdi);
    return 0;
}

long sys_get_robust_list(struct frame *f)
{
    i32 tid = (i32)f->rdi;
    u64 len = 24;
    spin_lock(&threads_lock);
    struct thread *t = tid ? thread_by_tid(tid) : current();
    u64 head = t ? t->robust_list : 0;
    spin_unlock(&threads_lock);
    if (!t) {
        /* another process's: Linux says whether there is one, and that it may not be seen */
        u64 arg[6] = {f->rdi, LULL_FUTEX_ROBUST};
        long r = (u32)tid == boot_info()->pid ? -ESRCH : forward_raw(LULL_NR_FUTEX, arg);
        return r == -EFAULT ? refuse(NR_get_robust_list) : r;
    }
    if (copy_out(f->rdx, &len, 8) || copy_out(f->rsi, &head, 8))
        return -EFAULT;
    return 0;
}

long sys_prctl(struct frame *f)
{
    struct thread *t = current();
    switch ((u32)f->rdi) {
    case PR_SET_NAME: {
        char name[16] = {0};
        for (unsigned i = 0; i < sizeof name - 1; i++) {
            if (copy_in(&name[i], f->rsi + i, 1))
                return -EFAULT;
            if (!name[i])
                break;
        }
        memcpy(t->name, name, sizeof name);
        return 0;
    }
    case PR_GET_NAME:
        return copy_out(f->rsi, t->name, sizeof t->name);
    case PR_SET_TIMERSLACK: /* timers are never late on purpose here, so it is only remembered */
        t->slack = f->rsi && (i64)f->rsi > 0 ? f->rsi : t->slack_first;
        return 0;
    case PR_GET_TIMERSLACK:
        return (long)t->slack;
    case PR_GET_TID_ADDRESS:
        return copy_out(f->rsi, &t->clear_tid, sizeof t->clear_tid);
    case PR_GET_SECCOMP:
        return seccomp_get_mode(f);
    case PR_SET_SECCOMP: /* its modes are the operations of seccomp(2), and one more */
        if (f->rsi != SECCOMP_MODE_STRICT && f->rsi != SECCOMP_MODE_FILTER)
            return -EINVAL;
        return seccomp_set_mode(f->rsi - 1, 0, f->rsi == SECCOMP_MODE_FILTER ? f->rdx : 0);
    case LULL_PR_MARK:
        if (f->rsi != LULL_MARK_BEGIN && f->rsi != LULL_MARK_END)
            return -EINVAL;
        return proxy_call(LULL_OP_MARK, f->rsi, 0, 0);
    default:
        return (u32)f->rdi > PR_LAST_KNOWN && (u32)f->rdi != PR_SET_PTRACER
                   ? -EINVAL
                   : forward_call(f, &syscall_table[157]);
    }
}

long sys_arch_prctl(struct frame *f)
{
    u64 base;
    switch ((u32)f->rdi) {
    case ARCH_SET_FS:
        if (f->rsi >> 47 || f->rsi >= LULL_USER_END)
            return -EPERM;
        __asm__ volatile("mov %0, %%fs" ::"r"(0));
        write_fsbase(f->rsi);
        return 0;
    case ARCH_GET_FS:
        base = read_fsbase();
        return copy_out(f->rsi, &base, 8);
    case ARCH_SET_GS:
        if (f->rsi >> 47 || f->rsi >= LULL_USER_END)
            return -EPERM;
        __asm__ volatile("mov %0, %%gs" ::"r"(0));
        write_gsbase(f->rsi);
        return 0;
    case ARCH_GET_GS:
        base = read_gsbase();
        return copy_out(f->rsi, &base, 8);
    case ARCH_GET_CPUID:
        return 1; /* the instruction does not fault */
    case ARCH_SET_CPUID:
        return -ENODEV;
    case ARCH_GET_XCOMP_SUPP:
    case ARCH_GET_XCOMP_PERM:
        base = boot_info()->xcr0;
        return copy_out(f->rsi, &base, 8);
    case ARCH_REQ_XCOMP_PERM: /* of AMX an isle has neither registers nor room for them */
        return f->rsi <= XFEATURE_TILEDATA ? -EOPNOTSUPP : -EINVAL;
    default:
        return -EINVAL;
    }
}

long sys_exit(struct frame *f)
{
    thread_exit((int)f->rdi & 0xff, 0);
}

long sys_exit_group(struct frame *f)
{
    robust_lists_release();
    isle_exit((int)f->rdi & 0xff);
}
