/* SPDX-License-Identifier: MIT */
/*
 * Windows: shared mappings of files, of anonymous memory and of System V segments. The proxy maps
 * them at the same address, so the pages are those that other Linux processes see. They lie in a
 * region of their own, or where MAP_FIXED asks for it: in RAM, or far or low (far.c). Private
 * mappings in these three regions are windows, too, because only Linux has memory for these
 * addresses; those that are closed and anonymous have none until they are opened
 * (LULL_MAP_RESERVED).
 *
 * Pages behind a file's end have no translation (LULL_MAP_BEYOND): a fault there asks the proxy
 * whether the file has grown.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/futex.h"

#define FRUITLESS 8              /* times that no window was found that lacks memory, */
#define FRUITLESS_NS 100000000ul /* and no more than this between two of them */
#define SHM_RDONLY 010000u
#define SHM_REMAP 040000u
#define SHM_EXEC 0100000u

static bool in_near(u64 start, u64 end)
{
    return start >= LULL_WIN_BASE && end <= LULL_WIN_END && start <= end;
}

bool in_windows(u64 start, u64 end)
{
    return in_near(start, end) || in_far(start, end);
}

i64 window_call(u64 op, u64 start, u64 len, u64 a3, u64 a4, u64 a5)
{
    u64 arg[6] = {op, start, len, a3, a4, a5};
    return proxy_call6(LULL_OP_WINDOW, arg);
}

bool window_only(u64 start, u64 end)
{
    return start >= LULL_WIN_BASE || (end <= LULL_RAM_BASE && !in_image(start, end));
}

/* 0: a mapping may begin there. Below LULL_LOW_BASE -EPERM as on Linux, or -ENOSYS if Linux would
   permit it to this process: there NULL pointers fault. */
long window_floor(u64 start)
{
    if (start >= LULL_LOW_BASE)
        return 0;
    long r = window_call(LULL_WIN_FAR, start, LULL_PAGE, 0, 0, 0);
    return r == -ENOSYS ? refuse(NR_mmap) : r;
}

/* The stubs of a program at low addresses: calls that were rewritten jump there. */
static bool over_stubs(u64 start, u64 end)
{
    const struct lull_boot *b = boot_info();
    return start < b->stub_end && b->stub_start < end && end <= LULL_RAM_BASE;
}

static bool is_free(u64 start, u64 end)
{
    const struct lull_map *m = vma_next(start);
    return end > start && (!m || m->start >= end);
}

/* The same, and nothing that grows down comes too near. */
static bool has_room(u64 start, u64 end)
{
    const struct lull_map *m = vma_next(start);
    return end > start && (!m || vma_guarded_start(m) >= end);
}

/* Memory behind windows at [start, end): extents, or blocks of RAM; not if they are `reserved`,
   mere addresses. */
static long window_need(u64 start, u64 end, bool reserved)
{
    if (end < start)
        return -ENOMEM;
    if (start >= LULL_FAR_BASE)
        return end > LULL_FAR_END ? -ENOMEM : reserved ? 0 : far_need(start, end);
    if (end <= LULL_RAM_BASE)
        return over_stubs(start, end) ? -ENOMEM : reserved ? 0 : far_need(start, end);
    if (start >= LULL_WIN_BASE)
        return end <= LULL_WIN_END ? 0 : -ENOMEM;
    return in_ram(start, end) && blocks_prepare(start, end, false) == 0 ? 0 : -ENOMEM;
}

/* Far away, not where this or that turns out to be Linux's. */
static long far_place(u64 len, u64 align, bool reserved, u64 *out)
{
    const u64 step = 4ul << 40;
    u64 from = LULL_FAR_BASE;
    for (int tries = 0; tries < 24; tries++, from = ALIGN_DOWN(*out, step) + step) {
        *out = vma_gap(from, LULL_FAR_END, len, max_u64(align, LULL_HUGE));
        if (!*out)
            break;
        if (window_need(*out, *out + len, reserved) == 0)
            return 0;
    }
    return -ENOMEM;
}

