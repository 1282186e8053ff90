/* SPDX-License-Identifier: MIT */
/*
 * getrlimit(2) and its family. On Linux's side most limits are the proxy's own; those that would
 * bind the proxy instead of the program are kept here (LULL_LIMITS_KEPT).
 */
#include "kernel.h"
#include "mm/mm.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

#define CPU_LOOK_NS 4000000u /* as often as Linux looks, at most */
#define MANY_TASKS 16384u    /* more than an isle's threads: not counted for each new thread */
#define NS 1000000000ul

struct rlimit64 {
    u64 cur, max;
};

static spinlock lock;
static struct timer cpu_timer;

struct lull_limits *limit_table(void)
{
    return (struct lull_limits *)LULL_LIMIT_TABLE;
}

/* ---- CPU time ---- */

static void cpu_look(struct timer *tm);

/* Under the lock. */
static void cpu_arm(u64 used)
{
    u64 at = min_u64(limit_table()->of[LULL_LIMIT_CPU].cur, ~0ul / NS) * NS;
    u64 left = at > used ? (at - used) / boot_info()->ncores : 0;
    cpu_timer.fire = cpu_look;
    timer_start(&cpu_timer, clock_mono() + max_u64(min_u64(left, SLEEP_NS_MAX), CPU_LOOK_NS));
}

static void cpu_look(struct timer *tm)
{
    struct sigshort info = {.code = SI_KERNEL};
    int signo = 0;
    spin_lock(&lock);
    struct lull_limits *l = limit_table();
    u64 soft = l->of[LULL_LIMIT_CPU].cur, hard = l->of[LULL_LIMIT_CPU].max;
    u64 used = tsc_to_ns(process_cpu_ticks());
    if (soft != LULL_UNLIMITED && !tm->queued) {
        if (hard != LULL_UNLIMITED && used / NS >= hard) {
            signo = SIGKILL;
        } else if (used / NS >= soft) {
            signo = SIGXCPU;
            l->of[LULL_LIMIT_CPU].cur++; /* as Linux: again in a second */
        }
        if (signo != SIGKILL)
            cpu_arm(used);
    }
    spin_unlock(&lock);
    if (signo)
        signal_send(NULL, signo, &info);
}

static void cpu_limit_changed(void)
{
    if (limit_table()->of[LULL_LIMIT_CPU].cur != LULL_UNLIMITED)
        cpu_arm(tsc_to_ns(process_cpu_ticks()));
    else
        timer_cancel(&cpu_timer);
}

void limits_start(void)
{
    dead_ticks = limit_table()->cpu_ns / 1000 * boot_info()->tsc_khz / 1000;
    if (limit_table()->of[LULL_LIMIT_CPU].cur != LULL_UNLIMITED)
        cpu_arm(tsc_to_ns(dead_ticks));
}

void limits_forked(void)
{
    lock = (spinlock){0};
    memset(&cpu_timer, 0, sizeof cpu_timer);
    limit_table()->cpu_ns = 0;
    if (limit_table()->of[LULL_LIMIT_CPU].cur != LULL_UNLIMITED)
        cpu_arm(0);
}

/* ---- processes and threads ---- */

long limit_tasks(void)
{
    u64 soft = limit_table()->of[LULL_LIMIT_NPROC].cur;
    u64 arg[6] = {LULL_LIMIT_TASKS};
    if (soft >= MANY_TASKS || boot_info()->uid == 0)
        return 0;
    long others = forward_raw(LULL_NR_LIMIT, arg);
    return others >= 0 && (u64)others + threads_alive + 1 > soft ? -EAGAIN : 0;
}

/* ---- the calls ---- */

static bool is_kept(u64 resource)
{
    return resource < LULL_LIMITS && LULL_LIMITS_KEPT >> resource & 1;
}

static struct rlimit64 limit_get(u64 resource)
{
    spin_lock(&lock);
    struct rlimit64 l = {limit_table()->of[resource].cur, limit_table()->of[resource].max};
    spin_unlock(&lock);
    return l;
}

static long limit_set(u64 resource, struct rlimit64 new)
{
    bool raise = new.max > limit_get(resource).max;
    if (new.cur > new.max)
        return -EINVAL;
    if (raise || resource == LULL_LIMIT_FSIZE) {
        u64 arg[6] = {raise ? LULL_LIMIT_RAISE : LULL_LIMIT_LOWER, resource, new.cur};
        long r = forward_raw(LULL_NR_LIMIT, arg);
        if (r)
            return r;
    }
    spin_lock(&lock);
    limit_table()->of[resource].cur = new.cur;
    limit_table()->of[resource].max = new.max;
    if (resource == LULL_LIMIT_CPU)
        cpu_limit_changed();
    spin_unlock(&lock);
    return 0;
}

static bool is_own(u64 pid)
{
    return (i32)pid == 0 || (i32)pid == (i32)boot_info()->pid || thread_exists((i32)pid);
}

long sys_prlimit64(struct frame *f)
{
    struct rlimit64 new, old;
    u64 resource = (u32)f->rsi;
    bool own = is_own(f->rdi);
    if (!own || !is_kept(resource)) {
        struct frame g = *f; /* the program's registers stay as they are */
        if (own)
            g.rdi = 0;
        return forward_call(&g, &syscall_table[302]);
    }
    if (f->rdx && copy_in(&new, f->rdx, sizeof new))
        return -EFAULT;
    old = limit_get(resource);
    long r = f->rdx ? limit_set(resource, new) : 0;
    return r == 0 && f->r10 ? copy_out(f->r10, &old, sizeof old) : r;
}

long sys_setrlimit(struct frame *f)
{
    struct rlimit64 new;
    u64 resource = (u32)f->rdi;
    if (!is_kept(resource))
        return forward_call(f, &syscall_table[160]);
    return copy_in(&new, f->rsi, sizeof new) ? -EFAULT : limit_set(resource, new);
}

long sys_getrlimit(struct frame *f)
{
    u64 resource = (u32)f->rdi;
    if (!is_kept(resource))
        return forward_call(f, &syscall_table[97]);
    struct rlimit64 l = limit_get(resource);
    return copy_out(f->rsi, &l, sizeof l);
}
