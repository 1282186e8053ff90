/* SPDX-License-Identifier: MIT */
/*
 * Page tables of the application: 2 MiB entries wherever a whole block has the same rights, 4 KiB
 * ones elsewhere. Accessed and dirty are preset, so the processor never writes here. All under
 * mm_lock. Layout: Intel SDM vol. 3A, 4.5.
 */
#include "kernel.h"
#include "mm/mm.h"

#define DIRECTORY (1ul << 30) /* bytes that a page directory maps */
#define PTE_P 1ul
#define PTE_W 2ul
#define PTE_U 4ul
#define PTE_AD 0x60ul
#define PTE_PS 0x80ul
#define PTE_NX (1ul << 63)
#define PTE_ADDR 0x000ffffffffff000ul
#define TABLE_BITS (PTE_P | PTE_W | PTE_U | PTE_AD)

static u64 pool_next, pool_end;
static u64 free_head;              /* table pages ready for use, linked by their first word */
static u64 retired_head;           /* unlinked, but a TLB may still walk through them */
static u64 stale_start, stale_end; /* translations that shrank since the last flush */

void pt_init(void)
{
    pool_next = LULL_PT_CORES + boot_info()->ncores * LULL_PT_STRIDE;
    pool_end = LULL_PTPOOL + LULL_PTPOOL_SIZE;
}

static u64 *to_virt(u64 entry)
{
    return (u64 *)((entry & PTE_ADDR) - LULL_KERN_GPA + LULL_KERN_BASE);
}

static u64 *table_alloc(void)
{
    u64 va = free_head;
    if (va) {
        free_head = *(u64 *)va;
    } else {
        if (pool_next == pool_end)
            return NULL;
        va = pool_next;
        pool_next += LULL_PAGE;
    }
    memset((void *)va, 0, LULL_PAGE);
    return (u64 *)va;
}

void *pt_page(void)
{
    return table_alloc();
}

static void table_retire(u64 *table)
{
    table[0] = retired_head;
    retired_head = (u64)table;
}

static void mark_stale(u64 start, u64 end)
{
    if (stale_start == stale_end) {
        stale_start = start;
        stale_end = end;
    } else {
        stale_start = min_u64(stale_start, start);
        stale_end = max_u64(stale_end, end);
    }
}

void pt_flush(void)
{
    if (stale_start == stale_end && !retired_head)
        return;
    u64 pages = (stale_end - stale_start) / LULL_PAGE;
    cores_flush(stale_start, retired_head ? ~0ul : pages);
    stale_start = stale_end = 0;
    while (retired_head) {
        u64 va = retired_head;
        retired_head = *(u64 *)va;
        *(u64 *)va = free_head;
        free_head = va;
    }
}

/* Where the isle's machine has what the application sees at va (memmap.h). */
static u64 to_gpa(u64 va)
{
    if (va >= LULL_FAR_BASE || (va < LULL_RAM_BASE && !in_image(va, va + 1)))
        return far_gpa(va);
    return va >= LULL_WIN_BASE ? va - LULL_WIN_BASE + boot_info()->win_gpa : lull_gpa(va);
}

static u64 *top_level(void)
{
    return (u64 *)(LULL_PT_CORES + LULL_PT_PML4_OFF);
}

/* Sets an entry: on every core where it is in a table of which each has its own. */
static void entry_set(u64 *e, u64 value)
{
    *e = value;
    if ((u64)e < LULL_PT_CORES || (u64)e >= LULL_PT_CORES + LULL_PT_STRIDE)
        return;
    for (u32 i = 1; i < boot_info()->ncores; i++)
        *(u64 *)((u64)e + i * LULL_PT_STRIDE) = value;
}

/* The table that *e names; NULL when there is none and none is to be made (or can be). */
static u64 *table_of(u64 *e, bool make)
{
    if (!*e) {
        u64 *table = make ? table_alloc() : NULL;
        if (!table)
            return NULL;
        entry_set(e, lull_gpa((u64)table) | TABLE_BITS);
        return table;
    }
    return to_virt(*e);
}

/* The entry of va's page directory; NULL as above. */
static u64 *directory_entry(u64 va, bool make)
{
    u64 *pdpt = table_of(&top_level()[va >> 39], make);
    return pdpt ? &pdpt[va >> 30 & 511] : NULL;
}

/* The page directory that maps va; NULL as above. */
static u64 *directory(u64 va, bool make)
{
    u64 *e = directory_entry(va, make);
    return e ? table_of(e, make) : NULL;
}

static u64 entry_bits(u32 prot)
{
    if (!prot)
        return 0;
    u64 bits = PTE_P | PTE_U | PTE_AD;
    if (prot & PROT_WRITE)
        bits |= PTE_W;
    if (!(prot & PROT_EXEC))
        bits |= PTE_NX;
    return bits;
}

/* Does old -> new take anything away that a TLB may remember? */
static bool shrinks(u64 old, u64 new)
{
    if (!(old & PTE_P))
        return false;
    return !(new &PTE_P) || (old & ~new &PTE_W) || (~old & new &PTE_NX);
}

