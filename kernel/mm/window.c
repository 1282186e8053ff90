/* SPDX-License-Identifier: MIT */
/*
 * Windows: shared mappings of files, of anonymous memory and of System V segments. The proxy maps
 * them at the same address, so the pages are those that other Linux processes see. They lie in a
 * region of their own, or where MAP_FIXED asks for it: in RAM, or far (far.c).
 *
 * Pages behind a file's end have no translation (LULL_MAP_BEYOND): a fault there asks the proxy
 * whether the file has grown.
 */
#include "kernel.h"
#include "mm/mm.h"

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

/* The program's wish may be met: the range is free. */
static bool window_free(u64 start, u64 len)
{
    u64 end = start + len;
    const struct lull_map *m = vma_next(start);
    return end > start && (!m || m->start >= end) &&
           (in_windows(start, end) || (in_ram(start, end) && !blocks_prepare(start, end, false)));
}

long window_place(u64 hint, u64 len, u32 flags, u64 align, u64 *out)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (hint & ((align ? align : LULL_PAGE) - 1))
            return -EINVAL;
        if (hint >= LULL_FAR_BASE) {
            long r = far_need(hint, hint + len);
            if (r)
                return r;
        } else if (!in_windows(hint, hint + len) || hint + len < hint) {
            long r = mm_place(hint, len, flags, out);
            if (r)
                return r;
            return in_ram(hint, hint + len) && blocks_prepare(hint, hint + len, false) == 0
                       ? 0
                       : -ENOMEM;
        }
        struct lull_map *m = vma_next(hint);
        if (flags & MAP_FIXED_NOREPLACE && m && m->start < hint + len)
            return -EEXIST;
        *out = hint;
        return 0;
    }
    if (align && hint && window_free(ALIGN_UP(hint, align), len)) {
        *out = ALIGN_UP(hint, align);
        return 0;
    }
    if (!align)
        align = len >= LULL_HUGE ? LULL_HUGE : LULL_PAGE;
    *out = vma_gap(LULL_WIN_BASE, LULL_WIN_END, len, align);
    return *out ? 0 : -ENOMEM;
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

