/* SPDX-License-Identifier: MIT */
/*
 * mlock(2) and its family: which mappings are locked, and what RLIMIT_MEMLOCK permits. The proxy
 * locks windows, and all memory of an isle where lull has no right to lock it at once.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sys/sys.h"

#define MLOCK_ONFAULT 1u
#define MCL_CURRENT 1u
#define MCL_FUTURE 2u
#define MCL_ONFAULT 4u

#define STACK_SHOWN (33 * LULL_PAGE) /* what counts of the main thread's stack, as in expand.c */

static u32 future; /* LULL_MAP_LOCK flags of new mappings; mm_lock */

u64 lock_limit(void)
{
    u64 arg[6] = {LULL_LIMIT_LOCK};
    long pages = forward_raw(LULL_NR_LIMIT, arg);
    return pages < 0 ? LULL_UNLIMITED : (u64)pages * LULL_PAGE;
}

/* Linux locks no huge pages of the pool, because they are never paged, and nothing droppable. */
static bool lockable(const struct lull_map *m)
{
    return !LULL_MAP_PAGE(m->flags) &&
           !(m->flags & (LULL_MAP_DROPPABLE | LULL_MAP_HOLD | LULL_MAP_STUBS));
}

/* The mapping that contains `at` gets these flags from there on, `end` at most. Returns where it
   ends; 0: the table is full. */
static u64 mark(const struct lull_map *v, u64 at, u64 end, u32 flags)
{
    struct lull_map m = vma_piece(v, max_u64(v->start, at), min_u64(v->end, end));
    if (!lockable(v) || (v->flags & LULL_MAP_LOCK) == flags)
        return m.end;
    if (!vma_room(2))
        return 0;
    m.flags = (m.flags & ~LULL_MAP_LOCK) | flags;
    vma_replace(m);
    return m.end;
}

long lock_mark(u64 start, u64 end, u32 flags)
{
    for (u64 at = start; at < end;) {
        const struct lull_map *v = vma_at(at);
        at = v ? mark(v, at, end, flags) : 0;
        if (!at)
            return -ENOMEM;
    }
    return 0;
}

static void mark_all(u32 flags)
{
    const struct lull_map *v;
    for (u64 at = 0; (v = vma_next(at)) && (at = mark(v, at, ~0ul, flags));)
        ;
}

/* The proxy's part. `populate`: 0, or -ENOMEM for a page that the program may not touch, or that
   lies behind its file's end. */
static long keep_in_memory(u64 start, u64 end, bool populate)
{
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return 0;
    for (u64 at = start; at < end;) {
        const struct lull_map *v = vma_next(at);
        if (!v || v->start >= end)
            break;
        u64 from = max_u64(v->start, at), to = min_u64(v->end, end);
        at = to;
        if (!(v->flags & LULL_MAP_LOCKED))
            continue;
        bool fill = populate && !(v->flags & LULL_MAP_ONFAULT);
        if (fill && (!v->prot || (v->flags & LULL_MAP_BEYOND && !(v->flags & LULL_MAP_WINDOW))))
            return -ENOMEM;
        if (!v->prot)
            continue;
        bool writes = v->prot & PROT_WRITE && !lull_map_shared(v);
        long r = window_call(LULL_WIN_LOCK, from, to - from,
                             !fill    ? LULL_LOCK_ONFAULT
                             : writes ? LULL_LOCK_WRITE
                                      : LULL_LOCK_READ,
                             0, 0);
        if (fill && r)
            return r;
    }
    return 0;
}

static void let_go(u64 start, u64 end)
{
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return;
    for (const struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v)) {
        u64 from = max_u64(v->start, start), to = min_u64(v->end, end);
        if (v->prot && lockable(v) && !(v->flags & (LULL_MAP_LOCKED | LULL_MAP_RESERVED)))
            window_call(LULL_WIN_UNLOCK, from, to - from, 0, 0, 0);
    }
}

long lock_clear(u64 start, u64 end)
{
    long r = lock_mark(start, end, 0);
    let_go(start, end);
    return r;
}

static u64 locked_bytes(u64 start, u64 end)
{
    u64 sum = 0;
    for (const struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v))
        if (v->flags & LULL_MAP_LOCKED && lull_map_counts(v))
            sum += min_u64(v->end, end) - max_u64(v->start, start);
    return sum;
}

