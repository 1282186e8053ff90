/* SPDX-License-Identifier: MIT */
/*
 * Far windows: memory of the program at addresses above the windows, and below its RAM. Address
 * space for them is taken where this process has nothing, in extents, for which the isle's machine
 * has room behind the windows; where each extent has its room is the isle's choice. An extent may
 * cover the image of a program that is linked to low addresses: the image's memory stays there.
 *
 * Addresses that an extent has had stay reserved for good, because a call in flight may still hold
 * a pointer to them: Linux must never put anything of the proxy's there.
 */
#include <errno.h>
#include <sys/mman.h>

#include "isle/isle_priv.h"

#define BLOCKS (LULL_FAR_END / LULL_HUGE)

/* Address space is the process's. Written under isle->lock. */
static struct {
    uint64_t start, len; /* len 0: none */
    uint64_t gpa;
} extent[LULL_FAR_MAX];

/* A bit a block, one atomic byte for eight: read without a lock, and in a signal's handler. */
static _Atomic uint8_t has[BLOCKS / 8]; /* an extent is there */
static _Atomic uint8_t had[BLOCKS / 8]; /* reserved: one is there or was */

static bool bit(const _Atomic uint8_t *map, uint64_t i)
{
    return map[i / 8] >> (i % 8) & 1;
}

/* Addresses that extents may have. The lowest are never mapped: NULL pointers fault there. */
static bool in_region(uint64_t start, uint64_t len)
{
    if (start >= LULL_RAM_BASE && start < LULL_FAR_BASE)
        return false;
    uint64_t end = start < LULL_RAM_BASE ? LULL_RAM_BASE : LULL_FAR_END;
    return start < end && len <= end - start;
}

static void set_bits(_Atomic uint8_t *map, uint64_t start, uint64_t len, bool on)
{
    uint64_t i = start / LULL_HUGE, end = i + len / LULL_HUGE;
    while (i < end) {
        bool whole = i % 8 == 0 && end - i >= 8;
        uint8_t bits = whole ? 0xff : (uint8_t)(1u << (i % 8));
        map[i / 8] = (uint8_t)(on ? map[i / 8] | bits : map[i / 8] & ~bits);
        i += whole ? 8 : 1;
    }
}

bool far_has(uint64_t start, uint64_t len)
{
    if (start < LULL_LOW_BASE || !in_region(start, len))
        return false;
    uint64_t last = (start + (len ? len - 1 : 0)) / LULL_HUGE;
    for (uint64_t i = start / LULL_HUGE; i <= last; i++) {
        if (i % 8 == 0 && last - i >= 8 && has[i / 8] == 0xff)
            i += 7;
        else if (!bit(has, i))
            return false;
    }
    return true;
}

bool far_had(uint64_t at)
{
    return at >= LULL_LOW_BASE && in_region(at, 0) && bit(had, at / LULL_HUGE);
}

/* Neither accessible nor anybody else's. */
static bool reserve_piece(uint64_t start, uint64_t end, int how)
{
    return start >= end ||
           mmap((void *)start, end - start, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0) != MAP_FAILED;
}

/* All of [start, start + len) but the lowest addresses and the program's image. */
static bool reserve(const struct isle *isle, uint64_t start, uint64_t len, int how)
{
    uint64_t end = start + len;
    if (start < LULL_LOW_BASE)
        start = LULL_LOW_BASE;
    if (start >= isle->low_end || end <= isle->low_start)
        return reserve_piece(start, end, how);
    return reserve_piece(start, isle->low_start, how) && reserve_piece(isle->low_end, end, how);
}

/* Tells the isle's machine of an extent's memory, or that it goes. 0 or -errno. */
static int announce(isle_add_memory add, void *engine, uint64_t gpa, uint64_t start, uint64_t len,
                    bool goes)
{
    uint64_t skip = start < LULL_LOW_BASE ? LULL_LOW_BASE - start : 0;
    return add(engine, gpa + skip, goes ? NULL : (void *)(start + skip), len - skip);
}

static void drop(struct isle *isle, uint64_t i)
{
    if (!extent[i].len)
        return;
    set_bits(has, extent[i].start, extent[i].len, false);
    announce(isle->add_memory, isle->engine, extent[i].gpa, extent[i].start, extent[i].len, true);
    reserve(isle, extent[i].start, extent[i].len, MAP_FIXED);
    extent[i].len = 0;
}

/* The end of the blocks from `start` on that are all reserved, or all not. */
static uint64_t run_end(uint64_t start, uint64_t end)
{
    bool first = bit(had, start / LULL_HUGE);
    do
        start += LULL_HUGE;
    while (start < end && bit(had, start / LULL_HUGE) == first);
    return start;
}

/* Reserves what is not yet; false: Linux has something there. */
static bool reserve_rest(const struct isle *isle, uint64_t start, uint64_t len)
{
    for (uint64_t at = start, to; at < start + len; at = to) {
        to = run_end(at, start + len);
        if (bit(had, at / LULL_HUGE))
            continue;
        if (!reserve(isle, at, to - at, MAP_FIXED_NOREPLACE))
            return false; /* what came before stays reserved */
        set_bits(had, at, to - at, true);
    }
    return true;
}

static bool any_extent(uint64_t start, uint64_t len)
{
    for (uint64_t at = start; at < start + len; at += LULL_HUGE) {
        if (bit(has, at / LULL_HUGE))
            return true;
    }
    return false;
}

static int place(struct isle *isle, uint64_t start, uint64_t len, uint64_t i, uint64_t gpa)
{
    drop(isle, i);
    if (!len)
        return 0;
    if (any_extent(start, len) || !reserve_rest(isle, start, len) ||
        announce(isle->add_memory, isle->engine, gpa, start, len, false))
        return -ENOMEM;
    extent[i].start = start;
    extent[i].len = len;
    extent[i].gpa = gpa;
    set_bits(has, start, len, true);
    return 0;
}

/* A mapping below LULL_LOW_BASE: -EPERM, or -ENOSYS if Linux would permit it to this process. */
static int64_t lowest(uint64_t at)
{
    void *p = mmap((void *)(at & ~(LULL_PAGE - 1)), LULL_PAGE, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return errno == EPERM ? -EPERM : -ENOSYS;
    munmap(p, LULL_PAGE);
    return -ENOSYS;
}

int64_t isle_window_far(struct isle *isle, uint64_t start, uint64_t len, uint64_t i, uint64_t block)
{
    const uint64_t blocks = isle->far_size / LULL_HUGE;
    if (start < LULL_LOW_BASE && len == LULL_PAGE)
        return lowest(start);
    if (start % LULL_HUGE || len % LULL_HUGE || !in_region(start, len) || i >= LULL_FAR_MAX)
        return -EINVAL;
    if (block > blocks || len / LULL_HUGE > blocks - block)
        return -ENOMEM;
    pthread_mutex_lock(&isle->lock);
    int r = place(isle, start, len, i, isle->far_gpa + block * LULL_HUGE);
    pthread_mutex_unlock(&isle->lock);
    return r;
}

int far_attach(isle_add_memory add, void *engine)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < LULL_FAR_MAX; i++) {
        if (extent[i].len)
            r = announce(add, engine, extent[i].gpa, extent[i].start, extent[i].len, false);
    }
    return r;
}

void far_destroy(void)
{
    for (unsigned i = 0; i < LULL_FAR_MAX; i++) {
        if (extent[i].len) {
            set_bits(has, extent[i].start, extent[i].len, false);
            munmap((void *)extent[i].start, extent[i].len);
        }
        extent[i].len = 0;
    }
}
