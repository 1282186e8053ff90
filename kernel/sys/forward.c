/* SPDX-License-Identifier: MIT */
/*
 * Calls that Linux answers. The application's rights are checked here, by its mappings; the proxy
 * checks again that nothing leaves the isle. A pointer without the right becomes LULL_BAD_PTR:
 * Linux then answers EFAULT, or whatever comes first in its own order of checks.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/child.h"
#include "sched/thread.h"
#include "sys/sys.h"

#define SPIN_NS 100000u /* how long a caller looks for its answer itself */
#define MSG_NOSIGNAL 0x4000u
#define IOV_MAX 1024

static struct lull_channel *channel(unsigned core)
{
    return (struct lull_channel *)(LULL_CHANNELS + core * LULL_CHAN_STRIDE);
}

/* How much of [p, p+n) the application may use so; n when all. */
static u64 usable(uaddr p, u64 n, u32 prot)
{
    if (!user_range_ok(p, n))
        return 0;
    spin_lock(&mm_lock);
    u64 end = vma_readable_end(p, p + n, prot);
    spin_unlock(&mm_lock);
    return end - p;
}

static bool usable_all(uaddr p, u64 n, u32 prot)
{
    return usable(p, n, prot) == n;
}

struct iovec {
    u64 base, len;
};

/* How many of n buffers, from the first, may be used so. */
static u64 iov_usable(uaddr iov, u64 n, u32 prot)
{
    if (n > IOV_MAX)
        return n; /* EINVAL from Linux */
    for (u64 i = 0; i < n; i++) {
        struct iovec v;
        if (copy_in(&v, iov + i * sizeof v, sizeof v))
            return i;
        if (v.len && (i64)v.len > 0 && !usable_all(v.base, v.len, prot))
            return i;
    }
    return n;
}

static bool msg_ok(uaddr msg, u32 prot)
{
    struct {
        u64 name;
        u32 namelen, pad;
        u64 iov, iovlen, control, controllen;
        u32 flags, pad2;
    } m;
    if (!usable_all(msg, sizeof m, prot) || copy_in(&m, msg, sizeof m))
        return false;
    if (m.name && (i32)m.namelen > 0 && !usable_all(m.name, m.namelen, prot))
        return false;
    if (m.control && m.controllen && !usable_all(m.control, m.controllen, prot))
        return false;
    return iov_usable(m.iov, m.iovlen, prot) == m.iovlen;
}

/* Checks argument i; may replace or shorten it in arg[]. */
static void check_arg(const struct lull_sysdesc *d, unsigned i, u64 arg[6])
{
    struct lull_arg a = d->arg[i];
    uaddr p = arg[i];
    bool ok = true;
    u64 n;
    if (a.kind < LULL_A_PATH || !p)
        return;
    switch (a.kind) {
    case LULL_A_PATH:
        ok = user_range_ok(p, 1) && user_strnlen((void *)p, 4096) >= 0;
        break;
    case LULL_A_IN:
        ok = usable_all(p, a.param, PROT_READ);
        break;
    case LULL_A_OUT:
    case LULL_A_INOUT:
        /* select's sets are as long as its first argument says, at most this */
        n = d->arg[i].param == 128 ? min_u64((arg[0] + 63) / 64 * 8, 128) : a.param;
        ok = usable_all(p, n, PROT_WRITE);
        break;
    case LULL_A_BUFIN:
    case LULL_A_BUFOUT: {
        u32 prot = a.kind == LULL_A_BUFIN ? PROT_READ : PROT_WRITE;
        n = min_u64(arg[a.param], 0x7ffff000);
        u64 have = n ? usable(p, n, prot) : 0;
        if (have < n && have && d->class == LULL_SYS_FDWAIT)
            arg[a.param] = have; /* Linux transfers up to the bad page */
        else
            ok = have == n;
        break;
    }
    case LULL_A_VEC:
        n = (u64)(a.param >> 4) * (u32)arg[a.param & 15];
        ok = (i32)arg[a.param & 15] < 0 || usable_all(p, n, PROT_WRITE);
        break;
    case LULL_A_IOVIN:
    case LULL_A_IOVOUT:
        n = iov_usable(p, arg[a.param], a.kind == LULL_A_IOVIN ? PROT_READ : PROT_WRITE);
        if (n) /* Linux transfers up to the bad buffer */
            arg[a.param] = n;
        else
            ok = arg[a.param] == 0;
        break;
    case LULL_A_MSGIN:
        ok = msg_ok(p, PROT_READ);
        break;
    case LULL_A_MSGOUT:
        ok = msg_ok(p, PROT_WRITE);
        break;
    default:
        break;
    }
    if (!ok)
        arg[i] = LULL_BAD_PTR;
}

static int slot_take(struct runq *q, struct thread *t)
{
    if (q->ninflight == LULL_CHAN_DEPTH)
        return -1;
    while (q->inflight[q->next_slot % LULL_CHAN_DEPTH])
        q->next_slot++;
    int slot = (int)(q->next_slot++ % LULL_CHAN_DEPTH);
    q->inflight[slot] = t;
    q->ninflight++;
    return slot;
}

