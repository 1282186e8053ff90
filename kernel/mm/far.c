/* SPDX-License-Identifier: MIT */
/*
 * Far windows: memory where the program says, below RAM or up to 112 TiB, and what the windows' own
 * region has no room for. The machine has room for them behind the windows, handed out here in
 * blocks: an extent is a run of blocks of addresses, and the run of room that it has. An extent
 * without mappings stays until its room or its number is needed. An extent may cover the image of
 * a program that is linked to low addresses: the image keeps its own place in the machine's memory.
 * All under mm_lock.
 */
#include "kernel.h"
#include "mm/mm.h"

#define GRANULE (1ul << 30) /* extents are this large where they may be: there are not many */

#define EXTENT_MAX (4ul << 40) /* KVM's memory slots hold 2^31 pages */

static struct extent {
    u64 start, end;     /* multiples of LULL_HUGE */
    u32 number, block;  /* what the proxy knows it by; where its room begins */
} extent[LULL_FAR_MAX]; /* by address */
static unsigned nextents;
static u8 number_taken[LULL_FAR_MAX];

/* Index of the first extent that ends behind va. */
static unsigned index_of(u64 va)
{
    unsigned lo = 0, hi = nextents;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (extent[mid].end > va)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* The region of addresses that has `va` and in which extents may lie. */
static u64 region_start(u64 va)
{
    return va < LULL_RAM_BASE ? 0 : LULL_FAR_BASE;
}

static u64 region_end(u64 va)
{
    return va < LULL_RAM_BASE ? LULL_RAM_BASE : LULL_FAR_END;
}

static bool in_region(u64 start, u64 end)
{
    return start >= region_start(start) && end <= region_end(start) && end >= start;
}

bool in_far(u64 start, u64 end)
{
    if (!in_region(start, end))
        return false;
    for (unsigned i = index_of(start); i < nextents && extent[i].start <= start; i++) {
        if (end <= extent[i].end)
            return true;
        start = extent[i].end;
    }
    return false;
}

u64 far_gpa(u64 va)
{
    const struct extent *e = &extent[index_of(va)];
    return boot_info()->win_gpa + LULL_WIN_SIZE + e->block * LULL_HUGE + (va - e->start);
}

static bool unused(const struct extent *e)
{
    struct lull_map *m = vma_next(e->start);
    while (m && m->start < e->end && m->flags & LULL_MAP_RESERVED)
        m = vma_following(m);
    return !m || m->start >= e->end;
}

static void extent_drop(unsigned i)
{
    struct extent e = extent[i];
    pt_drop(e.start, e.end);
    pt_flush();
    window_call(LULL_WIN_FAR, e.start, 0, e.number, 0, 0);
    number_taken[e.number] = 0;
    memmove(&extent[i], &extent[i + 1], (--nextents - i) * sizeof *extent);
}

static u64 blocks_of(const struct extent *e)
{
    return (e->end - e->start) / LULL_HUGE;
}

/* The first room of n blocks; false: there is none. */
static bool room_find(u64 n, u32 *out)
{
    u64 at = 0, most = boot_info()->far_size / LULL_HUGE;
    for (unsigned i = 0; i < nextents && at + n <= most; i++) {
        const struct extent *e = &extent[i];
        if (e->block < at + n && at < e->block + blocks_of(e)) {
            at = e->block + blocks_of(e);
            i = ~0u; /* again from the first */
        }
    }
    *out = (u32)at;
    return at + n <= most;
}

static bool extent_add(u64 start, u64 end)
{
    u64 n = (end - start) / LULL_HUGE;
    u32 block, number = 0;
    while (number < LULL_FAR_MAX && number_taken[number])
        number++;
    if (number == LULL_FAR_MAX || !room_find(n, &block) ||
        window_call(LULL_WIN_FAR, start, end - start, number, block, 0))
        return false;
    number_taken[number] = 1;
    unsigned i = index_of(start);
    memmove(&extent[i + 1], &extent[i], (nextents++ - i) * sizeof *extent);
    extent[i] = (struct extent){start, end, number, block};
    return true;
}

/* With what lies around it, as far as it is free, or it alone. */
static bool extent_add_large(u64 start, u64 end)
{
    unsigned i = index_of(start);
    u64 from = max_u64(ALIGN_DOWN(start, GRANULE), i ? extent[i - 1].end : 0);
    u64 to = min_u64(ALIGN_UP(end, GRANULE), i < nextents ? extent[i].start : LULL_FAR_END);
    from = max_u64(from, region_start(start));
    to = min_u64(to, region_end(start));
    return extent_add(from, to) || ((from < start || to > end) && extent_add(start, end));
}

long far_need(u64 start, u64 end)
{
    if (!in_region(start, end) || end == start)
        return -ENOMEM;
    start = ALIGN_DOWN(start, LULL_HUGE);
    end = ALIGN_UP(end, LULL_HUGE);
    bool swept = false;
    for (u64 at = start; at < end;) {
        unsigned i = index_of(at);
        if (i < nextents && extent[i].start <= at) {
            at = extent[i].end;
            continue;
        }
        u64 to = min_u64(i < nextents ? min_u64(end, extent[i].start) : end, at + EXTENT_MAX);
        if (extent_add_large(at, to)) {
            at = to;
            continue;
        }
        if (swept)
            return -ENOMEM;
        swept = true;
        for (unsigned k = nextents; k-- > 0;) {
            if ((extent[k].end <= start || extent[k].start >= end) && unused(&extent[k]))
                extent_drop(k);
        }
    }
    return 0;
}
