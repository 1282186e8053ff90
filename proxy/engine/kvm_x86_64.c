/* SPDX-License-Identifier: MIT */
/* First state of a core: long mode, ring 3. Intel SDM vol. 3A and vol. 4 (MSRs). */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/cpuid_x86_64.h"
#include "engine/kvm_priv.h"

#define CR0 0x80050033ull                      /* PG AM WP NE ET MP PE */
#define CR4 (0x20 | 0x600 | 0x10000 | 0x40000) /* PAE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE */
#define EFER 0xd01ull                          /* SCE LME LMA NXE */
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_FMASK 0xc0000084u
#define MSR_TSC_AUX 0xc0000103u
/* TF DF NT AC. Not IF: where `syscall` enters at CPL 3, ring 3 could not set it again; and nothing
   is ever injected that it would hold back. */
#define FMASK 0x44500ull
#define XCR0_KNOWN                                                                                 \
    0xe7ull /* x87 SSE AVX, AVX-512's three; PKRU and AMX need more of the kernel                  \
             */

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}

static uint64_t xgetbv(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* What KVM's CPUID says is less than what works on some nested ones: ask this process's own. */
void kvm_features(struct engine *e, struct engine_features *out)
{
    uint32_t r[4];
    (void)e;
    memset(out, 0, sizeof *out);
    out->xcr0 = xgetbv() & XCR0_KNOWN;
    out->xsave_size = 576;
    for (unsigned i = 2; i < 8; i++) {
        if (out->xcr0 >> i & 1) {
            cpuid(0xd, i, r);
            if (r[0] + r[1] > out->xsave_size)
                out->xsave_size = r[0] + r[1];
        }
    }
}

#define CPUID_MAX 256

/* What set_cpuid() has made, by core. A forked child's machine has the same cores on the same CPUs,
   and where Linux itself is a guest, each CPUID instruction is an exit to its hypervisor. Written
   by the core's own thread. */
static struct kvm_cpuid2 *cpuid_made[LULL_MAX_CORES];

/* On the thread of core i, on its CPU: that is how the core's numbers in the topology come out. */
static int set_cpuid(struct engine *e, unsigned i)
{
    struct kvm_cpuid2 *l = cpuid_made[i];
    if (!l) {
        l = calloc(1, sizeof *l + CPUID_MAX * sizeof *l->entries);
        if (!l)
            return -ENOMEM;
        l->nent = CPUID_MAX;
        if (ioctl(e->kvm, KVM_GET_SUPPORTED_CPUID, l) < 0) {
            int err = errno;
            free(l);
            return -err;
        }
        l->nent = cpuid_complete(l->entries, l->nent, CPUID_MAX, cpuid, xgetbv() & XCR0_KNOWN);
        cpuid_made[i] = l;
    }
    return ioctl(e->vcpu[i].fd, KVM_SET_CPUID2, l) < 0 ? -errno : 0;
}

static atomic_int rdtscp_known, segment_known; /* of this machine; 0: nobody has looked yet */

static bool has_rdtscp(void)
{
    uint32_t r[4];
    if (!rdtscp_known) {
        cpuid(0x80000001, 0, r);
        rdtscp_known = r[3] >> 27 & 1 ? 1 : -1;
    }
    return rdtscp_known > 0;
}

/* What RDTSCP and RDPID give besides the time: CPU and node, as Linux has set it on this CPU. Some
   KVMs run ring 3 with the processor's own value, and have no such register. */
static void set_tsc_aux(int fd)
{
    uint32_t lo, hi, aux;
    if (!has_rdtscp())
        return;
    __asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
    struct kvm_msrs *m = calloc(1, sizeof *m + sizeof *m->entries);
    if (m) {
        m->nmsrs = 1;
        m->entries[0] = (struct kvm_msr_entry){.index = MSR_TSC_AUX, .data = aux};
        ioctl(fd, KVM_SET_MSRS, m);
    }
    free(m);
}

/* The most that KVM lets us set; where it runs ring 3 natively, the host's own XCR0 counts. */
static void set_xcr0(struct engine *e, unsigned i)
{
    uint64_t want[] = {xgetbv() & XCR0_KNOWN, 7, 3};
    for (unsigned n = 0; n < sizeof want / sizeof *want; n++) {
        struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = want[n]}}};
        if (ioctl(e->vcpu[i].fd, KVM_SET_XCRS, &x) == 0)
            return;
    }
}