/* MAP_32BIT: in the first 2 GiB, where Linux looks for room too. */
static long low_place(u64 hint, u64 len, u64 align, bool reserved, u64 *out)
{
    const u64 from = 1ul << 30, end = 1ul << 31;
    if (hint && hint + len <= end && len <= end && has_room(hint, hint + len))
        *out = hint;
    else
        *out = vma_gap(from, end, len, max_u64(align, LULL_PAGE));
    return *out ? window_need(*out, *out + len, reserved) : -ENOMEM;
}

/* window_place(); `reserved`: no memory is wanted there yet. */
static long place(u64 hint, u64 len, u32 flags, u64 align, bool reserved, u64 *out)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (hint & ((align ? align : LULL_PAGE) - 1))
            return -EINVAL;
        long r = window_floor(hint);
        if (r)
            return r;
        if (!window_only(hint, hint + len)) {
            r = mm_place(hint, len, flags, out);
            return r ? r : window_need(hint, hint + len, reserved);
        }
        if (flags & MAP_FIXED_NOREPLACE && hint + len > hint && !is_free(hint, hint + len))
            return -EEXIST;
        *out = hint;
        return window_need(hint, hint + len, reserved);
    }
    hint = ALIGN_UP(mm_hint(hint), align ? align : LULL_PAGE);
    if (flags & MAP_32BIT)
        return low_place(hint, len, align, reserved, out);
    if (hint && (align || window_only(hint, hint + len)) && has_room(hint, hint + len) &&
        window_need(hint, hint + len, reserved) == 0) {
        *out = hint;
        return 0;
    }
    if (!align)
        align = len >= LULL_HUGE ? LULL_HUGE : LULL_PAGE;
    *out = vma_gap(LULL_WIN_BASE, LULL_WIN_END, len, align);
    return *out ? 0 : far_place(len, align, reserved, out);
}

long window_place(u64 hint, u64 len, u32 flags, u64 align, u64 *out)
{
    return place(hint, len, flags, align, false, out);
}

/* Where a window that is moved may go: by hint, or anywhere. */
long window_find(u64 hint, u64 len, u32 flags, u64 *out)
{
    return place(hint, len, 0, 0, flags & LULL_MAP_RESERVED, out);
}

long window_open(struct lull_map m, u64 answer)
{
    u64 covered = min_u64(ALIGN_UP(answer & LULL_WIN_BYTES, LULL_PAGE), m.end - m.start);
    m.flags |= LULL_MAP_WINDOW | (answer & LULL_WIN_READONLY ? LULL_MAP_READONLY : 0);
    m.file = (u32)(answer >> LULL_WIN_FILE_SHIFT) & LULL_FILE_MAX;
    struct lull_map beyond = vma_piece(&m, m.start + covered, m.end);
    beyond.flags |= LULL_MAP_BEYOND;
    m.end = beyond.start;
    vma_change_begin();
    rewrite_forget(m.start, beyond.end);
    vma_remove(m.start, beyond.end);
    if (m.end > m.start)
        vma_insert(m);
    if (beyond.end > beyond.start)
        vma_insert(beyond);
    vma_change_end();
    robust_list_tell();
    pt_unmap(beyond.start, beyond.end);
    if (!m.prot || m.end == m.start) {
        pt_unmap(m.start, m.end);
        return 0;
    }
    if (pt_map(m.start, m.end, m.prot) == 0)
        return 0;
    mm_unmap(m.start, beyond.end);
    return -ENOMEM;
}

/* Addresses alone, for a mapping that is not open. */
static void window_reserve(struct lull_map m)
{
    mm_unmap(m.start, m.end);
    m.flags |= LULL_MAP_WINDOW | LULL_MAP_PRIVATE | LULL_MAP_RESERVED;
    vma_insert(m);
}

