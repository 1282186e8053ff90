/* SPDX-License-Identifier: MIT */
/* mmap(2) and its family. Each call decodes and checks first, then acts under mm_lock. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"

#define MAP_SHARED 0x01u
#define MAP_PRIVATE 0x02u
#define MAP_SHARED_VALIDATE 0x03u
#define MAP_TYPE 0x0fu
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_32BIT 0x40u
#define MAP_GROWSDOWN 0x100u
#define MAP_NORESERVE 0x4000u
#define MAP_STACK 0x20000u
#define MAP_FIXED_NOREPLACE 0x100000u
#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

#define IS_LAZY(flags) ((flags) & (VMA_STACK | VMA_LAZY))

/* Makes [start, end), which must be free, accessible and zero. Under mm_lock. */
int mm_map(u64 start, u64 end, u32 prot, u32 flags)
{
    if (!vma_room(2))
        return -ENOMEM;
    bool image = end <= LULL_LOW_END;
    if (prot && !image && blocks_prepare(start, end, IS_LAZY(flags)))
        return -ENOMEM;
    bool stale = image || blocks_used(start, end);
    if (stale && !prot) {
        flags |= VMA_STALE;
    } else if (prot) {
        int r = pt_map(start, end, stale ? prot | PROT_WRITE : prot);
        if (r) {
            pt_unmap(start, end);
            pt_flush();
            return r;
        }
        if (stale) {
            blocks_zero_used(start, end);
            if (!(prot & PROT_WRITE))
                pt_map(start, end, prot);
        }
        blocks_mark_used(start, end);
    }
    vma_insert(start, end, prot, flags);
    return 0;
}

/* Takes away whatever is mapped in the range; the caller flushes. Under mm_lock. */
void mm_unmap(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct vma *v = vma_next(at);
        if (!v || v->start >= end)
            break;
        u64 from = max_u64(v->start, start), to = min_u64(v->end, end);
        bool discard = IS_LAZY(v->flags) && v->prot && in_ram(from, to);
        pt_unmap(from, to);
        if (discard) {
            pt_flush();
            blocks_discard(from, to);
        }
        at = to;
    }
    vma_remove(start, end);
}

/* Where a fixed request may lie: in RAM, or in the program's own image. */
static bool fixed_ok(u64 start, u64 end)
{
    const struct lull_boot *b = boot_info();
    if (in_ram(start, end))
        return true;
    return b->nsegments && start >= b->segment[0].start && end <= b->stub_start && start <= end;
}

static long place(u64 hint, u64 len, u32 flags, u64 *out)
{
    const struct lull_boot *b = boot_info();
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (hint & (LULL_PAGE - 1))
            return -EINVAL;
        if (hint + len < hint || !fixed_ok(hint, hint + len))
            return -ENOMEM;
        if (flags & MAP_FIXED_NOREPLACE) {
            struct vma *v = vma_next(hint);
            if (v && v->start < hint + len)
                return -EEXIST;
        }
        *out = hint;
        return 0;
    }
    if (flags & MAP_32BIT)
        return -ENOMEM;
    hint = ALIGN_DOWN(hint, LULL_PAGE);
    if (hint && hint + len > hint && in_ram(hint, hint + len)) {
        struct vma *v = vma_next(hint);
        if (!v || v->start >= hint + len) {
            *out = hint;
            return 0;
        }
    }
    u64 align = len >= LULL_HUGE ? LULL_HUGE : LULL_PAGE;
    u64 at = vma_gap(b->mmap_start, b->brk_start, len, align);
    if (!at)
        at = vma_gap(b->brk_end, b->ram_end, len, align);
    if (!at)
        return -ENOMEM;
    *out = at;
    return 0;
}

