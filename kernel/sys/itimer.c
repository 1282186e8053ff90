/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: getitimer(2), alarm(2), timer_create(2) and their families. Those of
 * wall clocks are deadlines of the core that set them. Those of CPU time are looked at when that
 * much can have passed at the earliest, and again until it has.
 *
 * A periodic timer that has sent its signal waits until somebody takes that, as on Linux: what
 * passes meanwhile is its overrun. So an interval shorter than the signal's handling costs no more
 * than the handling.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

#define ITIMERS 3 /* REAL, VIRTUAL, PROF */
#define LOOK_AGAIN_NS 1000000u
#define REARM_NS 100000u     /* between a signal and the next one of its timer, at least */
#define IGNORED_NS 10000000u /* the same while it is ignored, so that nobody takes it */
#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD 2 /* for the C library: to Linux it is SIGEV_SIGNAL */
#define SIGEV_THREAD_ID 4
#define TIMER_ABSTIME 1
#define NS 1000000000ul

enum clock_kind { CLOCK_WALL, CLOCK_REAL, CLOCK_TAI, CLOCK_PROCESS_CPU, CLOCK_THREAD_CPU };

struct ptimer {
    struct timer tm;
    bool used, armed;
    bool sent;      /* its signal waits to be taken: not armed until then */
    u8 kind, clock; /* enum clock_kind: as it was made; as it is set */
    i32 id;         /* of timer_create(2); -1 - n: interval timer n */
    i32 signo;      /* 0: none is sent */
    i32 tid;        /* to this thread; 0: to the process */
    i32 cpu_tid;
    u64 value;
    u64 expiry, interval; /* ns of its clock */
    u32 overrun, missed;  /* of the last signal; since */
};
static struct ptimer itimers[ITIMERS];
/* Those of timer_create(2), by pages as they are needed. */
#define PER_PAGE (LULL_PAGE / sizeof(struct ptimer))
#define PAGES_MAX 2048
static struct ptimer *pages[PAGES_MAX];
static u32 npages, nused;
static spinlock lock;

static u64 clock_of(const struct ptimer *p)
{
    u64 ns = 0;
    switch (p->clock) {
    case CLOCK_REAL:
        return clock_real();
    case CLOCK_TAI:
        return clock_tai();
    case CLOCK_PROCESS_CPU:
        return tsc_to_ns(process_cpu_ticks());
    case CLOCK_THREAD_CPU:
        thread_cpu_ns(p->cpu_tid, &ns); /* gone: time stands still */
        return ns;
    default:
        return clock_mono();
    }
}

/* When to look at it, a deadline; `least`: not within so many ns. */
static u64 look_at(const struct ptimer *p, u64 now, u64 least)
{
    u64 left = p->expiry > now ? p->expiry - now : 0;
    if (p->clock == CLOCK_PROCESS_CPU)
        left = max_u64(left / boot_info()->ncores, LOOK_AGAIN_NS);
    else if (p->clock == CLOCK_THREAD_CPU)
        left = max_u64(left, LOOK_AGAIN_NS);
    else if (p->clock == CLOCK_REAL && left > least)
        return deadline_on(DEADLINE_REAL, p->expiry);
    else if (p->clock == CLOCK_TAI && left > least)
        return deadline_on(DEADLINE_TAI, p->expiry);
    return clock_mono() + max_u64(left, least);
}

static void fire(struct timer *tm);

/* Under the lock. `least`: as look_at() takes it. */
static void arm(struct ptimer *p, u64 now, u64 least)
{
    p->armed = true;
    p->tm.fire = fire;
    timer_start(&p->tm, look_at(p, now, least));
}

static void disarm(struct ptimer *p)
{
    p->armed = p->sent = false;
    timer_cancel(&p->tm);
}

/* The first expiry after `now`; the ones before it are counted. */
static void forward_to(struct ptimer *p, u64 now)
{
    u64 more = now >= p->expiry ? (now - p->expiry) / p->interval + 1 : 0;
    p->expiry += more * p->interval;
    p->missed = (u32)min_u64(p->missed + more, 0x7fffffff);
}

