/* SPDX-License-Identifier: MIT */
/* mremap(2). */
#include "kernel.h"
#include "mm/mm.h"
#include "sys/sys.h"

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

static bool has_data(const struct lull_map *v)
{
    return v->prot || (v->flags & MEMORY_STATE) == LULL_MAP_TOUCHED;
}

/* Moves a mapping: memory does not follow its address here, so it is copied. */
static long remap_move(struct lull_map v, u64 old, u64 old_len, u64 new_len, u64 to, u32 flags)
{
    u64 at = to;
    if (!to) {
        long r = mm_place(0, new_len, 0, &at);
        if (r)
            return r;
    }
    bool data = has_data(&v);
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
        if (mm_map(old, old + old_len, v.prot, v.flags & ~(MEMORY_STATE | LULL_MAP_LOCK)))
            return -ENOMEM;
    }
    return (long)at;
}

u32 map_rights(const struct lull_map *m)
{
    return m->prot | (m->flags & LULL_MAP_BEYOND_PROT) >> LULL_MAP_BEYOND_SHIFT;
}

/* The end of the mapping that *m is the first part of: where its file ends it has been split, and
   where closed memory holds data. */
static u64 mapping_end(const struct lull_map *m)
{
    const u32 state = LULL_MAP_BEYOND | LULL_MAP_BEYOND_PROT | LULL_MAP_GUARD | MEMORY_STATE;
    const struct lull_map *next;
    while ((next = vma_at(m->end)) && map_rights(next) == map_rights(m) && next->file == m->file &&
           !((next->flags ^ m->flags) & ~state) &&
           (!m->file || next->offset == m->offset + (m->end - m->start)))
        m = next;
    return m->end;
}

/* A mapping of several parts goes to `to`. */
static long move_parts(u64 old, u64 len, u64 to, u32 flags)
{
    for (u64 at = old; at < old + len;) {
        struct lull_map v = *vma_at(at);
        u64 end = min_u64(v.end, old + len), there = to + (at - old);
        if (v.flags & LULL_MAP_BEYOND) {
            struct lull_map m = vma_piece(&v, at, end);
            m.start = there;
            m.end = there + (end - at);
            mm_unmap(at, end);
            vma_insert(m);
        } else {
            long r = remap_move(v, at, end - at, end - at, there, flags);
            if (r < 0)
                return r;
        }
        at = end;
    }
    return (long)to;
}

static long grow_parts(struct lull_map was, u64 old, u64 old_len, u64 new_len, u32 flags)
{
    u64 to;
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    long r = mm_place(0, new_len, 0, &to);
    if (r == 0)
        r = mm_map(to + old_len, to + new_len, was.prot, was.flags & ~MEMORY_STATE);
    return r ? r : move_parts(old, old_len, to, 0);
}

static bool any_data(u64 start, u64 end)
{
    const struct lull_map *v = vma_next(start);
    while (v && v->start < end && !has_data(v))
        v = vma_next(v->end);
    return v && v->start < end;
}

/* The data of all parts of a mapping, to memory that is zero. */
static void copy_parts(u64 old, u64 len, u64 to)
{
    for (u64 at = old; at < old + len;) {
        const struct lull_map *v = vma_at(at);
        u64 end = min_u64(v->end, old + len);
        if (has_data(v)) {
            if (!(v->prot & PROT_READ))
                pt_map(at, end, PROT_READ);
            memcpy((void *)(to + (at - old)), (void *)at, end - at);
        }
        at = end;
    }
}

/* Memory of RAM's goes among the windows, where Linux has memory for it. */
static long move_out(struct lull_map v, u64 old, u64 old_len, u64 to, u64 new_len)
{
    u64 len = min_u64(old_len, new_len);
    if (v.file || v.flags & LULL_MAP_BEYOND)
        return refuse(NR_mremap); /* a copy of a file: Linux does not know of which */
    mm_unmap(to, to + new_len);
    pt_flush();
    bool data = any_data(old, old + len);
    struct lull_map m = {.start = to, .end = to + new_len, .prot = v.prot};
    m.flags = LULL_MAP_WINDOW | LULL_MAP_PRIVATE | (data ? 0 : LULL_MAP_RESERVED) |
              (v.flags & (LULL_MAP_LOCK | LULL_MAP_DONTFORK | LULL_MAP_WIPE | LULL_MAP_DONTDUMP |
                          LULL_MAP_GROWS));
    if (data) {
        long r = window_back(to, to + new_len);
        if (r)
            return r;
        if (pt_map(to, to + new_len, PROT_READ | PROT_WRITE))
            return -ENOMEM;
        copy_parts(old, len, to);
        if (!v.prot)
            pt_unmap(to, to + new_len);
        else if (pt_map(to, to + new_len, v.prot))
            return -ENOMEM;
    }
    vma_insert(m);
    return (long)to;
}

