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
 * syscall is understood. The other cores stand still meanwhile and go on by `iretq`, which
 * serialises (Intel SDM vol. 3A, 9.1.3).
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"
#include "sys/insn.h"

#define STUB_SIZE 64u
#define BETWEEN_MAX 28u /* bytes between mov and syscall: what a stub has room for */
#define OP_MOV_EAX 0xb8
#define OP_JMP 0xe9
#define SITES_MAX 2048

static spinlock lock;
static u64 stub_next, stub_end; /* lock */
static u64 image_start, image_end, alias;
static u64 stub_mov[SITES_MAX]; /* where the mov was that stub i stands for; lock */
static u64 seen[SITES_MAX];     /* sites that have been looked at; lock */
static u32 nseen;

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
    stub_end = min_u64(b->stub_end, b->stub_start + SITES_MAX * STUB_SIZE);
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

static bool is_seen(u64 site)
{
    for (u32 i = 0; i < nseen; i++) {
        if (seen[i] == site)
            return true;
    }
    return false;
}

/* Whether [mov, site) is `mov $nr,%eax` and then only what insn.c knows and leaves eax alone. */
static bool window_ok(u64 mov, u64 site, u32 nr)
{
    const u8 *p = writable(mov);
    u32 imm;
    if (p[0] != OP_MOV_EAX || (p[-1] & 0xf0) == 0x40 || p[-1] == 0x66)
        return false;
    memcpy(&imm, p + 1, 4);
    if (imm != nr)
        return false;
    u64 at = mov + 5;
    while (at < site) {
        struct insn in = insn_decode(writable(at), site - at);
        if (!in.len || in.sets_ax)
            return false;
        at += in.len;
    }
    return at == site;
}

/* Address of the mov that belongs to this syscall, or 0. */
static u64 find_mov(u64 site, u32 nr)
{
    for (u64 between = 0; between <= BETWEEN_MAX; between++) {
        u64 mov = site - 5 - between;
        if (!in_code(mov - 1, site + 2))
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

/* Copies what stands between; RIP-relative displacements keep their targets. */
static u32 copy_between(u64 to, u64 from, u64 end)
{
    u32 done = 0;
    while (from + done < end) {
        struct insn in = insn_decode(writable(from + done), end - from - done);
        u8 *p = writable(to + done);
        memcpy(p, writable(from + done), in.len);
        if (in.rip_disp) {
            i32 disp;
            memcpy(&disp, p + in.rip_disp, 4);
            put32(p + in.rip_disp, from + done + in.len + (u64)(i64)disp, to + done + in.len);
        }
        done += in.len;
    }
    return done;
}

static void write_stub(u64 stub, u64 mov, u64 site, u32 nr)
{
    u8 *p = writable(stub);
    p[0] = OP_MOV_EAX;
    memcpy(p + 1, &nr, 4);
    u32 n = 5 + copy_between(stub + 5, mov + 5, site);
    p[n] = 0x48; /* lea site+2(%rip), %rcx */
    p[n + 1] = 0x8d;
    p[n + 2] = 0x0d;
    put32(p + n + 3, site + 2, stub + n + 7);
    p[n + 7] = 0xff; /* jmp *first(%rip) */
    p[n + 8] = 0x25;
    put32(p + n + 9, boot_info()->stub_start, stub + n + 13);
}

void rewrite_site(struct frame *f)
{
    u64 site = f->rip - 2;
    if (!stub_next || !in_code(site - 6, site + 2))
        return;
    u32 nr = (u32)f->orig;
    spin_lock(&lock);
    if (is_seen(site) || nseen == SITES_MAX)
        goto out;
    seen[nseen++] = site;
    u64 mov = f->orig < LULL_NR_MAX ? find_mov(site, nr) : 0;
    if (!mov || stub_next + STUB_SIZE > stub_end) {
        sysstat()->sites_left++;
        goto out;
    }
    u64 stub = stub_next;
    stub_next += STUB_SIZE;
    write_stub(stub, mov, site, nr);
    stub_mov[(stub - boot_info()->stub_start) / STUB_SIZE] = mov;
    u8 jump[5] = {OP_JMP};
    put32(jump + 1, stub, mov + 5);
    cores_stop();
    memcpy(writable(mov), jump, sizeof jump);
    cores_resume();
    sysstat()->sites_rewritten++;
    f->err |= FR_FULL; /* this core serialises too */
out:
    spin_unlock(&lock);
}

/*
 * The jump to a stub is all that has been done: the mov is done here, and the program goes on
 * behind it. What stands between there and the syscall is whole, and so is the syscall.
 */
void rewrite_hide_step(struct frame *f)
{
    u64 start = boot_info()->stub_start;
    if (!stub_next || f->rip < start + STUB_SIZE || f->rip >= stub_next ||
        (f->rip - start) % STUB_SIZE)
        return;
    u32 nr;
    memcpy(&nr, writable(f->rip) + 1, 4);
    f->rax = nr;
    f->rip = stub_mov[(f->rip - start) / STUB_SIZE] + 5;
}
