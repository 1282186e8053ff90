/* SPDX-License-Identifier: MIT */
/* mmap(2), munmap(2), mprotect(2). Each call decodes and checks first, then acts under mm_lock. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"
#include "sys/sys.h"

#define F_GETFL 3u
#define O_PATH 010000000
#define GROW_ROOM (8ul << 20) /* bytes below a mapping that may grow */

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
        flags |= LULL_MAP_STALE;
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
    vma_insert((struct lull_map){.start = start,
                                 .end = end,
                                 .prot = prot,
                                 .flags = flags,
                                 .policy = policy_placed(start, end)});
    return 0;
}

/* Takes away whatever is mapped in the range; the caller flushes. Under mm_lock. */
void mm_unmap(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct lull_map *v = vma_next(at);
        if (!v || v->start >= end)
            break;
        u64 from = max_u64(v->start, start), to = min_u64(v->end, end);
        bool data = v->prot || v->flags & MEMORY_STATE;
        bool discard = IS_LAZY(v->flags) && data && blocks_lazy(from, to);
        if (v->prot & PROT_EXEC)
            rewrite_forget(from, to);
        if (!(v->flags & LULL_MAP_RESERVED))
            pt_unmap(from, to);
        policy_forget(v, from, to);
        if (v->flags & LULL_MAP_WINDOW)
            window_unmap(v, from, to);
        if (discard) {
            pt_flush();
            blocks_discard(from, to);
        }
        at = to;
    }
    vma_remove(start, end);
}

bool in_image(u64 start, u64 end)
{
    const struct lull_boot *b = boot_info();
    return b->nsegments && start >= b->segment[0].start && end <= b->stub_end && start <= end;
}

bool mm_fixed_ok(u64 start, u64 end)
{
    return in_ram(start, end) || (in_image(start, end) && end <= boot_info()->stub_start);
}

u64 mm_hint(u64 hint)
{
    hint = ALIGN_DOWN(hint, LULL_PAGE);
    return hint && hint < LULL_LOW_BASE ? LULL_LOW_BASE : hint;
}

