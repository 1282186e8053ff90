/* SPDX-License-Identifier: MIT */
/*
 * Rewriting of system calls. A site `mov $nr,%eax; ...; syscall` gets `jmp stub` for its mov. The
 * stub, one for each site, loads eax, does what stood between the two, puts the return address into
 * rcx as `syscall` would, and jumps to the kernel's ring-3 entry. Nothing is pushed, so a leaf
 * function's red zone is safe. Everything behind the mov stays where it is, so a jump to it still
 * works, and traps.
 *
 * Only at a site's first trap, which proves that the `syscall` is one; only if eax holds what the
 * mov would have loaded, no prefix byte makes it another instruction, and every byte from it to the
 * syscall is understood. Only in code that comes from a file: what a program makes by itself it may
 * change at any time. The other cores stand still meanwhile and go on by `iretq`, which
 * serialises (Intel SDM vol. 3A, 9.1.3).
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"
#include "sys/insn.h"

#define STUB_SIZE 64u
#define BETWEEN_MAX 28u /* bytes between mov and syscall: what a stub has room for */
#define STUB_MOV 56u    /* in a stub, behind its code: where the mov was that it stands for */
#define OP_MOV_EAX 0xb8
#define OP_JMP 0xe9
#define REACH (LULL_UL(0x80000000) - 2 * LULL_HUGE) /* of a jump with 32 bits */
#define AREA_SIZE LULL_UL(0x10000)
#define AREAS_MAX 64
#define ALIASES_MAX 512
#define SITES_SHIFT 13
#define SITES (1u << SITES_SHIFT)
#define SITES_FULL (SITES / 4 * 3)
#define SITE_GONE 1ul

/* All under mm_lock. */
static bool enabled;
static struct area { /* its first slot holds the addresses that its stubs jump through */
    u64 start, next, end;
} areas[AREAS_MAX];
static u32 nareas;
static u64
    aliased[ALIASES_MAX]; /* the blocks that are seen writable at LULL_ALIAS_BASE, in order */
static u32 naliases;
static u64 seen[SITES]; /* hash of sites that have been looked at */
static u32 nseen;
static bool leaves_off; /* every call enters the kernel */

/* Where a stub jumps to, by number of the call; the first one for all others. */
static const struct {
    u32 nr;
    u64 entry;
} ways[] = {{~0u, (u64)lull_fast},
            {NR_getpid, (u64)leaf_getpid},
            {NR_gettid, (u64)leaf_gettid},
            {NR_sched_yield, (u64)leaf_sched_yield}};
#define WAYS (sizeof ways / sizeof *ways)
_Static_assert(sizeof(u64) * WAYS <= STUB_SIZE, "an area's first slot holds every way");

static u32 way_of(u32 nr)
{
    if (nr == NR_sched_yield && boot_info()->flags & LULL_BOOT_F_SHARED)
        return 0; /* sched_yield is more than a look then */
    for (u32 i = 1; i < WAYS; i++) {
        if (ways[i].nr == nr)
            return i;
    }
    return 0;
}

/* The byte at addr in a view that may be written; NULL: no more views. */
static u8 *writable(u64 addr)
{
    u64 block = ALIGN_DOWN(addr, LULL_HUGE), i = 0;
    while (i < naliases && aliased[i] != block)
        i++;
    if (i == naliases) {
        if (i == ALIASES_MAX || pt_alias(LULL_ALIAS_BASE + i * LULL_HUGE, block))
            return NULL;
        aliased[naliases++] = block;
    }
    return (u8 *)(LULL_ALIAS_BASE + i * LULL_HUGE + (addr - block));
}

static bool same_block(u64 start, u64 end)
{
    return ALIGN_DOWN(start, LULL_HUGE) == ALIGN_DOWN(end - 1, LULL_HUGE);
}

