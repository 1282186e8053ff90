/* SPDX-License-Identifier: MIT */
/* Which 2 MiB blocks of RAM the host stands behind. All under mm_lock. */
#include "kernel.h"
#include "mm/mm.h"

enum block_state {
    BLOCK_NONE = 0, /* no memory */
    BLOCK_CLEAN,    /* populated, zero, never mapped */
    BLOCK_USED,     /* may hold data */
    BLOCK_LAZY,     /* the host populates at first touch; pages that are not mapped are zero */
};

/*
 * Bytes: from here on memory that is used again is given back to be zero, and comes as it is
 * touched, in huge pages. A program that allocates much more than it touches would wait for the
 * zeroes.
 */
#define DISCARD_FROM (16ul << 20)
#define NBLOCKS ((LULL_RAM_MAX - LULL_RAM_BASE) / LULL_HUGE)
static u8 *const block = (u8 *)(LULL_KTABLES + LULL_UL(0x900000));
_Static_assert(NBLOCKS <= LULL_KTABLES_SIZE - LULL_UL(0x900000), "block states fit");
static u64 populated; /* bytes, with what the program's image takes */
static u64 highest;   /* blocks ever touched: bounds the search for free ones */

void blocks_init(u64 bytes_loaded)
{
    populated = bytes_loaded;
}

bool in_ram(u64 start, u64 end)
{
    return start >= LULL_RAM_BASE && end <= boot_info()->ram_end && start <= end;
}

static u64 index_of(u64 addr)
{
    return (addr - LULL_RAM_BASE) / LULL_HUGE;
}

void blocks_mark_used(u64 start, u64 end)
{
    if (!in_ram(start, end) || start == end)
        return;
    for (u64 i = index_of(start); i <= index_of(end - 1); i++) {
        if (block[i] != BLOCK_LAZY)
            block[i] = BLOCK_USED;
    }
    highest = max_u64(highest, index_of(end - 1) + 1);
}

static bool any_block(u64 start, u64 end, u8 state)
{
    for (u64 i = index_of(start); i <= index_of(end - 1); i++) {
        if (block[i] == state)
            return true;
    }
    return false;
}

bool blocks_used(u64 start, u64 end)
{
    return !in_ram(start, end) || any_block(start, end, BLOCK_USED);
}

bool blocks_lazy(u64 start, u64 end)
{
    return in_ram(start, end) && any_block(start, end, BLOCK_LAZY);
}

/* The end of the used whole blocks from `at` on. */
static u64 used_end(u64 at, u64 end)
{
    while (at + LULL_HUGE <= end && in_ram(at, at + LULL_HUGE) && block[index_of(at)] == BLOCK_USED)
        at += LULL_HUGE;
    return at;
}

void blocks_zero_used(u64 start, u64 end)
{
    for (u64 at = start; at < end;) {
        u64 stop = min_u64(end, ALIGN_DOWN(at, LULL_HUGE) + LULL_HUGE);
        u64 many = at % LULL_HUGE ? at : used_end(at, end);
        if (many - at >= DISCARD_FROM) {
            blocks_discard(at, many);
            stop = many;
        } else if (!in_ram(at, stop) || block[index_of(at)] == BLOCK_USED) {
            memset((void *)at, 0, stop - at);
        }
        at = stop;
    }
}

/* Gives free populated blocks back to Linux: memory that lies where the program has no use for it.
 */
static void reclaim(void)
{
    u64 i = 0;
    while (i < highest) {
        u64 at = LULL_RAM_BASE + i * LULL_HUGE;
        struct lull_map *v = vma_next(at);
        bool free = (block[i] == BLOCK_USED || block[i] == BLOCK_CLEAN) &&
                    (!v || v->start >= at + LULL_HUGE);
        if (!free) {
            i++;
            continue;
        }
        u64 from = i;
        while (i < highest && (block[i] == BLOCK_USED || block[i] == BLOCK_CLEAN) &&
               (!v || v->start >= LULL_RAM_BASE + (i + 1) * LULL_HUGE)) {
            block[i++] = BLOCK_NONE;
            populated -= LULL_HUGE;
        }
        proxy_call(LULL_OP_MEMORY, LULL_RAM_BASE + from * LULL_HUGE, (i - from) * LULL_HUGE,
                   LULL_MEM_DISCARD);
    }
}

static bool afford(u64 bytes)
{
    u64 limit = boot_info()->mem_limit;
    if (bytes <= limit && populated <= limit - bytes)
        return true;
    reclaim();
    return bytes <= limit && populated <= limit - bytes;
}

/* The proxy says how often at the end. */
static int over_limit(void)
{
    this_core()->kcount[LULL_K_NOMEM]++;
    return -ENOMEM;
}

static bool lacks(u64 i, bool lazy)
{
    return block[i] == BLOCK_NONE || (!lazy && block[i] == BLOCK_LAZY);
}

int blocks_prepare(u64 start, u64 end, bool lazy)
{
    if (start == end)
        return 0;
    if (!in_ram(start, end))
        return -ENOMEM;
    u64 first = index_of(start), last = index_of(end - 1);
    u64 missing = 0;
    for (u64 i = first; i <= last; i++)
        missing += lacks(i, lazy);
    if (missing && !lazy && !afford(missing * LULL_HUGE))
        return over_limit();
    bool reclaimed = false;
    for (u64 i = first; i <= last;) {
        u8 was = block[i];
        if (!lacks(i, lazy)) {
            i++;
            continue;
        }
        u64 from = i;
        while (i <= last && block[i] == was)
            i++;
        if (proxy_call(LULL_OP_MEMORY, LULL_RAM_BASE + from * LULL_HUGE, (i - from) * LULL_HUGE,
                       lazy ? LULL_MEM_LAZY : LULL_MEM_POPULATE)) {
            if (lazy || reclaimed)
                return lazy ? -ENOMEM : over_limit();
            reclaim(); /* the proxy counts what was touched, too */
            reclaimed = true;
            i = first; /* what was prepared here may have gone with it */
            continue;
        }
        memset(&block[from],
               lazy                ? BLOCK_LAZY
               : was == BLOCK_LAZY ? BLOCK_USED
                                   : BLOCK_CLEAN,
               i - from);
        if (!lazy)
            populated += (i - from) * LULL_HUGE;
    }
    highest = max_u64(highest, last + 1);
    return 0;
}

void blocks_discard(u64 start, u64 end)
{
    proxy_call(LULL_OP_MEMORY, start, end - start, LULL_MEM_DISCARD);
}
