/* SPDX-License-Identifier: MIT */
/* mseal(2): what a sealed mapping does not permit is checked where it would be done. */
#include "kernel.h"
#include "mm/mm.h"

bool sealed_in(u64 start, u64 end)
{
    for (const struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v))
        if (v->flags & LULL_MAP_SEALED)
            return true;
    return false;
}

static long seal(u64 start, u64 end)
{
    if (!vma_covered(start, end, 0) || !vma_room(2))
        return -ENOMEM;
    for (u64 at = start; at < end;) {
        const struct lull_map *v = vma_at(at);
        struct lull_map m = vma_piece(v, at, min_u64(v->end, end));
        at = m.end;
        m.flags |= LULL_MAP_SEALED;
        vma_replace(m);
    }
    return 0;
}

long sys_mseal(struct frame *f)
{
    u64 start = f->rdi, len = ALIGN_UP(f->rsi, LULL_PAGE), end = start + len;
    if (f->rdx || start & (LULL_PAGE - 1) || len < f->rsi || end < start)
        return -EINVAL;
    spin_lock(&mm_lock);
    long r = seal(start, end);
    spin_unlock(&mm_lock);
    return r;
}