/* MREMAP_FIXED, MREMAP_DONTUNMAP: to an address that the program or mm_place() has named. */
static long remap_to(struct lull_map was, u64 old, u64 old_len, u64 new_len, u64 to, u32 flags)
{
    bool stays = flags & MREMAP_DONTUNMAP;
    if (was.flags & LULL_MAP_WINDOW) {
        if (was.flags & LULL_MAP_RESERVED && !window_only(to, to + new_len))
            return refuse(NR_mremap);
        if (new_len < old_len) {
            mm_unmap(old + new_len, old + old_len);
            old_len = new_len;
        }
        return window_move(vma_piece(&was, old, was.end), old_len, to, new_len, stays);
    }
    if (was.file && new_len > old_len)
        return refuse(NR_mremap); /* more of the file, and elsewhere */
    if (stays && (was.file || was.flags & LULL_MAP_BEYOND))
        return refuse(NR_mremap); /* the old place would be as the file is */
    if (window_only(to, to + new_len)) {
        long r = stays ? refuse(NR_mremap) : move_out(was, old, old_len, to, new_len);
        if (r > 0)
            mm_unmap(old, old + old_len);
        return r;
    }
    mm_unmap(to, to + new_len);
    pt_flush();
    if (was.end >= old + old_len)
        return remap_move(was, old, old_len, new_len, to, flags);
    if (new_len < old_len)
        mm_unmap(old + new_len, old + old_len);
    long r = new_len > old_len ? mm_map(to + old_len, to + new_len, was.prot,
                                        was.flags & ~(MEMORY_STATE | LULL_MAP_IMAGE))
                               : 0;
    return r ? r : move_parts(old, min_u64(old_len, new_len), to, flags);
}

/* 0: a mapping may be moved to [to, to + len). */
static long target_check(u64 to, u64 len)
{
    long r = window_floor(to);
    if (r || to + len < to)
        return r ? r : -ENOMEM;
    bool ok = window_only(to, to + len)
                  ? in_windows(to, to + len) || to >= LULL_FAR_BASE || to < LULL_RAM_BASE
                  : mm_fixed_ok(to, to + len);
    return ok ? 0 : -ENOMEM;
}

