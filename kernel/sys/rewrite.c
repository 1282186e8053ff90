/* SPDX-License-Identifier: MIT */
/*
 * Rewriting of system calls: `mov $nr,%eax; syscall` becomes `jmp stub; syscall`. The stub, one for
 * each site, loads eax, puts the return address into rcx as `syscall` would, and jumps to the
 * kernel's ring-3 entry. Nothing is pushed, so a leaf function's red zone is safe; the `syscall`
 * stays where it is, so a jump straight to it still traps and works.
 *
 * Only at a site's first trap, which proves that the `syscall` is one; only if eax holds what the
 * five bytes before it would load, and no prefix byte stands before them that makes them another
 * instruction. The other cores stand still meanwhile and go on by `iretq`, which serialises
 * (Intel SDM vol. 3A, 9.1.3).
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"

#define STUB_SIZE 32u
#define OP_MOV_EAX 0xb8
#define OP_JMP 0xe9
#define LEFT_MAX 256

static spinlock lock;
static u64 stub_next, stub_end; /* lock */
static u64 image_start, image_end, alias;
static u64 left[LEFT_MAX]; /* sites that stay as they are; lock */
static u32 nleft;

void rewrite_init(void)
{
    const struct lull_boot *b = boot_info();
    if (b->flags & LULL_BOOT_F_NO_REWRITE || !b->nsegments || b->stub_end <= b->stub_start)
        return;
    image_start = ALIGN_DOWN(b->segment[0].start, LULL_HUGE);
    image_end = b->stub_end;
    alias = LULL_ALIAS_BASE + (image_start & (LULL_CHUNK - 1));
    if (pt_alias(alias, image_start, ALIGN_UP(image_end, LULL_HUGE)))
        return;
    /* the first slot holds the address that all stubs jump through */
    *(u64 *)(alias + (b->stub_start - image_start)) = (u64)lull_fast;
    stub_next = b->stub_start + STUB_SIZE;
    stub_end = b->stub_end;
}

static u8 *writable(u64 addr)
{
    return (u8 *)(alias + (addr - image_start));
}

static bool in_code(u64 start, u64 end)
{
    const struct lull_boot *b = boot_info();
    for (u32 i = 0; i < b->nsegments; i++) {
        const struct lull_segment *s = &b->segment[i];
        if (s->prot & PROT_EXEC && start >= s->start && end <= s->end)
            return true;
    }
    return false;
}

static bool is_left(u64 site)
{
    for (u32 i = 0; i < nleft; i++) {
        if (left[i] == site)
            return true;
    }
    return false;
}

static bool suitable(u64 site, u32 nr)
{
    const u8 *mov = writable(site - 5);
    u32 imm;
    memcpy(&imm, mov + 1, 4);
    /* a REX prefix would make it a load of r8d..r15d, 0x66 a 16-bit one */
    bool prefixed = (mov[-1] & 0xf0) == 0x40 || mov[-1] == 0x66;
    return mov[0] == OP_MOV_EAX && imm == nr && !prefixed;
}

static void put32(u8 *p, u64 target, u64 after)
{
    i32 rel = (i32)(target - after);
    memcpy(p, &rel, 4);
}

static void write_stub(u64 stub, u64 site, u32 nr)
{
    u8 *p = writable(stub);
    p[0] = OP_MOV_EAX;
    memcpy(p + 1, &nr, 4);
    p[5] = 0x48; /* lea site+2(%rip), %rcx */
    p[6] = 0x8d;
    p[7] = 0x0d;
    put32(p + 8, site + 2, stub + 12);
    p[12] = 0xff; /* jmp *first(%rip) */
    p[13] = 0x25;
    put32(p + 14, boot_info()->stub_start, stub + 18);
}

void rewrite_site(struct frame *f)
{
    u64 site = f->rip - 2;
    if (!stub_next || !in_code(site - 6, site + 2))
        return;
    u32 nr = (u32)f->orig;
    spin_lock(&lock);
    if (is_left(site) || *writable(site - 5) == OP_JMP)
        goto out;
    if (f->orig >= LULL_NR_MAX || !suitable(site, nr) || stub_next + STUB_SIZE > stub_end) {
        if (nleft < LEFT_MAX)
            left[nleft++] = site;
        sysstat()->sites_left++;
        goto out;
    }
    u64 stub = stub_next;
    stub_next += STUB_SIZE;
    write_stub(stub, site, nr);
    u8 jump[5] = {OP_JMP};
    put32(jump + 1, stub, site);
    cores_stop();
    memcpy(writable(site - 5), jump, sizeof jump);
    cores_resume();
    sysstat()->sites_rewritten++;
    f->err |= FR_FULL; /* this core serialises too */
out:
    spin_unlock(&lock);
}