u64 lock_first(u64 start, u64 end)
{
    for (const struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v))
        if (v->flags & LULL_MAP_LOCKED)
            return max_u64(v->start, start);
    return end;
}

long lock_may_map(u64 len, bool asked, u32 *flags)
{
    spin_lock(&mm_lock);
    *flags = future | (asked ? LULL_MAP_LOCKED : 0);
    spin_unlock(&mm_lock);
    if (!*flags)
        return 0;
    u64 limit = lock_limit();
    if (asked && !limit)
        return -EPERM;
    spin_lock(&mm_lock);
    bool fits = limit == LULL_UNLIMITED || vma_locked() + len <= limit;
    spin_unlock(&mm_lock);
    return fits ? 0 : -EAGAIN;
}

void lock_mapped(u64 start, u64 end, u32 flags)
{
    if (flags && lock_mark(start, end, flags) == 0)
        keep_in_memory(start, end, true);
}

void lock_grown(u64 start, u64 end)
{
    if (vma_locked())
        keep_in_memory(start, end, true);
}

void lock_forked(void)
{
    future = 0;
    mark_all(0);
}

static long lock_range(u64 addr, u64 len, u32 flags)
{
    u64 limit = lock_limit(), start = ALIGN_DOWN(addr, LULL_PAGE);
    if (!limit)
        return -EPERM;
    len = ALIGN_UP(len + (addr - start), LULL_PAGE);
    u64 end = start + len;
    spin_lock(&mm_lock);
    long r = 0;
    if (limit != LULL_UNLIMITED &&
        (vma_locked() + len < len || vma_locked() + len - locked_bytes(start, end) > limit))
        r = -ENOMEM;
    else if (end < start)
        r = -EINVAL;
    else if (end > start)
        r = lock_mark(start, end, flags);
    if (r == 0)
        r = keep_in_memory(start, end, true);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

long sys_mlock(struct frame *f)
{
    return lock_range(f->rdi, f->rsi, LULL_MAP_LOCKED);
}

long sys_mlock2(struct frame *f)
{
    u32 flags = (u32)f->rdx;
    if (flags & ~MLOCK_ONFAULT)
        return -EINVAL;
    return lock_range(f->rdi, f->rsi, flags ? LULL_MAP_LOCK : LULL_MAP_LOCKED);
}

long sys_munlock(struct frame *f)
{
    u64 start = ALIGN_DOWN(f->rdi, LULL_PAGE);
    u64 end = start + ALIGN_UP(f->rsi + (f->rdi - start), LULL_PAGE);
    if (end < start)
        return -EINVAL;
    spin_lock(&mm_lock);
    long r = lock_clear(start, end);
    spin_unlock(&mm_lock);
    return r;
}

long sys_mlockall(struct frame *f)
{
    u32 flags = (u32)f->rdi, lock = LULL_MAP_LOCKED | (flags & MCL_ONFAULT ? LULL_MAP_ONFAULT : 0);
    if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
        return -EINVAL;
    u64 limit = lock_limit();
    if (!limit)
        return -EPERM;
    long r = 0;
    spin_lock(&mm_lock);
    u64 all = vma_size() + STACK_SHOWN + ALIGN_UP(boot_info()->vdso_size, LULL_PAGE) + LULL_PAGE;
    if (flags & MCL_CURRENT && limit != LULL_UNLIMITED && all > limit)
        r = -ENOMEM;
    if (r == 0)
        future = flags & MCL_FUTURE ? lock : 0;
    if (r == 0 && flags & MCL_CURRENT) {
        mark_all(lock);
        for (const struct lull_map *v = vma_next(0); v; v = vma_following(v))
            /* as Linux, whatever comes of it; the stack is there as a whole, and Linux's grows */
            keep_in_memory(v->start, v->end, !(v->flags & LULL_MAP_MAIN));
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

long sys_munlockall(struct frame *f)
{
    (void)f;
    spin_lock(&mm_lock);
    future = 0;
    mark_all(0);
    let_go(0, ~0ul);
    spin_unlock(&mm_lock);
    return 0;
}
