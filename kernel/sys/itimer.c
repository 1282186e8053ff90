/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: getitimer(2), alarm(2), timer_create(2) and their families. Those of
 * wall clocks are deadlines of the core that set them. Those of CPU time are looked at when that
 * much can have passed at the earliest, and again until it has.
 */
#include "kernel.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

#define TIMERS_MAX 256
#define ITIMERS 3 /* the first of them: REAL, VIRTUAL, PROF */
#define LOOK_AGAIN_NS 1000000u
#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD_ID 4
#define SI_TIMER (-2)
#define TIMER_ABSTIME 1
#define NS 1000000000ul

enum clock_kind { CLOCK_WALL, CLOCK_REAL, CLOCK_PROCESS_CPU, CLOCK_THREAD_CPU };

static struct ptimer {
    struct timer tm;
    bool used, armed;
    u8 kind;
    i32 signo; /* 0: none is sent */
    i32 tid;   /* to this thread; 0: to the process */
    i32 cpu_tid;
    u64 value;
    u64 expiry, interval; /* ns of its clock */
    u32 overrun, missed;  /* of the last signal; since */
} timers[TIMERS_MAX];
static spinlock lock;

static u64 clock_of(const struct ptimer *p)
{
    u64 ns = 0;
    switch (p->kind) {
    case CLOCK_REAL:
        return clock_real();
    case CLOCK_PROCESS_CPU:
        return tsc_to_ns(process_cpu_ticks());
    case CLOCK_THREAD_CPU:
        thread_cpu_ns(p->cpu_tid, &ns); /* gone: time stands still */
        return ns;
    default:
        return clock_mono();
    }
}

/* When to look at it, CLOCK_MONOTONIC. */
static u64 look_at(const struct ptimer *p, u64 now)
{
    u64 left = p->expiry > now ? p->expiry - now : 0;
    if (p->kind == CLOCK_PROCESS_CPU)
        left = max_u64(left / boot_info()->ncores, LOOK_AGAIN_NS);
    else if (p->kind == CLOCK_THREAD_CPU)
        left = max_u64(left, LOOK_AGAIN_NS);
    return clock_mono() + left;
}

static void fire(struct timer *tm);

/* Under the lock. */
static void arm(struct ptimer *p, u64 now)
{
    p->armed = true;
    p->tm.fire = fire;
    timer_start(&p->tm, look_at(p, now));
}

static void disarm(struct ptimer *p)
{
    p->armed = false;
    timer_cancel(&p->tm);
}

/* It has expired: the next time, and whether a signal is due now. Under the lock. */
static bool expire(struct ptimer *p, u64 now, struct sigshort *info)
{
    int id = (int)(p - timers);
    u64 more = 0;
    if (p->interval) {
        more = (now - p->expiry) / p->interval;
        p->expiry += (more + 1) * p->interval;
        arm(p, now);
    } else {
        p->armed = false;
    }
    p->missed += (u32)more;
    if (!p->signo)
        return false;
    if (id < ITIMERS) {
        *info = (struct sigshort){.code = SI_KERNEL};
        return true;
    }
    if (signal_queued(p->tid, p->signo, SI_TIMER, id)) {
        p->missed++;
        return false;
    }
    p->overrun = p->missed;
    p->missed = 0;
    *info = (struct sigshort){.code = SI_TIMER, .pid = id, .uid = p->overrun, .value = p->value};
    return true;
}

static void fire(struct timer *tm)
{
    struct ptimer *p = CONTAINER(tm, struct ptimer, tm);
    struct sigshort info;
    bool send = false;
    spin_lock(&lock);
    i32 signo = p->signo, tid = p->tid;
    if (p->used && p->armed && !tm->queued) {
        u64 now = clock_of(p);
        if (now < p->expiry)
            arm(p, now);
        else
            send = expire(p, now, &info);
    }
    spin_unlock(&lock);
    if (send && tid)
        signal_send_tid(tid, signo, &info);
    else if (send)
        signal_send(NULL, signo, &info);
}

void itimers_forked(void)
{
    lock = (spinlock){0};
    memset(timers, 0, sizeof timers);
}

/* ---- setting ---- */

struct setting {
    u64 value, interval; /* ns */
};

static struct setting get(const struct ptimer *p)
{
    struct setting s = {0, p->interval};
    if (p->used && p->armed) {
        u64 now = clock_of(p);
        s.value = p->expiry > now ? p->expiry - now : 1;
    }
    if (!p->armed)
        s.interval = p->used ? p->interval : 0;
    return s;
}