/*
 * Busy, as VT-x wants it and SVM takes it. QEMU's software emulation of SVM looks ports up in the
 * task segment only while that is not busy (helper_check_io of QEMU 7.2, which knows type 9 alone).
 */
static uint8_t task_segment_type(void)
{
    uint32_t r[4];
    if (!segment_known) {
        cpuid(1, 0, r);
        bool named = r[2] >> 31; /* a hypervisor says its name */
        if (named)
            cpuid(0x40000000, 0, r);
        segment_known = named && memcmp(&r[1], "TCGTCGTCGTCG", 12) == 0 ? 9 : 11;
    }
    return (uint8_t)segment_known;
}

static void set_segments(struct kvm_sregs *s, unsigned i)
{
    uint64_t base = LULL_SYSTABLES + i * LULL_SYS_STRIDE;
    struct kvm_segment code = {.limit = ~0u,
                               .selector = LULL_SEL_UCODE,
                               .present = 1,
                               .type = 11,
                               .dpl = 3,
                               .s = 1,
                               .l = 1,
                               .g = 1};
    struct kvm_segment data = {.limit = ~0u,
                               .selector = LULL_SEL_UDATA,
                               .present = 1,
                               .type = 3,
                               .dpl = 3,
                               .s = 1,
                               .db = 1,
                               .g = 1};
    s->cs = code;
    s->ds = s->es = s->fs = s->gs = s->ss = data;
    s->ldt = (struct kvm_segment){.unusable = 1}; /* a selector of it is a #GP */
    s->gdt.base = base + LULL_SYS_GDT_OFF;
    s->gdt.limit = 10 * 8 - 1;
    s->idt.base = LULL_IDT;
    s->idt.limit = 256 * 16 - 1;
    s->tr = (struct kvm_segment){.base = base + LULL_SYS_TSS_OFF,
                                 .limit = 0x68 + 3,
                                 .selector = LULL_SEL_TSS,
                                 .present = 1,
                                 .type = task_segment_type()};
}

static int set_msrs(int fd, const struct lull_kernel_header *header)
{
    const struct kvm_msr_entry entry[] = {
        {.index = MSR_STAR, .data = (uint64_t)0x23 << 48 | (uint64_t)LULL_SEL_KCODE << 32},
        {.index = MSR_LSTAR, .data = header->lstar},
        {.index = MSR_FMASK, .data = FMASK},
    };
    struct kvm_msrs *m = calloc(1, sizeof *m + sizeof entry);
    if (!m)
        return -ENOMEM;
    m->nmsrs = sizeof entry / sizeof *entry;
    memcpy(m->entries, entry, sizeof entry);
    int n = ioctl(fd, KVM_SET_MSRS, m);
    int r = n == (int)m->nmsrs ? 0 : n < 0 ? -errno : -EINVAL;
    free(m);
    return r;
}

int kvm_vcpu_setup(struct engine *e, unsigned i, const struct lull_kernel_header *header)
{
    int fd = e->vcpu[i].fd;
    struct kvm_sregs s;
    int r = set_cpuid(e, i);
    if (r)
        return r;
    set_xcr0(e, i);
    if (ioctl(fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    s.cr0 = CR0;
    s.cr3 = lull_gpa(LULL_PT_CORES + i * LULL_PT_STRIDE + LULL_PT_PML4_OFF);
    s.cr4 = CR4;
    s.efer = EFER;
    set_segments(&s, i);
    if (ioctl(fd, KVM_SET_SREGS, &s) < 0)
        return -errno;
    r = set_msrs(fd, header);
    if (r)
        return r;
    set_tsc_aux(fd);
    /* the isle reads the host's own time-stamp counter */
    uint64_t zero = 0;
    struct kvm_device_attr at = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)&zero};
    if (ioctl(fd, KVM_SET_DEVICE_ATTR, &at) < 0)
        return -errno;
    struct kvm_regs g = {
        .rip = header->entry,
        .rflags = 0x202,
        .rsp = LULL_CORES + (i + 1) * LULL_CORE_STRIDE,
        .rdi = LULL_CORES + i * LULL_CORE_STRIDE,
    };
    return ioctl(fd, KVM_SET_REGS, &g) < 0 ? -errno : 0;
}