/* Takes what has been answered on this core. */
void forward_reap(void)
{
    unsigned me = this_cpu()->index;
    struct runq *q = &runqs[me];
    struct lull_cqe e;
    while (lull_chan_reap(channel(me), &e)) {
        if (e.slot >= LULL_CHAN_DEPTH || !q->inflight[e.slot])
            panic("an answer to no question", e.slot, (u64)e.result);
        struct thread *t = q->inflight[e.slot];
        q->inflight[e.slot] = NULL;
        q->ninflight--;
        t->fwd_result = e.result;
        __atomic_store_n(&t->fwd_slot, -1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&t->fwd_done, true, __ATOMIC_SEQ_CST);
        if (t != current())
            thread_wake(t);
        else if (t->state == THREAD_BLOCKED)
            thread_wake(t);
    }
}

void forward_cancel(struct thread *t)
{
    i32 slot = __atomic_load_n(&t->fwd_slot, __ATOMIC_SEQ_CST);
    if (slot >= 0)
        proxy_call(LULL_OP_CANCEL, t->fwd_core, (u64)slot, 0);
}

static bool answered(const struct thread *t)
{
    return __atomic_load_n(&t->fwd_done, __ATOMIC_SEQ_CST);
}

/* The answer is likely to come soon, and nobody else wants the core: look for it here. */
static void spin_for_answer(struct thread *t)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    u64 end = rdtsc() + min_u64(boot_info()->spin_tsc, boot_info()->tsc_khz * SPIN_NS / 1000000);
    forward_reap();
    while (!answered(t) && rdtsc() < end && !__atomic_load_n(&q->nready, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&core_of(p->index)->bell, __ATOMIC_RELAXED)) {
        cpu_relax();
        forward_reap();
    }
}

static long forward_once(u32 nr, const u64 arg[6])
{
    struct thread *t = current();
    int slot;
    while ((slot = slot_take(&runqs[this_cpu()->index], t)) < 0) {
        forward_reap();
        thread_yield();
    }
    unsigned core = this_cpu()->index;
    struct lull_channel *ch = channel(core);
    t->fwd_done = false;
    t->fwd_core = core;
    __atomic_store_n(&t->fwd_slot, slot, __ATOMIC_SEQ_CST);
    lull_chan_submit(ch, (u32)slot, nr, arg, t->child ? (u64)t->child->pid : 0);
    if (lull_chan_must_ring(ch))
        proxy_call(LULL_OP_CHANNEL, 0, 0, 0);
    spin_for_answer(t);
    bool cancelled = false;
    while (!answered(t)) {
        thread_prepare_block();
        if (answered(t)) {
            thread_cancel_block();
            break;
        }
        if (!cancelled && signal_pending(t)) {
            thread_cancel_block();
            forward_cancel(t);
            cancelled = true;
            continue;
        }
        schedule();
    }
    return t->fwd_result;
}

/* Calls that are never restarted behind a handler, whatever SA_RESTART says (signal(7)). */
static bool never_restarts(u32 nr)
{
    return nr == 7 || nr == 23 || nr == 65 || nr == 220 || nr == 232 || nr == 270 || nr == 271 ||
           nr == 281;
}

static bool raises_sigpipe(u32 nr, const u64 arg[6])
{
    switch (nr) {
    case 1:   /* write */
    case 18:  /* pwrite64 */
    case 20:  /* writev */
    case 40:  /* sendfile */
    case 275: /* splice */
    case 296: /* pwritev */
    case 328: /* pwritev2 */
        return true;
    case 44: /* sendto */
        return !(arg[3] & MSG_NOSIGNAL);
    case 46: /* sendmsg */
        return !(arg[2] & MSG_NOSIGNAL);
    default:
        return false;
    }
}

long forward_raw(u32 nr, const u64 arg[6])
{
    for (;;) {
        count(LULL_K_FORWARDED);
        long r = forward_once(nr, arg);
        if (r == -EPIPE && raises_sigpipe(nr, arg)) {
            struct sigshort info = {.code = SI_USER, .pid = (i32)boot_info()->pid};
            signal_send(current(), SIGPIPE, &info);
        }
        if (r != -EINTR)
            return r;
        if (signal_pending(current()))
            return never_restarts(nr) ? -ERESTART_NOHAND : -ERESTART;
    }
}

long forward_call(struct frame *f, const struct lull_sysdesc *d)
{
    u32 nr = (u32)(d - syscall_table);
    u64 arg[6];
    for (unsigned i = 0; i < 6; i++)
        arg[i] = frame_arg(f, i);
    for (unsigned i = 0; i < d->nargs; i++)
        check_arg(d, i, arg);
    if (nr == 2 || nr == 257 || nr == 437) /* open, openat, openat2 */
        procinfo_update();
    __atomic_fetch_add(&sysstat()->forwarded[nr], 1, __ATOMIC_RELAXED);
    return forward_raw(nr, arg);
}
