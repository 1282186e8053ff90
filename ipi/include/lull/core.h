/* SPDX-License-Identifier: MIT */
/*
 * The core page: what one core of the isle and the proxy share, at LULL_CORES + i *
 * LULL_CORE_STRIDE. Each core sees its own page at LULL_SELF, too; the rest of the stride is the
 * kernel's own. Every cache line has one writer, named here; the doorbell word is the one
 * exception.
 */
#ifndef LULL_CORE_H
#define LULL_CORE_H

#include <lull/abi.h>

/* An isle leaves to the proxy by `out %eax, $LULL_PORT` with the request in its core page.
   lull_core.op. Arguments in arg[], answer in ret (0 or -errno unless said otherwise).
   On a machine with doorbells it counts `request` up, rings, and waits until `reply` says the
   same, in HLT (`halted`) when that takes long. */
enum lull_op {
    LULL_OP_NONE = 0,
    LULL_OP_EXIT,    /* arg0: exit status 0..255. Ends the isle. */
    LULL_OP_DIE,     /* arg0: signal that kills the program, arg1: address of struct lull_death,
                        arg2: 1: without a core file and without a word */
    LULL_OP_PANIC,   /* arg0: address, arg1: length of a message: the kernel itself failed; or, with
                        arg2 = 1, it has no memory to start the program with: the message says what
                        the memory is for */
    LULL_OP_MEMORY,  /* arg0: start, arg1: length (both multiples of LULL_HUGE, inside RAM),
                        arg2: enum lull_memory. -ENOMEM */
    LULL_OP_PARK,    /* sleep until the doorbell has a bit, or until CLOCK_MONOTONIC arg0 ns
                        (~0: no time) */
    LULL_OP_KICK,    /* arg0: core to interrupt (its doorbell bits are already set) */
    LULL_OP_TIMER,   /* arg0: core, arg1: CLOCK_MONOTONIC ns of the next kick (0: disarm),
                        arg2: period in ns (0: once). Rings LULL_BELL_TIMER */
    LULL_OP_CHANNEL, /* look at this core's channel: nobody polls it, or the poller sleeps */
    LULL_OP_CANCEL,  /* arg0: core, arg1: slot: interrupt that forwarded call (EINTR) */
    LULL_OP_MARK,    /* arg0: 1 begin, 2 end of the measured section */
    LULL_OP_STOP,    /* arg0: stop signal: stop the proxy as that signal would */
    LULL_OP_CLOCK,   /* core 0 before anything else, doorbell machines only: arg0: its TSC now.
                        Asked again until ret is 1: boot information is complete then */
    LULL_OP_WINDOW,  /* arg0: enum lull_window; memory shared with Linux */
    LULL_OP_FORK,    /* a second isle with a copy of all memory: its process, or -errno of
                        clone3(2). arg0: its flags, of LULL_FORK_FLAGS; arg1: exit_signal; arg2:
                        cgroup; arg3: address of set_tid in the kernel's memory, arg4: its
                        number of entries */
    LULL_OP_PENDING, /* arg0: signals of signalfds that are pending, bit n-1 = signal n; arg1: of
                        these, the ones of which one was taken since */
    LULL_OP_YIELD,   /* LULL_BOOT_F_SHARED: Linux may run somebody else on this CPU */
    LULL_OP_NUMA,    /* arg0: enum lull_numa_op (numa.h) */
    LULL_OP_ALONE,   /* arg0: number of a system call that Linux gives to a process of one thread
                        alone, arg1, arg2: its arguments. -ENOSYS: refused; else the machine is
                        made anew as after LULL_OP_FORK, lull_boot.forks counts it, and the answer
                        is lull_core.ret of the core that asked */
    LULL_OP_ROBUST,  /* arg0: address of the main thread's struct robust_list_head, 0: none. Linux
                        looks at it when the process is killed */
    LULL_OP_COUNT
};

/* CLONE_PARENT, FS, IO, SYSVSEM, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET,
   NEWTIME, INTO_CGROUP */
#define LULL_FORK_FLAGS LULL_UL(0x2fe068280)

