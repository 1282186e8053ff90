/* SPDX-License-Identifier: MIT */
/* The list of mappings: a sorted array, because there are few and they are looked up often. */
#include "kernel.h"
#include "mm/mm.h"

static struct lull_maps *const maps = (struct lull_maps *)LULL_KTABLES;
static struct lull_map *const vmas = ((struct lull_maps *)LULL_KTABLES)->map;
static unsigned nvmas, changes;

spinlock mm_lock;

bool vma_room(unsigned more)
{
    return nvmas + more <= LULL_MAPS_MAX;
}

/* vm.max_map_count, as the proxy found it. */
bool vma_full(unsigned more)
{
    return nvmas + more > limit_table()->map_count;
}

/* Index of the first mapping that ends behind addr. */
static unsigned index_of(u64 addr)
{
    unsigned lo = 0, hi = nvmas;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (vmas[mid].end > addr)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

struct lull_map *vma_next(u64 addr)
{
    unsigned i = index_of(addr);
    return i < nvmas ? &vmas[i] : NULL;
}

struct lull_map *vma_at(u64 addr)
{
    struct lull_map *v = vma_next(addr);
    return v && v->start <= addr ? v : NULL;
}

struct lull_map *vma_following(const struct lull_map *v)
{
    return v + 1 < vmas + nvmas ? &vmas[v + 1 - vmas] : NULL;
}

struct lull_map *vma_before(const struct lull_map *v)
{
    return v > vmas ? &vmas[v - vmas - 1] : NULL;
}

u64 vma_readable_end(u64 addr, u64 max, u32 prot)
{
    u64 at = addr;
    for (unsigned i = index_of(addr); i < nvmas && at < max; i++) {
        struct lull_map *v = &vmas[i];
        if (v->start > at || (v->prot & prot) != prot)
            break;
        at = v->end;
    }
    return min_u64(at, max);
}

bool vma_covered(u64 start, u64 end, u32 prot)
{
    return vma_readable_end(start, end, prot) >= end;
}

u64 vma_gap(u64 from, u64 to, u64 len, u64 align)
{
    u64 at = ALIGN_UP(from, align);
    for (unsigned i = index_of(at); i < nvmas; i++) {
        if (vma_guarded_start(&vmas[i]) >= at + len)
            break;
        at = ALIGN_UP(vmas[i].end, align);
    }
    return at + len <= to && at + len > at ? at : 0;
}

static void insert_at(unsigned i, struct lull_map v)
{
    memmove(&vmas[i + 1], &vmas[i], (nvmas - i) * sizeof *vmas);
    vmas[i] = v;
    nvmas++;
}

static void delete_at(unsigned i, unsigned n)
{
    memmove(&vmas[i], &vmas[i + n], (nvmas - i - n) * sizeof *vmas);
    nvmas -= n;
}

void vma_change_begin(void)
{
    if (changes++ == 0)
        __atomic_store_n(&maps->seq, maps->seq + 1, __ATOMIC_SEQ_CST);
}

void vma_change_end(void)
{
    if (--changes)
        return;
    maps->count = nvmas;
    __atomic_store_n(&maps->seq, maps->seq + 1, __ATOMIC_SEQ_CST);
}

/* `len` bytes of the mapping come or go. */
static void account(const struct lull_map *m, u64 len, bool come)
{
    len = come ? len : -len;
    maps->size += lull_map_counts(m) ? len : 0;
    maps->filled += lull_map_filled(m) ? len : 0;
    maps->locked += lull_map_counts(m) && m->flags & LULL_MAP_LOCKED ? len : 0;
    maps->size_peak = max_u64(maps->size_peak, maps->size);
    maps->filled_peak = max_u64(maps->filled_peak, maps->filled);
}

u64 vma_locked(void)
{
    return maps->locked;
}

u64 vma_size(void)
{
    return maps->size;
}

void vma_replace(struct lull_map m)
{
    vma_change_begin();
    vma_remove(m.start, m.end);
    vma_insert(m);
    vma_change_end();
}

void vma_forget_peaks(void)
{
    maps->size_peak = maps->size;
    maps->filled_peak = maps->filled;
}

static void cut_front(struct lull_map *m, u64 to)
{
    if (m->file)
        m->offset += to - m->start;
    m->start = to;
}

struct lull_map vma_piece(const struct lull_map *m, u64 from, u64 to)
{
    struct lull_map piece = *m;
    cut_front(&piece, from);
    piece.end = to;
    return piece;
}

void vma_remove(u64 start, u64 end)
{
    unsigned i = index_of(start), n = 0;
    vma_change_begin();
    for (unsigned k = i; k < nvmas && vmas[k].start < end; k++)
        account(&vmas[k], min_u64(vmas[k].end, end) - max_u64(vmas[k].start, start), false);
    if (i < nvmas && vmas[i].start < start) {
        struct lull_map *m = &vmas[i];
        if (m->end > end) { /* a hole in the middle */
            struct lull_map tail = *m;
            m->end = start;
            cut_front(&tail, end);
            insert_at(i + 1, tail);
            goto out;
        }
        m->end = start;
        i++;
    }
    while (i + n < nvmas && vmas[i + n].end <= end)
        n++;
    if (n)
        delete_at(i, n);
    if (i < nvmas && vmas[i].start < end)
        cut_front(&vmas[i], end);
out:
    vma_change_end();
}

static bool joins(const struct lull_map *a, const struct lull_map *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->file == b->file &&
           a->policy == b->policy && (!a->file || a->offset + (a->end - a->start) == b->offset);
}

void vma_insert(struct lull_map m)
{
    unsigned i = index_of(m.start);
    vma_change_begin();
    account(&m, m.end - m.start, true);
    insert_at(i, m);
    if (i + 1 < nvmas && joins(&vmas[i], &vmas[i + 1])) {
        vmas[i].end = vmas[i + 1].end;
        delete_at(i + 1, 1);
    }
    if (i > 0 && joins(&vmas[i - 1], &vmas[i])) {
        vmas[i - 1].end = vmas[i].end;
        delete_at(i, 1);
    }
    vma_change_end();
}