long map_window(struct frame *f, u64 len, u32 prot, u64 *out)
{
    u32 flags = (u32)f->r10;
    u64 fd = flags & MAP_ANONYMOUS ? ~0ul : (u64)(u32)f->r8;
    u64 offset = flags & MAP_ANONYMOUS ? 0 : f->r9;
    spin_lock(&mm_lock);
    long r = vma_room(4) ? window_place(f->rdi, len, flags, 0, out) : -ENOMEM;
    if (r == 0 && flags & MAP_FIXED && hugetlb_divides(*out, *out + len))
        r = -EINVAL;
    if (r == 0 && !mm_may_expand(flags & MAP_FIXED ? *out : 0, len, prot, LULL_MAP_WINDOW))
        r = -ENOMEM;
    if (r == 0) {
        u32 huge = flags & MAP_HUGETLB && !(flags & MAP_ANONYMOUS) ? LULL_PROT_HUGETLB : 0;
        r = window_call(LULL_WIN_MAP, *out, len, fd, offset, prot | huge);
        struct lull_map m = {.start = *out, .end = *out + len, .prot = prot, .offset = offset};
        if (r >= 0 && !(r & LULL_IS_HUGETLB))
            r = window_open(m, (u64)r);
        else if (r == -ENOSYS)
            refuse(9);
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r > 0 ? map_hugetlb(f, prot, r & 63, out) : r;
}

void window_unmap(u64 start, u64 end)
{
    pt_flush(); /* before other memory comes there */
    window_call(LULL_WIN_UNMAP, start, end - start, 0, 0, 0);
    if (in_ram(start, end))
        blocks_mark_used(start, end);
}

long window_each(u64 start, u64 end, u64 op, u64 arg)
{
    for (u64 at = start; at < end;) {
        struct lull_map *m = vma_next(at);
        if (!m || m->start >= end)
            break;
        u64 from = max_u64(at, m->start), to = min_u64(m->end, end);
        if (m->flags & LULL_MAP_WINDOW) {
            long r = window_call(op, from, to - from, arg, 0, 0);
            if (r)
                return r;
        } else if (op == LULL_WIN_REMOVE) {
            return -EINVAL;
        }
        at = to;
    }
    return 0;
}

long window_remap(struct lull_map m, u64 old_len, u64 new_len, u32 flags)
{
    u64 at;
    if (new_len <= old_len) {
        if (new_len < old_len)
            mm_unmap(m.start + new_len, m.start + old_len);
        return (long)m.start;
    }
    if (!(flags & 1)) /* MREMAP_MAYMOVE */
        return -ENOMEM;
    if (!mm_may_expand(0, new_len - old_len, m.prot, m.flags))
        return -ENOMEM;
    long r = window_place(0, new_len, 0, 0, &at);
    if (r)
        return r;
    pt_unmap(m.start, m.start + old_len);
    pt_flush();
    r = window_call(LULL_WIN_MOVE, m.start, old_len, at, new_len, 0);
    if (r) {
        if (m.prot && !(m.flags & LULL_MAP_BEYOND))
            pt_map(m.start, m.start + old_len, m.prot);
        return r;
    }
    vma_remove(m.start, m.start + old_len);
    /* page by page as they are touched: how much of it the file covers now is not known */
    m.start = at;
    m.end = at + new_len;
    m.flags |= LULL_MAP_BEYOND;
    vma_insert(m);
    return (long)at;
}

/* Pages of the mapping around addr that have memory become accessible. */
static bool window_extend(struct lull_map m, u64 addr, bool write)
{
    u64 start = ALIGN_DOWN(addr, map_page(&m)), end = m.end;
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

/* Windows that are not whole any more are opened anew, page by page, as they are touched. */
void windows_recheck(void)
{
    spin_lock(&mm_lock);
    for (struct lull_map *m = vma_next(LULL_RAM_BASE); m; m = vma_next(m->end)) {
        /* Huge pages are not looked at, because that would take some from the pool. */
        if ((m->flags & (LULL_MAP_WINDOW | LULL_MAP_BEYOND)) != LULL_MAP_WINDOW)
            continue;
        if (!LULL_MAP_PAGE(m->flags) &&
            !window_call(LULL_WIN_PROBE, m->start, m->end - m->start, 0, 0, 0))
            continue;
        pt_unmap(m->start, m->end);
        vma_change_begin();
        m->flags |= LULL_MAP_BEYOND;
        vma_change_end();
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
        return refuse(30);
    if (flags & 020000 && at) /* SHM_RND */
        at = ALIGN_DOWN(at, LULL_PAGE);
    if (at & (LULL_PAGE - 1) || (flags & SHM_REMAP && !at))
        return -EINVAL;
    i64 size = window_call(LULL_WIN_SHMSIZE, 0, 0, f->rdi, 0, 0);
    if (size <= 0)
        return size ? size : -EINVAL;
    spin_lock(&mm_lock);
    long r = vma_room(4) ? shm_map(f->rdi, (u64)size, flags, &at) : -ENOMEM;
    pt_flush();
    spin_unlock(&mm_lock);
    return r ? r : (long)at;
}

long sys_shmdt(struct frame *f)
{
    long r = -EINVAL;
    if (!(boot_info()->flags & LULL_BOOT_F_WINDOWS))
        return refuse(67);
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(f->rdi);
    if (m && m->flags & LULL_MAP_SHM && m->offset == 0 && m->start == f->rdi) {
        u32 file = m->file;
        u64 end = m->end;
        /* protections may have split it */
        while ((m = vma_at(end)) && m->flags & LULL_MAP_SHM && m->file == file && m->offset)
            end = m->end;
        mm_unmap(f->rdi, end);
        r = 0;
    }
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}
