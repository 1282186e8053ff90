/* SPDX-License-Identifier: MIT */
/*
 * fork(2). The proxy forks while this core waits for its answer; in the child all memory is as it
 * was at that moment, so what belongs together must be whole: the locks of mappings, threads and
 * signals are held. The child's core 0 then starts anew and comes to fork_resume().
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

static struct thread *forking; /* the locks below */
static struct child_wants forking_wants;
static bool alone;     /* `forking` is not a child: its machine is made anew, see alone_call() */
static u32 alone_core; /* where it asked */

long fork_start(const struct child_wants *w)
{
    struct thread *t = current();
    if (!(boot_info()->flags & LULL_BOOT_F_FORK))
        return refuse(NR_fork);
    long r = child_pidfd(w, 0);
    if (r)
        return r;
    cpu_xsave(thread_xsave(t), machine.xcr0);
    thread_save_segments(t);
    spin_lock(&mm_lock);
    spin_lock(&threads_lock);
    spin_lock(&signal_lock);
    forking = t;
    forking_wants = *w;
    u64 arg[6] = {w->flags, w->exit_signal, w->cgroup, (u64)w->tids, w->ntids};
    i64 pid = proxy_call6(LULL_OP_FORK, arg);
    spin_unlock(&signal_lock);
    spin_unlock(&threads_lock);
    spin_unlock(&mm_lock);
    u32 tid = (u32)pid;
    if (pid > 0 && w->parent_tid)
        copy_out(w->parent_tid, &tid, sizeof tid);
    if (pid > 0)
        child_pidfd(w, pid);
    return pid == -ENOSYS ? refuse(NR_fork) : pid;
}

/* A thread that is put on a core begins on its way back to the program. */
static void stack_for_return(struct thread *t)
{
    u64 *sp = (u64 *)thread_frame(t);
    *--sp = (u64)thread_first_return;
    t->ksp = (u64)(sp - 6);
    memset((void *)t->ksp, 0, 48);
    t->core = thread_choose_core(t);
    runqs[t->core].nthreads++;
}

static void thread_reborn(struct thread *t)
{
    struct frame *f = thread_frame(t);
    f->rax = 0;
    f->orig = ~0ul;
    f->err = FR_FULL;
    t->tid = (i32)boot_info()->pid;
    thread_show_waiting(t, false);
    t->work = 0;
    t->on_cpu = 0;
    t->migrate_to = -1;
    t->fpu_live = false;
    t->fwd_slot = -1;
    t->clear_tid = forking_wants.clear_tid;
    if (forking_wants.stack)
        f->rsp = forking_wants.stack;
    if (forking_wants.set_tls)
        t->fsbase = forking_wants.tls;
    t->robust_list = 0;
    robust_list_forked();
    t->slack_first = t->slack;
    t->cpu_ticks = t->switched_in = t->nvcsw = t->nivcsw = 0;
    t->timer.queued = false;
    t->child = NULL;
    t->rseq_cpu = ~0u;
    list_init(&t->rq);
    pi_init(t);
    memset(&t->dl, 0, sizeof t->dl);
    if (t->reset_on_fork) {
        t->policy = t->base_prio = 0;
        t->reset_on_fork = false;
    }
    t->prio = t->base_prio;
    stack_for_return(t);
}

/*
 * Linux gives some calls only to a process of one thread, or does them for the calling thread
 * alone. For a program of one thread the proxy ends all of its other threads and with them the
 * machine, makes the call, and makes the machine anew over the same memory, as for a forked child;
 * core 0 comes to alone_resume(). The other cores rest meanwhile, so no lock is held and nothing is
 * half done. Returns the call's result.
 */
long alone_call(u64 nr, u64 a0, u64 a1)
{
    struct thread *t = current();
    u64 arg[6] = {nr, a0, a1};
    if (!(boot_info()->flags & LULL_BOOT_F_FORK) || t->child ||
        __atomic_load_n(&threads_alive, __ATOMIC_SEQ_CST) > 1)
        return refuse(nr);
    cpu_xsave(thread_xsave(t), machine.xcr0);
    thread_save_segments(t);
    cores_rest(true);
    timers_take();
    forking = t;
    alone_core = this_cpu()->index;
    alone = true;
    i64 r = proxy_call6(LULL_OP_ALONE, arg);
    alone = false; /* it was not tried */
    timers_put();
    cores_rest(false);
    return r == -ENOSYS ? refuse(nr) : r;
}

static struct thread *alone_resume(void)
{
    struct thread *t = forking;
    struct frame *f = thread_frame(t);
    alone = false;
    cores_reset();
    f->rax = (u64)core_of(alone_core)->ret;
    f->orig = ~0ul;
    f->err = FR_FULL;
    t->on_cpu = 0;
    t->migrate_to = -1;
    t->fpu_live = false;
    t->rseq_cpu = ~0u;
    t->cpu_ticks += rdtsc() - t->switched_in;
    list_init(&t->rq);
    stack_for_return(t);
    timers_put();
    if (signal_pending(t))
        thread_set_work(t, WORK_SIGNAL);
    return t;
}

struct thread *fork_resume(void)
{
    if (alone)
        return alone_resume();
    struct thread *t = forking;
    spin_unlock(&signal_lock);
    spin_unlock(&threads_lock);
    spin_unlock(&mm_lock);
    cores_reset();
    cores_ignore_others(); /* they have no translations yet, and do not answer */
    mm_forked();
    cores_reset();
    futexes_reset();
    children_reset();
    threads_forget_all_but(t);
    signals_forked(t);
    if (forking_wants.clear_sighand)
        actions_reset(signal_actions);
    itimers_forked();
    limits_forked();
    aio_forked();
    setxid_forked();
    thread_reborn(t);
    u32 tid = (u32)t->tid;
    if (forking_wants.set_tid)
        copy_out(forking_wants.set_tid, &tid, sizeof tid);
    return t;
}
