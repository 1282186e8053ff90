/* SPDX-License-Identifier: MIT */
#include "sched/rseq.h"

#include "kernel.h"

#define RSEQ_SIZE 32u
#define RSEQ_UNREGISTER 1u
#define NO_CPU (~0u)
#define TASK_SIZE 0x7ffffffff000ul

/* Offsets in struct rseq. */
#define AT_CPU 0 /* cpu_id_start, cpu_id */
#define AT_CS 8
#define AT_FLAGS 16
#define AT_NODE 20 /* node_id, mm_cid */

struct rseq_cs {
    u32 version, flags;
    u64 start, len, abort;
};

static int put_place(const struct thread *t, u32 start, u32 cpu, u32 node, u32 cid)
{
    u32 cpus[2] = {start, cpu}, places[2] = {node, cid};
    return copy_out(t->rseq + AT_CPU, cpus, sizeof cpus) ||
                   copy_out(t->rseq + AT_NODE, places, sizeof places)
               ? -1
               : 0;
}

static long unregister(struct thread *t, uaddr at, u32 len, u32 sig)
{
    if (!t->rseq || t->rseq != at || t->rseq_len != len)
        return -EINVAL;
    if (t->rseq_sig != sig)
        return -EPERM;
    if (put_place(t, 0, NO_CPU, 0, 0))
        return -EFAULT;
    t->rseq = 0;
    return 0;
}

long sys_rseq(struct frame *f)
{
    struct thread *t = current();
    uaddr at = f->rdi;
    u32 len = (u32)f->rsi, flags = (u32)f->rdx, sig = (u32)f->r10;
    static const u64 none;
    if (flags & RSEQ_UNREGISTER)
        return flags == RSEQ_UNREGISTER ? unregister(t, at, len, sig) : -EINVAL;
    if (flags)
        return -EINVAL;
    if (t->rseq && (t->rseq != at || t->rseq_len != len))
        return -EINVAL;
    if (t->rseq)
        return t->rseq_sig == sig ? -EBUSY : -EPERM;
    if (len < RSEQ_SIZE || at & (RSEQ_ALIGN - 1))
        return -EINVAL;
    if (!user_range_ok(at, len) || copy_out(at + AT_CS, &none, sizeof none))
        return -EFAULT;
    t->rseq = at;
    t->rseq_len = len;
    t->rseq_sig = sig;
    t->rseq_cpu = NO_CPU;
    thread_set_work(t, WORK_RSEQ);
    return 0;
}

/*
 * Nothing is to be done for a thread that is outside of critical sections and where it was: that is
 * seen here, at the price of a look at its memory.
 */
void rseq_switched(struct thread *t)
{
    u64 cs;
    if (t->rseq_cpu != this_cpu()->cpu || user_load64((void *)(t->rseq + AT_CS), &cs) || cs)
        thread_set_work(t, WORK_RSEQ);
}

static bool descriptor_valid(const struct thread *t, const struct rseq_cs *d)
{
    u32 sig;
    if (d->version || d->start >= TASK_SIZE || d->abort >= TASK_SIZE ||
        d->start + d->len >= TASK_SIZE || d->start + d->len < d->start ||
        d->abort - d->start < d->len)
        return false;
    return copy_in(&sig, d->abort - sizeof sig, sizeof sig) == 0 && sig == t->rseq_sig;
}

/* It was interrupted: out of the critical section, if it was in one. */
static int section_leave(const struct thread *t, struct frame *f)
{
    static const u64 none;
    struct rseq_cs d;
    u64 cs;
    u32 flags;
    if (user_load64((void *)(t->rseq + AT_CS), &cs))
        return -1;
    if (!cs)
        return 0;
    if (copy_in(&d, cs, sizeof d) || !descriptor_valid(t, &d))
        return -1;
    bool inside = f->rip - d.start < d.len;
    if (inside && (d.flags || copy_in(&flags, t->rseq + AT_FLAGS, sizeof flags) || flags))
        return -1; /* they once forbade a restart */
    if (copy_out(t->rseq + AT_CS, &none, sizeof none))
        return -1;
    if (inside) {
        f->rip = d.abort;
        f->orig = ~0ul;
        f->err |= FR_FULL;
    }
    return 0;
}

int rseq_interrupt(struct frame *f)
{
    struct thread *t = current();
    const struct percpu *p = this_cpu();
    if (!t->rseq)
        return 0;
    __atomic_fetch_and(&t->work, ~WORK_RSEQ, __ATOMIC_SEQ_CST);
    if (section_leave(t, f))
        return -1;
    if (t->rseq_cpu == p->cpu)
        return 0;
    /* cores of an isle are as many as threads can run at once: their numbers serve as mm_cid */
    if (put_place(t, p->cpu, p->cpu, boot_info()->node[p->index], p->index))
        return -1;
    t->rseq_cpu = p->cpu;
    return 0;
}

void rseq_resume(struct frame *f)
{
    if (rseq_interrupt(f))
        signal_force(f, SIGSEGV, SI_KERNEL, 0, 0, 0);
}