enum lull_memory {
    LULL_MEM_POPULATE = 0, /* pages are there, and zero where they were not before */
    LULL_MEM_LAZY,         /* the host may populate at first touch, in small pages */
    LULL_MEM_LEND,         /* counts as populated; the host populates what was given back when it is
                              touched */
    LULL_MEM_DISCARD,      /* give back: zero at the next touch; multiples of LULL_PAGE */
    LULL_MEM_MERGE,        /* MADV_MERGEABLE, multiples of LULL_PAGE; -errno of madvise(2) */
    LULL_MEM_UNMERGE,      /* MADV_UNMERGEABLE, the same */
};

/*
 * arg1: start, arg2: length, bytes, multiples of LULL_PAGE, in RAM or in windows. -errno of the
 * call that Linux makes of it.
 */
enum lull_window {
    LULL_WIN_MAP = 0,  /* arg3: descriptor, -1: anonymous; arg4: offset; arg5: LULL_PROT_*. What is
                          there is replaced. Answers LULL_WIN_* bits */
    LULL_WIN_UNMAP,    /* in RAM private zero pages come in its place */
    LULL_WIN_MOVE,     /* arg3: new start, arg4: new length; arg5: 1: the old addresses stay mapped
                          (MREMAP_DONTUNMAP). Length 0: a second view of a shared window. The new
                          start is the old one: the window grows where it is */
    LULL_WIN_SYNC,     /* arg3: flags of msync(2) */
    LULL_WIN_REMOVE,   /* MADV_REMOVE */
    LULL_WIN_PROBE,    /* 0: the range's last page has memory, so all have; -EFAULT: it lies behind
                          the end of its file. arg3 not 0: the page is made writable */
    LULL_WIN_DONTNEED, /* MADV_DONTNEED */
    LULL_WIN_HUGE,     /* arg3: log2 of a size of huge pages, 0: the default one. That log2, or
                          -EINVAL: Linux has no such pages. arg5 not 0: log2 of the page size
                          of the file with the descriptor arg4, 0: it is not one of hugetlbfs */
    LULL_WIN_ADVISE, /* arg3: advice of madvise(2), DONTNEED, POPULATE_*, MERGEABLE or its opposite.
                        Length 0, any advice: whether Linux knows it and permits it */
    LULL_WIN_RESIDENT, /* bit i: page i of the range is in memory, up to LULL_WIN_RESIDENT_MAX pages
                        */
    LULL_WIN_SHM,      /* as MAP, arg3: System V segment, arg4: flags of shmat(2) */
    LULL_WIN_SHMSIZE,  /* arg3: System V segment: its bytes, whole pages */
    LULL_WIN_FAR,    /* an extent of far windows, multiples of LULL_HUGE, without memory yet; length
                        0: it goes. arg3: its number, 0 .. LULL_FAR_MAX - 1; arg4: where its room
                        begins, of lull_boot.far_size, in LULL_HUGE. What had the number goes, even if
                        this fails: -ENOMEM where Linux has something at these addresses, or the
                        machine has no room */
    LULL_WIN_LOCK,   /* mlock(2): arg3: enum lull_lock. -ENOMEM: a page cannot be populated */
    LULL_WIN_UNLOCK, /* munlock(2), of memory that is not locked for the isle itself */
    LULL_WIN_REMAP,  /* remap_file_pages(2): arg3: offset in the file, pages */
};
#define LULL_WIN_RESIDENT_MAX 62u
enum lull_lock {
    LULL_LOCK_ONFAULT = 0, /* MLOCK_ONFAULT */
    LULL_LOCK_READ,        /* the pages are populated, for reading */
    LULL_LOCK_WRITE,       /* and for writing */
};
/* Answer of MAP and SHM: LULL_FILE_* << 44, READONLY, bytes that the file covers. */
#define LULL_WIN_FILE_SHIFT 44
#define LULL_WIN_READONLY (1ul << 43) /* may never be written through this mapping */
#define LULL_WIN_BYTES (LULL_WIN_READONLY - 1)

/* lull_core.bell: bits set by either side with atomic OR, taken by the kernel with XCHG. */
#define LULL_BELL_KICK (1u << 0)       /* look around: another core wants something */
#define LULL_BELL_SIGNAL (1u << 1)     /* lull_signals has news */
#define LULL_BELL_TIMER (1u << 2)      /* the timer of this core fired */
#define LULL_BELL_COMPLETION (1u << 3) /* the channel has completions */
#define LULL_BELL_WINDOW (1u << 4)     /* a page of a window has no memory any more */

