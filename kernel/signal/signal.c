/* SPDX-License-Identifier: MIT */
/* Signals: who gets them, when, and what happens. signal_lock guards all that is pending. */
#include "signal/signal.h"

#include "kernel.h"
#include "sched/futex.h"
#include "sched/rseq.h"
#include "sched/thread.h"
#include "signal/frame.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

#define STOP_SIGNALS (sig_bit(SIGSTOP) | sig_bit(SIGTSTP) | sig_bit(SIGTTIN) | sig_bit(SIGTTOU))
#define IGNORED_BY_DEFAULT                                                                         \
    (sig_bit(SIGCHLD) | sig_bit(SIGCONT) | sig_bit(SIGURG) | sig_bit(SIGWINCH))

spinlock signal_lock;
struct sigaction signal_actions[NSIG];
u64 process_pending;
struct sigshort process_info[NSIG];

/* Without a handler nothing comes of it. The first process of a namespace has only those signals
   that it has handlers for, and those of faults (pid_namespaces(7)). */
static bool default_is_nothing(int signo)
{
    return boot_info()->pid == 1 || IGNORED_BY_DEFAULT & sig_bit(signo);
}

bool signal_ignored(int signo)
{
    u64 h = signal_actions[signo - 1].handler;
    return h == SIG_IGN || (h == SIG_DFL && default_is_nothing(signo));
}

/* A signal without a handler that ends the program. Under signal_lock. */
static bool fatal(int signo)
{
    return signal_actions[signo - 1].handler == SIG_DFL && !default_is_nothing(signo) &&
           !(STOP_SIGNALS & sig_bit(signo));
}

void signal_action_changed(int signo)
{
    struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    u64 bit = sig_bit(signo);
    if (fatal(signo))
        __atomic_fetch_and(&s->kept, ~bit, __ATOMIC_RELAXED);
    else
        __atomic_fetch_or(&s->kept, bit, __ATOMIC_RELAXED);
}

void signals_init(void)
{
    signalfds_init();
    for (int s = 1; s <= NSIG; s++) {
        if (boot_info()->sigignored & sig_bit(s))
            signal_actions[s - 1].handler = SIG_IGN;
        signal_action_changed(s);
    }
}

bool signal_pending(struct thread *t)
{
    if (t->child) /* they are the parent's, who waits */
        return false;
    u64 p = __atomic_load_n(&t->sig.pending, __ATOMIC_SEQ_CST) |
            __atomic_load_n(&process_pending, __ATOMIC_SEQ_CST);
    return (p & ~t->sig.mask) != 0;
}

int signal_pending_fatal(struct thread *t)
{
    if (!signal_pending(t))
        return 0;
    spin_lock(&signal_lock);
    u64 p = (t->sig.pending | process_pending) & ~t->sig.mask;
    int signo = 1;
    while (signo <= NSIG && !(p & sig_bit(signo) && fatal(signo)))
        signo++;
    spin_unlock(&signal_lock);
    return signo <= NSIG ? signo : 0;
}

void signal_die(int signo)
{
    static struct lull_death death;
    for (;;)
        proxy_call(LULL_OP_DIE, (u64)signo, (u64)&death, 0);
}

void signal_end(int signo)
{
    static struct lull_death death;
    for (;;)
        proxy_call(LULL_OP_DIE, (u64)signo, (u64)&death, 1);
}

static bool wants(const struct thread *t, int signo)
{
    if (t->child)
        return false;
    return !(t->sig.mask & sig_bit(signo)) || t->sig.waiting & sig_bit(signo);
}

/* Whoever is woken may be on the way with an earlier one: all that wait for it look. */
static void wake_waiting(int signo, const struct thread *but)
{
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *x = CONTAINER(l, struct thread, all);
        if (x != but && !x->child && x->sig.waiting & sig_bit(signo))
            thread_interrupt(x);
    }
}

/*
 * All threads are vfork children, or block it. A process that waits for its child dies as any
 * other: here and now, as the child's own calls are none of its. Under both locks.
 */
