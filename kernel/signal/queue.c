/* SPDX-License-Identifier: MIT */
/*
 * Real-time signals queue (signal(7)): the first of a number stands in the info[] of its thread or
 * of the process, further ones here, the oldest first. All under signal_lock, but for what says
 * otherwise.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "signal/signal.h"
#include "signal/signal_priv.h"

#define SIGRTMIN_KERNEL 32

struct queued {
    struct list link;
    struct thread *thread; /* NULL: the process */
    struct sigshort info;
};

static struct list queue[NSIG], unused;
static u32 nused, nunused;

static void lists_init(void)
{
    if (unused.next)
        return;
    list_init(&unused);
    for (int i = 0; i < NSIG; i++)
        list_init(&queue[i]);
}

static struct queued *entry_of(struct list *l)
{
    return CONTAINER(l, struct queued, link);
}

static void entry_free(struct queued *e)
{
    list_del(&e->link);
    list_add(&unused, &e->link);
    nused--;
    nunused++;
}

static void add_page(void)
{
    spin_lock(&mm_lock);
    struct queued *page = pt_page();
    spin_unlock(&mm_lock);
    spin_lock(&signal_lock);
    lists_init();
    for (u64 i = 0; page && i < LULL_PAGE / sizeof *page; i++) {
        list_add(&unused, &page[i].link);
        nunused++;
    }
    spin_unlock(&signal_lock);
}

static u64 bits_of(u64 set)
{
    u64 n = 0;
    for (; set; set &= set - 1)
        n++;
    return n;
}

/* As many as wait, as Linux counts them for RLIMIT_SIGPENDING: this process's. Without locks. */
static u64 pending_count(void)
{
    spin_lock(&threads_lock);
    u64 n = nused + bits_of(process_pending);
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next)
        n += bits_of(CONTAINER(l, struct thread, all)->sig.pending);
    spin_unlock(&threads_lock);
    return n;
}

bool signal_queue_room(int signo, bool limited)
{
    if (signo < SIGRTMIN_KERNEL)
        return true;
    if (limited && pending_count() >= limit_table()->of[LULL_LIMIT_SIGPENDING].cur)
        return false;
    /* one for each core that may be here */
    if (__atomic_load_n(&nunused, __ATOMIC_RELAXED) <= boot_info()->ncores)
        add_page();
    return __atomic_load_n(&nunused, __ATOMIC_RELAXED) != 0;
}

void signal_queue_add(struct thread *t, int signo, const struct sigshort *info)
{
    if (signo < SIGRTMIN_KERNEL || !nunused)
        return;
    struct queued *e = entry_of(unused.next);
    list_del(&e->link);
    nunused--;
    nused++;
    e->thread = t;
    e->info = *info;
    list_add_tail(&queue[signo - 1], &e->link);
}

bool signal_queue_next(struct thread *t, int signo, struct sigshort *info)
{
    if (!nused)
        return false;
    struct list *q = &queue[signo - 1];
    for (struct list *l = q->next; l != q; l = l->next) {
        if (entry_of(l)->thread != t)
            continue;
        *info = entry_of(l)->info;
        entry_free(entry_of(l));
        return true;
    }
    return false;
}

bool signal_queue_has(const struct thread *t, int signo, int code, i32 pid)
{
    if (!nused)
        return false;
    const struct list *q = &queue[signo - 1];
    for (struct list *l = q->next; l != q; l = l->next) {
        const struct queued *e = entry_of(l);
        if (e->thread == t && e->info.code == code && e->info.pid == pid)
            return true;
    }
    return false;
}

static void drop(struct thread *t, int signo, bool all)
{
    struct list *q = &queue[signo - 1];
    struct list *l = q->next;
    while (l != q) {
        struct queued *e = entry_of(l);
        l = l->next;
        if (all || e->thread == t)
            entry_free(e);
    }
}

void signal_queue_drop(struct thread *t, int signo)
{
    for (int s = 1; nused && s <= NSIG; s++) {
        if (!signo || s == signo)
            drop(t, s, signo);
    }
}

void signal_queue_forked(void)
{
    for (int s = 1; nused && s <= NSIG; s++)
        drop(NULL, s, true);
}
