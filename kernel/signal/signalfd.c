/* SPDX-License-Identifier: MIT */
/*
 * signalfd(2): the descriptor is Linux's, the signals are here. So read(2) of one ends here, and
 * Linux is told which of its signals are pending, that it is ready for poll(2) and its kin. A
 * signal for one thread alone shows to all that poll; who reads takes only its own.
 */
#include "kernel.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

#define RWF_NOWAIT 8u
#define SIGRTMIN_KERNEL 32
#define SI_SIGIO (-5)
#define KILL_BIT sig_bit(SIGKILL) /* LULL_NR_SIGNALFD: O_NONBLOCK */
#define STOP_BIT sig_bit(SIGSTOP) /* and signal 64 */

static u64 watched; /* signals of any signalfd there ever was */
static u64 told;    /* what Linux takes for pending; tell_lock */
static spinlock tell_lock;

void signalfds_init(void)
{
    watched = boot_info()->signalfds;
}

void signalfds_forked(void)
{
    tell_lock = (spinlock){0};
    told = 0;
}

/* Pending, and not about to be delivered: blocked by whoever could take them. */
static u64 pending_blocked(void)
{
    u64 process = process_pending, own = 0;
    spin_lock(&threads_lock);
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *t = CONTAINER(l, struct thread, all);
        if (t->child)
            continue;
        process &= t->sig.mask;
        own |= t->sig.pending & t->sig.mask;
    }
    spin_unlock(&threads_lock);
    return process | own;
}

void signalfds_tell(u64 signals, bool taken)
{
    if (!(__atomic_load_n(&watched, __ATOMIC_RELAXED) & signals))
        return;
    spin_lock(&tell_lock);
    u64 now = pending_blocked() & watched;
    /* of a number that queues more may wait at the proxy */
    u64 renew = taken ? told & now & signals & ~(sig_bit(SIGRTMIN_KERNEL) - 1) : 0;
    if (now != told || renew) {
        told = now;
        proxy_call(LULL_OP_PENDING, now, renew, 0);
        if (taken) /* before the application goes on */
            __atomic_fetch_or(&core_of(this_cpu()->index)->bell, LULL_BELL_SIGNAL,
                              __ATOMIC_SEQ_CST);
    }
    spin_unlock(&tell_lock);
}

static void watch(u64 set)
{
    __atomic_fetch_or(&watched, set & ~UNBLOCKABLE, __ATOMIC_SEQ_CST);
    signalfds_tell(set, false);
}

static long make(struct frame *f, u32 nr)
{
    u64 set;
    bool known = !copy_in(&set, f->rsi, sizeof set);
    long r = forward_call(f, &syscall_table[nr]);
    if (r >= 0 && known)
        watch(set);
    return r;
}

long sys_signalfd(struct frame *f)
{
    return make(f, NR_signalfd);
}

long sys_signalfd4(struct frame *f)
{
    return make(f, NR_signalfd4);
}

/* struct signalfd_siginfo, linux/signalfd.h */
struct record {
    u32 signo;
    i32 err, code;
    u32 pid, uid;
    i32 fd;
    u32 tid, band, overrun, trapno;
    i32 status, value;
    u64 ptr, utime, stime, addr;
    u8 pad[48];
};
_Static_assert(sizeof(struct record) == 128, "struct signalfd_siginfo");

/* Which fields there are depends on the code: sigaction(2). */
static void record_fill(struct record *r, int signo, const struct sigshort *s)
{
    memset(r, 0, sizeof *r);
    r->signo = (u32)signo;
    r->code = s->code;
    if (s->code == SI_TIMER) {
        r->tid = (u32)s->pid;
        r->overrun = s->uid;
    } else if (s->code == SI_SIGIO) {
        r->band = (u32)s->pid;
        r->fd = (i32)s->value;
        return;
    } else {
        r->pid = (u32)s->pid;
        r->uid = s->uid;
    }
    if (s->code < 0) {
        r->ptr = s->value;
        r->value = (i32)s->value;
    } else if (signo == SIGCHLD && s->code > 0 && s->code <= 6) {
        r->status = (i32)s->value;
    }
}

/* Where a read puts its bytes: one buffer, or several. */
struct sink {
    uaddr iov; /* 0: one */
    u64 left;  /* buffers behind the present one */
    u64 base, len;
};

static bool sink_next(struct sink *k)
{
    u64 v[2];
    if (!k->left || copy_in(v, k->iov, sizeof v))
        return false;
    k->iov += sizeof v;
    k->left--;
    k->base = v[0];
    k->len = v[1];
    return true;
}

static bool sink_put(struct sink *k, const void *data, u64 n)
{
    for (const char *p = data; n;) {
        if (!k->len) {
            if (!sink_next(k))
                return false;
            continue;
        }
        u64 part = min_u64(n, k->len);
        if (copy_out(k->base, p, part))
            return false;
        k->base += part;
        k->len -= part;
        p += part;
        n -= part;
    }
    return true;
}

static u64 sink_room(struct sink k)
{
    u64 room = k.len;
    while (k.iov && sink_next(&k))
        room += k.len;
    return room;
}

long signalfd_read(u32 nr, const u64 arg[6])
{
    u64 fd[6] = {arg[0]};
    long about = forward_raw(LULL_NR_SIGNALFD, fd);
    if (about < 0)
        return about;
    u64 set = (u64)about & ~(KILL_BIT | STOP_BIT);
    if (about & (i64)STOP_BIT)
        set |= sig_bit(NSIG);
    watch(set);
    bool nonblock = (u64)about & KILL_BIT || (nr == NR_preadv2 && arg[5] & RWF_NOWAIT);
    struct sink k = {.base = arg[1], .len = arg[2]};
    if (nr != NR_read)
        k = (struct sink){.iov = arg[1], .left = arg[2]};
    u64 records = sink_room(k) / sizeof(struct record);
    if (!records)
        return -EINVAL;
    long total = 0;
    for (u64 i = 0; i < records; i++) {
        struct sigshort s;
        struct record r;
        int signo = signal_wait(set, NEVER, nonblock || i, &s);
        if (signo < 0)
            return total ? total : signo == -EINTR ? -ERESTART : signo;
        record_fill(&r, signo, &s);
        if (!sink_put(&k, &r, sizeof r))
            return total ? total : -EFAULT;
        total += (long)sizeof r;
    }
    return total;
}