long window_new(const struct frame *f, u64 hint, u32 flags, u64 len, u32 prot, u64 *out)
{
    bool droppable = (flags & MAP_TYPE) == MAP_DROPPABLE;
    bool private = (flags & MAP_TYPE) == MAP_PRIVATE || droppable;
    bool reserved = private && !prot && flags & MAP_ANONYMOUS && !droppable;
    u64 fd = flags & MAP_ANONYMOUS ? ~0ul : (u64)(u32)f->r8;
    u64 offset = flags & MAP_ANONYMOUS ? 0 : f->r9;
    long r = vma_room(4) ? place(hint, len, flags, 0, reserved, out) : -ENOMEM;
    if (r == 0 && flags & MAP_FIXED && hugetlb_divides(*out, *out + len))
        r = -EINVAL;
    u32 kind = LULL_MAP_WINDOW | (private ? LULL_MAP_PRIVATE : 0) |
               (droppable ? LULL_MAP_DROPPABLE | LULL_MAP_WIPE | LULL_MAP_DONTDUMP : 0);
    kind |= flags & MAP_GROWSDOWN ? LULL_MAP_GROWS : 0;
    if (r == 0 && !mm_may_expand(flags & MAP_FIXED ? *out : 0, len, prot, kind))
        r = -ENOMEM;
    struct lull_map m = {.start = *out, .end = *out + len, .prot = prot, .offset = offset};
    m.flags = kind;
    if (r == 0 && reserved) {
        window_reserve(m);
    } else if (r == 0) {
        u32 huge = flags & MAP_HUGETLB && !(flags & MAP_ANONYMOUS) ? LULL_PROT_HUGETLB : 0;
        r = window_call(LULL_WIN_MAP, *out, len, fd, offset,
                        prot | huge | (private ? LULL_PROT_PRIVATE : 0) |
                            (droppable ? LULL_PROT_DROPPABLE : 0));
        if (r >= 0 && !(r & LULL_IS_HUGETLB))
            r = window_open(m, (u64)r);
        else if (r == -ENOSYS)
            refuse(NR_mmap);
    }
    return r;
}

long map_window(struct frame *f, u64 len, u32 prot, u64 *out)
{
    u32 flags = (u32)f->r10;
    mm_lock_unfilled(f->rdi, len, flags);
    long r = window_new(f, f->rdi, flags, len, prot, out);
    pt_flush();
    spin_unlock(&mm_lock);
    return r > 0 ? map_hugetlb(f, prot, r & 63, out) : r;
}

long window_back(u64 start, u64 end)
{
    long r = window_need(start, end, false);
    if (r)
        return r;
    r = window_call(LULL_WIN_MAP, start, end - start, ~0ul, 0, LULL_PROT_PRIVATE);
    return r < 0 ? r : 0;
}

void window_unmap(const struct lull_map *m, u64 start, u64 end)
{
    if (m->flags & LULL_MAP_RESERVED)
        return;
    pt_flush(); /* before other memory comes there */
    window_call(LULL_WIN_UNMAP, start, end - start, 0, 0, 0);
    if (in_ram(start, end))
        blocks_mark_used(start, end);
}

long windows_sync(u64 start, u64 end, u64 how)
{
    for (const struct lull_map *m = vma_next(start); m && m->start < end; m = vma_next(m->end)) {
        if (!lull_map_shared(m))
            continue;
        u64 from = max_u64(start, m->start);
        long r = window_call(LULL_WIN_SYNC, from, min_u64(m->end, end) - from, how, 0, 0);
        if (r)
            return r;
    }
    return 0;
}

/*
 * A window, or a part of one, goes to `to` and has new_len bytes there; old_len 0: a second view of
 * it. What is mapped there goes. Pages are opened as they are touched, since the file may end
 * anywhere in them.
 */
