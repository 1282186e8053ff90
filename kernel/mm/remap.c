/* SPDX-License-Identifier: MIT */
/* mremap(2). */
#include "kernel.h"
#include "mm/mm.h"

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

/* Moves a mapping: memory does not follow its address here, so it is copied. */
static long remap_move(struct lull_map v, u64 old, u64 old_len, u64 new_len, u64 to, u32 flags)
{
    u64 at = to;
    if (!to) {
        long r = mm_place(0, new_len, 0, &at);
        if (r)
            return r;
    }
    bool data = v.prot || (v.flags & MEMORY_STATE) == LULL_MAP_TOUCHED;
    u32 prot = data ? PROT_READ | PROT_WRITE : 0;
    long r = mm_map(at, at + new_len, prot, v.flags & ~MEMORY_STATE);
    if (r)
        return r;
    if (data) {
        if (!(v.prot & PROT_READ))
            pt_map(old, old + old_len, PROT_READ);
        memcpy((void *)at, (void *)old, min_u64(old_len, new_len));
        if (v.prot != prot) {
            pt_map(at, at + new_len, v.prot);
        }
        struct lull_map m = vma_piece(&v, old, old + old_len);
        m.start = at;
        m.end = at + new_len;
        m.flags &= ~(LULL_MAP_STALE | LULL_MAP_IMAGE);
        vma_change_begin();
        vma_remove(at, at + new_len);
        vma_insert(m);
        vma_change_end();
    }
    mm_unmap(old, old + old_len);
    if (flags & MREMAP_DONTUNMAP) {
        pt_flush();
        if (mm_map(old, old + old_len, v.prot, v.flags & ~MEMORY_STATE))
            return -ENOMEM;
    }
    return (long)at;
}

static long remap_locked(struct frame *f, u64 old, u64 old_len, u64 new_len, u32 flags)
{
    struct lull_map *v = vma_at(old);
    if (v && LULL_MAP_PAGE(v->flags))
        return hugetlb_remap(v, old, old_len, new_len, flags, f->r8);
    if (!v || v->end < old + old_len)
        return -EFAULT;
    if (!vma_room(4))
        return -ENOMEM;
    struct lull_map was = *v;
    u64 more = flags & MREMAP_DONTUNMAP ? old_len : new_len > old_len ? new_len - old_len : 0;
    if (more && !mm_may_expand(0, more, was.prot, was.flags))
        return -ENOMEM;
    if (was.flags & LULL_MAP_WINDOW)
        return flags & ~MREMAP_MAYMOVE
                   ? refuse(25)
                   : window_remap(vma_piece(&was, old, was.end), old_len, new_len, flags);
    if (was.file && new_len > old_len && flags & MREMAP_FIXED)
        return refuse(25); /* more of the file, and elsewhere */
    if (flags & MREMAP_DONTUNMAP && (was.file || was.flags & LULL_MAP_BEYOND))
        return -EINVAL;
    if (flags & MREMAP_FIXED) {
        u64 to = f->r8;
        if (to & (LULL_PAGE - 1) || !mm_fixed_ok(to, to + new_len) ||
            (to < old + old_len && old < to + new_len))
            return -EINVAL;
        if (hugetlb_divides(to, to + new_len))
            return -EINVAL;
        mm_unmap(to, to + new_len);
        pt_flush();
        return remap_move(was, old, old_len, new_len, to, flags);
    }
    if (flags & MREMAP_DONTUNMAP) { /* the new address is a hint */
        u64 to = f->r8;
        if (to & (LULL_PAGE - 1) || (to < old + old_len && old < to + new_len))
            return -EINVAL;
        long r = mm_place(to, new_len, 0, &to);
        return r ? r : remap_move(was, old, old_len, new_len, to, flags);
    }
    if (new_len <= old_len) {
        if (new_len < old_len)
            mm_unmap(old + new_len, old + old_len);
        return (long)old;
    }
    long r;
    struct lull_map *after = vma_following(v);
    u64 limit = old >= boot_info()->brk_start && old < boot_info()->brk_end ? boot_info()->brk_end
                                                                            : boot_info()->ram_end;
    if (old < boot_info()->brk_start)
        limit = boot_info()->brk_start;
    bool room = was.end == old + old_len && in_ram(old, old + new_len) && old + new_len <= limit &&
                (!after || after->start >= old + new_len);
    if (was.file && !(was.flags & LULL_MAP_BEYOND)) {
        if (!room && !(flags & MREMAP_MAYMOVE))
            return -ENOMEM;
        r = file_grow(vma_piece(&was, old, old + old_len), old_len, new_len, room);
        return r == -ENOSYS ? refuse(25) : r;
    }
    if (room && mm_map(old + old_len, old + new_len, was.prot, was.flags & ~MEMORY_STATE) == 0)
        return (long)old;
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    return remap_move(was, old, old_len, new_len, 0, flags);
}

long sys_mremap(struct frame *f)
{
    u64 old = f->rdi, old_len = ALIGN_UP(f->rsi, LULL_PAGE), new_len = ALIGN_UP(f->rdx, LULL_PAGE);
    u32 flags = (u32)f->r10;
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if (flags & MREMAP_DONTUNMAP && (!(flags & MREMAP_MAYMOVE) || old_len != new_len))
        return -EINVAL;
    if (!old_len)
        return flags & MREMAP_MAYMOVE ? refuse(25) : -EINVAL; /* a second view of shared memory */
    if (old & (LULL_PAGE - 1) || !new_len || new_len > LULL_RAM_MAX || old_len > LULL_RAM_MAX)
        return -EINVAL;
    if (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    spin_lock(&mm_lock);
    long r = remap_locked(f, old, old_len, new_len, flags);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}
