/* SPDX-License-Identifier: MIT */
/* What the proxy cannot know of the program and /proc/self shows. */
#include <lull/maps.h>

#include "kernel.h"
#include "signal/signal_priv.h"
#include "sys/seccomp.h"
#include "sys/sys.h"

static struct lull_threads *const table = (struct lull_threads *)LULL_THREAD_TABLE;

/* Under threads_lock and signal_lock. */
static void thread_show(const struct thread *t, struct lull_thread *out)
{
    out->tid = (u32)t->tid;
    out->running = t->state != THREAD_BLOCKED;
    out->seccomp = (u8)t->seccomp;
    out->filters = (u16)seccomp_depth(t);
    out->sigpnd = t->sig.pending;
    out->sigblk = t->sig.mask;
    out->cpu_ns = tsc_to_ns(thread_cpu(t));
    out->nvcsw = t->nvcsw;
    out->nivcsw = t->nivcsw;
    memcpy(out->comm, t->name, sizeof out->comm);
}

static void threads_show(void)
{
    u32 n = 0;
    __atomic_store_n(&table->seq, table->seq + 1, __ATOMIC_SEQ_CST);
    for (struct list *l = threads_all.next; l != &threads_all && n < LULL_THREADS_SHOWN;
         l = l->next)
        thread_show(CONTAINER(l, struct thread, all), &table->thread[n++]);
    table->count = n;
    __atomic_store_n(&table->seq, table->seq + 1, __ATOMIC_SEQ_CST);
}

void procinfo_update(void)
{
    struct lull_proc *p = (struct lull_proc *)LULL_PROC;
    struct thread *t = current();
    u64 ignored = 0, caught = 0;
    u64 cpu_ns = tsc_to_ns(process_cpu_ticks());
    u64 thread_ns = 0;
    thread_cpu_ns(t->tid, &thread_ns);
    spin_lock(&threads_lock);
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
    p->thread_nvcsw = t->nvcsw;
    p->thread_nivcsw = t->nivcsw;
    p->slack = t->slack;
    p->seccomp = t->seccomp;
    p->filters = seccomp_depth(t);
    p->nvcsw = dead_nvcsw;
    p->nivcsw = dead_nivcsw;
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        p->nvcsw += CONTAINER(l, struct thread, all)->nvcsw;
        p->nivcsw += CONTAINER(l, struct thread, all)->nivcsw;
    }
    p->threads = threads_alive;
    p->tid = (u32)t->tid;
    memcpy(p->comm, t->name, sizeof p->comm);
    struct thread *first = thread_by_tid((i32)boot_info()->pid);
    if (first)
        memcpy(p->main_comm, first->name, sizeof p->main_comm);
    threads_show();
    spin_unlock(&signal_lock);
    spin_unlock(&threads_lock);
}

/* Does the path lead to /proc, or nobody knows where? */
static bool may_be_proc(uaddr path)
{
    char start[5];
    if (copy_in(start, path, 1))
        return false;
    return start[0] != '/' || (copy_in(start, path, 5) == 0 && !memcmp(start, "/proc", 5)) ||
           (copy_in(start, path, 2) == 0 && (start[1] == '/' || start[1] == '.'));
}

void procinfo_for_call(const struct frame *f, u32 nr)
{
    switch (nr) {
    case NR_getrusage:
    case NR_times:
    case NR_getdents:
    case NR_getdents64:
        procinfo_update();
        break;
    case NR_open:
    case NR_stat:
    case NR_lstat:
    case NR_access:
    case NR_readlink:
        if (may_be_proc(f->rdi))
            procinfo_update();
        break;
    case NR_openat:
    case NR_newfstatat:
    case NR_readlinkat:
    case NR_faccessat:
    case NR_statx:
    case NR_openat2:
    case NR_faccessat2:
        if (may_be_proc(f->rsi))
            procinfo_update();
        break;
    default:
        break;
    }
}

void thread_rename(i32 tid, const char name[16])
{
    spin_lock(&threads_lock);
    struct thread *t = thread_by_tid(tid);
    if (t)
        memcpy(t->name, name, sizeof t->name);
    spin_unlock(&threads_lock);
}