static void ends_vfork(int signo)
{
    static struct lull_death death;
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *x = CONTAINER(l, struct thread, all);
        while (x->child && !(x->sig.mask & sig_bit(signo)))
            proxy_call(LULL_OP_DIE, (u64)signo, (u64)&death, 0);
    }
}

/*
 * SIGTTIN or SIGTTOU from Linux: some call uses the terminal from the background. Calls of threads
 * that block the signal are interrupted, which find out (signal_stop_was_blocked()). Under
 * threads_lock.
 */
static void interrupt_blocked(int signo)
{
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *x = CONTAINER(l, struct thread, all);
        if (x->fwd_slot >= 0 && x->sig.mask & sig_bit(signo))
            forward_cancel(x);
    }
}

/* `near`: who gets a signal of the process if it can, instead of the main thread. */
static bool send(struct thread *t, struct thread *near, int signo, const struct sigshort *info)
{
    struct thread *target = NULL;
    spin_lock(&threads_lock);
    spin_lock(&signal_lock);
    bool waited = false;
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *x = CONTAINER(l, struct thread, all);
        if (x == t)
            target = t;
        if ((t && x != t) || !wants(x, signo))
            continue;
        waited |= (x->sig.waiting & sig_bit(signo)) != 0;
        if (!target || x == near || (target != near && x->tid == (i32)boot_info()->pid))
            target = x; /* the main thread when it can, as Linux */
    }
    bool ends = fatal(signo) && target && !(target->sig.mask & sig_bit(signo));
    bool blocked = target && !wants(target, signo);
    bool drop = t ? !target : false; /* it ended meanwhile */
    drop |= signal_ignored(signo) && !waited && !blocked && target;
    if (!drop) {
        u64 bit = sig_bit(signo);
        u64 *pending = t ? &t->sig.pending : &process_pending;
        if (!(*pending & bit))
            *(t ? &t->sig.info[signo - 1] : &process_info[signo - 1]) = *info;
        else
            signal_queue_add(t, signo, info);
        __atomic_fetch_or(pending, bit, __ATOMIC_SEQ_CST);
        signal_survives(t, signo);
    }
    if (!drop && !t && !target && fatal(signo))
        ends_vfork(signo);
    spin_unlock(&signal_lock);
    if ((signo == SIGTTIN || signo == SIGTTOU) && info->code == SI_KERNEL)
        interrupt_blocked(signo);
    if (!drop && ends && target != current())
        thread_hasten(target); /* however high the priority of who runs before it */
    if (!drop && target && wants(target, signo))
        thread_interrupt(target);
    if (!drop && waited && !t)
        wake_waiting(signo, target);
    spin_unlock(&threads_lock);
    if (!drop)
        signalfds_tell(sig_bit(signo), false);
    return !drop;
}

bool signal_send(struct thread *t, int signo, const struct sigshort *info)
{
    return send(t, NULL, signo, info);
}

bool signal_send_here(int signo, const struct sigshort *info)
{
    return send(NULL, current(), signo, info);
}

bool signal_send_tid(i32 tid, int signo, const struct sigshort *info)
{
    spin_lock(&threads_lock);
    struct thread *t = thread_by_tid(tid);
    spin_unlock(&threads_lock);
    return t && signal_send(t, signo, info);
}

bool signal_stop_was_blocked(void)
{
    bool any = false;
    spin_lock(&signal_lock);
    for (int s = SIGTTIN; s <= SIGTTOU; s++) {
        if (process_pending & current()->sig.mask & sig_bit(s) &&
            process_info[s - 1].code == SI_KERNEL) {
            __atomic_fetch_and(&process_pending, ~sig_bit(s), __ATOMIC_SEQ_CST);
            any = true;
        }
    }
    spin_unlock(&signal_lock);
    return any;
}

bool signal_queued(i32 tid, int signo, int code, i32 pid)
{
    bool found = false;
    spin_lock(&threads_lock);
    struct thread *t = tid ? thread_by_tid(tid) : NULL;
    spin_lock(&signal_lock);
    u64 pending = tid ? t ? t->sig.pending : 0 : process_pending;
    const struct sigshort *info = t ? &t->sig.info[signo - 1] : &process_info[signo - 1];
    if (pending & sig_bit(signo)) {
        found = (info->code == code && info->pid == pid) || signal_queue_has(t, signo, code, pid);
    }
    spin_unlock(&signal_lock);
    spin_unlock(&threads_lock);
    return found;
}

