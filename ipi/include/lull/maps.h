/* SPDX-License-Identifier: MIT */
/*
 * The program's mappings, at LULL_KTABLES: written by the kernel, read by the proxy for
 * /proc/self/maps and the like, as hostile as all of isle memory.
 */
#ifndef LULL_MAPS_H
#define LULL_MAPS_H

#include <lull/abi.h>

/* lull_map.flags */
#define LULL_MAP_STACK (1u << 0)  /* MAP_STACK: populated by the host at first touch */
#define LULL_MAP_LAZY (1u << 1)   /* MAP_NORESERVE: the same */
#define LULL_MAP_STALE (1u << 2)  /* memory holds somebody's old data: zero before it is opened */
#define LULL_MAP_HEAP (1u << 3)   /* brk */
#define LULL_MAP_IMAGE (1u << 4)  /* a segment that the proxy loaded */
#define LULL_MAP_MAIN (1u << 5)   /* the main thread's stack */
#define LULL_MAP_HOLD (1u << 6)   /* reserved by an mmap that is under way */
#define LULL_MAP_BEYOND (1u << 7) /* of a file, behind its end: an access is SIGBUS */
#define LULL_MAP_STUBS (1u << 8)  /* stubs of rewritten system calls */
#define LULL_MAP_WINDOW (1u << 9) /* the proxy maps it by itself; MAP_SHARED unless _PRIVATE */
#define LULL_MAP_READONLY (1u << 10) /* a window that may not become writable */
#define LULL_MAP_SHM (1u << 11)      /* a window that is a System V segment */
/* closed (PROT_NONE), but its memory holds data */
#define LULL_MAP_TOUCHED (1u << 12)
#define LULL_MAP_DONTFORK (1u << 13) /* MADV_DONTFORK: a forked child does not have it */
#define LULL_MAP_WIPE (1u << 14)     /* MADV_WIPEONFORK: there it is zero */
#define LULL_MAP_PRIVATE (1u << 15)  /* a window that the proxy has mapped MAP_PRIVATE */
/* A window of huge pages: log2 of their size; 0: ordinary pages. */
#define LULL_MAP_PAGE_SHIFT 27
#define LULL_MAP_PAGE(flags) ((flags) >> LULL_MAP_PAGE_SHIFT)
/* LULL_PROT_* of pages behind a file's end that are no window, and of guard pages: their own prot
   is none */
#define LULL_MAP_BEYOND_SHIFT 20
#define LULL_MAP_BEYOND_PROT (7u << LULL_MAP_BEYOND_SHIFT)
#define LULL_MAP_RESERVED (1u << 16)  /* a closed private window without memory: addresses only */
#define LULL_MAP_LOCKED (1u << 17)    /* mlock(2) */
#define LULL_MAP_ONFAULT (1u << 18)   /* with LOCKED: MLOCK_ONFAULT */
#define LULL_MAP_SEALED (1u << 19)    /* mseal(2) */
#define LULL_MAP_DROPPABLE (1u << 23) /* a private window, MAP_DROPPABLE on Linux too */
/* MADV_GUARD_INSTALL: an access is SIGSEGV. The rights are in LULL_MAP_BEYOND_PROT. */
#define LULL_MAP_GUARD (1u << 24)
#define LULL_MAP_GROWS (1u << 25)    /* MAP_GROWSDOWN */
#define LULL_MAP_DONTDUMP (1u << 26) /* MADV_DONTDUMP: not in a core file */
#define LULL_MAP_LOCK (LULL_MAP_LOCKED | LULL_MAP_ONFAULT)

struct lull_map {
    uint64_t start, end; /* bytes, page aligned, end > start */
    uint32_t prot;       /* LULL_PROT_* */
    uint32_t flags;      /* LULL_MAP_* */
    uint32_t file;       /* LULL_FILE_*; 0: anonymous */
    uint32_t policy;     /* of the kernel alone (mm/policy.c); 0: none */
    uint64_t offset;     /* in the file, of start */
};
LULL_ASSERT_SIZE(struct lull_map, 40);

/* MAP_SHARED as the program sees it. */
static inline int lull_map_shared(const struct lull_map *m)
{
    return (m->flags & (LULL_MAP_WINDOW | LULL_MAP_PRIVATE)) == LULL_MAP_WINDOW;
}

struct lull_maps {
    LULL_LINE uint32_t seq; /* odd while the kernel changes the table */
    uint32_t count;
    /* Bytes, of mappings without LULL_MAP_MAIN, STUBS and HOLD, and the most since the program
       began or was forked; with the lock of the table. `filled`: populated when they were mapped.
     */
    uint64_t size, size_peak;
    uint64_t filled, filled_peak;
    uint64_t locked;                 /* bytes, of the same mappings, with LULL_MAP_LOCKED */
    LULL_LINE struct lull_map map[]; /* ascending, disjoint */
};
/* How much of the mapping counts in lull_maps.size and .filled. */
static inline int lull_map_counts(const struct lull_map *m)
{
    return !(m->flags & (LULL_MAP_MAIN | LULL_MAP_STUBS | LULL_MAP_HOLD));
}
static inline int lull_map_filled(const struct lull_map *m)
{
    return lull_map_counts(m) && (m->prot || m->flags & LULL_MAP_TOUCHED) &&
           !(m->flags & (LULL_MAP_WINDOW | LULL_MAP_STACK | LULL_MAP_LAZY | LULL_MAP_BEYOND));
}
LULL_ASSERT_OFF(struct lull_maps, map, 64);

