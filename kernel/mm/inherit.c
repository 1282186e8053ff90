/* SPDX-License-Identifier: MIT */
/* What of the memory a forked child gets, and a core file: MADV_DONTFORK, WIPEONFORK, DONTDUMP and
   their opposites. */
#include "kernel.h"
#include "mm/mm.h"

#define MADV_DONTFORK 10
#define MADV_DOFORK 11
#define MADV_DONTDUMP 16
#define MADV_DODUMP 17
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19

bool mm_advice_is_of_fork(u32 advice)
{
    return advice == MADV_DONTFORK || advice == MADV_DOFORK ||
           (advice >= MADV_DONTDUMP && advice <= MADV_KEEPONFORK);
}

static void mark(struct lull_map m, u32 advice)
{
    u32 bit = advice == MADV_DONTFORK || advice == MADV_DOFORK   ? LULL_MAP_DONTFORK
              : advice == MADV_DONTDUMP || advice == MADV_DODUMP ? LULL_MAP_DONTDUMP
                                                                 : LULL_MAP_WIPE;
    bool on = advice == MADV_DONTFORK || advice == MADV_DONTDUMP || advice == MADV_WIPEONFORK;
    if (!(m.flags & bit) == !on)
        return;
    m.flags ^= bit;
    vma_change_begin();
    vma_remove(m.start, m.end);
    vma_insert(m);
    vma_change_end();
}

/* As Linux: what comes before a mapping that cannot be wiped is marked. */
long mm_advise_fork(u64 start, u64 end, u32 advice)
{
    bool hole = false;
    for (u64 at = start; at < end;) {
        struct lull_map *v = vma_next(at);
        hole |= !v || v->start > at;
        if (!v || v->start >= end)
            break;
        struct lull_map m = vma_piece(v, max_u64(at, v->start), min_u64(v->end, end));
        if (advice == MADV_WIPEONFORK && (m.file || lull_map_shared(&m)))
            return -EINVAL;
        if (advice == MADV_KEEPONFORK && m.flags & LULL_MAP_DROPPABLE)
            return -EINVAL;
        if (!vma_room(2))
            return -ENOMEM;
        mark(m, advice);
        at = m.end;
    }
    return hole ? -ENOMEM : 0;
}

void mm_forked(void)
{
    spin_lock(&mm_lock);
    for (u64 at = 0;;) {
        struct lull_map *v = vma_next(at);
        if (!v)
            break;
        struct lull_map m = *v;
        at = m.end;
        if (m.flags & LULL_MAP_DONTFORK)
            mm_unmap(m.start, m.end);
        else if (m.flags & LULL_MAP_WIPE)
            mm_wipe(m.start, m.end);
    }
    lock_forked();
    vma_forget_peaks();
    pt_flush();
    spin_unlock(&mm_lock);
}