/* lull_core.state, written by the kernel. */
enum lull_core_state {
    LULL_CORE_BUSY = 0,    /* runs threads, or kernel */
    LULL_CORE_IDLE = 1,    /* spins; sees bell and channel by itself */
    LULL_CORE_PARKED = 2,  /* about to leave by LULL_OP_PARK, or gone: wants a wake-up */
    LULL_CORE_COMPUTES = 3 /* runs a thread while a blocked one waits for the channel here:
                              kick it when a completion comes */
};

/* Counters, one per cause. The kernel's: lull_core.kcount. */
enum lull_kcount {
    LULL_K_SYSCALL_TRAPPED,   /* by the `syscall` instruction */
    LULL_K_SYSCALL_REWRITTEN, /* by a rewritten site */
    LULL_K_FORWARDED,
    LULL_K_REFUSED,
    LULL_K_PAGEFAULT, /* faults of the application, by kind */
    LULL_K_FAULT,     /* other exceptions */
    LULL_K_INTERRUPT, /* doorbells taken as interrupts; without doorbells none is ever expected */
    LULL_K_UPCALL,    /* kicks that interrupted application code */
    LULL_K_SWITCH,    /* thread switches */
    LULL_K_PREEMPT,   /* of these, at the end of a time slice */
    LULL_K_FLUSH,     /* TLB flushes */
    LULL_K_SIGNAL,    /* handlers entered */
    LULL_K_GETPID,    /* rewritten calls that were answered without entering the kernel */
    LULL_K_GETTID,
    LULL_K_YIELD,
    LULL_K_NOMEM, /* requests for memory that --mem refused; not in the report's tables */
    LULL_K_COUNT = 16
};

/*
 * Written by the kernel. While an idle core spins it reads the TSC all the time; when two readings
 * lie LULL_GAP_NS and more apart, something else ran there. Ticks of the isle's TSC.
 */
#define LULL_GAP_NS 1000u
struct lull_gaps {
    LULL_LINE uint64_t watched; /* spent watching, gaps included */
    uint64_t count, sum;        /* of gaps */
    uint64_t longest;           /* of those in `section` */
    uint32_t section;           /* lull_core.watch when that began */
    uint32_t pad0;
    uint64_t pad1[3];
};
LULL_ASSERT_SIZE(struct lull_gaps, 64);

struct lull_core {
    /* written by the kernel, before it leaves */
    LULL_LINE uint32_t op;
    uint32_t index; /* of this core, written once by the proxy before start */
    uint64_t arg[6];
    uint32_t request; /* doorbell machines: number of the request in op and arg */
    uint32_t halted;  /* doorbell machines: ring this core's vector with the reply */
    /* written by the proxy while the core is outside; on a doorbell machine ring 0 of the isle
       writes up_* */
    LULL_LINE int64_t ret;
    uint64_t up_rip; /* where a kick interrupted the application */
    uint64_t up_rsp;
    uint64_t up_rflags;
    uint32_t reply; /* doorbell machines: number of the request that ret answers */
    uint32_t watch; /* 0, or the number of the section in which the idle core watches its gaps;
                       written at any time */
    uint64_t up_cs; /* LULL_SEL_UCODE, or LULL_SEL_UCODE32 */
    uint64_t pad1[2];
    /* doorbell: both sides, atomic */
    LULL_LINE uint32_t bell;
    uint32_t pad2[15];
    /* written by the kernel */
    LULL_LINE uint32_t state;
    uint32_t pad3;
    uint64_t pad4[7];
    LULL_LINE uint64_t kcount[LULL_K_COUNT];
    struct lull_gaps gaps;
};
LULL_ASSERT_OFF(struct lull_core, ret, 64);
LULL_ASSERT_OFF(struct lull_core, up_rip, 72);
LULL_ASSERT_OFF(struct lull_core, request, 56);
LULL_ASSERT_OFF(struct lull_core, reply, 96);
LULL_ASSERT_OFF(struct lull_core, bell, 128);
LULL_ASSERT_OFF(struct lull_core, state, 192);
LULL_ASSERT_OFF(struct lull_core, kcount, 256);
LULL_ASSERT_OFF(struct lull_core, gaps, 384);
LULL_ASSERT_SIZE(struct lull_core, 448);
_Static_assert(sizeof(struct lull_core) <= 1024, "kernel's private part starts at 1024");
_Static_assert(LULL_MAX_CORES *LULL_CORE_STRIDE <= 0x3c0000, "core pages end before the rest");
#define LULL_CORE_PRIVATE 1024 /* offset of the kernel's own per-core data */

