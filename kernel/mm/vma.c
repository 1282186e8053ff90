/* SPDX-License-Identifier: MIT */
/* The list of mappings: a sorted array, because there are few and they are looked up often. */
#include "kernel.h"
#include "mm/mm.h"

#define VMA_MAX (LULL_UL(0x800000) / sizeof(struct vma))
static struct vma *const vmas = (struct vma *)LULL_KTABLES;
static unsigned nvmas;

spinlock mm_lock;

bool vma_room(unsigned more)
{
    return nvmas + more <= VMA_MAX;
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

struct vma *vma_next(u64 addr)
{
    unsigned i = index_of(addr);
    return i < nvmas ? &vmas[i] : NULL;
}

struct vma *vma_at(u64 addr)
{
    struct vma *v = vma_next(addr);
    return v && v->start <= addr ? v : NULL;
}

struct vma *vma_following(struct vma *v)
{
    return v + 1 < vmas + nvmas ? v + 1 : NULL;
}

u64 vma_readable_end(u64 addr, u64 max, u32 prot)
{
    u64 at = addr;
    for (unsigned i = index_of(addr); i < nvmas && at < max; i++) {
        struct vma *v = &vmas[i];
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
        if (vmas[i].start >= at + len)
            break;
        at = ALIGN_UP(vmas[i].end, align);
    }
    return at + len <= to && at + len > at ? at : 0;
}

static void insert_at(unsigned i, struct vma v)
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

void vma_remove(u64 start, u64 end)
{
    unsigned i = index_of(start);
    if (i < nvmas && vmas[i].start < start) {
        struct vma *v = &vmas[i];
        if (v->end > end) { /* a hole in the middle */
            struct vma tail = {end, v->end, v->prot, v->flags};
            v->end = start;
            insert_at(i + 1, tail);
            return;
        }
        v->end = start;
        i++;
    }
    unsigned n = 0;
    while (i + n < nvmas && vmas[i + n].end <= end)
        n++;
    if (n)
        delete_at(i, n);
    if (i < nvmas && vmas[i].start < end)
        vmas[i].start = end;
}

static bool joins(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags;
}

void vma_insert(u64 start, u64 end, u32 prot, u32 flags)
{
    unsigned i = index_of(start);
    insert_at(i, (struct vma){start, end, prot, flags});
    if (i + 1 < nvmas && joins(&vmas[i], &vmas[i + 1])) {
        vmas[i].end = vmas[i + 1].end;
        delete_at(i + 1, 1);
    }
    if (i > 0 && joins(&vmas[i - 1], &vmas[i])) {
        vmas[i - 1].end = vmas[i].end;
        delete_at(i, 1);
    }
}
