/* SPDX-License-Identifier: MIT */
/* The isle's memory on the Linux side: the same addresses, checked. */
#include "isle/isle_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "message.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define POPULATE_STEP (256ul << 20) /* bytes at once, and then the isle may end */
/* Guest-physical addresses that second-level tables of four levels translate. */
#define FAR_BITS 48u
#define FAR_PER_BYTE 48ul      /* bytes of far windows for each of the machine's memory */
#define FAR_LEAST (64ul << 30) /* bytes, however little memory there is */

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/" /* its reserved pages are others' */

static void *fixed_map(const struct isle *isle, uint64_t start, uint64_t len)
{
    if (isle->mem_fd >= 0)
        return mmap((void *)start, len, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, isle->mem_fd,
                    (off_t)(lull_gpa(start) - isle->mem_hole));
    return mmap((void *)start, len, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

/* First number in a small file; `fallback` when it cannot be read. */
static uint64_t read_number(const char *path, uint64_t fallback)
{
    FILE *f = fopen(path, "re");
    unsigned long long v;
    if (!f)
        return fallback;
    if (fscanf(f, "%llu", &v) != 1)
        v = fallback;
    fclose(f);
    return v;
}

static bool thp_available(void)
{
    char line[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (!f)
        return false;
    char *got = fgets(line, sizeof line, f);
    fclose(f);
    return got && !strstr(line, "[never]");
}

static unsigned physical_bits(void)
{
    uint32_t a = 0x80000008, b, c, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return a & 0xff;
}

/*
 * Room for far windows behind `behind`: what can be addressed, and not more than KVM can describe.
 * With shadow page tables it needs 1/384 of a memory slot for that, at once and never paged out:
 * an eighth of the machine's memory at most.
 */
static uint64_t far_size(uint64_t behind, unsigned bits)
{
    uint64_t end = 1ull << (bits < FAR_BITS ? bits : FAR_BITS);
    uint64_t size = end > behind ? end - behind : 0, room = LULL_FAR_END - LULL_FAR_BASE;
    long pages = sysconf(_SC_PHYS_PAGES);
    if (pages > 0 && (uint64_t)pages < room / FAR_PER_BYTE / LULL_PAGE)
        room = (uint64_t)pages * LULL_PAGE * FAR_PER_BYTE;
    if (room < FAR_LEAST)
        room = FAR_LEAST;
    return (size < room ? size : room) & ~(LULL_HUGE - 1);
}

int isle_create(struct isle *isle, unsigned ncores, uint64_t mem_limit,
                const struct engine_memory *where, const struct isle_wants *wants)
{
    struct lull_numa told;
    memset(isle, 0, sizeof *isle);
    pthread_mutex_init(&isle->lock, NULL);
    isle->bits = calloc(1, sizeof *isle->bits);
    if (!isle->bits) {
        message("out of memory");
        return LULL_EXIT_FAILED;
    }
    isle_numa_init(&isle->numa, wants->numa, &wants->nodes, &told);
    isle->ncores = ncores;
    isle->mem_limit = mem_limit;
    isle->mem_fd = where->fd;
    isle->mem_hole = where->hole;
    isle->hugetlb = where->fd < 0 && !wants->no_hugetlb &&
                    read_number(POOL "free_hugepages", 0) > read_number(POOL "resv_hugepages", 0);
    isle->thp = thp_available();
    /* since Linux 5.18 locked memory can be given back */
    isle->dontneed = where->fd < 0 && madvise(NULL, 0, MADV_DONTNEED_LOCKED) == 0;
    isle->locked = isle->dontneed;
    isle->windows = where->fd < 0;
    unsigned bits = physical_bits();
    /* with few bits, windows and RAM share what there is */
    isle->win_gpa = lull_gpa(LULL_RAM_MAX - 1) + 1;
    isle->ram_end = LULL_RAM_MAX;
    if (bits < 40) {
        isle->win_gpa = (1ull << bits) - LULL_WIN_SIZE;
        isle->ram_end = LULL_RAM_BASE + isle->win_gpa - LULL_RAM_GPA;
    }
    uint64_t behind = isle->win_gpa + LULL_WIN_SIZE;
    isle->far_gpa = behind;
    if (isle->windows)
        isle->far_size = far_size(behind, bits);
    if (where->ram_bytes < isle->ram_end - LULL_RAM_BASE)
        isle->ram_end = LULL_RAM_BASE + where->ram_bytes;
    if (fixed_map(isle, LULL_KERN_BASE, LULL_KERN_SIZE) == MAP_FAILED) {
        message("cannot map %lu MiB for the isle's kernel: %s; raise `ulimit -v`",
                LULL_KERN_SIZE >> 20, strerror(errno));
        return LULL_EXIT_FAILED;
    }
    isle_numa_place(isle, LULL_KERN_BASE, LULL_KERN_SIZE);
    if (isle->thp)
        madvise((void *)LULL_KIMAGE, LULL_KIMAGE_SIZE, MADV_HUGEPAGE);
    ((struct lull_boot *)LULL_BOOT)->numa = told;
    return 0;
}

void isle_destroy(struct isle *isle)
{
    munmap((void *)LULL_KERN_BASE, LULL_KERN_SIZE);
    if (isle->low_end > isle->low_start)
        munmap((void *)isle->low_start, isle->low_end - isle->low_start);
    for (size_t i = 0; i < ISLE_CHUNKS; i++) {
        if (isle->chunk[i])
            munmap((void *)(LULL_RAM_BASE + i * LULL_CHUNK), LULL_CHUNK);
    }
    for (size_t i = 0; i < ISLE_WIN_CHUNKS; i++) {
        if (isle->win_chunk[i])
            munmap((void *)(LULL_WIN_BASE + i * LULL_CHUNK), LULL_CHUNK);
    }
    far_destroy();
    free(isle->bits);
    pthread_mutex_destroy(&isle->lock);
}

int isle_attach(struct isle *isle, isle_add_memory add, void *engine)
{
    int r = add(engine, LULL_KERN_GPA, (void *)LULL_KERN_BASE, LULL_KERN_SIZE);
    if (r == 0 && isle->low_end > isle->low_start)
        r = add(engine, lull_gpa(isle->low_start), (void *)isle->low_start,
                isle->low_end - isle->low_start);
    if (r == 0)
        r = isle_announce_all(isle, add, engine);
    if (r == 0)
        r = far_attach(add, engine);
    if (r) {
        message("cannot give memory to the virtual machine: %s", strerror(-r));
        return LULL_EXIT_FAILED;
    }
    isle->add_memory = add;
    isle->engine = engine;
    return 0;
}

/* From the isle's nodes, and never paged out where that is permitted; populated when it is touched,
   or when it has to be. */
static void memory_made(struct isle *isle, uint64_t start, uint64_t len)
{
    isle_numa_place(isle, start, len);
    if (isle->locked && syscall(SYS_mlock2, start, len, MLOCK_ONFAULT))
        isle->locked = false; /* RLIMIT_MEMLOCK */
}

int isle_map_low(struct isle *isle, uint64_t start, uint64_t end)
{
    if (fixed_map(isle, start, end - start) == MAP_FAILED)
        return -errno;
    memory_made(isle, start, end - start);
    if (isle->thp && end - start >= 2 * LULL_HUGE)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
    isle->low_start = start;
    isle->low_end = end;
    isle->mem_loaded += end - start;
    return 0;
}

static int chunk_need(struct isle *isle, size_t i)
{
    uint64_t at = LULL_RAM_BASE + i * LULL_CHUNK;
    if (isle->chunk[i])
        return 0;
    if (fixed_map(isle, at, LULL_CHUNK) == MAP_FAILED)
        return -errno;
    memory_made(isle, at, LULL_CHUNK);
    isle->nchunks++;
    isle->chunk[i] = 1;
    return 0;
}

static int chunks_need(struct isle *isle, uint64_t start, uint64_t len)
{
    for (uint64_t i = (start - LULL_RAM_BASE) / LULL_CHUNK;
         i <= (start + len - 1 - LULL_RAM_BASE) / LULL_CHUNK; i++) {
        int r = chunk_need(isle, i);
        if (r) {
            isle->refused = r;
            return r;
        }
    }
    int r = isle_announce(isle, start, len);
    if (r)
        isle->refused = r;
    return r;
}

/* Blocks that the program uses in part already: their mapping must stay as it is. */
static bool any_lazy(const struct isle *isle, uint64_t start, uint64_t len)
{
    if (start < LULL_RAM_BASE)
        return false;
    for (uint64_t i = (start - LULL_RAM_BASE) / LULL_HUGE;
         i < (start + len - LULL_RAM_BASE) / LULL_HUGE; i++) {
        if (isle->bits->lazy[i / 8] >> (i % 8) & 1)
            return true;
    }
    return false;
}

/* Old kernels have no MADV_POPULATE_WRITE: touch, which the OOM killer may answer. */
static void populate_by_touch(uint64_t start, uint64_t len)
{
    for (uint64_t at = start; at < start + len; at += LULL_PAGE)
        __atomic_fetch_or((uint8_t *)at, 0, __ATOMIC_RELAXED);
}

static void huge_set(struct isle *isle, uint64_t start, uint64_t len, bool on)
{
    for (uint64_t i = (start - LULL_RAM_BASE) / LULL_HUGE,
                  end = (start + len - LULL_RAM_BASE) / LULL_HUGE;
         i < end; i++) {
        uint8_t bit = (uint8_t)(1u << (i % 8));
        isle->bits->huge[i / 8] =
            (uint8_t)(on ? isle->bits->huge[i / 8] | bit : isle->bits->huge[i / 8] & ~bit);
    }
}

void isle_huge_replaced(struct isle *isle, uint64_t start, uint64_t len)
{
    uint64_t first = (start + LULL_HUGE - 1) & ~(LULL_HUGE - 1),
             end = (start + len) & ~(LULL_HUGE - 1);
    if (isle->hugetlb_used && start >= LULL_RAM_BASE && end <= isle->ram_end && first < end)
        huge_set(isle, first, end - first, false);
}

static bool any_huge(const struct isle *isle, uint64_t start, uint64_t len)
{
    for (uint64_t at = start; isle->hugetlb_used && at < start + len; at += LULL_HUGE) {
        if (isle_block_huge(isle, (at - LULL_RAM_BASE) / LULL_HUGE))
            return true;
    }
    return false;
}

/*
 * Nothing else can be mapped in the middle of a huge page of the pool, so the block of `at` gets
 * memory of the usual kind, with the same contents. Who writes there meanwhile waits: a core in
 * isle_moved(); a call in flight gets EFAULT.
 */
int isle_huge_break(struct isle *isle, uint64_t at)
{
    const int rw = PROT_READ | PROT_WRITE;
    void *block = (void *)(at & ~(LULL_HUGE - 1));
    if (!isle->hugetlb_used || !isle_block_huge(isle, (at - LULL_RAM_BASE) / LULL_HUGE))
        return 0;
    char *room = mmap(NULL, 2 * LULL_HUGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return -ENOMEM;
    char *copy = (char *)(((uintptr_t)room + LULL_HUGE - 1) & ~(LULL_HUGE - 1));
    if (copy > room)
        munmap(room, (size_t)(copy - room));
    munmap(copy + LULL_HUGE, (size_t)(room + LULL_HUGE - copy));
    isle_numa_place(isle, (uint64_t)copy, LULL_HUGE);
    if (isle->thp)
        madvise(copy, LULL_HUGE, MADV_HUGEPAGE);
    atomic_store(&isle->moving, true);
    int r = mprotect(block, LULL_HUGE, PROT_READ) ? -errno : 0;
    if (r == 0) {
        memcpy(copy, block, LULL_HUGE);
        if (mremap(copy, LULL_HUGE, LULL_HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, block) == MAP_FAILED)
            r = -errno;
    }
    if (r) {
        mprotect(block, LULL_HUGE, rw);
        munmap(copy, LULL_HUGE);
    } else {
        huge_set(isle, (uint64_t)block, LULL_HUGE, false);
    }
    atomic_store(&isle->moving, false);
    return r;
}

bool isle_moved(struct isle *isle)
{
    if (!atomic_load(&isle->moving))
        return false;
    pthread_mutex_lock(&isle->lock);
    pthread_mutex_unlock(&isle->lock);
    return true;
}

/* Whole blocks anew, empty and of the usual kind. */
static int map_anew(struct isle *isle, uint64_t start, uint64_t len)
{
    if (mmap((void *)start, len, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -ENOMEM;
    huge_set(isle, start, len, false);
    isle_numa_place(isle, start, len);
    return 0;
}

/* From the hugetlb pool; false: it has no more. */
static bool populate_huge(struct isle *isle, uint64_t start, uint64_t len)
{
    void *p = mmap((void *)start, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | MAP_FIXED, -1, 0);
    isle->hugetlb_used = true;
    huge_set(isle, start, len, true);
    if (p != MAP_FAILED) {
        isle_numa_place(isle, start, len);
        if (madvise(p, len, MADV_POPULATE_WRITE) == 0 || errno == EINVAL)
            return true;
    }
    isle->hugetlb = false;
    return false;
}

int isle_populate(struct isle *isle, uint64_t start, uint64_t len)
{
    bool whole = ((start | len) & (LULL_HUGE - 1)) == 0; /* else Linux would round up over others */
    if (isle->hugetlb && whole && !any_lazy(isle, start, len) && populate_huge(isle, start, len))
        return 0;
    if (whole && any_huge(isle, start, len) && map_anew(isle, start, len))
        return -ENOMEM;
    if (isle->thp)
        madvise((void *)start, len, MADV_HUGEPAGE);
    for (uint64_t done = 0, n; done < len; done += n) {
        n = len - done < POPULATE_STEP ? len - done : POPULATE_STEP;
        if (isle->ending && atomic_load(isle->ending))
            return -ENOMEM;
        if (madvise((void *)(start + done), n, MADV_POPULATE_WRITE) == 0)
            continue;
        if (errno != EINVAL)
            return -ENOMEM;
        populate_by_touch(start + done, n);
    }
    return 0;
}

static bool block_bit(const struct isle *isle, uint64_t i)
{
    return isle->bits->block[i / 8] >> (i % 8) & 1;
}

/* Marks whole blocks in [start, start + len) as populated or not, and counts them. */
static void blocks_set(struct isle *isle, uint64_t start, uint64_t len, bool on)
{
    uint64_t first = (start - LULL_RAM_BASE + LULL_HUGE - 1) / LULL_HUGE,
             end = (start + len - LULL_RAM_BASE) / LULL_HUGE;
    for (uint64_t i = first; i < end; i++) {
        if (block_bit(isle, i) == on)
            continue;
        isle->bits->block[i / 8] ^= (uint8_t)(1u << (i % 8));
        isle->populated += on ? LULL_HUGE : -LULL_HUGE;
    }
}

static uint64_t resident(uint64_t start, uint64_t end)
{
    unsigned char there[4096];
    uint64_t bytes = 0;
    for (uint64_t at = start; at < end; at += sizeof there * LULL_PAGE) {
        uint64_t n = (end - at) / LULL_PAGE;
        n = n < sizeof there ? n : sizeof there;
        if (mincore((void *)at, n * LULL_PAGE, there))
            continue;
        for (uint64_t i = 0; i < n; i++)
            bytes += there[i] & 1 ? LULL_PAGE : 0;
    }
    return bytes;
}

/* What Linux populated at first touch, outside of the populated blocks and of [first, end). */
static uint64_t touched(const struct isle *isle, uint64_t first, uint64_t end)
{
    const uint64_t per_chunk = LULL_CHUNK / LULL_HUGE;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < ISLE_CHUNKS * per_chunk;) {
        if (!isle->chunk[i / per_chunk]) {
            i = (i / per_chunk + 1) * per_chunk;
            continue;
        }
        uint64_t from = i, stop = (i / per_chunk + 1) * per_chunk;
        while (i < stop && !block_bit(isle, i) && !(i >= first && i < end))
            i++;
        bytes += resident(LULL_RAM_BASE + from * LULL_HUGE, LULL_RAM_BASE + i * LULL_HUGE);
        i += i == from;
    }
    return bytes;
}

static uint64_t chunks_bytes(const struct isle *isle)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < ISLE_CHUNKS; i++)
        bytes += isle->chunk[i] ? LULL_CHUNK : 0;
    return bytes;
}

/*
 * --mem holds even if the isle's kernel does not. What was touched in mappings that are populated
 * by the page counts here, when more is asked for; it is looked for only where it could matter.
 */
static bool within_limit(const struct isle *isle, uint64_t first, uint64_t end)
{
    uint64_t missing = 0;
    for (uint64_t i = first; i < end; i++)
        missing += block_bit(isle, i) ? 0 : LULL_HUGE;
    if (missing > isle->mem_limit || isle->populated > isle->mem_limit - missing)
        return false;
    uint64_t left = isle->mem_limit - missing - isle->populated;
    return !missing || left >= chunks_bytes(isle) || left >= touched(isle, first, end);
}

/* `lend`: they are not populated, and count all the same. */
static int populate_within_limit(struct isle *isle, uint64_t start, uint64_t len, bool lend)
{
    uint64_t first = (start - LULL_RAM_BASE) / LULL_HUGE;
    if (!within_limit(isle, first, first + len / LULL_HUGE))
        return -ENOMEM;
    int r = lend ? 0 : isle_populate(isle, start, len);
    if (r == 0)
        blocks_set(isle, start, len, true);
    else
        isle->refused = r;
    return r;
}

int isle_map_ram(struct isle *isle, uint64_t start, uint64_t end)
{
    int r = chunks_need(isle, start, end - start);
    if (r == 0)
        r = isle_populate(isle, start, end - start);
    if (r == 0)
        isle->mem_loaded += end - start;
    return r;
}

static void discard_in_chunk(struct isle *isle, uint64_t start, uint64_t end)
{
    if (isle->hugetlb_used) { /* Linux would round to whole huge pages: clear the rest by hand */
        uint64_t first = (start + LULL_HUGE - 1) & ~(LULL_HUGE - 1), last = end & ~(LULL_HUGE - 1);
        if (first >= last) {
            memset((void *)start, 0, end - start);
            return;
        }
        memset((void *)start, 0, first - start);
        memset((void *)last, 0, end - last);
        start = first;
        end = last;
    }
    if (any_huge(isle, start, end - start)) { /* or a touch would want a page of the pool */
        if (map_anew(isle, start, end - start))
            memset((void *)start, 0, end - start);
        else
            blocks_set(isle, start, end - start, false);
        return;
    }
    int how = isle->mem_fd >= 0 ? MADV_REMOVE
              : isle->dontneed  ? MADV_DONTNEED_LOCKED
                                : MADV_DONTNEED;
    if (madvise((void *)start, end - start, how))
        memset((void *)start, 0, end - start);
    else
        blocks_set(isle, start, end - start, false);
}

/* Where no memory has ever been there is nothing to give back. */
static void discard(struct isle *isle, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end;) {
        uint64_t i = (at - LULL_RAM_BASE) / LULL_CHUNK;
        uint64_t next = LULL_RAM_BASE + (i + 1) * LULL_CHUNK, to = next < end ? next : end;
        if (isle->chunk[i])
            discard_in_chunk(isle, at, to);
        at = to;
    }
}

int64_t isle_memory_op(struct isle *isle, uint64_t start, uint64_t len, uint64_t how)
{
    uint64_t align = how >= LULL_MEM_DISCARD ? LULL_PAGE : LULL_HUGE;
    if (how > LULL_MEM_UNMERGE || !len || start % align || len % align || start < LULL_RAM_BASE ||
        start >= isle->ram_end || len > isle->ram_end - start)
        return -EINVAL;
    int64_t r;
    pthread_mutex_lock(&isle->lock);
    if (how == LULL_MEM_DISCARD) {
        discard(isle, start, start + len);
        r = 0;
    } else if (how > LULL_MEM_DISCARD) {
        bool on = how == LULL_MEM_MERGE;
        bool there = isle_app_range(isle, (isle_addr){start}, len);
        r = !there || madvise((void *)start, len, on ? MADV_MERGEABLE : MADV_UNMERGEABLE) == 0
                ? 0
                : -errno;
    } else {
        /* address space for a reservation is cheap, memory is not */
        r = how != LULL_MEM_LAZY && len > isle->mem_limit ? -ENOMEM : chunks_need(isle, start, len);
        if (r == 0 && how == LULL_MEM_LAZY) {
            for (uint64_t i = (start - LULL_RAM_BASE) / LULL_HUGE;
                 i < (start + len - LULL_RAM_BASE) / LULL_HUGE; i++)
                isle->bits->lazy[i / 8] |= (uint8_t)(1u << (i % 8));
            if (isle->thp)
                madvise((void *)start, len, MADV_NOHUGEPAGE);
        } else if (r == 0) {
            r = populate_within_limit(isle, start, len, how == LULL_MEM_LEND);
        }
    }
    pthread_mutex_unlock(&isle->lock);
    return r == 0 || r == -EINVAL ? r : -ENOMEM;
}

bool isle_app_range(const struct isle *isle, isle_addr addr, size_t len)
{
    uint64_t start = addr.va, end = start + len;
    if (len == 0)
        return true;
    if (end < start)
        return false;
    if (start >= isle->low_start && end <= isle->low_end)
        return true;
    if (start >= LULL_FAR_BASE || start < LULL_RAM_BASE)
        return far_has(start, len);
    if (start >= LULL_WIN_BASE && end <= LULL_WIN_END) {
        for (uint64_t i = (start - LULL_WIN_BASE) / LULL_CHUNK;
             i <= (end - 1 - LULL_WIN_BASE) / LULL_CHUNK; i++) {
            if (!isle->win_chunk[i])
                return false;
        }
        return true;
    }
    if (start < LULL_RAM_BASE || end > isle->ram_end)
        return false;
    for (uint64_t i = (start - LULL_RAM_BASE) / LULL_CHUNK;
         i <= (end - 1 - LULL_RAM_BASE) / LULL_CHUNK; i++) {
        if (!isle->chunk[i])
            return false;
    }
    return true;
}

void *isle_host(const struct isle *isle, isle_addr addr, size_t len)
{
    return isle_app_range(isle, addr, len) ? (void *)addr.va : NULL;
}

int isle_copy_kernel(const struct isle *isle, void *dst, uint64_t addr, size_t len)
{
    (void)isle;
    if (addr < LULL_KERN_BASE || addr > LULL_KERN_BASE + LULL_KERN_SIZE ||
        len > LULL_KERN_BASE + LULL_KERN_SIZE - addr)
        return -1;
    memcpy(dst, (const void *)addr, len);
    return 0;
}

struct lull_channel *isle_channel(const struct isle *isle, unsigned core)
{
    (void)isle;
    return (struct lull_channel *)(LULL_CHANNELS + core * LULL_CHAN_STRIDE);
}

struct lull_core *isle_core(const struct isle *isle, unsigned core)
{
    (void)isle;
    return (struct lull_core *)(LULL_CORES + core * LULL_CORE_STRIDE);
}

unsigned isle_ncores(const struct isle *isle)
{
    return isle->ncores;
}

uint64_t isle_populated(struct isle *isle)
{
    pthread_mutex_lock(&isle->lock);
    uint64_t bytes = isle->populated + isle->mem_loaded;
    pthread_mutex_unlock(&isle->lock);
    return bytes;
}

/* Sums the mappings of the application's memory. */
void isle_memory_kinds(struct isle *isle, struct memory_kinds *out)
{
    char line[256];
    bool ours = false;
    memset(out, 0, sizeof *out);
    FILE *f = fopen("/proc/self/smaps", "re");
    if (!f)
        return;
    uint64_t rss = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long long start, end, kb;
        if (sscanf(line, "%llx-%llx ", &start, &end) == 2) {
            ours = (start >= LULL_RAM_BASE && end <= LULL_RAM_MAX) ||
                   (start >= isle->low_start && end <= isle->low_end);
        } else if (ours && sscanf(line, "Rss: %llu kB", &kb) == 1) {
            rss += kb << 10;
        } else if (ours && (sscanf(line, "AnonHugePages: %llu kB", &kb) == 1 ||
                            sscanf(line, "ShmemPmdMapped: %llu kB", &kb) == 1)) {
            out->thp += kb << 10;
        } else if (ours && sscanf(line, "Private_Hugetlb: %llu kB", &kb) == 1) {
            out->hugetlb += kb << 10;
        }
    }
    fclose(f);
    out->small = rss > out->thp ? rss - out->thp : 0;
}