long mm_place(u64 hint, u64 len, u32 flags, u64 *out)
{
    const struct lull_boot *b = boot_info();
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (hint & (LULL_PAGE - 1))
            return -EINVAL;
        if (hint + len < hint || !mm_fixed_ok(hint, hint + len))
            return -ENOMEM;
        if (flags & MAP_FIXED_NOREPLACE) {
            struct lull_map *v = vma_next(hint);
            if (v && v->start < hint + len)
                return -EEXIST;
        }
        *out = hint;
        return 0;
    }
    if (flags & MAP_32BIT)
        return -ENOMEM;
    hint = mm_hint(hint);
    if (hint && hint + len > hint && in_ram(hint, hint + len)) {
        struct lull_map *v = vma_next(hint);
        if (!v || vma_guarded_start(v) >= hint + len) {
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

long map_anonymous(u64 hint, u64 len, u32 prot, u32 flags, u64 *out)
{
    u32 vflags = flags & MAP_GROWSDOWN ? LULL_MAP_GROWS : 0;
    if (flags & MAP_STACK)
        vflags |= LULL_MAP_STACK;
    else if ((flags & MAP_NORESERVE && prot) || boot_info()->numa.first_touch)
        vflags |= LULL_MAP_LAZY;
    /* Linux goes down from the top with new mappings, so there is room below them. */
    u64 below = flags & MAP_GROWSDOWN && !hint ? GROW_ROOM : 0;
    spin_lock(&mm_lock);
    long r = mm_place(hint, len + below, flags, out);
    *out += r ? 0 : below;
    if (r == 0 && !mm_may_expand(flags & MAP_FIXED ? *out : 0, len, prot, vflags))
        r = -ENOMEM;
    if (r == 0) {
        if (flags & MAP_FIXED && hugetlb_divides(*out, *out + len))
            r = -EINVAL;
        else if (flags & MAP_FIXED) {
            mm_unmap(*out, *out + len);
            pt_flush();
        }
        r = r ? r : mm_map(*out, *out + len, prot, vflags);
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

/* A private mapping among the windows: where it has to be, or where it may be as well. */
static bool among_windows(u64 hint, u64 len, u32 flags)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        return window_only(hint, hint + len);
    if (flags & MAP_32BIT)
        return true;
    hint = mm_hint(hint);
    u64 end = hint + len;
    bool there = hint >= LULL_FAR_BASE ? end <= LULL_FAR_END : hint && end <= LULL_RAM_BASE;
    if (!there || !boot_info()->far_size)
        return false;
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_next(hint);
    bool free = !m || vma_guarded_start(m) >= end;
    spin_unlock(&mm_lock);
    return free;
}

/* vm.overcommit_memory is 1: Linux gives memory as it is touched, however much is mapped. */
static bool overcommits(void)
{
    u64 arg[6] = {LULL_LIMIT_OVERCOMMIT};
    return forward_raw(LULL_NR_LIMIT, arg) == 1;
}

static long map_by_kind(struct frame *f, u64 len, u32 prot)
{
    u32 flags = (u32)f->r10;
    bool windows = boot_info()->flags & LULL_BOOT_F_WINDOWS;
    bool anonymous = flags & MAP_ANONYMOUS, droppable = (flags & MAP_TYPE) == MAP_DROPPABLE;
    bool private = (flags & MAP_TYPE) == MAP_PRIVATE || droppable;
    u64 at = 0;
    bool huge = anonymous && flags & MAP_HUGETLB;
    long r;
    bool low = window_only(f->rdi, f->rdi + len) ? flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)
                                                 : flags & MAP_32BIT && !(flags & MAP_FIXED);
    if (!windows && (huge || low))
        r = refuse(NR_mmap);
    else if (huge)
        r = (r = hugetlb_default(flags)) < 0 ? r : map_hugetlb(f, prot, (u32)r, &at);
    else if (droppable && !windows)
        r = refuse(NR_mmap);
    else if (windows && (!private || droppable || among_windows(f->rdi, len, flags)))
        r = map_window(f, len, prot, &at);
    else if (anonymous)
        r = map_anonymous(f->rdi, len, prot, flags, &at);
    else if (private)
        r = map_private_file(f, len, prot, &at);
    else
        r = refuse(NR_mmap); /* a shared file mapping, and the engine has no windows */
    bool again = r == -ENOMEM && private && anonymous && !huge && !droppable &&
                 !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
    if (again && prot && !(flags & MAP_NORESERVE) && overcommits()) {
        flags |= MAP_NORESERVE;
        r = map_anonymous(f->rdi, len, prot, flags, &at);
        if (r == 0 && this_core()->kcount[LULL_K_NOMEM])
            this_core()->kcount[LULL_K_NOMEM]--; /* it was not refused */
    }
    /* What RAM has no addresses for goes far away if it is addresses alone, or if Linux may give
       memory as it is touched. */
    if (again && r == -ENOMEM && windows && (!prot || flags & MAP_NORESERVE))
        r = map_window(f, len, prot, &at);
    return r ? r : (long)at;
}

/* What Linux says before it looks at the file (mm/mmap.c), but for the descriptor. */
static long mmap_check(const struct frame *f, u64 len, u32 flags)
{
    u32 type = flags & MAP_TYPE;
    bool anonymous = flags & MAP_ANONYMOUS, huge = anonymous && flags & MAP_HUGETLB;
    if (!f->rsi)
        return -EINVAL;
    if (!huge && (!len || len > LULL_USER_END))
        return -ENOMEM;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (f->rdi > LULL_USER_END - len)
            return -ENOMEM;
        if (f->rdi & (LULL_PAGE - 1))
            return -EINVAL;
    }
    bool droppable = type == MAP_DROPPABLE && anonymous;
    if (droppable && flags & (MAP_LOCKED | MAP_HUGETLB | MAP_GROWSDOWN))
        return -EINVAL;
    if (type != MAP_PRIVATE && type != MAP_SHARED && !droppable &&
        (type != MAP_SHARED_VALIDATE || anonymous))
        return -EINVAL;
    if (type == MAP_SHARED_VALIDATE && flags & ~MAP_KNOWN)
        return -EOPNOTSUPP;
    return flags & MAP_GROWSDOWN && (!anonymous || huge || type != MAP_PRIVATE) ? -EINVAL : 0;
}

/* What other calls have said of new mappings, and of those that a fixed one replaces. */
static long may_map(const struct frame *f, u64 len, u32 flags, u32 *lock)
{
    long r = lock_may_map(len, flags & MAP_LOCKED, lock);
    spin_lock(&mm_lock);
    if (r == 0 && vma_full(0))
        r = -ENOMEM;
    if (r == 0 && flags & MAP_FIXED && sealed_in(f->rdi, f->rdi + len))
        r = -EPERM;
    spin_unlock(&mm_lock);
    return r;
}

static bool bad_descriptor(u64 fd)
{
    u64 arg[6] = {fd, F_GETFL};
    long r = forward_raw(NR_fcntl, arg);
    return r == -EBADF || (r >= 0 && r & O_PATH);
}

long sys_mmap(struct frame *f)
{
    u64 len = ALIGN_UP(f->rsi, LULL_PAGE);
    u32 prot = (u32)f->rdx & PROT_ANY, flags = (u32)f->r10;
    if (f->r9 & (LULL_PAGE - 1))
        return -EINVAL;
    u32 lock = 0;
    long r = mmap_check(f, len, flags);
    if (r == 0 && flags & MAP_FIXED)
        aio_settle(f->rdi, len);
    if (r == 0)
        r = may_map(f, len, flags, &lock);
    if (r == 0)
        r = map_by_kind(f, len, prot);
    bool populate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE;
    if (r > 0 && (lock || populate)) {
        spin_lock(&mm_lock);
        lock_mapped((u64)r, (u64)r + len, lock);
        if (populate) /* as Linux, whatever comes of it */
            mm_populate((u64)r, (u64)r + len,
                        prot & PROT_WRITE && (flags & MAP_TYPE) == MAP_PRIVATE);
        pt_flush();
        spin_unlock(&mm_lock);
    }
    /* Linux looks at the descriptor first, this kernel where nothing else is wrong. */
    return r < 0 && !(flags & MAP_ANONYMOUS) && bad_descriptor(f->r8) ? -EBADF : r;
}

bool mm_range_decode(u64 start, u64 len, u64 *end)
{
    *end = start + ALIGN_UP(len, LULL_PAGE);
    return !(start & (LULL_PAGE - 1)) && ALIGN_UP(len, LULL_PAGE) >= len && *end >= start &&
           *end <= LULL_USER_END;
}

/* munmap(2) of the range leaves both ends of a mapping. */
static bool splits(u64 start, u64 end)
{
    const struct lull_map *v = vma_at(start);
    return v && v->start < start && v->end > end;
}

long sys_munmap(struct frame *f)
{
    u64 end;
    if (!f->rsi || !mm_range_decode(f->rdi, f->rsi, &end))
        return -EINVAL;
    aio_settle(f->rdi, end - f->rdi);
    spin_lock(&mm_lock);
    long r = sealed_in(f->rdi, end)               ? -EPERM
             : hugetlb_divides(f->rdi, end)       ? -EINVAL
             : splits(f->rdi, end) && vma_full(0) ? -ENOMEM
                                                  : 0;
    if (r == 0)
        mm_unmap(f->rdi, end);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

long mm_protect(struct lull_map v, u64 from, u64 to, u32 prot)
{
    bool window = v.flags & LULL_MAP_WINDOW;
    if (window && prot & PROT_WRITE && v.flags & LULL_MAP_READONLY)
        return -EACCES;
    if (!mm_may_become_data(&v, to - from, prot))
        return -ENOMEM;
    if (prot && !window && in_ram(from, to) && blocks_prepare(from, to, IS_LAZY(v.flags)))
        return -ENOMEM;
    if (prot && !window && v.policy)
        policy_apply(from, to, v.policy >> 16, 0); /* huge pages may have come in their place */
    if (prot && v.flags & LULL_MAP_RESERVED) {
        long r = window_back(from, to);
        if (r)
            return r;
        v.flags &= ~LULL_MAP_RESERVED;
    }
    bool zero = prot && v.flags & LULL_MAP_STALE;
    if (v.flags & LULL_MAP_BEYOND)
        pt_unmap(from, to);
    else if (pt_map(from, to, zero ? prot | PROT_WRITE : prot))
        return -ENOMEM;
    if (zero) {
        memset((void *)from, 0, to - from);
        if (!(prot & PROT_WRITE))
            pt_map(from, to, prot);
    }
    if (prot && !window)
        blocks_mark_used(from, to);
    struct lull_map m = vma_piece(&v, from, to);
    m.prot = prot;
    if (prot)
        m.flags &= ~MEMORY_STATE;
    else if (v.prot)
        m.flags |= LULL_MAP_TOUCHED;
    vma_replace(m);
    return 0;
}

/* Pages behind a file's end, and guard pages: which signal an access raises depends on the
   rights. */
static long protect_closed(struct lull_map m, u32 prot)
{
    if (prot & PROT_WRITE && m.flags & LULL_MAP_READONLY)
        return -EACCES;
    m.flags = (m.flags & ~LULL_MAP_BEYOND_PROT) | prot << LULL_MAP_BEYOND_SHIFT;
    vma_replace(m);
    return 0;
}

/* PROT_GROWSDOWN: from the beginning of a mapping that grows. */
static long protect_from(u64 *start, u64 end)
{
    const struct lull_map *v = vma_next(*start);
    if (!v || v->start >= end)
        return -ENOMEM;
    if (!(v->flags & (LULL_MAP_MAIN | LULL_MAP_GROWS)))
        return -EINVAL;
    *start = v->start;
    return 0;
}

long sys_mprotect(struct frame *f)
{
    u64 start = f->rdi, end;
    u32 prot = (u32)f->rdx;
    bool down = prot & PROT_GROWSDOWN;
    prot &= ~PROT_GROWSDOWN;
    if (prot & ~PROT_ANY)
        return -EINVAL; /* PROT_GROWSUP too: on x86 no stack does */
    if (!mm_range_decode(start, f->rsi, &end))
        return start & (LULL_PAGE - 1) ? -EINVAL : -ENOMEM;
    long r = 0;
    spin_lock(&mm_lock);
    if (!vma_room(3))
        r = -ENOMEM;
    else if (down && start < end)
        r = protect_from(&start, end);
    for (u64 at = start; r == 0 && at < end;) {
        struct lull_map *v = vma_at(at);
        if (!v) {
            r = -ENOMEM; /* as Linux: what came before the hole is changed */
            break;
        }
        u64 to = min_u64(v->end, end);
        bool window = v->flags & LULL_MAP_WINDOW;
        if (v->flags & LULL_MAP_SEALED)
            r = -EPERM;
        else if (v->flags & LULL_MAP_GUARD || (v->flags & LULL_MAP_BEYOND && !window))
            r = protect_closed(vma_piece(v, at, to), prot);
        else if (v->prot != prot && hugetlb_divides(at, to))
            r = -EINVAL;
        else if (v->prot != prot)
            r = mm_protect(*v, at, to, prot);
        at = to;
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}