static long map_anonymous(u64 hint, u64 len, u32 prot, u32 flags, u64 *out)
{
    u32 vflags = 0;
    if (flags & MAP_STACK)
        vflags |= VMA_STACK;
    else if (flags & MAP_NORESERVE && prot)
        vflags |= VMA_LAZY;
    spin_lock(&mm_lock);
    long r = place(hint, len, flags, out);
    if (r == 0) {
        if (flags & MAP_FIXED) {
            mm_unmap(*out, *out + len);
            pt_flush();
        }
        r = mm_map(*out, *out + len, prot, vflags);
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

/* A private file mapping is a copy of the file; regular files only. */
static long map_file(struct frame *f, u64 len, u32 prot, u64 *out)
{
    u64 st[18];
    /* the proxy writes into the application's memory only: use the mapping itself for stat */
    long r = map_anonymous(f->rdi, len, PROT_READ | PROT_WRITE, (u32)f->r10 | MAP_ANONYMOUS, out);
    if (r)
        return r;
    u64 sa[6] = {f->r8, *out};
    r = forward_raw(5, sa); /* fstat */
    if (r == 0 && copy_in(st, *out, sizeof st))
        r = -EFAULT;
    if (r == 0 && ((u32)st[3] & 0170000) != 0100000)
        r = refuse(9); /* devices and the like */
    user_clear((void *)*out, sizeof st);
    for (u64 done = 0; r == 0 && done < len;) {
        u64 pa[6] = {f->r8, *out + done, len - done, f->r9 + done};
        long n = forward_raw(17, pa); /* pread64 */
        if (n == -ERESTART || n == -EINTR)
            continue;
        if (n == 0)
            break;
        if (n < 0)
            r = n == -EBADF ? -EACCES : n;
        else
            done += (u64)n;
    }
    spin_lock(&mm_lock);
    if (r) {
        mm_unmap(*out, *out + len);
    } else if (prot != (PROT_READ | PROT_WRITE)) {
        struct vma *v = vma_at(*out);
        u32 flags = v ? v->flags : 0;
        vma_remove(*out, *out + len);
        vma_insert(*out, *out + len, prot, flags);
        pt_map(*out, *out + len, prot);
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

long sys_mmap(struct frame *f)
{
    u64 len = ALIGN_UP(f->rsi, LULL_PAGE);
    u32 prot = (u32)f->rdx & PROT_ANY, flags = (u32)f->r10;
    u64 at = 0;
    if (!f->rsi || f->r9 & (LULL_PAGE - 1))
        return -EINVAL;
    if (!len || len > LULL_RAM_MAX)
        return -ENOMEM;
    if (flags & MAP_GROWSDOWN)
        return refuse(9);
    u32 type = flags & MAP_TYPE;
    if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    long r;
    if (flags & MAP_ANONYMOUS)
        r = map_anonymous(f->rdi, len, prot, flags, &at);
    else if (type == MAP_PRIVATE)
        r = map_file(f, len, prot, &at);
    else
        r = refuse(9); /* shared file mappings: windows, not yet */
    return r ? r : (long)at;
}

static bool range_decode(u64 start, u64 len, u64 *end)
{
    *end = start + ALIGN_UP(len, LULL_PAGE);
    return !(start & (LULL_PAGE - 1)) && ALIGN_UP(len, LULL_PAGE) >= len && *end >= start &&
           *end <= LULL_RAM_MAX;
}

long sys_munmap(struct frame *f)
{
    u64 end;
    if (!f->rsi || !range_decode(f->rdi, f->rsi, &end))
        return -EINVAL;
    spin_lock(&mm_lock);
    if (!vma_room(1)) {
        spin_unlock(&mm_lock);
        return -ENOMEM;
    }
    mm_unmap(f->rdi, end);
    pt_flush();
    spin_unlock(&mm_lock);
    return 0;
}

/* One piece of one mapping. */
static long protect_piece(struct vma v, u64 from, u64 to, u32 prot)
{
    if (prot && in_ram(from, to) && blocks_prepare(from, to, IS_LAZY(v.flags)))
        return -ENOMEM;
    bool zero = prot && v.flags & VMA_STALE;
    if (pt_map(from, to, zero ? prot | PROT_WRITE : prot))
        return -ENOMEM;
    if (zero) {
        memset((void *)from, 0, to - from);
        if (!(prot & PROT_WRITE))
            pt_map(from, to, prot);
    }
    if (prot)
        blocks_mark_used(from, to);
    vma_remove(from, to);
    vma_insert(from, to, prot, prot ? v.flags & ~VMA_STALE : v.flags);
    return 0;
}

long sys_mprotect(struct frame *f)
{
    u64 start = f->rdi, end;
    u32 prot = (u32)f->rdx;
    if (prot & ~PROT_ANY)
        return -EINVAL; /* PROT_GROWSDOWN and the like */
    if (!range_decode(start, f->rsi, &end))
        return start & (LULL_PAGE - 1) ? -EINVAL : -ENOMEM;
    long r = 0;
    spin_lock(&mm_lock);
    if (!vma_room(3))
        r = -ENOMEM;
    for (u64 at = start; r == 0 && at < end;) {
        struct vma *v = vma_at(at);
        if (!v) {
            r = -ENOMEM; /* as Linux: what came before the hole is changed */
            break;
        }
        u64 to = min_u64(v->end, end);
        if (v->prot != prot)
            r = protect_piece(*v, at, to, prot);
        at = to;
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

/* Moves a mapping: memory does not follow its address here, so it is copied. */
static long remap_move(struct vma v, u64 old, u64 old_len, u64 new_len, u64 to)
{
    u64 at = to;
    if (!to) {
        long r = place(0, new_len, 0, &at);
        if (r)
            return r;
    }
    u32 prot = v.prot ? PROT_READ | PROT_WRITE : 0;
    long r = mm_map(at, at + new_len, prot, v.flags & ~VMA_STALE);
    if (r)
        return r;
    if (v.prot) {
        if (!(v.prot & PROT_READ))
            pt_map(old, old + old_len, PROT_READ);
        memcpy((void *)at, (void *)old, min_u64(old_len, new_len));
        if (v.prot != prot) {
            vma_remove(at, at + new_len);
            vma_insert(at, at + new_len, v.prot, v.flags & ~VMA_STALE);
            pt_map(at, at + new_len, v.prot);
        }
    }
    mm_unmap(old, old + old_len);
    return (long)at;
}

static long remap_locked(struct frame *f, u64 old, u64 old_len, u64 new_len, u32 flags)
{
    struct vma *v = vma_at(old);
    if (!v || v->end < old + old_len)
        return -EFAULT;
    if (!vma_room(4))
        return -ENOMEM;
    struct vma was = *v;
    if (flags & MREMAP_FIXED) {
        u64 to = f->r8;
        if (to & (LULL_PAGE - 1) || !fixed_ok(to, to + new_len) ||
            (to < old + old_len && old < to + new_len))
            return -EINVAL;
        mm_unmap(to, to + new_len);
        pt_flush();
        return remap_move(was, old, old_len, new_len, to);
    }
    if (new_len <= old_len) {
        if (new_len < old_len)
            mm_unmap(old + new_len, old + old_len);
        return (long)old;
    }
    struct vma *after = vma_following(v);
    u64 limit = old >= boot_info()->brk_start && old < boot_info()->brk_end ? boot_info()->brk_end
                                                                            : boot_info()->ram_end;
    if (old < boot_info()->brk_start)
        limit = boot_info()->brk_start;
    bool room = was.end == old + old_len && in_ram(old, old + new_len) && old + new_len <= limit &&
                (!after || after->start >= old + new_len);
    if (room && mm_map(old + old_len, old + new_len, was.prot, was.flags & ~VMA_STALE) == 0)
        return (long)old;
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    return remap_move(was, old, old_len, new_len, 0);
}

long sys_mremap(struct frame *f)
{
    u64 old = f->rdi, old_len = ALIGN_UP(f->rsi, LULL_PAGE), new_len = ALIGN_UP(f->rdx, LULL_PAGE);
    u32 flags = (u32)f->r10;
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if (flags & MREMAP_DONTUNMAP || (flags & MREMAP_MAYMOVE && !f->rsi))
        return refuse(25);
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

#define MADV_DONTNEED 4
#define MADV_FREE 8
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#define DISCARD_WORTH (256ul << 10) /* bytes: below it, clearing costs less than an exit */

static void dontneed(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct vma *v = vma_next(at);
        if (!v || v->start >= end)
            return;
        u64 from = max_u64(at, v->start), to = min_u64(v->end, end);
        if (!v->prot) {
            /* nobody can see it before it is opened */
            u32 flags = v->flags | VMA_STALE;
            vma_remove(from, to);
            vma_insert(from, to, 0, flags);
        } else if (to - from >= DISCARD_WORTH && in_ram(from, to)) {
            blocks_discard(from, to);
        } else {
            if (!(v->prot & PROT_WRITE))
                pt_map(from, to, v->prot | PROT_WRITE);
            memset((void *)from, 0, to - from);
            if (!(v->prot & PROT_WRITE))
                pt_map(from, to, v->prot);
        }
        at = to;
    }
}

long sys_madvise(struct frame *f)
{
    u64 start = f->rdi, end;
    u32 advice = (u32)f->rdx;
    if (!range_decode(start, f->rsi, &end))
        return -EINVAL;
    /* 0..3 NORMAL RANDOM SEQUENTIAL WILLNEED, 14 15 (NO)HUGEPAGE, 16 17 (NO)DUMP, 20 21 COLD
       PAGEOUT: advice that changes no answer; FREE may be done at any time, so also never */
    bool hint = advice <= 3 || advice == MADV_FREE || (advice >= 14 && advice <= 17) ||
                advice == 20 || advice == 21 || advice == MADV_POPULATE_READ ||
                advice == MADV_POPULATE_WRITE;
    if (!hint && advice != MADV_DONTNEED)
        return advice > 25 && advice < 100 ? -EINVAL : refuse(28);
    spin_lock(&mm_lock);
    long r = vma_covered(start, end, 0) ? 0 : -ENOMEM;
    if (advice == MADV_DONTNEED && vma_room(2))
        dontneed(start, end);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

long sys_mincore(struct frame *f)
{
    u64 end;
    if (!range_decode(f->rdi, f->rsi, &end))
        return f->rdi & (LULL_PAGE - 1) ? -EINVAL : -ENOMEM;
    spin_lock(&mm_lock);
    bool covered = vma_covered(f->rdi, end, 0);
    spin_unlock(&mm_lock);
    if (!covered)
        return -ENOMEM;
    for (u64 at = f->rdi, i = 0; at < end; at += LULL_PAGE, i++) {
        u8 resident = pt_allows(at, 0);
        if (copy_out(f->rdx + i, &resident, 1))
            return -EFAULT;
    }
    return 0;
}

long sys_msync(struct frame *f)
{
    u64 end;
    if (!range_decode(f->rdi, f->rsi, &end) || f->rdx & ~7ul || (f->rdx & 5) == 5)
        return -EINVAL;
    spin_lock(&mm_lock);
    bool covered = vma_covered(f->rdi, end, 0);
    spin_unlock(&mm_lock);
    return covered ? 0 : -ENOMEM; /* no shared file mappings: nothing to write */
}

/* mlock, munlock: what is mapped is memory of the isle, which Linux may page only if --mem was
   more than there is; the answer is about the range. */
long sys_mlock(struct frame *f)
{
    u64 start = ALIGN_DOWN(f->rdi, LULL_PAGE);
    u64 end = ALIGN_UP(f->rdi + f->rsi, LULL_PAGE);
    if (end < start)
        return -EINVAL;
    spin_lock(&mm_lock);
    bool covered = vma_covered(start, end, 0);
    spin_unlock(&mm_lock);
    return covered ? 0 : -ENOMEM;
}

static u64 brk_now; /* mm_lock */

long sys_brk(struct frame *f)
{
    const struct lull_boot *b = boot_info();
    spin_lock(&mm_lock);
    if (!brk_now)
        brk_now = b->brk_start;
    u64 want = f->rdi;
    if (want >= b->brk_start && want <= b->brk_end) {
        u64 old_end = ALIGN_UP(brk_now, LULL_PAGE), new_end = ALIGN_UP(want, LULL_PAGE);
        bool ok = true;
        if (new_end > old_end) {
            struct vma *v = vma_next(old_end);
            ok = (!v || v->start >= new_end) &&
                 mm_map(old_end, new_end, PROT_READ | PROT_WRITE, VMA_HEAP) == 0;
        } else if (new_end < old_end) {
            mm_unmap(new_end, old_end);
        }
        if (ok)
            brk_now = want;
        pt_flush();
    }
    u64 now = brk_now;
    spin_unlock(&mm_lock);
    return (long)now;
}
