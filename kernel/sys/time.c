/* SPDX-License-Identifier: MIT */
/* Clocks from the time-stamp counter and the proxy's parameters; sleeping. */
#include "sys/sys.h"

#include "kernel.h"
#include "sched/futex.h"

#define TIMER_ABSTIME 1
#define CPU_LOOK_NS 1000000u

static u64 scale(u64 ticks, u64 mult)
{
    return (u64)((unsigned __int128)ticks * mult >> 32);
}

static u64 clock_read(enum lull_clock id)
{
    const struct lull_timepage *t = (const struct lull_timepage *)LULL_TIMEPAGE;
    u32 seq;
    u64 ns;
    do {
        while ((seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE)) & 1)
            cpu_relax();
        ns = t->at[id].sec * 1000000000ul + t->at[id].nsec + scale(rdtsc() - t->tsc_base, t->mult);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&t->seq, __ATOMIC_RELAXED) != seq);
    return ns;
}

static u32 coarse_tick(void)
{
    return ((const struct lull_timepage *)LULL_TIMEPAGE)->tick;
}

static u64 coarse_read(enum lull_clock id)
{
    return clock_read(id) - LULL_COARSE_LAG((u64)coarse_tick());
}

u64 clock_mono(void)
{
    return clock_read(LULL_CLOCK_MONOTONIC);
}
u64 clock_real(void)
{
    return clock_read(LULL_CLOCK_REALTIME);
}
u64 clock_tai(void)
{
    return clock_read(LULL_CLOCK_TAI);
}
u64 clock_sets(void)
{
    return __atomic_load_n(&((const struct lull_timepage *)LULL_TIMEPAGE)->sets, __ATOMIC_ACQUIRE);
}
u64 tsc_to_ns(u64 ticks)
{
    return scale(ticks, ((const struct lull_timepage *)LULL_TIMEPAGE)->mult);
}

u64 thread_cpu(const struct thread *t)
{
    u64 ticks = t->cpu_ticks;
    if (t->state == THREAD_RUNNING)
        ticks += rdtsc() - t->switched_in;
    return ticks;
}

u64 process_cpu_ticks(void)
{
    spin_lock(&threads_lock);
    u64 ticks = dead_ticks;
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next)
        ticks += thread_cpu(CONTAINER(l, struct thread, all));
    spin_unlock(&threads_lock);
    return ticks;
}

bool thread_cpu_ns(i32 tid, u64 *ns)
{
    spin_lock(&threads_lock);
    const struct thread *t = thread_by_tid(tid);
    if (t)
        *ns = tsc_to_ns(thread_cpu(t));
    spin_unlock(&threads_lock);
    return t != NULL;
}

/* ~number << 3 | 4 for a thread | 0: all that it computes, 1: in user mode, 2: the scheduler's. An
   isle counts them alike: all is in user mode. */
long cpu_clock_decode(i32 id, bool *thread, i32 *tid)
{
    i32 who = ~(id >> 3);
    *thread = id & 4;
    *tid = 0;
    if ((id & 7) == 3) /* of a device, by its descriptor */
        return -ESRCH;
    if ((id & 3) == 3)
        return -EINVAL;
    if (!*thread && (!who || who == (i32)boot_info()->pid || who == current()->tid))
        return 0;
    if (!*thread)
        return thread_exists(who) ? -EINVAL : -ESRCH;
    *tid = who ? who : current()->tid;
    return thread_exists(*tid) ? 0 : -EINVAL;
}

/* -ESRCH: Linux knows it. */
static long clock_of(i32 id, u64 *ns)
{
    bool thread;
    i32 tid;
    long r = cpu_clock_decode(id, &thread, &tid);
    if (r)
        return r;
    if (thread)
        return thread_cpu_ns(tid, ns) ? 0 : -EINVAL;
    *ns = tsc_to_ns(process_cpu_ticks());
    return 0;
}