long window_move(struct lull_map m, u64 old_len, u64 to, u64 new_len, bool stays)
{
    u64 end = m.start + old_len, start = m.start;
    bool reserved = m.flags & LULL_MAP_RESERVED;
    if (to != start || !old_len)
        mm_unmap(to, to + new_len);
    else if (new_len > old_len)
        mm_unmap(end, to + new_len);
    if (!old_len && start >= to && start < to + new_len)
        return -EFAULT; /* what was to be seen twice has just gone */
    if (!stays)
        pt_unmap(start, end);
    pt_flush();
    long r = window_need(to, to + new_len, reserved);
    if (r == 0 && !reserved)
        r = window_call(LULL_WIN_MOVE, start, old_len, to, new_len, stays);
    if (r) {
        for (struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v)) {
            if (v->prot && !(v->flags & LULL_MAP_BEYOND))
                pt_map(max_u64(v->start, start), min_u64(v->end, end), v->prot);
        }
        return r;
    }
    vma_change_begin();
    if (!stays && old_len)
        vma_remove(start, end);
    m.start = to;
    m.end = to + new_len;
    if (!reserved)
        m.flags |= LULL_MAP_BEYOND;
    vma_insert(m);
    if (stays && old_len) /* as Linux: what stays is not locked */
        lock_mark(start, end, 0);
    vma_change_end();
    if (!stays && old_len && to != start && in_ram(start, end))
        blocks_mark_used(start, end);
    return (long)to;
}

/* mremap(2) of a window that becomes longer, or is seen twice, where there is room for it. */
long window_remap(struct lull_map m, u64 old_len, u64 new_len, u32 flags)
{
    u64 end = m.start + new_len, at;
    bool reserved = m.flags & LULL_MAP_RESERVED;
    u64 limit = m.start >= LULL_FAR_BASE   ? LULL_FAR_END
                : m.start >= LULL_WIN_BASE ? LULL_WIN_END
                : m.start >= LULL_RAM_BASE ? boot_info()->ram_end
                                           : LULL_RAM_BASE;
    if (old_len && end <= limit && has_room(m.start + old_len, end) &&
        window_need(m.start, end, reserved) == 0)
        return window_move(m, old_len, m.start, new_len, false);
    if (!(flags & 1)) /* MREMAP_MAYMOVE */
        return -ENOMEM;
    long r = place(0, new_len, 0, 0, reserved, &at);
    return r ? r : window_move(m, old_len, at, new_len, false);
}

/* Some page may be read and not be written to, because its file system is full: pages are opened
   one by one, and for writing when they are written to. mm_lock */
static bool careful;

/* Pages of the mapping around addr that have memory become accessible. */
static bool window_extend(struct lull_map m, u64 addr, bool write)
{
    u64 start = ALIGN_DOWN(addr, map_page(&m)), end = m.end;
    if (careful && !LULL_MAP_PAGE(m.flags))
        return !window_call(LULL_WIN_PROBE, start, LULL_PAGE, write, 0, 0) &&
               !pt_map(start, start + LULL_PAGE, write ? m.prot : m.prot & ~PROT_WRITE);
    if (LULL_MAP_PAGE(m.flags)) { /* one at a time, because the pool may not have them all */
        end = start + map_page(&m);
        if (window_call(LULL_WIN_PROBE, start, end - start, write, 0, 0))
            return false;
    } else if (window_call(LULL_WIN_PROBE, start, end - start, 0, 0, 0)) {
        end = start + LULL_PAGE;
        if (window_call(LULL_WIN_PROBE, start, LULL_PAGE, 0, 0, 0))
            return false;
    }
    struct lull_map there = vma_piece(&m, start, end);
    there.flags &= ~LULL_MAP_BEYOND;
    if (!vma_room(2) || pt_map(start, end, m.prot))
        return false;
    vma_change_begin();
    vma_remove(start, end);
    vma_insert(there);
    vma_change_end();
    return true;
}

static void close_writable(void)
{
    vma_change_begin();
    for (struct lull_map *m = vma_next(0); m; m = vma_following(m)) {
        if (!(m->flags & LULL_MAP_WINDOW) || LULL_MAP_PAGE(m->flags) || !(m->prot & PROT_WRITE) ||
            m->flags & LULL_MAP_RESERVED)
            continue;
        pt_unmap(m->start, m->end);
        m->flags |= LULL_MAP_BEYOND;
    }
    vma_change_end();
}

