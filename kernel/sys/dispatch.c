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
    [9] = sys_mmap,
    [10] = sys_mprotect,
    [11] = sys_munmap,
    [12] = sys_brk,
    [13] = sys_rt_sigaction,
    [14] = sys_rt_sigprocmask,
    [15] = sys_rt_sigreturn,
    [24] = sys_sched_yield,
    [25] = sys_mremap,
    [26] = sys_msync,
    [27] = sys_mincore,
    [28] = sys_madvise,
    [30] = sys_shmat,
    [34] = sys_pause,
    [35] = sys_nanosleep,
    [36] = sys_getitimer,
    [37] = sys_alarm,
    [38] = sys_setitimer,
    [39] = sys_getpid,
    [56] = sys_clone,
    [57] = sys_fork,
    [58] = sys_vfork,
    [59] = sys_execve,
    [60] = sys_exit,
    [62] = sys_kill,
    [67] = sys_shmdt,
    [96] = sys_gettimeofday,
    [97] = sys_getrlimit,
    [102] = sys_getuid,
    [105] = sys_setxid,
    [106] = sys_setxid,
    [113] = sys_setxid,
    [114] = sys_setxid,
    [116] = sys_setxid,
    [117] = sys_setxid,
    [119] = sys_setxid,
    [104] = sys_getgid,
    [107] = sys_geteuid,
    [108] = sys_getegid,
    [127] = sys_rt_sigpending,
    [128] = sys_rt_sigtimedwait,
    [129] = sys_rt_sigqueueinfo,
    [130] = sys_rt_sigsuspend,
    [131] = sys_sigaltstack,
    [140] = sys_getpriority,
    [141] = sys_setpriority,
    [142] = sys_sched_setparam,
    [143] = sys_sched_getparam,
    [144] = sys_sched_setscheduler,
    [145] = sys_sched_getscheduler,
    [146] = sys_sched_get_priority_max,
    [147] = sys_sched_get_priority_min,
    [148] = sys_sched_rr_get_interval,
    [149] = sys_mlock,
    [150] = sys_munlock,
    [151] = sys_mlockall,
    [152] = sys_munlockall,
    [157] = sys_prctl,
    [158] = sys_arch_prctl,
    [160] = sys_setrlimit,
    [186] = sys_gettid,
    [200] = sys_tkill,
    [201] = sys_time,
    [202] = sys_futex,
    [203] = sys_sched_setaffinity,
    [204] = sys_sched_getaffinity,
    [206] = sys_io_setup,
    [207] = sys_io_destroy,
    [209] = sys_io_submit,
    [216] = sys_remap_file_pages,
    [218] = sys_set_tid_address,
    [NR_RESTART_SYSCALL] = sys_restart_syscall,
    [222] = sys_timer_create,
    [223] = sys_timer_settime,
    [224] = sys_timer_gettime,
    [225] = sys_timer_getoverrun,
    [226] = sys_timer_delete,
    [228] = sys_clock_gettime,
    [229] = sys_clock_getres,
    [230] = sys_clock_nanosleep,
    [231] = sys_exit_group,
    [234] = sys_tgkill,
    [237] = sys_mbind,
    [238] = sys_set_mempolicy,
    [239] = sys_get_mempolicy,
    [250] = sys_keyctl,
    [256] = sys_migrate_pages,
    [272] = sys_unshare,
    [273] = sys_set_robust_list,
    [274] = sys_get_robust_list,
    [279] = sys_move_pages,
    [282] = sys_signalfd,
    [289] = sys_signalfd4,
    [297] = sys_rt_tgsigqueueinfo,
    [302] = sys_prlimit64,
    [308] = sys_setns,
    [309] = sys_getcpu,
    [314] = sys_sched_setattr,
    [315] = sys_sched_getattr,
    [317] = sys_seccomp,
    [322] = sys_execveat,
    [324] = sys_membarrier,
    [325] = sys_mlock2,
    [334] = sys_rseq,
    [435] = sys_clone3,
    [449] = sys_futex_waitv,
    [450] = sys_set_mempolicy_home_node,
    [462] = sys_mseal,
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