/* Replaces a 2 MiB entry by a table of the same rights. */
static u64 *split(u64 *pde, u64 block)
{
    u64 *pt = table_alloc();
    if (!pt)
        return NULL;
    u64 old = *pde;
    if (old & PTE_P) {
        u64 bits = old & ~(PTE_ADDR | PTE_PS);
        for (u64 i = 0; i < 512; i++)
            pt[i] = (to_gpa(block) + i * LULL_PAGE) | bits;
        mark_stale(block, block + LULL_PAGE); /* one invlpg drops the large translation */
    }
    *pde = lull_gpa((u64)pt) | TABLE_BITS;
    return pt;
}

static bool is_table(u64 pde)
{
    return (pde & PTE_P) && !(pde & PTE_PS);
}

static void set_block(u64 *pde, u64 block, u64 bits)
{
    u64 old = *pde, new = bits ? to_gpa(block) | bits | PTE_PS : 0;
    if (old == new)
        return;
    *pde = new;
    if (is_table(old)) {
        table_retire(to_virt(old));
        mark_stale(block, block + LULL_HUGE);
    } else if (shrinks(old, new)) {
        mark_stale(block, block + LULL_HUGE);
    }
}

/* A block whose table has come to say the same everywhere becomes one large entry again. */
static void maybe_join(u64 *pde, u64 block)
{
    u64 *pt = to_virt(*pde);
    u64 bits = pt[0] & ~PTE_ADDR;
    if (!(bits & PTE_P))
        return;
    for (u64 i = 0; i < 512; i++) {
        if (pt[i] != ((to_gpa(block) + i * LULL_PAGE) | bits))
            return;
    }
    *pde = to_gpa(block) | bits | PTE_PS;
    table_retire(pt);
}

static int set_range(u64 start, u64 end, u64 bits)
{
    for (u64 at = start; at < end;) {
        u64 block = ALIGN_DOWN(at, LULL_HUGE);
        u64 stop = min_u64(end, block + LULL_HUGE);
        u64 *pd = directory(at, bits != 0);
        if (!pd) {
            if (bits)
                return -ENOMEM;
            at = min_u64(end, ALIGN_DOWN(at, DIRECTORY) + DIRECTORY);
            continue;
        }
        u64 *pde = &pd[at >> 21 & 511];
        if (at == block && stop == block + LULL_HUGE) {
            set_block(pde, block, bits);
            at = stop;
            continue;
        }
        if (!bits && !(*pde & PTE_P)) {
            at = stop;
            continue;
        }
        u64 *pt = is_table(*pde) ? to_virt(*pde) : split(pde, block);
        if (!pt)
            return -ENOMEM;
        u64 first = at, last = at;
        for (; at < stop; at += LULL_PAGE) {
            u64 new = bits ? to_gpa(at) | bits : 0;
            u64 old = pt[at >> 12 & 511];
            if (old == new)
                continue;
            pt[at >> 12 & 511] = new;
            if (shrinks(old, new)) {
                if (first == last)
                    first = at;
                last = at + LULL_PAGE;
            }
        }
        if (last > first)
            mark_stale(first, last);
        if (bits && stop == block + LULL_HUGE)
            maybe_join(pde, block);
    }
    return 0;
}

int pt_map(u64 start, u64 end, u32 prot)
{
    return set_range(start, end, entry_bits(prot));
}

void pt_unmap(u64 start, u64 end)
{
    set_range(start, end, 0);
}

void pt_drop(u64 start, u64 end)
{
    for (u64 at = start; at < end; at += LULL_HUGE) {
        u64 *e = directory_entry(at, false), *pd = e ? table_of(e, false) : NULL;
        if (!pd)
            continue;
        u64 *pde = &pd[at >> 21 & 511];
        if (is_table(*pde))
            table_retire(to_virt(*pde));
        *pde = 0;
        u64 any = 0;
        for (u64 i = 0; i < 512; i++)
            any |= pd[i];
        if (!any) {
            entry_set(e, 0);
            table_retire(pd);
        }
    }
}

bool pt_allows(u64 addr, u64 err)
{
    if (addr >= LULL_RAM_MAX && !in_windows(addr, addr + 1))
        return false;
    u64 *pd = directory(addr, false);
    if (!pd)
        return false;
    u64 e = pd[addr >> 21 & 511];
    if (is_table(e))
        e = to_virt(e)[addr >> 12 & 511];
    if (!(e & PTE_P))
        return false;
    if (err & 2 && !(e & PTE_W))
        return false;
    return !(err & 16 && e & PTE_NX);
}

int pt_alias(u64 at, u64 block)
{
    u64 *pd = directory(at, true);
    if (!pd)
        return -ENOMEM;
    pd[at >> 21 & 511] = to_gpa(block) | entry_bits(PROT_READ | PROT_WRITE) | PTE_PS;
    return 0;
}
