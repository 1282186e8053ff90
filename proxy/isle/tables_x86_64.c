/* SPDX-License-Identifier: MIT */
/* GDT, IDT, TSS and first page tables of an isle: Intel SDM vol. 3A, 3.4.5, 4.5, 6.14, 8.7. */
#include <string.h>

#include "isle/boot.h"

#define TABLE 0x67ull        /* present, writable, user, accessed, dirty */
#define PAGE_HUGE 0xe7ull    /* the same, 2 MiB */
#define GATE_TRAP 0x8full    /* present, trap gate; DPL 0: `int n` of the program is a #GP */
#define GATE_TRAP_R3 0xefull /* the same, DPL 3 */
#define GATE_INT_R0 0x8eull  /* present, DPL 0, interrupt gate */
#define GATE_INT_R0_DPL3 0xeeull
#define IST_FAULT 1
#define IST_NMI 2
#define IST_IRQ 3
#define DEVICE_PAGE (PAGE_HUGE | 0x18) /* uncached */
#define TSS_LIMIT (0x68 + 3)           /* I/O bitmap of three bytes and the one that ends it */

static void gate(unsigned vec, uint64_t handler, unsigned sel, uint64_t type, unsigned ist)
{
    uint64_t *idt = (uint64_t *)LULL_IDT;
    idt[2 * vec] = (handler & 0xffff) | (uint64_t)sel << 16 | (uint64_t)ist << 32 | type << 40 |
                   (handler >> 16 & 0xffff) << 48;
    idt[2 * vec + 1] = handler >> 32;
}

static void idt_fill(const struct lull_kernel_header *h)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t stub = v < 32 ? h->fault_stubs + 16 * v : h->irq_stub;
        gate(v, stub, LULL_SEL_UCODE, v == 4 ? GATE_TRAP_R3 : GATE_TRAP, IST_FAULT);
    }
    gate(3, h->ring0_bp, LULL_SEL_KCODE, GATE_INT_R0_DPL3, 0);
    gate(2, h->ring0_fatal, LULL_SEL_KCODE, GATE_INT_R0, IST_NMI);
    gate(8, h->ring0_fatal, LULL_SEL_KCODE, GATE_INT_R0, IST_NMI);
    gate(LULL_VECTOR, h->ring0_irq, LULL_SEL_KCODE, GATE_INT_R0, IST_IRQ);
    gate(18, h->ring0_fatal, LULL_SEL_KCODE, GATE_INT_R0, IST_NMI);
}

static void core_tables(unsigned core)
{
    uint64_t base = LULL_SYSTABLES + core * LULL_SYS_STRIDE;
    uint64_t *gdt = (uint64_t *)(base + LULL_SYS_GDT_OFF);
    uint8_t *tss = (uint8_t *)(base + LULL_SYS_TSS_OFF);
    uint64_t t = (uint64_t)tss;
    gdt[1] = 0x00cf9b000000ffffull; /* kernel 32-bit code, unused */
    gdt[2] = 0x00af9b000000ffffull; /* 0x10 kernel code */
    gdt[3] = 0x00cf93000000ffffull; /* 0x18 kernel data */
    gdt[4] = 0x00cffb000000ffffull; /* 0x23 user 32-bit code */
    gdt[5] = 0x00cff3000000ffffull; /* 0x2b user data */
    gdt[6] = 0x00affb000000ffffull; /* 0x33 user code */
    gdt[8] = TSS_LIMIT | (t & 0xffffff) << 16 | 0x89ull << 40 | (t >> 24 & 0xff) << 56;
    gdt[9] = t >> 32;
    uint64_t ring0 = base + LULL_SYS_RING0_TOP, fault = base + LULL_SYS_FAULT_TOP,
             nmi = base + LULL_SYS_NMI_TOP, irq = base + LULL_SYS_IRQ_TOP;
    uint16_t iomap = 0x68;
    memcpy(tss + 4, &ring0, 8);
    memcpy(tss + 0x24, &fault, 8);
    memcpy(tss + 0x2c, &nmi, 8);
    memcpy(tss + 0x34, &irq, 8);
    memcpy(tss + 0x66, &iomap, 2);
    /* ring 3 may use LULL_PORT, 32 bits wide, and no other port */
    static const uint8_t ports[4] = {0xff, 0xff, 0xf0, 0xff};
    _Static_assert(LULL_PORT == 0x10, "the bitmap opens ports 0x10 to 0x13");
    memcpy(tss + 0x68, ports, sizeof ports);
}

/* Registers of devices, for ring 3: an isle may spoil its own machine, and nothing else. */
static void device_pages(void)
{
    uint64_t *dev = (uint64_t *)LULL_PT_PDDEV;
    for (uint64_t i = 0; i < LULL_DEV_SIZE / LULL_HUGE; i++)
        dev[i] = (LULL_DEV_GPA + i * LULL_HUGE) | DEVICE_PAGE;
}

/* The tables that are another on each core. */
static void core_page_tables(unsigned core, bool devices)
{
    uint64_t base = LULL_PT_CORES + core * LULL_PT_STRIDE;
    uint64_t *pml4 = (uint64_t *)(base + LULL_PT_PML4_OFF),
             *high = (uint64_t *)(base + LULL_PT_PDPT1_OFF),
             *pd = (uint64_t *)(base + LULL_PT_PDSELF_OFF),
             *pt = (uint64_t *)(base + LULL_PT_PTSELF_OFF);
    pml4[0] = lull_gpa(LULL_PT_PDPT0) | TABLE;
    pml4[1] = lull_gpa(base + LULL_PT_PDPT1_OFF) | TABLE;
    high[LULL_KERN_BASE >> 30 & 511] = lull_gpa(LULL_PT_PDKERN) | TABLE;
    if (devices)
        high[LULL_DEV_BASE >> 30 & 511] = lull_gpa(LULL_PT_PDDEV) | TABLE;
    high[LULL_SELF >> 30 & 511] = lull_gpa(base + LULL_PT_PDSELF_OFF) | TABLE;
    pd[LULL_SELF >> 21 & 511] = lull_gpa(base + LULL_PT_PTSELF_OFF) | TABLE;
    pt[LULL_SELF >> 12 & 511] = lull_gpa(LULL_CORES + core * LULL_CORE_STRIDE) | TABLE;
}

void boot_tables(struct isle *isle)
{
    uint64_t *kern = (uint64_t *)LULL_PT_PDKERN;
    for (uint64_t i = 0; i < LULL_KERN_SIZE / LULL_HUGE; i++)
        kern[i] = (LULL_KERN_GPA + i * LULL_HUGE) | PAGE_HUGE;
    bool devices = ((const struct lull_boot *)LULL_BOOT)->flags & LULL_BOOT_F_DOORBELL;
    if (devices)
        device_pages();
    idt_fill(&isle->header);
    for (unsigned i = 0; i < isle->ncores; i++) {
        core_tables(i);
        core_page_tables(i, devices);
    }
}
