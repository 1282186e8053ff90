/* SPDX-License-Identifier: MIT */
/* rt_sigaction(2), rt_sigprocmask(2) and the rest of the family. */
#include "kernel.h"
#include "signal/frame.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

u64 signal_flags_for_linux(bool stops)
{
    const struct sigaction *sa = &signal_actions[SIGCHLD - 1];
    bool forget = sa->handler == SIG_IGN || sa->flags & SA_NOCLDWAIT;
    if (stops)
        return (forget ? 1 : 0) | (sa->flags & SA_NOCLDSTOP ? 2 : 0) | 12;
    return (forget ? 1 : 0) | (sa->flags & SA_NOCLDSTOP ? 2 : 0) |
           (signal_actions[SIGTTIN - 1].handler == SIG_IGN ? 4 : 0) |
           (signal_actions[SIGTTOU - 1].handler == SIG_IGN ? 8 : 0);
}

/* What is pending for one thread alone. Under threads_lock and signal_lock. */
static void threads_forget(int signo)
{
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next)
        CONTAINER(l, struct thread, all)->sig.pending &= ~sig_bit(signo);
}

long sigaction_decode(const struct frame *f, struct sigaction *new)
{
    int signo = (int)f->rdi;
    if (f->r10 != 8 || signo < 1 || signo > NSIG)
        return -EINVAL;
    if (!f->rsi)
        return 0;
    if (copy_in(new, f->rsi, sizeof *new))
        return -EFAULT;
    if (signo == SIGKILL || signo == SIGSTOP)
        return -EINVAL;
    new->mask &= ~UNBLOCKABLE;
    new->flags &= SA_KNOWN; /* as Linux, so that a program can ask what there is */
    return 0;
}

long sys_rt_sigaction(struct frame *f)
{
    int signo = (int)f->rdi;
    struct sigaction new, old;
    bool ignored = false;
    u64 before, after;
    long r = sigaction_decode(f, &new);
    if (r)
        return r;
    spin_lock(&threads_lock);
    spin_lock(&signal_lock);
    old = signal_actions[signo - 1];
    before = after = signal_flags_for_linux(false);
    if (f->rsi) {
        signal_actions[signo - 1] = new;
        signal_action_changed(signo);
        after = signal_flags_for_linux(false);
        ignored = signal_ignored(signo);
        if (ignored) { /* POSIX: pending ones are thrown away */
            process_pending &= ~sig_bit(signo);
            signal_queue_drop(NULL, signo);
            threads_forget(signo);
        }
    }
    spin_unlock(&signal_lock);
    spin_unlock(&threads_lock);
    if (f->rsi) {
        signalfds_tell(sig_bit(signo), true);
        if (ignored)
            itimers_dropped(signo);
    }
    if (after != before)
        forward_raw(LULL_NR_CHILDREN, (const u64[6]){after});
    if (f->rdx && copy_out(f->rdx, &old, sizeof old))
        return -EFAULT;
    return 0;
}

long sys_rt_sigprocmask(struct frame *f)
{
    struct thread *t = current();
    u64 set = 0, old = t->sig.mask, mask = old;
    if (f->r10 != 8)
        return -EINVAL;
    if (f->rsi) {
        if (copy_in(&set, f->rsi, 8))
            return -EFAULT;
        switch ((int)f->rdi) {
        case 0:
            mask |= set;
            break;
        case 1:
            mask &= ~set;
            break;
        case 2:
            mask = set;
            break;
        default:
            return -EINVAL;
        }
        signal_set_mask(mask);
    }
    if (f->rdx && copy_out(f->rdx, &old, 8))
        return -EFAULT;
    return 0;
}

long sys_rt_sigreturn(struct frame *f)
{
    u64 mask;
    if (sigframe_pop(f, &mask)) {
        signal_force(f, SIGSEGV, SI_KERNEL, 0, 13, 0);
        return (long)f->rax;
    }
    signal_set_mask(mask);
    current()->resume.nr = 0; /* as Linux: what a handler interrupted is not resumed */
    return (long)f->rax;
}

long sys_rt_sigpending(struct frame *f)
{
    struct thread *t = current();
    if (f->rsi > 8)
        return -EINVAL;
    u64 set = (t->sig.pending | process_pending) & t->sig.mask;
    return copy_out(f->rdi, &set, f->rsi);
}

int signal_wait(u64 set, u64 deadline, bool late, struct sigshort *s)
{
    struct thread *t = current();
    for (;;) {
        spin_lock(&signal_lock);
        int r = signal_dequeue(t, set, s);
        if (!r && late)
            r = -EAGAIN;
        else if (!r && signal_pending(t))
            r = -EINTR;
        t->sig.waiting = r ? 0 : set;
        spin_unlock(&signal_lock);
        if (r > 0)
            signal_taken(r, s);
        if (r)
            return r;
        thread_prepare_block();
        if ((t->sig.pending | process_pending) & (set | ~t->sig.mask))
            thread_cancel_block();
        else
            late = !thread_block_until(deadline);
    }
}

long sys_rt_sigtimedwait(struct frame *f)
{
    u64 set, ns, deadline = NEVER;
    if (f->r10 != 8)
        return -EINVAL;
    if (copy_in(&set, f->rdi, 8))
        return -EFAULT;
    bool late = false;
    if (f->rdx) {
        long r = timespec_in(f->rdx, &ns);
        if (r)
            return r;
        deadline = clock_mono() + ns;
        late = !ns;
    }
    struct sigshort s;
    int signo = signal_wait(set & ~UNBLOCKABLE, deadline, late, &s);
    if (signo < 0)
        return signo;
    if (f->rsi) {
        struct siginfo info;
        signal_fill_info(&info, signo, &s);
        if (copy_out(f->rsi, &info, sizeof info))
            return -EFAULT;
    }
    return signo;
}

