/* SPDX-License-Identifier: MIT */
/* madvise(2), mincore(2), msync(2), mlock(2), brk(2). */
#include "kernel.h"
#include "mm/mm.h"

#define MADV_DONTNEED 4
#define MADV_FREE 8
#define MADV_REMOVE 9
#define MADV_MERGEABLE 12
#define MADV_UNMERGEABLE 13
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#define DISCARD_WORTH (256ul << 10) /* bytes: below it, clearing costs less than an exit */

void mm_wipe(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct lull_map *v = vma_next(at);
        if (!v || v->start >= end)
            return;
        u64 from = max_u64(at, v->start), to = min_u64(v->end, end);
        if (v->flags & LULL_MAP_WINDOW) {
            if (v->flags & LULL_MAP_PRIVATE && !(v->flags & LULL_MAP_RESERVED) &&
                !LULL_MAP_PAGE(v->flags))
                window_call(LULL_WIN_DONTNEED, from, to - from, 0, 0, 0);
        } else if (v->file) {
            ; /* file_dontneed()'s business */
        } else if (!v->prot) {
            /* nobody can see it before it is opened */
            struct lull_map m = vma_piece(v, from, to);
            m.flags = (m.flags & ~LULL_MAP_TOUCHED) | LULL_MAP_STALE;
            vma_change_begin();
            vma_remove(from, to);
            vma_insert(m);
            vma_change_end();
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

/* A mapping of a file; `shared` says whether windows count. */
static bool file_between(u64 start, u64 end, bool shared)
{
    for (struct lull_map *m = vma_next(start); m && m->start < end; m = vma_following(m)) {
        if (shared ? m->file || lull_map_shared(m) : m->file && !(m->flags & LULL_MAP_WINDOW))
            return true;
    }
    return false;
}

/* MADV_REMOVE: as Linux, what comes before the first mapping that cannot is done. */
static long remove_pages(u64 start, u64 end)
{
    bool hole = false;
    u64 at = start;
    for (const struct lull_map *v; at < end && (v = vma_next(at)) && v->start < end;) {
        u64 from = max_u64(at, v->start), to = min_u64(v->end, end);
        hole |= from > at;
        if (!v->file && !lull_map_shared(v))
            return -EINVAL;
        if (!lull_map_shared(v) || v->flags & LULL_MAP_READONLY)
            return -EACCES;
        long r = window_call(LULL_WIN_REMOVE, from, to - from, 0, 0, 0);
        if (r)
            return r;
        at = to;
    }
    return hole || at < end ? -ENOMEM : 0;
}

/* MADV_MERGEABLE and its opposite: Linux's KSM does the work, on memory that only this program
   has. What lies in no RAM (the program's image) is left as it is. */
static long merge(u64 start, u64 end, u32 advice)
{
    long r = vma_covered(start, end, 0) ? 0 : -ENOMEM;
    for (u64 at = start; at < end;) {
        const struct lull_map *m = vma_next(at);
        if (!m || m->start >= end)
            break;
        u64 from = max_u64(at, m->start), to = min_u64(m->end, end);
        bool window = m->flags & LULL_MAP_WINDOW;
        long done = 0;
        if (window && !lull_map_shared(m) && !LULL_MAP_PAGE(m->flags) &&
            !(m->flags & LULL_MAP_RESERVED))
            done = window_call(LULL_WIN_ADVISE, from, to - from, advice, 0, 0);
        else if (!window && in_ram(from, to))
            done = proxy_call(LULL_OP_MEMORY, from, to - from,
                              advice == MADV_MERGEABLE ? LULL_MEM_MERGE : LULL_MEM_UNMERGE);
        if (done)
            return done;
        at = to;
    }
    return r;
}

long sys_madvise(struct frame *f)
{
    u64 start = f->rdi, end;
    u32 advice = (u32)f->rdx;
    if (!mm_range_decode(start, f->rsi, &end))
        return -EINVAL;
    /* 0..3 NORMAL RANDOM SEQUENTIAL WILLNEED, 12 13 (UN)MERGEABLE, 14 15 (NO)HUGEPAGE, 16 17
       (NO)DUMP, 20 21 COLD PAGEOUT: advice that changes no answer; FREE may be done at any time, so
       also never */
    bool hint = advice <= 3 || advice == MADV_FREE || (advice >= 12 && advice <= 17) ||
                advice == 20 || advice == 21 || advice == MADV_POPULATE_READ ||
                advice == MADV_POPULATE_WRITE;
    if (mm_advice_is_of_fork(advice)) {
        spin_lock(&mm_lock);
        long done = mm_advise_fork(start, end, advice);
        spin_unlock(&mm_lock);
        return done;
    }
    if (advice == MADV_MERGEABLE || advice == MADV_UNMERGEABLE) {
        spin_lock(&mm_lock);
        long done = merge(start, end, advice);
        spin_unlock(&mm_lock);
        return done;
    }
    if (!hint && advice != MADV_DONTNEED && advice != MADV_REMOVE)
        return advice > 25 && advice != 100 && advice != 101 ? -EINVAL : refuse(28);
    spin_lock(&mm_lock);
    long r = vma_covered(start, end, 0) ? 0 : -ENOMEM;
    if (advice == MADV_POPULATE_READ && r == 0 && !vma_covered(start, end, PROT_READ))
        r = -EINVAL;
    if (advice == MADV_POPULATE_WRITE && r == 0 && !vma_covered(start, end, PROT_WRITE))
        r = -EINVAL;
    if (advice == MADV_FREE && file_between(start, end, true))
        r = -EINVAL;
    bool files = advice == MADV_DONTNEED && file_between(start, end, false);
    long huge = hugetlb_advise(start, end, advice);
    if (huge && r == 0)
        r = huge;
    if (huge)
        ;
    else if (advice == MADV_DONTNEED && vma_room(2))
        mm_wipe(start, end);
    else if (advice == MADV_REMOVE)
        r = remove_pages(start, end);
    pt_flush();
    spin_unlock(&mm_lock);
    long again = files ? file_dontneed(start, end) : 0;
    return again == -ENOSYS ? refuse(28) : again ? again : r;
}

/* `before`: of the page before it; 2: there is none. */
static u8 mincore_page(u64 at, u8 before)
{
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(at);
    u8 resident = pt_allows(at, 0);
    if (m && LULL_MAP_PAGE(m->flags)) {
        u64 page = map_page(m), start = ALIGN_DOWN(at, page);
        resident = at > start && before != 2
                       ? before
                       : window_call(LULL_WIN_RESIDENT, start, page, 0, 0, 0) == 1;
    }
    spin_unlock(&mm_lock);
    return resident;
}

long sys_mincore(struct frame *f)
{
    u64 end;
    if (!mm_range_decode(f->rdi, f->rsi, &end))
        return f->rdi & (LULL_PAGE - 1) ? -EINVAL : -ENOMEM;
    spin_lock(&mm_lock);
    bool covered = vma_covered(f->rdi, end, 0);
    spin_unlock(&mm_lock);
    if (!covered)
        return -ENOMEM;
    u8 resident = 0;
    for (u64 at = f->rdi, i = 0; at < end; at += LULL_PAGE, i++) {
        resident = mincore_page(at, i ? resident : 2);
        if (copy_out(f->rdx + i, &resident, 1))
            return -EFAULT;
    }
    return 0;
}

long sys_msync(struct frame *f)
{
    u64 end;
    if (f->rdi & (LULL_PAGE - 1) || f->rdx & ~7ul || (f->rdx & 5) == 5)
        return -EINVAL;
    if (!mm_range_decode(f->rdi, f->rsi, &end))
        return -ENOMEM;
    spin_lock(&mm_lock);
    long r = windows_sync(f->rdi, end, f->rdx);
    if (!vma_covered(f->rdi, end, 0))
        r = -ENOMEM;
    spin_unlock(&mm_lock);
    return r;
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

long sys_mlock2(struct frame *f)
{
    return f->rdx & ~1ul ? -EINVAL : sys_mlock(f); /* MLOCK_ONFAULT */
}

/* MCL_CURRENT, _FUTURE, _ONFAULT: as mlock, of everything. */
long sys_mlockall(struct frame *f)
{
    u32 flags = (u32)f->rdi;
    return !flags || flags & ~7u || flags == 4 ? -EINVAL : 0;
}

long sys_munlockall(struct frame *f)
{
    (void)f;
    return 0;
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
            struct lull_map *v = vma_next(old_end);
            ok = (!v || v->start >= new_end) &&
                 mm_may_expand(0, new_end - old_end, PROT_READ | PROT_WRITE, LULL_MAP_HEAP) &&
                 mm_map(old_end, new_end, PROT_READ | PROT_WRITE, LULL_MAP_HEAP) == 0;
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