struct sigshort signal_own_info(int code)
{
    return (struct sigshort){.code = code, .pid = (i32)boot_info()->pid, .uid = boot_info()->uid};
}

static spinlock ring_lock;

/* Sends the next one that the proxy has written; false: none. It counts as taken when the thread
   that it is for is ready, because other isles look (proxy/serve/view_peer.c). */
static bool ring_take(void)
{
    struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    spin_lock(&ring_lock);
    bool any = !signals_stay() && signals_wait_in_ring();
    if (any) {
        u32 at = s->head % LULL_SIGNAL_RING;
        struct sigshort info = {.code = s->entry[at].code,
                                .pid = s->entry[at].pid,
                                .uid = s->entry[at].uid,
                                .value = s->entry[at].value};
        int signo = s->entry[at].signo;
        signal_queue_room(signo, false);
        signal_send(NULL, signo, &info);
        __atomic_store_n(&s->head, s->head + 1, __ATOMIC_RELEASE);
    }
    spin_unlock(&ring_lock);
    return any;
}

void signals_from_proxy(void)
{
    while (ring_take())
        ;
}

void signals_forked(struct thread *t)
{
    ring_lock = (spinlock){0}; /* of a core that is not here */
    process_pending = 0;
    t->sig.pending = t->sig.waiting = 0;
    signal_queue_forked();
    for (int s = 1; s <= NSIG; s++)
        signal_action_changed(s);
    signals_show_forked();
    signalfds_forked();
}

/* Signals of the process that t may have been meant to take: for each, one other that wants it. */
static void signals_retarget(const struct thread *t, u64 set)
{
    spin_lock(&threads_lock);
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        struct thread *x = CONTAINER(l, struct thread, all);
        u64 taken = set & process_pending & (~x->sig.mask | x->sig.waiting);
        if (x == t || !taken)
            continue;
        set &= ~taken;
        thread_interrupt(x);
    }
    spin_unlock(&threads_lock);
}

/* t is no longer among the living: nothing is sent to it any more. */
void signals_thread_exit(struct thread *t)
{
    spin_lock(&signal_lock);
    signal_queue_drop(t, 0);
    u64 left = process_pending & ~t->sig.mask;
    spin_unlock(&signal_lock);
    if (left)
        signals_retarget(t, left);
    signalfds_tell(t->sig.pending, true);
}

void signal_set_mask(u64 mask)
{
    struct thread *t = current();
    spin_lock(&signal_lock); /* a sender sees the old mask, or this thread what was sent */
    u64 blocked = mask & ~t->sig.mask, left = process_pending & blocked;
    u64 stays = (process_pending | t->sig.pending) & blocked;
    t->sig.mask = mask & ~UNBLOCKABLE;
    spin_unlock(&signal_lock);
    if (left)
        signals_retarget(t, left);
    if (stays) /* for who reads them */
        signalfds_tell(stays, false);
    if (signal_pending(t))
        thread_set_work(t, WORK_SIGNAL);
}

void signal_mask_begin(u64 mask)
{
    current()->sig.saved_mask = current()->sig.mask;
    signal_set_mask(mask);
}

void signal_mask_end(bool interrupted)
{
    if (interrupted)
        thread_set_work(current(), WORK_MASK | WORK_SIGNAL);
    else
        signal_set_mask(current()->sig.saved_mask);
}

void signal_fill_info(struct siginfo *out, int signo, const struct sigshort *s)
{
    memset(out, 0, sizeof *out);
    out->signo = signo;
    out->code = s->code;
    out->u.kill.pid = s->pid;
    out->u.kill.uid = s->uid;
    out->u.kill.value = s->value;
}