/* 0, -EINVAL, or -ESRCH: ask Linux. Clock numbers: clock_gettime(2). */
static long clock_by_id(i32 id, u64 *ns)
{
    switch (id) {
    case 0:
        *ns = clock_read(LULL_CLOCK_REALTIME);
        return 0;
    case 1:
        *ns = clock_read(LULL_CLOCK_MONOTONIC);
        return 0;
    case 5: /* REALTIME_COARSE */
        *ns = coarse_read(LULL_CLOCK_REALTIME);
        return 0;
    case 6: /* MONOTONIC_COARSE */
        *ns = coarse_read(LULL_CLOCK_MONOTONIC);
        return 0;
    case 2:
        *ns = tsc_to_ns(process_cpu_ticks());
        return 0;
    case 3:
        *ns = tsc_to_ns(thread_cpu(current()));
        return 0;
    case 4:
        *ns = clock_read(LULL_CLOCK_RAW);
        return 0;
    case 7:
        *ns = clock_read(LULL_CLOCK_BOOTTIME);
        return 0;
    case 11:
        *ns = clock_tai();
        return 0;
    case 8: /* REALTIME_ALARM, BOOTTIME_ALARM: not in every machine */
    case 9:
        return -ESRCH;
    default:
        if (id < 0)
            return clock_of(id, ns);
        return -EINVAL;
    }
}

static struct timespec to_timespec(u64 ns)
{
    return (struct timespec){(i64)(ns / 1000000000), (i64)(ns % 1000000000)};
}

long sys_clock_gettime(struct frame *f)
{
    u64 ns;
    long r = clock_by_id((i32)f->rdi, &ns);
    if (r)
        return r == -ESRCH ? forward_call(f, &syscall_table[228]) : r;
    struct timespec ts = to_timespec(ns);
    return copy_out(f->rsi, &ts, sizeof ts);
}

long sys_clock_getres(struct frame *f)
{
    u64 ns;
    i32 id = (i32)f->rdi;
    long r = clock_by_id(id, &ns);
    if (r)
        return r == -ESRCH ? forward_call(f, &syscall_table[229]) : r;
    struct timespec ts = {0, id == 5 || id == 6 ? coarse_tick() : 1};
    return f->rsi ? copy_out(f->rsi, &ts, sizeof ts) : 0;
}

long sys_gettimeofday(struct frame *f)
{
    u64 ns = clock_real();
    struct timespec tv = {(i64)(ns / 1000000000), (i64)(ns % 1000000000 / 1000)};
    u32 zone[2] = {0, 0};
    if (f->rdi && copy_out(f->rdi, &tv, sizeof tv))
        return -EFAULT;
    if (f->rsi && copy_out(f->rsi, zone, sizeof zone))
        return -EFAULT;
    return 0;
}

long sys_time(struct frame *f)
{
    i64 s = (i64)(coarse_read(LULL_CLOCK_REALTIME) / 1000000000);
    if (f->rdi && copy_out(f->rdi, &s, sizeof s))
        return -EFAULT;
    return s;
}

/* Sleeps until the deadline; returns 0, or how many ns are left when a signal comes. */
static u64 sleep_until(u64 deadline)
{
    struct thread *t = current();
    for (;;) {
        u64 now = clock_mono(), end = deadline_mono(deadline);
        if (now >= end)
            return 0;
        thread_prepare_block();
        if (signal_pending(t)) {
            thread_cancel_block();
            return end - now;
        }
        thread_block_until(deadline);
    }
}

long timespec_in(uaddr p, u64 *ns)
{
    struct timespec ts;
    if (copy_in(&ts, p, sizeof ts))
        return -EFAULT;
    if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= 1000000000)
        return -EINVAL;
    u64 sec = min_u64((u64)ts.sec, SLEEP_NS_MAX / 1000000000);
    *ns = sec * 1000000000 + (u64)ts.nsec;
    return 0;
}

