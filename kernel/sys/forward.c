/* SPDX-License-Identifier: MIT */
/* Calls that Linux answers: their way through the channel, and back through signals. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/child.h"
#include "sched/thread.h"
#include "sys/sys.h"

#define SPIN_NS 100000u       /* how long a caller looks for its answer itself */
#define SPIN_CHILD_NS 20000u  /* the same, of one that waits for a child, which wants the core */
#define DYING_NS 1000000000ul /* how long a fatal signal waits for Linux's answer */
#define PIDFD_THREAD 0x80u
#define FUTEX_WAIT 0u
#define FUTEX_WAIT_BITSET 9u
#define FUTEX_CMD_MASK 127u

static struct lull_channel *channel(unsigned core)
{
    return (struct lull_channel *)(LULL_CHANNELS + core * LULL_CHAN_STRIDE);
}

/*
 * Calls that a signal does not end. QUICK ones do not wait, so Linux never answers EINTR because of
 * a signal. Of the kernel's own calls only waits in a window may be ended.
 */
static bool ends_by_itself(u32 nr, const u64 arg[6])
{
    u64 op = arg[1] & FUTEX_CMD_MASK;
    if (syscall_table[nr].class == LULL_SYS_QUICK)
        return true;
    return syscall_table[nr].class == LULL_SYS_INTERNAL &&
           (nr != LULL_NR_FUTEX ||
            (op != FUTEX_WAIT && op != FUTEX_WAIT_BITSET && op != LULL_FUTEX_WAITV));
}

