/* SPDX-License-Identifier: MIT */
/*
 * MAP_GROWSDOWN: a fault below such a mapping extends it down to the page of the fault, as far as
 * RLIMIT_STACK permits and as long as what lies below is not too near. The main thread's stack does
 * not grow: all of it is mapped at the start.
 */
#include "kernel.h"
#include "mm/mm.h"

#define GUARD_GAP (256 * LULL_PAGE) /* Linux's stack_guard_gap */

u64 vma_guarded_start(const struct lull_map *v)
{
    if (!(v->flags & LULL_MAP_GROWS))
        return v->start;
    return v->start > GUARD_GAP ? v->start - GUARD_GAP : 0;
}

/* [start, end) below v becomes part of it. 0 or -errno. */
static long extend(struct lull_map v, u64 start, u64 end)
{
    if (!(v.flags & LULL_MAP_WINDOW))
        return in_ram(start, end) ? mm_map(start, end, v.prot, v.flags & ~MEMORY_STATE) : -ENOMEM;
    if (!window_only(start, end))
        return -ENOMEM;
    if (!(v.flags & LULL_MAP_RESERVED)) {
        long r = window_back(start, end);
        if (r || (v.prot && pt_map(start, end, v.prot)))
            return r ? r : -ENOMEM;
    }
    v.start = start;
    v.end = end;
    v.policy = 0;
    vma_insert(v);
    return 0;
}

bool mm_grow(u64 addr)
{
    u64 start = ALIGN_DOWN(addr, LULL_PAGE);
    const struct lull_map *v = vma_next(addr), *below = v ? vma_before(v) : NULL;
    if (!v || v->start <= addr || !(v->flags & LULL_MAP_GROWS) || start < LULL_LOW_BASE)
        return false;
    if (below && !(below->flags & LULL_MAP_GROWS) && below->prot && start - below->end < GUARD_GAP)
        return false;
    u64 most = limit_table()->of[LULL_LIMIT_STACK].cur;
    if ((most != LULL_UNLIMITED && v->end - start > most) || !vma_room(2) ||
        !mm_may_expand(0, v->start - start, v->prot, v->flags))
        return false;
    struct lull_map m = *v;
    if (m.flags & LULL_MAP_GUARD) { /* pages of the mapping, and not the mapping itself */
        m.prot = (m.flags & LULL_MAP_BEYOND_PROT) >> LULL_MAP_BEYOND_SHIFT;
        m.flags &= ~(LULL_MAP_GUARD | LULL_MAP_BEYOND_PROT);
    }
    bool ok = extend(m, start, m.start) == 0;
    if (ok && m.flags & LULL_MAP_LOCKED)
        lock_grown(start, m.start);
    pt_flush();
    return ok;
}

bool mm_grow_fault(u64 addr)
{
    if (!user_range_ok(addr, 1))
        return false;
    spin_lock(&mm_lock);
    bool ok = mm_grow(addr);
    spin_unlock(&mm_lock);
    return ok;
}
