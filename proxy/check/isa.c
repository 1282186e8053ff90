/* SPDX-License-Identifier: MIT */
#include <cpuid.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

#ifndef GNU_PROPERTY_X86_ISA_1_NEEDED
#define GNU_PROPERTY_X86_ISA_1_NEEDED 0xc0008002
#endif

#define ISA_KNOWN (ISA_BASELINE | ISA_V2 | ISA_V3 | ISA_V4)
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u

static uint64_t align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

/* Of one NT_GNU_PROPERTY_TYPE_0: an array of type, size, data padded to 8. */
static uint32_t property_needed(const uint8_t *p, size_t len)
{
    uint32_t head[2], bits;
    for (size_t at = 0; len - at >= sizeof head;) {
        memcpy(head, p + at, sizeof head);
        at += sizeof head;
        if (head[1] > len - at)
            return 0;
        if (head[0] == GNU_PROPERTY_X86_ISA_1_NEEDED && head[1] == sizeof bits) {
            memcpy(&bits, p + at, sizeof bits);
            return bits;
        }
        uint64_t step = align_up(head[1], 8);
        at = step > len - at ? len : at + step;
    }
    return 0;
}

uint32_t isa_needed(const uint8_t *notes, size_t len)
{
    Elf64_Nhdr nh;
    for (size_t at = 0; len - at >= sizeof nh;) {
        memcpy(&nh, notes + at, sizeof nh);
        at += sizeof nh;
        uint64_t name = align_up(nh.n_namesz, 4), desc = align_up(nh.n_descsz, 8);
        if (nh.n_type != NT_GNU_PROPERTY_TYPE_0)
            desc = align_up(nh.n_descsz, 4);
        if (name > len - at || nh.n_descsz > len - at - name)
            return 0;
        if (nh.n_type == NT_GNU_PROPERTY_TYPE_0 && nh.n_namesz == 4 &&
            memcmp(notes + at, "GNU", 4) == 0)
            return property_needed(notes + at + name, nh.n_descsz);
        at = desc > len - at - name ? len : at + name + desc;
    }
    return 0;
}

struct isa_cpu isa_this_cpu(void)
{
    struct isa_cpu c = {0};
    unsigned a, b, cx, d;
    if (__get_cpuid(1, &a, &b, &cx, &d))
        c.leaf1_ecx = cx;
    if (__get_cpuid_count(7, 0, &a, &b, &cx, &d))
        c.leaf7_ebx = b;
    if (__get_cpuid(0x80000001, &a, &b, &cx, &d))
        c.ext1_ecx = cx;
    if (c.leaf1_ecx & bit_OSXSAVE) {
        __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        c.xcr0 = (uint64_t)d << 32 | a;
    }
    return c;
}

bool isa_lacks(const struct isa_cpu *cpu, uint32_t needed, char *buf, size_t size)
{
    const struct {
        const char *name;
        uint32_t level, have, bit;
    } feature[] = {
        {"cx16", ISA_V2, cpu->leaf1_ecx, bit_CMPXCHG16B},
        {"lahf", ISA_V2, cpu->ext1_ecx, 1u},
        {"popcnt", ISA_V2, cpu->leaf1_ecx, bit_POPCNT},
        {"sse3", ISA_V2, cpu->leaf1_ecx, bit_SSE3},
        {"ssse3", ISA_V2, cpu->leaf1_ecx, bit_SSSE3},
        {"sse4.1", ISA_V2, cpu->leaf1_ecx, 1u << 19},
        {"sse4.2", ISA_V2, cpu->leaf1_ecx, 1u << 20},
        {"avx", ISA_V3, (cpu->xcr0 & XCR0_AVX) == XCR0_AVX ? cpu->leaf1_ecx : 0, bit_AVX},
        {"avx2", ISA_V3, (cpu->xcr0 & XCR0_AVX) == XCR0_AVX ? cpu->leaf7_ebx : 0, bit_AVX2},
        {"bmi1", ISA_V3, cpu->leaf7_ebx, 1u << 3},
        {"bmi2", ISA_V3, cpu->leaf7_ebx, 1u << 8},
        {"f16c", ISA_V3, cpu->leaf1_ecx, bit_F16C},
        {"fma", ISA_V3, cpu->leaf1_ecx, bit_FMA},
        {"lzcnt", ISA_V3, cpu->ext1_ecx, 1u << 5},
        {"movbe", ISA_V3, cpu->leaf1_ecx, bit_MOVBE},
        {"avx512f", ISA_V4, (cpu->xcr0 & XCR0_AVX512) == XCR0_AVX512 ? cpu->leaf7_ebx : 0,
         1u << 16},
        {"avx512dq", ISA_V4, cpu->leaf7_ebx, 1u << 17},
        {"avx512cd", ISA_V4, cpu->leaf7_ebx, 1u << 28},
        {"avx512bw", ISA_V4, cpu->leaf7_ebx, 1u << 30},
        {"avx512vl", ISA_V4, cpu->leaf7_ebx, 1u << 31},
    };
    size_t len = 0;
    buf[0] = '\0';
    if (needed & ISA_V4) /* each level holds the ones below it */
        needed |= ISA_V3;
    if (needed & ISA_V3)
        needed |= ISA_V2;
    for (size_t i = 0; i < sizeof feature / sizeof *feature && len < size; i++)
        if (needed & feature[i].level && !(feature[i].have & feature[i].bit))
            len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", feature[i].name);
    if (needed & ~ISA_KNOWN && len < size)
        len += (size_t)snprintf(buf + len, size - len, "%s(a level that is not known)",
                                len ? " " : "");
    return len != 0;
}

const char *isa_name(uint32_t needed)
{
    return needed & ~ISA_KNOWN ? "a level beyond x86-64-v4"
           : needed & ISA_V4   ? "x86-64-v4"
           : needed & ISA_V3   ? "x86-64-v3"
           : needed & ISA_V2   ? "x86-64-v2"
                               : "x86-64";
}