/* True if accesses fail again and again though every window is whole. */
static bool fails_to_write(bool whole)
{
    static unsigned times;
    static u64 last;
    u64 now = clock_mono();
    times = whole && now - last < FRUITLESS_NS ? times + 1 : 0;
    last = now;
    if (times < FRUITLESS)
        return false;
    times = 0;
    return true;
}

/* Windows that are not whole any more are opened anew, page by page, as they are touched. */
void windows_recheck(void)
{
    bool found = false;
    spin_lock(&mm_lock);
    for (struct lull_map *m = vma_next(0); m; m = vma_next(m->end)) {
        /* Huge pages are not looked at, because that would take some from the pool. */
        u32 whole = LULL_MAP_WINDOW | LULL_MAP_BEYOND | LULL_MAP_RESERVED | LULL_MAP_GUARD;
        if ((m->flags & whole) != LULL_MAP_WINDOW)
            continue;
        if (!LULL_MAP_PAGE(m->flags) &&
            !window_call(LULL_WIN_PROBE, m->start, m->end - m->start, 0, 0, 0))
            continue;
        pt_unmap(m->start, m->end);
        vma_change_begin();
        m->flags |= LULL_MAP_BEYOND;
        vma_change_end();
        found |= !LULL_MAP_PAGE(m->flags);
    }
    if (fails_to_write(!found)) {
        careful = true;
        close_writable();
    }
    pt_flush();
    spin_unlock(&mm_lock);
}

bool window_fault(u64 addr, u64 err)
{
    u32 want = err & 16 ? PROT_EXEC : err & 2 ? PROT_WRITE : PROT_READ;
    bool ok = false;
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(addr);
    u32 both = LULL_MAP_WINDOW | LULL_MAP_BEYOND;
    if (m && (m->flags & both) == both && m->prot & want)
        ok = window_extend(*m, addr, want == PROT_WRITE);
    pt_flush();
    spin_unlock(&mm_lock);
    return ok;
}

/* ---- System V ---- */

/*
 * Where a segment of `len` bytes may go that has pages of `page` bytes, if Linux has it in huge
 * pages: then it takes *room bytes. At no multiple of a larger page, so that Linux does not round
 * the length up further than that.
 */
static long shm_place(u64 len, u32 flags, u64 page, u64 *at, u64 *room)
{
    if (*at) {
        u32 place = flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
        long r = window_place(*at, len, place, 0, at);
        const struct lull_map *next = vma_next(*at);
        bool replace = flags & SHM_REMAP && in_windows(*at, *at + len);
        u64 end = !next || replace ? LULL_WIN_END : next->start;
        *room = in_windows(*at, *at + len) && end > *at + len ? min_u64(end - *at, 1ul << 40) : len;
        if (!in_near(*at, *at + *room))
            *room = len;
        return r == -EEXIST ? -EINVAL : r;
    }
    *room = ALIGN_UP(len, page);
    long r = window_place(0, *room + page, 0, page, at);
    u64 above = page == LULL_PAGE ? LULL_HUGE : 1ul << 30;
    if (r == 0 && page < above && !(*at & (above - 1)))
        *at += page;
    return r;
}

/* Which pages the segment has only Linux knows, and it tells when it is attached. */
static long shm_map(u64 id, u64 len, u32 flags, u64 *at)
{
    static const u64 pages[] = {LULL_PAGE, LULL_HUGE, 1ul << 30};
    u64 hint = *at, room;
    i64 r = -EINVAL;
    for (u64 i = len % LULL_HUGE ? 0 : 1; i < 3; i++) {
        *at = hint;
        r = shm_place(len, flags, pages[i], at, &room);
        if (r == 0 && !mm_may_expand(flags & SHM_REMAP ? *at : 0, len, PROT_READ, LULL_MAP_WINDOW))
            r = -ENOMEM;
        if (r)
            return r;
        r = window_call(LULL_WIN_SHM, *at, len, id, flags & (SHM_RDONLY | SHM_EXEC), room);
        if (hint || (r != -EINVAL && r != -EAGAIN))
            break;
    }
    if (r < 0)
        return r == -EAGAIN ? -EINVAL : r;
    u32 shift = r & 63;
    len = shift ? ALIGN_UP(len, 1ul << shift) : len;
    struct lull_map m = {.start = *at, .end = *at + len, .flags = LULL_MAP_SHM};
    m.flags |= shift << LULL_MAP_PAGE_SHIFT;
    m.prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    return window_open(m, (u64)r & ~63ul);
}

