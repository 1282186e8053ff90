/* SPDX-License-Identifier: MIT */
/*
 * Memory map of an isle. The one place where an address is decided; usable from C and from
 * assembly. The proxy maps the same ranges at the same virtual addresses (design: one address,
 * one meaning), so all of them must be free in a position-independent Linux process.
 *
 *   virtual                                                       guest-physical
 *   0x0000_0000_0000  page 0..15: never mapped, NULL faults       -
 *   0x0000_0001_0000  LOW: non-PIE program, then its stub area    virtual + LOW_GPA
 *   0x0000_c000_0000  end of LOW; windows all around the program  behind the windows
 *   0x0010_0000_0000  RAM: static PIE, mmap region, stacks        virtual - RAM_BASE + RAM_GPA
 *                     (bottom up), brk heap from the middle
 *   boot.ram_end      at most LULL_RAM_MAX, less where the CPU has fewer physical address bits
 *   0x00f0_0000_0000  KERN: kernel image, core pages, channel,    virtual - KERN_BASE + KERN_GPA
 *                     page tables, thread slots
 *   0x00f0_4000_0000  DEV: device registers, only on machines     0xc000_0000 .. 4 GiB
 *                     that have doorbells (LULL_BOOT_F_DOORBELL)
 *   0x00f0_8000_0000  SELF: each core's own core page, by its     = its core page
 *                     own page tables
 *   0x00f4_0000_0000  alias of the program's image, writable, for  = image
 *                     the kernel's rewriting of calls
 *   0x00f8_0000_0000  windows: memory shared with Linux             behind RAM (boot.win_gpa)
 *   0x0100_0000_0000  far windows: where a program asks for an     behind the windows
 *                     address, a few at a time; low ones too
 *   0x7000_0000_0000  end of them: above it Linux puts what is the proxy's
 *
 * Guest-physical 0 .. 4 GiB belongs to a machine's firmware and devices, where there are any.
 *
 * Inside KERN (offsets):
 *   0x0000_0000  kernel image (text, rodata, data, bss)           2 MiB, 2 MiB pages
 *   0x0020_0000  seccomp filters                                  2 MiB
 *   0x0040_0000  core pages: LULL_CORE_STRIDE each                4 MiB
 *   0x0080_0000  boot information and its blob (argv, envp ...)   8 MiB
 *   0x0100_0000  GDT, IDT, TSS, ring-0 and IST stacks             4 MiB
 *   0x0140_0000  vDSO image and its data page                     2 MiB
 *   0x0160_0000  kernel tables (mappings, block states)           10 MiB
 *   0x0200_0000  page tables                                      96 MiB
 *   0x0800_0000  thread slots: kernel stack, vector state         128 MiB
 *   0x1000_0000  channel: LULL_CHAN_STRIDE each                   32 MiB
 */
#ifndef LULL_MEMMAP_H
#define LULL_MEMMAP_H

#ifdef __ASSEMBLER__
#define LULL_UL(x) x
#else
#define LULL_UL(x) x##ul
#endif

#define LULL_PAGE LULL_UL(0x1000)
#define LULL_HUGE LULL_UL(0x200000)

#define LULL_LOW_BASE LULL_UL(0x10000)
#define LULL_LOW_END LULL_UL(0xc0000000)
#define LULL_LOW_GPA LULL_UL(0x0200000000)

#define LULL_RAM_BASE LULL_UL(0x1000000000)
#define LULL_RAM_MAX LULL_UL(0xf000000000)
#define LULL_RAM_GPA LULL_UL(0x0300000000)
/* Host mappings and KVM memory slots are made for whole chunks. */
#define LULL_CHUNK LULL_UL(0x40000000)

#define LULL_KERN_BASE LULL_UL(0xf000000000)
#define LULL_KERN_GPA LULL_UL(0x0100000000)
#define LULL_KERN_SIZE LULL_UL(0x12000000)