static long sleep_to(u32 nr, u64 end, uaddr rem)
{
    u64 left = sleep_until(end);
    if (!left)
        return 0;
    struct timespec ts = to_timespec(left);
    if (rem && copy_out(rem, &ts, sizeof ts))
        return -EFAULT;
    return thread_resumes(nr, end);
}

long sys_nanosleep(struct frame *f)
{
    u64 ns;
    long r = timespec_in(f->rdi, &ns);
    return r ? r : sleep_to(NR_nanosleep, clock_mono() + ns, f->rsi);
}

/* Until the clock of CPU time `id` says `end`; what is left when a signal comes, in ns of it. */
static u64 cpu_sleep_until(i32 id, u64 end)
{
    u64 now;
    while (clock_by_id(id, &now) == 0 && now < end) {
        u64 left = max_u64((end - now) / boot_info()->ncores, CPU_LOOK_NS);
        if (sleep_until(clock_mono() + left))
            return end - now;
    }
    return 0;
}

/* clock_nanosleep(2) of such a clock, with its arguments, until it says `end`. */
static long cpu_sleep_on(struct frame *f, u64 end)
{
    u64 left = cpu_sleep_until((i32)f->rdi, end);
    if (!left)
        return 0;
    struct timespec ts = to_timespec(left);
    if (f->r10 && copy_out(f->r10, &ts, sizeof ts))
        return -EFAULT;
    return thread_resumes(NR_clock_nanosleep, end);
}

static long cpu_sleep(struct frame *f, i32 id, u64 now)
{
    u64 ns;
    bool thread;
    i32 tid;
    /* a thread cannot wait for its own time */
    if (id < 0 && cpu_clock_decode(id, &thread, &tid) == 0 && thread && tid == current()->tid)
        return -EINVAL;
    long r = timespec_in(f->rdx, &ns);
    if (r)
        return r;
    if (f->rsi & TIMER_ABSTIME)
        return cpu_sleep_until(id, ns) ? -ERESTART_NOHAND : 0;
    return cpu_sleep_on(f, now + ns);
}

static bool is_cpu_clock(i32 id)
{
    return id < 0 || id == 2;
}

long sys_clock_nanosleep(struct frame *f)
{
    i32 id = (i32)f->rdi;
    u64 ns, now;
    if (id < 0 && (id & 7) == 3) /* a device's */
        return -EOPNOTSUPP;
    long r = id < 0 ? timespec_in(f->rdx, &ns) : 0;
    if (r == 0)
        r = clock_by_id(id, &now);
    if (r)
        return r == -ESRCH ? forward_call(f, &syscall_table[230]) : r;
    if (is_cpu_clock(id))
        return cpu_sleep(f, id, now);
    if (id >= 3 && id != 7 && id != 11)
        return -EOPNOTSUPP;
    r = timespec_in(f->rdx, &ns);
    if (r)
        return r;
    if (!(f->rsi & TIMER_ABSTIME))
        return sleep_to(NR_clock_nanosleep, clock_mono() + ns, f->r10);
    u64 end = id == 0    ? deadline_on(DEADLINE_REAL, ns)
              : id == 11 ? deadline_on(DEADLINE_TAI, ns)
                         : clock_mono() + (ns > now ? ns - now : 0);
    return sleep_until(end) ? -ERESTART_NOHAND : 0;
}

/* The arguments still stand where the interrupted call had them. */
long sys_restart_syscall(struct frame *f)
{
    struct thread *t = current();
    u32 nr = t->resume.nr;
    t->resume.nr = 0;
    switch (nr) {
    case NR_read:
        return -EINTR;
    case NR_nanosleep:
        return sleep_to(nr, t->resume.end, f->rsi);
    case NR_clock_nanosleep:
        if (is_cpu_clock((i32)f->rdi))
            return cpu_sleep_on(f, t->resume.end);
        return sleep_to(nr, t->resume.end, f->r10);
    case NR_futex:
        return futex_resume(f, t->resume.end);
    default:
        return forward_resume(f, nr, t->resume.end);
    }
}