/* It has expired: whether a signal is due now. Under the lock. */
static bool expire(struct ptimer *p, u64 now, struct sigshort *info)
{
    p->armed = false;
    if (p->interval)
        p->expiry += p->interval;
    if (!p->signo) {
        if (p->interval) {
            forward_to(p, now);
            arm(p, now, IGNORED_NS);
        }
        return false;
    }
    if (p->id < 0) {
        *info = (struct sigshort){.code = SI_KERNEL};
        p->sent = p->interval != 0;
        return true;
    }
    if (signal_queued(p->tid, p->signo, SI_TIMER, p->id)) { /* of an earlier setting */
        p->missed++;
        p->sent = p->interval != 0;
        return false;
    }
    p->sent = p->interval != 0;
    *info = (struct sigshort){.code = SI_TIMER, .pid = p->id, .uid = p->missed, .value = p->value};
    if (!p->interval) /* otherwise until that signal is taken, those of the last one count */
        p->overrun = p->missed;
    p->missed = 0;
    return true;
}

/* The signal was taken, or is not to be: what passed since, and on. Under the lock. */
static void resume(struct ptimer *p, u64 least)
{
    u64 now = clock_of(p);
    p->sent = false;
    forward_to(p, now);
    arm(p, now, least);
}

/* Nobody takes its signal. ITIMER_REAL then ends, as on Linux. Under the lock. */
static void ignored(struct ptimer *p)
{
    if (p == &itimers[0])
        p->sent = false;
    else
        resume(p, IGNORED_NS);
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
            arm(p, now, 0);
        else
            send = expire(p, now, &info);
    }
    bool cpu = p->kind >= CLOCK_PROCESS_CPU;
    spin_unlock(&lock);
    bool sent = true;
    if (send)
        signal_queue_room(signo, false);
    if (send && tid)
        sent = signal_send_tid(tid, signo, &info);
    else if (send)
        sent = cpu ? signal_send_here(signo, &info) : signal_send(NULL, signo, &info);
    if (sent)
        return;
    spin_lock(&lock);
    if (p->used && p->sent)
        ignored(p);
    spin_unlock(&lock);
}

static struct ptimer *by_id(u32 id)
{
    struct ptimer *p = id / PER_PAGE < npages ? &pages[id / PER_PAGE][id % PER_PAGE] : NULL;
    return p && p->used ? p : NULL;
}

void itimer_taken(int signo, struct sigshort *info)
{
    spin_lock(&lock);
    if (info->code == SI_TIMER) {
        struct ptimer *p = by_id((u32)info->pid);
        if (p && p->sent && p->signo == signo) {
            resume(p, REARM_NS);
            p->overrun = (u32)min_u64((u64)info->uid + p->missed, 0x7fffffff);
            p->missed = 0;
            info->uid = p->overrun;
        }
    } else if (info->code == SI_KERNEL) {
        for (int i = 0; i < ITIMERS; i++) {
            if (itimers[i].sent && itimers[i].signo == signo)
                resume(&itimers[i], REARM_NS);
        }
    }
    spin_unlock(&lock);
}

void itimers_dropped(int signo)
{
    spin_lock(&lock);
    for (u32 i = 0; i < ITIMERS + npages * PER_PAGE; i++) {
        struct ptimer *p = i < ITIMERS ? &itimers[i] : by_id(i - ITIMERS);
        if (p && p->sent && p->signo == signo)
            ignored(p);
    }
    spin_unlock(&lock);
}

void itimers_forked(void)
{
    lock = (spinlock){0};
    memset(itimers, 0, sizeof itimers);
    for (u32 i = 0; i < npages; i++)
        memset(pages[i], 0, LULL_PAGE);
    nused = 0;
}

/* ---- setting ---- */

struct setting {
    u64 value, interval; /* ns */
};

static struct setting get(const struct ptimer *p)
{
    struct setting s = {0, p->used ? p->interval : 0};
    if (p->used && (p->armed || p->sent)) {
        u64 now = clock_of(p), at = p->expiry;
        if (p->interval && at <= now)
            at += ((now - at) / p->interval + 1) * p->interval;
        s.value = at > now ? at - now : 1;
    }
    return s;
}

/* `at` absolute: a time of its clock. */
static void set(struct ptimer *p, struct setting s, bool absolute)
{
    /* one that is set from now on does not follow a clock that somebody sets */
    p->clock = p->kind == CLOCK_REAL && !absolute ? CLOCK_WALL : p->kind;
    u64 now = clock_of(p);
    disarm(p);
    p->interval = s.interval;
    p->overrun = p->missed = 0;
    if (!s.value)
        return;
    p->expiry = absolute ? s.value : now + s.value;
    arm(p, now, 0);
}