/* `at` absolute: a time of its clock. */
static void set(struct ptimer *p, struct setting s, bool absolute)
{
    u64 now = clock_of(p);
    disarm(p);
    p->interval = s.interval;
    p->overrun = p->missed = 0;
    if (!s.value)
        return;
    p->expiry = absolute ? s.value : now + s.value;
    arm(p, now);
}

static struct ptimer *itimer(u64 which)
{
    static const u8 kind[] = {CLOCK_WALL, CLOCK_PROCESS_CPU, CLOCK_PROCESS_CPU};
    static const u8 signo[] = {14, 26, 27}; /* ALRM, VTALRM, PROF */
    struct ptimer *p = &timers[which];
    p->used = true;
    p->kind = kind[which];
    p->signo = signo[which];
    return p;
}

struct itimer_us {
    i64 interval_s, interval_us, value_s, value_us;
};

static struct itimer_us to_us(struct setting s)
{
    return (struct itimer_us){(i64)(s.interval / NS), (i64)(s.interval % NS / 1000),
                              (i64)(s.value / NS), (i64)(s.value % NS / 1000)};
}

static u64 from_parts(i64 s, i64 rest, u64 unit)
{
    return (u64)min_u64((u64)s, 9000000000ul) * NS + (u64)rest * unit;
}

long sys_getitimer(struct frame *f)
{
    if (f->rdi >= ITIMERS)
        return -EINVAL;
    spin_lock(&lock);
    struct itimer_us out = to_us(get(itimer(f->rdi)));
    spin_unlock(&lock);
    return copy_out(f->rsi, &out, sizeof out);
}

long sys_setitimer(struct frame *f)
{
    struct itimer_us in = {0};
    if (f->rsi && copy_in(&in, f->rsi, sizeof in))
        return -EFAULT;
    if (f->rdi >= ITIMERS || in.value_s < 0 || in.interval_s < 0 || in.value_us < 0 ||
        in.interval_us < 0 || in.value_us >= 1000000 || in.interval_us >= 1000000)
        return -EINVAL;
    spin_lock(&lock);
    struct ptimer *p = itimer(f->rdi);
    struct itimer_us old = to_us(get(p));
    struct setting s = {from_parts(in.value_s, in.value_us, 1000),
                        from_parts(in.interval_s, in.interval_us, 1000)};
    set(p, s, false);
    spin_unlock(&lock);
    return f->rdx ? copy_out(f->rdx, &old, sizeof old) : 0;
}

long sys_alarm(struct frame *f)
{
    spin_lock(&lock);
    struct ptimer *p = itimer(0);
    u64 left = get(p).value;
    set(p, (struct setting){(u32)f->rdi * NS, 0}, false);
    spin_unlock(&lock);
    u64 s = left / NS; /* as Linux: to the nearest, but never to none */
    return (long)(left && (left % NS >= NS / 2 || !s) ? s + 1 : s);
}

/* What survives an execve(2): none of those that timer_create(2) made. */
void itimers_show(struct lull_itimer out[ITIMERS])
{
    spin_lock(&lock);
    for (int i = 0; i < ITIMERS; i++) {
        struct setting s = get(&timers[i]);
        out[i] = (struct lull_itimer){s.value, s.interval};
    }
    spin_unlock(&lock);
}

void itimers_start(void)
{
    const struct lull_itimer *in = boot_info()->itimer;
    spin_lock(&lock);
    for (u64 i = 0; i < ITIMERS; i++) {
        if (in[i].left)
            set(itimer(i), (struct setting){in[i].left, in[i].interval}, i == 0);
    }
    spin_unlock(&lock);
}

/* ---- timer_create ---- */

static struct ptimer *by_id(u64 id)
{
    return id >= ITIMERS && id < TIMERS_MAX && timers[id].used ? &timers[id] : NULL;
}

