/* SPDX-License-Identifier: MIT */
/* Making an isle's memory; for proxy/isle and proxy/run only. */
#ifndef PROXY_ISLE_ISLE_PRIV_H
#define PROXY_ISLE_ISLE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "isle/isle.h"
#include "isle/numa.h"

#define ISLE_BLOCKS ((LULL_RAM_MAX - LULL_RAM_BASE) / LULL_HUGE)
#define ISLE_CHUNKS ((LULL_RAM_MAX - LULL_RAM_BASE) / LULL_CHUNK)
#define ISLE_WIN_CHUNKS (LULL_WIN_SIZE / LULL_CHUNK)

/*
 * The engine knows of a small isle's memory in pieces, because KVM needs some MiB for a memory slot
 * of 1 GiB, zeroed when a machine is made: more than a forked child's whole life takes. RAM behind
 * the first ISLE_SMALL_CHUNKS chunks, and windows behind the first, it knows as whole chunks: old
 * kernels have 509 slots.
 */
#define ISLE_PIECE (LULL_CHUNK / 16)
#define ISLE_SMALL_CHUNKS 4u

/* A bit for each block of RAM. */
struct isle_bits {
    uint8_t block[ISLE_BLOCKS / 8]; /* populated */
    uint8_t lazy[ISLE_BLOCKS / 8];  /* may hold data in small pages */
    uint8_t huge[ISLE_BLOCKS / 8];  /* mapped from the hugetlb pool */
};

/* Tells the engine of host memory at `host` that the isle sees at guest-physical `gpa`; NULL: what
 * it sees there goes. 0/-errno. */
typedef int (*isle_add_memory)(void *engine, uint64_t gpa, void *host, uint64_t len);

struct isle {
    unsigned ncores;
    int mem_fd;        /* -1: private memory; else a file of the engine's, all of it */
    uint64_t mem_hole; /* its offset of a guest-physical address: the address less this */
    struct lull_kernel_header header; /* from the image file: trusted */
    uint64_t low_start, low_end;      /* program in LOW, page aligned; equal: none */
    uint64_t ram_end;
    uint64_t mem_limit;
    int refused;         /* -errno of the last memory that Linux, not mem_limit, refused; 0: none */
    uint64_t mem_loaded; /* bytes of the program's image in RAM or LOW */
    _Atomic uint8_t chunk[ISLE_CHUNKS];         /* 1: mapped here */
    bool windows;                               /* memory can be shared with Linux */
    uint64_t win_gpa;                           /* guest-physical address of LULL_WIN_BASE */
    _Atomic uint8_t win_chunk[ISLE_WIN_CHUNKS]; /* as chunk */
    uint64_t far_gpa;            /* guest-physical address of the room for far windows */
    uint64_t far_size;           /* bytes of it; 0: none */
    pthread_mutex_t lock;        /* of everything below */
    unsigned nchunks;            /* of RAM */
    uint16_t piece[ISLE_CHUNKS]; /* bit: of a chunk, known to the engine or to be told to it */
    uint16_t win_piece[ISLE_WIN_CHUNKS]; /* the same, of windows */
    uint64_t populated;                  /* bytes of RAM, by what follows */
    struct isle_bits *bits; /* a forked child's struct isle has its copy, on the same pages */
    bool hugetlb_used;
    atomic_bool moving; /* a block is closed for writing, for a moment */
    bool hugetlb;       /* worth trying */
    bool thp;           /* the host gives transparent huge pages on request */
    bool locked;        /* pages stay in memory once they are there */
    bool dontneed;      /* Linux knows MADV_DONTNEED_LOCKED */
    struct isle_numa numa;
    isle_add_memory add_memory;
    void *engine;
    const atomic_bool *ending; /* the isle ends: what takes long gives up; NULL: it never does */
};

static inline bool isle_block_huge(const struct isle *isle, uint64_t i)
{
    return isle->bits->huge[i / 8] >> (i % 8) & 1;
}

/* Something else is mapped there now; a part of a block of the pool cannot be. */
void isle_huge_replaced(struct isle *isle, uint64_t start, uint64_t len);

/* Under isle->lock: the block of `at` has no page of the pool any more. 0 or -errno. */
int isle_huge_break(struct isle *isle, uint64_t at);
/* Memory that a core came upon was being moved: it has been, try again. */
bool isle_moved(struct isle *isle);

/* How memory is wanted. */
struct isle_wants {
    enum numa_choice numa;
    struct lull_nodes nodes; /* not empty */
    bool no_hugetlb;         /* none of the pool's pages */
};

/* Reserves and fills the kernel's region. Returns 0 or LULL_EXIT_FAILED after one message(). */
int isle_create(struct isle *isle, unsigned ncores, uint64_t mem_limit,
                const struct engine_memory *where, const struct isle_wants *wants);
