/* SPDX-License-Identifier: MIT */
/*
 * A private mapping of a file is a copy of it, made when it is mapped: no page is ever missing
 * afterwards. The proxy copies; until it is done the range is held, so that no other thread's mmap
 * finds it free. Large files are windows instead: what is not touched costs nothing, and other
 * processes share the page cache. So is what lies wholly behind the end of its file, which may
 * grow, and every mapping by a descriptor that can also write: the program may cut the file short
 * or write to it, and Linux shows that in pages that are not changed yet.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"

#define BYTES_MASK ((1ul << 40) - 1) /* of the answer to LULL_NR_MAP_FILE */

#define WINDOW_FROM (16ul << 20) /* bytes of a file: from here on a window */
#define ASK_FROM LULL_HUGE       /* bytes: from here on it is worth asking before memory is taken */

/*
 * Ranges that the proxy is copying to. No window may come there meanwhile, because the copy would
 * go on into its file. Nodes lie on the stacks of the threads that wait for their copies.
 */
static struct filling {
    u64 start, end;
    struct filling *next;
} * filling; /* mm_lock */

static void filling_begin(struct filling *f, u64 start, u64 end)
{
    *f = (struct filling){start, end, filling};
    filling = f;
}

static void filling_end(struct filling *f)
{
    struct filling **p = &filling;
    while (*p != f)
        p = &(*p)->next;
    *p = f->next;
}

static bool is_filling(u64 start, u64 end)
{
    for (const struct filling *f = filling; f; f = f->next) {
        if (f->start < end && start < f->end)
            return true;
    }
    return false;
}

void mm_lock_unfilled(u64 start, u64 len, u32 flags)
{
    spin_lock(&mm_lock);
    while (flags & MAP_FIXED && is_filling(start, start + len)) {
        spin_unlock(&mm_lock);
        thread_yield();
        spin_lock(&mm_lock);
    }
}

/* Reserves what is free in [start, end). */
static void hold(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct lull_map *m = vma_next(at);
        u64 to = m ? min_u64(m->start, end) : end;
        if (to > at)
            vma_insert((struct lull_map){.start = at, .end = to, .flags = LULL_MAP_HOLD});
        m = vma_next(to);
        at = m ? m->end : end;
    }
}

static void hold_end(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct lull_map *m = vma_next(at);
        if (!m || m->start >= end)
            return;
        u64 to = min_u64(m->end, end);
        if (m->flags & LULL_MAP_HOLD)
            vma_remove(max_u64(m->start, start), to);
        at = to;
    }
}

/* A copy that is made where a window lies would go into its file. */
static void windows_away(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        struct lull_map *m = vma_next(at);
        if (!m || m->start >= end)
            break;
        at = min_u64(m->end, end);
        if (m->flags & LULL_MAP_WINDOW)
            mm_unmap(max_u64(m->start, start), at);
    }
    pt_flush();
}

static bool any_window(u64 start, u64 end)
{
    for (const struct lull_map *m = vma_next(start); m && m->start < end; m = vma_next(m->end)) {
        if (m->flags & LULL_MAP_WINDOW)
            return true;
    }
    return false;
}

/* Memory for the first `covered` bytes, and the range is held. */
static int prepare(u64 hint, u64 len, u64 covered, u32 prot, u32 flags, u64 *out)
{
    long r = mm_place(hint, len, flags, out);
    if (r)
        return (int)r;
    if (!mm_may_expand(flags & MAP_FIXED ? *out : 0, len, prot, 0))
        return -ENOMEM;
    if (!vma_room(64)) /* for the holes and what becomes of them */
        return -ENOMEM;
    if (*out >= LULL_RAM_BASE && blocks_prepare(*out, *out + covered, false))
        return -ENOMEM;
    windows_away(*out, *out + len);
    hold(*out, *out + len);
    return 0;
}

/* Memory has the contents: rights, and nothing behind the file's last page. */
static int open_range(struct lull_map m, u64 covered)
{
    u64 middle = m.start + ALIGN_UP(covered, LULL_PAGE);
    struct lull_map beyond = vma_piece(&m, min_u64(middle, m.end), m.end);
    m.end = beyond.start;
    m.policy = policy_placed(m.start, m.end);
    beyond.prot = 0;
    beyond.flags = LULL_MAP_BEYOND | m.prot << LULL_MAP_BEYOND_SHIFT;
    vma_remove(m.start, beyond.end);
    pt_unmap(beyond.start, beyond.end);
    if (beyond.end > beyond.start)
        vma_insert(beyond);
    if (m.end == m.start)
        return 0;
    vma_insert(m);
    if (m.prot)
        return pt_map(m.start, m.end, m.prot);
    pt_unmap(m.start, m.end);
    return 0;
}

/*
 * What Linux says of the mapping, before anything is done for it: what a fixed mapping replaces
 * stays as it is if that fails. > 0: the bytes that the file covers, as far as is known.
 */