/* `lockable`: lock_limit(), looked at only where something is locked. */
static long remap_locked(struct frame *f, u64 old, u64 old_len, u64 new_len, u32 flags,
                         u64 lockable)
{
    struct lull_map *v = vma_at(old);
    if (v && LULL_MAP_PAGE(v->flags) && !(v->flags & LULL_MAP_SEALED))
        return hugetlb_remap(v, old, old_len, new_len, flags, f->r8);
    if (!v || v->flags & LULL_MAP_HOLD)
        return -EFAULT;
    if (v->flags & LULL_MAP_SEALED)
        return -EPERM;
    if (!vma_room(4))
        return -ENOMEM;
    bool moves = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
    if (!moves && old_len && new_len <= old_len) {
        if (sealed_in(old + new_len, old + old_len))
            return -EPERM;
        mm_unmap(old + new_len, old + old_len); /* whatever is there */
        return (long)old;
    }
    if (!old_len && !lull_map_shared(v))
        return -EINVAL;
    if (sealed_in(old, old + old_len) ||
        (flags & MREMAP_FIXED && sealed_in(f->r8, f->r8 + new_len)))
        return -EPERM;
    if (mapping_end(v) < old + old_len)
        return -EFAULT;
    struct lull_map was = *v;
    u64 more = flags & MREMAP_DONTUNMAP ? old_len : new_len > old_len ? new_len - old_len : 0;
    u64 delta = new_len > old_len ? new_len - old_len : 0;
    if (was.flags & LULL_MAP_LOCKED && delta && vma_locked() + delta > lockable)
        return -EAGAIN;
    if (more && !mm_may_expand(0, more, was.prot, was.flags))
        return -ENOMEM;
    if (guard_in(old, old + old_len) && (delta || was.flags & LULL_MAP_WINDOW))
        return refuse(NR_mremap);
    if (flags & MREMAP_FIXED && hugetlb_divides(f->r8, f->r8 + new_len))
        return -EINVAL;
    if (flags & MREMAP_FIXED) {
        long bad = target_check(f->r8, new_len);
        return bad ? bad : remap_to(was, old, old_len, new_len, f->r8, flags);
    }
    if (flags & MREMAP_DONTUNMAP) { /* the new address is a hint */
        u64 to = f->r8;
        long r = was.flags & LULL_MAP_WINDOW ? window_find(to, new_len, was.flags, &to)
                                             : mm_place(to, new_len, 0, &to);
        return r ? r : remap_to(was, old, old_len, new_len, to, flags);
    }
    if (was.flags & LULL_MAP_WINDOW)
        return window_remap(vma_piece(&was, old, was.end), old_len, new_len, flags);
    long r;
    struct lull_map *after = vma_following(v);
    u64 limit = old >= boot_info()->brk_start && old < boot_info()->brk_end ? boot_info()->brk_end
                                                                            : boot_info()->ram_end;
    if (old < boot_info()->brk_start)
        limit = boot_info()->brk_start;
    bool room = was.end == old + old_len && in_ram(old, old + new_len) && old + new_len <= limit &&
                (!after || after->start >= old + new_len);
    if (was.end < old + old_len)
        return was.file || was.flags & LULL_MAP_BEYOND
                   ? refuse(NR_mremap) /* it grows, and its file had ended already */
                   : grow_parts(was, old, old_len, new_len, flags);
    if (was.file && !(was.flags & LULL_MAP_BEYOND)) {
        if (!room && !(flags & MREMAP_MAYMOVE))
            return -ENOMEM;
        r = file_grow(vma_piece(&was, old, old + old_len), old_len, new_len, room);
        return r == -ENOSYS ? refuse(NR_mremap) : r;
    }
    if (room && mm_map(old + old_len, old + new_len, was.prot, was.flags & ~MEMORY_STATE) == 0)
        return (long)old;
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    return remap_move(was, old, old_len, new_len, 0, flags);
}

/* In Linux's order (mm/mremap.c). */
static long remap_check(const struct frame *f, u64 old_len, u64 new_len, u32 flags)
{
    u64 old = f->rdi, to = f->r8;
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if (old & (LULL_PAGE - 1) || !new_len || new_len > LULL_USER_END)
        return -EINVAL;
    if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
        return 0;
    if (!(flags & MREMAP_MAYMOVE) || (flags & MREMAP_DONTUNMAP && old_len != new_len))
        return -EINVAL;
    if (to & (LULL_PAGE - 1) || to > LULL_USER_END - new_len)
        return -EINVAL;
    return to < old + old_len && old < to + new_len ? -EINVAL : 0;
}

long sys_mremap(struct frame *f)
{
    u64 old = f->rdi, old_len = ALIGN_UP(f->rsi, LULL_PAGE), new_len = ALIGN_UP(f->rdx, LULL_PAGE);
    u32 flags = (u32)f->r10;
    long r = remap_check(f, old_len, new_len, flags);
    if (r)
        return r;
    if (old_len > LULL_USER_END || old + old_len < old)
        return -EFAULT;
    u64 limit = vma_locked() ? lock_limit() : LULL_UNLIMITED;
    aio_settle(old, old_len);
    if (flags & MREMAP_FIXED)
        aio_settle(f->r8, new_len);
    mm_lock_unfilled(f->r8, new_len, flags & MREMAP_FIXED ? MAP_FIXED : 0);
    const struct lull_map *v = vma_at(old);
    bool unlock = v && v->flags & LULL_MAP_LOCKED && flags & MREMAP_DONTUNMAP;
    u64 from = v ? v->start : 0, to = v ? mapping_end(v) : 0;
    r = remap_locked(f, old, old_len, new_len, flags, limit);
    if (r >= 0 && new_len > old_len)
        lock_grown((u64)r + old_len, (u64)r + new_len);
    /* Linux does not divide the mapping for this, and unlocks the whole of it. */
    if (r >= 0 && unlock && ((u64)r >= to || (u64)r + new_len <= from))
        lock_clear(from, to);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}