void isle_destroy(struct isle *isle);
/* Names the engine; what exists already is announced to it. 0 or LULL_EXIT_FAILED. */
int isle_attach(struct isle *isle, isle_add_memory add, void *engine);

/* pieces.c: under isle->lock. The engine knows of [start, start + len), which lies in RAM or in the
   windows and is mapped here. 0 or -errno. */
int isle_announce(struct isle *isle, uint64_t start, uint64_t len);
int isle_announce_all(struct isle *isle, isle_add_memory add, void *engine); /* to a new engine */

/* Memory for [start, end) of LOW, zero. 0 or -errno. */
int isle_map_low(struct isle *isle, uint64_t start, uint64_t end);
/* Memory for a program in RAM, zero and populated. 0 or -errno. */
int isle_map_ram(struct isle *isle, uint64_t start, uint64_t end);

/*
 * Around fork(2), with the lock held. Pages of the hugetlb pool are not for copying on write: the
 * side that writes second dies of SIGBUS when the pool has no page left. They are copied before
 * into memory of Linux's usual kind, and the child has that. fork.c; 0 or -errno.
 */
struct isle_copies;
int isle_fork_before(struct isle *isle, struct isle_copies **out);
void isle_fork_parent(struct isle_copies *c);
int isle_fork_child(struct isle *isle, struct isle_copies *c);

/* LULL_OP_MEMORY as the isle asked for it: every number is hostile. 0, -ENOMEM, -EINVAL. */
int64_t isle_memory_op(struct isle *isle, uint64_t start, uint64_t len, uint64_t how);

/* LULL_OP_WINDOW; descriptors are checked by the caller, everything else is hostile. window.c */
int64_t isle_window_map(struct isle *isle, uint64_t start, uint64_t len, int fd, uint64_t offset,
                        uint32_t prot);
int64_t isle_window_shm(struct isle *isle, uint64_t start, uint64_t len, int id, int flags,
                        uint64_t room);
int64_t isle_window_shm_size(int id);
int64_t isle_window_op(struct isle *isle, const uint64_t arg[6]);
/* hugetlb.c: huge pages of Linux's pool in windows. */
/* log2 of the size of a huge page of the file; 0: it is not one of hugetlbfs. */
unsigned hugetlb_shift(int fd);
/* LULL_WIN_HUGE */
int64_t hugetlb_known(uint64_t shift);
/* mmap(2) with MAP_FIXED. `shift`: log2 of the size of the pages that are expected, 0: ordinary
   ones. If the file has larger pages by now, EINVAL, and no neighbour is touched. */
void *hugetlb_map(uint64_t start, uint64_t len, int prot, int how, int fd, uint64_t offset,
                  unsigned shift);
/* shmat(2) with SHM_REMAP, of a segment of `len` bytes; `room` bytes from start on may be replaced.
 *shift: as above. 0, -errno, or -EAGAIN: huge pages, and the room is too small. */
int hugetlb_attach(uint64_t start, uint64_t len, uint64_t room, int id, int flags, unsigned *shift);

/* From now on the proxy survives pages of windows that have no memory. */
void isle_window_guard(void);

/* far.c: LULL_WIN_FAR. 0, -EINVAL or -ENOMEM. */
int64_t isle_window_far(struct isle *isle, uint64_t start, uint64_t len, uint64_t number,
                        uint64_t block);
bool far_has(uint64_t start, uint64_t len); /* all of it lies in extents that are there */
bool far_had(uint64_t at);                  /* the same, or not long ago; async-signal-safe */
int far_attach(isle_add_memory add, void *engine); /* as isle_attach */
void far_destroy(void);
/* Under isle->lock. 0 or -errno. */
int isle_populate(struct isle *isle, uint64_t start, uint64_t len);

/* Copy out of the kernel's region (panic texts, register dumps). 0 or -1 outside of it. */
int isle_copy_kernel(const struct isle *isle, void *dst, uint64_t addr, size_t len);

struct lull_core *isle_core(const struct isle *isle, unsigned core);

/* Bytes of memory that the program has: image and populated RAM. */
uint64_t isle_populated(struct isle *isle);

struct memory_kinds {
    uint64_t hugetlb, thp, small; /* bytes */
};
/* What the host really gave, from /proc/self/smaps. */
void isle_memory_kinds(struct isle *isle, struct memory_kinds *out);

/* bytes[i]: of node i, from /proc/self/numa_maps. nodes.c */
void isle_memory_nodes(const struct isle *isle, uint64_t *bytes, unsigned max);

/* The two blobs, embedded. */
extern const uint8_t blob_kernel[], blob_kernel_end[], blob_vdso[], blob_vdso_end[];

#endif
