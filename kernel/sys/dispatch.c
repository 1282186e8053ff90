/* SPDX-License-Identifier: MIT */
/* From a number to an answer. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "sched/rseq.h"
#include "sys/seccomp.h"
#include "sys/sys.h"

LULL_DEFINE_SYSCALLS(syscall_table);

static const syscall_fn local[LULL_NR_MAX] = {
    [NR_mmap] = sys_mmap,
    [NR_mprotect] = sys_mprotect,
    [NR_munmap] = sys_munmap,
    [NR_brk] = sys_brk,
    [NR_rt_sigaction] = sys_rt_sigaction,
    [NR_rt_sigprocmask] = sys_rt_sigprocmask,
    [NR_rt_sigreturn] = sys_rt_sigreturn,
    [NR_sched_yield] = sys_sched_yield,
    [NR_mremap] = sys_mremap,
    [NR_msync] = sys_msync,
    [NR_mincore] = sys_mincore,
    [NR_madvise] = sys_madvise,
    [NR_shmat] = sys_shmat,
    [NR_pause] = sys_pause,
    [NR_nanosleep] = sys_nanosleep,
    [NR_getitimer] = sys_getitimer,
    [NR_alarm] = sys_alarm,
    [NR_setitimer] = sys_setitimer,
    [NR_getpid] = sys_getpid,
    [NR_clone] = sys_clone,
    [NR_fork] = sys_fork,
    [NR_vfork] = sys_vfork,
    [NR_execve] = sys_execve,
    [NR_exit] = sys_exit,
    [NR_kill] = sys_kill,
    [NR_shmdt] = sys_shmdt,
    [NR_gettimeofday] = sys_gettimeofday,
    [NR_getrlimit] = sys_getrlimit,
    [NR_getuid] = sys_getuid,
    [NR_setuid] = sys_setxid,
    [NR_setgid] = sys_setxid,
    [NR_setreuid] = sys_setxid,
    [NR_setregid] = sys_setxid,
    [NR_setgroups] = sys_setxid,
    [NR_setresuid] = sys_setxid,
    [NR_setresgid] = sys_setxid,
    [NR_getgid] = sys_getgid,
    [NR_geteuid] = sys_geteuid,
    [NR_getegid] = sys_getegid,
    [NR_rt_sigpending] = sys_rt_sigpending,
    [NR_rt_sigtimedwait] = sys_rt_sigtimedwait,
    [NR_rt_sigqueueinfo] = sys_rt_sigqueueinfo,
    [NR_rt_sigsuspend] = sys_rt_sigsuspend,
    [NR_sigaltstack] = sys_sigaltstack,
    [NR_getpriority] = sys_getpriority,
    [NR_setpriority] = sys_setpriority,
    [NR_sched_setparam] = sys_sched_setparam,
    [NR_sched_getparam] = sys_sched_getparam,
    [NR_sched_setscheduler] = sys_sched_setscheduler,
    [NR_sched_getscheduler] = sys_sched_getscheduler,
    [NR_sched_get_priority_max] = sys_sched_get_priority_max,
    [NR_sched_get_priority_min] = sys_sched_get_priority_min,
    [NR_sched_rr_get_interval] = sys_sched_rr_get_interval,
    [NR_mlock] = sys_mlock,
    [NR_munlock] = sys_munlock,
    [NR_mlockall] = sys_mlockall,
    [NR_munlockall] = sys_munlockall,
    [NR_prctl] = sys_prctl,
    [NR_arch_prctl] = sys_arch_prctl,
    [NR_setrlimit] = sys_setrlimit,
    [NR_gettid] = sys_gettid,
    [NR_tkill] = sys_tkill,
    [NR_time] = sys_time,
    [NR_futex] = sys_futex,
    [NR_sched_setaffinity] = sys_sched_setaffinity,
    [NR_sched_getaffinity] = sys_sched_getaffinity,
    [NR_io_setup] = sys_io_setup,
    [NR_io_destroy] = sys_io_destroy,
    [NR_io_submit] = sys_io_submit,
    [NR_remap_file_pages] = sys_remap_file_pages,
    [NR_set_tid_address] = sys_set_tid_address,
    [NR_restart_syscall] = sys_restart_syscall,
    [NR_timer_create] = sys_timer_create,
    [NR_timer_settime] = sys_timer_settime,
    [NR_timer_gettime] = sys_timer_gettime,
    [NR_timer_getoverrun] = sys_timer_getoverrun,
    [NR_timer_delete] = sys_timer_delete,
    [NR_clock_gettime] = sys_clock_gettime,
    [NR_clock_getres] = sys_clock_getres,
    [NR_clock_nanosleep] = sys_clock_nanosleep,
    [NR_exit_group] = sys_exit_group,
    [NR_tgkill] = sys_tgkill,
    [NR_mbind] = sys_mbind,
    [NR_set_mempolicy] = sys_set_mempolicy,
    [NR_get_mempolicy] = sys_get_mempolicy,
    [NR_keyctl] = sys_keyctl,
    [NR_migrate_pages] = sys_migrate_pages,
    [NR_unshare] = sys_unshare,
    [NR_set_robust_list] = sys_set_robust_list,
    [NR_get_robust_list] = sys_get_robust_list,
    [NR_move_pages] = sys_move_pages,
    [NR_signalfd] = sys_signalfd,
    [NR_signalfd4] = sys_signalfd4,
    [NR_rt_tgsigqueueinfo] = sys_rt_tgsigqueueinfo,
    [NR_prlimit64] = sys_prlimit64,
    [NR_setns] = sys_setns,
    [NR_getcpu] = sys_getcpu,
    [NR_sched_setattr] = sys_sched_setattr,
    [NR_sched_getattr] = sys_sched_getattr,
    [NR_seccomp] = sys_seccomp,
    [NR_execveat] = sys_execveat,
    [NR_membarrier] = sys_membarrier,
    [NR_mlock2] = sys_mlock2,
    [NR_rseq] = sys_rseq,
    [NR_clone3] = sys_clone3,
    [NR_futex_waitv] = sys_futex_waitv,
    [NR_set_mempolicy_home_node] = sys_set_mempolicy_home_node,
    [NR_mseal] = sys_mseal,
};

long refuse(u64 nr)
{
    count(LULL_K_REFUSED);
    if (nr < LULL_NR_MAX)
        __atomic_fetch_add(&sysstat()->refused[nr], 1, __ATOMIC_RELAXED);
    return -ENOSYS;
}

long syscall_local(struct frame *f, u64 nr)
{
    __atomic_fetch_add(&sysstat()->local[nr], 1, __ATOMIC_RELAXED);
    return local[nr](f);
}

void syscall_dispatch(struct frame *f);
void syscall_dispatch(struct frame *f)
{
    u64 nr = f->orig = (u32)f->orig; /* Linux looks at eax alone */
    if (f->err & FR_REWRITTEN) {
        count(LULL_K_SYSCALL_REWRITTEN);
    } else {
        count(LULL_K_SYSCALL_TRAPPED);
        rewrite_site(f);
    }
    long r = 0;
    enum seccomp_verdict verdict = SECCOMP_PASS;
    if (__builtin_expect(current()->seccomp != 0, 0))
        verdict = seccomp_judge(f, (u32)nr, &r);
    if (verdict == SECCOMP_SIGNAL) {
        seccomp_trap(f, (u32)nr, f->rip, r);
        return;
    }
    if (verdict == SECCOMP_ANSWER) {
        f->err |= f->rflags & FLAGS_TF ? FR_FULL : 0;
        f->rax = (u64)r;
        return;
    }
    if (current()->child) {
        r = child_dispatch(f, nr);
    } else if (nr < LULL_NR_MAX && local[nr]) {
        r = syscall_local(f, nr);
    } else if (nr < LULL_NR_MAX && syscall_table[nr].class >= LULL_SYS_QUICK &&
               syscall_table[nr].class < LULL_SYS_INTERNAL) {
        r = forward_call(f, &syscall_table[nr]);
    } else {
        r = refuse(nr);
    }
    f->rax = (u64)r;
    if (f->rflags & FLAGS_TF) /* only iretq sets it for the application and not one step early */
        f->err |= FR_FULL;
    if (syscall_restarts(r))
        thread_set_work(current(), WORK_SIGNAL);
}
