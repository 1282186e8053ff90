/* SPDX-License-Identifier: MIT */
/*
 * MADV_GUARD_INSTALL and MADV_GUARD_REMOVE: pages that raise SIGSEGV whatever the mapping's rights
 * are, and are as new when they are opened. Here they are a mapping of their own, closed, that
 * knows its rights (LULL_MAP_GUARD).
 */
#include "kernel.h"
#include "mm/mm.h"

bool guard_in(u64 start, u64 end)
{
    for (const struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v))
        if (v->flags & LULL_MAP_GUARD)
            return true;
    return false;
}

static void install(struct lull_map m)
{
    u32 rights = map_rights(&m);
    if (m.prot & PROT_EXEC)
        rewrite_forget(m.start, m.end);
    if (!(m.flags & LULL_MAP_RESERVED))
        pt_unmap(m.start, m.end);
    pt_flush();
    if (m.flags & LULL_MAP_WINDOW) {
        if (!lull_map_shared(&m) && !(m.flags & LULL_MAP_RESERVED))
            window_call(LULL_WIN_DONTNEED, m.start, m.end - m.start, 0, 0, 0);
    } else {
        if (IS_LAZY(m.flags) && blocks_lazy(m.start, m.end))
            blocks_discard(m.start, m.end);
        m.flags = (m.flags & ~LULL_MAP_TOUCHED) | LULL_MAP_STALE;
    }
    m.prot = 0;
    m.flags &= ~(LULL_MAP_BEYOND | LULL_MAP_BEYOND_PROT);
    m.flags |= LULL_MAP_GUARD | rights << LULL_MAP_BEYOND_SHIFT;
    vma_replace(m);
}

/* Pages of windows are opened as they are touched. */
static long open_again(struct lull_map m)
{
    u32 rights = map_rights(&m);
    bool window = m.flags & LULL_MAP_WINDOW && !(m.flags & LULL_MAP_RESERVED);
    m.flags &= ~(LULL_MAP_GUARD | LULL_MAP_BEYOND_PROT);
    if (window) {
        m.prot = rights;
        m.flags |= LULL_MAP_BEYOND;
    }
    vma_replace(m);
    return window || !rights ? 0 : mm_protect(m, m.start, m.end, rights);
}

long guard_install(u64 start, u64 end)
{
    u64 at = start;
    bool hole = false;
    for (const struct lull_map *v; at < end && (v = vma_next(at)) && v->start < end;) {
        struct lull_map m = vma_piece(v, max_u64(v->start, at), min_u64(v->end, end));
        hole |= v->start > at;
        if (v->flags & LULL_MAP_LOCKED || LULL_MAP_PAGE(v->flags))
            return -EINVAL;
        if (v->file && !(v->flags & LULL_MAP_WINDOW))
            return -ENOSYS; /* a copy of a file, which would have to be read again */
        if (!vma_room(2))
            return -ENOMEM;
        if (!(v->flags & LULL_MAP_GUARD))
            install(m);
        at = m.end;
    }
    return hole || at < end ? -ENOMEM : 0;
}

long guard_remove(u64 start, u64 end)
{
    u64 at = start;
    bool hole = false;
    for (const struct lull_map *v; at < end && (v = vma_next(at)) && v->start < end;) {
        struct lull_map m = vma_piece(v, max_u64(v->start, at), min_u64(v->end, end));
        hole |= v->start > at;
        if (LULL_MAP_PAGE(v->flags))
            return -EINVAL;
        if (!vma_room(2))
            return -ENOMEM;
        long r = v->flags & LULL_MAP_GUARD ? open_again(m) : 0;
        if (r)
            return r;
        at = m.end;
    }
    return hole || at < end ? -ENOMEM : 0;
}
