/* SPDX-License-Identifier: MIT */
/* madvise(2), mincore(2), msync(2), brk(2). */
#include "kernel.h"
#include "mm/mm.h"
#include "sys/sys.h"

#define MADV_DONTNEED 4
#define MADV_FREE 8
#define MADV_REMOVE 9
#define MADV_MERGEABLE 12
#define MADV_UNMERGEABLE 13
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#define MADV_DONTNEED_LOCKED 24
#define MADV_DONTFORK 10
#define MADV_DODUMP 17
#define MADV_WIPEONFORK 18
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#define MADV_HWPOISON 100
#define MADV_SOFT_OFFLINE 101
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#define MS_INVALIDATE 2
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

static bool discards(u32 advice)
{
    return advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED || advice == MADV_FREE ||
           advice == MADV_REMOVE || advice == MADV_DONTFORK || advice == MADV_WIPEONFORK ||
           advice == MADV_GUARD_INSTALL;
}

/* What Linux says of the first mapping in [start, *end) that does not permit the advice; *end
   becomes where that begins, and what comes before it is advised. */
static long forbidden(u64 start, u64 *end, u32 advice)
{
    bool unlocked = advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
                    advice == MADV_COLD || advice == MADV_PAGEOUT;
    for (const struct lull_map *v = vma_next(start); v && v->start < *end; v = vma_following(v)) {
        bool anonymous = !v->file && !lull_map_shared(v);
        bool seal = v->flags & LULL_MAP_SEALED && anonymous && !(map_rights(v) & PROT_WRITE);
        bool dumped = advice == MADV_DODUMP && v->flags & LULL_MAP_DROPPABLE;
        if ((seal && discards(advice)) || (v->flags & LULL_MAP_LOCKED && unlocked) || dumped) {
            *end = max_u64(v->start, start);
            return seal && discards(advice) ? -EPERM : -EINVAL;
        }
    }
    return 0;
}

/* Under mm_lock, as all below but sys_madvise(). Refused, if Linux would do it. */
static long poison(u32 advice)
{
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return refuse(NR_madvise);
    long r = window_call(LULL_WIN_ADVISE, 0, 0, advice, 0, 0);
    return r ? r : refuse(NR_madvise);
}

long mm_populate(u64 start, u64 end, bool write)
{
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return 0;
    u32 advice = write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    for (const struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v)) {
        u64 from = max_u64(v->start, start), to = min_u64(v->end, end);
        bool window = v->flags & LULL_MAP_WINDOW && !(v->flags & LULL_MAP_RESERVED);
        if (!v->prot || LULL_MAP_PAGE(v->flags) || (!window && !IS_LAZY(v->flags)))
            continue;
        long r = window_call(LULL_WIN_ADVISE, from, to - from, advice, 0, 0);
        if (r)
            return r;
    }
    return 0;
}

static long advise_guards(u64 start, u64 end, u32 advice)
{
    aio_settle(start, end - start);
    bool install = advice == MADV_GUARD_INSTALL;
    long no = install ? forbidden(start, &end, advice) : 0;
    long r = install ? guard_install(start, end) : guard_remove(start, end);
    return r == -ENOSYS ? refuse(NR_madvise) : r == 0 || r == -ENOMEM ? (no ? no : r) : r;
}

/* MADV_POPULATE_READ and its kin for writing. Under mm_lock. */
static long populate(u64 start, u64 end, u32 advice)
{
    bool write = advice == MADV_POPULATE_WRITE;
    long huge = hugetlb_advise(start, end, advice);
    if (guard_in(start, end))
        return -EFAULT;
    if (!vma_covered(start, end, 0))
        return -ENOMEM;
    if (!vma_covered(start, end, write ? PROT_WRITE : PROT_READ))
        return -EINVAL;
    return huge ? huge : mm_populate(start, end, write);
}

static long dontneed(u64 start, u64 end, u32 advice)
{
    aio_settle(start, end - start);
    spin_lock(&mm_lock);
    long r = forbidden(start, &end, advice), hole = vma_covered(start, end, 0) ? 0 : -ENOMEM;
    bool files = file_between(start, end, false);
    long huge = hugetlb_advise(start, end, MADV_DONTNEED);
    if (!huge && vma_room(2))
        mm_wipe(start, end);
    pt_flush();
    spin_unlock(&mm_lock);
    long again = files ? file_dontneed(start, end) : 0;
    if (again)
        return again == -ENOSYS ? refuse(NR_madvise) : again;
    return r ? r : hole ? hole : huge;
}

/* Advice that changes no answer: 0..3 NORMAL RANDOM SEQUENTIAL WILLNEED, 14 15 (NO)HUGEPAGE, 20 21
   COLD PAGEOUT; FREE may be done at any time, so also never. */
static bool is_hint(u32 advice)
{
    return advice <= 3 || advice == MADV_FREE || advice == 14 || advice == 15 || advice == 20 ||
           advice == 21;
}

static long hint(u64 start, u64 end, u32 advice)
{
    long no = forbidden(start, &end, advice), r = vma_covered(start, end, 0) ? 0 : -ENOMEM;
    if (advice == MADV_FREE && file_between(start, end, true))
        return -EINVAL;
    return no ? no : r;
}

