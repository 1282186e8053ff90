/* SPDX-License-Identifier: MIT */
/* What CPUID says in an isle. Intel SDM vol. 2A, AMD APM vol. 3 appendix E. */
#include "engine/cpuid_x86_64.h"

#include <stdbool.h>
#include <string.h>

#define LEAF_MAX 64u /* sub-leaves of one leaf at most */
#define XCR0_AVX 0x4u
#define XCR0_AVX512 0xe0u

enum reg { EAX, EBX, ECX, EDX };

/*
 * Instructions that ring 3 executes without the help of a kernel or a hypervisor: what the
 * processor has of them the isle has, whatever KVM lists. Others (WAITPKG, MWAITX, RDPRU,
 * protection keys, CET, AMX, ENQCMD) depend on what the hypervisor or the kernel has set up.
 */
static const struct {
    uint32_t leaf, sub;
    enum reg reg;
    uint32_t bits, avx, avx512; /* of `bits`: those that need that state in XCR0 */
    uint32_t never;             /* need state or control bits that an isle does not have */
} instructions[] = {
    {1, 0, ECX, 0x76d83203u, 0x30001000u, 0, 0},
    {1, 0, EDX, 0x17888111u, 0, 0, 0},
    {7, 0, EBX, 0xfdaf0b39u, 0x00000020u, 0xdc230000u, 0},
    {7, 0, ECX, 0x1a405f43u, 0x00000600u, 0x00005842u, 0x20000098u},
    {7, 0, EDX, 0x0081411cu, 0, 0x0080010cu, 0x03500020u},
    {7, 1, EAX, 0x00801c37u, 0x00800017u, 0x00000020u, 0x04200000u},
    {7, 1, EDX, 0x00004430u, 0x00000430u, 0, 0x002c0100u},
    {0xd, 1, EAX, 0x00000007u, 0, 0, 0x00000018u},
    {0x80000001, 0, ECX, 0x002109e1u, 0x00010800u, 0, 0},
    {0x80000001, 0, EDX, 0xe8400800u, 0, 0, 0},
    {0x80000008, 0, EBX, 0x00000001u, 0, 0, 0},
};

/* Copied as they are on the CPU that the core runs on: names, caches, frequencies, topology. */
static const struct {
    uint32_t first, last;
    bool subs;
} copied[] = {{2, 2, false},
              {4, 4, true},
              {0xb, 0xb, true},
              {0x15, 0x16, false},
              {0x1a, 0x1a, false},
              {0x1f, 0x1f, true},
              {0x80000002, 0x80000006, false},
              {0x8000001d, 0x8000001d, true},
              {0x8000001e, 0x8000001e, false},
              {0x80000026, 0x80000026, true}};

struct list {
    struct kvm_cpuid_entry2 *e;
    unsigned n, max;
};

static bool has_subs(uint32_t leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x1f ||
           leaf == 0x8000001d || leaf == 0x80000026;
}

/* NULL: no room. */
static struct kvm_cpuid_entry2 *entry(struct list *l, uint32_t leaf, uint32_t sub)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->e[i].function == leaf && (!has_subs(leaf) || l->e[i].index == sub))
            return &l->e[i];
    if (l->n == l->max)
        return NULL;
    struct kvm_cpuid_entry2 *x = &l->e[l->n++];
    memset(x, 0, sizeof *x);
    x->function = leaf;
    x->index = sub;
    x->flags = has_subs(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    return x;
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *x, enum reg r)
{
    return r == EAX ? &x->eax : r == EBX ? &x->ebx : r == ECX ? &x->ecx : &x->edx;
}

static void set(struct list *l, uint32_t leaf, uint32_t sub, const uint32_t r[4])
{
    struct kvm_cpuid_entry2 *x = entry(l, leaf, sub);
    if (!x)
        return;
    x->eax = r[EAX];
    x->ebx = r[EBX];
    x->ecx = r[ECX];
    x->edx = r[EDX];
}

static uint32_t highest(cpuid_fn own, uint32_t base)
{
    uint32_t r[4];
    own(base, 0, r);
    return r[EAX];
}