static long wait_for_signal(struct thread *t)
{
    while (!signal_pending(t)) {
        thread_prepare_block();
        if (signal_pending(t))
            thread_cancel_block();
        else
            schedule();
    }
    return -ERESTART_NOHAND;
}

long sys_pause(struct frame *f)
{
    (void)f;
    return wait_for_signal(current());
}

long sys_rt_sigsuspend(struct frame *f)
{
    struct thread *t = current();
    u64 mask;
    if (f->rsi != 8)
        return -EINVAL;
    if (copy_in(&mask, f->rdi, 8))
        return -EFAULT;
    signal_mask_begin(mask);
    long r = wait_for_signal(t);
    signal_mask_end(true);
    return r;
}

long sys_sigaltstack(struct frame *f)
{
    struct sigstack *alt = &current()->sig.alt;
    struct sigstack new, old = *alt;
    bool on = !(alt->flags & SS_DISABLE) && f->rsp > alt->sp && f->rsp - alt->sp <= alt->size;
    if (on)
        old.flags |= SS_ONSTACK;
    if (f->rdi) {
        if (copy_in(&new, f->rdi, sizeof new))
            return -EFAULT;
        if (on)
            return -EPERM;
        u32 mode = (u32) new.flags & ~SS_AUTODISARM;
        if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
            return -EINVAL;
        bool same = new.sp == alt->sp &&new.size == alt->size &&new.flags == alt->given;
        i32 given = new.flags;
        if (same) /* whatever it is */
            goto answer;
        if (mode == SS_DISABLE) {
            new.sp = new.size = 0;
        } else {
            if (new.size < MINSIGSTKSZ)
                return -ENOMEM;
            new.flags &= (i32)SS_AUTODISARM;
        }
        *alt = new;
        alt->given = given;
    }
answer:
    old.given = 0;
    return f->rsi ? copy_out(f->rsi, &old, sizeof old) : 0;
}

/* By its number, or by a thread's. */
static bool is_this_process(i32 pid)
{
    return pid == (i32)boot_info()->pid || (pid > 0 && thread_exists(pid));
}

long sys_kill(struct frame *f)
{
    i32 pid = (i32)f->rdi;
    int signo = (int)f->rsi;
    if (signo < 0 || signo > NSIG)
        return -EINVAL;
    if (!is_this_process(pid)) {
        u64 arg[6] = {f->rdi, f->rsi};
        return forward_raw(NR_kill, arg); /* others, or a group that we may belong to */
    }
    if (signo) {
        struct sigshort info = signal_own_info(SI_USER);
        signal_queue_room(signo, false);
        signal_send(NULL, signo, &info);
    }
    return 0;
}

static long send_to_thread(i32 tid, int signo)
{
    if (signo < 0 || signo > NSIG || tid <= 0)
        return -EINVAL;
    spin_lock(&threads_lock);
    struct thread *t = thread_by_tid(tid);
    spin_unlock(&threads_lock);
    if (!t)
        return -ESRCH;
    if (signo) {
        struct sigshort info = signal_own_info(SI_TKILL);
        if (!signal_queue_room(signo, true))
            return -EAGAIN;
        signal_send(t, signo, &info);
    }
    return 0;
}

long sys_tkill(struct frame *f)
{
    return send_to_thread((i32)f->rdi, (int)f->rsi);
}

/* To itself a process may say anything (rt_sigqueueinfo(2)). */
static long queue_info(uaddr p, struct sigshort *out)
{
    struct siginfo info;
    if (copy_in(&info, p, sizeof info))
        return -EFAULT;
    *out = (struct sigshort){.code = info.code,
                             .pid = info.u.kill.pid,
                             .uid = info.u.kill.uid,
                             .value = info.u.kill.value};
    return 0;
}

long sys_rt_sigqueueinfo(struct frame *f)
{
    struct sigshort info;
    int signo = (int)f->rsi;
    if (!is_this_process((i32)f->rdi))
        return forward_call(f, &syscall_table[129]);
    long r = queue_info(f->rdx, &info);
    if (r)
        return r;
    if (signo < 0 || signo > NSIG)
        return -EINVAL;
    if (!signal_queue_room(signo, true))
        return -EAGAIN;
    if (signo)
        signal_send(NULL, signo, &info);
    return 0;
}

long sys_rt_tgsigqueueinfo(struct frame *f)
{
    struct sigshort info;
    i32 tid = (i32)f->rsi;
    int signo = (int)f->rdx;
    if ((i32)f->rdi <= 0 || tid <= 0)
        return -EINVAL;
    if ((i32)f->rdi != (i32)boot_info()->pid)
        return forward_call(f, &syscall_table[297]);
    long r = queue_info(f->r10, &info);
    if (r)
        return r;
    if (!thread_exists(tid))
        return -ESRCH;
    if (signo < 0 || signo > NSIG)
        return -EINVAL;
    if (!signal_queue_room(signo, true))
        return -EAGAIN;
    if (signo)
        signal_send_tid(tid, signo, &info);
    return 0;
}

long sys_tgkill(struct frame *f)
{
    if ((i32)f->rdi <= 0)
        return -EINVAL;
    if ((i32)f->rdi != (i32)boot_info()->pid)
        return -ESRCH;
    return send_to_thread((i32)f->rsi, (int)f->rdx);
}