#define LULL_KIMAGE LULL_KERN_BASE
#define LULL_KIMAGE_SIZE LULL_UL(0x200000)
#define LULL_SECCOMP (LULL_KERN_BASE + LULL_UL(0x200000))
#define LULL_SECCOMP_SIZE LULL_UL(0x200000)
#define LULL_BOOT (LULL_KERN_BASE + LULL_UL(0x800000))
#define LULL_BOOT_SIZE LULL_UL(0x800000) /* Linux passes on 6 MiB of strings at most */
#define LULL_CORES (LULL_KERN_BASE + LULL_UL(0x400000))
#define LULL_CORE_STRIDE LULL_UL(0x4000)
#define LULL_CHANNELS (LULL_KERN_BASE + LULL_UL(0x10000000))
#define LULL_CHAN_STRIDE LULL_UL(0x18000)
#define LULL_SYSTABLES (LULL_KERN_BASE + LULL_UL(0x1000000))
#define LULL_SYSTABLES_SIZE LULL_UL(0x400000)
#define LULL_VDSO (LULL_KERN_BASE + LULL_UL(0x1400000))
#define LULL_TIMEPAGE (LULL_VDSO + LULL_UL(0x10000))
#define LULL_KTABLES (LULL_KERN_BASE + LULL_UL(0x1600000))
#define LULL_KTABLES_SIZE LULL_UL(0xa00000)
#define LULL_PTPOOL (LULL_KERN_BASE + LULL_UL(0x2000000))
#define LULL_PTPOOL_SIZE LULL_UL(0x6000000)
/* First pages of the pool, filled by the proxy; the kernel allocates behind LULL_PT_FIRST_FREE. */
#define LULL_PT_PDPT0 LULL_PTPOOL /* 0 .. 512 GiB */
#define LULL_PT_PDKERN (LULL_PTPOOL + LULL_UL(0x1000))
#define LULL_PT_PDDEV (LULL_PTPOOL + LULL_UL(0x2000))
/* Four pages of each core, at LULL_PT_CORES + i * LULL_PT_STRIDE; the pool is free behind them.
   Level 4 and the table of 512 GiB .. 1 TiB say the same on every core but for LULL_SELF, to which
   the other two pages lead. Core 0's are the ones that the kernel reads. */
#define LULL_PT_CORES (LULL_PTPOOL + LULL_UL(0x4000))
#define LULL_PT_STRIDE LULL_UL(0x4000)
#define LULL_PT_PML4_OFF LULL_UL(0x0000)
#define LULL_PT_PDPT1_OFF LULL_UL(0x1000)
#define LULL_PT_PDSELF_OFF LULL_UL(0x2000)
#define LULL_PT_PTSELF_OFF LULL_UL(0x3000)
#define LULL_THREADS (LULL_KERN_BASE + LULL_UL(0x8000000))
#define LULL_THREADS_SIZE LULL_UL(0x8000000)

#define LULL_DEV_BASE LULL_UL(0xf040000000)
#define LULL_DEV_GPA LULL_UL(0xc0000000)
#define LULL_DEV_SIZE LULL_UL(0x40000000)

/* The page that is another one on each core. Within 2 GiB of the kernel's text, which reaches it by
   displacements of 32 bits (kernel/lull.ld). */
#define LULL_SELF LULL_UL(0xf080000000)

#define LULL_ALIAS_BASE LULL_UL(0xf400000000)
#define LULL_WIN_BASE LULL_UL(0xf800000000)
#define LULL_WIN_SIZE LULL_UL(0x7c0000000) /* 31 GiB */
#define LULL_WIN_END (LULL_WIN_BASE + LULL_WIN_SIZE)

#define LULL_FAR_BASE LULL_UL(0x10000000000)
#define LULL_FAR_END LULL_UL(0x700000000000)
#define LULL_FAR_MAX 4096 /* runs of addresses, extents, at a time */

/* No address of a program's is as high: TASK_SIZE_MAX of x86-64 with four levels of tables. */
#define LULL_USER_END LULL_UL(0x7ffffffff000)

/* Cores of one isle at most: bounded by the core pages and channels above. */
#define LULL_MAX_CORES 240

/* I/O port of every exit to the proxy (32-bit out). */
#define LULL_PORT 0x10

/* Interrupt vector of a doorbell (LULL_BOOT_F_DOORBELL). */
#define LULL_VECTOR 0x40

/* Segment selectors: Linux's own, because some nested KVMs know no others
   (docs/architecture.md). */
#define LULL_SEL_KCODE 0x10
#define LULL_SEL_KDATA 0x18
#define LULL_SEL_UCODE32 0x23
#define LULL_SEL_UDATA 0x2b
#define LULL_SEL_UCODE 0x33
#define LULL_SEL_TSS 0x40

/* Per core, inside LULL_SYSTABLES: TSS with I/O bitmap, ring-0 stack, IST stacks (tops). */
#define LULL_SYS_GDT_OFF 0x0000
#define LULL_SYS_TSS_OFF 0x0400
#define LULL_SYS_RING0_TOP 0x1800
#define LULL_SYS_NMI_TOP 0x2000
#define LULL_SYS_FAULT_TOP 0x3000
#define LULL_SYS_BP_TOP 0x3800
#define LULL_SYS_IRQ_TOP 0x4000
#define LULL_SYS_STRIDE 0x4000
#define LULL_IDT (LULL_SYSTABLES + LULL_MAX_CORES * LULL_SYS_STRIDE)

#endif