/*
 * What /proc/self and getrusage(2) tell besides: written by the kernel before it forwards such a
 * call, as of the thread that makes it. At LULL_PROC.
 */
#define LULL_AUXV_MAX 32
struct lull_proc {
    uint32_t threads;
    uint32_t tid;
    uint64_t sigpnd, shdpnd, sigblk, sigign, sigcgt; /* bit n-1: signal n */
    uint64_t cpu_ns;                                 /* of all threads so far */
    uint64_t thread_ns;                              /* of that thread */
    uint64_t stack;                                  /* address where the program's arguments lie */
    char comm[16];                                   /* name of that thread */
    char main_comm[16];                              /* of the main thread */
    uint64_t nvcsw, nivcsw; /* times that a thread gave its core up and lost it, of all */
    uint64_t thread_nvcsw, thread_nivcsw; /* of that thread */
    uint64_t slack;                       /* its timer slack, ns */
    uint32_t seccomp, filters;        /* of that thread: 0, SECCOMP_MODE_*; number of its filters */
    uint64_t auxv[2 * LULL_AUXV_MAX]; /* as on the stack, zeroes behind it */
    /* before an execve(2): what survives it */
    struct lull_itimer itimer[3];
    uint64_t pending; /* bit n-1: signal n, and what came with it */
    struct {
        int32_t code, pid, uid, pad;
        uint64_t value;
    } pending_info[64];
};
LULL_ASSERT_SIZE(struct lull_proc, 152 + 16 * LULL_AUXV_MAX + 48 + 8 + 24 * 64);
#define LULL_PROC (LULL_KTABLES + LULL_UL(0x9f0000))

/*
 * Limits of the program (getrlimit(2)), by Linux's numbers: put there by the proxy before the first
 * core starts, the kernel's from then on. Of those that Linux keeps for the program (see
 * LULL_LIMITS_KEPT) the values are not looked at.
 */
#define LULL_LIMIT_CPU 0
#define LULL_LIMIT_FSIZE 1
#define LULL_LIMIT_DATA 2
#define LULL_LIMIT_STACK 3
#define LULL_LIMIT_NPROC 6
#define LULL_LIMIT_AS 9
#define LULL_LIMIT_SIGPENDING 11
#define LULL_LIMITS 16
#define LULL_UNLIMITED (~0ul)
/* Bit n: limit n is the isle's, because on Linux it would bind the proxy instead of the program. */
#define LULL_LIMITS_KEPT                                                                           \
    (1u << LULL_LIMIT_CPU | 1u << LULL_LIMIT_FSIZE | 1u << LULL_LIMIT_DATA |                       \
     1u << LULL_LIMIT_STACK | 1u << LULL_LIMIT_NPROC | 1u << LULL_LIMIT_AS |                       \
     1u << LULL_LIMIT_SIGPENDING)
struct lull_limits {
    struct {
        uint64_t cur, max; /* as struct rlimit64 */
    } of[LULL_LIMITS];
    uint64_t cpu_ns;    /* what the process had computed before its last execve(2) */
    uint64_t map_count; /* mappings that it may have: sysctl vm.max_map_count */
};
LULL_ASSERT_SIZE(struct lull_limits, 272);
#define LULL_LIMIT_TABLE (LULL_KTABLES + LULL_UL(0x9f8000))

/* The program's threads, for /proc/self/task: written at the same times. */
struct lull_thread {
    uint32_t tid;
    uint8_t running;         /* 0: it waits */
    uint8_t seccomp;         /* 0, SECCOMP_MODE_* */
    uint16_t filters;        /* number of its seccomp filters */
    uint64_t sigpnd, sigblk; /* bit n-1: signal n */
    uint64_t cpu_ns;
    uint64_t nvcsw, nivcsw; /* times that it gave its core up, and lost it */
    char comm[16];
};
LULL_ASSERT_SIZE(struct lull_thread, 64);
#define LULL_THREADS_SHOWN 4096
struct lull_threads {
    LULL_LINE uint32_t seq; /* odd while the kernel changes the table */
    uint32_t count;
    uint32_t main_waits; /* 1: the main thread waits; always up to date, other isles read it */
    uint32_t queued; /* calls that no server thread has begun yet; written by the proxy, atomic */
    LULL_LINE struct lull_thread thread[LULL_THREADS_SHOWN];
};
#define LULL_THREAD_TABLE (LULL_KTABLES + LULL_MAPS_SIZE)

#define LULL_MAPS_SIZE LULL_UL(0x800000) /* bytes of the table */
#define LULL_MAPS_MAX ((LULL_MAPS_SIZE - 64) / sizeof(struct lull_map))

#endif
