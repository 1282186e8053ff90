/* SPDX-License-Identifier: MIT */
/*
 * Far windows: shared memory where the program says, up to 112 TiB. The machine has room for them
 * behind the windows, handed out here in blocks: an extent is a run of blocks of addresses, and the
 * run of room that it has. An extent without mappings stays until its room is needed. All under
 * mm_lock.
 */
#include "kernel.h"
#include "mm/mm.h"

#define BLOCKS (LULL_FAR_SIZE / LULL_HUGE)

static struct extent {
    u64 start, end;     /* multiples of LULL_HUGE */
    u32 number, block;  /* what the proxy knows it by; where its room begins */
} extent[LULL_FAR_MAX]; /* by address */
static unsigned nextents;
static u8 number_taken[LULL_FAR_MAX];
static u8 block_taken[BLOCKS];

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

bool in_far(u64 start, u64 end)
{
    if (start < LULL_FAR_BASE || end > LULL_FAR_END || end < start)
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
    const struct lull_map *m = vma_next(e->start);
    return !m || m->start >= e->end;
}

static void extent_drop(unsigned i)
{
    struct extent e = extent[i];
    pt_drop(e.start, e.end);
    pt_flush();
    window_call(LULL_WIN_FAR, e.start, 0, e.number, 0, 0);
    number_taken[e.number] = 0;
    memset(block_taken + e.block, 0, (e.end - e.start) / LULL_HUGE);
    memmove(&extent[i], &extent[i + 1], (--nextents - i) * sizeof *extent);
}

/* Room of n blocks; BLOCKS: there is none. */
static u32 room_find(u64 n)
{
    u64 run = 0;
    for (u32 i = 0; i < BLOCKS; i++) {
        run = block_taken[i] ? 0 : run + 1;
        if (run == n)
            return i + 1 - (u32)n;
    }
    return BLOCKS;
}

static bool extent_add(u64 start, u64 end)
{
    u64 n = (end - start) / LULL_HUGE;
    u32 block = room_find(n), number = 0;
    while (number < LULL_FAR_MAX && number_taken[number])
        number++;
    if (block == BLOCKS || number == LULL_FAR_MAX ||
        window_call(LULL_WIN_FAR, start, end - start, number, block, 0))
        return false;
    number_taken[number] = 1;
    memset(block_taken + block, 1, n);
    unsigned i = index_of(start);
    memmove(&extent[i + 1], &extent[i], (nextents++ - i) * sizeof *extent);
    extent[i] = (struct extent){start, end, number, block};
    return true;
}

long far_need(u64 start, u64 end)
{
    if (start < LULL_FAR_BASE || end > LULL_FAR_END || end <= start)
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
        u64 to = i < nextents ? min_u64(end, extent[i].start) : end;
        if (extent_add(at, to)) {
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
