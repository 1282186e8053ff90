/* SPDX-License-Identifier: MIT */
/*
 * Huge pages of Linux's pool: MAP_HUGETLB, files of hugetlbfs, segments with SHM_HUGETLB. They are
 * windows, private ones too, because only Linux has the pool: what it reserves, gives at the first
 * touch, copies after a fork and takes back is as it is without Lull. A huge page is never divided.
 */
#include "kernel.h"
#include "mm/mm.h"

#define MADV_DONTNEED 4
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

long hugetlb_default(u32 flags)
{
    return window_call(LULL_WIN_HUGE, 0, 0, flags >> MAP_HUGE_SHIFT & 63, 0, 0);
}

u64 map_page(const struct lull_map *m)
{
    return LULL_MAP_PAGE(m->flags) ? 1ul << LULL_MAP_PAGE(m->flags) : LULL_PAGE;
}

static bool divides(u64 at)
{
    const struct lull_map *m = vma_at(at);
    return m && at & (map_page(m) - 1);
}

bool hugetlb_divides(u64 start, u64 end)
{
    return divides(start) || divides(end);
}

long map_hugetlb(struct frame *f, u32 prot, u32 shift, u64 *out)
{
    u32 flags = (u32)f->r10;
    u64 page = 1ul << shift, len = ALIGN_UP(f->rsi, page);
    bool anonymous = flags & MAP_ANONYMOUS;
    u64 fd = anonymous ? ~0ul : (u64)(u32)f->r8, offset = anonymous ? 0 : f->r9;
    u32 how = prot | shift << LULL_PROT_PAGE_SHIFT;
    how |= (flags & MAP_TYPE) == MAP_PRIVATE ? LULL_PROT_PRIVATE : 0;
    how |= flags & MAP_NORESERVE ? LULL_PROT_NORESERVE : 0;
    how |= flags & MAP_POPULATE ? LULL_PROT_POPULATE : 0;
    if (!len || len > LULL_RAM_MAX)
        return len ? -ENOMEM : -EINVAL;
    if (offset & (page - 1))
        return -EINVAL;
    spin_lock(&mm_lock);
    long r = vma_room(4) ? window_place(f->rdi, len, flags, page, out) : -ENOMEM;
    if (r == 0 && hugetlb_divides(*out, *out + len))
        r = -EINVAL;
    if (r == 0 && !mm_may_expand(flags & MAP_FIXED ? *out : 0, len, prot, LULL_MAP_WINDOW))
        r = -ENOMEM;
    if (r == 0) {
        struct lull_map m = {.start = *out, .end = *out + len, .prot = prot, .offset = offset};
        m.flags = shift << LULL_MAP_PAGE_SHIFT | (how & LULL_PROT_PRIVATE ? LULL_MAP_PRIVATE : 0);
        r = window_call(LULL_WIN_MAP, *out, len, fd, offset, how);
        if (r & LULL_IS_HUGETLB && r > 0)
            r = -EINVAL; /* the descriptor is another file by now */
        if (r >= 0)
            r = window_open(m, (u64)r);
        else if (flags & MAP_FIXED)
            mm_unmap(*out, *out + len); /* Linux has taken away what was there */
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

static long move(struct lull_map m, u64 at)
{
    u64 len = m.end - m.start;
    pt_unmap(m.start, m.end);
    pt_flush();
    long r = window_call(LULL_WIN_MOVE, m.start, len, at, len, 0);
    if (r) {
        if (m.prot && !(m.flags & LULL_MAP_BEYOND))
            pt_map(m.start, m.end, m.prot);
        return r;
    }
    vma_remove(m.start, m.end);
    m.start = at;
    m.end = at + len;
    vma_insert(m);
    if (m.prot && !(m.flags & LULL_MAP_BEYOND) && pt_map(m.start, m.end, m.prot)) {
        mm_unmap(m.start, m.end);
        return -ENOMEM;
    }
    return (long)at;
}

long hugetlb_remap(const struct lull_map *v, u64 old, u64 old_len, u64 new_len, u32 flags, u64 to)
{
    u64 page = map_page(v);
    old_len = ALIGN_UP(old_len, page);
    new_len = ALIGN_UP(new_len, page);
    if (old & (page - 1) || (flags & MREMAP_FIXED && to & (page - 1)) || new_len > old_len)
        return -EINVAL; /* as on Linux, they do not grow */
    if (v->end < old + old_len)
        return -EFAULT;
    if (flags & MREMAP_DONTUNMAP)
        return refuse(NR_mremap);
    if (!vma_room(4))
        return -ENOMEM;
    if (flags & MREMAP_FIXED) {
        if (to < old + old_len && old < to + new_len)
            return -EINVAL;
        long r = hugetlb_divides(to, to + new_len)
                     ? -EINVAL
                     : window_place(to, new_len, MAP_FIXED, page, &to);
        if (r)
            return r;
        mm_unmap(to, to + new_len);
        pt_flush();
    }
    v = vma_at(old);
    struct lull_map m = vma_piece(v, old, old + new_len);
    if (new_len < old_len)
        mm_unmap(old + new_len, old + old_len);
    return flags & MREMAP_FIXED ? move(m, to) : (long)old;
}

long hugetlb_advise(u64 start, u64 end, u32 advice)
{
    bool zap = advice == MADV_DONTNEED;
    if (!zap && advice != MADV_POPULATE_READ && advice != MADV_POPULATE_WRITE)
        return 0;
    for (u64 at = start; at < end;) {
        const struct lull_map *m = vma_next(at);
        if (!m || m->start >= end)
            break;
        u64 from = max_u64(at, m->start), to = min_u64(m->end, end), page = map_page(m);
        at = to;
        if (!LULL_MAP_PAGE(m->flags))
            continue;
        if (zap && from & (page - 1))
            return -EINVAL;
        from = ALIGN_DOWN(from, page);
        to = zap ? ALIGN_DOWN(to, page) : ALIGN_UP(to, page);
        long r = to > from ? window_call(LULL_WIN_ADVISE, from, to - from, advice, 0, 0) : 0;
        if (r)
            return r;
    }
    return 0;
}