static long ask(const struct frame *f, u64 len, u32 prot)
{
    u32 flags = (u32)f->r10;
    u64 at;
    spin_lock(&mm_lock);
    long r = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? mm_place(f->rdi, len, flags, &at) : 0;
    bool wanted = len >= ASK_FROM || (flags & MAP_FIXED && any_window(f->rdi, f->rdi + len));
    spin_unlock(&mm_lock);
    if (r || !wanted)
        return r ? r : (long)len;
    u64 arg[6] = {f->r8, LULL_RAM_BASE, len, f->r9, prot | LULL_PROT_ASK};
    return forward_raw(LULL_NR_MAP_FILE, arg);
}

static long map_hugetlb_file(struct frame *f, u32 prot, long answer, u64 *out)
{
    return boot_info()->flags & LULL_BOOT_F_WINDOWS ? map_hugetlb(f, prot, answer & 63, out)
                                                    : refuse(NR_mmap);
}

/* As a window: where the program wants it, or among the windows. */
static long map_large_file(struct frame *f, u64 len, u32 prot, u64 *out)
{
    u32 flags = (u32)f->r10;
    u64 hint = mm_hint(f->rdi);
    mm_lock_unfilled(f->rdi, len, flags);
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        hint = f->rdi;
    else if (hint && mm_place(hint, len, 0, out) == 0 && *out == hint)
        flags |= MAP_FIXED;
    long r = window_new(f, hint, flags, len, prot, out);
    pt_flush();
    spin_unlock(&mm_lock);
    return r > 0 ? map_hugetlb_file(f, prot, r, out) : r;
}

long map_private_file(struct frame *f, u64 len, u32 prot, u64 *out)
{
    struct filling copy;
    u32 huge = (u32)f->r10 & MAP_HUGETLB ? LULL_PROT_HUGETLB : 0;
    long r = huge ? (long)len : ask(f, len, prot);
    if (r < 0)
        return r == -ENOSYS ? refuse(NR_mmap) : r;
    if (r & LULL_IS_HUGETLB)
        return map_hugetlb_file(f, prot, r, out);
    if (r & LULL_MAP_FILE_ZERO)
        return map_anonymous(f->rdi, len, prot, (u32)f->r10, out);
    u64 covered = min_u64(ALIGN_UP((u64)r, LULL_PAGE), len);
    bool windows = boot_info()->flags & LULL_BOOT_F_WINDOWS;
    if (windows && covered >= WINDOW_FROM && !huge)
        return map_large_file(f, len, prot, out);
    spin_lock(&mm_lock);
    r = prepare(f->rdi, len, covered, prot, (u32)f->r10, out);
    if (r == 0 && hugetlb_divides(*out, *out + len)) {
        hold_end(*out, *out + len);
        r = -EINVAL;
    }
    if (r == 0)
        filling_begin(&copy, *out, *out + covered);
    u32 live = windows && !r && !in_image(*out, *out + len) ? LULL_PROT_LIVE : 0;
    i64 page = r && windows ? window_call(LULL_WIN_HUGE, 0, 0, 0, f->r8 & 0xffffffff, 1) : 0;
    spin_unlock(&mm_lock);
    if (page > 0) /* there is no room for a copy, but none is needed */
        return map_hugetlb(f, prot, (u32)page, out);
    if (r)
        return r;
    u64 start = *out, end = start + len;
    u64 arg[6] = {f->r8, start, covered, f->r9, prot | huge | live};
    r = covered ? forward_raw(LULL_NR_MAP_FILE, arg) : 0; /* 0: nothing but pages beyond its end */
    spin_lock(&mm_lock);
    filling_end(&copy);
    vma_change_begin();
    hold_end(start, end);
    if (r >= 0 && r & LULL_IS_HUGETLB) {
        vma_change_end();
        spin_unlock(&mm_lock);
        return map_hugetlb_file(f, prot, r, out);
    }
    if (r >= 0 && r & LULL_MAP_FILE_LIVE) {
        vma_change_end();
        spin_unlock(&mm_lock);
        return map_large_file(f, len, prot, out);
    }
    blocks_mark_used(start, start + covered);
    if (r >= 0 && windows && !(r & BYTES_MASK)) {
        r = window_new(f, start, MAP_PRIVATE | MAP_FIXED, len, prot, out);
        r = r > 0 ? -EAGAIN : r; /* the descriptor is a file of huge pages by now */
    } else if (r >= 0) {
        rewrite_forget(start, end);
        struct lull_map m = {
            .start = start, .end = end, .prot = prot, .file = (u32)((u64)r >> 40), .offset = f->r9};
        m.flags = prot ? 0 : LULL_MAP_TOUCHED;
        r = open_range(m, (u64)r & BYTES_MASK);
        if (r)
            mm_unmap(start, end);
    } else if (r == -ENOSYS) {
        r = refuse(NR_mmap);
    }
    vma_change_end();
    pt_flush();
    spin_unlock(&mm_lock);
    return r;
}