long sys_shmat(struct frame *f)
{
    u32 flags = (u32)f->rdx;
    u64 at = f->rsi;
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return refuse(NR_shmat);
    if (flags & 020000 && at) /* SHM_RND */
        at = ALIGN_DOWN(at, LULL_PAGE);
    if (at & (LULL_PAGE - 1) || (flags & SHM_REMAP && !at))
        return -EINVAL;
    i64 size = window_call(LULL_WIN_SHMSIZE, 0, 0, f->rdi, 0, 0);
    if (size <= 0)
        return size ? size : -EINVAL;
    mm_lock_unfilled(at, (u64)size, at ? MAP_FIXED : 0);
    long r = vma_room(4) ? 0 : -ENOMEM;
    if (r == 0 && flags & SHM_REMAP && sealed_in(at, at + (u64)size))
        r = -EPERM;
    r = r ? r : shm_map(f->rdi, (u64)size, flags, &at);
    pt_flush();
    spin_unlock(&mm_lock);
    return r ? r : (long)at;
}

long sys_shmdt(struct frame *f)
{
    long r = -EINVAL;
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return refuse(NR_shmdt);
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(f->rdi);
    if (m && m->flags & LULL_MAP_SHM && m->offset == 0 && m->start == f->rdi) {
        u32 file = m->file;
        u64 end = m->end;
        /* protections may have split it */
        while ((m = vma_at(end)) && m->flags & LULL_MAP_SHM && m->file == file && m->offset)
            end = m->end;
        if (!sealed_in(f->rdi, end)) /* Linux says nothing of it either */
            mm_unmap(f->rdi, end);
        r = 0;
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

/* ---- remap_file_pages(2): Linux maps the file anew, and knows which one it is ---- */

static long remap_pages(u64 start, u64 end, u64 page)
{
    const struct lull_map *v = vma_at(start);
    if (!v || !lull_map_shared(v) || LULL_MAP_PAGE(v->flags))
        return v && LULL_MAP_PAGE(v->flags) ? refuse(NR_remap_file_pages) : -EINVAL;
    const u32 state = LULL_MAP_BEYOND;
    struct lull_map m = vma_piece(v, start, end);
    for (u64 at = v->end; at < end; at = v->end) {
        v = vma_at(at);
        if (!v || v->file != m.file || v->prot != m.prot || (v->flags ^ m.flags) & ~state)
            return -EINVAL;
    }
    if (sealed_in(start, end))
        return -EPERM;
    if (guard_in(start, end))
        return refuse(NR_remap_file_pages);
    if (!vma_room(2))
        return -ENOMEM;
    pt_unmap(start, end);
    pt_flush();
    m.offset = page * LULL_PAGE;
    long r = window_call(LULL_WIN_REMAP, start, end - start, page, 0, 0);
    vma_change_begin();
    if (r == 0)
        vma_replace(m);
    /* pages are opened as they are touched */
    for (struct lull_map *was = vma_next(start); was && was->start < end; was = vma_next(was->end))
        was->flags |= LULL_MAP_BEYOND;
    vma_change_end();
    return r;
}

long sys_remap_file_pages(struct frame *f)
{
    u64 start = ALIGN_DOWN(f->rdi, LULL_PAGE), size = ALIGN_DOWN(f->rsi, LULL_PAGE);
    u64 page = f->r10;
    if (f->rdx || start + size <= start || page + size / LULL_PAGE < page)
        return -EINVAL;
    spin_lock(&mm_lock);
    long r = remap_pages(start, start + size, page);
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}