/* Takes the next deliverable signal in `set`. 0: none. Under signal_lock. */
int signal_dequeue(struct thread *t, u64 set, struct sigshort *info)
{
    u64 own = t->sig.pending & set, all = own | (process_pending & set);
    if (!all)
        return 0;
    /* synchronous ones first, then by number (signal(7)) */
    u64 sync = all & (sig_bit(SIGSEGV) | sig_bit(SIGBUS) | sig_bit(SIGILL) | sig_bit(SIGTRAP) |
                      sig_bit(SIGFPE) | sig_bit(SIGSYS));
    int signo = __builtin_ctzl(sync ? sync : all) + 1;
    if (own & sig_bit(signo)) {
        *info = t->sig.info[signo - 1];
        if (!signal_queue_next(t, signo, &t->sig.info[signo - 1]))
            __atomic_fetch_and(&t->sig.pending, ~sig_bit(signo), __ATOMIC_SEQ_CST);
    } else {
        *info = process_info[signo - 1];
        if (!signal_queue_next(NULL, signo, &process_info[signo - 1]))
            __atomic_fetch_and(&process_pending, ~sig_bit(signo), __ATOMIC_SEQ_CST);
    }
    signal_survives(NULL, signo);
    return signo;
}

void signal_taken(int signo, struct sigshort *info)
{
    if (info->code == SI_TIMER || info->code == SI_KERNEL)
        itimer_taken(signo, info);
    signalfds_tell(sig_bit(signo), true);
}

/*
 * A function that keeps no frame (a leaf) leaves its return address on top of the stack: believed
 * if the instruction before it is a call to just before rip.
 */
static bool leaf_return(const struct frame *f, u64 *out)
{
    u64 ret;
    u8 call[5];
    i32 rel;
    if (copy_in(&ret, f->rsp, 8) || copy_in(call, ret - 5, 5) || call[0] != 0xe8)
        return false;
    memcpy(&rel, call + 1, 4);
    *out = ret;
    return f->rip - (ret + (u64)(i64)rel) < LULL_PAGE;
}

/* Return addresses by the chain of frame pointers: what there is without unwind tables. */
static u32 backtrace(const struct frame *f, u64 *out, u32 max)
{
    u32 n = 0;
    u64 bp = f->rbp, pair[2], low = f->rsp;
    out[n++] = f->rip;
    if (leaf_return(f, &out[n]))
        n++;
    while (n < max && bp >= low && !(bp & 7) && copy_in(pair, bp, 16) == 0) {
        if (pair[1] < LULL_LOW_BASE)
            break;
        out[n++] = pair[1];
        if (pair[0] <= bp)
            break;
        low = bp;
        bp = pair[0];
    }
    return n;
}

static void die(struct frame *f, const struct siginfo *info, const struct fault_info *fault)
{
    static struct lull_death deaths[LULL_MAX_CORES];
    struct lull_death *d = &deaths[this_cpu()->index];
    *d = (struct lull_death){
        .signo = (u32)info->signo,
        .code = (u32)info->code,
        .addr = info->u.fault.addr,
        .tid = (u32)current()->tid,
        .core = this_cpu()->index,
        .trapno = fault->trapno,
        .err = fault->err,
        .rip = f->rip,
        .rsp = f->rsp,
        .rflags = f->rflags,
        .rax = f->rax,
        .rbx = f->rbx,
        .rcx = f->rcx,
        .rdx = f->rdx,
        .rsi = f->rsi,
        .rdi = f->rdi,
        .rbp = f->rbp,
        .r8 = f->r8,
        .r9 = f->r9,
        .r10 = f->r10,
        .r11 = f->r11,
        .r12 = f->r12,
        .r13 = f->r13,
        .r14 = f->r14,
        .r15 = f->r15,
    };
    d->nframes = backtrace(f, d->frame, ARRAY_LEN(d->frame));
    robust_lists_release();
    for (;;)
        proxy_call(LULL_OP_DIE, d->signo, (u64)d, 0);
}