static long advise(u64 start, u64 end, u32 advice)
{
    u64 stop = end;
    long no, done;
    switch (advice) {
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
        return merge(start, end, advice);
    case MADV_GUARD_INSTALL:
    case MADV_GUARD_REMOVE:
        return advise_guards(start, end, advice);
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
        return populate(start, end, advice);
    case MADV_HWPOISON:
    case MADV_SOFT_OFFLINE:
        return poison(advice);
    case MADV_REMOVE:
        no = forbidden(start, &stop, advice);
        if (no && start == stop)
            return no;
        done = remove_pages(start, stop);
        return no && (done == 0 || done == -ENOMEM) ? no : done;
    default:
        break;
    }
    if (mm_advice_is_of_fork(advice)) {
        no = forbidden(start, &stop, advice);
        done = start < stop ? mm_advise_fork(start, stop, advice) : 0;
        return no && done != -EINVAL ? no : done;
    }
    return is_hint(advice) ? hint(start, end, advice) : advice > 25 ? -EINVAL : refuse(NR_madvise);
}

long sys_madvise(struct frame *f)
{
    u64 start = f->rdi, end;
    u32 advice = (u32)f->rdx;
    if (!mm_range_decode(start, f->rsi, &end))
        return -EINVAL;
    if (advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED)
        return dontneed(start, end, advice);
    spin_lock(&mm_lock);
    long r = advise(start, end, advice);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

/* Which of the n pages from `at` on, all of mapping m, are in memory: bit i, page i. */
static u64 resident_bits(const struct lull_map *m, u64 at, u64 n)
{
    u64 all = (1ul << n) - 1;
    bool window = m->flags & LULL_MAP_WINDOW;
    if (LULL_MAP_PAGE(m->flags)) {
        u64 page = map_page(m), bits = 0;
        for (u64 i = 0; i < n;) {
            u64 start = ALIGN_DOWN(at + i * LULL_PAGE, page);
            bool there = window_call(LULL_WIN_RESIDENT, start, page, 0, 0, 0) & 1;
            for (; i < n && at + i * LULL_PAGE < start + page; i++)
                bits |= (u64)there << i;
        }
        return bits;
    }
    if (m->flags & (LULL_MAP_RESERVED | LULL_MAP_GUARD) || (m->flags & LULL_MAP_BEYOND && !window))
        return 0;
    if (window || IS_LAZY(m->flags)) { /* Linux populates it, and only Linux knows */
        bool asks = boot_info()->flags & LULL_BOOT_F_WINDOWS;
        i64 bits = asks ? window_call(LULL_WIN_RESIDENT, at, n * LULL_PAGE, 0, 0, 0) : -1;
        return bits < 0 ? all : (u64)bits & all;
    }
    return m->prot || m->flags & LULL_MAP_TOUCHED ? all : 0;
}

long sys_mincore(struct frame *f)
{
    u64 end;
    if (!mm_range_decode(f->rdi, f->rsi, &end))
        return f->rdi & (LULL_PAGE - 1) ? -EINVAL : -ENOMEM;
    for (u64 at = f->rdi, i = 0; at < end;) {
        u8 vec[LULL_WIN_RESIDENT_MAX];
        spin_lock(&mm_lock);
        const struct lull_map *m = vma_covered(at, end, 0) ? vma_at(at) : NULL;
        u64 n = m ? (min_u64(m->end, end) - at) / LULL_PAGE : 0;
        n = min_u64(n, LULL_WIN_RESIDENT_MAX);
        u64 bits = m ? resident_bits(m, at, n) : 0;
        spin_unlock(&mm_lock);
        if (!m)
            return -ENOMEM;
        for (u64 k = 0; k < n; k++)
            vec[k] = bits >> k & 1;
        if (copy_out(f->rdx + i, vec, n))
            return -EFAULT;
        at += n * LULL_PAGE;
        i += n;
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
    u64 stop = f->rdx & MS_INVALIDATE ? lock_first(f->rdi, end) : end;
    long r = windows_sync(f->rdi, stop, f->rdx);
    if (r == 0 && stop < end)
        r = -EBUSY;
    else if (r == 0 && !vma_covered(f->rdi, end, 0))
        r = -ENOMEM;
    spin_unlock(&mm_lock);
    return r;
}

static u64 brk_now; /* mm_lock */

long sys_brk(struct frame *f)
{
    const struct lull_boot *b = boot_info();
    u64 want = f->rdi, grows = want > brk_now ? want - brk_now : 0; /* by about as much */
    u32 lock = 0;
    bool may = want <= b->brk_start || lock_may_map(grows, false, &lock) == 0;
    if (want >= b->brk_start && want < brk_now)
        aio_settle(want, brk_now - want);
    spin_lock(&mm_lock);
    if (!brk_now)
        brk_now = b->brk_start;
    if (want >= b->brk_start && want <= b->brk_end) {
        u64 old_end = ALIGN_UP(brk_now, LULL_PAGE), new_end = ALIGN_UP(want, LULL_PAGE);
        bool ok = may || new_end <= old_end;
        if (new_end > old_end) {
            struct lull_map *v = vma_next(old_end);
            ok = ok && (!v || v->start >= new_end) &&
                 mm_may_expand(0, new_end - old_end, PROT_READ | PROT_WRITE, LULL_MAP_HEAP) &&
                 mm_map(old_end, new_end, PROT_READ | PROT_WRITE, LULL_MAP_HEAP) == 0;
            if (ok)
                lock_mapped(old_end, new_end, lock);
        } else if (new_end < old_end) {
            ok = !sealed_in(new_end, old_end);
            if (ok)
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
