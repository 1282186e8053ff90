/* SPDX-License-Identifier: MIT */
/* Robust lists: what a thread that ends held (Documentation/locking/robust-futex-ABI.rst). */
#include "kernel.h"
#include "sched/futex.h"
#include "sched/futex_priv.h"

#define ROBUST_LIMIT 2048
#define ENTRY_PI 1ul /* in the lowest bit of a link */

/* Who waits in a window, unless privately, waits on Linux's side. */
static void wake_one(uaddr futex)
{
    u64 arg[6] = {futex, FUTEX_WAKE, 1};
    if (futex_in_window(futex))
        forward_raw(LULL_NR_FUTEX, arg);
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
    if (value & FUTEX_WAITERS && !pi) /* pi_owner_gone() cares for the others */
        wake_one(futex);
}

void robust_list_release(struct thread *t)
{
    u64 head = t->robust_list, entry, offset, pending;
    if (!head || copy_in(&entry, head, 8) || copy_in(&offset, head + 8, 8) ||
        copy_in(&pending, head + 16, 8))
        return;
    u32 tid = (u32)t->tid;
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