static struct ptimer *itimer(u64 which)
{
    static const u8 kind[] = {CLOCK_WALL, CLOCK_PROCESS_CPU, CLOCK_PROCESS_CPU};
    static const u8 signo[] = {14, 26, 27}; /* ALRM, VTALRM, PROF */
    struct ptimer *p = &itimers[which];
    p->used = true;
    p->id = -1 - (i32)which;
    p->kind = p->clock = kind[which];
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
    return min_u64((u64)s, SLEEP_NS_MAX / NS) * NS + (u64)rest * unit;
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
        struct setting s = get(&itimers[i]);
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

/* A clock that Linux alone knows: it wakes a machine that sleeps. */
static long alarm_clock(i32 id, u8 *kind)
{
    long r = forward_raw(NR_clock_getres, (const u64[6]){(u64)(i64)id});
    if (r) /* no such clock in this machine */
        return -EOPNOTSUPP;
    if (boot_info()->euid)
        return -EPERM;
    *kind = id == 8 ? CLOCK_REAL : CLOCK_WALL;
    return 0;
}

static long clock_decode(i32 id, u8 *kind, i32 *tid)
{
    *tid = current()->tid;
    if (id < 0) {
        bool thread;
        if ((id & 7) == 3) /* a device's */
            return -EOPNOTSUPP;
        long r = cpu_clock_decode(id, &thread, tid);
        if (r == 0)
            *kind = thread ? CLOCK_THREAD_CPU : CLOCK_PROCESS_CPU;
        if (r == -ESRCH) /* another process's: is there one? */
            r = forward_raw(NR_clock_getres, (const u64[6]){(u64)(i64)id})
                    ? -EINVAL
                    : refuse(NR_timer_create);
        return r;
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
    case 4: /* MONOTONIC_RAW, REALTIME_COARSE, MONOTONIC_COARSE */
    case 5:
    case 6:
        return -EOPNOTSUPP;
    case 8: /* REALTIME_ALARM, BOOTTIME_ALARM */
    case 9:
        return alarm_clock(id, kind);
    case 11:
        *kind = CLOCK_TAI;
        return 0;
    default:
        return -EINVAL;
    }
}

struct sigevent {
    u64 value;
    i32 signo, notify, tid, pad[11];
};
_Static_assert(sizeof(struct sigevent) == 64, "sigevent_t");

/* A free one, with the lock held; NULL: there are as many as there may be. */
static struct ptimer *timer_new(void)
{
    static u32 hint;
    spin_lock(&lock);
    u32 n = npages * PER_PAGE;
    if (nused < n && nused < limit_table()->of[LULL_LIMIT_SIGPENDING].cur) {
        while (pages[hint / PER_PAGE][hint % PER_PAGE].used)
            hint = (hint + 1) % n;
        struct ptimer *p = &pages[hint / PER_PAGE][hint % PER_PAGE];
        memset(p, 0, sizeof *p);
        p->id = (i32)hint;
        hint = (hint + 1) % n;
        nused++;
        return p;
    }
    spin_unlock(&lock);
    return NULL;
}

static void more_timers(void)
{
    spin_lock(&mm_lock);
    if (npages * PER_PAGE == nused && npages < PAGES_MAX) {
        pages[npages] = pt_page();
        npages += pages[npages] != NULL;
    }
    spin_unlock(&mm_lock);
}

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
    if ((ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_NONE && ev.notify != SIGEV_THREAD &&
         !to_thread) ||
        (ev.notify != SIGEV_NONE && (ev.signo < 1 || ev.signo > NSIG)) ||
        (to_thread && !thread_exists(ev.tid)))
        return -EINVAL;
    more_timers();
    struct ptimer *p = timer_new();
    if (!p)
        return -EAGAIN;
    i32 id = p->id;
    p->kind = p->clock = kind;
    p->signo = ev.notify == SIGEV_NONE ? 0 : ev.signo;
    p->tid = to_thread ? ev.tid : 0;
    p->cpu_tid = cpu_tid;
    p->value = f->rsi ? ev.value : (u64)id;
    bool told = !copy_out(f->rdx, &id, sizeof id);
    p->used = told;
    nused -= !told;
    spin_unlock(&lock);
    return told ? 0 : -EFAULT;
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
    if (!f->rdx)
        return -EINVAL;
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
        nused--;
    }
    spin_unlock(&lock);
    return p ? 0 : -EINVAL;
}
