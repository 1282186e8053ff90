/* SPDX-License-Identifier: MIT */
/* Which 2 MiB blocks of RAM the host stands behind. All under mm_lock. */
#include "kernel.h"
#include "mm/mm.h"

enum block_state {
    BLOCK_NONE = 0, /* no memory */
    BLOCK_CLEAN,    /* populated, zero, never mapped */
    BLOCK_USED,     /* may hold data */
    BLOCK_LAZY,     /* the host populates at first touch; pages that are not mapped are zero */
    BLOCK_BACK,     /* given back to Linux: zero, and not counted */
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

/*
 * The next run of populated blocks without mappings, from *i on: its length, at most `most`, and *i
 * is where it ends. 0: there is none.
 */
static u64 free_run(u64 *i, u64 most)
{
    const struct lull_map *v = NULL;
    u64 n = 0;
    for (; *i < highest && n < most; ++*i) {
        u64 at = LULL_RAM_BASE + *i * LULL_HUGE;
        bool free = block[*i] == BLOCK_USED || block[*i] == BLOCK_CLEAN;
        if (free && (!v || v->end <= at))
            v = vma_next(at);
        if (free && (!v || v->start >= at + LULL_HUGE))
            n++;
        else if (n)
            break;
    }
    return n;
}

/* Gives at least `blocks` free populated blocks back to Linux, the lowest, or none and false. */
static bool reclaim(u64 blocks)
{
    u64 have = 0, n;
    for (u64 i = 0; have < blocks && (n = free_run(&i, ~0ul));)
        have += n;
    if (have < blocks)
        return false;
    for (u64 i = 0; blocks && (n = free_run(&i, blocks)); blocks -= n) {
        memset(&block[i - n], BLOCK_BACK, n);
        populated -= n * LULL_HUGE;
        proxy_call(LULL_OP_MEMORY, LULL_RAM_BASE + (i - n) * LULL_HUGE, n * LULL_HUGE,
                   LULL_MEM_DISCARD);
    }
    return true;
}

static void reclaim_all(void)
{
    u64 have = 0, n;
    for (u64 i = 0; (n = free_run(&i, ~0ul));)
        have += n;
    reclaim(have);
}

static bool afford(u64 bytes)
{
    u64 limit = boot_info()->mem_limit;
    if (bytes > limit)
        return false;
    u64 most = limit - bytes;
    return populated <= most || reclaim((populated - most + LULL_HUGE - 1) / LULL_HUGE);
}

/* The proxy says how often at the end. */
static int over_limit(void)
{
    this_core()->kcount[LULL_K_NOMEM]++;
    return -ENOMEM;
}

static bool lacks(u64 i, bool lazy)
{
    return block[i] == BLOCK_NONE || block[i] == BLOCK_BACK || (!lazy && block[i] == BLOCK_LAZY);
}

/* Memory for blocks that lack it. 0, or not 0: the proxy has none. */
static i64 provide(u64 from, u64 n, u8 was, bool lazy)
{
    /* A program that has come to its limit allocates more than it uses, again and again. */
    bool lend = was == BLOCK_BACK && n * LULL_HUGE >= DISCARD_FROM;
    return proxy_call(LULL_OP_MEMORY, LULL_RAM_BASE + from * LULL_HUGE, n * LULL_HUGE,
                      lazy   ? LULL_MEM_LAZY
                      : lend ? LULL_MEM_LEND
                             : LULL_MEM_POPULATE);
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
        if (provide(from, i - from, was, lazy)) {
            if (lazy || reclaimed)
                return lazy ? -ENOMEM : over_limit();
            reclaim_all(); /* the proxy counts what was touched, too */
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
