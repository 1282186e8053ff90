/* SPDX-License-Identifier: MIT */
/* Robust lists: what a thread that ends held (Documentation/locking/robust-futex-ABI.rst). */
#include "kernel.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "sched/futex_priv.h"
#include "sys/sys.h"

#define ROBUST_LIMIT 2048
#define ENTRY_PI 1ul /* in the lowest bit of a link */

static bool all_end; /* no application code runs any more */

/*
 * A process that is killed by SIGKILL executes nothing more, and only Linux can look at its robust
 * lists. It compares the owner in a futex with the number of the Linux thread that registered the
 * list, and so can do that for the main thread alone: the proxy's main thread has the same number.
 */
static uaddr main_list, told_list;
static bool shares; /* memory is shared, or was */

static void tell(void)
{
    uaddr head = __atomic_load_n(&main_list, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&shares, __ATOMIC_ACQUIRE) &&
        __atomic_exchange_n(&told_list, head, __ATOMIC_ACQ_REL) != head)
        proxy_call(LULL_OP_ROBUST, head, 0, 0);
}

void robust_list_main(uaddr head)
{
    __atomic_store_n(&main_list, head, __ATOMIC_RELEASE);
    tell();
}

void robust_list_tell(void)
{
    __atomic_store_n(&shares, true, __ATOMIC_RELEASE);
    tell();
}

void robust_list_forked(void)
{
    main_list = told_list = 0;
}

/* Who waits in a window, unless privately, waits on Linux's side. */
static void wake_one(uaddr futex)
{
    u64 arg[6] = {futex, FUTEX_WAKE, 1};
    if (futex_in_window(futex))
        all_end ? forward_alone(LULL_NR_FUTEX, arg) : forward_raw(LULL_NR_FUTEX, arg);
    futex_wake_addr(futex, 1);
}

static void robust_release(uaddr futex, u32 tid, bool pi, bool pending)
{
    u32 value;
    if (futex & 3 || !user_range_ok(futex, 4) || user_load32((void *)futex, &value))
        return;
    /* it had given the futex back, and ended before it could wake anybody */
    if (pending && !pi && !(value & FUTEX_TID_MASK)) {
        wake_one(futex);
        return;
    }
    for (;;) {
        if ((value & FUTEX_TID_MASK) != tid)
            return;
        u32 dead = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        int r = user_cmpxchg32((void *)futex, &value, dead);
        if (r < 0)
            return;
        if (r == 0)
            break;
    }
    if (value & FUTEX_WAITERS && (!pi || futex_in_window(futex))) /* else: pi_owner_gone() */
        wake_one(futex);
}

static void list_release(u64 head, u32 tid)
{
    u64 entry, offset, pending;
    if (!head || copy_in(&entry, head, 8) || copy_in(&offset, head + 8, 8) ||
        copy_in(&pending, head + 16, 8))
        return;
    u64 pending_at = pending & ~ENTRY_PI;
    for (unsigned i = 0; i < ROBUST_LIMIT && (entry & ~ENTRY_PI) != head; i++) {
        u64 next, at = entry & ~ENTRY_PI;
        int r = copy_in(&next, at, 8);
        if (at != pending_at)
            robust_release(at + offset, tid, entry & ENTRY_PI, false);
        if (r)
            return;
        entry = next;
    }
    if (pending_at)
        robust_release(pending_at + offset, tid, pending & ENTRY_PI, true);
}

void robust_list_release(struct thread *t)
{
    list_release(t->robust_list, (u32)t->tid);
}

/* The list of thread number `n`; false: there is none. */
static bool list_of(u32 n, u64 *head)
{
    struct list *l;
    spin_lock(&threads_lock);
    for (l = threads_all.next; l != &threads_all && n; l = l->next)
        n--;
    bool found = l != &threads_all;
    *head = found ? CONTAINER(l, struct thread, all)->robust_list : 0;
    spin_unlock(&threads_lock);
    return found;
}

static bool any_holds(void)
{
    u64 head, entry, pending;
    for (u32 n = 0; list_of(n, &head); n++) {
        if (head && !copy_in(&entry, head, 8) && !copy_in(&pending, head + 16, 8) &&
            ((entry & ~ENTRY_PI) != head || pending))
            return true;
    }
    return false;
}

/* Takes a list that is left. */
static bool list_take(u64 *head, u32 *tid)
{
    *head = 0;
    spin_lock(&threads_lock);
    for (struct list *l = threads_all.next; l != &threads_all && !*head; l = l->next) {
        struct thread *t = CONTAINER(l, struct thread, all);
        *head = t->robust_list;
        *tid = (u32)(t->child ? t->child->tid : t->tid);
        t->robust_list = 0;
    }
    spin_unlock(&threads_lock);
    return *head;
}

void robust_lists_release(void)
{
    u64 head;
    u32 tid;
    if (!any_holds())
        return;
    cores_stop(); /* for good */
    all_end = true;
    while (list_take(&head, &tid))
        list_release(head, tid);
}