/* Calls the handler, or does what is done without one. */
static void act(struct frame *f, int signo, const struct siginfo *info,
                const struct fault_info *fault)
{
    struct thread *t = current();
    spin_lock(&signal_lock);
    struct sigaction sa = signal_actions[signo - 1];
    if (sa.handler > SIG_IGN && sa.flags & SA_RESETHAND)
        signal_actions[signo - 1].handler = SIG_DFL;
    signal_action_changed(signo);
    spin_unlock(&signal_lock);
    if (sa.handler == SIG_IGN)
        return;
    if (sa.handler == SIG_DFL) {
        if (IGNORED_BY_DEFAULT & sig_bit(signo))
            return;
        if (STOP_SIGNALS & sig_bit(signo)) {
            proxy_call(LULL_OP_STOP, (u64)signo, 0, 0);
            return;
        }
        die(f, info, fault);
    }
    u64 oldmask = t->sig.mask;
    if (t->work & WORK_MASK) { /* rt_sigsuspend: the frame restores the mask before it */
        oldmask = t->sig.saved_mask;
        __atomic_fetch_and(&t->work, ~WORK_MASK, __ATOMIC_SEQ_CST);
    }
    if (rseq_interrupt(f) || sigframe_push(f, signo, &sa, info, oldmask, fault)) {
        struct siginfo segv = {.signo = SIGSEGV, .code = SI_KERNEL};
        if (signo == SIGSEGV)
            die(f, &segv, fault);
        signal_force(f, SIGSEGV, SI_KERNEL, 0, 0, 0); /* which may have a stack of its own */
        return;
    }
    count(LULL_K_SIGNAL);
    signal_set_mask(t->sig.mask | sa.mask | (sa.flags & SA_NODEFER ? 0 : sig_bit(signo)));
}

static void force(struct frame *f, const struct siginfo *info, const struct fault_info *fault,
                  bool fatal)
{
    int signo = info->signo;
    spin_lock(&signal_lock);
    struct sigaction *sa = &signal_actions[signo - 1];
    if (fatal || current()->sig.mask & sig_bit(signo) || sa->handler == SIG_IGN)
        sa->handler = SIG_DFL;
    signal_action_changed(signo);
    spin_unlock(&signal_lock);
    act(f, signo, info, fault);
}

void signal_force(struct frame *f, int signo, int code, u64 addr, u64 trapno, u64 err)
{
    struct fault_info fault = {trapno, err, trapno == 14 ? addr : 0};
    struct siginfo info = {.signo = signo, .code = code};
    info.u.fault.addr = addr;
    force(f, &info, &fault, false);
}

void signal_force_info(struct frame *f, const struct siginfo *info, bool fatal)
{
    static const struct fault_info none;
    force(f, info, &none, fatal);
}

/* A call that was interrupted: run it again, or let it answer EINTR (signal(7)). */
static void restart(struct frame *f, bool handler, u64 flags)
{
    i64 r = (i64)f->rax;
    if ((i64)f->orig < 0 || !syscall_restarts(r))
        return;
    if (handler && r != -ERESTART_NOINTR && (r != -ERESTART || !(flags & SA_RESTART))) {
        f->rax = (u64)-EINTR;
        return;
    }
    f->rax = r == -ERESTART_BLOCK ? NR_restart_syscall : f->orig;
    f->rip -= 2; /* the syscall itself, which still stands behind a rewritten site */
    f->orig = ~0ul;
}

void signals_deliver(struct frame *f)
{
    struct thread *t = current();
    static const struct fault_info none;
    for (; !t->child;) {
        struct sigshort s;
        spin_lock(&signal_lock);
        __atomic_fetch_and(&t->work, ~WORK_SIGNAL, __ATOMIC_SEQ_CST);
        int signo = signal_dequeue(t, ~t->sig.mask, &s);
        u64 handler = signo ? signal_actions[signo - 1].handler : 0;
        u64 flags = signo ? signal_actions[signo - 1].flags : 0;
        spin_unlock(&signal_lock);
        if (!signo)
            break;
        signal_taken(signo, &s);
        if (handler == SIG_IGN || (handler == SIG_DFL && default_is_nothing(signo)))
            continue;
        struct siginfo info;
        signal_fill_info(&info, signo, &s);
        if (handler > SIG_IGN) /* a stop is no answer yet: a handler may follow */
            restart(f, true, flags);
        act(f, signo, &info, &none);
    }
    restart(f, false, 0);
    if (t->work & WORK_MASK) {
        __atomic_fetch_and(&t->work, ~WORK_MASK, __ATOMIC_SEQ_CST);
        signal_set_mask(t->sig.saved_mask);
    }
}
