/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#define XCR0_KNOWN 0xe7u /* x87 SSE AVX, AVX-512's three */
#define HWCAP2_FSGSBASE 2

struct machine machine;

static u64 xgetbv(void)
{
    u32 lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (u64)hi << 32 | lo;
}

static void cpuid(u32 leaf, u32 sub, u32 r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}

void machine_init(void)
{
    const struct lull_boot *b = boot_info();
    machine.doorbell = b->flags & LULL_BOOT_F_DOORBELL;
    if (!machine.doorbell) { /* this KVM's CPUID may say less than what works */
        machine.xcr0 = b->xcr0;
        machine.xsave_size = b->xsave_size;
        machine.hwcap = b->hwcap;
        machine.hwcap2 = b->hwcap2;
        return;
    }
    u32 r[4];
    machine.xcr0 = xgetbv() & XCR0_KNOWN;
    cpuid(0xd, 0, r);
    machine.xsave_size = r[1];
    cpuid(1, 0, r);
    machine.hwcap = r[3];
    machine.hwcap2 = HWCAP2_FSGSBASE;
    doorbell_init();
}