/* Has the processor this leaf? */
static bool known(cpuid_fn own, uint32_t leaf)
{
    return leaf <= highest(own, leaf & 0x80000000u);
}

/* What follows the last sub-leaf of a leaf with several says so. */
static bool is_last(uint32_t leaf, const uint32_t r[4])
{
    if (leaf == 4 || leaf == 0x8000001d)
        return (r[EAX] & 31) == 0;
    return (r[ECX] >> 8 & 0xff) == 0; /* type of the level */
}

static void copy(struct list *l, cpuid_fn own)
{
    uint32_t r[4];
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        for (uint32_t leaf = copied[i].first; leaf <= copied[i].last; leaf++) {
            if (!known(own, leaf))
                continue;
            for (uint32_t sub = 0; sub < LEAF_MAX; sub++) {
                own(leaf, sub, r);
                set(l, leaf, sub, r);
                if (!copied[i].subs || is_last(leaf, r))
                    break;
            }
        }
    }
}

static void add_instructions(struct list *l, cpuid_fn own, uint64_t xcr0)
{
    uint32_t r[4];
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        uint32_t leaf = instructions[i].leaf, sub = instructions[i].sub;
        if (!known(own, leaf))
            continue;
        own(leaf, sub, r);
        struct kvm_cpuid_entry2 *x = entry(l, leaf, sub);
        if (!x)
            continue;
        uint32_t *reg = reg_of(x, instructions[i].reg);
        *reg |= r[instructions[i].reg] & instructions[i].bits;
        *reg &= ~instructions[i].never;
        if (!(xcr0 & XCR0_AVX))
            *reg &= ~instructions[i].avx;
        if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
            *reg &= ~instructions[i].avx512;
        if (leaf == 7 && sub == 0 && x->eax < r[EAX])
            x->eax = r[EAX]; /* the last sub-leaf */
    }
}

/* The state that XSAVE saves: sizes for what is enabled. */
static void state_sizes(struct list *l, cpuid_fn own, uint64_t xcr0)
{
    uint32_t r[4], size = 576, compact = 576;
    if (!known(own, 0xd))
        return;
    for (uint32_t i = 2; i < LEAF_MAX; i++) {
        static const uint32_t none[4];
        if (!(xcr0 >> i & 1)) {
            struct kvm_cpuid_entry2 *x = entry(l, 0xd, i);
            if (x && (x->eax | x->ebx | x->ecx | x->edx))
                set(l, 0xd, i, none);
            else if (x == &l->e[l->n - 1])
                l->n--;
            continue;
        }
        own(0xd, i, r);
        set(l, 0xd, i, r);
        size = r[EAX] + r[EBX] > size ? r[EAX] + r[EBX] : size;
        compact = (r[ECX] & 2 ? (compact + 63) & ~63u : compact) + r[EAX];
    }
    own(0xd, 0, r);
    r[EAX] = (uint32_t)xcr0;
    r[EBX] = r[ECX] = size;
    r[EDX] = (uint32_t)(xcr0 >> 32);
    set(l, 0xd, 0, r);
    struct kvm_cpuid_entry2 *x = entry(l, 0xd, 1);
    if (x) {
        x->ebx = compact;
        x->ecx = x->edx = 0;
    }
}

unsigned cpuid_complete(struct kvm_cpuid_entry2 *e, unsigned n, unsigned max, cpuid_fn own,
                        uint64_t xcr0)
{
    static const uint32_t bases[] = {0, 0x80000000u};
    struct list l = {e, n, max};
    uint32_t r[4];
    for (size_t i = 0; i < 2; i++) {
        struct kvm_cpuid_entry2 *x = entry(&l, bases[i], 0);
        if (x && x->eax < highest(own, bases[i]))
            x->eax = highest(own, bases[i]);
    }
    add_instructions(&l, own, xcr0);
    copy(&l, own);
    state_sizes(&l, own, xcr0);
    struct kvm_cpuid_entry2 *one = entry(&l, 1, 0);
    if (one) {
        own(1, 0, r);
        one->ebx = r[EBX];    /* number and count of its siblings */
        one->ecx |= 1u << 27; /* OSXSAVE follows CR4 on hardware; some KVMs want it said */
    }
    return l.n;
}