static struct area *area_add(u64 start, u64 end)
{
    u8 *first = writable(start);
    if (nareas == AREAS_MAX || !first)
        return NULL;
    for (u32 i = 0; i < WAYS; i++)
        ((u64 *)first)[i] = leaves_off ? ways[0].entry : ways[i].entry;
    areas[nareas] = (struct area){start, start + STUB_SIZE, end};
    return &areas[nareas++];
}

void rewrite_init(void)
{
    const struct lull_boot *b = boot_info();
    enabled = !(b->flags & LULL_BOOT_F_NO_REWRITE);
    if (enabled && b->stub_end > b->stub_start)
        area_add(b->stub_start, b->stub_end);
}

void rewrite_leaves_off(void)
{
    spin_lock(&mm_lock);
    for (u32 a = 0; !leaves_off && a < nareas; a++) {
        u64 *first = (u64 *)writable(areas[a].start);
        for (u32 i = 0; i < WAYS; i++)
            __atomic_store_n(&first[i], ways[0].entry, __ATOMIC_SEQ_CST);
    }
    leaves_off = true;
    spin_unlock(&mm_lock);
}

/* An area with room for one more stub that a jump at `site` reaches; made if there is none. */
static struct area *area_near(u64 site)
{
    for (u32 i = 0; i < nareas; i++) {
        struct area *a = &areas[i];
        if (a->next + STUB_SIZE <= a->end && a->start + REACH > site && site + REACH > a->end)
            return a;
    }
    u64 low = site > REACH ? site - REACH : 0;
    u64 at = vma_gap(max_u64(low, boot_info()->mmap_start),
                     min_u64(site + REACH, boot_info()->ram_end), AREA_SIZE, AREA_SIZE);
    if (!at || mm_map(at, at + AREA_SIZE, PROT_READ | PROT_EXEC, LULL_MAP_STUBS))
        return NULL;
    return area_add(at, at + AREA_SIZE);
}

static u32 site_hash(u64 site)
{
    return (u32)(site * 0x9e3779b97f4a7c15ul >> (64 - SITES_SHIFT));
}

/* False: it was there, or there is no more room. */
static bool site_add(u64 site)
{
    u32 i = site_hash(site), gone = SITES;
    while (seen[i] && seen[i] != site) {
        if (seen[i] == SITE_GONE && gone == SITES)
            gone = i;
        i = (i + 1) & (SITES - 1);
    }
    if (seen[i] || (gone == SITES && nseen == SITES_FULL))
        return false;
    nseen += gone == SITES;
    seen[gone == SITES ? i : gone] = site;
    return true;
}

void rewrite_forget(u64 start, u64 end)
{
    for (u32 i = 0; nseen && i < SITES; i++) {
        if (seen[i] >= start && seen[i] < end)
            seen[i] = SITE_GONE; /* still counted: the chain of its hash goes on behind it */
    }
}