/* Signals from Linux to the program, at LULL_SIGNALS: a ring, in the order in which they came. */
#define LULL_SIGNAL_RING 512u
struct lull_signals {
    LULL_LINE uint32_t head; /* taken by the kernel */
    uint32_t pad;
    uint64_t kept; /* the kernel: signals with a handler, or ignored; bit n-1 = signal n */
    LULL_LINE uint32_t tail; /* written by the proxy, never more than the ring's size ahead */
    LULL_LINE struct {
        int32_t signo, code, pid;
        uint32_t uid;
        uint64_t value; /* si_value; of SIGCHLD si_status */
        uint64_t pad;
    } entry[LULL_SIGNAL_RING];
};
LULL_ASSERT_SIZE(struct lull_signals, 2 * 64 + 32 * LULL_SIGNAL_RING);

/* Counts of system calls by number, written by the kernel with atomic adds, read at the end. */
#define LULL_NR_MAX 512
struct lull_sysstat {
    uint32_t local[LULL_NR_MAX];
    uint32_t forwarded[LULL_NR_MAX];
    uint32_t refused[LULL_NR_MAX];
    uint32_t sites_rewritten, sites_left;
    /* forwarded calls: what their callers waited, nanoseconds */
    uint64_t waited_ns[LULL_NR_MAX], longest_ns[LULL_NR_MAX];
};

/*
 * How many forwarded calls were answered after how long, by number; the kernel's, atomic adds. Four
 * buckets for each power of two from LULL_WAIT_MIN_NS; the first and the last are open.
 */
#define LULL_WAIT_BUCKETS 96u
#define LULL_WAIT_SHIFT 8
#define LULL_WAIT_MIN_NS (1ull << LULL_WAIT_SHIFT)
struct lull_waits {
    uint32_t bucket[LULL_NR_MAX][LULL_WAIT_BUCKETS];
};
LULL_ASSERT_SIZE(struct lull_waits, 512 * 96 * 4);

static inline unsigned lull_wait_bucket(uint64_t ns)
{
    if (ns < LULL_WAIT_MIN_NS)
        return 0;
    unsigned top = 63u - (unsigned)__builtin_clzll(ns);
    unsigned b = (top - LULL_WAIT_SHIFT) * 4 + (unsigned)(ns >> (top - 2) & 3);
    return b < LULL_WAIT_BUCKETS ? b : LULL_WAIT_BUCKETS - 1;
}

/* The shortest time that belongs into a bucket, but for the first. */
static inline uint64_t lull_wait_least(unsigned bucket)
{
    return (uint64_t)(4 + bucket % 4) << (bucket / 4 + LULL_WAIT_SHIFT - 2);
}

/* All three live behind the core pages. */
#define LULL_WAITS (LULL_CORES + LULL_UL(0x3c0000))
#define LULL_SIGNALS (LULL_CORES + LULL_UL(0x3f0000))
#define LULL_SYSSTAT (LULL_CORES + LULL_UL(0x3f8000))
_Static_assert(0x3c0000 + sizeof(struct lull_waits) <= 0x3f0000 &&
                   0x3f8000 + sizeof(struct lull_sysstat) <= 0x400000,
               "what is behind the core pages");

/* What is known of a death by signal, for the register dump. */
struct lull_death {
    uint32_t signo, code;
    uint64_t addr; /* si_addr */
    uint32_t tid, core;
    uint64_t trapno, err;
    uint64_t rip, rsp, rflags;
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint32_t nframes, pad;
    uint64_t frame[32]; /* return addresses, innermost first */
};
LULL_ASSERT_SIZE(struct lull_death, 8 + 8 + 8 + 16 + 24 + 56 + 64 + 8 + 256);

#endif