static long read_again(const struct lull_map *m)
{
    u64 arg[6] = {m->file, m->start, m->end - m->start, m->offset};
    return forward_raw(LULL_NR_MAP_AGAIN, arg);
}

/* read_again() of a mapping that is there; it may have changed since m was looked at. Sleeps. */
static long refill(const struct lull_map *m)
{
    struct filling copy;
    spin_lock(&mm_lock);
    const struct lull_map *now = vma_at(m->start);
    bool same = now && now->end >= m->end && now->file == m->file &&
                !(now->flags & (LULL_MAP_WINDOW | LULL_MAP_BEYOND));
    if (same)
        filling_begin(&copy, m->start, m->end);
    spin_unlock(&mm_lock);
    if (!same)
        return (long)(m->end - m->start);
    long r = read_again(m);
    spin_lock(&mm_lock);
    filling_end(&copy);
    spin_unlock(&mm_lock);
    return r;
}

long file_dontneed(u64 start, u64 end)
{
    long r = 0;
    for (u64 at = start; at < end && r >= 0;) {
        spin_lock(&mm_lock);
        const struct lull_map *v = vma_next(at);
        struct lull_map m = {0};
        bool there = v && v->start < end;
        if (there)
            m = vma_piece(v, max_u64(at, v->start), min_u64(v->end, end));
        spin_unlock(&mm_lock);
        if (!there)
            break;
        at = m.end;
        if (!m.file || m.flags & (LULL_MAP_WINDOW | LULL_MAP_BEYOND))
            continue;
        r = refill(&m);
        u64 covered = r >= 0 ? ALIGN_UP((u64)r, LULL_PAGE) : m.end - m.start;
        spin_lock(&mm_lock);
        const struct lull_map *now = vma_at(m.start);
        bool same = now && now->file == m.file && now->end >= m.end;
        if (covered < m.end - m.start && same && vma_room(4)) { /* the file is shorter now */
            vma_change_begin();
            open_range(m, covered);
            vma_change_end();
            pt_flush();
        }
        spin_unlock(&mm_lock);
    }
    return r < 0 ? r : 0;
}

/* Nobody has mapped anything there since hold(). */
static bool held(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        const struct lull_map *m = vma_at(at);
        if (!m || !(m->flags & LULL_MAP_HOLD))
            return false;
        at = m->end;
    }
    return true;
}

/* Is that still the mapping that it was, with whatever rights it has now? Else -errno. */
static long mapping_again(struct lull_map *m)
{
    const struct lull_map *now = vma_at(m->start);
    if (!now || now->end < m->end || now->file != m->file ||
        now->offset + (m->start - now->start) != m->offset ||
        (now->flags ^ m->flags) & (LULL_MAP_WINDOW | LULL_MAP_BEYOND))
        return -EFAULT;
    *m = vma_piece(now, m->start, m->end);
    return 0;
}

/* While the file is read other threads map and unmap: as if they had done so before. */
long file_grow(struct lull_map m, u64 old_len, u64 new_len, bool room)
{
    u64 old = m.start, at = old;
    struct lull_map tail = m;
    if (!room) {
        long r = mm_place(0, new_len, 0, &at);
        if (r)
            return r;
    }
    if (!vma_room(8) || blocks_prepare(at, at + new_len, false))
        return -ENOMEM;
    tail.start = at + old_len;
    tail.end = at + new_len;
    tail.offset = m.offset + old_len;
    u64 from = room ? tail.start : at;
    struct filling copy;
    hold(from, tail.end);
    filling_begin(&copy, tail.start, tail.end);
    spin_unlock(&mm_lock);
    long r = read_again(&tail);
    spin_lock(&mm_lock);
    filling_end(&copy);
    bool intact = held(from, tail.end);
    vma_change_begin();
    hold_end(from, tail.end);
    blocks_mark_used(from, tail.end);
    if (r >= 0 && !intact)
        r = -ENOMEM;
    long changed = r < 0 ? r : mapping_again(&m);
    if (changed) {
        vma_change_end();
        return changed;
    }
    if (!room) {
        m.start = at;
        m.end = at + old_len;
        if (pt_map(at, m.end, PROT_READ | PROT_WRITE)) {
            vma_change_end();
            return -ENOMEM;
        }
        if (!(m.prot & PROT_READ))
            pt_map(old, old + old_len, PROT_READ);
        memcpy((void *)at, (void *)old, old_len);
        if (m.prot)
            pt_map(at, m.end, m.prot);
        else
            pt_unmap(at, m.end);
        m.flags &= ~LULL_MAP_IMAGE;
        vma_insert(m);
        mm_unmap(old, old + old_len);
    }
    tail.prot = m.prot;
    tail.flags = m.flags;
    int opened = open_range(tail, (u64)r);
    vma_change_end();
    return opened ? opened : (long)at;
}