/* Where the code around `site` may be read and changed: a file's, and nobody is writing to it. */
static bool code_around(u64 site, u64 *start, u64 *end)
{
    const struct lull_map *m = vma_at(site);
    if (!m || !m->file || (m->prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC)
        return false;
    *start = m->start;
    *end = m->end;
    return true;
}

/* Whether [mov, site) is `mov $nr,%eax` and then only what insn.c knows and leaves eax alone. */
static bool window_ok(u64 mov, u64 site, u32 nr)
{
    const u8 *p = (const u8 *)mov;
    u32 imm;
    if (p[0] != OP_MOV_EAX || (p[-1] & 0xf0) == 0x40 || p[-1] == 0x66)
        return false;
    memcpy(&imm, p + 1, 4);
    if (imm != nr)
        return false;
    u64 at = mov + 5;
    while (at < site) {
        struct insn in = insn_decode((const u8 *)at, site - at);
        if (!in.len || in.sets_ax)
            return false;
        at += in.len;
    }
    return at == site;
}

/* Address of the mov that belongs to this syscall, or 0. */
static u64 find_mov(u64 site, u32 nr)
{
    u64 start, end;
    if (!code_around(site, &start, &end) || site + 2 > end)
        return 0;
    for (u64 between = 0; between <= BETWEEN_MAX; between++) {
        u64 mov = site - 5 - between;
        if (mov - 1 < start || !same_block(mov, mov + 5))
            return 0;
        if (window_ok(mov, site, nr))
            return mov;
    }
    return 0;
}

static void put32(u8 *p, u64 target, u64 after)
{
    i32 rel = (i32)(target - after);
    memcpy(p, &rel, 4);
}

/* Copies what stands between; RIP-relative displacements keep their targets. 0: out of reach. */
static u32 copy_between(u64 to, u64 from, u64 end)
{
    u32 done = 0;
    while (from + done < end) {
        struct insn in = insn_decode((const u8 *)(from + done), end - from - done);
        u8 *p = writable(to + done);
        memcpy(p, (const u8 *)(from + done), in.len);
        if (in.rip_disp) {
            i32 disp;
            memcpy(&disp, p + in.rip_disp, 4);
            u64 target = from + done + in.len + (u64)(i64)disp, after = to + done + in.len;
            if ((i64)(target - after) != (i32)(target - after))
                return ~0u;
            put32(p + in.rip_disp, target, after);
        }
        done += in.len;
    }
    return done;
}

static bool write_stub(const struct area *a, u64 stub, u64 mov, u64 site, u32 nr)
{
    u8 *p = writable(stub);
    p[0] = OP_MOV_EAX;
    memcpy(p + 1, &nr, 4);
    u32 between = copy_between(stub + 5, mov + 5, site);
    if (between == ~0u)
        return false;
    u32 n = 5 + between;
    p[n] = 0x48; /* lea site+2(%rip), %rcx */
    p[n + 1] = 0x8d;
    p[n + 2] = 0x0d;
    put32(p + n + 3, site + 2, stub + n + 7);
    p[n + 7] = 0xff; /* jmp *way(%rip) */
    p[n + 8] = 0x25;
    put32(p + n + 9, a->start + 8 * way_of(nr), stub + n + 13);
    memcpy(p + STUB_MOV, &mov, 8);
    return true;
}

static bool rewrite_locked(u64 site, u32 nr)
{
    u64 mov = nr < LULL_NR_MAX ? find_mov(site, nr) : 0;
    struct area *a = mov ? area_near(mov) : NULL;
    u8 *code = a ? writable(mov) : NULL;
    if (!code || !write_stub(a, a->next, mov, site, nr))
        return false;
    u64 stub = a->next;
    a->next += STUB_SIZE;
    u8 jump[5] = {OP_JMP};
    put32(jump + 1, stub, mov + 5);
    cores_stop();
    memcpy(code, jump, sizeof jump);
    cores_resume();
    return true;
}

void rewrite_site(struct frame *f)
{
    u64 site = f->rip - 2;
    if (!enabled)
        return;
    spin_lock(&mm_lock);
    if (site_add(site)) {
        if (rewrite_locked(site, (u32)f->orig)) {
            sysstat()->sites_rewritten++;
            f->err |= FR_FULL; /* this core serialises too */
        } else {
            sysstat()->sites_left++;
        }
        pt_flush();
    }
    spin_unlock(&mm_lock);
}

static bool is_stub(u64 addr)
{
    for (u32 i = 0; i < nareas; i++) {
        const struct area *a = &areas[i];
        if (addr > a->start && addr < a->next)
            return (addr - a->start) % STUB_SIZE == 0;
    }
    return false;
}

/*
 * The jump to a stub is all that has been done: the mov is done here, and the program goes on
 * behind it. What stands between there and the syscall is whole, and so is the syscall.
 */
void rewrite_hide_step(struct frame *f)
{
    spin_lock(&mm_lock);
    const u8 *stub = is_stub(f->rip) ? writable(f->rip) : NULL;
    if (stub) {
        u32 nr;
        u64 mov;
        memcpy(&nr, stub + 1, 4);
        memcpy(&mov, stub + STUB_MOV, 8);
        f->rax = nr;
        f->rip = mov + 5;
    }
    spin_unlock(&mm_lock);
}
