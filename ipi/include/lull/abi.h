/* SPDX-License-Identifier: MIT */
/*
 * The contract between proxy and kernel: version, kernel image header, boot information.
 * Freestanding: compiled by both sides, included by nothing else. Sizes and offsets are asserted
 * here and compared with a recorded table by ipi/tests/layout.c.
 *
 * Trust: the proxy reads everything in isle memory as hostile: copy once, check, use the copy.
 */
#ifndef LULL_ABI_H
#define LULL_ABI_H

#include <stdint.h>

#include <lull/memmap.h>
#include <lull/numa.h>

/* Raised on every change of any structure or meaning in ipi/. Both sides refuse another one. */
#define LULL_ABI_VERSION 9u
#define LULL_ABI_MAGIC 0x314c4c554c4cu /* "LLULL1" */

#define LULL_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " size")
#define LULL_ASSERT_OFF(type, field, off)                                                          \
    _Static_assert(__builtin_offsetof(type, field) == (off), #type "." #field " offset")
#define LULL_LINE __attribute__((aligned(64)))

/* Guest-physical address of an address in LOW, RAM or KERN; of windows: lull_boot.win_gpa. */
static inline uint64_t lull_gpa(uint64_t va)
{
    return va < LULL_RAM_BASE    ? va + LULL_LOW_GPA
           : va < LULL_KERN_BASE ? va - LULL_RAM_BASE + LULL_RAM_GPA
                                 : va - LULL_KERN_BASE + LULL_KERN_GPA;
}

/*
 * First bytes of the kernel image, at LULL_KIMAGE. Read by the proxy from the file (trusted),
 * never from isle memory.
 */
struct lull_kernel_header {
    uint64_t magic;
    uint32_t abi_version;
    uint32_t header_size;
    uint64_t entry;      /* first instruction of every core: rdi = core page, rsp set */
    uint64_t text_start; /* [text_start, text_end): kernel code; a kick in it only sets a bit */
    uint64_t text_end;
    uint64_t leave_start; /* [leave_start, leave_end): registers of the thread half restored, */
    uint64_t leave_end;   /*   but its frame still whole: a kick in it restarts at leave_redo */
    uint64_t leave_redo;
    uint64_t upcall;      /* entry after a kick that interrupted application code */
    uint64_t lstar;       /* entry of a trapped `syscall`, at CPL 0 or CPL 3 */
    uint64_t fault_stubs; /* 32 stubs, 16 bytes each, vectors 0..31, ring 3 */
    uint64_t irq_stub;    /* vectors 32..255, ring 3 */
    uint64_t ring0_bp;    /* int3: monitor call or reflection, ring 0 */
    uint64_t ring0_fatal; /* NMI, double fault, machine check, ring 0 */
    uint64_t ring0_irq;   /* LULL_VECTOR: a doorbell, ring 0 */
};
LULL_ASSERT_SIZE(struct lull_kernel_header, 120);

/* Memory protection, as PROT_* of mmap(2). */
#define LULL_PROT_READ 1u
#define LULL_PROT_WRITE 2u
#define LULL_PROT_EXEC 4u
/* Not rights, but how LULL_WIN_MAP and LULL_NR_MAP_FILE map. */
#define LULL_PROT_HUGETLB 8u        /* MAP_HUGETLB: -EINVAL if the file is not one of hugetlbfs */
#define LULL_PROT_PRIVATE 0x10u     /* MAP_PRIVATE */
#define LULL_PROT_NORESERVE 0x20u   /* MAP_NORESERVE, with LULL_PROT_PAGE only */
#define LULL_PROT_POPULATE 0x40u    /* MAP_POPULATE, the same */
#define LULL_PROT_ASK 0x80u         /* LULL_NR_MAP_FILE: checks the mapping and copies nothing */
#define LULL_PROT_LIVE 0x4000u      /* LULL_NR_MAP_FILE may answer LULL_MAP_FILE_LIVE */
#define LULL_PROT_DROPPABLE 0x8000u /* LULL_WIN_MAP: MAP_DROPPABLE, anonymous and private */
/* log2 of the size of a huge page: address, length and offset are multiples of it; 0: ordinary. */
#define LULL_PROT_PAGE_SHIFT 8
#define LULL_PROT_PAGE(prot) ((prot) >> LULL_PROT_PAGE_SHIFT & 63)
/* Answer of both for a file of hugetlbfs if the caller did not give the size of its pages, or
   another one: nothing is mapped. The lowest bits are log2 of that size. */
#define LULL_IS_HUGETLB (1l << 62)

/* One loaded piece of the program; addresses are page aligned, ascending, disjoint. */
struct lull_segment {
    uint64_t start; /* bytes, virtual */
    uint64_t end;
    uint32_t prot;   /* LULL_PROT_* */
    uint32_t file;   /* LULL_FILE_*: what it was read from */
    uint64_t offset; /* in that file */
};
LULL_ASSERT_SIZE(struct lull_segment, 32);
#define LULL_MAX_SEGMENTS 128

/* Files that are mapped, by number: given by the proxy, known to it alone. */
#define LULL_FILE_NONE 0u    /* anonymous memory */
#define LULL_FILE_PROGRAM 1u /* what /proc/self/exe names */
#define LULL_FILE_INTERP 2u  /* the program's dynamic loader */
#define LULL_FILE_FIRST 3u   /* mapped by the program */
#define LULL_FILE_MAX 0xffffu

/* ITIMER_REAL, VIRTUAL and PROF, by their numbers (setitimer(2)); ns, left 0: not armed */
struct lull_itimer {
    uint64_t left, interval;
};

#define LULL_MASK_MAX 1024 /* bytes of a mask of processors that an isle knows */

#define LULL_BOOT_F_NO_REWRITE (1u << 0) /* leave every `syscall` trapping */
#define LULL_BOOT_F_SECURE (1u << 1)     /* AT_SECURE=1 */
/* The machine has a bus and interrupts: leave to the proxy by a doorbell and wait for its reply
   (lull_core.request), take kicks as LULL_VECTOR, take CPUID at its word. */
#define LULL_BOOT_F_DOORBELL (1u << 2)
#define LULL_BOOT_F_WINDOWS (1u << 3)    /* the engine can share memory with Linux */
#define LULL_BOOT_F_FORK (1u << 4)       /* and copy an isle's memory */
#define LULL_BOOT_F_EXEC_STACK (1u << 5) /* PT_GNU_STACK asks for it */
#define LULL_BOOT_F_SHARED (1u << 6)     /* others have the cores too: who yields, leaves */
#define LULL_BOOT_F_ASK_USER                                                                       \
    (1u << 7)                          /* user and group numbers change without a call of the      \
                                          program: a user namespace without all maps */
#define LULL_BOOT_F_CHILD_NS (1u << 8) /* children begin in another namespace of processes */
#define LULL_BOOT_F_FORKED (1u << 9)   /* its parent has the cores too: an idle one parks at once */

/*
 * Boot information at LULL_BOOT, written by the proxy before the first core starts, read-only
 * afterwards. Strings live in the blob that follows the structure; offsets count from LULL_BOOT.
 */
struct lull_boot {
    uint64_t magic;
    uint32_t abi_version;
    uint32_t flags; /* LULL_BOOT_F_* */
    uint32_t ncores;
    uint32_t nsegments;
    uint64_t mem_limit;  /* bytes the isle may populate in LOW + RAM (--mem) */
    uint64_t mem_loaded; /* bytes of it that the program's image already takes */
    uint64_t ram_end;    /* end of the RAM region, multiple of LULL_CHUNK */
    uint64_t tsc_khz;    /* TSC ticks per millisecond */
    uint64_t spin_tsc;   /* TSC ticks that an idle core spins before it parks; ~0: for ever */
    uint64_t slice_ns;   /* time slice of round robin, ns */
    /* program */
    uint64_t entry; /* AT_ENTRY */
    uint64_t phdr;  /* AT_PHDR */
    uint32_t phnum;
    uint32_t phent;
    uint64_t interp_base; /* AT_BASE, 0 for static */
    uint64_t brk_start;   /* page aligned */
    uint64_t brk_end;     /* limit of the heap */
    uint64_t stub_start;  /* area for rewritten calls, within 2 GiB of the program's text */
    uint64_t stub_end;
    uint64_t mmap_start; /* lowest address of the mmap region */
    uint64_t stack_size; /* bytes of the main thread's stack (RLIMIT_STACK) */
    uint64_t vdso_size;  /* bytes at LULL_VDSO, 0: none */
    /* blob: counted strings, each NUL-terminated */
    uint32_t argc;
    uint32_t envc;
    uint32_t argv_off; /* argc strings, one after another */
    uint32_t envp_off; /* envc strings, one after another */
    uint32_t exe_off;  /* absolute path of the program (/proc/self/exe) */
    uint32_t execfn_off;
    uint32_t blob_end;
    uint32_t xsave_size; /* bytes of the standard-format XSAVE area for xcr0 */
    uint64_t xcr0;
    uint64_t hwcap;  /* AT_HWCAP */
    uint64_t hwcap2; /* AT_HWCAP2 */
    uint32_t pid, ppid, uid, euid, gid, egid;
    uint64_t sigmask;    /* signal mask that the program inherits, bit n-1 = signal n */
    uint64_t sigignored; /* signals inherited as ignored */
    uint8_t random[32];  /* AT_RANDOM and the kernel's own seed */
    struct lull_segment segment[LULL_MAX_SEGMENTS];
    uint16_t cpu[LULL_MAX_CORES];  /* Linux's number of each core: what getcpu(2) answers */
    uint16_t node[LULL_MAX_CORES]; /* NUMA node of each core */
    uint64_t first_rip;            /* where the program starts: entry, or that of its loader */
    uint64_t win_gpa;              /* guest-physical address of LULL_WIN_BASE */
    uint32_t forks;                /* how many forks ago the isle was made: 0, or its memory holds
                                      a thread that goes on (LULL_OP_FORK) */
    uint16_t mask_least; /* bytes: the shortest mask that Linux's sched_getaffinity(2) takes */
    uint16_t mask_bytes; /* and as many as it gives at most */
    uint64_t signalfds;  /* signals of the signalfds that it inherits, bit n-1 = signal n */
    struct lull_itimer itimer[3]; /* inherited; REAL's: until CLOCK_MONOTONIC `left` */
    struct lull_numa numa;
    uint64_t
        far_size; /* bytes of guest-physical room for far windows, behind the windows; 0: none */
};
LULL_ASSERT_OFF(struct lull_boot, entry, 72);
LULL_ASSERT_OFF(struct lull_boot, argc, 160);
LULL_ASSERT_OFF(struct lull_boot, random, 256);
LULL_ASSERT_OFF(struct lull_boot, segment, 288);
LULL_ASSERT_SIZE(struct lull_boot, 288 + 32 * 128 + 4 * 240 + 32 + 48 + 424);

/* Clocks of the time page. The first two have the numbers of clock_gettime(2). */
enum lull_clock {
    LULL_CLOCK_REALTIME,
    LULL_CLOCK_MONOTONIC,
    LULL_CLOCK_BOOTTIME,
    LULL_CLOCK_RAW, /* CLOCK_MONOTONIC_RAW */
    LULL_CLOCK_TAI,
    LULL_CLOCKS
};

/*
 * Clock parameters at LULL_TIMEPAGE, written by the proxy (seqlock: odd while it writes), read by
 * kernel and vDSO. A clock is at[i] + ((tsc - tsc_base) * mult >> 32) nanoseconds. A coarse clock
 * is LULL_COARSE_LAG behind it, because Linux stamps files by its own, which must not be behind the
 * isle's.
 */
struct lull_timepage {
    uint32_t seq;
    uint32_t tick; /* ns, > 0: resolution of Linux's coarse clocks (clock_getres(2)) */
    uint64_t tsc_base;
    uint64_t mult;
    struct {
        uint64_t sec, nsec; /* nsec < 10^9 */
    } at[LULL_CLOCKS];      /* at tsc_base */
    /* How often somebody has set Linux's clocks: points in time of CLOCK_REALTIME and CLOCK_TAI are
       elsewhere after it. */
    uint64_t sets;
};
/* ns. Two ticks: Linux's tick can be late, as where a host takes the CPU away. */
#define LULL_COARSE_LAG(tick) (2 * (tick))
LULL_ASSERT_OFF(struct lull_timepage, at, 24);
LULL_ASSERT_OFF(struct lull_timepage, sets, 104);
LULL_ASSERT_SIZE(struct lull_timepage, 112);

#endif
