/* SPDX-License-Identifier: MIT */
/* System calls that are answered in the isle. Each takes the caller's frame, answers as Linux. */
#ifndef KERNEL_SYS_SYS_H
#define KERNEL_SYS_SYS_H

#include "sched/thread.h"

typedef long (*syscall_fn)(struct frame *f);

/* args.c: argument i of a call that is forwarded; may replace or shorten it in arg[] */
struct lull_sysdesc;
void args_begin(u32 nr, const struct lull_sysdesc *d, u64 arg[6]); /* before any is looked at */
void args_check(const struct lull_sysdesc *d, unsigned i, u64 arg[6]);

/* How many of n bytes at p the application may use so. */
u64 args_usable(uaddr p, u64 n, u32 prot);
/* n buffers: 0: all may be used, or Linux says what is wrong with n; else 1 + how many bytes may.
   -EFAULT: the array may not be read. */
i64 args_iov_have(uaddr iov, u64 n, u32 prot);

/* aio.c */
void aio_forked(void);
/* Waits for the operations of io_submit(2) on [start, start + len), before that memory is reused or
   zeroed. Sleeps: the caller holds no lock. */
void aio_settle(u64 start, u64 len);
void aio_events_note(u64 arg[6]); /* io_getevents, io_pgetevents */
void aio_cancel_note(u64 arg[6]); /* io_cancel */
long sys_io_setup(struct frame *f);
long sys_io_destroy(struct frame *f);
long sys_io_submit(struct frame *f);

/* procinfo.c: before a call that may open a file of /proc/self */
void procinfo_update(void);
void procinfo_for_call(const struct frame *f, u32 nr); /* if this call may show it */
void thread_rename(i32 tid, const char name[16]);

/* time.c */
u64 thread_cpu(const struct thread *t); /* TSC ticks */
u64 process_cpu_ticks(void);            /* of all threads, ended ones too */
bool thread_cpu_ns(i32 tid, u64 *ns);   /* false: no such thread */

/* itimer.c */
void itimers_start(void);
void itimers_show(struct lull_itimer out[3]);
void itimers_forked(void); /* a child has none */
/* A timer's signal has been taken: what it overran is told, and the timer goes on. */
void itimer_taken(int signo, struct sigshort *info);
void itimers_dropped(int signo); /* signals of this number were thrown away */
/* CPU time by number, as clock_getcpuclockid(3) makes it, of this program: *tid is the thread's, 0
   the whole. 0, -EINVAL: of nobody, -ESRCH: Linux knows. */
long cpu_clock_decode(i32 id, bool *thread, i32 *tid);
long sys_getitimer(struct frame *f);
long sys_setitimer(struct frame *f);
long sys_alarm(struct frame *f);
long sys_timer_create(struct frame *f);
long sys_timer_settime(struct frame *f);
long sys_timer_gettime(struct frame *f);
long sys_timer_getoverrun(struct frame *f);
long sys_timer_delete(struct frame *f);
long sys_clock_gettime(struct frame *f);
long sys_clock_getres(struct frame *f);
long sys_gettimeofday(struct frame *f);
long sys_time(struct frame *f);
long sys_nanosleep(struct frame *f);
long sys_clock_nanosleep(struct frame *f);
long sys_restart_syscall(struct frame *f);

/* ident.c */
long sys_getpid(struct frame *f);
long sys_gettid(struct frame *f);
long sys_getuid(struct frame *f);
long sys_setxid(struct frame *f); /* setuid and its family, setgroups */
void setxid_forked(void);
long sys_geteuid(struct frame *f);
long sys_getgid(struct frame *f);
long sys_getegid(struct frame *f);
long sys_getcpu(struct frame *f);
long sys_set_tid_address(struct frame *f);
long sys_set_robust_list(struct frame *f);
long sys_get_robust_list(struct frame *f);
long sys_prctl(struct frame *f);
long sys_arch_prctl(struct frame *f);
long sys_membarrier(struct frame *f);
long sys_exit(struct frame *f);
long sys_exit_group(struct frame *f);

/* namespaces.c */
long sys_unshare(struct frame *f);
long sys_setns(struct frame *f);
long sys_keyctl(struct frame *f);

/* limits.c */
void limits_start(void);
void limits_forked(void);
long limit_tasks(void); /* one more process or thread: 0, or -EAGAIN by RLIMIT_NPROC */
long sys_getrlimit(struct frame *f);
long sys_setrlimit(struct frame *f);
long sys_prlimit64(struct frame *f);

/* schedcalls.c */
long sys_sched_yield(struct frame *f);
long sys_sched_setaffinity(struct frame *f);
long sys_sched_getaffinity(struct frame *f);
long sys_sched_setscheduler(struct frame *f);
long sys_sched_getscheduler(struct frame *f);
long sys_sched_setparam(struct frame *f);
long sys_sched_getparam(struct frame *f);
long sys_getpriority(struct frame *f);
long sys_setpriority(struct frame *f);
long sys_sched_get_priority_max(struct frame *f);
long sys_sched_get_priority_min(struct frame *f);
long sys_sched_rr_get_interval(struct frame *f);
long sys_sched_setattr(struct frame *f);
long sys_sched_getattr(struct frame *f);

#endif