/* Takes what has been answered on this core. */
void forward_reap(void)
{
    unsigned me = this_cpu()->index;
    struct lull_cqe e;
    while (lull_chan_reap(channel(me), &e)) {
        struct thread *t = thread_at(e.slot);
        if (!t || t->fwd_slot != (i32)e.slot || t->fwd_core != me)
            panic("an answer to no question", e.slot, (u64)e.result);
        runqs[me].ninflight--;
        t->fwd_result = e.result;
        __atomic_store_n(&t->fwd_slot, -1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&t->fwd_done, true, __ATOMIC_SEQ_CST);
        if (t != current() || t->state == THREAD_BLOCKED)
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

/* wait4, waitid: without WNOHANG. Children have the cores of their parent. */
static bool waits_for_child(u32 nr, const u64 arg[6])
{
    return (nr == NR_wait4 && !(arg[2] & 1)) || (nr == NR_waitid && !(arg[3] & 1));
}

/* The answer is likely to come soon, and nobody else wants the core: look for it here. */
static void spin_for_answer(struct thread *t, u64 most_ns)
{
    struct percpu *p = this_cpu();
    struct runq *q = &runqs[p->index];
    u64 end = rdtsc() + min_u64(boot_info()->spin_tsc, boot_info()->tsc_khz * most_ns / 1000000);
    forward_reap();
    while (!answered(t) && rdtsc() < end && !__atomic_load_n(&q->nready, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&core_of(p->index)->bell, __ATOMIC_RELAXED)) {
        cpu_relax();
        forward_reap();
    }
}

static void submit(struct thread *t, u32 nr, const u64 arg[6])
{
    unsigned core = this_cpu()->index;
    struct lull_channel *ch = channel(core);
    t->fwd_done = false;
    t->fwd_core = core;
    __atomic_store_n(&t->fwd_slot, (i32)t->index, __ATOMIC_SEQ_CST);
    runqs[core].ninflight++;
    lull_chan_submit(ch, t->index, nr, arg, t->child ? (u64)t->child->pid : 0);
    if (lull_chan_must_ring(ch))
        proxy_call(LULL_OP_CHANNEL, 0, 0, 0);
}

long forward_alone(u32 nr, const u64 arg[6])
{
    struct thread *t = current();
    while (lull_chan_full(channel(this_cpu()->index)))
        core_serve_requests();
    submit(t, nr, arg);
    while (!answered(t)) {
        core_serve_requests();
        cpu_relax();
        forward_reap();
    }
    return t->fwd_result;
}

/* Waits until the submission ring of this core has room: the server takes what is there at once. */
static void wait_for_room(void)
{
    while (lull_chan_full(channel(this_cpu()->index))) {
        core_serve_requests();
        forward_reap();
        if (__atomic_load_n(&runqs[this_cpu()->index].nready, __ATOMIC_RELAXED))
            thread_yield();
        else
            cpu_relax();
    }
}

static long forward_once(u32 nr, const u64 arg[6])
{
    struct thread *t = current();
    wait_for_room();
    submit(t, nr, arg);
    bool child = waits_for_child(nr, arg);
    spin_for_answer(t, child ? SPIN_CHILD_NS : SPIN_NS);
    this_cpu()->child_due = child;
    bool cancelled = ends_by_itself(nr, arg);
    u64 patience = NEVER;
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
        /* Linux ends a wait that only death interrupts (TASK_KILLABLE); here nothing else does. */
        int signo = signal_pending_fatal(t);
        if (signo && patience == NEVER)
            patience = clock_mono() + DYING_NS;
        if (!thread_block_until(signo ? patience : NEVER))
            signal_die(signo);
    }
    return t->fwd_result;
}

/* Calls that are never restarted behind a handler, whatever SA_RESTART says (signal(7)). */
static bool never_restarts(u32 nr)
{
    return nr == NR_poll || nr == NR_select || nr == NR_epoll_wait || nr == NR_pselect6 ||
           nr == NR_ppoll || nr == NR_epoll_pwait || nr == NR_epoll_pwait2 || nr == NR_semop ||
           nr == NR_semtimedop || nr == NR_msgsnd || nr == NR_msgrcv || nr == NR_io_pgetevents;
}

/* These look for signals once more before they answer that the time is over. */
static bool signal_before_timeout(u32 nr)
{
    return nr == NR_poll || nr == NR_select || nr == NR_pselect6 || nr == NR_ppoll;
}

/* Where a call has its timeout in ms: as a number, so that what is left is worked out here. */
static int timeout_arg(u32 nr)
{
    return nr == NR_poll ? 2 : nr == NR_epoll_wait || nr == NR_epoll_pwait ? 3 : -1;
}

/* Raises what Linux raised along with the answer; the answer without it. */
static long raise_with(u32 nr, long r)
{
    bool partial = (nr == NR_write || nr == NR_writev || nr == NR_sendto) && r >= LULL_SIGPIPE &&
                   r < LULL_RENAMES;
    struct sigshort info = signal_own_info(SI_USER);
    if (r == -LULL_ESIGXFSZ) {
        signal_send(current(), SIGXFSZ, &info);
        return -EFBIG;
    }
    if (r == -LULL_ESIGPIPE || partial) { /* write, writev, sendto */
        signal_send(current(), SIGPIPE, &info);
        return r < 0 ? -EPIPE : r - LULL_SIGPIPE;
    }
    return r;
}

/* What the caller waited, other threads' turns on its core included. */
static void note_wait(u32 nr, u64 since)
{
    u64 ns = tsc_to_ns(rdtsc() - since);
    u64 *longest = &sysstat()->longest_ns[nr];
    u64 seen = __atomic_load_n(longest, __ATOMIC_RELAXED);
    __atomic_fetch_add(&waits()->bucket[nr][lull_wait_bucket(ns)], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sysstat()->waited_ns[nr], ns, __ATOMIC_RELAXED);
    while (ns > seen && !__atomic_compare_exchange_n(longest, &seen, ns, false, __ATOMIC_RELAXED,
                                                     __ATOMIC_RELAXED))
        ;
}

/* What was written is the name of a thread (/proc/self/task/TID/comm). */
static long name_written(i32 tid, const u64 arg[6])
{
    char name[16] = {0};
    if (copy_in(name, arg[1], min_u64(arg[2], sizeof name - 1)))
        return -EFAULT;
    thread_rename(tid, name);
    return (long)arg[2];
}

static bool may_use_terminal(u32 nr)
{
    return nr == NR_read || nr == NR_write || nr == NR_ioctl || nr == NR_readv || nr == NR_writev;
}

/* Linux lets who blocks SIGTTIN and SIGTTOU do as who ignores them. */
static long forward_ignoring_stops(u32 nr, const u64 arg[6])
{
    forward_once(LULL_NR_CHILDREN, (const u64[6]){signal_flags_for_linux(true)});
    long r = raise_with(nr, forward_once(nr, arg));
    forward_once(LULL_NR_CHILDREN, (const u64[6]){signal_flags_for_linux(false)});
    return r == -EINTR ? -ERESTART : r;
}

/* Until `end`, CLOCK_MONOTONIC ns, where it has a timeout; NEVER: none. */
static long forward_until(u32 nr, const u64 args[6], u64 end)
{
    u64 arg[6];
    memcpy(arg, args, sizeof arg);
    for (;;) {
        if (end != NEVER) {
            u64 now = clock_mono();
            arg[timeout_arg(nr)] = end > now ? (end - now + 999999) / 1000000 : 0;
        }
        count(LULL_K_FORWARDED);
        u64 since = rdtsc();
        long r = raise_with(nr, forward_once(nr, arg));
        note_wait(nr, since);
        if (r >= LULL_RENAMES && (nr == NR_write || nr == NR_pwrite64))
            return name_written((i32)r, arg);
        if (r == -LULL_E_SIGNALFD)
            return signalfd_read(nr, arg);
        if (signals_wait_in_ring()) /* the call itself may have raised them: kill, F_NOTIFY ... */
            signals_from_proxy();
        /* A close that Linux ended with EINTR has closed the descriptor: never again. */
        if ((r != -EINTR && r != -LULL_E_INTR_FINAL) || syscall_table[nr].class == LULL_SYS_QUICK)
            return r;
        if (!signal_pending(current())) {
            if (may_use_terminal(nr) && signal_stop_was_blocked())
                return forward_ignoring_stops(nr, arg);
            continue;
        }
        if (r == -LULL_E_INTR_FINAL || nr == NR_io_getevents)
            return -EINTR;
        if (end != NEVER)
            return thread_resumes(nr, end);
        return never_restarts(nr) ? -ERESTART_NOHAND : -ERESTART;
    }
}

long forward_raw(u32 nr, const u64 arg[6])
{
    return forward_until(nr, arg, NEVER);
}

/*
 * The mask that a call brings along for the time that it waits: 1 and *mask, 0: none, or the error
 * that Linux has for it, in its order: the time, the size, the mask.
 */
static long mask_fetch(const struct frame *f, u32 nr, u64 *mask)
{
    u64 set[2] = {0, 0}; /* address, size */
    uaddr time = 0;
    switch (nr) {
    case NR_pselect6:
        if (f->r9 && copy_in(set, f->r9, sizeof set))
            return -EFAULT;
        time = f->r8;
        break;
    case NR_ppoll:
        set[0] = f->r10;
        set[1] = f->r8;
        time = f->rdx;
        break;
    case NR_io_pgetevents: /* any time will do */
        if ((f->r8 && args_usable(f->r8, 16, PROT_READ) != 16) ||
            (f->r9 && copy_in(set, f->r9, sizeof set)))
            return -EFAULT;
        break;
    case NR_epoll_pwait2:
        time = f->r10;
        /* fall through */
    case NR_epoll_pwait:
        set[0] = f->r8;
        set[1] = f->r9;
        break;
    default:
        break;
    }
    if (!set[0])
        return 0;
    u64 ns;
    long r = time ? timespec_in(time, &ns) : 0;
    if (r)
        return r;
    if (set[1] != 8)
        return -EINVAL;
    return copy_in(mask, set[0], 8) ? -EFAULT : 1;
}

/*
 * Calls that name a process: a thread's number, which Linux does not know, stands for this one. 0,
 * or what Linux answers to a number that is no process's.
 */
static long name_process(u32 nr, u64 arg[6])
{
    unsigned i = 0;
    switch (nr) {
    case NR_setpgid:
    case NR_getpgid:
    case NR_getsid:
    case NR_pidfd_open:
        break;
    case NR_getpriority: /* getpriority, setpriority of PRIO_PROCESS */
    case NR_setpriority:
        if ((i32)arg[0] != 0)
            return 0;
        i = 1;
        break;
    case NR_ioprio_set: /* ioprio_set, ioprio_get of IOPRIO_WHO_PROCESS */
    case NR_ioprio_get:
        if ((i32)arg[0] != 1)
            return 0;
        i = 1;
        break;
    default:
        return 0;
    }
    i32 id = (i32)arg[i];
    if (id <= 0 || id == (i32)boot_info()->pid || !thread_exists(id))
        return 0;
    if (nr == NR_setpgid)
        return -EINVAL;
    if (nr == NR_pidfd_open)
        return (u32)arg[1] & PIDFD_THREAD ? refuse(nr) : -ENOENT;
    arg[i] = boot_info()->pid;
    return 0;
}

/* `end`: of a call that goes on; NEVER: the call says itself. */
static long forward_frame(struct frame *f, u32 nr, u64 end)
{
    const struct lull_sysdesc *d = &syscall_table[nr];
    u64 arg[6], mask;
    for (unsigned i = 0; i < 6; i++)
        arg[i] = frame_arg(f, i);
    long named = name_process(nr, arg);
    if (named)
        return named;
    long masked = mask_fetch(f, nr, &mask);
    if (masked < 0)
        return masked;
    args_begin(nr, d, arg);
    for (unsigned i = 0; i < d->nargs; i++)
        args_check(d, i, arg);
    int at = timeout_arg(nr);
    if (end == NEVER && at >= 0 && (i32)arg[at] > 0)
        end = clock_mono() + (u64)(u32)arg[at] * 1000000;
    if (masked)
        signal_mask_begin(mask);
    long r = forward_until(nr, arg, end);
    if (r == 0 && signal_before_timeout(nr) && signal_pending(current()))
        r = -ERESTART_NOHAND;
    if (masked)
        signal_mask_end(r == -ERESTART_NOHAND || r == -ERESTART_BLOCK);
    return r;
}

long forward_call(struct frame *f, const struct lull_sysdesc *d)
{
    u32 nr = (u32)(d - syscall_table);
    procinfo_for_call(f, nr);
    __atomic_fetch_add(&sysstat()->forwarded[nr], 1, __ATOMIC_RELAXED);
    return forward_frame(f, nr, NEVER);
}

long forward_resume(struct frame *f, u32 nr, u64 end)
{
    return forward_frame(f, nr, end);
}
