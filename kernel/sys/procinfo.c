/* SPDX-License-Identifier: MIT */
/* What the proxy cannot know of the program and /proc/self shows. */
#include <lull/maps.h>

#include "kernel.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

void procinfo_update(void)
{
    struct lull_proc *p = (struct lull_proc *)LULL_PROC;
    struct thread *t = current();
    u64 ignored = 0, caught = 0;
    u64 cpu_ns = tsc_to_ns(process_cpu_ticks());
    u64 thread_ns = 0;
    thread_cpu_ns(t->tid, &thread_ns);
    spin_lock(&signal_lock);
    for (int s = 1; s <= NSIG; s++) {
        u64 h = signal_actions[s - 1].handler;
        ignored |= h == SIG_IGN ? sig_bit(s) : 0;
        caught |= h > SIG_IGN ? sig_bit(s) : 0;
    }
    p->sigign = ignored;
    p->sigcgt = caught;
    p->sigpnd = t->sig.pending;
    p->shdpnd = process_pending;
    p->sigblk = t->sig.mask;
    p->cpu_ns = cpu_ns;
    p->thread_ns = thread_ns;
    p->threads = threads_alive;
    p->tid = (u32)t->tid;
    memcpy(p->comm, t->name, sizeof p->comm);
    if (t->tid == (i32)boot_info()->pid)
        memcpy(p->main_comm, t->name, sizeof p->main_comm);
    spin_unlock(&signal_lock);
}