/* Negative: CPU time of a process or thread, ~number << 3 | 4 for a thread | 2 (time.h). */
static long clock_decode(i32 id, u8 *kind, i32 *tid)
{
    *tid = current()->tid;
    if (id < 0 && (id & 7) == 2 && (~id >> 3 == 0 || ~id >> 3 == (i32)boot_info()->pid)) {
        *kind = CLOCK_PROCESS_CPU;
        return 0;
    }
    if (id < 0 && (id & 7) == 6) {
        *kind = CLOCK_THREAD_CPU;
        *tid = ~id >> 3 ? ~id >> 3 : *tid;
        return thread_exists(*tid) ? 0 : -EINVAL;
    }
    switch (id) {
    case 0:
        *kind = CLOCK_REAL;
        return 0;
    case 1:
    case 7: /* BOOTTIME: the same as long as nobody suspends the machine */
        *kind = CLOCK_WALL;
        return 0;
    case 2:
        *kind = CLOCK_PROCESS_CPU;
        return 0;
    case 3:
        *kind = CLOCK_THREAD_CPU;
        return 0;
    default:
        return id == 8 || id == 9 || id == 11 || id < 0 ? refuse(222) : -EINVAL;
    }
}

struct sigevent {
    u64 value;
    i32 signo, notify, tid, pad[11];
};
_Static_assert(sizeof(struct sigevent) == 64, "sigevent_t");

long sys_timer_create(struct frame *f)
{
    struct sigevent ev = {.signo = 14, .notify = SIGEV_SIGNAL};
    u8 kind = CLOCK_WALL;
    i32 cpu_tid;
    long r = clock_decode((i32)f->rdi, &kind, &cpu_tid);
    if (r)
        return r;
    if (f->rsi && copy_in(&ev, f->rsi, sizeof ev))
        return -EFAULT;
    bool to_thread = ev.notify == SIGEV_THREAD_ID;
    if ((ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_NONE && !to_thread) ||
        (ev.notify != SIGEV_NONE && (ev.signo < 1 || ev.signo > NSIG)) ||
        (to_thread && !thread_exists(ev.tid)))
        return -EINVAL;
    i32 id = -1;
    spin_lock(&lock);
    for (i32 i = ITIMERS; i < TIMERS_MAX && id < 0; i++) {
        if (timers[i].used)
            continue;
        id = i;
        timers[i] = (struct ptimer){.used = true,
                                    .kind = kind,
                                    .signo = ev.notify == SIGEV_NONE ? 0 : ev.signo,
                                    .tid = to_thread ? ev.tid : 0,
                                    .cpu_tid = cpu_tid,
                                    .value = f->rsi ? ev.value : (u64)i};
    }
    spin_unlock(&lock);
    if (id < 0)
        return -EAGAIN;
    if (copy_out(f->rdx, &id, sizeof id)) {
        timers[id].used = false;
        return -EFAULT;
    }
    return 0;
}

struct itimer_ns {
    struct timespec interval, value;
};

static struct itimer_ns to_ns(struct setting s)
{
    return (struct itimer_ns){{(i64)(s.interval / NS), (i64)(s.interval % NS)},
                              {(i64)(s.value / NS), (i64)(s.value % NS)}};
}

static bool valid(struct timespec t)
{
    return t.sec >= 0 && t.nsec >= 0 && t.nsec < (i64)NS;
}

long sys_timer_settime(struct frame *f)
{
    struct itimer_ns in, old;
    if (copy_in(&in, f->rdx, sizeof in))
        return -EFAULT;
    if (!valid(in.value) || !valid(in.interval))
        return -EINVAL;
    spin_lock(&lock);
    struct ptimer *p = by_id((u32)f->rdi);
    if (p) {
        old = to_ns(get(p));
        struct setting s = {from_parts(in.value.sec, in.value.nsec, 1),
                            from_parts(in.interval.sec, in.interval.nsec, 1)};
        set(p, s, f->rsi & TIMER_ABSTIME);
    }
    spin_unlock(&lock);
    if (!p)
        return -EINVAL;
    return f->r10 ? copy_out(f->r10, &old, sizeof old) : 0;
}

long sys_timer_gettime(struct frame *f)
{
    struct itimer_ns out;
    spin_lock(&lock);
    struct ptimer *p = by_id((u32)f->rdi);
    if (p)
        out = to_ns(get(p));
    spin_unlock(&lock);
    return p ? copy_out(f->rsi, &out, sizeof out) : -EINVAL;
}

long sys_timer_getoverrun(struct frame *f)
{
    spin_lock(&lock);
    struct ptimer *p = by_id((u32)f->rdi);
    long r = p ? (long)min_u64(p->overrun, 0x7fffffff) : -EINVAL;
    spin_unlock(&lock);
    return r;
}

long sys_timer_delete(struct frame *f)
{
    spin_lock(&lock);
    struct ptimer *p = by_id((u32)f->rdi);
    if (p) {
        disarm(p);
        p->used = false;
    }
    spin_unlock(&lock);
    return p ? 0 : -EINVAL;
}
